"""One connection of the server: frames in, frames out, and as much backpressure as the kernel gives.

Output is not queued here: the connection is a cursor on its terminal's log, and sends from there. Notes (all other
frames) carry the position in the output at which they belong. What frames mean is decided in `agent`.
"""

from __future__ import annotations

import socket
import traceback
from collections import deque
from collections.abc import Callable

from wormux.agent.log import Log
from wormux.agent.loop import EVENT_READ, EVENT_WRITE, Loop
from wormux.limits import LINK_NOTES_BYTES, LINK_OUTPUT_BYTES
from wormux.protocol.agent_link import HEADER, FrameReader, Kind, Message, encode

_RECEIVE_BYTES = 64 * 1024


class Connection:
    """A socket of the server. `on_message` may raise `ValueError`: the connection is closed then.

    `on_closed` is called once, with a sentence if the peer broke the rules, however the connection came to its end.
    """

    def __init__(
        self,
        loop: Loop,
        peer: socket.socket,
        on_message: Callable[[Connection, Message], None],
        on_closed: Callable[[Connection, str | None], None],
    ) -> None:
        self.on_progress: Callable[[], None] | None = None
        """Called when the peer has taken something after it had made us wait, but never from inside `flush`."""
        self.closed = False
        self.sent = 0
        """Position of the next output byte that the socket has not taken."""
        self._loop = loop
        self._socket = peer
        self._on_message = on_message
        self._on_closed = on_closed
        self._frames = FrameReader()
        self._log: Log | None = None
        self._notes: deque[tuple[int, bytes]] = deque()
        self._notes_bytes = 0
        self._head = b""
        """What is left of the notes under way that go first, and of the header of the OUTPUT frame behind them."""
        self._frame_end = 0
        """The OUTPUT frame under way ends before this position."""
        self._tail = b""
        """What is left of the notes that go behind it."""
        self._ends_when_sent = False
        self._is_blocked = False
        """The socket took no more when it was tried last."""
        self._is_deaf = False
        """The peer takes nothing any more."""
        peer.setblocking(False)
        self._descriptor = peer.fileno()
        self._watch()

    def follow(self, log: Log, position: int) -> None:
        """Send the output in `log` from `position` on, as it comes."""
        self._log = log
        self.sent = self._frame_end = position

    def note(self, message: Message, position: int | None = None) -> None:
        """Send a frame once all output before `position` was sent; by default, all that there is.

        Positions never go back. Nothing moves before `flush`.
        """
        if self._is_deaf:
            return
        if position is None:
            position = self._log.end if self._log else 0
        frame = encode(message)
        self._notes.append((position, frame))
        self._notes_bytes += len(frame)

    @property
    def is_behind(self) -> bool:
        """The peer does not take what it was told: news that can wait should."""
        return self._notes_bytes > LINK_NOTES_BYTES

    @property
    def has_unsent(self) -> bool:
        """Something waits for the socket."""
        if self.closed or self._is_deaf:
            return False
        return bool(
            self._head or self._tail or self._notes or (self._log and self.sent < self._log.end)
        )  # fmt: skip

    def flush(self) -> None:
        """Send as much as the socket takes."""
        if self.closed:
            return
        blocked = False
        try:
            while not self._is_deaf and self._next_frame():
                parts = self._log.parts(self.sent, self._frame_end) if self._log else []
                count = self._socket.sendmsg([self._head, *parts, self._tail])
                self._took(count)
        except BlockingIOError:
            blocked = True
        except OSError:
            self._is_deaf = True  # It is gone, but what it said last is still to be read.
            self._notes.clear()
            self._notes_bytes = 0
        if self._is_blocked and not blocked:
            self._loop.call_after(0, self._progress)
        self._is_blocked = blocked
        if self._ends_when_sent and not blocked:
            self.close()
        else:
            self._watch()

    def hear(self) -> None:
        """Take now what has come, rather than when its turn comes."""
        if not (self.closed or self._ends_when_sent or self.is_behind):
            self._receive()

    def close_when_sent(self) -> None:
        """Say what is to be said, read nothing more, and close."""
        self._ends_when_sent = True
        self.flush()

    def close(self, broken: str | None = None) -> None:
        """Close now; `broken` says which rule the peer broke."""
        if not self.closed:
            self.closed = True
            self._loop.forget(self._descriptor)
            self._socket.close()
            self._notes.clear()
            self._on_closed(self, broken)

    def _took(self, count: int) -> None:
        """The socket has taken so many bytes of the frames under way."""
        of_head = min(count, len(self._head))
        self._head = self._head[of_head:]
        count -= of_head
        of_output = min(count, self._frame_end - self.sent)
        self.sent += of_output
        self._tail = self._tail[count - of_output :]

    def _next_frame(self) -> bool:
        """Is there a frame to go on with? As many as may be sent at once are taken together."""
        if self._head or self.sent < self._frame_end or self._tail:
            return True
        self._head = self._notes_before(self.sent)
        if self._log is not None:
            stop = min(self._log.end, self.sent + LINK_OUTPUT_BYTES)
            if self._notes:
                stop = min(stop, self._notes[0][0])
            if stop > self.sent:
                self._head += HEADER.pack(Kind.OUTPUT, stop - self.sent)
                self._frame_end = stop
                self._tail = self._notes_before(stop)
        return bool(self._head)

    def _notes_before(self, position: int) -> bytes:
        """Those that are due once all output before `position` is sent; they are under way now."""
        due: list[bytes] = []
        count = 0
        while self._notes and self._notes[0][0] <= position and count < LINK_OUTPUT_BYTES:
            due.append(self._notes.popleft()[1])
            count += len(due[-1])
        self._notes_bytes -= count
        return b"".join(due)

    def _watch(self) -> None:
        events = EVENT_WRITE if self._is_blocked else 0
        if not self.is_behind and not self._ends_when_sent:
            events |= EVENT_READ
        self._loop.watch(self._descriptor, events, self._on_events)

    def _on_events(self, events: int) -> None:
        if events & EVENT_WRITE:
            self._is_blocked = False
            self.flush()
            self._progress()
        if events & EVENT_READ and not self.closed:
            self._receive()

    def _progress(self) -> None:
        if self.on_progress is not None:
            self.on_progress()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except (BlockingIOError, ConnectionResetError):
            return  # A reset is told once, before the last bytes of a peer that left some of ours unread.
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        try:
            for message in self._frames.feed(data):
                self._on_message(self, message)
                if self.closed or self._ends_when_sent:
                    return
        except ValueError as error:
            self.close(str(error))
        except Exception:
            traceback.print_exc()
            self.close("A frame could not be handled.")
