"""One simulated WebSocket: the server's queue of frames, and the wire in both directions.

Frames leave the queue as the server's real socket takes them: urgent ones first, the rest counted back to the hub.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from wormux.ids import ConnectionId
from wormux.testing.sim.lanes import Lane, Lanes

BROKEN = 1006
"""The close code of a connection that just broke (RFC 6455)."""


class SimSocket(Lane):
    """As a lane it is what the socket takes next; `stalled`, it takes nothing."""

    def __init__(self, lanes: Lanes, connection_id: ConnectionId, sent: Callable[[int], None]) -> None:
        super().__init__(f"socket {connection_id}")
        self.connection_id = connection_id
        self.stalled = False
        self.over = False
        self.code: int | None = None
        """Why the server closed it."""
        self.unsent = 0
        """Bytes of frames that are not urgent and wait here."""
        self.on_frame: Callable[[bytes], None] = _nobody
        """The client's."""
        self.on_close: Callable[[int], None] = _nobody
        self._lanes = lanes
        self._sent = sent
        self._urgent: deque[bytes] = deque()
        self._others: deque[bytes] = deque()
        self._dropped = 0
        self._on_gone: Callable[[], None] | None = None
        self.down = lanes.lane("wire to client", connection_id)
        self.up = lanes.lane("wire to server", connection_id)
        lanes.add(self, "socket", connection_id)

    # --- The server's side -------------------------------------------------------------------------------

    @property
    def closing(self) -> bool:
        """The server has closed it."""
        return self._on_gone is not None or self.over

    def send(self, frame: bytes, *, urgent: bool) -> None:
        if self.closing:
            return
        if urgent:
            self._urgent.append(frame)
        else:
            self._others.append(frame)
            self.unsent += len(frame)

    def drop(self, channel: int) -> None:
        """Forget what waits on this channel; it counts as sent."""
        kept = deque(frame for frame in self._others if frame[0] != channel)
        count = sum(map(len, kept))
        self._dropped += self.unsent - count
        self._others, self.unsent = kept, count

    def close(self, code: int, on_gone: Callable[[], None]) -> None:
        """After what is urgent; `on_gone` is called when that is done."""
        if not self.closing:
            self.code = code
            self._on_gone = on_gone
            self._others.clear()
            self.unsent = 0

    def __len__(self) -> int:
        if self.stalled or self.over:
            return 0
        return len(self._urgent) + len(self._others) + bool(self._dropped) + (self._on_gone is not None)

    def deliver(self) -> None:
        """The socket takes one frame."""
        if self._dropped:
            count, self._dropped = self._dropped, 0
            self._sent(count)
        elif self._urgent:
            self._put(self._urgent.popleft())
        elif self._on_gone is not None:
            self._close(self._on_gone)
        else:
            frame = self._others.popleft()
            self.unsent -= len(frame)
            self._put(frame)
            self._sent(len(frame))

    # --- The network -------------------------------------------------------------------------------------

    def part(self, *, up: bool, down: bool) -> None:
        """Let nothing through in these directions; neither side is told."""
        self.up.stuck, self.down.stuck = up, down

    @property
    def parted(self) -> bool:
        return self.up.stuck or self.down.stuck

    @property
    def quiet(self) -> bool:
        """Nothing is on its way to the client."""
        return not (self._urgent or self._others or self.down.under_way)

    def give_up(self) -> None:
        """The server has not heard from the client for too long. What it had sent may still arrive."""
        if not self.over:
            self._end(BROKEN)

    def cut(self) -> None:
        """The network is gone: nothing more arrives on either side."""
        self.over = True
        for name in ("socket", "wire to client", "wire to server"):
            self._lanes.drop(name, self.connection_id)

    def _put(self, frame: bytes) -> None:
        self.down.post(lambda: self.on_frame(frame))

    def _close(self, on_gone: Callable[[], None]) -> None:
        code = self.code or 1000
        self._end(code)
        on_gone()

    def _end(self, code: int) -> None:
        """The server's side is over; the client hears of it behind everything else."""

        def closed() -> None:
            self._lanes.drop("wire to client", self.connection_id)
            self.on_close(code)

        self.over = True
        self.down.post(closed)
        self._lanes.drop("socket", self.connection_id)
        self._lanes.drop("wire to server", self.connection_id)


def _nobody(_: object) -> None:
    """The client is gone."""
