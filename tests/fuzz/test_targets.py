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
    for seed in target.seeds():
        target(seed)
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            target(seed)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most - before < target.memory_bytes


@ALL
def test_generated(target: Target) -> None:
    @settings(
        max_examples=target.examples, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(inputs_of(target))
    def throw(data: bytes) -> None:
        target(data)

    throw()
