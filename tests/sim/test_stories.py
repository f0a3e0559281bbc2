"""Two thousand stories of three hundred events: no rule is broken. A longer run: `make simulate SEEDS=0..100000`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from wormux.testing.simulate.many import STEPS, play_in, process_pool
from wormux.testing.simulate.shrink import shrink

SEEDS = 2000
_AT_ONCE = 100
"""In one test, so that each keeps its deadline on a busy machine too."""
_SHRINKING_S = 60.0
"""Of a test's deadline: a story that ends in an endless to and fro takes seconds each time."""


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with process_pool() as processes:
        yield processes


@pytest.mark.parametrize("first", range(0, SEEDS, _AT_ONCE))
def test_every_rule_holds(pool: ProcessPoolExecutor, first: int) -> None:
    results = play_in(pool, range(first, first + _AT_ONCE), STEPS)
    if results.failures:
        pytest.fail(str(shrink(results.failures[0], within_s=_SHRINKING_S)), pytrace=False)
    assert results.stories == _AT_ONCE
    assert results.hub_steps > results.events, "The stories are about something."
