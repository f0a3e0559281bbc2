"""The newest part of a pane's output, numbered from the pane's creation (protocol §5)."""

from __future__ import annotations

from bisect import bisect_right

from wormux.ids import PaneId
from wormux.limits import CHECKPOINT_LOG_BYTES, LOG_BYTES, LOG_SIZE_MARKS
from wormux.protocol.agent_link import SizeMark
from wormux.protocol.screen_link import CheckpointTaken
from wormux.records import Checkpoint

_JOIN_BELOW_BYTES = 4096
"""Pieces smaller than this are joined, so that a chatty shell does not cost an object per byte."""


class OutputLog:
    """Bytes `start`..`end` of the stream, with the sizes that they were written for."""

    def __init__(self, position: int, cols: int, rows: int) -> None:
        self.start = position
        self.end = position
        self._starts: list[int] = []
        self._chunks: list[bytes] = []
        self._sizes = [SizeMark(position, cols, rows)]

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

    def jump(self, position: int) -> None:
        """The stream goes on at `position`; what lies between was never seen."""
        size = self._sizes[-1]
        self._starts.clear()
        self._chunks.clear()
        self._sizes = [SizeMark(position, size.cols, size.rows)]
        self.start = self.end = position

    def checkpoint(self, screen: CheckpointTaken, pane_id: PaneId) -> Checkpoint:
        """What to keep in the store: the screen, and the output that led to it."""
        end = screen.position
        start = max(self.start, end - CHECKPOINT_LOG_BYTES)
        if not start < end <= self.end:  # what led to it is not kept any more, or not here again yet
            start = end
        pieces = []
        at = start
        while at < end:
            pieces.append(self.read(at, end - at))
            at += len(pieces[-1])
        first = self.size_at(start)
        if first.position > start:  # the log has jumped past this screen
            first = SizeMark(start, screen.cols, screen.rows)
        sizes = [mark for mark in self._sizes if start < mark.position <= end]
        return Checkpoint(
            pane_id,
            start,
            b"".join(pieces),
            tuple((mark.position, mark.cols, mark.rows) for mark in (first, *sizes)),
            screen.state,
            screen.cols,
            screen.rows,
        )

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

    def _trim(self, wanted_start: int) -> None:
        """Forget whole chunks, so that the log starts at `wanted_start` at the earliest."""
        index = 0
        while index < len(self._chunks) and self._starts[index] < wanted_start:
            index += 1
        del self._chunks[:index]
        del self._starts[:index]
        self.start = self._starts[0] if self._starts else self.end
        keep = max(0, bisect_right(self._sizes, self.start, key=lambda mark: mark.position) - 1)
        del self._sizes[:keep]
