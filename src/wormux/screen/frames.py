"""Cuts what arrives on the link between a server and a worker into frames; used at both ends."""

from __future__ import annotations

from collections.abc import Iterator

from wormux.limits import KIB, SCREEN_FRAME_BYTES
from wormux.protocol.screen_link import HEADER, frame_length

_BYTES = 256 * KIB
"""About what the kernel holds for one socket, so that one read empties it. Only a larger frame makes the buffer
larger, and no further than it has arrived: the peer's word alone costs nothing."""


class FrameBuffer:
    """Bytes are put into `space`, then `took` gives the frames that are whole."""

    def __init__(self) -> None:
        self._buffer = bytearray(_BYTES)
        self._view = memoryview(self._buffer)
        self._filled = 0

    def space(self) -> memoryview:
        """Where the next bytes belong; never empty."""
        return self._view[self._filled :]

    def took(self, count: int) -> Iterator[memoryview]:
        """The payloads that are whole, now that `count` bytes more are there; each is good until the next is asked
        for. To be used up before the next call. Raises `ValueError` for a broken peer; the stream is over then."""
        filled = self._filled + count
        start = 0
        while filled - start >= HEADER.size:
            payload = start + HEADER.size
            end = payload + frame_length(self._view[start:payload])
            if end > filled:
                break
            yield self._view[payload:end]
            start = end
        self._keep(start, filled)

    def _keep(self, start: int, filled: int) -> None:
        """Move the beginning of the next frame to the front, of a buffer that has room for more of it."""
        rest = filled - start
        size = len(self._buffer)
        if rest == size:
            size = min(2 * size, HEADER.size + SCREEN_FRAME_BYTES)
        elif rest < _BYTES:
            size = _BYTES
        if size != len(self._buffer):
            other = bytearray(size)
            other[:rest] = self._view[start:filled]
            self._buffer, self._view = other, memoryview(other)
        elif start and rest:
            self._view[:rest] = self._view[start:filled]
        self._filled = rest
