"""The screen that runs libghostty-vt: exact, fast, and C code on what programs wrote.

It owns one library terminal, its settings and what is kept of it. A crash in the library takes the process down, so
a server runs these in a process of their own.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, Protocol

from wormux.errors import ScreenError
from wormux.limits import (
    KIB,
    MAX_COLS,
    MAX_ROWS,
    MIN_COLS,
    MIN_ROWS,
    SCREEN_FRAME_BYTES,
    SCREEN_SCROLLBACK_BYTES,
)
from wormux.screen.answers import configure
from wormux.screen.encoder import encode, meaningless
from wormux.screen.library import SnapshotRefused, Terminal
from wormux.screen.port import Match, Redraw, Screen
from wormux.screen.snapshot import PRIMARY, read
from wormux.screen.text import find, plain_text

_CHECKPOINT: Final = struct.Struct("<4sHI")
"""Magic, version, and the length of what follows when it is inflated."""
_MAGIC: Final = b"WXSC"
_VERSION: Final = 1
_CANCEL: Final = b"\x18"
"""CAN: gives up a sequence, and does not carry out what was begun of it."""
_ESCAPE: Final = b"\x1b"
_ERASERS: Final = (b"\x1b[X", b" ")
"""One cell; the second one also where it is protected."""
_ORIGIN, _AUTOWRAP, _INSERT = 6, 7, 1 << 15 | 4
_REST_OF_WIDE, _NARROW, _WIDE = 0, 1, 2
_EMPTY_BYTES: Final = 700 * KIB
"""A terminal without scrollback (measured)."""


class Replies(Protocol):
    """Decides what of the library's answers a program gets."""

    def take(self, reply: bytes) -> bytes:
        """What is passed on of one answer, perhaps nothing."""


class GhosttyScreen(Screen):
    """One emulator. Not thread-safe."""

    def __init__(self, cols: int, rows: int, replies: Replies) -> None:
        _check_size(cols, rows)
        self._adopt(Terminal(cols, rows, self._reply), replies)
        configure(self._terminal)

    @classmethod
    def opened(cls, state: bytes, replies: Replies) -> GhosttyScreen:
        """The screen of which `state` is a checkpoint, of the size that it had. Raises `ScreenError` if `state` cannot
        be read."""
        snapshot = _unpacked(state)
        found = read(snapshot)
        _check_size(found.cols, found.rows)
        screen = cls.__new__(cls)
        screen._adopt(Terminal.decoded(snapshot, screen._reply), replies)
        screen._scrollback_rows = found.screens[PRIMARY].history_rows
        return screen

    def _adopt(self, terminal: Terminal, replies: Replies) -> None:
        self._terminal = terminal
        self._replies = replies
        self._answer = bytearray()
        self._introducer = (terminal.continuation or b"")[:2]
        """Of the last escape sequence, perhaps only its first byte yet."""
        self.cols, self.rows = terminal.cols, terminal.rows
        self._scrollback_rows = 0

    def _reply(self, reply: bytes) -> None:
        self._answer += self._replies.take(reply)

    def feed(self, data: bytes) -> bytes:
        self._answer.clear()  # what giving up a begun query was answered with, in `skip` or for a checkpoint
        self._terminal.feed(data)
        escape = data.rfind(_ESCAPE)
        if escape >= 0:
            self._introducer = data[escape : escape + 2]
        elif self._introducer == _ESCAPE:
            self._introducer += data[:1]
        # DECCOLM is a program's wish, but the size is for those who look at it to say.
        if self._terminal.cols != self.cols:
            self._fit(self.cols, self.rows)
        return bytes(self._answer)

    def resize(self, cols: int, rows: int) -> None:
        """Both screens keep their rows at the bottom; lines of the primary one are folded anew. So does xterm.js."""
        _check_size(cols, rows)
        self._fit(cols, rows)
        self.cols, self.rows = cols, rows

    def skip(self) -> None:
        self._terminal.feed(_CANCEL)

    def set_colors(self, foreground: int, background: int, cursor: int) -> None:
        self._terminal.set_colors(foreground, background, cursor)

    def redraw(self, lines: int, limit_bytes: int) -> Redraw:
        return encode(read(self._snapshot()), lines, limit_bytes)

    def checkpoint(self) -> bytes:
        snapshot = self._snapshot()
        return _CHECKPOINT.pack(_MAGIC, _VERSION, len(snapshot)) + zlib.compress(snapshot, 1)

    def text(self, *, scrollback: bool = False) -> str:
        return plain_text(self._terminal, scrollback=scrollback)

    def find(self, pattern: str, *, case_sensitive: bool = False, limit: int = 1000) -> list[Match]:
        return find(self._terminal, pattern, case_sensitive=case_sensitive, limit=limit)

    @property
    def title(self) -> str:
        return self._terminal.title.decode("utf-8", "replace")

    @property
    def cwd(self) -> str | None:
        return self._terminal.cwd.decode("utf-8", "replace") or None

    @property
    def memory_bytes(self) -> int:
        """Estimated from the rows, which is right within a third for text with styles. Rows full of clusters (accents
        typed apart, joined emoji) take up to four times as much, though never more than the library's limit."""
        if not self._terminal.on_alternate:  # there the library does not tell of the primary one's scrollback
            self._scrollback_rows = self._terminal.scrollback_rows
        rows = self._scrollback_rows + self.rows
        return min(_EMPTY_BYTES + rows * _row_bytes(self.cols), _EMPTY_BYTES + SCREEN_SCROLLBACK_BYTES)

    def shrink(self, memory_bytes: int) -> None:
        """Lowering the library's limit forgets whole pages of rows at once (measured: from 8.5 to 2.9 MiB for 2 MiB);
        then the limit is as before, so that the scrollback may grow again."""
        keep = max(0, memory_bytes - _EMPTY_BYTES)
        self._terminal.limit_scrollback(keep)
        self._terminal.limit_scrollback(SCREEN_SCROLLBACK_BYTES)
        self._scrollback_rows = min(self._scrollback_rows, keep // _row_bytes(self.cols))

    def close(self) -> None:
        self._terminal.close()

    def _fit(self, cols: int, rows: int) -> None:
        """The library folds lines only while they would wrap, and otherwise cuts wide characters in two at the new
        edge, which no snapshot can say."""
        wraps = self._terminal.mode(_AUTOWRAP)
        self._terminal.set_mode(_AUTOWRAP, True)
        self._terminal.resize(cols, rows)
        self._terminal.set_mode(_AUTOWRAP, wraps)

    def _snapshot(self) -> bytes:
        """Where the library has none of the terminal as it is, the terminal is made into one that it has."""
        for eraser in _ERASERS:
            try:
                return self._terminal.snapshot()
            except SnapshotRefused:
                if self._terminal.continuation is None:
                    # Of a sequence this long the library does nothing at its end, so nothing is lost.
                    self._terminal.feed(_CANCEL + meaningless(self._introducer))
                else:
                    self._mend(eraser)
        try:
            return self._terminal.snapshot()
        except SnapshotRefused:
            # Inside a malformed sequence (ESC _ and a byte of the C1 range) the library writes none. It is given up,
            # since it may never end, and until then nobody could be shown the screen.
            self._terminal.feed(_CANCEL)
            return self._terminal.snapshot()

    def _mend(self, eraser: bytes) -> None:
        """Erase the halves of wide characters that a resize left at what was the alternate screen's edge."""
        terminal = self._terminal
        begun = terminal.continuation or b""
        if begun:
            terminal.feed(_CANCEL)
        hidden = not terminal.on_alternate
        if hidden:
            terminal.feed(b"\x1b[?47h")
        x, y = terminal.cursor
        modes = {mode: terminal.mode(mode) for mode in (_ORIGIN, _INSERT)}
        for mode in modes:
            terminal.set_mode(mode, False)
        above = terminal.scrollback_rows
        for row in range(self.rows):
            widths = [width for _text, width in terminal.row_cells(above + row)]
            for column, (width, after) in enumerate(zip(widths, [*widths[1:], _NARROW], strict=True)):
                if width == _WIDE and after != _REST_OF_WIDE:
                    terminal.feed(b"\x1b[%d;%dH" % (row + 1, column + 1) + eraser)
        terminal.feed(b"\x1b[%d;%dH" % (y + 1, x + 1))
        for mode, value in modes.items():
            terminal.set_mode(mode, value)
        if hidden:
            terminal.feed(b"\x1b[?47l")
        terminal.feed(begun)


def _check_size(cols: int, rows: int) -> None:
    if not (MIN_COLS <= cols <= MAX_COLS and MIN_ROWS <= rows <= MAX_ROWS):
        raise ScreenError(f"A terminal cannot be {cols} × {rows}.")


def _row_bytes(cols: int) -> int:
    """Of the library's memory, for a row: eight bytes a cell, and about a sixth for styles and the rest (measured)."""
    return cols * 8 * 7 // 6


def _unpacked(state: bytes) -> bytes:
    """The library's snapshot in a checkpoint, never more than it says. Raises `ScreenError`."""
    if len(state) < _CHECKPOINT.size:
        raise _unreadable()
    magic, version, length = _CHECKPOINT.unpack_from(state)
    if magic != _MAGIC or version != _VERSION or length > SCREEN_FRAME_BYTES:
        raise _unreadable()
    inflate = zlib.decompressobj()
    try:
        snapshot = inflate.decompress(memoryview(state)[_CHECKPOINT.size :], length + 1)
    except zlib.error as error:
        raise _unreadable() from error
    if len(snapshot) != length or not inflate.eof or inflate.unused_data:
        raise _unreadable()
    return snapshot


def _unreadable() -> ScreenError:
    return ScreenError("A stored screen cannot be read.")
