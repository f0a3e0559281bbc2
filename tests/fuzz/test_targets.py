"""Every fuzz target over its seeds, and over what Hypothesis makes of them. `make fuzz` goes on for longer."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings

from fuzz.inputs import inputs_of
from fuzz.kit import Target
from fuzz.targets import TARGETS

ALL = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


@ALL
def test_seeds(target: Target) -> None:
    """No finding, and no memory beyond the bounds."""
    seeds = list(target.seeds())
    target(seeds[0])  # what is kept from the first time on is not counted
    for seed in seeds:
        tracemalloc.start()
        try:
            target(seed)
            _, most_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most_bytes < target.memory_bytes


@ALL
def test_generated(target: Target) -> None:
    @settings(
        max_examples=target.examples, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(inputs_of(target))
    def throw(data: bytes) -> None:
        target(data)

    throw()
