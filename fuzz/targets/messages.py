"""What a server says to a client: into the test kit's client, as it reads them from its socket.

A client that anyone can point at any server must come to an end with a reason, not fall over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from websockets.exceptions import ConnectionClosedError

from fuzz.kit import SECRET, Target, joined, need, pieces
from wormux.errors import ErrorCode
from wormux.ids import PaneId, SandboxId, SessionId, TabId
from wormux.protocol import messages as m
from wormux.protocol.frames import encode_frame
from wormux.testing.client import ScriptedClient
from wormux.testing.errors import ConnectionOver, ServerBroke

_PANE, _OTHER = PaneId("p1"), PaneId("p2")
_SESSION = m.SessionInfo(
    id=SessionId("s"), sandbox_id=SandboxId("b"), name="main", created_at=1, provider="local", status="awake"
)
_LAYOUT = m.Split("horizontal", (m.PaneLeaf(_PANE), m.PaneLeaf(_OTHER)), (0.5, 0.5))
_TAB = m.TabInfo(id=TabId("t"), session_id=_SESSION.id, name="shell", layout=_LAYOUT, focus=_PANE)
_INFO = m.PaneInfo(status="connected", cols=80, rows=24, title="a", queued=0)
_RECORDS = {
    _PANE: _INFO,
    _OTHER: m.PaneInfo(status="exited", cols=2, rows=2, title="", queued=0, exit=m.ExitInfo(code=1)),
}
_CHANNELS = {_PANE: 0, _OTHER: 1}
_CONNECTED = {_PANE: True, _OTHER: False}
_STATE = m.State(
    rev=1, tabs=(_TAB,), active_tab=_TAB.id, channels=_CHANNELS, connected=_CONNECTED, panes=_RECORDS, now=1,
    sessions=(_SESSION,), input={_PANE: 3, _OTHER: None},
)  # fmt: skip
_UPDATE = m.LayoutUpdate(
    rev=2,
    tabs=(_TAB,),
    active_tab=_TAB.id,
    channels=_CHANNELS,
    connected=_CONNECTED,
    panes={},
    sessions=(_SESSION,),
)


class _Socket:
    """Gives these frames, and is closed then."""

    def __init__(self, frames: list[bytes]) -> None:
        self._frames = iter(frames)
        self.transport = self

    async def recv(self, *, decode: bool) -> bytes:
        assert not decode
        await asyncio.sleep(0)
        frame = next(self._frames, None)
        if frame is None:
            raise ConnectionClosedError(None, None)
        return frame

    async def send(self, _frame: bytes) -> None:
        """Into the void."""

    def abort(self) -> None:
        """Nothing more is asked for."""


async def _converse(frames: list[bytes]) -> None:
    client = ScriptedClient("http://127.0.0.1:1", None)
    socket: Any = _Socket(frames)
    client._socket = socket
    asking = [await client.ask("ping", time=1.0), await client.ask("tab_create", session_id="s")]
    await client.type(_PANE, SECRET)
    reading = asyncio.create_task(client._read(socket))
    client._reader = reading
    await reading
    try:
        await client.wait_for(lambda: False, "nothing")
    except (ServerBroke, ConnectionOver) as end:
        need(str(end), "An end without a reason.")
    need(all(answer.done() for answer in asking), "A request was left without an answer.")
    client.describe()


def run(data: bytes) -> None:
    """Each piece is a frame. Those that do not begin with a channel in use are for the control channel."""
    frames = [piece if piece[0] in (0, 1, 2, 255) else b"\xff" + piece for piece in pieces(data)]
    asyncio.run(_converse(frames))


def seeds() -> Iterable[bytes]:
    state = m.encode_control(_STATE)
    said: list[m.AnyServerMessage] = [
        _UPDATE,
        m.Replay(
            pane_id=_PANE, channel=0, position=0, bytes=5, reset=True, skipped=0, cols=80, rows=24, above=3
        ),
        m.Resized(pane_id=_PANE, channel=0, position=4, cols=100, rows=30),
        m.InputAck(pane_id=_PANE, position=8),
        m.InputDiscarded(pane_id=_PANE, from_=3, to=8, reason="expired"),
        m.Ok(ref="r1"),
        m.Ok(ref="r2", result=m.Made(tab_id=TabId("t"), pane_id=_OTHER)),
        m.Error(code=ErrorCode.BUSY, message="No.", request=None, ref="r2"),
        m.Error(code=ErrorCode.INTERNAL, message="No.", request="input"),
        m.Pong(time=1.0, now=5),
    ]
    frames = [m.encode_control(message) for message in said]
    yield joined(state, *frames)
    yield joined(state, frames[1], encode_frame(0, b"hello"), encode_frame(0, b"more"), *frames[2:4])
    yield joined(m.encode_control(m.State(**{**_fields(_STATE), "input": None})), *frames)
    for frame in frames:
        yield joined(state, frame, frame)
    yield joined(b'{"type":"pong"', state)
    yield joined(
        state, b'{"type":"layout_update","tabs":[{"layout":' + b'{"type":"split","children":[' * 2000
    )
    yield joined(state, b'{"type":"pong","time":1e400,"now":' + b"9" * 5000 + b"}")


def _fields(message: m.State) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__struct_fields__}


TARGET = Target(
    "messages",
    "a server's messages to the test kit's client",
    run,
    seeds,
    words=(b'"type":"state"', b'"paneId":"p2"', b'"channels":{}', b'"rev":3', b"1e999", b"null", b"\\ud800"),
)
