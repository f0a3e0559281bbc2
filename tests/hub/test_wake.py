"""A key wakes a pane: once, whoever typed and however often; and a retry by itself never starts anything."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest

from wormux.hub.effects import FindSandbox, OpenTerminal, WakeSandbox
from wormux.hub.inputs import TerminalInput, TerminalLost
from wormux.limits import ATTEMPTS, RETRY_FLOOR_S
from wormux.protocol.agent_link import (
    Ended,
    Exit,
    Foreground,
    InputAck,
    Open,
    Opened,
    Output,
    Ready,
    Refused,
    SizeMark,
)
from wormux.testing.hub_world import HubWorld
from wormux.testing.sim_client import SimClient

from .kit import deliver, done, made, pane_of, session_of, sleep, split, tab_of, wanted

OF_A_TERMINAL = [
    Opened(1, 0, 0, True, {}, ()),
    Refused("No.", gone=True),
    Output(b"late"),
    SizeMark(0, 5, 5),
    Ready(),
    InputAck("k", 99),
    Foreground("vim", False, "/"),
    Ended(Exit(code=0, ran_s=99.0), 0, {}),
    TerminalLost("The link broke.", dead=True),
]


def asleep() -> tuple[HubWorld, SimClient]:
    world = HubWorld()
    client = world.attached()
    sleep(world, client)
    world.effects.clear()
    return world, client


def test_a_thousand_frames_of_five_clients_open_one_terminal() -> None:
    world, first = asleep()
    pane_id = first.pane()
    clients = [first, *(world.attached(f"c{number}") for number in range(4))]
    world.effects.clear()
    for number in range(200):
        for index, client in enumerate(clients):
            client.type(pane_id, b"<%d:%d>" % (index, number))
    rng = random.Random(7)
    world.run_shuffled(rng.choice)
    assert len(wanted(world, WakeSandbox)) == 1
    assert len(wanted(world, OpenTerminal)) == 1
    typed = re.findall(rb"<(\d):(\d+)>", world.live(pane_id).typed)
    for index in range(5):
        mine = [int(number) for who, number in typed if int(who) == index]
        assert mine == list(range(200))
    assert all(client.input(pane_id).unacked == 0 for client in clients)


def test_a_second_key_wakes_nothing_more() -> None:
    world, client = asleep()
    client.type(client.pane(), b"a")
    deliver(world, 1)
    client.type(client.pane(), b"b")
    world.settle()
    client.type(client.pane(), b"c")
    world.settle()
    assert len(wanted(world, WakeSandbox)) == len(wanted(world, OpenTerminal)) == 1
    assert world.live(client.pane()).typed == b"abc"


def test_two_panes_of_one_sandbox_wake_it_once() -> None:
    world = HubWorld()
    client = world.attached()
    other = split(world, client, client.pane())
    sleep(world, client)
    world.effects.clear()
    for pane_id in client.panes:
        client.type(pane_id, b"x")
    world.settle()
    assert len(wanted(world, WakeSandbox)) == 1
    assert len(wanted(world, OpenTerminal)) == 2
    assert client.model.connected[other]


def test_pane_wake_is_a_keystroke_without_a_byte() -> None:
    world, client = asleep()
    done(world, client, "pane_wake", paneId=client.pane())
    assert client.status(client.pane()) == "connected"
    assert world.live(client.pane()).typed == b""


def test_a_pane_that_wakes_says_so_and_counts_what_waits() -> None:
    world, client = asleep()
    world.ready_after_s = None
    client.type(client.pane(), b"four")
    deliver(world, 1)
    world.advance(0.02, deliver=False)
    assert client.socket is not None
    while len(client.socket):
        client.socket.deliver()
    for lane in [lane for lane in world.lanes.ready() if lane.name.startswith("wire to client")]:
        lane.deliver()
    info = client.model.panes[client.pane()]
    assert (info.status, info.queued) == ("waking", 4)


def test_the_fresh_shell_continues_the_numbering_with_a_line_that_says_so() -> None:
    world = HubWorld()
    client = world.attached()
    world.live(client.pane()).print(b"old")
    sleep(world, client)
    end = pane_of(world, client.pane()).log.end
    client.type(client.pane(), b"x")
    world.settle()
    pty = world.live(client.pane())
    assert pty.begin == end
    assert "new shell" in pty.history.decode()
    assert client.output(client.pane()).whole().endswith(pty.history)


def test_the_channel_stays_through_sleep_and_wake() -> None:
    world, client = asleep()
    before = dict(client.model.channels)
    assert world.hub.world.channels.freed == ()
    client.type(client.pane(), b"x")
    world.settle()
    assert client.model.channels == before


def test_the_shell_starts_where_the_last_one_was() -> None:
    world = HubWorld()
    client = world.attached()
    world.live(client.pane()).run(None)
    sleep(world, client)
    world.effects.clear()
    client.type(client.pane(), b"x")
    world.settle()
    (opened,) = wanted(world, OpenTerminal)
    assert isinstance(opened.request, Open)
    assert opened.request.cwd == "/work"


def test_a_start_that_fails_is_tried_again_with_its_reason_shown() -> None:
    world, client = asleep()
    world.machine.refuse_starts = "No space left."
    client.type(client.pane(), b"x")
    world.advance(0.3)
    info = client.model.panes[client.pane()]
    assert (info.status, info.reason) == ("disconnected", "No space left.")
    assert info.retry_at is not None
    assert info.queued == 1
    world.machine.refuse_starts = None
    world.advance(1.0)
    assert client.status(client.pane()) == "connected"
    assert world.live(client.pane()).typed == b"x"


def test_attempts_are_further_and_further_apart_and_eight_in_all() -> None:
    world, client = asleep()
    world.machine.refuse_starts = "No space left."
    client.type(client.pane(), b"x")
    times: list[float] = []
    while len(times) < ATTEMPTS:
        world.advance(0.05)
        times += [world.now_s] * (len(wanted(world, WakeSandbox)) - len(times))
    gaps = [after - before for before, after in pairwise(times)]
    for gap, nominal in zip(gaps, [0.5, 1, 2, 4, 8, 16, 30], strict=True):
        assert max(0.5, 0.8 * nominal) - 0.06 <= gap <= nominal + 0.06
    world.advance(300)
    assert len(wanted(world, WakeSandbox)) == ATTEMPTS
    info = client.model.panes[client.pane()]
    assert (info.status, info.reason, info.retry_at) == ("failed", "No space left.", None)


def test_a_key_begins_a_new_round_after_the_last_one_failed() -> None:
    world, client = asleep()
    world.machine.refuse_starts = "No space left."
    client.type(client.pane(), b"x")
    world.advance(100)
    assert client.status(client.pane()) == "failed"
    world.effects.clear()
    client.type(client.pane(), b"y")
    world.advance(100)
    assert len(wanted(world, WakeSandbox)) == ATTEMPTS
    world.machine.refuse_starts = None
    client.type(client.pane(), b"z")
    world.advance(1)
    assert world.live(client.pane()).typed == b"z"


def test_a_key_tries_now_where_a_retry_is_far_away() -> None:
    world, client = asleep()
    world.machine.refuse_starts = "No space left."
    client.type(client.pane(), b"x")
    world.advance(20)
    world.machine.refuse_starts = None
    world.effects.clear()
    client.type(client.pane(), b"y")
    world.run()
    assert len(wanted(world, WakeSandbox)) == 1
    assert client.status(client.pane()) in ("waking", "connected")


def test_continuous_typing_starts_at_most_one_attempt_in_half_a_second() -> None:
    world, client = asleep()
    world.machine.refuse_starts = "No space left."
    seconds = 20
    for _ in range(seconds * 50):
        client.type(client.pane(), b"x")
        world.advance(0.02)
    assert 8 <= len(wanted(world, WakeSandbox)) <= seconds / RETRY_FLOOR_S + 1


@pytest.mark.parametrize("keys", [0, 1])
def test_a_retry_by_itself_starts_a_sandbox_only_if_a_key_asked(keys: int) -> None:
    world = HubWorld()
    client = world.attached()
    world.kill_agent(client.pane())
    world.run()
    world.effects.clear()
    if keys:
        client.type(client.pane(), b"x")
        world.advance(100)
        assert wanted(world, WakeSandbox)
        assert client.status(client.pane()) == "connected"
    else:
        world.advance(100)
        assert wanted(world, FindSandbox)
        assert not wanted(world, WakeSandbox)
        assert client.status(client.pane()) == "failed"


def test_a_retry_by_itself_finds_a_sandbox_that_runs() -> None:
    world = HubWorld()
    client = world.attached()
    world.live(client.pane()).print(b"before ")
    world.run()
    world.cut_sandbox(client.pane())
    world.live(client.pane()).print(b"meanwhile")
    world.effects.clear()
    world.run()
    world.advance(2)
    assert not wanted(world, WakeSandbox)
    assert client.status(client.pane()) == "connected"
    assert client.output(client.pane()).whole() == b"before meanwhile"


@pytest.mark.parametrize("event", OF_A_TERMINAL, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("moment", ["connected", "waking", "asleep"])
def test_late_events_of_an_old_generation_change_nothing(event: Opened, moment: str) -> None:
    world, client = asleep()
    pane = pane_of(world, client.pane())
    if moment != "asleep":
        client.type(client.pane(), b"x")
        world.settle()
        if moment == "waking":
            sleep(world, client)
            client.type(client.pane(), b"y")
            world.ready_after_s = None
            while pane.attempt is None or pane.attempt.generation is None:
                deliver(world, 1)
    before = (pane.phase, pane.terminal, pane.attempt, pane.log.end, pane.generation, pane.queued_bytes)
    old = pane.generation if moment == "asleep" else pane.generation - 1
    world.effects.clear()
    world.server.step(TerminalInput(pane.id, old, event))
    assert before == (
        pane.phase,
        pane.terminal,
        pane.attempt,
        pane.log.end,
        pane.generation,
        pane.queued_bytes,
    )
    assert (pane.command, pane.title) == (None, "")
    assert world.effects == []


@pytest.mark.parametrize("what", ["pane", "tab", "session"])
@pytest.mark.parametrize("deliveries", range(0, 24, 2))
def test_closing_in_mid_wake_leaves_nothing(what: str, deliveries: int) -> None:
    world, client = asleep()
    pane_id = client.pane()
    ids = {"pane": pane_id, "tab": tab_of(client), "session": session_of(client)}
    client.type(pane_id, b"x")
    deliver(world, deliveries)
    client.ask(f"{what}_close" if what != "session" else "session_destroy", **{f"{what}Id": ids[what]})
    world.advance(100)
    assert not client.model.channels
    assert not world.hub.world.panes
    assert world.machine.live(pane_id) is None
    assert not world.server.terminals
    assert not world.server.asked
    if what == "session":
        assert not world.machine.agents
        assert not world.server.sandboxes
    stream = client.past_inputs[-1][1]
    assert not stream.unaccounted()


def test_a_new_sandbox_that_fails_to_start_keeps_its_pane_and_is_tried_again() -> None:
    world = HubWorld()
    client = world.attached()
    world.machine.refuse_starts = "No space left."
    pane_id = made(world, client, "session_create", name="second").pane_id
    assert pane_id is not None
    assert client.status(pane_id) == "disconnected"
    world.machine.refuse_starts = None
    world.advance(3)
    assert client.status(pane_id) == "connected"
