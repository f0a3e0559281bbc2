"""Two thousand stories of three hundred events: no rule is broken. A longer run: `make simulate SEEDS=0..100000`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from wormux.testing.simulate.many import STEPS, play_in, play_seeds, process_pool
from wormux.testing.simulate.shrink import shrink

SEEDS = 2000
OPEN = {1605: "drawn"}
"""Stories that break a rule for a reason that is not found yet, and which rule."""
_AT_ONCE = 100
"""In one test, so that each keeps its deadline on a busy machine too."""


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with process_pool() as processes:
        yield processes


@pytest.mark.parametrize("first", range(0, SEEDS, _AT_ONCE))
def test_every_rule_holds(pool: ProcessPoolExecutor, first: int) -> None:
    seeds = [seed for seed in range(first, first + _AT_ONCE) if seed not in OPEN]
    results = play_in(pool, seeds, STEPS)
    if results.failures:
        pytest.fail(str(shrink(results.failures[0])), pytrace=False)
    assert results.stories == len(seeds)
    assert results.hub_steps > results.events, "The stories are about something."


@pytest.mark.parametrize("seed", OPEN)
def test_what_is_open_is_still_so(seed: int) -> None:
    """Whoever mends it takes it off the list."""
    assert [failure.rule for failure in play_seeds([seed]).failures] == [OPEN[seed]]
