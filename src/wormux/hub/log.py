"""The newest part of a pane's output, numbered from the pane's creation (protocol §5)."""

from __future__ import annotations

from bisect import bisect_right

from wormux.hub.safe_cut import ParserState, safe_cut, state_after
from wormux.ids import PaneId
from wormux.limits import LOG_BYTES, LOG_SIZE_MARKS, REDRAW_LOG_BYTES
from wormux.protocol.agent_link import SizeMark
from wormux.records import Checkpoint

LARGEST_REDRAW_BYTES = LOG_BYTES // 4
"""However many lines are asked for: it must find room in what may wait for a socket."""
_JOIN_BELOW_BYTES = 4096
"""Pieces smaller than this are joined, so that a chatty shell does not cost an object per byte."""


class OutputLog:
    """Bytes `start`..`end` of the stream, with the sizes that they were written for.

    In front of them may stand a backdrop: older output whose numbers are lost, shown in redraws only."""

    def __init__(self, position: int, cols: int, rows: int) -> None:
        self.start = position
        self.end = position
        self._starts: list[int] = []
        self._chunks: list[bytes] = []
        self._sizes = [SizeMark(position, cols, rows)]
        self._start_state = ParserState.GROUND
        self._backdrop = b""

    def append(self, data: bytes) -> None:
        """The program wrote `data`, which is not empty."""
        if self._chunks and len(self._chunks[-1]) + len(data) <= _JOIN_BELOW_BYTES:
            self._chunks[-1] += data
        else:
            self._starts.append(self.end)
            self._chunks.append(data)
        self.end += len(data)
        if self.end - self.start > LOG_BYTES:
            self._trim(self.end - LOG_BYTES)

    def mark_size(self, cols: int, rows: int) -> None:
        """What is written from here on is for this size."""
        last = self._sizes[-1]
        if (last.cols, last.rows) == (cols, rows):
            return
        if last.position == self.end:
            self._sizes.pop()
        self._sizes.append(SizeMark(self.end, cols, rows))
        if len(self._sizes) > LOG_SIZE_MARKS:
            self._trim(self._sizes[1].position)

    def size_at(self, position: int) -> SizeMark:
        """The size in force for the byte at `position`."""
        index = bisect_right(self._sizes, position, key=lambda mark: mark.position)
        return self._sizes[max(0, index - 1)]

    def next_size_after(self, position: int) -> SizeMark | None:
        """The first change of size behind `position`."""
        index = bisect_right(self._sizes, position, key=lambda mark: mark.position)
        return self._sizes[index] if index < len(self._sizes) else None

    def read(self, position: int, limit: int) -> bytes:
        """Some bytes from `position` on, at most `limit`, at least one; `start <= position < end`."""
        index = bisect_right(self._starts, position) - 1
        chunk = self._chunks[index]
        offset = position - self._starts[index]
        if offset == 0 and len(chunk) <= limit:
            return chunk
        return chunk[offset : offset + limit]

    def jump(self, position: int, state: ParserState) -> None:
        """The stream goes on at `position` with the parser in `state`; what lies between was never seen."""
        size = self._sizes[-1]
        self._backdrop = self.redraw()
        self._starts.clear()
        self._chunks.clear()
        self._sizes = [SizeMark(position, size.cols, size.rows)]
        self._start_state = state
        self.start = self.end = position

    def redraw(self, lines: int | None = None) -> bytes:
        """The newest output, from a safe place on: what stands in for a redraw. With `lines`, about so many."""
        limit = REDRAW_LOG_BYTES if lines is None else LARGEST_REDRAW_BYTES
        _, data = self._tail(limit, lines)
        room = limit - len(data)
        if not self._backdrop or self.end - limit > self.start or room <= 0:
            return data
        # It was a redraw itself, so it begins where a terminal is at rest.
        cut = safe_cut(ParserState.GROUND, self._backdrop, max(0, len(self._backdrop) - room))
        return self._backdrop[cut:] + data

    def checkpoint(self, pane_id: PaneId) -> Checkpoint:
        """What to keep in the store."""
        start, data = self._tail(REDRAW_LOG_BYTES, None)
        size = self.size_at(start)
        sizes = [(start, size.cols, size.rows)]
        sizes += [(mark.position, mark.cols, mark.rows) for mark in self._sizes if mark.position > start]
        return Checkpoint(pane_id, start, data, tuple(sizes))

    @classmethod
    def restored(cls, checkpoint: Checkpoint, cols: int, rows: int) -> OutputLog:
        """The log as a checkpoint has it."""
        first = checkpoint.sizes[0] if checkpoint.sizes else (checkpoint.start, cols, rows)
        log = cls(checkpoint.start, first[1], first[2])
        later = list(checkpoint.sizes[1:])
        at = checkpoint.start
        for position, mark_cols, mark_rows in [*later, (checkpoint.end, 0, 0)]:
            piece = checkpoint.log[at - checkpoint.start : position - checkpoint.start]
            if piece:
                log.append(piece)
                at = position
            if mark_cols:
                log.mark_size(mark_cols, mark_rows)
        return log

    def _tail(self, limit: int, lines: int | None) -> tuple[int, bytes]:
        """Position and bytes of the newest output, at most `limit` bytes, from a safe place on."""
        index = max(0, bisect_right(self._starts, self.end - limit) - 1)
        state = self._start_state
        for chunk in self._chunks[:index]:
            state = state_after(state, chunk)
        data = b"".join(self._chunks[index:])
        wanted = max(0, len(data) - limit)
        if lines is not None:
            wanted = max(wanted, _start_of_last_lines(data, lines))
        if wanted == 0 and state == ParserState.GROUND:
            return self.end - len(data), data
        cut = safe_cut(state, data, wanted)
        return self.end - len(data) + cut, data[cut:]

    def _trim(self, wanted_start: int) -> None:
        """Forget whole chunks, so that the log starts at `wanted_start` at the earliest."""
        index = 0
        while index < len(self._chunks) and self._starts[index] < wanted_start:
            self._start_state = state_after(self._start_state, self._chunks[index])
            index += 1
        del self._chunks[:index]
        del self._starts[:index]
        self.start = self._starts[0] if self._starts else self.end
        keep = max(0, bisect_right(self._sizes, self.start, key=lambda mark: mark.position) - 1)
        del self._sizes[:keep]
        self._backdrop = b""


def _start_of_last_lines(data: bytes, lines: int) -> int:
    """Index where the last `lines` lines begin."""
    end = len(data) - data.endswith(b"\n")
    for _ in range(lines):
        end = data.rfind(b"\n", 0, end)
        if end < 0:
            return 0
    return end + 1
