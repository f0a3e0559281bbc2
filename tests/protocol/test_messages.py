"""Control messages on the wire: the tables of the protocol, row by row, and what happens to anything else."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wormux.errors import ErrorCode
from wormux.ids import ClientId, PaneId, SandboxId, SessionId, TabId
from wormux.limits import REF_CHARS
from wormux.protocol import messages
from wormux.protocol.messages import (
    AnyServerMessage,
    ClientMessage,
    Colors,
    Connect,
    ExitInfo,
    LayoutUpdate,
    Made,
    PaneInfo,
    PaneLeaf,
    SessionInfo,
    Split,
    State,
    TabInfo,
    Unreadable,
    decode_client_message,
    encode_control,
    request_type,
)

PANE = PaneId("p1")

ROWS: list[tuple[dict[str, Any], ClientMessage]] = [
    ({"type": "connect", "width": 1, "height": 2}, Connect(width=1, height=2)),
    ({"type": "client_update"}, messages.ClientUpdate()),
    ({"type": "session_create", "name": "x"}, messages.SessionCreate(name="x")),
    ({"type": "session_destroy", "sessionId": "s"}, messages.SessionDestroy(session_id=SessionId("s"))),
    (
        {"type": "session_rename", "sessionId": "s", "name": "x"},
        messages.SessionRename(session_id=SessionId("s"), name="x"),
    ),
    (
        {"type": "session_sleep", "sessionId": "s", "force": True},
        messages.SessionSleep(session_id=SessionId("s"), force=True),
    ),
    (
        {"type": "session_lease", "sessionId": "s", "seconds": 60, "reason": "build"},
        messages.SessionLease(session_id=SessionId("s"), seconds=60, reason="build"),
    ),
    (
        {"type": "tab_create", "sessionId": "s", "cols": 80, "rows": 24},
        messages.TabCreate(session_id=SessionId("s"), cols=80, rows=24),
    ),
    ({"type": "tab_close", "tabId": "t"}, messages.TabClose(tab_id=TabId("t"))),
    ({"type": "tab_rename", "tabId": "t", "name": "x"}, messages.TabRename(tab_id=TabId("t"), name="x")),
    ({"type": "tab_switch", "tabId": "t"}, messages.TabSwitch(tab_id=TabId("t"))),
    (
        {"type": "pane_split", "paneId": "p1", "orientation": "vertical", "cols": 80, "rows": 12},
        messages.PaneSplit(pane_id=PANE, orientation="vertical", cols=80, rows=12),
    ),
    ({"type": "pane_close", "paneId": "p1"}, messages.PaneClose(pane_id=PANE)),
    (
        {"type": "pane_resize", "paneId": "p1", "cols": 2, "rows": 1000},
        messages.PaneResize(pane_id=PANE, cols=2, rows=1000),
    ),
    ({"type": "pane_focus", "paneId": "p1"}, messages.PaneFocus(pane_id=PANE)),
    ({"type": "pane_focus", "direction": "left"}, messages.PaneFocus(direction="left")),
    ({"type": "pane_wake", "paneId": "p1"}, messages.PaneWake(pane_id=PANE)),
    ({"type": "pane_redraw", "paneId": "p1", "lines": 5}, messages.PaneRedraw(pane_id=PANE, lines=5)),
    (
        {"type": "layout_resize", "tabId": "t", "path": [0, 1], "ratios": [0.25, 0.75]},
        messages.LayoutResize(tab_id=TabId("t"), path=(0, 1), ratios=(0.25, 0.75)),
    ),
    ({"type": "layout_ack", "rev": 9}, messages.LayoutAck(rev=9)),
    (
        {"type": "output_ack", "paneId": "p1", "position": 2**40},
        messages.OutputAck(pane_id=PANE, position=2**40),
    ),
    ({"type": "input_discard", "paneId": "p1"}, messages.InputDiscard(pane_id=PANE)),
    ({"type": "ping", "time": 1.5}, messages.Ping(time=1.5)),
]


def wire(value: object) -> bytes:
    return json.dumps(value).encode()


def sent(message: AnyServerMessage) -> Any:
    frame = encode_control(message)
    assert frame[0] == 255
    return json.loads(frame[1:])


@pytest.mark.parametrize(
    ("row", "message"), ROWS, ids=[f"{index}-{row['type']}" for index, (row, _) in enumerate(ROWS)]
)
def test_each_request_of_the_table(row: dict[str, Any], message: ClientMessage) -> None:
    assert decode_client_message(wire(row)) == message
    assert request_type(message) == row["type"]
    with_more = {**row, "ref": "r", "somethingNew": [1]}
    assert decode_client_message(wire(with_more)) == msgspec.structs.replace(message, ref="r")


def test_the_table_has_every_request() -> None:
    assert {row["type"] for row, _ in ROWS} == messages.REQUEST_TYPES


def test_connect_with_everything() -> None:
    colors = {"foreground": "#ffffff", "background": "#000000", "cursor": "#ff0000"}
    row = {
        "type": "connect",
        "width": 1,
        "height": 2,
        "clientId": "c",
        "resume": {"p1": 5},
        "input": {"p1": 6},
        "flow": True,
        "colors": colors,
    }
    assert decode_client_message(wire(row)) == Connect(
        width=1,
        height=2,
        client_id=ClientId("c"),
        resume={PANE: 5},
        input={PANE: 6},
        flow=True,
        colors=Colors(**colors),
    )


@pytest.mark.parametrize(
    ("payload", "code", "request_"),
    [
        (b"", ErrorCode.BAD_MESSAGE, None),
        (b"{", ErrorCode.BAD_MESSAGE, None),
        (b"[]", ErrorCode.BAD_MESSAGE, None),
        (b"{}", ErrorCode.BAD_MESSAGE, None),
        (b'{"type":7}', ErrorCode.BAD_MESSAGE, None),
        (b'{"type":"tab_close","tabId":"\xff"}', ErrorCode.BAD_MESSAGE, "tab_close"),
        (b"[" * 100_000, ErrorCode.BAD_MESSAGE, None),
        (b'{"type":"state"}', ErrorCode.UNKNOWN_TYPE, None),
        (b'{"type":"connect","width":1}', ErrorCode.BAD_MESSAGE, "connect"),
        (b'{"type":"layout_ack","rev":"1"}', ErrorCode.BAD_MESSAGE, "layout_ack"),
        (b'{"type":"layout_ack","rev":1.5}', ErrorCode.BAD_MESSAGE, "layout_ack"),
        (b'{"type":"layout_ack","rev":true}', ErrorCode.BAD_MESSAGE, "layout_ack"),
        (b'{"type":"pane_focus","direction":"in"}', ErrorCode.BAD_MESSAGE, "pane_focus"),
    ],
)
def test_what_cannot_be_read_is_refused(payload: bytes, code: ErrorCode, request_: str | None) -> None:
    with pytest.raises(Unreadable) as refused:
        decode_client_message(payload)
    assert (refused.value.code, refused.value.request, refused.value.ref) == (code, request_, None)
    assert refused.value.message.endswith(".")


def test_a_refusal_carries_the_ref_if_that_can_be_read() -> None:
    with pytest.raises(Unreadable) as refused:
        decode_client_message(wire({"type": "nothing_known", "ref": "r"}))
    assert refused.value.ref == "r"
    with pytest.raises(Unreadable) as refused:
        decode_client_message(wire({"type": "nothing_known", "ref": "r" * (REF_CHARS + 1)}))
    assert refused.value.ref is None


def test_a_ref_has_a_bound() -> None:
    decode_client_message(wire({"type": "layout_ack", "rev": 1, "ref": "r" * REF_CHARS}))
    with pytest.raises(Unreadable) as refused:
        decode_client_message(wire({"type": "layout_ack", "rev": 1, "ref": "r" * (REF_CHARS + 1)}))
    assert refused.value.code is ErrorCode.BAD_MESSAGE


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(payload: bytes) -> None:
    with suppress(Unreadable):
        decode_client_message(payload)


FIELDS = ["type", "type", "ref", "paneId", "tabId", "rev", "time"]
VALUES: list[object] = [*sorted(messages.REQUEST_TYPES), "", 0, -1, 2**70, 1.5, None, True, [], {}, "x" * 65]


@given(st.lists(st.tuples(st.sampled_from(FIELDS), st.sampled_from(VALUES))))
@example([("type", "ping"), ("time", 1.5)])
def test_any_object_is_a_message_or_refused(fields: list[tuple[str, Any]]) -> None:
    value = dict(fields)
    with suppress(Unreadable):
        assert request_type(decode_client_message(wire(value))) == value["type"]


LEAF = PaneLeaf(pane_id=PANE)
TAB = TabInfo(
    id=TabId("t"),
    session_id=SessionId("s"),
    name="one",
    layout=Split(orientation="horizontal", children=(LEAF, PaneLeaf(PaneId("p2"))), ratios=(0.5, 0.5)),
    focus=PANE,
)


def test_state_as_it_is_sent() -> None:
    session = SessionInfo(
        id=SessionId("s"),
        sandbox_id=SandboxId("x"),
        name="main",
        created_at=1,
        provider="local",
        status="awake",
    )
    pane = PaneInfo(status="exited", cols=80, rows=24, title="", queued=0, exit=ExitInfo(code=0))
    state = State(
        now=5,
        rev=1,
        sessions=(session,),
        tabs=(TAB,),
        active_tab=TabId("t"),
        channels={PANE: 0},
        connected={PANE: False},
        panes={PANE: pane},
        input={PANE: None},
    )
    assert sent(state) == {
        "type": "state",
        "now": 5,
        "rev": 1,
        "sessions": [
            {
                "id": "s",
                "sandboxId": "x",
                "name": "main",
                "createdAt": 1,
                "provider": "local",
                "status": "awake",
            }
        ],
        "tabs": [
            {
                "id": "t",
                "sessionId": "s",
                "name": "one",
                "layout": {
                    "type": "split",
                    "orientation": "horizontal",
                    "children": [{"type": "pane", "paneId": "p1"}, {"type": "pane", "paneId": "p2"}],
                    "ratios": [0.5, 0.5],
                },
                "focus": "p1",
            }
        ],
        "activeTab": "t",
        "channels": {"p1": 0},
        "connected": {"p1": False},
        "panes": {
            "p1": {"status": "exited", "cols": 80, "rows": 24, "title": "", "queued": 0, "exit": {"code": 0}}
        },
        "input": {"p1": None},
    }


def test_an_update_names_sessions_only_if_they_changed() -> None:
    update = LayoutUpdate(rev=2, tabs=(), active_tab=None, channels={}, connected={}, panes={})
    assert sent(update) == {
        "type": "layout_update",
        "rev": 2,
        "tabs": [],
        "activeTab": None,
        "channels": {},
        "connected": {},
        "panes": {},
    }
    assert sent(msgspec.structs.replace(update, sessions=()))["sessions"] == []


@pytest.mark.parametrize(
    ("message", "row"),
    [
        (
            messages.Replay(
                pane_id=PANE, channel=0, position=9, bytes=3, reset=True, skipped=0, cols=80, rows=24
            ),
            {
                "type": "replay",
                "paneId": "p1",
                "channel": 0,
                "position": 9,
                "bytes": 3,
                "reset": True,
                "skipped": 0,
                "cols": 80,
                "rows": 24,
            },
        ),
        (
            messages.Resized(pane_id=PANE, channel=0, position=9, cols=80, rows=24),
            {"type": "resized", "paneId": "p1", "channel": 0, "position": 9, "cols": 80, "rows": 24},
        ),
        (
            messages.InputAck(pane_id=PANE, position=4),
            {"type": "input_ack", "paneId": "p1", "position": 4},
        ),
        (
            messages.InputDiscarded(pane_id=PANE, from_=1, to=4, reason="asked"),
            {"type": "input_discarded", "paneId": "p1", "from": 1, "to": 4, "reason": "asked"},
        ),
        (messages.Ok(ref="r"), {"type": "ok", "ref": "r"}),
        (
            messages.Ok(ref="r", result=Made(pane_id=PANE)),
            {"type": "ok", "ref": "r", "result": {"paneId": "p1"}},
        ),
        (
            messages.Error(code=ErrorCode.NOT_FOUND, message="Gone.", request="input"),
            {"type": "error", "code": "not_found", "message": "Gone.", "request": "input"},
        ),
        (
            messages.Error(code=ErrorCode.INVALID, message="No.", request=None, ref="r"),
            {"type": "error", "code": "invalid", "message": "No.", "request": None, "ref": "r"},
        ),
        (messages.Pong(time=1.5, now=7), {"type": "pong", "time": 1.5, "now": 7}),
    ],
)
def test_what_the_server_sends(message: AnyServerMessage, row: dict[str, Any]) -> None:
    assert sent(message) == row
