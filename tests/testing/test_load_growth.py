"""What counts as growth: figures that rise from round to round, not those that go up and down."""

from __future__ import annotations

import pytest

from wormux.errors import SetupError
from wormux.testing.load.growth import Bound, judge, slope
from wormux.testing.load.plan import Plan

BOUND = Bound(share=0.05, more=10)


def test_a_figure_that_rises_in_every_round_has_grown_and_a_sentence_says_which() -> None:
    judgement = judge("server: memory", "KiB", [1000, 1030, 1060, 1090], BOUND)
    assert judgement.slope == 30
    assert judgement.grown == 90
    assert not judgement.is_flat
    assert str(judgement) == (
        "server: memory grew: 1000.0 KiB after the warm-up, 1090.0 at the end, +30.00 a round over 3 rounds"
        " (at most 60.0 in all)."
    )


def test_a_figure_that_goes_up_and_down_is_flat() -> None:
    judgement = judge("server: memory", "KiB", [1000, 1400, 900, 1010, 1400, 990], BOUND)
    assert judgement.is_flat
    assert "stayed flat" in str(judgement)


def test_one_odd_round_moves_nothing_and_a_slow_leak_in_many_rounds_is_found() -> None:
    assert slope([100, 100, 900, 100, 100]) == 0
    assert not judge(
        "agents: descriptors", "open", [100 + number for number in range(9)], Bound(0, 0.5)
    ).is_flat


def test_with_two_figures_their_difference_counts() -> None:
    assert judge("server: descriptors", "open", [30, 30], Bound(0, 0.5)).is_flat
    assert not judge("server: descriptors", "open", [30, 31], Bound(0, 0.5)).is_flat
    assert judge("server: descriptors", "open", [30, 20], Bound(0, 0.5)).is_flat


def test_as_many_servers_are_taken_as_the_protocol_needs() -> None:
    plan = Plan()
    assert (plan.servers, plan.panes_of, plan.clients_of) == (2, [100, 100], [25, 25])
    assert Plan(panes=200, clients=31).servers == 1
    assert Plan(panes=300, clients=31).servers == 2
    assert Plan(panes=7, clients=5, servers=1).panes_of == [7]


@pytest.mark.parametrize(
    ("panes", "clients", "servers", "says"),
    [
        (3, 2, 0, "4 panes and 2 clients at least"),
        (200, 50, 1, "need more servers"),
        (300, 10, 1, "need more servers"),
        (200, 50, 40, "take fewer servers"),
    ],
)
def test_a_load_that_cannot_be_is_refused_with_a_sentence(
    panes: int, clients: int, servers: int, says: str
) -> None:
    with pytest.raises(SetupError, match=says):
        Plan(panes=panes, clients=clients, servers=servers)
