"""The last bytes of a terminal's output, numbered, with the sizes that they were written for.

The PTY is read straight into the log and the connection sends straight out of it, so a byte is never copied in
between. Knows nothing of either: who may overwrite what is decided in `terminal`.
"""

from __future__ import annotations

import mmap
from dataclasses import replace

from wormux.limits import AGENT_LOG_BYTES, AGENT_SIZE_MARKS
from wormux.protocol.agent_link import SizeMark


class Log:
    """A ring of `capacity` bytes that holds the positions `start` (inclusive) to `end` (exclusive)."""

    def __init__(self, position: int, cols: int, rows: int, capacity: int = AGENT_LOG_BYTES) -> None:
        self.capacity = capacity
        self.start = position
        self.end = position
        self._origin = position
        # Mapped memory costs nothing until it is written: most terminals never fill their log.
        self._map = mmap.mmap(-1, capacity, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._ring = memoryview(self._map)
        self._sizes = [SizeMark(position, cols, rows)]

    def free(self, limit: int) -> memoryview:
        """Where the next bytes belong: at least 1 and at most `limit` bytes. Say with `wrote` how many were put."""
        at = (self.end - self._origin) % self.capacity
        return self._ring[at : min(at + limit, self.capacity)]

    def wrote(self, count: int) -> None:
        """So many bytes stand at the beginning of `free` now. The oldest make room for them."""
        self.end += count
        self.start = max(self.start, self.end - self.capacity)
        while len(self._sizes) > 1 and self._sizes[1].position <= self.start:
            del self._sizes[0]

    def append(self, data: bytes) -> None:
        """Write all of `data`."""
        rest = memoryview(data)
        while rest:
            room = self.free(len(rest))
            count = len(room)
            room[:] = rest[:count]
            self.wrote(count)
            rest = rest[count:]

    def parts(self, start: int, end: int) -> list[memoryview]:
        """The bytes from `start` to `end`, in order, uncopied: valid until they are overwritten."""
        if start >= end:
            return []
        first = (start - self._origin) % self.capacity
        count = end - start
        head = self._ring[first : first + count]
        if len(head) == count:
            return [head]
        return [head, self._ring[: count - len(head)]]

    @property
    def size(self) -> SizeMark:
        """The size in force for the next byte."""
        return self._sizes[-1]

    def resize(self, cols: int, rows: int) -> SizeMark:
        """The output from here on is written for this size."""
        mark = SizeMark(self.end, cols, rows)
        if self.size.position == mark.position:
            self._sizes.pop()
        elif len(self._sizes) == AGENT_SIZE_MARKS:
            oldest = self._sizes.pop(0)
            self._sizes[0] = replace(self._sizes[0], position=oldest.position)
        self._sizes.append(mark)
        return mark

    def sizes(self, position: int) -> list[SizeMark]:
        """The size in force at `position`, then all later ones."""
        before = sum(mark.position <= position for mark in self._sizes)
        return self._sizes[max(0, before - 1) :]
