"""Any key wakes a pane; many keys, clients and panes are one wake; failure is honest (protocol, "Pane status")."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from wormux.hub.effects import CloseTerminal, Effect, FindSandbox, OpenTerminal, WakeSandbox
from wormux.hub.inputs import SandboxAwake, SandboxFailed, SandboxInput, TerminalInput, TerminalLost
from wormux.limits import ATTEMPTS, RETRY_CAP_S, RETRY_FLOOR_S
from wormux.protocol.agent_link import Ended, Exit, Opened, Output, Refused, SizeMark, Welcome
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.world import SETTINGS, HubWorld


@pytest.fixture
def world() -> HubWorld:
    return HubWorld(replace(SETTINGS, exit_behavior="hold"))


@pytest.fixture
def client(world: HubWorld) -> SimClient:
    """With one pane, asleep."""
    client = world.attached()
    put_to_sleep(world, client)
    return client


def put_to_sleep(world: HubWorld, client: SimClient) -> None:
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)))
    world.settle()
    world.effects.clear()


def count(world: HubWorld, *kinds: type[Effect]) -> list[int]:
    return [len(world.wanted(kind)) for kind in kinds]


def test_a_thousand_keys_of_five_clients_are_one_wake(world: HubWorld, client: SimClient) -> None:
    clients = [client, *(world.attached(f"c{number}") for number in range(4))]
    pane_id = client.pane()
    world.effects.clear()
    for number in range(200):
        for index, typist in enumerate(clients):
            typist.type(pane_id, b"%d:%d " % (index, number))
    world.run_shuffled(world.random.choice)
    world.settle()
    assert count(world, WakeSandbox, OpenTerminal, FindSandbox) == [1, 1, 0]
    typed = world.live(pane_id).typed.split()
    assert len(typed) == 1000
    for index in range(5):
        mine = [word for word in typed if word.startswith(b"%d:" % index)]
        assert mine == [b"%d:%d" % (index, number) for number in range(200)]
    assert all(typist.input(pane_id).unacked == 0 for typist in clients)


def test_all_panes_at_once_are_one_wake_and_one_terminal_each(world: HubWorld) -> None:
    client = world.attached()
    first = client.pane()
    for _ in range(9):
        client.say("pane_split", paneId=first, orientation="vertical", cols=20, rows=20)
        world.settle()
    put_to_sleep(world, client)
    for pane_id in client.panes:
        client.type(pane_id, b"x")
        client.say("pane_wake", paneId=pane_id)
    world.run_shuffled(world.random.choice)
    world.settle()
    assert count(world, WakeSandbox, OpenTerminal) == [1, 10]
    assert all(world.live(pane_id).typed == b"x" for pane_id in client.panes)


def test_pane_wake_is_a_key_without_a_byte(world: HubWorld, client: SimClient) -> None:
    client.say("pane_wake", paneId=client.pane())
    world.settle()
    assert client.status(client.pane()) == "connected"
    assert world.live(client.pane()).typed == b""


def test_looking_never_wakes(world: HubWorld, client: SimClient) -> None:
    for _ in range(3):
        client.connect()
        world.settle()
    client.say("pane_resize", paneId=client.pane(), cols=50, rows=20)
    client.say("pane_redraw", paneId=client.pane(), lines=100)
    client.say("pane_focus", paneId=client.pane())
    world.advance(100.0)
    assert count(world, WakeSandbox, FindSandbox, OpenTerminal) == [0, 0, 0]
    assert client.status(client.pane()) == "asleep"


def test_a_failed_start_is_tried_again_and_ends_in_failed(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.machine.refuse_starts = "No space left on the machine."
    client.type(pane_id, b"x")
    times: list[float] = []
    for _ in range(4000):
        world.advance(0.05)
        if len(world.wanted(WakeSandbox)) > len(times):
            times.append(world.now_s)
    assert len(times) == ATTEMPTS
    assert client.status(pane_id) == "failed"
    assert client.model.panes[pane_id].reason == "No space left on the machine."
    gaps = [later - earlier for earlier, later in pairwise(times)]
    for number, gap in enumerate(gaps):
        nominal = min(RETRY_CAP_S, RETRY_FLOOR_S * 2**number)
        assert max(RETRY_FLOOR_S, 0.8 * nominal) - 0.06 <= gap <= nominal + 0.06
    assert [one.reason for one in client.input(pane_id).named] == ["expired"]
    world.machine.refuse_starts = None
    client.type(pane_id, b"y")
    world.settle()
    assert client.status(pane_id) == "connected"
    assert world.live(pane_id).typed == b"y"


def test_between_attempts_it_says_when_the_next_is(world: HubWorld, client: SimClient) -> None:
    world.machine.refuse_starts = "No space left."
    client.type(client.pane(), b"x")
    world.advance(0.02)
    info = client.model.panes[client.pane()]
    assert info.status == "disconnected"
    assert info.retry_at is not None
    assert 400 < info.retry_at - world.moment().wall_ms <= 500


def test_keys_do_not_storm(world: HubWorld, client: SimClient) -> None:
    """At most one attempt in half a second, however fast somebody types."""
    world.machine.refuse_starts = "No space left."
    start_s = world.now_s
    for _ in range(600):
        client.type(client.pane(), b"x")
        world.advance(0.005)
    assert len(world.wanted(WakeSandbox)) <= (world.now_s - start_s) / RETRY_FLOOR_S + 1


def test_a_key_while_it_is_disconnected_tries_now(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.machine.refuse_starts = "No space left."
    client.type(pane_id, b"x")
    world.advance(10.0)
    assert client.status(pane_id) == "disconnected"
    world.machine.refuse_starts = None
    client.type(pane_id, b"y")
    world.advance(0.1)
    assert client.status(pane_id) == "connected"
    assert world.live(pane_id).typed == b"xy"


def test_a_retry_by_itself_finds_and_never_starts(world: HubWorld) -> None:
    client = world.attached()
    pane_id = client.pane()
    world.effects.clear()
    world.kill_agent(pane_id)
    world.advance(120.0)
    assert count(world, WakeSandbox, OpenTerminal) == [0, 0]
    assert len(world.wanted(FindSandbox)) >= 3
    assert client.status(pane_id) == "failed"
    client.type(pane_id, b"x")
    world.settle()
    assert count(world, WakeSandbox) == [1]
    assert client.status(pane_id) == "connected"


def test_a_lost_link_is_found_again_by_itself(world: HubWorld) -> None:
    client = world.attached()
    pane_id = client.pane()
    pty = world.live(pane_id)
    world.effects.clear()
    world.cut_sandbox(pane_id)
    world.advance(0.02)
    assert client.status(pane_id) == "disconnected"
    pty.print(b"meanwhile")
    world.advance(1.0)
    assert client.status(pane_id) == "connected"
    assert world.live(pane_id) is pty
    assert client.output(pane_id).whole() == b"meanwhile"
    assert count(world, WakeSandbox) == [0]


def test_the_link_of_one_terminal(world: HubWorld) -> None:
    client = world.attached()
    pane_id = client.pane()
    pty = world.live(pane_id)
    world.effects.clear()
    world.cut_terminal(pane_id)
    world.advance(1.0)
    assert world.live(pane_id) is pty
    assert client.status(pane_id) == "connected"
    assert count(world, FindSandbox, WakeSandbox) == [0, 0]


def test_the_control_link_alone(world: HubWorld) -> None:
    """Its terminals stay connected and take input, and it is linked up with again."""
    client = world.attached()
    pane_id = client.pane()
    world.server.sandboxes[world.sandbox_of(pane_id)].break_off("It broke.")
    world.run()
    client.type(pane_id, b"still")
    world.run()
    assert world.live(pane_id).typed == b"still"
    assert client.status(pane_id) == "connected"
    world.advance(1.0)
    assert next(iter(client.model.sessions.values())).status == "awake"
    world.agent_of(pane_id).busy = "make"
    world.settle()
    assert next(iter(client.model.sessions.values())).busy == "make"
    put_to_sleep(world, client)
    world.agent_of(pane_id).busy = None


def test_a_terminal_that_is_refused(world: HubWorld) -> None:
    client = world.attached()
    pane_id = client.pane()
    world.agent_of(pane_id).refuse_opens = "There are no more terminals."
    world.live(pane_id).end_with(Exit(1, ran_s=0.1))
    world.settle()
    assert client.status(pane_id) == "exited"
    client.type(pane_id, b"x")
    world.advance(0.3)
    assert client.model.panes[pane_id].reason == "There are no more terminals."
    assert client.status(pane_id) == "disconnected"
    world.agent_of(pane_id).refuse_opens = None
    world.advance(1.0)
    assert world.live(pane_id).typed == b"x"


LATE = [
    Opened(1, 10**6, 10**6, True, {}, (SizeMark(0, 9, 9),)),
    Refused("late"),
    Output(b"late"),
    Ended(Exit(0, ran_s=9.0), 0, {}),
    TerminalLost("late", dead=True),
]


@pytest.mark.parametrize("event", LATE, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("connected", [False, True])
def test_late_events_of_an_old_generation_change_nothing(
    world: HubWorld,
    client: SimClient,
    event: Opened | Refused | Output | Ended | TerminalLost,
    connected: bool,
) -> None:
    pane_id = client.pane()
    client.type(pane_id, b"x")
    while client.socket is not None and len(client.socket.up):
        client.socket.up.deliver()
    if connected:
        world.settle()
    else:
        world.lanes.lane("provider", world.sandbox_of(pane_id)).deliver()
        next(lane for lane in world.lanes.ready() if lane.name.startswith("from sandbox")).deliver()
    pane = world.hub.world.panes[pane_id]
    assert pane.generation == 2
    before = (pane.phase, pane.terminal, pane.attempt, pane.log.end, pane.failures, len(pane.queue))
    world.server.step(TerminalInput(pane_id, 1, event))
    assert (pane.phase, pane.terminal, pane.attempt, pane.log.end, pane.failures, len(pane.queue)) == before
    world.settle()
    assert world.live(pane_id).typed == b"x"


def test_late_answers_about_a_sandbox_change_nothing(world: HubWorld, client: SimClient) -> None:
    sandbox_id = world.sandbox_of(client.pane())
    for event in (SandboxAwake(Welcome(1, 1, (), None)), SandboxFailed("late")):
        world.server.step(SandboxInput(sandbox_id, event))
        world.settle()
        assert client.status(client.pane()) == "asleep"
        assert next(iter(client.model.sessions.values())).status == "asleep"


@pytest.mark.parametrize("kind", ["pane_close", "tab_close", "session_destroy"])
@pytest.mark.parametrize("deliveries", range(8))
def test_closing_mid_wake_leaves_nothing(kind: str, deliveries: int) -> None:
    world = HubWorld()
    client = world.attached()
    pane_id = client.pane()
    session_id, tab_id = next(iter(client.model.sessions)), next(iter(client.model.tabs))
    sandbox_id = world.sandbox_of(pane_id)
    put_to_sleep(world, client)
    client.type(pane_id, b"x")
    for _ in range(deliveries):
        ready = world.lanes.ready()
        if ready:
            ready[-1].deliver()
    ids = {"paneId": pane_id, "tabId": tab_id, "sessionId": session_id}
    field = {"pane_close": "paneId", "tab_close": "tabId", "session_destroy": "sessionId"}[kind]
    client.ask(kind, **{field: ids[field]})
    world.advance(5.0)
    assert client.panes == []
    assert world.machine.live(pane_id) is None
    assert not world.server.terminals
    agent = world.machine.awake(sandbox_id)
    assert agent is None or not agent.terminals
    if kind == "session_destroy":
        assert sandbox_id not in world.machine.agents
        assert not world.hub.world.destroying


def test_a_closed_pane_of_a_running_sandbox_is_closed_there(world: HubWorld) -> None:
    client = world.attached()
    pane_id = client.pane()
    client.say("pane_close", paneId=pane_id)
    world.settle()
    assert count(world, CloseTerminal) == [1]
    assert world.machine.live(pane_id) is None
