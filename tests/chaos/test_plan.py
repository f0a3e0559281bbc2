"""What is drawn from a seed."""

from __future__ import annotations

from itertools import islice

from .plan import KINDS, LONGEST_S, MOST_AT_ONCE, SHORTEST_S, storms


def test_a_seed_gives_the_same_storms_and_another_gives_others() -> None:
    first, again, other = (list(islice(storms(seed, KINDS), 30)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_every_kind_comes_before_any_comes_again() -> None:
    faults = [fault for storm in islice(storms(3, KINDS), 100) for fault in storm.faults]
    for start in range(0, len(faults) - len(KINDS), len(KINDS)):
        assert {fault.kind for fault in faults[start : start + len(KINDS)]} == set(KINDS)
    assert all(SHORTEST_S <= fault.lasts_s <= LONGEST_S for fault in faults)


def test_what_cannot_be_done_is_not_drawn() -> None:
    kinds = [kind for kind in KINDS if kind != "link down"]
    drawn = list(islice(storms(4, kinds), 50))
    assert "link down" not in {fault.kind for storm in drawn for fault in storm.faults}
    assert max(len(storm.faults) for storm in drawn) == MOST_AT_ONCE
