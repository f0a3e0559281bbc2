"""What a terminal shows, as text: lines as they were written, before the terminal wrapped them, and places in them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from wormux.screen.library import Terminal
from wormux.screen.port import Match

_BLANK: Final = " "


def plain_text(terminal: Terminal, *, scrollback: bool) -> str:
    """One line per row, those that were wrapped joined, without blanks at the ends of lines and blank lines at the end.
    Of a line that was begun above the screen, the screen alone has the rest."""
    rows = terminal.row_texts(scrollback=scrollback)
    first = 0 if scrollback else terminal.scrollback_rows
    lines = ("".join(rows[begin:end]).rstrip(_BLANK) for begin, end in _lines(terminal, rows, first))
    return "\n".join(lines).rstrip("\n")


def find(terminal: Terminal, pattern: str, *, case_sensitive: bool, limit: int) -> list[Match]:
    """The newest places, at most `limit`, the newest first. Places in one line are counted from its left and do not
    overlap. Characters are compared as they were written, in any case if not `case_sensitive`; half of a cell is
    found as the cell."""
    if not pattern or limit <= 0:
        return []
    wanted = re.compile(re.escape(pattern), re.NOFLAG if case_sensitive else re.IGNORECASE)
    rows = terminal.row_texts(scrollback=True)
    found: list[Match] = []
    for begin, end in reversed(list(_lines(terminal, rows, 0))):
        line = _Line(terminal, begin, rows[begin:end])
        newest = deque(wanted.finditer("".join(line.rows)), maxlen=limit - len(found))
        found.extend(line.place(*match.span()) for match in reversed(newest))
        if len(found) == limit:
            break
    return found


def _lines(terminal: Terminal, rows: list[str], first: int) -> Iterator[tuple[int, int]]:
    """Where each line begins and ends in `rows`, the first of which is the terminal's row `first`."""
    begin = 0
    for index in range(1, len(rows)):
        if not terminal.goes_on(first + index):
            yield begin, index
            begin = index
    yield begin, len(rows)


class _Line:
    """The rows of one line, and where its characters stand in them."""

    def __init__(self, terminal: Terminal, first: int, rows: list[str]) -> None:
        self.rows = rows
        self._terminal = terminal
        self._first = first
        self._starts = [0, *accumulate(map(len, rows[:-1]))]
        self._cells: dict[int, list[tuple[int, int]]] = {}

    def place(self, start: int, end: int) -> Match:
        """Of the characters from `start` up to `end`, of which there are some."""
        row, column, _ = self._cell(start)
        last_row, last_column, width = self._cell(end - 1)
        columns = (last_row - row) * self._terminal.cols + last_column + width - column
        return Match(self._first + row, column, columns)

    def _cell(self, at: int) -> tuple[int, int, int]:
        """Row of the line, column and width of the cell with a character."""
        row = bisect_right(self._starts, at) - 1
        offset = at - self._starts[row]
        if self.rows[row].isascii():
            return row, offset, 1
        if row not in self._cells:
            cells = enumerate(self._terminal.row_cells(self._first + row))
            self._cells[row] = [(column, width) for column, (text, width) in cells for _ in text]
        return row, *self._cells[row][offset]
