"""Every way to break the hub is noticed: the simulator can find what it is there to find."""

from __future__ import annotations

import pytest

from wormux.testing.simulate import mutations
from wormux.testing.simulate.many import STEPS
from wormux.testing.simulate.mutations import MUTATIONS, Mutation, Outdated, hunt_many


def test_there_are_enough() -> None:
    assert len(MUTATIONS) >= 20
    assert all(mutation.sentence.endswith(".") for mutation in MUTATIONS.values())


@pytest.mark.parametrize("part", range(4))
def test_each_is_found(part: int) -> None:
    hunts = hunt_many(list(MUTATIONS.values())[part::4], None, STEPS)
    assert [(one.mutation.name, one.said) for one in hunts if not one.found] == []


def test_what_it_replaces_stands_in_the_source_once() -> None:
    mutation = Mutation("m", "It breaks.", "hub", "a = 1\n", "a = 2\n")
    assert mutation.applied_to("a = 1\nb = 1\n") == "a = 2\nb = 1\n"
    for source in ("b = 1\n", "a = 1\na = 1\n"):
        with pytest.raises(Outdated, match=r"wormux/hub/hub\.py: look what became of it"):
            mutation.applied_to(source)


def test_none_can_be_put_into_a_hub_that_is_imported_already() -> None:
    with pytest.raises(RuntimeError, match="needs a process of its own"):
        mutations.install("no wake mark")
