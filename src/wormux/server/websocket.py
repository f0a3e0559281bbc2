"""The WebSocket of one client: frames in, frames out, and the end of it. What frames mean is the hub's.

Received frames are taken one by one, so that a flood waits in the client's socket. Frames to send wait in two
lanes: urgent ones go first, the others are told to the hub once the socket took them. Neither lane has a bound
of its own here, since the hub counts what it has sent and what was taken.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from starlette.types import Message, Receive, Send

from wormux.bugs import log_bug
from wormux.hub.inputs import ClientGone, FrameReceived, FramesSent
from wormux.ids import Channel
from wormux.limits import DRAIN_S, FRAME_BYTES, SENT_REPORT_BYTES
from wormux.protocol.close_codes import CloseCode
from wormux.server.counts import Counts
from wormux.server.driver import Driver

logger = logging.getLogger(__name__)


class FrameLanes:
    """What waits for one socket, and the writer that sends it."""

    def __init__(self, send: Send, counts: Counts) -> None:
        self._send = send
        self._counts = counts
        self._urgent: deque[bytes] = deque()
        self._others: deque[bytes] = deque()
        self._sent_bytes = 0
        self._goodbye: tuple[int, str] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    @property
    def closing(self) -> bool:
        return self._goodbye is not None

    def send(self, frame: bytes, *, urgent: bool) -> None:
        if not self.closing:
            (self._urgent if urgent else self._others).append(frame)
            self._wake.set()

    def drop(self, channel: Channel) -> None:
        """Forget the waiting frames of this channel; they are told as sent."""
        kept = deque(frame for frame in self._others if frame[0] != channel)
        self._sent_bytes += sum(map(len, self._others)) - sum(map(len, kept))
        self._others = kept
        self._wake.set()

    def close(self, code: int, reason: str) -> None:
        """Close after what is urgent; a socket that takes nothing more is let go after `DRAIN_S`."""
        if not self.closing:
            self._goodbye = (code, reason)
            self._others.clear()
            self._wake.set()
            self._deadline = asyncio.get_running_loop().call_later(DRAIN_S, self._give_up)

    async def write(self, tell_sent: Callable[[int], None]) -> None:
        """Send until the socket is closed. `tell_sent` hears how many bytes of frames that were not urgent the
        socket took, or were dropped: when none wait, and every `SENT_REPORT_BYTES`."""
        self._writer = asyncio.current_task()
        try:
            while True:
                if self._urgent:
                    await self._send_frame(self._urgent.popleft())
                elif self._goodbye is not None:
                    code, reason = self._goodbye
                    await self._tell({"type": "websocket.close", "code": code, "reason": reason})
                    return
                elif self._others and self._sent_bytes < SENT_REPORT_BYTES:
                    frame = self._others.popleft()
                    await self._send_frame(frame)
                    self._sent_bytes += len(frame)
                elif self._sent_bytes:
                    count, self._sent_bytes = self._sent_bytes, 0
                    tell_sent(count)
                    await asyncio.sleep(0)  # a socket that takes everything must not keep the loop for itself
                else:
                    self._wake.clear()
                    await self._wake.wait()
        except OSError:
            return  # the client is gone; the reader hears it too
        finally:
            if self._deadline is not None:
                self._deadline.cancel()

    async def _send_frame(self, frame: bytes) -> None:
        await self._tell({"type": "websocket.send", "bytes": frame})
        self._counts.sent_bytes += len(frame)

    async def _tell(self, message: Message) -> None:
        """Raises `OSError` once the client is gone."""
        try:
            await self._send(message)
        except RuntimeError as error:
            # uvicorn has answered the client's close, or a broken frame, and the reader has not heard of it yet.
            raise ConnectionError("The WebSocket is closed.") from error

    def _give_up(self) -> None:
        if self._writer is not None:
            self._writer.cancel()


async def serve_client(receive: Receive, send: Send, driver: Driver, counts: Counts, peer: str) -> None:
    """Carry one accepted and authenticated WebSocket to its end, whichever side closes it."""
    lanes = FrameLanes(send, counts)
    connection_id = driver.connect(lanes, peer)

    def take(frame: bytes) -> None:
        counts.received_bytes += len(frame)
        driver.dispatch(FrameReceived(connection_id, frame))

    def tell_sent(count: int) -> None:
        driver.dispatch(FramesSent(connection_id, count))

    halves = (asyncio.create_task(_read(receive, lanes, take)), asyncio.create_task(lanes.write(tell_sent)))
    try:
        await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for half in halves:
            half.cancel()
        for outcome in await asyncio.gather(*halves, return_exceptions=True):
            if isinstance(outcome, Exception):
                log_bug(logger, "carrying a WebSocket", outcome)
        driver.dispatch(ClientGone(connection_id))


async def _read(receive: Receive, lanes: FrameLanes, take: Callable[[bytes], None]) -> None:
    """Hand on frames until the client is gone. Once the connection is closing, what still comes is dropped, so
    that the close frame is not lost to a reset."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if lanes.closing:
            continue
        frame = message.get("bytes")
        if frame is None:
            lanes.close(CloseCode.TEXT_MESSAGE, "Only binary messages are spoken here.")
        elif len(frame) > FRAME_BYTES:
            lanes.close(CloseCode.TOO_BIG, f"A frame has at most {FRAME_BYTES} bytes.")
        else:
            take(bytes(frame))
