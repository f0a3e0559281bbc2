"""One terminal of a Cloudflare sandbox, as the port wants it: numbered, with input that arrives once or is in doubt.

Input is taken for arrived when output follows it. If none does for a while, the link may be deaf: it is pinged, left
and taken up again, which shows what it missed; nobody notices unless something was. Nothing is delivered from inside
a call of the owner.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from wormux.bugs import log_bug
from wormux.ids import PaneId
from wormux.limits import (
    ANSWERS_UNWRITTEN_BYTES,
    CLOUDFLARE_DEAF_AFTER_S,
    CLOUDFLARE_HELD_BYTES,
    CLOUDFLARE_QUIET_S,
    CLOUDFLARE_REFUSED_WITHIN_S,
    LINK_OUTPUT_BYTES,
    READY_WITHIN_S,
)
from wormux.protocol.agent_link import (
    Attach,
    Ended,
    Exit,
    InputAck,
    Open,
    Opened,
    Output,
    Ready,
    Refused,
    SizeMark,
)
from wormux.sandbox.cloudflare_events import HeldEvents
from wormux.sandbox.cloudflare_overlap import Tail, Verdict, new_part
from wormux.sandbox.cloudflare_record import NAME, Record, Records
from wormux.sandbox.cloudflare_socket import Closed, PtySocket, Unreachable
from wormux.sandbox.port import Lost, Terminal, TerminalEvent, Uncertain

logger = logging.getLogger(__name__)

_INTERNAL_ERROR = 1011
_PROMPT_MARKS = (b"\x1b]133;B", b"\x1b[?2004h")
"""What shells write when they read: the prompt mark of shell integration, and bracketed paste."""
_SLEPT = "The Cloudflare sandbox slept, and its shell is gone."


class Owner(Protocol):
    """What a terminal needs of its sandbox."""

    records: Records

    async def connect(self, session: str, cols: int, rows: int, shell: str | None) -> PtySocket: ...

    def shell_of(self, argv: tuple[str, ...]) -> str | None:
        """The shell that is asked for; None: the container's own."""

    def take_over(self, terminal: CloudflareTerminal) -> None:
        """Whoever else is linked to its pane is not any more."""

    def keep_spare(self, pane_id: str, session: str, socket: PtySocket) -> None:
        """A fresh shell was met where an old one was looked for: the pane's next terminal is that."""

    def take_spare(self, pane_id: str) -> tuple[str, PtySocket] | None: ...

    def socket_closed(self, terminal: CloudflareTerminal, reason: str) -> None:
        """The other side closed it. Whether that is sleep depends on the others: `lose` follows, or nothing."""

    def let_go(self, socket: PtySocket) -> None:
        """Close it, with what was sent still going out."""

    def done(self, terminal: CloudflareTerminal) -> None:
        """It is over."""


class _Stand(Enum):
    OPENING = auto()
    LIVE = auto()
    ENDED = auto()
    """Its last event was posted; `forget` may follow."""
    OVER = auto()


@dataclass(frozen=True)
class _Input:
    client_id: str
    position: int
    data: bytes


@dataclass(frozen=True)
class _Unproven:
    """Input that went out, and nothing came since."""

    client_id: str
    end: int
    at_s: float


class CloudflareTerminal(Terminal):
    """Made by `CloudflareSandbox.terminal`."""

    def __init__(
        self, owner: Owner, request: Open | Attach, deliver: Callable[[TerminalEvent], None]
    ) -> None:
        self.pane_id = request.pane_id
        self.is_linked = True
        """It has a socket, or is about to."""
        self._owner = owner
        self._request = request
        self._events = HeldEvents(deliver)
        self._stand = _Stand.OPENING
        self._record: Record | None = None
        self._socket: PtySocket | None = None
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[_Input | bytes | tuple[int, int]] = deque()
        """Input, answers and sizes."""
        self._may_send = asyncio.Event()
        self._is_unpaused = asyncio.Event()
        """Nothing is sent while the link is looked at: it would go down with it."""
        self._unproven: list[_Unproven] = []
        self._has_unproven = asyncio.Event()
        self._outputs = 0
        self._wanted_size: tuple[int, int] | None = None
        self._is_ready = True
        self._ready_timer: asyncio.TimerHandle | None = None
        self._quiet_timer: asyncio.TimerHandle | None = None
        self._last_bytes = b""
        self._task = self._loop.create_task(self._run())

    # --- What the owner of the terminal asks for ---------------------------------------------------------------

    def write(self, client_id: str, position: int, data: bytes) -> None:
        if self._stand in (_Stand.OPENING, _Stand.LIVE) and data:
            self._unsent.append(_Input(client_id, position, data))
            self._may_send.set()

    def answer(self, position: int, data: bytes) -> None:
        record = self._record
        if self._stand is _Stand.LIVE and record is not None and position > record.answered:
            record.answered = position
            self._owner.records.save_state(record)
            if 0 < len(data) <= ANSWERS_UNWRITTEN_BYTES:
                self._unsent.append(data)
                self._may_send.set()

    def hold(self, held: bool) -> None:
        """What comes meanwhile is kept, since a link that is not read goes deaf; past a bound the link is let go of."""
        self._events.hold(held)

    def resize(self, cols: int, rows: int) -> None:
        if self._stand is _Stand.OPENING:
            self._wanted_size = (cols, rows)
        elif self._stand is _Stand.LIVE and self._record is not None:
            self._record.cols, self._record.rows = cols, rows
            self._owner.records.save_state(self._record)
            self._unsent.append((cols, rows))
            self._may_send.set()
            self._events.post(SizeMark(self._record.position, cols, rows))

    def close(self) -> None:
        if self._stand is not _Stand.OVER:
            record = self._record or self._owner.records.get(self.pane_id, self._request.generation)
            if record is not None:
                self._owner.records.remove(record)
            self._end(_Stand.OVER, silent=True)

    def forget(self) -> None:
        if self._stand is _Stand.ENDED and self._record is not None:
            self._owner.records.remove(self._record)
            self._end(_Stand.OVER, silent=True)

    def detach(self) -> None:
        if self._stand is not _Stand.OVER:
            self._end(_Stand.OVER, silent=True)

    # --- What its sandbox says ---------------------------------------------------------------------------------

    def lose(self, lost: Lost) -> None:
        """The link is over."""
        if self._stand in (_Stand.OPENING, _Stand.LIVE):
            self._last(lost)

    # --- Opening -----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            socket = await self._open()
            while socket is not None:
                socket = await self._serve(socket)
        except Unreachable as error:
            self._last(Refused(str(error)) if error.is_answer else Lost(str(error)))
        except Exception as error:
            log_bug(logger, "serving a terminal of a Cloudflare sandbox", error)
            self._last(Lost("The server failed at this terminal; its log says where."))

    async def _open(self) -> PtySocket | None:
        """The socket, with `Opened` posted; or None, with the last event posted. Raises `Unreachable`."""
        request, records = self._request, self._owner.records
        if not NAME.fullmatch(request.pane_id):
            self._last(Refused("The pane's id is not a name that a terminal can have."))
            return None
        newest = records.newest(request.pane_id)
        if isinstance(request, Open) and (newest is None or newest.generation < request.generation):
            return await self._open_new(request)
        if newest is None or newest.generation != request.generation:
            gone = isinstance(request, Attach)
            self._last(
                Refused("The terminal is gone." if gone else "The pane has a newer terminal.", gone=gone)
            )
            return None
        return await self._attach(newest, request.position)

    async def _open_new(self, request: Open) -> PtySocket:
        self._owner.take_over(self)
        shell = self._owner.shell_of(request.argv)
        spare = self._owner.take_spare(request.pane_id)
        if spare is not None:
            session, socket = spare
            self._wanted_size = self._wanted_size or (request.cols, request.rows)
        else:
            session = f"{request.pane_id}-{request.generation}"  # never one that had a shell already
            socket = await self._connect(session, request.cols, request.rows, shell)
        start = request.position + len(request.preamble)
        record = Record(
            PaneId(request.pane_id), request.generation, session, start, request.cols, request.rows
        )
        record.answered = request.position
        record.shell = shell
        self._owner.records.add(record)
        self._is_ready = False
        end = start + len(socket.kept)
        self._begin(record, socket, request.position, end, {})
        self._post_output(request.preamble)
        self._take(socket.kept)
        if socket.kept:
            self._look_for_prompt(socket.kept)
        self._ready_timer = self._loop.call_later(READY_WITHIN_S, self._now_ready)
        self._apply_wanted_size()
        return socket

    async def _connect(self, session: str, cols: int, rows: int, shell: str | None) -> PtySocket:
        """Raises `Unreachable`, and `CancelledError` also where a cancelled connect came about all the same."""
        socket = await self._owner.connect(session, cols, rows, shell)
        if self._stand is _Stand.OVER:
            self._owner.let_go(socket)
            raise asyncio.CancelledError
        return socket

    async def _attach(self, record: Record, position: int) -> PtySocket | None:
        self._owner.take_over(self)
        if record.has_ended:
            self._replay(record, position, b"")
            self._last(Ended(Exit(), record.position, dict(record.proven)), _Stand.ENDED)
            return None
        socket = await self._connect(record.session, record.cols, record.rows, record.shell)
        part = new_part(record.tail, socket.kept)
        if part.verdict is Verdict.FRESH:
            self._owner.records.remove(record)
            self._owner.keep_spare(record.pane_id, record.session, socket)
            self._last(Refused(_SLEPT, gone=True))
            return None
        self._socket = socket
        if part.verdict is Verdict.MOVED_ON:
            position = max(record.mark, position)
            record.tail = Tail(b"", record.tail.seen + 1)  # no longer whole
            record.position = position
            self._owner.records.save(record)
        self._replay(record, position, socket.kept[part.start :])
        self._apply_wanted_size()
        return socket

    def _replay(self, record: Record, position: int, new: bytes) -> None:
        """Deliver what is known from `position` on, and what is new behind it."""
        known = bytes(record.tail)
        start = record.position - len(known)
        if new:
            self._owner.records.output(record, new)
        position = min(max(position, start), record.position)
        self._begin(record, self._socket, position, record.position, dict(record.written))
        self._post_output((known + new)[position - start :])

    def _begin(
        self, record: Record, socket: PtySocket | None, position: int, end: int, inputs: dict[str, int]
    ) -> None:
        self._record = record
        self._socket = socket
        self._stand = _Stand.LIVE
        sizes = (SizeMark(position, record.cols, record.rows),)
        self._events.post(Opened(0, position, end, self._is_ready, inputs, sizes, record.answered))

    def _apply_wanted_size(self) -> None:
        if self._wanted_size is not None:
            self.resize(*self._wanted_size)

    # --- Output ------------------------------------------------------------------------------------------------

    def _output(self, data: bytes) -> None:
        """The terminal wrote."""
        self._outputs += 1
        self._prove_all()
        self._take(data)
        if not self._is_ready:
            self._look_for_prompt(data)
        if self._events.waiting_bytes > CLOUDFLARE_HELD_BYTES:
            self._last(Lost("More was written than could be taken in; it goes on with the newest."))

    def _take(self, data: bytes) -> None:
        if data and self._record is not None:
            self._owner.records.output(self._record, data)
            self._post_output(data)

    def _post_output(self, data: bytes) -> None:
        for start in range(0, len(data), LINK_OUTPUT_BYTES):
            self._events.post(Output(data[start : start + LINK_OUTPUT_BYTES]))

    def _look_for_prompt(self, data: bytes) -> None:
        text = self._last_bytes + data
        self._last_bytes = text[-8:]
        if any(mark in text for mark in _PROMPT_MARKS):
            self._now_ready()
            return
        if self._quiet_timer is not None:
            self._quiet_timer.cancel()
        self._quiet_timer = self._loop.call_later(CLOUDFLARE_QUIET_S, self._now_ready)

    def _now_ready(self) -> None:
        if not self._is_ready and self._stand is _Stand.LIVE:
            self._is_ready = True
            self._events.post(Ready())
        self._cancel_timers()

    def _cancel_timers(self) -> None:
        for timer in (self._ready_timer, self._quiet_timer):
            if timer is not None:
                timer.cancel()

    # --- The link ----------------------------------------------------------------------------------------------

    async def _serve(self, socket: PtySocket) -> PtySocket | None:
        """Until the link is over (None), or is replaced by another one."""
        reader = self._loop.create_task(socket.read(self._output))
        sender = self._loop.create_task(self._send_all(socket))
        doubter = self._loop.create_task(self._doubt(socket, sender))
        try:
            await asyncio.wait({reader, doubter}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sender, doubter):
                task.cancel()
            if not reader.done():
                reader.cancel()
        if reader.done() and not reader.cancelled():
            self._closed(reader.result())
            return None
        socket.close()
        return await self._link_again(arrived=doubter.result())

    async def _send_all(self, socket: PtySocket) -> None:
        self._is_unpaused.set()
        while True:
            await self._may_send.wait()
            await self._is_unpaused.wait()
            while self._unsent and self._is_unpaused.is_set():
                await self._send(socket, self._unsent.popleft())
            if not self._unsent:
                self._may_send.clear()

    async def _send(self, socket: PtySocket, unit: _Input | bytes | tuple[int, int]) -> None:
        assert self._record is not None
        if isinstance(unit, tuple):
            await socket.resize(*unit)
        elif isinstance(unit, bytes):
            await socket.send(unit)
        else:
            written = self._record.written.get(unit.client_id, 0)
            end = unit.position + len(unit.data)
            if unit.position < written:
                self._settle_written(unit.client_id, min(end, written))
            data = unit.data[max(0, written - unit.position) :]
            if data:
                self._record.note_written(unit.client_id, end)
                self._owner.records.save_state(self._record)
                self._unproven.append(_Unproven(unit.client_id, end, self._loop.time()))
                self._has_unproven.set()
                await socket.send(data)

    def _settle_written(self, client_id: str, position: int) -> None:
        """Input is asked for again that went out on an earlier link: it is not sent twice."""
        assert self._record is not None
        if position <= self._record.proven.get(client_id, 0):
            self._events.post(InputAck(client_id, position))
        else:
            self._give_up(client_id, position)

    def _prove_all(self) -> None:
        """Output came behind all that was sent, so the link is not deaf."""
        if self._unproven and self._record is not None:
            for client_id, end in {unproven.client_id: unproven.end for unproven in self._unproven}.items():
                self._record.proven[client_id] = end
                self._events.post(InputAck(client_id, end))
            self._unproven.clear()
            self._has_unproven.clear()

    def _give_up(self, client_id: str, position: int) -> None:
        """Whether this input was taken will not be known."""
        assert self._record is not None
        self._record.proven[client_id] = position
        self._events.post(Uncertain(client_id, position))

    async def _doubt(self, socket: PtySocket, sender: asyncio.Task[None]) -> bool:
        """Until the link is suspected of being deaf. Returns whether its other end at least had all that was sent."""
        while True:
            await self._has_unproven.wait()
            if not self._unproven:
                continue  # the answer came before this task had its turn
            wait_s = self._unproven[0].at_s + CLOUDFLARE_DEAF_AFTER_S - self._loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
                continue
            outputs = self._outputs
            self._is_unpaused.clear()
            arrived = await socket.answers()
            if self._outputs == outputs:
                sender.cancel()
                return arrived
            self._is_unpaused.set()

    async def _link_again(self, *, arrived: bool) -> PtySocket | None:
        """In place of a link that may be deaf, seen by nobody if it was not."""
        record = self._record
        assert record is not None
        try:
            socket = await self._connect(record.session, record.cols, record.rows, record.shell)
        except Unreachable as error:
            self._drop(str(error))
            return None
        self._socket = socket
        part = new_part(record.tail, socket.kept)
        if part.verdict is Verdict.FRESH:
            self._owner.records.remove(record)
            self._owner.keep_spare(record.pane_id, record.session, socket)
            self._socket = None
            self._last(Lost(_SLEPT, dead=True))
            return None
        if part.verdict is Verdict.MOVED_ON:
            self._last(Lost("The link missed more than the sandbox keeps; it goes on with the newest."))
            return None
        if arrived and part.start == len(socket.kept):
            self._prove_all()  # a link that missed nothing is not deaf: the program has nothing to say
        for unproven in self._unproven:
            self._give_up(unproven.client_id, unproven.end)
        self._unproven.clear()
        self._has_unproven.clear()
        self._take(socket.kept[part.start :])
        return socket

    # --- The end -----------------------------------------------------------------------------------------------

    def _closed(self, closed: Closed) -> None:
        """The other side closed the socket."""
        record = self._record
        assert record is not None
        if closed.code == _INTERNAL_ERROR and self._unproven:
            # A shell that has exited says so by this, at the first input that it does not take.
            refused_since_s = self._loop.time() - CLOUDFLARE_REFUSED_WITHIN_S
            for unproven in self._unproven:
                if unproven.at_s < refused_since_s:
                    record.proven[unproven.client_id] = unproven.end
                else:
                    self._give_up(unproven.client_id, unproven.end)
            record.has_ended = True
            self._owner.records.save(record)
            self._last(Ended(Exit(), record.position, dict(record.proven)), _Stand.ENDED)
        elif closed.message:
            self._drop(f"The Cloudflare sandbox says: {closed.message}")
        else:
            self._drop("The connection to the Cloudflare sandbox broke.")

    def _drop(self, reason: str) -> None:
        self.is_linked = False
        self._socket = None
        self._owner.socket_closed(self, reason)

    def _last(self, event: TerminalEvent, stand: _Stand = _Stand.OVER) -> None:
        if self._stand in (_Stand.OPENING, _Stand.LIVE):
            self._end(stand)
            self._events.post(event)

    def _end(self, stand: _Stand, *, silent: bool = False) -> None:
        self._stand = stand
        self.is_linked = False
        self._cancel_timers()
        if silent:
            self._events.silence()
        if self._record is not None:
            self._owner.records.save(self._record)
        if asyncio.current_task() is not self._task:
            self._task.cancel()
        if self._socket is not None:
            self._owner.let_go(self._socket)
            self._socket = None
        self._owner.done(self)
