"""The screen that runs libghostty-vt: exact, fast, and C code on what programs wrote.

It owns one library terminal, its settings and what is kept of it. A crash in the library takes the process down, so
a server runs these in a process of their own.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, Protocol

from wormux.errors import ScreenError
from wormux.limits import MAX_COLS, MAX_ROWS, MIN_COLS, MIN_ROWS
from wormux.screen.answers import configure
from wormux.screen.library import Terminal
from wormux.screen.port import Match, Redraw, Screen
from wormux.screen.text import find, plain_text

_CHECKPOINT: Final = struct.Struct("<4sHI")
"""Magic, version, and the length of what follows when it is inflated."""
_MAGIC: Final = b"WXSC"
_VERSION: Final = 1


class Replies(Protocol):
    """Decides what of the library's answers a program gets."""

    def take(self, reply: bytes) -> bytes:
        """What is passed on of one answer, perhaps nothing."""


class GhosttyScreen(Screen):
    """One emulator. Not thread-safe."""

    def __init__(self, cols: int, rows: int, replies: Replies) -> None:
        _check_size(cols, rows)
        terminal = Terminal(cols, rows, self._reply)
        configure(terminal)
        self._adopt(terminal, replies)

    @classmethod
    def opened(cls, state: bytes, replies: Replies) -> GhosttyScreen:
        """The screen of which `state` is a checkpoint, of the size that it had. Raises `ScreenError` if `state` cannot
        be read."""
        screen = cls.__new__(cls)
        screen._adopt(Terminal.decoded(_unpacked(state), screen._reply), replies)
        return screen

    def _adopt(self, terminal: Terminal, replies: Replies) -> None:
        self._terminal = terminal
        self._replies = replies
        self._answer = bytearray()
        self.cols, self.rows = terminal.cols, terminal.rows

    def _reply(self, reply: bytes) -> None:
        self._answer += self._replies.take(reply)

    def feed(self, data: bytes) -> bytes:
        self._terminal.feed(data)
        answer = bytes(self._answer)
        self._answer.clear()
        return answer

    def resize(self, cols: int, rows: int) -> None:
        _check_size(cols, rows)
        self._terminal.resize(cols, rows)
        self.cols, self.rows = cols, rows

    def skip(self) -> None:
        raise NotImplementedError

    def set_colors(self, foreground: int, background: int, cursor: int) -> None:
        self._terminal.set_colors(foreground, background, cursor)

    def redraw(self, lines: int, limit_bytes: int) -> Redraw:
        raise NotImplementedError

    def checkpoint(self) -> bytes:
        snapshot = self._terminal.snapshot()
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
        raise NotImplementedError

    def shrink(self, memory_bytes: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._terminal.close()


def _check_size(cols: int, rows: int) -> None:
    if not (MIN_COLS <= cols <= MAX_COLS and MIN_ROWS <= rows <= MAX_ROWS):
        raise ScreenError(f"A terminal cannot be {cols} × {rows}.")


def _unpacked(state: bytes) -> bytes:
    raise NotImplementedError
