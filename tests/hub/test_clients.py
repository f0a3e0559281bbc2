"""Connecting, taking over, leaving, being forgotten; and whose size is in force."""

from __future__ import annotations

from wormux.limits import CONNECTIONS, CONTROL_MESSAGES, KNOWN_CLIENT_S, KNOWN_CLIENTS, UNANSWERED_REQUESTS
from wormux.protocol import messages as m
from wormux.protocol.close_codes import CloseCode
from wormux.protocol.frames import encode_frame
from wormux.testing.sim.world import HubWorld


def test_a_user_who_never_had_a_session_gets_one() -> None:
    world = HubWorld()
    client = world.attached()
    assert [session.name for session in client.model.sessions.values()] == ["main"]
    assert client.status(client.pane()) == "connected"
    other = world.attached("other")
    assert len(other.model.sessions) == 1


def test_who_closed_everything_gets_nothing_new() -> None:
    world = HubWorld()
    client = world.attached()
    client.say("session_destroy", sessionId=next(iter(client.model.sessions)))
    world.settle()
    client.connect()
    world.settle()
    assert not client.model.sessions
    world.advance(2.0)
    world.restart()
    client.connect()
    world.settle()
    assert not client.model.sessions


def test_two_that_connect_first_at_once_share_one_session() -> None:
    world = HubWorld()
    clients = [world.client("a"), world.client("b")]
    for client in clients:
        client.connect()
    world.settle()
    assert clients[0].model.sessions.keys() == clients[1].model.sessions.keys()
    assert len(clients[0].model.sessions) == 1


def test_state_comes_first_then_the_replays_of_the_active_tab() -> None:
    world = HubWorld()
    client = world.attached()
    session_id = next(iter(client.model.sessions))
    for _ in range(3):
        client.say("tab_create", sessionId=session_id)
        world.settle()
    client.say("tab_switch", tabId=list(client.model.tabs)[2])
    world.settle()
    client.connect(resume=False)
    world.settle()
    assert isinstance(client.messages[0], m.State)
    replays = client.said(m.Replay)
    assert len(replays) == 4
    assert replays[0].pane_id == client.panes[2]
    assert all(replay.reset for replay in replays)


def test_no_connect_in_time() -> None:
    world = HubWorld()
    client = world.client("c")
    client.open()
    world.advance(9.9)
    assert client.code is None
    world.advance(0.2)
    assert client.code == 4408


def test_anything_before_connect_closes() -> None:
    for frame in (
        b"",
        encode_frame(0, b"x"),
        encode_frame(255, b'{"type":"ping","time":1}'),
        b"\xffnonsense",
    ):
        world = HubWorld()
        client = world.client("c")
        client.open()
        client.send(frame)
        world.settle()
        assert client.code == 4400, frame


def test_an_empty_message_closes() -> None:
    world = HubWorld()
    client = world.attached()
    client.send(b"")
    world.settle()
    assert client.code == 4400


def test_a_second_connect_is_refused() -> None:
    world = HubWorld()
    client = world.attached()
    client.say("connect", width=1, height=1)
    world.settle()
    assert [error.code for error in client.errors] == ["bad_message"]
    assert client.attached


def test_a_bad_connect_is_refused_and_can_be_said_again() -> None:
    world = HubWorld()
    for fields in ({"width": -1, "height": 1}, {"width": 1, "height": 1, "clientId": "x" * 65}):
        client = world.client(None)
        client.open()
        client.say("connect", **fields)
        world.settle()
        assert [error.code for error in client.errors] == ["invalid"]
        client.say("connect", width=1024, height=768)
        world.settle()
        assert client.attached


def test_a_connect_takes_over_and_the_older_one_counts_for_nothing() -> None:
    world = HubWorld()
    old = world.attached("c")
    pane_id = old.pane()
    new = world.client("c")
    new.connect()
    world.run()
    old_socket = old.socket
    assert old.code == 4409
    assert old_socket is None
    world.settle()
    assert new.attached
    assert list(world.hub.world.clients) == ["c"]
    assert world.live(pane_id).typed == b""


def test_late_frames_of_the_older_connection_count_for_nothing() -> None:
    world = HubWorld()
    old = world.attached("c")
    pane_id = old.pane()
    socket = old.socket
    assert socket is not None
    new = world.client("c")
    new.connect()
    assert new.socket is not None
    new.socket.up.deliver()
    old.type(pane_id, b"rm -rf\n")
    socket.up.deliver()
    world.settle()
    assert world.live(pane_id).typed == b""
    assert old.code == 4409


def test_a_late_connect_of_the_older_connection_takes_nothing_back() -> None:
    world = HubWorld()
    old, new = world.attached("c"), world.client("c")
    socket = old.socket
    assert socket is not None
    new.connect()
    assert new.socket is not None
    new.socket.up.deliver()
    old.say("connect", width=100, height=100, clientId="c")
    socket.up.deliver()
    world.settle()
    assert new.code is None
    assert new.attached
    assert old.code == 4409


def test_a_client_is_known_for_a_day() -> None:
    world = HubWorld()
    client = world.attached("c")
    client.type(client.pane(), b"abc")
    world.settle()
    client.cut()
    world.advance(KNOWN_CLIENT_S - 10)
    client.connect()
    world.settle()
    state = client.messages[0]
    assert isinstance(state, m.State)
    assert state.input == {client.pane(): 3}
    client.cut()
    world.advance(KNOWN_CLIENT_S + 10)
    assert not world.hub.world.clients
    client.connect()
    world.settle()
    state = client.messages[0]
    assert isinstance(state, m.State)
    assert state.input is None
    client.type(client.pane(), b"def")
    world.settle()
    assert world.live(client.pane()).typed == b"abcdef", "Its numbers begin anew under another name."


def test_the_last_64_are_known() -> None:
    world = HubWorld()
    for number in range(KNOWN_CLIENTS + 5):
        client = world.attached(f"c{number}")
        client.cut()
        world.run()
    assert list(world.hub.world.clients) == [f"c{number}" for number in range(5, KNOWN_CLIENTS + 5)]
    world.advance(2.0)
    world.restart()
    assert set(world.hub.world.clients) == {f"c{number}" for number in range(5, KNOWN_CLIENTS + 5)}


def test_anonymous_clients_leave_nothing() -> None:
    world = HubWorld()
    client = world.attached(None)
    client.type(client.pane(), b"x")
    world.settle()
    assert world.live(client.pane()).typed == b"x"
    client.cut()
    world.run()
    assert not world.hub.world.clients
    assert not world.hub.world.panes[client.pane()].streams


def test_32_connections_at_most() -> None:
    world = HubWorld()
    clients = [world.attached(f"c{number}") for number in range(CONNECTIONS)]
    extra = world.client("extra")
    extra.open()
    world.settle()
    assert extra.code == 4429
    clients[0].cut()
    world.run()
    extra.connect()
    world.settle()
    assert extra.attached


def test_too_many_control_messages() -> None:
    world = HubWorld()
    client = world.attached("c")
    for _ in range(CONTROL_MESSAGES - 10):
        client.say("ping", time=1)
    world.settle()
    assert client.attached
    for _ in range(20):
        client.say("ping", time=1)
    world.settle()
    assert client.code == 4429


def test_spread_out_they_are_no_trouble() -> None:
    world = HubWorld()
    client = world.attached("c")
    for _ in range(3 * CONTROL_MESSAGES):
        client.say("ping", time=1)
        world.advance(0.011)
    assert client.attached


def test_acknowledgements_of_something_new_do_not_count() -> None:
    world = HubWorld()
    client = world.attached("c")
    client.acks_output = False
    pane_id = client.pane()
    start = client.output(pane_id).position
    world.live(pane_id).print(bytes(2 * CONTROL_MESSAGES))
    world.settle()
    for position in range(start + 1, start + 2 * CONTROL_MESSAGES + 1):
        client.say("output_ack", paneId=pane_id, position=position)
    world.settle()
    assert client.attached
    for _ in range(CONTROL_MESSAGES + 1):
        client.say("output_ack", paneId=pane_id, position=start)
    world.settle()
    assert client.code == 4429


def test_too_many_unanswered_requests() -> None:
    world = HubWorld()
    client = world.attached("c")
    tab_id = next(iter(client.model.tabs))
    for _ in range(UNANSWERED_REQUESTS + 1):
        client.say("tab_rename", tabId=tab_id, name="x")
    assert client.socket is not None
    socket = client.socket
    while len(socket.up):
        socket.up.deliver()
    world.settle()
    assert client.code == 4429


def test_the_size_of_who_typed_last_is_in_force() -> None:
    world = HubWorld()
    big, small = world.attached("big"), world.attached("small")
    pane_id = big.pane()
    big.say("pane_resize", paneId=pane_id, cols=200, rows=50)
    world.settle()
    small.say("pane_resize", paneId=pane_id, cols=60, rows=20)
    world.settle()
    assert world.live(pane_id).size == (60, 20), "Before any typing the newest."
    big.type(pane_id, b"x")
    world.settle()
    assert world.live(pane_id).size == (200, 50)
    small.say("pane_resize", paneId=pane_id, cols=61, rows=21)
    world.settle()
    assert world.live(pane_id).size == (200, 50), "Who did not type last only wishes."
    big.cut()
    world.settle()
    assert world.live(pane_id).size == (61, 21), "Who left wishes no more."
    big.connect()
    world.settle()
    assert world.live(pane_id).size == (200, 50), "Who is back and typed last is in force again."
    big.cut()
    small.cut()
    world.settle()
    assert world.live(pane_id).size == (200, 50), "With nobody there it stays."


def test_a_size_that_is_wished_again_costs_nothing() -> None:
    world = HubWorld()
    client = world.attached("c")
    pane_id = client.pane()
    for _ in range(5):
        client.say("pane_resize", paneId=pane_id, cols=100, rows=30)
    world.settle()
    assert world.live(pane_id).resizes == 1


def test_a_late_connect_of_a_connection_that_was_given_up_takes_nothing_over() -> None:
    world = HubWorld()
    client = world.client("c")
    client.connect(attempt=7)
    world.settle()
    late = world.client("c")
    late.connect(attempt=6)
    world.settle()
    assert late.code == CloseCode.TAKEN_OVER
    assert client.attached
    newer = world.client("c")
    newer.connect(attempt=8)
    world.settle()
    assert newer.attached
    assert client.code == CloseCode.TAKEN_OVER
