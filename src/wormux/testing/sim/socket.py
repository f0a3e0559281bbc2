"""One simulated WebSocket: the server's queue of frames, and the wire in both directions.

Frames leave the queue as the server's real socket takes them: urgent ones first, the rest counted back to the hub.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from wormux.ids import ConnectionId
from wormux.testing.sim.lanes import Lane, Lanes


class SimSocket(Lane):
    """As a lane it is what the socket takes next; `stalled`, it takes nothing."""

    def __init__(self, lanes: Lanes, connection_id: ConnectionId, sent: Callable[[int], None]) -> None:
        super().__init__(f"socket {connection_id}")
        self.connection_id = connection_id
        self.stalled = False
        self.over = False
        self.code: int | None = None
        """Why the server closed it."""
        self.on_frame: Callable[[bytes], None] = _nobody
        """The client's."""
        self.on_close: Callable[[int], None] = _nobody
        self._lanes = lanes
        self._sent = sent
        self._urgent: deque[bytes] = deque()
        self._others: deque[bytes] = deque()
        self._dropped = 0
        self._on_gone: Callable[[], None] | None = None
        self._down = lanes.lane("wire to client", connection_id)
        self.up = lanes.lane("wire to server", connection_id)
        lanes.add(self, "socket", connection_id)

    @property
    def unsent(self) -> int:
        """Bytes of frames that are not urgent and wait here."""
        return sum(map(len, self._others))

    # --- The server's side -------------------------------------------------------------------------------

    def send(self, frame: bytes, *, urgent: bool) -> None:
        if self._on_gone is None and not self.over:
            (self._urgent if urgent else self._others).append(frame)

    def drop(self, channel: int) -> None:
        """Forget what waits on this channel; it counts as sent."""
        kept = deque(frame for frame in self._others if frame[0] != channel)
        self._dropped += self.unsent - sum(map(len, kept))
        self._others = kept

    def close(self, code: int, on_gone: Callable[[], None]) -> None:
        """After what is urgent; `on_gone` is called when that is done."""
        if self._on_gone is None and not self.over:
            self.code = code
            self._on_gone = on_gone
            self._others.clear()

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
            self._put(frame)
            self._sent(len(frame))

    def cut(self) -> None:
        """The network is gone: nothing more arrives on either side."""
        self.over = True
        for name in ("socket", "wire to client", "wire to server"):
            self._lanes.drop(name, self.connection_id)

    def _put(self, frame: bytes) -> None:
        self._down.post(lambda: self.on_frame(frame))

    def _close(self, on_gone: Callable[[], None]) -> None:
        code = self.code or 1000
        self.over = True
        self._down.post(lambda: self.on_close(code))
        self._lanes.drop("socket", self.connection_id)
        self._lanes.drop("wire to server", self.connection_id)
        on_gone()


def _nobody(_: object) -> None:
    """The client is gone."""
