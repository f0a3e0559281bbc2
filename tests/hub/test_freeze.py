"""Sleep that keeps the processes: what panes show, what a key does, and what comes of it in the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wormux.hub.effects import FindSandbox, FreezeSandbox, OpenTerminal, StopSandbox, WakeSandbox
from wormux.hub.inputs import SandboxFrozen, SandboxInput
from wormux.protocol.agent_link import Attach, Exit
from wormux.protocol.messages import Ok
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.world import SETTINGS, HubWorld

IDLE_S = 600.0
STOP_AFTER_S = 3600.0
FREEZE = replace(SETTINGS, idle_timeout_s=IDLE_S, sleep_mode="freeze")


@pytest.fixture
def world() -> HubWorld:
    return HubWorld(FREEZE)


@pytest.fixture
def client(world: HubWorld) -> SimClient:
    return world.attached()


def status(client: SimClient) -> str:
    return next(iter(client.model.sessions.values())).status


def ask_to_sleep(world: HubWorld, client: SimClient, **fields: bool) -> None:
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)), **fields)
    world.settle()
    world.effects.clear()


def test_an_idle_sandbox_freezes_and_its_panes_are_asleep(world: HubWorld, client: SimClient) -> None:
    pty = world.live(client.pane())
    pty.print(b"old output")
    world.advance(IDLE_S + 1)
    assert status(client) == "asleep"
    assert client.status(client.pane()) == "asleep"
    assert not client.model.connected[client.pane()]
    assert pty.lives
    assert not world.wanted(StopSandbox)
    assert client.output(client.pane()).whole() == b"old output", (
        "Nothing is written into a stream that goes on."
    )


def test_a_key_thaws_it_and_the_same_terminal_gets_it(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    pty = world.live(pane_id)
    ask_to_sleep(world, client)
    client.type(pane_id, b"x")
    world.settle()
    assert client.status(pane_id) == "connected"
    assert pty.typed == b"x"
    assert world.live(pane_id) is pty
    assert len(world.wanted(WakeSandbox)) == 1
    (opened,) = world.wanted(OpenTerminal)
    assert isinstance(opened, OpenTerminal)
    assert isinstance(opened.request, Attach)
    assert client.output(pane_id).whole() == b""


def test_all_its_panes_connect_together(world: HubWorld, client: SimClient) -> None:
    first = client.pane()
    client.say("pane_split", paneId=first, orientation="vertical", cols=20, rows=20)
    world.settle()
    ask_to_sleep(world, client)
    assert [client.status(pane) for pane in client.panes] == ["asleep", "asleep"]
    client.type(first, b"x")
    world.settle()
    assert [client.status(pane) for pane in client.panes] == ["connected", "connected"]
    assert len(world.wanted(WakeSandbox)) == 1


def test_keys_meant_for_a_program_reach_it(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    pty = world.live(pane_id)
    pty.run("vim")
    world.settle()
    ask_to_sleep(world, client, force=True)
    client.type(pane_id, b":wq\r")
    world.settle()
    assert pty.typed == b":wq\r"


def test_looking_does_not_thaw(world: HubWorld, client: SimClient) -> None:
    ask_to_sleep(world, client)
    other = world.attached("other")
    world.advance(3 * IDLE_S)
    assert status(other) == "asleep"
    assert not world.wanted(WakeSandbox)
    assert not world.wanted(FindSandbox)


def test_a_busy_one_freezes_only_by_force(world: HubWorld, client: SimClient) -> None:
    world.agent_of(client.pane()).busy = "make"
    world.settle()
    ask_to_sleep(world, client)
    assert status(client) == "awake"
    assert client.errors[-1].code == "busy"
    ask_to_sleep(world, client, force=True)
    assert status(client) == "asleep"
    assert world.live(client.pane()).lives
    client.type(client.pane(), b"x")
    world.settle()
    assert next(iter(client.model.sessions.values())).busy is not None


def test_what_the_terminal_did_not_read_is_delivered_once(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    pty = world.live(pane_id)
    pty.takes = False
    client.type(pane_id, b"abc")
    world.settle()
    ask_to_sleep(world, client, force=True)
    client.type(pane_id, b"def")
    world.settle()
    pty.takes = True
    pty.read()
    world.settle()
    assert pty.typed == b"abcdef"
    assert client.input(pane_id).acked == 6


def test_a_key_while_it_freezes_thaws_it(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    pty = world.live(pane_id)
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)))
    while client.socket is not None and len(client.socket.up):
        client.socket.up.deliver()
    client.type(pane_id, b"x")
    world.settle()
    assert client.status(pane_id) == "connected"
    assert pty.typed == b"x"


def test_a_size_while_frozen_is_set_when_it_goes_on(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    ask_to_sleep(world, client)
    client.say("pane_resize", paneId=pane_id, cols=99, rows=33)
    world.settle()
    client.type(pane_id, b"x")
    world.settle()
    assert world.live(pane_id).size == (99, 33)


def test_a_sandbox_that_died_while_frozen_gives_a_fresh_shell(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    ask_to_sleep(world, client)
    world.kill_agent(pane_id)
    client.type(pane_id, b"x")
    world.settle()
    assert client.status(pane_id) == "connected"
    assert world.live(pane_id).typed == b"x"
    assert b"new shell" in client.output(pane_id).whole()


def test_sleep_that_nobody_asked_for(world: HubWorld, client: SimClient) -> None:
    """As where the sandbox belongs to somebody else, who puts it to sleep."""
    pane_id = client.pane()
    sandbox_id = world.sandbox_of(pane_id)
    world.server._freeze(world.server.sandboxes[sandbox_id])
    world.settle()
    assert client.status(pane_id) == "asleep"
    client.type(pane_id, b"x")
    world.settle()
    assert world.live(pane_id).typed == b"x"
    world.server.step(SandboxInput(sandbox_id, SandboxFrozen()))  # of a link that is over


class TestRestart:
    @pytest.mark.parametrize("saves_fail", [False, True])
    def test_a_new_server_has_it_go_on_and_asks_its_agent(
        self, world: HubWorld, client: SimClient, saves_fail: bool
    ) -> None:
        """Only the agent knows how far its terminals have read; it freezes again when it is idle."""
        pane_id = client.pane()
        pty = world.live(pane_id)
        pty.print(b"old output")
        world.settle()
        world.fail_saves(failing=saves_fail)
        ask_to_sleep(world, client)
        world.advance(2.0)
        world.kill_server()
        world.fail_saves(failing=False)
        world.start_server()
        client.connect()
        world.settle()
        assert client.status(pane_id) == "connected"
        client.type(pane_id, b"x")
        world.settle()
        assert pty.typed == b"x"
        assert client.output(pane_id).whole() == b"old output"
        world.advance(IDLE_S + 1)
        assert client.status(pane_id) == "asleep"

    def test_in_a_pane_whose_shell_had_exited_one_can_type(self) -> None:
        world = HubWorld(replace(FREEZE, exit_behavior="hold"))
        client = world.attached()
        pane_id = client.pane()
        world.live(pane_id).end_with(Exit(signal="SIGKILL"))
        world.advance(2.0)
        assert client.status(pane_id) == "exited"
        world.machine.finds_frozen = True
        world.restart()
        client.connect()
        while not client.attached:  # before the server knows what became of the sandbox
            lanes = [lane for lane in world.lanes.ready() if not lane.name.startswith("provider")]
            lanes[0].deliver()
        world.settle()
        client.type(pane_id, b"x")
        world.settle()
        assert world.live(pane_id).typed == b"x"

    def test_where_only_a_start_can_tell_it_is_left_asleep(self, world: HubWorld, client: SimClient) -> None:
        pane_id = client.pane()
        pty = world.live(pane_id)
        ask_to_sleep(world, client)
        world.advance(2.0)
        world.kill_server()
        world.machine.finds_frozen = True
        world.start_server()
        client.connect()
        world.settle()
        assert status(client) == "asleep"
        assert client.status(pane_id) == "asleep"
        client.type(pane_id, b"x")
        world.settle()
        assert client.status(pane_id) == "connected"
        assert pty.typed == b"x"
        assert world.live(pane_id) is pty


class TestStoppedInTheEnd:
    @pytest.fixture
    def world(self) -> HubWorld:
        return HubWorld(replace(FREEZE, sleep_mode="freeze-then-stop", stop_after_s=STOP_AFTER_S))

    def test_after_its_time(self, world: HubWorld, client: SimClient) -> None:
        pane_id = client.pane()
        pty = world.live(pane_id)
        ask_to_sleep(world, client)
        world.advance(STOP_AFTER_S - 5)
        assert world.live(pane_id) is pty
        world.advance(10.0)
        assert world.machine.live(pane_id) is None
        assert status(client) == "asleep"
        assert client.status(pane_id) == "asleep"
        client.type(pane_id, b"x")
        world.settle()
        assert world.live(pane_id) is not pty
        assert world.live(pane_id).typed == b"x"
        assert b"slept 2023-11-14 23:30" in world.live(pane_id).request.preamble, (
            "since it froze, not since it stopped"
        )

    def test_not_if_somebody_types_before(self, world: HubWorld, client: SimClient) -> None:
        pty = world.live(client.pane())
        ask_to_sleep(world, client)
        world.advance(STOP_AFTER_S - 5)
        client.type(client.pane(), b"x")
        world.advance(30.0)
        assert pty.lives
        assert status(client) == "awake"

    def test_not_what_is_busy(self, world: HubWorld, client: SimClient) -> None:
        """It was frozen by force: its work goes on rather than being lost."""
        pty = world.live(client.pane())
        world.agent_of(client.pane()).busy = "make"
        world.settle()
        ask_to_sleep(world, client, force=True)
        world.advance(STOP_AFTER_S + 10)
        assert pty.lives
        assert status(client) == "awake"

    def test_its_last_words_are_not_lost(self, world: HubWorld, client: SimClient) -> None:
        pty = world.live(client.pane())
        ask_to_sleep(world, client)
        pty.print(b"last words")  # still in its terminal when it froze
        world.advance(STOP_AFTER_S + 10)
        assert b"last words" in client.output(client.pane()).whole()

    def test_also_after_a_restart(self, world: HubWorld, client: SimClient) -> None:
        pty = world.live(client.pane())
        ask_to_sleep(world, client)
        world.advance(2.0)
        world.restart()
        world.advance(IDLE_S + STOP_AFTER_S + 10)
        assert not pty.lives


class TestStoppedOnRequest:
    def test_an_awake_one(self, world: HubWorld, client: SimClient) -> None:
        pty = world.live(client.pane())
        ask_to_sleep(world, client, stop=True)
        assert not pty.lives
        assert status(client) == "asleep"

    def test_a_frozen_one_and_the_answer_follows(self, world: HubWorld, client: SimClient) -> None:
        pty = world.live(client.pane())
        ask_to_sleep(world, client)
        ref = client.ask("session_sleep", sessionId=next(iter(client.model.sessions)), stop=True)
        world.settle()
        assert not pty.lives
        assert isinstance(client.answers[ref], Ok)

    def test_a_frozen_one_that_is_busy_only_by_force(self, world: HubWorld, client: SimClient) -> None:
        pty = world.live(client.pane())
        world.agent_of(client.pane()).busy = "make"
        world.settle()
        ask_to_sleep(world, client, force=True)
        ask_to_sleep(world, client, stop=True)
        assert pty.lives
        assert client.errors[-1].code == "busy"
        ask_to_sleep(world, client, force=True)
        ask_to_sleep(world, client, stop=True, force=True)
        assert not pty.lives


def test_a_pane_that_is_opening_while_it_freezes(world: HubWorld, client: SimClient) -> None:
    first = client.pane()
    world.ready_after_s = None
    client.say("pane_split", paneId=first, orientation="vertical", cols=20, rows=20)
    while client.socket is not None and len(client.socket.up):
        client.socket.up.deliver()
    world.run()
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)), force=True)
    world.settle()
    world.settle()
    assert {client.status(pane) for pane in client.panes} <= {"asleep", "connected"}
    client.type(client.panes[1], b"x")
    world.settle()
    assert client.status(client.panes[1]) == "connected"
    assert not world.wanted(StopSandbox)
    assert world.wanted(FreezeSandbox)
