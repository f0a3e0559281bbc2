"""A client that costs its machine little, so that fifty of them measure the server rather than themselves.

It counts output and never keeps it, decodes of control messages what it needs, and owes the server the same as a page:
`layout_ack`, `output_ack`. Where the server and it disagree on a stream's position, it says so.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import struct
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import field

from wormux.errors import ErrorCode
from wormux.limits import FLOW_ACK_BYTES
from wormux.protocol.frames import CONTROL_CHANNEL
from wormux.testing.errors import ConnectionOver, RequestError, ServerBroke, TooLate

WITHIN_S = 120.0
"""The deadline of everything that is waited for: under load everything is late, and only a hang is a fault."""
_ACK_REST_S = 0.5
"""Output that does not fill `FLOW_ACK_BYTES` is acknowledged this often."""
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10
_ABNORMAL = 1006


class _Pane(msgspec.Struct):
    status: str


class _Session(msgspec.Struct):
    id: str
    status: str


class Made(msgspec.Struct, rename="camel"):
    """What a request made."""

    session_id: str = ""
    tab_id: str = ""
    pane_id: str = ""


class _Heard(msgspec.Struct, rename="camel"):
    """Any control message, as far as it matters here."""

    type: str
    rev: int = 0
    channels: dict[str, int] = field(default_factory=dict)
    panes: dict[str, _Pane] = field(default_factory=dict)
    sessions: list[_Session] | None = None
    input: dict[str, int | None] | None = None
    pane_id: str = ""
    channel: int = 0
    position: int = 0
    bytes: int = 0
    reset: bool = False
    skipped: int = 0
    code: str = ""
    message: str = ""
    ref: str | None = None
    result: Made | None = None


_decoder = msgspec.json.Decoder(_Heard)


class LoadClient(asyncio.Protocol):
    """See the module. It survives its connections; what it counted goes on."""

    def __init__(self, url: str, token: str, *, flow: bool) -> None:
        """`flow`: acknowledge output as a page does; otherwise the server counts what the socket took."""
        parts = urlsplit(url)
        self._host, self._port, self._netloc = parts.hostname or "", parts.port or 80, parts.netloc
        self._token = token
        self._flow = flow
        self.client_id = secrets.token_hex(8)
        self.channels: dict[str, int] = {}
        """Of every pane."""
        self.statuses: dict[str, str] = {}
        """Of every pane."""
        self.sessions: dict[str, str] = {}
        """Their statuses."""
        self.positions: dict[int, int] = {}
        """By channel, of the next byte of output."""
        self.output_bytes = 0
        self.frames = 0
        self.redraws = 0
        self.skipped_bytes = 0
        """Of output that a redraw stood in for."""
        self.updates = 0
        self.discards = 0
        self._typed: dict[str, int] = {}
        self._acked: dict[str, int] = {}
        self._panes: dict[int, str] = {}
        self._redraw_left: dict[int, int] = {}
        self._told: dict[int, int] = {}
        """By channel, up to where output was acknowledged."""
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._upgraded = self._greeted = self._leaving = False
        self._fault: Exception | None = None
        self._gone = asyncio.Event()
        """The last connection has ended."""
        self._gone.set()
        self._news = asyncio.Event()
        self._answers: dict[str, asyncio.Future[Made]] = {}
        self._refs = 0
        self._timer: asyncio.TimerHandle | None = None

    # --- Connections -------------------------------------------------------------------------------------

    async def connect(self, *, resume: bool = True) -> None:
        """Attach. Without `resume` it comes as a client that nobody knows, and every pane is redrawn."""
        await self._gone.wait()
        self._buffer.clear()
        self._upgraded = self._greeted = self._leaving = False
        self._fault = None
        whole = {
            pane: self.positions[number] for pane, number in self.channels.items() if self._is_whole(number)
        }
        if not resume:
            self.client_id = secrets.token_hex(8)
            self._typed.clear()
            self._acked.clear()
            whole = {}
        self.positions = {self.channels[pane]: position for pane, position in whole.items()}
        self._redraw_left.clear()
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_connection(lambda: self, self._host, self._port)
        self._ask_upgrade(self._transport)
        await self.wait_for(lambda: self._upgraded, "the WebSocket")
        page = {"width": 1024, "height": 768, "clientId": self.client_id, "flow": self._flow}
        self._control({"type": "connect", **page, "resume": whole, "input": self._acked})
        await self.wait_for(lambda: self._greeted, "a state")
        self._ack_rest()

    async def cut(self) -> None:
        """Break the connection as a dead network does, once everything typed was acknowledged."""
        await self.wait_acked()
        self.close()

    def close(self) -> None:
        """Leave without a word."""
        self._leaving = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    # --- Asking and typing -------------------------------------------------------------------------------

    async def request(self, type: str, **fields: Any) -> Made:
        """Ask and wait for the answer. Raises `RequestError`, `ConnectionOver`, `TooLate`."""
        self._refs += 1
        ref = f"r{self._refs}"
        answer: asyncio.Future[Made] = asyncio.get_running_loop().create_future()
        self._answers[ref] = answer
        self._control({"type": type, "ref": ref, **fields})
        try:
            async with asyncio.timeout(WITHIN_S):
                return await answer
        except TimeoutError:
            raise TooLate(f"No answer to {type} within {WITHIN_S:g} s.") from None
        finally:
            self._answers.pop(ref, None)

    def send(self, type: str, **fields: Any) -> None:
        """Ask, and hear only of failures."""
        self._control({"type": type, **fields})

    def type(self, pane: str, data: bytes) -> None:
        """A few bytes at a time: the window of input is the caller's to keep."""
        self._typed[pane] = self._typed.get(pane, 0) + len(data)
        self._frame(bytes([self.channels[pane]]) + data)

    async def wait_acked(self) -> None:
        """Everything typed into panes that are still there was delivered, or named as discarded."""
        await self.wait_for(
            lambda: all(
                self._acked.get(pane, 0) >= end for pane, end in self._typed.items() if pane in self.channels
            ),
            "the acknowledgement of what was typed",
        )

    def position(self, pane: str) -> int:
        """How far this client is in the pane's output."""
        return self.positions.get(self.channels.get(pane, -1), 0)

    async def wait_for(
        self, predicate: Callable[[], object], what: str, *, within_s: float = WITHIN_S
    ) -> None:
        """Until `predicate` holds; it is asked after all that comes. Raises `TooLate` and what broke the connection."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    self.check()
                    if predicate():
                        return
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise TooLate(f"Waited {within_s:g} s for {what}.") from None

    def check(self) -> None:
        """Raises what went wrong, if anything did."""
        if self._fault is not None:
            raise self._fault

    # --- Frames ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._gone.clear()

    def _ask_upgrade(self, transport: asyncio.Transport) -> None:
        lines = [
            "GET /ws HTTP/1.1",
            f"Host: {self._netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(secrets.token_bytes(16)).decode()}",
            "Sec-WebSocket-Version: 13",
            f"Authorization: Bearer {self._token}",
        ]
        transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    def connection_lost(self, error: Exception | None) -> None:
        self._gone.set()
        if not self._leaving:
            self._fail(ConnectionOver(_ABNORMAL, "the connection broke"))

    def data_received(self, data: bytes) -> None:
        if self._leaving or self._fault is not None:
            return
        self._buffer += data
        try:
            if self._upgraded or self._shake_hands():
                self._take_frames()
        except Exception as error:  # A callback of the event loop: whoever waits is told.
            self._fail(error)
        self._news.set()

    def _shake_hands(self) -> bool:
        head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not found:
            return False
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ServerBroke(f"The server refused a WebSocket: {head.splitlines()[0].decode('latin1')}.")
        self._upgraded = True
        self._buffer = bytearray(rest)
        return True

    def _take_frames(self) -> None:
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            start, length = at + 2, buffer[at + 1] & 0x7F
            if length >= 126:
                size = 2 if length == 126 else 8
                start += size
                length = int.from_bytes(buffer[start - size : start])
            if len(buffer) < max(start, start + length):
                break
            opcode = buffer[at] & 0x0F
            at = start + length
            if opcode == _BINARY and buffer[start] != CONTROL_CHANNEL:
                self._take_output(buffer[start], length - 1)
            else:
                self._take_other(opcode, bytes(buffer[start:at]))
        del buffer[:at]

    def _take_output(self, channel: int, count: int) -> None:
        self.output_bytes += count
        self.frames += 1
        left = self._redraw_left.get(channel, 0)
        if left:
            self._redraw_left[channel] = left - count
            return
        position = self.positions[channel] = self.positions[channel] + count
        if self._flow and position - self._told.get(channel, 0) >= FLOW_ACK_BYTES:
            self._ack(channel, position)

    def _take_other(self, opcode: int, payload: bytes) -> None:
        if opcode == _BINARY:
            self._take(_decoder.decode(memoryview(payload)[1:]))
        elif opcode == _PING:
            self._frame(payload, _PONG)
        elif opcode == _CLOSE and not self._leaving:
            code = int.from_bytes(payload[:2]) if payload else _ABNORMAL
            self._fail(ConnectionOver(code, payload[2:].decode(errors="replace")))

    def _take(self, heard: _Heard) -> None:
        match heard.type:
            case "state" | "layout_update":
                self._take_model(heard)
            case "replay":
                self._take_replay(heard)
            case "input_ack":
                self._acked[heard.pane_id] = max(self._acked.get(heard.pane_id, 0), heard.position)
            case "input_discarded":
                self.discards += 1
            case "ok" | "error" if heard.ref is not None:
                answer = self._answers.get(heard.ref)
                if answer is not None and not answer.done():
                    if heard.type == "ok":
                        answer.set_result(heard.result or Made())
                    else:
                        answer.set_exception(RequestError(ErrorCode(heard.code), heard.message))
            case "error":
                raise ServerBroke(f"The server refused what clients may ask: {heard.code}: {heard.message}")

    def _take_model(self, heard: _Heard) -> None:
        self.channels = heard.channels
        self._panes = {number: pane for pane, number in heard.channels.items()}
        if heard.type == "state":
            self.statuses = {}
            self._greeted = True
            known = heard.input or {}
            self._typed = {pane: end for pane, end in known.items() if end is not None}
            self._acked = dict(self._typed)
        else:
            self.updates += 1
        for pane, info in heard.panes.items():
            self.statuses[pane] = info.status
        for pane in self.statuses.keys() - heard.channels.keys():
            del self.statuses[pane]
        for number in self.positions.keys() - self._panes.keys():
            for known_channels in (self.positions, self._told, self._redraw_left):
                known_channels.pop(number, None)
        if heard.sessions is not None:
            self.sessions = {session.id: session.status for session in heard.sessions}
        self._control({"type": "layout_ack", "rev": heard.rev})

    def _take_replay(self, heard: _Heard) -> None:
        if heard.pane_id not in self.channels:
            return  # It was closed meanwhile: the news of that overtakes what waits for the socket.
        was = self.positions.get(heard.channel)
        if not heard.reset and was != heard.position:
            raise ServerBroke(f"A stream goes on at {heard.position}, and this client has all before {was}.")
        self.redraws += heard.reset
        self.skipped_bytes += heard.skipped
        self.positions[heard.channel] = self._told[heard.channel] = heard.position
        self._redraw_left[heard.channel] = heard.bytes

    def _is_whole(self, channel: int) -> bool:
        return channel in self.positions and not self._redraw_left.get(channel)

    def _ack(self, channel: int, position: int) -> None:
        pane = self._panes.get(channel)
        if pane is not None:
            self._told[channel] = position
            self._control({"type": "output_ack", "paneId": pane, "position": position})

    def _ack_rest(self) -> None:
        if not self._flow or self._leaving:
            return
        for channel, position in self.positions.items():
            if position > self._told.get(channel, 0):
                self._ack(channel, position)
        self._timer = asyncio.get_running_loop().call_later(_ACK_REST_S, self._ack_rest)

    def _control(self, message: dict[str, Any]) -> None:
        self._frame(bytes([CONTROL_CHANNEL]) + json.dumps(message).encode())

    def _frame(self, payload: bytes, opcode: int = _BINARY) -> None:
        """Masked with zeros: nothing of this leaves the machine."""
        if self._transport is None or self._transport.is_closing():
            return
        count = len(payload)
        if count < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | count)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, count)
        self._transport.write(head + bytes(4) + payload)

    def _fail(self, error: Exception) -> None:
        if self._fault is None:
            self._fault = error
            if self._transport is not None:
                self._transport.abort()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self._fault)
        self._news.set()
