"""What keeps a sandbox awake, what happens when it sleeps, and what a key does meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wormux.hub.effects import OpenTerminal, StopSandbox, WakeSandbox
from wormux.hub.notices import MODES_OFF
from wormux.ids import PaneId
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.world import SETTINGS, HubWorld

IDLE_S = 600.0


@pytest.fixture
def world() -> HubWorld:
    return HubWorld(replace(SETTINGS, idle_timeout_s=IDLE_S))


@pytest.fixture
def client(world: HubWorld) -> SimClient:
    return world.attached()


def status(client: SimClient) -> str:
    return next(iter(client.model.sessions.values())).status


def sleeps_at(client: SimClient) -> int | None:
    return next(iter(client.model.sessions.values())).sleeps_at


def test_an_idle_sandbox_sleeps(world: HubWorld, client: SimClient) -> None:
    world.advance(IDLE_S - 5)
    assert status(client) == "awake"
    world.advance(5.0)
    assert status(client) == "asleep"
    assert client.status(client.pane()) == "asleep"
    assert client.output(client.pane()).received.endswith(MODES_OFF)


def test_the_time_counts_from_the_last_output_to_the_moment(world: HubWorld, client: SimClient) -> None:
    world.live(client.pane()).print(b"half a second after its start")
    world.advance(IDLE_S + 0.1)
    assert status(client) == "asleep"


@pytest.mark.parametrize("clock_stands_still", [True, False])
def test_a_machine_that_was_suspended_does_not_sleep_on_waking(
    world: HubWorld, client: SimClient, clock_stands_still: bool
) -> None:
    world.advance(IDLE_S - 5)
    if clock_stands_still:
        world.suspended_s += 8 * 3600
    else:
        world.now_s += 8 * 3600
    world.advance(IDLE_S - 10)
    assert status(client) == "awake"
    assert client.attached
    world.advance(20.0)
    assert status(client) == "asleep"


def test_never() -> None:
    world = HubWorld()
    client = world.attached()
    world.advance(30 * 24 * 3600)
    assert status(client) == "awake"


def test_output_and_input_keep_it_awake(world: HubWorld, client: SimClient) -> None:
    for number in range(5):
        world.advance(IDLE_S - 5)
        if number % 2:
            world.live(client.pane()).print(b".")
        else:
            client.type(client.pane(), b".")
        world.run()
    assert status(client) == "awake"
    world.advance(IDLE_S - 1)
    assert status(client) == "awake"
    world.advance(2.0)
    assert status(client) == "asleep"


def test_busy_keeps_it_awake(world: HubWorld, client: SimClient) -> None:
    world.agent_of(client.pane()).busy = "make"
    world.advance(5 * IDLE_S)
    assert status(client) == "awake"
    world.agent_of(client.pane()).busy = None
    world.advance(IDLE_S - 1)
    assert status(client) == "awake", "The time counts from the end of the work."
    world.advance(2.0)
    assert status(client) == "asleep"


def test_an_agent_that_is_busy_after_all_is_asked_again(world: HubWorld, client: SimClient) -> None:
    world.advance(IDLE_S - 5)
    agent = world.agent_of(client.pane())
    agent._busy = "make"  # and had no time to say so
    world.advance(10.0)
    assert status(client) == "awake"
    assert len(world.wanted(StopSandbox)) == 1
    world.advance(100.0)
    assert len(world.wanted(StopSandbox)) == 1, "Since then it is known to be busy."


def test_a_lease_keeps_it_awake(world: HubWorld, client: SimClient) -> None:
    client.say("session_lease", sessionId=next(iter(client.model.sessions)), seconds=2000)
    world.advance(1990.0)
    assert status(client) == "awake"
    world.advance(20.0)
    assert status(client) == "asleep"


def test_a_lease_that_is_ended_gives_the_whole_time_again(world: HubWorld, client: SimClient) -> None:
    session_id = next(iter(client.model.sessions))
    client.say("session_lease", sessionId=session_id, seconds=5000)
    world.advance(1000.0)
    client.say("session_lease", sessionId=session_id, seconds=0)
    world.advance(IDLE_S - 5)
    assert status(client) == "awake"
    world.advance(10.0)
    assert status(client) == "asleep"


def test_sleeps_at_is_told_in_the_last_minute_only(world: HubWorld, client: SimClient) -> None:
    start_ms = world.moment().wall_ms
    world.advance(IDLE_S - 65)
    assert sleeps_at(client) is None
    world.advance(10.0)
    at_ms = sleeps_at(client)
    assert at_ms is not None
    assert at_ms - start_ms == pytest.approx(1000 * IDLE_S, abs=1000)
    client.type(client.pane(), b"x")
    world.settle()
    assert sleeps_at(client) is None
    world.advance(IDLE_S)
    assert status(client) == "asleep"
    assert sleeps_at(client) is None


def ask_to_sleep(world: HubWorld, client: SimClient) -> None:
    """`StopSandbox` is on its way, and not delivered."""
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)))
    while client.socket is not None and len(client.socket.up):
        client.socket.up.deliver()
    world.effects.clear()


def test_a_key_while_it_stops_wakes_it_after_the_stop(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    old = world.live(pane_id)
    ask_to_sleep(world, client)
    client.type(pane_id, b"x")
    while client.socket is not None and len(client.socket.up):
        client.socket.up.deliver()
    assert not world.wanted(WakeSandbox)
    world.settle()
    assert old.typed == b"", "It is not given to a shell that is being ended."
    assert len(world.wanted(WakeSandbox)) == 1
    assert world.live(pane_id).typed == b"x"


def test_a_key_while_it_stops_is_written_if_it_does_not(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    ask_to_sleep(world, client)
    world.agent_of(pane_id)._busy = "make"
    client.type(pane_id, b"x")
    world.settle()
    assert world.live(pane_id).typed == b"x"
    assert not world.wanted(WakeSandbox)


@pytest.mark.parametrize("stopped_first", [False, True])
def test_the_order_of_last_words_does_not_matter(
    world: HubWorld, client: SimClient, stopped_first: bool
) -> None:
    pane_id = client.pane()
    ask_to_sleep(world, client)
    client.type(pane_id, b"x")
    while client.socket is not None and len(client.socket.up):
        client.socket.up.deliver()
    next(lane for lane in world.lanes.ready() if lane.name.startswith("to sandbox")).deliver()
    names = ["from sandbox", "from terminal"]
    for name in names if stopped_first else reversed(names):
        for lane in [lane for lane in world.lanes.ready() if lane.name.startswith(name)]:
            while len(lane):
                lane.deliver()
    world.settle()
    assert world.live(pane_id).typed == b"x"
    assert len(world.wanted(WakeSandbox)) == 1


def test_a_key_while_it_stops_and_it_never_says_that_it_did(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    ask_to_sleep(world, client)
    client.type(pane_id, b"x")
    world.run()
    client.type(pane_id, b"y")
    world.advance(3.0)
    assert world.live(pane_id).typed == b"xy"


def test_other_panes_stay_asleep_and_need_no_second_wake(world: HubWorld, client: SimClient) -> None:
    first = client.pane()
    client.say("pane_split", paneId=first, orientation="vertical", cols=20, rows=20)
    world.settle()
    second = client.panes[1]
    ask_to_sleep(world, client)
    world.settle()
    client.type(first, b"x")
    world.settle()
    assert [client.status(first), client.status(second)] == ["connected", "asleep"]
    assert len(world.wanted(WakeSandbox)) == 1
    client.type(second, b"y")
    world.settle()
    assert client.status(second) == "connected"
    assert len(world.wanted(WakeSandbox)) == 1
    assert len(world.wanted(OpenTerminal)) == 2


def test_a_size_while_asleep_is_the_size_at_the_wake(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    ask_to_sleep(world, client)
    world.settle()
    client.say("pane_resize", paneId=pane_id, cols=99, rows=33)
    world.settle()
    assert client.output(pane_id).size == (99, 33)
    client.type(pane_id, b"x")
    world.settle()
    assert world.live(pane_id).request.cols == 99
    assert world.live(pane_id).size == (99, 33)
    assert world.live(pane_id).resizes == 0


def test_a_size_while_it_is_being_opened_is_set_then(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    ask_to_sleep(world, client)
    world.settle()
    client.type(pane_id, b"x")
    for name in ("wire to server", "provider", "from sandbox"):
        next(lane for lane in world.lanes.ready() if lane.name.startswith(name)).deliver()
    assert world.wanted(OpenTerminal)
    client.say("pane_resize", paneId=pane_id, cols=99, rows=33)
    world.settle()
    assert world.live(pane_id).size == (99, 33)


def test_a_fresh_shell_says_that_it_is_fresh(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.live(pane_id).print(b"old output")
    ask_to_sleep(world, client)
    world.advance(3600.0)
    client.type(pane_id, b"x")
    world.settle()
    preamble = world.live(pane_id).request.preamble
    assert preamble.startswith(MODES_OFF)
    assert "slept 23:30–00:30, new shell".encode() in preamble or b"new shell" in preamble
    assert client.output(pane_id).whole() == b"old output" + MODES_OFF + preamble


def test_the_channel_and_the_positions_stay(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    channel = client.model.channels[pane_id]
    world.live(pane_id).print(b"one")
    for _ in range(3):
        ask_to_sleep(world, client)
        world.settle()
        client.type(pane_id, b"x")
        world.settle()
    assert client.model.channels == {PaneId(pane_id): channel}
    assert client.output(pane_id).gaps == []
    assert client.output(pane_id).start == 0


def test_a_pane_that_is_closed_while_it_stops_does_not_keep_it_stopping(
    world: HubWorld, client: SimClient
) -> None:
    """`Stopped` was heard, the end of the pane's terminal was not: nobody would wait for it any more."""
    first = client.pane()
    client.say("pane_split", paneId=first, orientation="vertical", cols=20, rows=20)
    world.settle()
    second = client.panes[1]
    ask_to_sleep(world, client)
    client.say("pane_close", paneId=second)
    while client.socket is not None and len(client.socket.up):
        client.socket.up.deliver()
    next(lane for lane in world.lanes.ready() if lane.name.startswith("to sandbox")).deliver()
    for name in ("from sandbox", f"from terminal {first}", "store"):
        for lane in [lane for lane in world.lanes.ready() if lane.name.startswith(name)]:
            while len(lane):
                lane.deliver()
    world.settle()
    assert client.panes == [first]
    assert status(client) == "asleep"
    client.type(first, b"x")
    world.settle()
    assert world.live(first).typed == b"x"


def test_a_size_while_asleep_outlives_the_server(world: HubWorld, client: SimClient) -> None:
    ask_to_sleep(world, client)
    client.say("pane_resize", paneId=client.pane(), cols=77, rows=33)
    world.advance(2.0)
    world.restart()
    client.connect()
    world.settle()
    world.effects.clear()
    client.type(client.pane(), b"x")
    world.settle()
    assert world.live(client.pane()).size == (77, 33)
    assert world.live(client.pane()).resizes == 0
