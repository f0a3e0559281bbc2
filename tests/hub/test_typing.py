"""Input is written exactly once and in order, or named as discarded with its reason (protocol §6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wormux.hub.effects import OpenTerminal, WriteTerminal
from wormux.ids import PaneId
from wormux.limits import INPUT_CLIENT_BYTES, INPUT_PANE_BYTES, PANES
from wormux.protocol import messages as m
from wormux.protocol.agent_link import Exit
from wormux.protocol.frames import encode_frame
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.input import Named
from wormux.testing.sim.world import SETTINGS, HubWorld

HOLD = replace(SETTINGS, exit_behavior="hold")


@pytest.fixture
def world() -> HubWorld:
    return HubWorld(HOLD)


@pytest.fixture
def client(world: HubWorld) -> SimClient:
    return world.attached()


def named(client: SimClient, pane_id: PaneId) -> list[Named]:
    return client.input(pane_id).named


def deliver_all_from(client: SimClient) -> None:
    """What the client sent reaches the server; nothing else moves."""
    while client.socket is not None and len(client.socket.up):
        client.socket.up.deliver()


def put_to_sleep(world: HubWorld, client: SimClient) -> None:
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)), force=True)
    world.settle()
    assert client.status(client.panes[0]) == "asleep"


def test_it_is_acknowledged_when_the_terminal_took_it(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.live(pane_id).takes = False
    client.type(pane_id, b"abc")
    world.settle()
    assert client.input(pane_id).acked == 0
    world.live(pane_id).takes = True
    world.live(pane_id).read()
    world.settle()
    assert client.input(pane_id).acked == 3


def test_it_waits_until_the_shell_reads(world: HubWorld) -> None:
    world.ready_after_s = 0.7
    client = world.client("c")
    client.connect()
    world.settle()
    pane_id = client.pane()
    client.type(pane_id, b"ls\n")
    world.run()
    assert world.live(pane_id).typed == b""
    world.advance(0.5)
    assert world.live(pane_id).typed == b"ls\n"


def test_a_queue_expires_as_a_whole(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.machine.refuse_starts = "No space left."
    put_to_sleep(world, client)
    client.type(pane_id, b"make ")
    world.advance(20.0)
    client.type(pane_id, b"deploy\n")
    world.advance(8.0)
    assert client.model.panes[pane_id].queued == 12
    world.advance(40.0)
    assert [(one.start, one.end, one.reason) for one in named(client, pane_id)] == [(0, 12, "expired")]
    assert client.input(pane_id).acked == 12
    assert client.model.panes[pane_id].queued == 0


def test_it_does_not_expire_while_an_attempt_is_under_way(world: HubWorld, client: SimClient) -> None:
    """A sandbox that takes a minute to start."""
    pane_id = client.pane()
    put_to_sleep(world, client)
    client.type(pane_id, b"make\n")
    deliver_all_from(client)
    world.advance(55.0, deliver=False)
    world.settle()
    assert named(client, pane_id) == []
    assert world.live(pane_id).typed == b"make\n"


def test_a_lost_link_counts_from_its_loss(world: HubWorld, client: SimClient) -> None:
    """Bytes that a busy program had not read are given back when the link breaks."""
    pane_id = client.pane()
    pty = world.live(pane_id)
    world.server.terminals[pane_id, 1]._down.clear()
    client.type(pane_id, b"old")
    deliver_all_from(client)
    world.server.terminals[pane_id, 1]._down.clear()  # it lay in a socket that then broke
    world.advance(100.0)
    world.cut_sandbox(pane_id)
    world.advance(5.0)
    assert client.status(pane_id) == "connected"
    assert pty.typed == b"old"
    assert named(client, pane_id) == []


def test_what_was_in_flight_expires_if_its_agent_comes_back_late(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    client.type(pane_id, b"rm -rf build\n")
    deliver_all_from(client)
    world.server.terminals[pane_id, 1]._down.clear()
    world.machine.refuse_finds = "No answer."
    world.cut_sandbox(pane_id)
    world.advance(45.0)
    assert named(client, pane_id) == [], "It may have been taken: nobody knows yet."
    world.machine.refuse_finds = None
    world.advance(35.0)
    assert client.status(pane_id) == "connected"
    assert [one.reason for one in named(client, pane_id)] == ["expired"]
    assert world.live(pane_id).typed == b""


def test_asked(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    other = world.attached("other")
    world.machine.refuse_starts = "No space left."
    put_to_sleep(world, client)
    client.type(pane_id, b"mine")
    other.type(pane_id, b"theirs")
    world.settle()
    client.say("input_discard", paneId=pane_id)
    world.settle()
    assert [(one.start, one.end, one.reason) for one in named(client, pane_id)] == [(0, 4, "asked")]
    assert client.model.panes[pane_id].queued == 6
    assert named(other, pane_id) == []


def test_closed(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.machine.refuse_starts = "No space left."
    put_to_sleep(world, client)
    stream = client.input(pane_id)
    client.type(pane_id, b"abc")
    client.say("pane_close", paneId=pane_id)
    world.settle()
    assert [(one.start, one.end, one.reason) for one in stream.named] == [(0, 3, "closed")]


def test_typed_into_a_pane_whose_shell_just_ended(world: HubWorld) -> None:
    world = HubWorld()
    client = world.attached()
    pane_id = client.pane()
    stream = client.input(pane_id)
    world.live(pane_id).end_with(Exit(0, ran_s=10.0))
    client.type(pane_id, b"abc")
    world.settle()
    assert [one.reason for one in stream.named] == ["closed"]
    assert client.panes == []


def test_program_gone(world: HubWorld, client: SimClient) -> None:
    """Keys meant for vim are not run by bash, until the client has seen that vim is gone."""
    pane_id = client.pane()
    world.live(pane_id).run("vim")
    world.settle()
    client.acks_layout = False
    world.kill_agent(pane_id)
    world.settle()
    client.type(pane_id, b":wq\n")
    world.settle()
    assert [(one.start, one.end, one.reason) for one in named(client, pane_id)] == [(0, 4, "program_gone")]
    world.advance(1.0)
    assert client.status(pane_id) == "connected", "The pane wakes all the same."
    client.say("layout_ack", rev=client.model.rev)
    client.type(pane_id, b"ls\n")
    world.settle()
    assert world.live(pane_id).typed == b"ls\n"


def test_program_gone_for_what_waited(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.live(pane_id).run("vim")
    world.agent_of(pane_id).busy = "vim"
    world.settle()
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)), force=True)
    client.type(pane_id, b":wq\n")
    world.settle()
    assert [one.reason for one in named(client, pane_id)] == ["program_gone"]


def test_of_a_shell_nothing_is_gone(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    client.acks_layout = False
    world.kill_agent(pane_id)
    world.settle()
    client.type(pane_id, b"ls\n")
    world.advance(1.0)
    assert world.live(pane_id).typed == b"ls\n"


def test_uncertain(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.live(pane_id).takes = False
    client.type(pane_id, b"abc")
    world.settle()
    world.kill_agent(pane_id)
    world.settle()
    assert [(one.start, one.end, one.reason) for one in named(client, pane_id)] == [(0, 3, "uncertain")]
    assert client.input(pane_id).acked == 3


def test_what_a_shell_did_not_read_goes_to_the_next(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    pty = world.live(pane_id)
    client.type(pane_id, b"exit\n")
    world.settle()
    pty.takes = False
    client.type(pane_id, b"ls\n")
    world.settle()
    pty.end_with(Exit(0, ran_s=0.5))
    world.advance(1.0)
    assert pty.typed == b"exit\n"
    assert world.live(pane_id).typed == b"ls\n"
    assert client.input(pane_id).acked == 8


@pytest.mark.parametrize("taken_before_the_cut", [False, True])
def test_a_lost_link_repeats_nothing(world: HubWorld, client: SimClient, taken_before_the_cut: bool) -> None:
    pane_id = client.pane()
    pty = world.live(pane_id)
    client.type(pane_id, b"once\n")
    deliver_all_from(client)
    if taken_before_the_cut:
        world.server.terminals[pane_id, 1]._down.deliver()
    world.cut_sandbox(pane_id)
    world.advance(2.0)
    assert client.status(pane_id) == "connected"
    assert pty.typed == b"once\n"
    assert client.input(pane_id).acked == 5


def test_taken_is_not_written(world: HubWorld, client: SimClient) -> None:
    """The agent has it, the link breaks, the shell ends without having read it: it is not lost."""
    pane_id = client.pane()
    pty = world.live(pane_id)
    pty.takes = False
    client.type(pane_id, b"ls\n")
    world.settle()
    world.cut_sandbox(pane_id)
    world.advance(2.0)
    assert client.status(pane_id) == "connected"
    assert client.input(pane_id).acked == 0
    pty.end_with(Exit(1, ran_s=0.1))
    world.advance(1.0)
    assert pty.typed == b""
    assert world.live(pane_id).typed == b"ls\n"


def test_an_agent_cannot_acknowledge_what_it_was_not_given(world: HubWorld, client: SimClient) -> None:
    from wormux.hub.inputs import TerminalInput
    from wormux.protocol.agent_link import InputAck

    pane_id = client.pane()
    client.type(pane_id, b"abc")
    world.settle()
    (write,) = world.wanted(WriteTerminal)
    assert isinstance(write, WriteTerminal)
    world.live(pane_id).ready = True
    pane = world.hub.world.panes[pane_id]
    assert pane.terminal is not None
    pane.terminal.ready = False
    client.type(pane_id, b"def")
    world.settle()
    world.server.step(TerminalInput(pane_id, 1, InputAck(write.input.client_id, 2**60)))
    world.settle()
    assert client.input(pane_id).acked == 3
    assert pane.inflight_bytes == 0
    pane.terminal.ready = True
    world.server.step(TerminalInput(pane_id, 1, InputAck(write.input.client_id, 3)))
    world.settle()
    assert world.live(pane_id).typed == b"abcdef"


def test_notices_are_said_again_after_a_cut(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.live(pane_id).takes = False
    client.type(pane_id, b"abc")
    world.settle()
    client.cut()
    world.run()
    world.kill_agent(pane_id)
    world.settle()
    assert named(client, pane_id) == []
    client.connect()
    world.settle()
    kinds = [type(message) for message in client.messages]
    assert kinds[:2] == [m.State, m.InputDiscarded], "Behind the state, before the replays."
    assert [one.reason for one in named(client, pane_id)] == ["uncertain"]
    client.connect()
    world.settle()
    assert not client.said(m.InputDiscarded), "What was acknowledged needs no notice any more."


def test_after_a_cut_it_goes_on_at_the_byte(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    client.type(pane_id, b"one ")
    deliver_all_from(client)
    client.type(pane_id, b"two ")
    client.cut()
    world.run()
    client.connect()
    world.settle()
    client.type(pane_id, b"three")
    world.settle()
    assert world.live(pane_id).typed == b"one two three"


def test_what_is_too_old_is_not_sent_again(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    client.type(pane_id, b"rm -rf build\n")
    client.cut()
    world.advance(31.0)
    client.connect()
    world.settle()
    assert world.live(pane_id).typed == b""
    client.type(pane_id, b"ls\n")
    world.settle()
    assert world.live(pane_id).typed == b"ls\n"


def test_the_window_of_a_pane(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    client.keeps_windows = False
    world.live(pane_id).takes = False
    for _ in range(4):
        client.type(pane_id, b"x" * (INPUT_PANE_BYTES // 4))
    world.settle()
    assert client.attached
    client.type(pane_id, b"x")
    world.settle()
    assert client.code == 4429


def test_the_window_of_a_client(world: HubWorld, client: SimClient) -> None:
    client.keeps_windows = False
    first = client.pane()
    for _ in range(16):
        client.say("pane_split", paneId=first, orientation="vertical", cols=20, rows=20)
        world.settle()
    for pane_id in client.panes:
        world.live(pane_id).takes = False
    for pane_id in client.panes[: INPUT_CLIENT_BYTES // INPUT_PANE_BYTES]:
        client.type(pane_id, b"x" * INPUT_PANE_BYTES)
    world.settle()
    assert client.attached
    client.type(client.panes[-1], b"x")
    world.settle()
    assert client.code == 4429


def test_keys_for_a_channel_that_nobody_has(world: HubWorld, client: SimClient) -> None:
    for _ in range(5):
        client.send(encode_frame(77, b"x"))
    world.settle()
    assert [(error.code, error.request) for error in client.errors] == [("not_found", "input")]
    world.advance(1.0)
    client.send(encode_frame(77, b"x"))
    world.settle()
    assert len(client.errors) == 2, "Once a second is enough."


def test_keys_for_the_pane_that_had_the_channel_before(world: HubWorld, client: SimClient) -> None:
    """Typed into a pane that was just closed, whose channel another pane has now."""
    first = client.pane()
    client.say("tab_create", sessionId=next(iter(client.model.sessions)))
    world.settle()
    channel = client.model.channels[first]
    world.hub.world.channels._next = PANES
    other = world.attached("other")
    client.acks_layout = False
    other.say("pane_close", paneId=first)
    world.settle()
    other.say("tab_create", sessionId=next(iter(client.model.sessions)))
    world.settle()
    new = next(pane_id for pane_id, number in client.model.channels.items() if number == channel)
    client.send(encode_frame(channel, b"rm -rf\n"))
    world.settle()
    assert world.live(new).typed == b""
    assert [error.code for error in client.errors] == ["not_found"]
    client.say("layout_ack", rev=client.model.rev)
    client.type(new, b"ls\n")
    world.settle()
    assert world.live(new).typed == b"ls\n"


def test_typing_into_many_panes_opens_each_once(world: HubWorld, client: SimClient) -> None:
    first = client.pane()
    for _ in range(5):
        client.say("pane_split", paneId=first, orientation="vertical", cols=20, rows=20)
        world.settle()
    put_to_sleep(world, client)
    world.effects.clear()
    for _ in range(10):
        for pane_id in client.panes:
            client.type(pane_id, b"x")
    world.settle()
    assert len(world.wanted(OpenTerminal)) == 6
    for pane_id in client.panes:
        assert world.live(pane_id).typed == b"x" * 10
