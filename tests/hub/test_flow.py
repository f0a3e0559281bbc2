"""Output on its way to clients: windows, redraws, order, and what a slow client costs (protocol §5)."""

from __future__ import annotations

import pytest

from wormux.hub.effects import SendFrame
from wormux.limits import (
    CONNECTION_UNSENT_BYTES,
    FLOW_RESUME_BYTES,
    FLOW_WINDOW_BYTES,
    LOG_BYTES,
    OUTPUT_FRAME_BYTES,
)
from wormux.protocol import messages as m
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.world import HubWorld

LINE = b"0123456789abcdef" * 4 + b"\r\n"
FLOOD = LINE * (OUTPUT_FRAME_BYTES // len(LINE))


@pytest.fixture
def world() -> HubWorld:
    return HubWorld()


@pytest.fixture
def client(world: HubWorld) -> SimClient:
    return world.attached()


def flood(world: HubWorld, client: SimClient, count: int) -> None:
    """`count` bytes or a little more, delivered as far as the client lets them."""
    pane_id = client.panes[0]
    for _ in range(count // len(FLOOD) + 1):
        world.live(pane_id).print(FLOOD)
        world.run()


def test_bytes_arrive_as_they_were_printed(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    data = bytes(range(256)) * 1000
    world.live(pane_id).print(data)
    world.settle()
    assert client.output(pane_id).whole() == data


def test_frames_are_64_kib_at_most(world: HubWorld, client: SimClient) -> None:
    client.keeps_frames = True
    flood(world, client, 2**20)
    assert max(map(len, client.frames)) <= OUTPUT_FRAME_BYTES + 1


def test_with_flow_the_window_is_what_was_not_acknowledged(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    client.acks_output = False
    flood(world, client, 3 * FLOW_WINDOW_BYTES // 2)
    position = client.output(pane_id).position
    assert position == FLOW_WINDOW_BYTES
    client.say("output_ack", paneId=pane_id, position=FLOW_RESUME_BYTES - 1)
    world.run()
    assert client.output(pane_id).position == FLOW_WINDOW_BYTES, "It goes on once below half the window."
    client.say("output_ack", paneId=pane_id, position=FLOW_RESUME_BYTES)
    world.run()
    end = world.live(pane_id).end
    assert client.output(pane_id).position == min(end, FLOW_RESUME_BYTES + FLOW_WINDOW_BYTES)
    client.say("output_ack", paneId=pane_id, position=client.output(pane_id).position)
    world.run()
    assert client.output(pane_id).whole() == world.live(pane_id).history, "Nothing was left out."


def test_a_client_cannot_acknowledge_what_it_did_not_get(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    client.acks_output = False
    client.say("output_ack", paneId=pane_id, position=2**40)
    flood(world, client, 2 * FLOW_WINDOW_BYTES)
    assert client.output(pane_id).position == FLOW_WINDOW_BYTES


def test_without_flow_the_window_is_what_the_socket_has_not_taken(world: HubWorld) -> None:
    client = world.attached("plain", flow=False)
    pane_id = client.pane()
    socket = client.socket
    assert socket is not None
    socket.stalled = True
    flood(world, client, 2 * FLOW_WINDOW_BYTES)
    assert FLOW_WINDOW_BYTES - OUTPUT_FRAME_BYTES < socket.unsent <= FLOW_WINDOW_BYTES + OUTPUT_FRAME_BYTES
    socket.stalled = False
    world.advance(1.0)
    assert client.output(pane_id).position == world.live(pane_id).end
    assert client.output(pane_id).whole() == world.live(pane_id).history


def test_who_fell_behind_the_log_gets_a_redraw(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    socket = client.socket
    assert socket is not None
    socket.stalled = True
    flood(world, client, 3 * LOG_BYTES)
    socket.stalled = False
    world.advance(2.0)
    output = client.output(pane_id)
    assert output.position == world.live(pane_id).end
    assert output.replays[-1].reset
    assert output.gaps
    assert output.drawn.endswith(LINE)


def test_redraws_come_four_times_a_second_at_most(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    before = len(client.output(pane_id).replays)
    for _ in range(100):
        client.say("pane_redraw", paneId=pane_id, lines=5)
        world.advance(0.02)
    assert 7 <= len(client.output(pane_id).replays) - before <= 9
    world.advance(0.3)
    assert len(client.output(pane_id).replays) - before <= 9


def test_unsent_bytes_are_bounded_with_all_panes_together(world: HubWorld, client: SimClient) -> None:
    first = client.pane()
    for _ in range(5):
        client.say("pane_split", paneId=first, orientation="horizontal", cols=20, rows=20)
        world.settle()
    socket = client.socket
    assert socket is not None
    socket.stalled = True
    client.acks_output = True
    for _ in range(10):
        for pane_id in client.panes:
            world.live(pane_id).print(FLOOD * 2)
            world.live(pane_id).resize(30, 20)
            world.live(pane_id).resize(20, 20)
            client.say("pane_redraw", paneId=pane_id, lines=10_000)
        world.advance(0.3)
    # `truth` checks the bound after every step
    assert socket.unsent > CONNECTION_UNSENT_BYTES // 2
    socket.stalled = False
    world.advance(5.0)
    for pane_id in client.panes:
        assert client.output(pane_id).position == world.live(pane_id).end


def test_a_stalled_client_costs_nobody_else_anything(world: HubWorld, client: SimClient) -> None:
    other = world.attached("other")
    assert client.socket is not None
    client.socket.stalled = True
    flood(world, client, 4 * 2**20)
    assert other.output(other.pane()).whole() == world.live(client.pane()).history


def test_clients_that_keep_up_share_their_frames(world: HubWorld, client: SimClient) -> None:
    world.attached("other")
    world.effects.clear()
    world.live(client.pane()).print(b"shared")
    world.run()
    frames = [e.frame for e in world.wanted(SendFrame) if isinstance(e, SendFrame) and not e.urgent]
    assert len(frames) == 2
    assert frames[0] is frames[1]


def test_sizes_keep_their_place_among_the_bytes(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    pty = world.live(pane_id)
    pty.print(b"wide")
    pty.resize(120, 50)
    pty.print(b"higher")
    pty.resize(120, 60)
    world.settle()
    assert client.output(pane_id).sizes[1:] == [(4, 120, 50), (10, 120, 60)]
    late = world.client("late")
    late.connect()
    world.settle()
    assert late.output(pane_id).size == (120, 60)


def test_a_terminal_that_breaks_its_lines_anew_is_redrawn_and_nothing_left_out(
    world: HubWorld, client: SimClient
) -> None:
    """Every terminal does that differently."""
    pane_id = client.pane()
    pty = world.live(pane_id)
    pty.print(b"wide ")
    world.settle()
    client.acks_output = False
    for cols in range(100, 50, -2):
        pty.print(FLOOD)
        pty.resize(cols, 20)
        pty.print(b"narrow ")
        world.run()
    output = client.output(pane_id)
    assert len(output.replays) == 2, "The first at once, the next no sooner than allowed."
    world.settle()
    assert len(output.replays) == 2, "The client is behind: a redraw would leave something out."
    client.acks_output = True
    client.say("output_ack", paneId=pane_id, position=output.position)
    world.settle()
    assert len(output.replays) == 3
    assert output.replays[-1].reset
    assert output.gaps == []
    assert output.size == (52, 20)
    assert output.whole() == pty.history


def test_a_resumed_tail_contains_the_sizes(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    pty = world.live(pane_id)
    pty.print(b"before")
    world.settle()
    client.cut()
    pty.print(b"one")
    pty.resize(120, 50)
    pty.print(b"two")
    world.settle()
    client.connect()
    world.settle()
    (replay,) = client.said(m.Replay)
    assert (replay.position, replay.bytes, replay.reset, replay.skipped) == (6, 0, False, 0)
    assert [(one.position, one.cols) for one in client.said(m.Resized)] == [(9, 120)]
    assert client.output(pane_id).whole() == b"beforeonetwo"


def test_replay_comes_first_and_once(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    client.connect(resume=False)
    world.live(pane_id).print(b"early")
    world.settle()
    assert len(client.said(m.Replay)) == 1
    world.live(pane_id).print(b"late")
    world.settle()
    assert len(client.said(m.Replay)) == 1


def test_a_position_past_the_end_gets_a_redraw(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.live(pane_id).print(b"text")
    world.settle()
    liar = world.client("liar")
    liar.open()
    liar.output(pane_id).position = 10**9
    liar.say("connect", width=10, height=10, resume={pane_id: 10**9})
    world.settle()
    (replay,) = liar.said(m.Replay)
    assert (replay.reset, replay.position, replay.bytes, replay.skipped) == (True, 4, 4, 0)


def test_what_is_skipped_is_said_from_position_0_too(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    client.cut()
    for _ in range(3):
        flood_size = LOG_BYTES
        world.live(pane_id).print(b"x" * flood_size)
        world.settle()
    client.connect()
    world.settle()
    (replay,) = client.said(m.Replay)
    assert replay.skipped == replay.position == 3 * LOG_BYTES


def test_unsent_bytes_of_a_closed_pane_are_dropped(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    socket = client.socket
    assert socket is not None
    socket.stalled = True
    flood(world, client, 2**20)
    client.say("pane_close", paneId=pane_id)
    world.settle()
    assert socket.unsent < 1000
    socket.stalled = False
    world.settle()
    assert client.panes == []
    assert all(connection.unsent == 0 for connection in world.hub.world.connections.values())


def test_output_waits_for_the_stored_mark(world: HubWorld, client: SimClient) -> None:
    """No byte past the mark is sent before a higher mark is stored."""
    pane_id = client.pane()
    pane = world.hub.world.panes[pane_id]
    pane.position_mark = 10
    world.fail_saves()
    world.live(pane_id).print(b"0123456789abc")
    world.advance(3.0)
    assert client.output(pane_id).received == b"0123456789"
    world.fail_saves(failing=False)
    world.advance(3.0)
    assert client.output(pane_id).received == b"0123456789abc"
