"""A server may die at any moment: the next one takes up where it was (design, "The server may die")."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wormux.hub.effects import OpenTerminal, WakeSandbox
from wormux.hub.notices import MODES_OFF
from wormux.ids import PaneId, SandboxId
from wormux.protocol import messages as m
from wormux.protocol.agent_link import Attach, Exit, Open
from wormux.records import Change, Intent
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.server import USER
from wormux.testing.sim.world import SETTINGS, HubWorld

HOLD = replace(SETTINGS, exit_behavior="hold")


@pytest.fixture
def world() -> HubWorld:
    return HubWorld(HOLD)


@pytest.fixture
def client(world: HubWorld) -> SimClient:
    return world.attached()


def state(client: SimClient) -> m.State:
    message = client.messages[0]
    assert isinstance(message, m.State)
    return message


def test_every_pane_is_back_and_every_job_runs(world: HubWorld, client: SimClient) -> None:
    first = client.pane()
    client.say("pane_split", paneId=first, orientation="vertical", cols=30, rows=10)
    world.settle()
    ptys = [world.live(pane_id) for pane_id in client.panes]
    for pty in ptys:
        pty.print(b"before the restart\r\n")
    world.settle()
    before = client.model
    tabs, channels = before.tabs, before.channels
    world.restart()
    world.effects.clear()
    client.connect()
    world.settle()
    assert {info.status for info in state(client).panes.values()} == {"waking"}
    assert not any(state(client).connected.values())
    assert all(client.status(pane_id) == "connected" for pane_id in client.panes)
    assert (client.model.tabs, client.model.channels) == (tabs, channels)
    assert [world.live(pane_id) for pane_id in client.panes] == ptys
    assert not world.wanted(WakeSandbox)
    assert all(
        isinstance(e, OpenTerminal) and isinstance(e.request, Attach) for e in world.wanted(OpenTerminal)
    )


@pytest.mark.parametrize("saved", [False, True])
def test_clients_resume_at_the_byte(world: HubWorld, client: SimClient, saved: bool) -> None:
    pane_id = client.pane()
    world.live(pane_id).print(b"0123456789")
    world.advance(3.0 if saved else 0.1)
    world.kill_server()
    world.live(pane_id).print(b"meanwhile")
    world.start_server()
    client.connect()
    world.settle()
    (replay,) = client.said(m.Replay)
    assert (replay.position, replay.bytes, replay.reset) == (10, 0, False)
    assert client.output(pane_id).whole() == b"0123456789meanwhile"


def test_input_goes_on_at_the_byte(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    client.type(pane_id, b"make ")
    world.settle()
    world.restart()
    client.connect()
    world.run()
    client.type(pane_id, b"test\n")
    world.settle()
    assert world.live(pane_id).typed == b"make test\n"
    world.restart()
    client.connect()
    world.settle()
    assert client.input(pane_id).acked == 10


def test_what_the_agent_has_beyond_the_store_is_asked_for(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.advance(3.0)
    world.fail_saves()
    client.type(pane_id, b"typed and not stored")
    world.settle()
    world.fail_saves(failing=False)
    world.machine.refuse_finds = "No answer."
    world.restart()
    client.connect()
    world.settle()
    assert state(client).input == {pane_id: None}
    client.type(pane_id, b"!")
    world.machine.refuse_finds = None
    world.advance(5.0)
    assert client.status(pane_id) == "connected"
    assert world.live(pane_id).typed == b"typed and not stored!"


def test_a_position_that_an_agent_told_is_stored(world: HubWorld, client: SimClient) -> None:
    """Server killed, the next one hears it from the agent, the shell ends, and that server is killed as well."""
    pane_id = client.pane()
    world.advance(3.0)
    world.fail_saves()
    client.type(pane_id, b"exit\n")
    world.settle()
    world.fail_saves(failing=False)
    world.restart()
    world.settle()
    world.live(pane_id).end_with(Exit(0, ran_s=10.0))
    world.advance(3.0)
    world.restart()
    assert [one.position for one in world.store.load(USER).inputs] == [5]
    client.connect()
    world.settle()
    assert client.input(pane_id).acked == client.input(pane_id).sent == 5


def test_with_the_agents_gone_the_panes_are_asleep(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.advance(3.0)
    world.live(pane_id).print(b"shown and not stored")
    world.run()
    shown = client.output(pane_id).position
    world.kill_server()
    world.machine.agents[SandboxId(next(iter(world.machine.agents)))].die()
    world.start_server()
    client.connect()
    world.advance(3.0)
    assert client.status(pane_id) == "asleep"
    assert next(iter(client.model.sessions.values())).status == "asleep"
    output = client.output(pane_id)
    assert output.start > shown, "A position that was sent is never used again."
    client.type(pane_id, b"x")
    world.advance(3.0)
    assert client.status(pane_id) == "connected"
    request = world.live(pane_id).request
    assert isinstance(request, Open)
    assert request.position > shown


def test_an_agent_that_dies_before_it_told_all(world: HubWorld, client: SimClient) -> None:
    """The next server attaches, and hears nothing of what the first one had sent: those positions stay used."""
    pane_id = client.pane()
    world.live(pane_id).print(b"shown and not stored")
    world.run()
    shown = client.output(pane_id).position
    world.restart()
    while world.hub.world.panes[pane_id].coming_end < shown:
        world.lanes.ready()[-1].deliver()
    world.kill_agent(pane_id)
    client.connect()
    world.settle()
    client.type(pane_id, b"x")
    world.advance(5.0)
    assert world.live(pane_id).begin > shown


def test_a_gentle_stop_wastes_no_positions(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.live(pane_id).print(b"old\r\n")
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)))
    world.settle()
    world.stop_server()
    world.start_server()
    client.connect()
    world.settle()
    client.type(pane_id, b"x")
    world.advance(2.0)
    assert world.live(pane_id).begin == 5 + len(MODES_OFF)
    assert client.output(pane_id).gaps == []


def test_the_screen_is_shown_without_an_agent(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.live(pane_id).print(b"one line of output\r\n")
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)))
    world.advance(3.0)
    world.restart()
    late = world.attached("late")
    assert late.output(pane_id).drawn == b"one line of output\r\n" + MODES_OFF
    late.type(pane_id, b"x")
    world.advance(3.0)
    again = world.attached("again")
    assert again.output(pane_id).drawn.startswith(b"one line of output\r\n")


def test_rev_never_falls(world: HubWorld, client: SimClient) -> None:
    """`Model` raises if it does, also across these."""
    for failing in (False, True, True, False):
        world.fail_saves(failing=failing)
        client.say("tab_switch", tabId=next(iter(client.model.tabs)))
        world.settle()
        world.fail_saves(failing=False)
        world.restart()
        world.fail_saves(failing=failing)
        client.connect()
        world.settle()
        assert client.attached


def test_a_size_that_was_not_stored_is_not_left_to_the_terminal(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.live(pane_id).print(b"output")
    world.advance(2.0)
    client.say("pane_resize", paneId=pane_id, cols=50, rows=20)
    world.run()  # this is saved, and what follows too soon to be
    client.say("pane_resize", paneId=pane_id, cols=6, rows=2)
    world.run()
    assert world.live(pane_id).size == (6, 2)
    world.restart()
    client.connect()
    world.settle()
    info = client.model.panes[pane_id]
    assert (info.cols, info.rows) == (50, 20)
    assert world.live(pane_id).size == client.output(pane_id).size == (50, 20)


def test_a_creation_is_finished(world: HubWorld) -> None:
    client = world.client("c")
    client.connect()
    while client.socket is not None and len(client.socket.up):
        client.socket.up.deliver()
    while not world.wanted(WakeSandbox):
        for name in ("store", "stored"):
            if len(world.lanes.lane(name)):
                world.lanes.lane(name).deliver()
    world.restart()
    assert world.machine.starts == {}
    world.settle()
    client.connect()
    world.settle()
    assert client.status(client.pane()) == "connected"
    assert list(world.machine.starts.values()) == [1]


def test_a_destruction_is_finished(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    sandbox_id = world.sandbox_of(pane_id)
    client.say("session_destroy", sessionId=next(iter(client.model.sessions)))
    while client.socket is not None and len(client.socket.up):
        client.socket.up.deliver()
    while len(world.lanes.lane("store")):
        world.lanes.lane("store").deliver()
    assert sandbox_id in world.machine.agents
    assert [session.intent for session in world.store.load(USER).sessions] == [Intent.DESTROYING]
    world.restart()
    world.advance(3.0)
    assert sandbox_id not in world.machine.agents
    assert world.store.load(USER).sessions == ()
    client.connect()
    world.settle()
    assert not client.model.sessions


def test_terminals_that_the_store_does_not_know_are_closed(world: HubWorld, client: SimClient) -> None:
    first = client.pane()
    client.say("pane_split", paneId=first, orientation="vertical", cols=30, rows=10)
    world.settle()
    second = client.panes[1]
    world.kill_server()
    tab = world.store.load(USER).tabs[0]
    layout = b'{"type":"pane","paneId":"%s"}' % first.encode()
    world.store.apply(
        USER, Change(update_tabs=(replace(tab, layout=layout, focus=first),), delete_panes=(second,))
    )
    world.start_server()
    world.settle()
    assert world.machine.live(second) is None
    assert world.machine.live(first) is not None


@pytest.mark.parametrize("heard", [False, True])
def test_a_shell_that_ended_around_the_restart(world: HubWorld, client: SimClient, heard: bool) -> None:
    """Its agent still has the terminal, since nobody said that its end is stored."""
    pane_id = client.pane()
    world.advance(3.0)
    world.fail_saves()
    world.live(pane_id).end_with(Exit(3, ran_s=10.0))
    if heard:
        world.settle()
        assert client.status(pane_id) == "exited"
    world.fail_saves(failing=False)
    world.restart()
    client.connect()
    world.settle()
    assert client.status(pane_id) == "exited"
    assert client.model.panes[pane_id].exit == m.ExitInfo(code=3)
    client.type(pane_id, b"x")
    world.advance(1.0)
    assert world.live(pane_id).typed == b"x"
    assert client.output(pane_id).start == 0
    assert client.output(pane_id).gaps == []


def test_an_end_that_was_stored_and_not_forgotten(world: HubWorld, client: SimClient) -> None:
    """The agent still has the terminal, whose end stands in the stream: it is not attached."""
    pane_id = client.pane()
    world.advance(3.0)
    pty = world.live(pane_id)
    pty.end_with(Exit(3, ran_s=10.0))
    world.advance(3.0)
    agent = world.agent_of(pane_id)
    world.kill_server()
    agent.terminals[pane_id] = pty  # as if `Forget` had not arrived
    world.start_server()
    world.effects.clear()
    client.connect()
    world.advance(3.0)
    assert client.status(pane_id) == "exited"
    assert not world.wanted(OpenTerminal)
    client.type(pane_id, b"x")
    world.settle()
    assert client.status(pane_id) == "connected"


def test_a_newer_terminal_than_the_store_knows(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)))
    world.advance(3.0)
    world.fail_saves()
    client.type(pane_id, b"x")
    world.settle()
    pty = world.live(pane_id)
    world.fail_saves(failing=False)
    world.restart()
    client.connect()
    world.settle()
    assert world.live(pane_id) is pty
    assert client.status(pane_id) == "connected"
    assert client.input(pane_id).acked == 1
    assert PaneId(pty.pane_id) == pane_id


def test_who_failed_to_reach_a_shell_does_not_kill_it_after_a_restart(
    world: HubWorld, client: SimClient
) -> None:
    pane_id = client.pane()
    pty = world.live(pane_id)
    world.machine.refuse_finds = world.machine.refuse_starts = "No answer."
    world.cut_sandbox(pane_id)
    world.advance(120.0)
    assert client.status(pane_id) == "failed"
    world.machine.refuse_finds = world.machine.refuse_starts = None
    world.restart()
    client.connect()
    world.advance(2.0)
    assert world.live(pane_id) is pty
    assert client.status(pane_id) == "connected"


def test_a_lease_outlives_the_server() -> None:
    world = HubWorld(replace(SETTINGS, idle_timeout_s=10.0))
    client = world.attached()
    client.say("session_lease", sessionId=next(iter(client.model.sessions)), seconds=1000, reason="build")
    world.settle()
    world.restart()
    client.connect()
    world.advance(500.0)
    assert next(iter(client.model.sessions.values())).busy == "lease: build"
    world.advance(600.0)
    assert next(iter(client.model.sessions.values())).status == "asleep"


def test_a_creation_that_failed_is_tried_again(world: HubWorld) -> None:
    world.machine.refuse_starts = "No space left."
    client = world.attached()
    world.advance(120.0)
    assert client.status(client.pane()) == "failed"
    world.machine.refuse_starts = None
    world.restart()
    client.connect()
    world.advance(2.0)
    client.type(client.pane(), b"x")
    world.advance(2.0)
    assert client.status(client.pane()) == "connected"
    assert world.live(client.pane()).typed == b"x"


def test_a_server_that_knew_less_than_was_sent_does_not_give_positions_anew(world: HubWorld) -> None:
    """Killed before what a pane showed last was stored; its successor stops properly, and never knew it."""
    client = world.attached()
    pane_id = client.pane()
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)))
    world.advance(2.0)
    client.type(pane_id, b"x")
    world.settle()
    world.live(pane_id).print(b"sent, and soon forgotten")
    world.settle()
    (checkpoint,) = world.store.load(USER).checkpoints
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)))
    world.advance(2.0)
    sent = client.output(pane_id).position
    world.kill_server()
    world.store.apply(USER, Change(put_checkpoints=(checkpoint,)))
    world.start_server()
    world.stop_server()
    world.start_server()
    client.connect()
    world.settle()
    client.type(pane_id, b"y")
    world.settle()
    assert world.live(pane_id).request.position >= sent
