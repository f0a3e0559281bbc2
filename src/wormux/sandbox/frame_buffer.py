"""Cuts what arrives on an agent's link into messages, with one copy of each terminal byte.

Terminal output is most of what the product moves, so OUTPUT frames take a short way here: no message type is looked
up, and neighbours that arrived together become one.
"""

from __future__ import annotations

from collections.abc import Iterator

from wormux.limits import KIB, LINK_FRAME_BYTES, LINK_OUTPUT_BYTES
from wormux.protocol.agent_link import HEADER, Kind, Message, Output, decode

_MIN_BYTES = 16 * KIB
"""What a quiet link costs."""
_MAX_BYTES = 256 * KIB
"""More than a unix socket holds, so that one read empties it. Only a larger frame makes the buffer larger."""


class FrameBuffer:
    """Bytes are put into `space`, then `took` gives the messages that are whole."""

    def __init__(self) -> None:
        self._buffer = bytearray(_MIN_BYTES)
        self._view = memoryview(self._buffer)
        self._filled = 0

    def space(self) -> memoryview:
        """Where the next bytes belong; never empty."""
        return self._view[self._filled :]

    def took(self, count: int) -> Iterator[Message]:
        """The messages that are whole, now that `count` bytes more are there. To be used up before the next call.

        Raises `ValueError` for a broken peer; the stream is over then."""
        filled = self._filled + count
        buffer, view = self._buffer, self._view
        start = 0
        outputs: list[memoryview] = []
        output_bytes = 0
        while filled - start >= HEADER.size:
            kind, length = HEADER.unpack_from(buffer, start)
            is_output = kind == Kind.OUTPUT and length <= LINK_OUTPUT_BYTES
            if outputs and not (is_output and output_bytes + length <= LINK_OUTPUT_BYTES):
                yield Output(b"".join(outputs))
                outputs, output_bytes = [], 0
            if length > LINK_FRAME_BYTES:
                raise ValueError(f"A frame of {length} bytes is more than a peer may send.")
            payload_start, end = start + HEADER.size, start + HEADER.size + length
            if end > filled:
                break
            if is_output:
                outputs.append(view[payload_start:end])
                output_bytes += length
            else:
                yield decode(kind, bytes(view[payload_start:end]))
            start = end
        if outputs:
            yield Output(b"".join(outputs))
        self._keep(start, filled)

    def _keep(self, start: int, filled: int) -> None:
        """Move the beginning of the next frame to the front, of a buffer of the size that the traffic asks for."""
        rest = filled - start
        size = len(self._buffer)
        if filled == size:
            size = max(size, min(2 * size, _MAX_BYTES))
        elif filled < size // 8:
            size = max(size // 2, _MIN_BYTES)
        if rest >= HEADER.size:
            _, length = HEADER.unpack_from(self._buffer, start)
            size = max(size, HEADER.size + length)
        if size != len(self._buffer):
            other = bytearray(size)
            other[:rest] = self._view[start:filled]
            self._buffer, self._view = other, memoryview(other)
        elif start and rest:
            self._view[:rest] = self._view[start:filled]
        self._filled = rest
