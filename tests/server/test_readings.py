"""What metrics say of a real hub, in a simulated world."""

from __future__ import annotations

import pytest

from wormux.limits import LOG_BYTES
from wormux.protocol import messages as m
from wormux.server import readings
from wormux.server.counts import Counts
from wormux.server.readings import Sources
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.world import HubWorld


@pytest.fixture
def world() -> HubWorld:
    return HubWorld()


@pytest.fixture
def client(world: HubWorld) -> SimClient:
    return world.attached()


@pytest.fixture
def sources(world: HubWorld, client: SimClient) -> Sources:
    world.settle()
    return Sources(Counts(), hub=world.hub)


def test_a_slow_client_is_counted_once_for_what_it_missed(
    world: HubWorld, client: SimClient, sources: Sources
) -> None:
    pane_id = client.pane()
    assert client.socket is not None
    client.socket.stalled = True
    for _ in range(48):
        world.live(pane_id).print(b"0123456789abcdef" * (LOG_BYTES // 16 // 16))
        world.run()
    assert readings.behind(sources) == 1
    assert readings.unsent_bytes(sources) == readings.unsent_max_bytes(sources) > 0
    assert readings.log_bytes(sources) == LOG_BYTES
    client.socket.stalled = False
    world.settle()
    (missed,) = [replay for replay in client.said(m.Replay) if replay.skipped]
    assert (readings.overtaken(sources), readings.skipped_bytes(sources)) == (1, missed.skipped)
    assert readings.behind(sources) == readings.unsent_bytes(sources) == 0


def test_who_keeps_up_is_not_counted(world: HubWorld, client: SimClient, sources: Sources) -> None:
    for _ in range(48):
        world.live(client.pane()).print(b"x" * (LOG_BYTES // 16))
        world.settle()
    assert (readings.overtaken(sources), readings.skipped_bytes(sources)) == (0, 0)


def test_what_is_not_stored_is_counted_until_it_is(
    world: HubWorld, client: SimClient, sources: Sources
) -> None:
    world.advance(3.0)
    assert readings.unsaved(sources) == 0
    world.fail_saves()
    world.live(client.pane()).print(b"\x1b]2;a title\x07")
    world.advance(3.0)
    assert readings.unsaved(sources) > 0
    world.fail_saves(failing=False)
    world.advance(3.0)
    assert readings.unsaved(sources) == 0


def test_sessions_and_panes_are_counted_by_how_they_are(
    world: HubWorld, client: SimClient, sources: Sources
) -> None:
    assert {state: number for state, number in readings.sessions(sources).items() if number} == {"awake": 1}
    assert {state: number for state, number in readings.panes(sources).items() if number} == {"connected": 1}
    (session,) = world.hub.world.sessions.values()
    session.busy = "make runs"
    assert readings.session_state(session, 0) == "busy"
    client.say("session_sleep", sessionId=session.id, force=True)
    world.settle()
    assert {state: number for state, number in readings.sessions(sources).items() if number} == {"asleep": 1}
    assert {state: number for state, number in readings.panes(sources).items() if number} == {"asleep": 1}
