"""A client of a real server, for tests and scripts, which holds the server to its protocol.

It connects, keeps the model, answers with what a client owes (`layout_ack`, `output_ack`), numbers what it types and
checks every message. The first rule that the server breaks is raised as `ServerBroke` by whatever is called next.

    async with ScriptedClient(url, token) as client:
        pane = client.pane()
        await client.type(pane, b"echo hello\\n")
        await client.wait_output(pane, rb"[\\r\\n]hello")
        made = await client.request("tab_create", session_id=client.session().id)

A client survives its connections: `cut` and `reconnect` continue both numbered streams at the byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from wormux.ids import ClientId, PaneId, SessionId
from wormux.limits import CONTROL_MESSAGES, CONTROL_MESSAGES_WITHIN_S, INPUT_CLIENT_BYTES, KIB
from wormux.protocol import messages as m
from wormux.protocol.frames import CONTROL_CHANNEL, encode_frame, split_frame
from wormux.testing.errors import ConnectionOver, RequestError, ServerBroke, TooLate, expect
from wormux.testing.model import Model
from wormux.testing.streams import InputStream, OutputStream

WITHIN_S = 30.0
"""The deadline of everything that is waited for, unless told otherwise: long, because it is only met by faults."""
INPUT_FRAME_BYTES = 16 * KIB
_ACK_EVERY_S = 2 * CONTROL_MESSAGES_WITHIN_S / CONTROL_MESSAGES
"""Half of the messages that the server allows."""
_ABNORMAL = 1006
_SHOWN_BYTES = 300

_decoder: msgspec.json.Decoder[m.AnyServerMessage] = msgspec.json.Decoder(m.AnyServerMessage)


class ScriptedClient:
    """See the module. Everything runs on the event loop that it was connected on."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        client_id: str | None = None,
        width: int = 1024,
        height: int = 768,
        flow: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`url` is the server's, `http://…`. Without `client_id` a random one is made; with `flow`, output is
        acknowledged as it is read."""
        self.client_id = ClientId(client_id or secrets.token_hex(8))
        self.model = Model()
        self.outputs: dict[PaneId, OutputStream] = {}
        self.inputs: dict[PaneId, InputStream] = {}
        self.errors: list[m.Error] = []
        """Those that answer no `ref`."""
        self.messages: list[m.AnyServerMessage] = []
        """Every control message of the present connection."""
        self.acks_layout = True
        """Send `layout_ack` for every update, as a client must; tests may hold it back."""
        self.draws = asyncio.Event()
        """With `flow`: acknowledge what came; tests may clear it."""
        self.draws.set()
        self._address = _socket_address(url)
        self._headers = dict(headers or {})
        if token is not None:
            self._headers.setdefault("Authorization", f"Bearer {token}")
        self._size = (width, height)
        self._flow = flow
        self._drawn = asyncio.Event()
        self._acknowledger: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._over: ConnectionOver | None = None
        self._broke: ServerBroke | None = None
        self._news = asyncio.Event()
        self._answers: dict[str, asyncio.Future[m.Made]] = {}
        self._greeted = False
        self._leaving = False
        self._refs = 0
        self._attempts = 0
        self._input_lock = asyncio.Lock()

    # --- Connections -------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
        if error is None:
            self._check()

    async def open(self) -> None:
        """Only the WebSocket, without a `connect`. Raises what `websockets` does for a refused handshake."""
        assert self._socket is None, "It is connected already."
        self._over = None
        self._greeted = self._leaving = False
        self.messages.clear()
        self._socket = await connect(
            self._address,
            additional_headers=self._headers,
            compression=None,
            max_size=None,
            ping_interval=None,
            proxy=None,
            open_timeout=WITHIN_S,
        )
        self._reader = asyncio.create_task(self._read(self._socket), name="scripted client")

    async def connect(self, *, resume: bool = True) -> None:
        """Open, greet, and wait for the state. Without `resume`, every pane is redrawn."""
        await self.open()
        self._attempts += 1
        positions = {}
        for pane, output in self.outputs.items():
            if not resume:
                output.forget()
            output.connecting()
            if output.resume is not None:
                positions[pane] = output.resume
        await self.send(
            "connect",
            width=self._size[0],
            height=self._size[1],
            client_id=self.client_id,
            resume=positions,
            input={pane: stream.acked for pane, stream in self.inputs.items()},
            flow=self._flow,
            attempt=self._attempts,
        )
        await self.wait_for(lambda: self._greeted, "a state")
        if self._flow:
            self._acknowledger = asyncio.create_task(self._acknowledge_output(), name="acknowledging output")

    async def reconnect(self, url: str | None = None, *, resume: bool = True) -> None:
        """After `cut` or the server's end: the same client, on a new connection; to another address if one is given."""
        await self._end()
        if url is not None:
            self._address = _socket_address(url)
        await self.connect(resume=resume)

    async def cut(self) -> None:
        """Break the connection as a dead network does: without a word, whatever is under way."""
        if self._socket is not None:
            self._socket.transport.abort()
        await self._end()

    async def close(self) -> None:
        """Leave properly. Nothing to do if it has left."""
        if self._socket is not None:
            self._leaving = True  # A send would wait for the end, and the end for who reads and sends.
            await self._socket.close()
        await self._end()

    async def wait_closed(self, *, within_s: float = WITHIN_S) -> ConnectionOver:
        """The server closes the connection: with which code, and why."""
        assert self._reader is not None, "It was never connected."
        try:
            async with asyncio.timeout(within_s):
                await asyncio.shield(self._reader)
        except TimeoutError:
            raise TooLate(f"The connection is still open after {within_s:g} s.\n{self.describe()}") from None
        if self._broke is not None:
            raise self._broke
        assert self._over is not None
        return self._over

    @property
    def is_open(self) -> bool:
        return self._socket is not None and self._over is None and not self._leaving

    async def _end(self) -> None:
        if self._acknowledger is not None:
            self._acknowledger.cancel()
            await asyncio.wait([self._acknowledger])
            self._acknowledger = None
        if self._socket is not None:
            self._socket.transport.abort()
        if self._reader is not None:
            await self._reader
        self._socket = self._reader = None

    # --- Asking ------------------------------------------------------------------------------------------

    async def send(self, type: str, **fields: Any) -> None:
        """One control message; names of fields as in Python. Raises `ConnectionOver`."""
        message = {"type": type} | {_camel(name): value for name, value in fields.items()}
        await self.send_frame(encode_frame(CONTROL_CHANNEL, json.dumps(message).encode()))

    async def send_frame(self, frame: bytes | str) -> None:
        """One message as it is, right or wrong; a `str` as a text message. Raises `ConnectionOver`."""
        self._check()
        if self._socket is None or self._leaving:
            raise ConnectionOver(_ABNORMAL, "not connected")
        try:
            await self._socket.send(frame)
        except ConnectionClosed as closed:
            raise self._over or _over(closed) from None

    async def request(self, type: str, *, within_s: float = WITHIN_S, **fields: Any) -> m.Made:
        """Ask and wait for the answer: what was made. Raises `RequestError`, `ConnectionOver` and `TooLate`."""
        answer = await self.ask(type, **fields)
        try:
            async with asyncio.timeout(within_s):
                return await answer
        except TimeoutError:
            raise TooLate(f"No answer to {type} within {within_s:g} s.\n{self.describe()}") from None

    async def ask(self, type: str, **fields: Any) -> asyncio.Future[m.Made]:
        """Ask, and get the answer later. Raises `ConnectionOver`."""
        self._refs += 1
        ref = f"r{self._refs}"
        answer = self._answers[ref] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # may be nobody's
        try:
            await self.send(type, ref=ref, **fields)
        except ConnectionOver:
            self._answers.pop(ref, None)
            raise
        return answer

    # --- Typing ------------------------------------------------------------------------------------------

    async def type(self, pane: PaneId, data: bytes, *, within_s: float = WITHIN_S) -> None:
        """Type into a pane, in frames of at most `INPUT_FRAME_BYTES`, waiting where the window is full. While there
        is no connection, it is kept for the next one."""
        stream = self.inputs.setdefault(pane, InputStream())
        for start in range(0, len(data), INPUT_FRAME_BYTES):
            piece = data[start : start + INPUT_FRAME_BYTES]
            await self._wait_room(stream, len(piece), within_s)
            stream.add(piece)
            await self._flush(pane, stream)

    async def wait_acked(self, pane: PaneId, *, within_s: float = WITHIN_S) -> None:
        """Everything typed into the pane was delivered or named as discarded."""
        stream = self.inputs[pane]
        await self.wait_for(lambda: stream.acked == stream.end, "acknowledgement", within_s=within_s)

    async def _wait_room(self, stream: InputStream, count: int, within_s: float) -> None:
        def has_room() -> bool:
            everywhere = sum(other.end - other.acked for other in self.inputs.values())
            return stream.room >= count and everywhere + count <= INPUT_CLIENT_BYTES

        if not has_room():
            await self.wait_for(has_room, "room in the window of input", within_s=within_s)

    async def _flush(self, pane: PaneId, stream: InputStream) -> None:
        async with self._input_lock:
            channel = self.model.channels.get(pane)
            while self._greeted and self.is_open and channel is not None and (data := stream.next_unsent()):
                with contextlib.suppress(ConnectionOver):
                    await self.send_frame(encode_frame(channel, data))

    # --- Waiting -----------------------------------------------------------------------------------------

    async def wait_for(
        self, predicate: Callable[[], object], what: str = "it", *, within_s: float = WITHIN_S
    ) -> None:
        """Until `predicate` holds; it is asked after every message. Raises `TooLate`, and `ConnectionOver` if the
        connection ends first."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    self._check()
                    if predicate():
                        return
                    if self._over is not None:
                        raise self._over
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise TooLate(f"Waited {within_s:g} s for {what}.\n{self.describe()}") from None

    async def wait_output(
        self, pane: PaneId, pattern: bytes, *, within_s: float = WITHIN_S
    ) -> re.Match[bytes]:
        """The pattern's next match in what the pane shows, behind the last one that was waited for."""
        found: re.Match[bytes] | None = None

        def look() -> bool:
            nonlocal found
            output = self.outputs.get(pane)
            if output is not None:
                found = re.compile(pattern, re.DOTALL).search(bytes(output.drawn), output.cursor)
            if output is not None and found is not None:
                output.cursor = found.end()
            return found is not None

        await self.wait_for(look, f"output {pattern!r} in {pane}", within_s=within_s)
        assert found is not None
        return found

    async def wait_status(
        self, pane: PaneId, *statuses: m.PaneStatus, within_s: float = WITHIN_S
    ) -> m.PaneInfo:
        """The pane has one of these statuses."""

        def look() -> bool:
            return pane in self.model.panes and self.model.panes[pane].status in statuses

        await self.wait_for(look, f"{pane} being {' or '.join(statuses)}", within_s=within_s)
        return self.model.panes[pane]

    async def wait_session(
        self, session: SessionId, status: m.SessionStatus, *, within_s: float = WITHIN_S
    ) -> None:
        """The session's sandbox has this status."""
        await self.wait_for(
            lambda: session in self.model.sessions and self.model.sessions[session].status == status,
            f"{session} being {status}",
            within_s=within_s,
        )

    async def wait_gone(self, pane: PaneId, *, within_s: float = WITHIN_S) -> None:
        """The pane is closed."""
        await self.wait_for(lambda: self.model.was_closed(pane), f"{pane} being closed", within_s=within_s)

    async def wait_error(self, *, within_s: float = WITHIN_S) -> m.Error:
        """The next error that answers no `ref`."""
        await self.wait_for(lambda: self.errors, "an error", within_s=within_s)
        return self.errors.pop(0)

    async def round_trip(self) -> None:
        """Everything that the server said before it heard this is here."""
        before = sum(isinstance(message, m.Pong) for message in self.messages)
        await self.request("ping", time=before)

    # --- Looking -----------------------------------------------------------------------------------------

    def session(self, name: str | None = None) -> m.SessionInfo:
        """The session of this name, or the only one."""
        found = [one for one in self.model.sessions.values() if name in (None, one.name)]
        assert len(found) == 1, f"There are {len(found)} such sessions."
        return found[0]

    def pane(self) -> PaneId:
        """The only pane."""
        (pane,) = self.model.panes
        return pane

    def info(self, pane: PaneId) -> m.PaneInfo:
        return self.model.panes[pane]

    def describe(self) -> str:
        """What the client knows, for a failure's report: statuses, and the ends of the outputs."""
        lines = [f"rev {self.model.rev}, {'open' if self.is_open else self._over or 'not connected'}"]
        lines += [f"session {session}" for session in self.model.sessions.values()]
        for pane, info in self.model.panes.items():
            typed = self.inputs.get(pane)
            lines.append(f"{info}" + (f", typed {typed.end}, acked {typed.acked}" if typed else ""))
            if output := self.outputs.get(pane):
                lines.append(f"  {pane} at {output.position}: …{bytes(output.drawn[-_SHOWN_BYTES:])!r}")
        return "\n".join([*lines, *(str(error) for error in self.errors)])

    # --- Listening ---------------------------------------------------------------------------------------

    async def _read(self, socket: ClientConnection) -> None:
        over = ConnectionOver(_ABNORMAL, "the connection broke")
        try:
            while True:
                frame = await socket.recv(decode=False)
                await self._take(frame)
                self._news.set()
        except ConnectionClosed as closed:
            over = _over(closed)
        except ConnectionOver as earlier:
            over = earlier
        except ServerBroke as broke:
            self._broke = broke
            socket.transport.abort()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._broke = ServerBroke(f"A message has not the form that the protocol gives it: {error}.")
            socket.transport.abort()
        finally:
            self._over = over
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(over)
            self._answers.clear()
            self._news.set()

    async def _take(self, frame: bytes) -> None:
        expect(len(frame) > 0, "A message has at least one byte, the channel.")
        channel, payload = split_frame(frame)
        if channel != CONTROL_CHANNEL:
            pane = self.model.pane_at(channel)
            expect(pane is not None, "Bytes come only on the channels of panes.")
            assert pane is not None
            self.outputs.setdefault(pane, OutputStream()).take_bytes(payload)
            self._drawn.set()
            return
        message = _decoder.decode(payload)
        self.messages.append(message)
        expect(self._greeted or isinstance(message, m.State | m.Error), "The first answer is `state`.")
        match message:
            case m.State():
                await self._take_state(message)
            case m.LayoutUpdate():
                self.model.apply(message)
                await self._acknowledge_layout()
            case m.Replay() if self._is_open(message):
                self.outputs.setdefault(message.pane_id, OutputStream()).take_replay(message)
            case m.Resized() if self._is_open(message):
                self.outputs.setdefault(message.pane_id, OutputStream()).take_resized(message)
            case m.InputAck():
                stream = self._typed_into(message.pane_id)
                stream.take_ack(message.position)
                await self._flush(message.pane_id, stream)
            case m.InputDiscarded():
                self._typed_into(message.pane_id).take_discard(message)
            case m.Ok():
                made = message.result if isinstance(message.result, m.Made) else m.Made()
                self._check_made(made)
                self._answer(message.ref).set_result(made)
            case m.Error(ref=str(ref)):
                self._answer(ref).set_exception(RequestError(message.code, message.message))
            case m.Error():
                self.errors.append(message)
            case m.Pong() | m.Replay() | m.Resized():
                pass

    async def _take_state(self, state: m.State) -> None:
        expect(not self._greeted, "`state` is sent once.")
        self.model.apply(state)
        for pane in [pane for pane in self.outputs if pane not in self.model.channels]:
            del self.outputs[pane]
        self._greeted = True
        await self._acknowledge_layout()
        if state.input is None:
            for stream in self.inputs.values():
                stream.unknown()
            return
        expect(state.input.keys() == state.channels.keys(), "`state.input` has an entry for every pane.")
        for pane, position in state.input.items():
            if pane in self.inputs or position != 0:
                stream = self.inputs.setdefault(pane, InputStream())
                stream.reconnected(position)
                await self._flush(pane, stream)

    def _is_open(self, message: m.Replay | m.Resized) -> bool:
        """False if the pane was closed: the news of that overtakes what waits for the socket."""
        if self.model.was_closed(message.pane_id):
            return False
        channel = self.model.channels.get(message.pane_id)
        expect(channel == message.channel, "A pane's messages name the channel that it was given.")
        return True

    def _check_made(self, made: m.Made) -> None:
        pane = made.pane_id
        known = pane is None or pane in self.model.channels or self.model.was_closed(pane)
        expect(known, "Before an `ok`, the pending update is sent.")

    def _typed_into(self, pane: PaneId) -> InputStream:
        expect(pane in self.inputs, "Only what was typed is acknowledged or discarded.")
        return self.inputs[pane]

    def _answer(self, ref: str) -> asyncio.Future[m.Made]:
        answer = self._answers.pop(ref, None)
        expect(answer is not None, "A `ref` is answered exactly once.")
        assert answer is not None
        return answer if not answer.done() else asyncio.get_running_loop().create_future()

    async def _acknowledge_layout(self) -> None:
        if self.acks_layout and not self._leaving:
            await self.send("layout_ack", rev=self.model.rev)

    async def _acknowledge_output(self) -> None:
        """Tell what has been drawn, at a pace that leaves the most of the allowed messages to others."""
        acked: dict[PaneId, int] = {}
        with contextlib.suppress(ConnectionOver, ServerBroke):
            while True:
                await self._drawn.wait()
                await self.draws.wait()
                self._drawn.clear()
                for pane, output in list(self.outputs.items()):
                    if output.position != acked.get(pane) and pane in self.model.channels:
                        acked[pane] = output.position
                        await self.send("output_ack", pane_id=pane, position=output.position)
                        await asyncio.sleep(_ACK_EVERY_S)

    def _check(self) -> None:
        if self._broke is not None:
            raise self._broke


def _over(closed: ConnectionClosed) -> ConnectionOver:
    if closed.rcvd is None:
        return ConnectionOver(_ABNORMAL, "the connection broke")
    return ConnectionOver(closed.rcvd.code, closed.rcvd.reason)


def _socket_address(url: str) -> str:
    return f"ws{url.rstrip('/').removeprefix('http')}/ws"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
