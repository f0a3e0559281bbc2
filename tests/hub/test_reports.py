"""Reports of mouse and focus are no keys."""

from __future__ import annotations

import pytest

from wormux.hub.effects import WakeSandbox
from wormux.hub.reports import are_reports
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.world import HubWorld

REPORTS = [
    b"\x1b[I",
    b"\x1b[O",
    b"\x1b[<0;23;22M",
    b"\x1b[<65;1;1m",
    b"\x1b[M !!",
    b"\x1b[32;5;6M",
    b"\x1b[I\x1b[<0;1;1M",
]


@pytest.mark.parametrize("data", REPORTS)
def test_they_are_known(data: bytes) -> None:
    assert are_reports(data)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"\x1b", b"\x1b[A", b"\x1b[Ix", b"x\x1b[I", b"\x1b[200~\x1b[I\x1b[201~"]
)
def test_keys_are_none(data: bytes) -> None:
    assert not are_reports(data)


@pytest.fixture
def world() -> HubWorld:
    return HubWorld()


@pytest.fixture
def client(world: HubWorld) -> SimClient:
    return world.attached()


@pytest.mark.parametrize("delivered", range(6))
def test_one_that_meets_the_end_of_its_terminal_wakes_nothing(
    world: HubWorld, client: SimClient, delivered: int
) -> None:
    """However far the sleep has come when it arrives."""
    pane_id = client.pane()
    world.live(pane_id).takes = False
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)), force=True)
    for _ in range(delivered):
        if ready := world.lanes.ready():
            ready[0].deliver()
    client.type(pane_id, b"\x1b[I")
    world.effects.clear()
    world.advance(3.0)
    assert client.status(pane_id) == "asleep"
    assert not world.wanted(WakeSandbox)
    assert client.input(pane_id).unacked == 0
    client.type(pane_id, b"x")
    world.advance(3.0)
    assert world.live(pane_id).typed == b"x"


def test_a_live_program_gets_them(world: HubWorld, client: SimClient) -> None:
    client.type(client.pane(), b"\x1b[<0;1;1M")
    world.settle()
    assert world.live(client.pane()).typed == b"\x1b[<0;1;1M"
