"""The screen where no emulator runs: the newest output as it came, cut at a safe place.

It draws nothing itself and answers no query. A client that is fed its redraw sees what a terminal sees that was
opened that late: right for a shell, missing what a full-screen program set up before.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from wormux.errors import ScreenError
from wormux.limits import CWD_CHARS, MAX_COLS, MAX_ROWS, MIN_COLS, MIN_ROWS, REDRAW_LOG_BYTES, TITLE_CHARS
from wormux.screen.port import Match, Redraw, Screen
from wormux.screen.safe_cut import ParserState, safe_cut, state_after

_SPARE_BYTES = REDRAW_LOG_BYTES // 4
"""Cut off beyond what has to go, so that not every byte costs a cut."""
_JOIN_BELOW_BYTES = 4096
"""Pieces smaller than this are joined, so that a chatty shell does not cost an object per byte."""
_LEAST_BYTES = 4096
"""Stands for the visible screen, which is never forgotten."""
_MAGIC: Final = b"WXLG\x01"
_CANCEL = b"\x18"

_QUERY = re.compile(
    rb"\x05|\x1bZ"
    rb"|\x1b\[[?>=]?[0-9;]*c|\x1b\[\??[0-9;]*n|\x1b\[[0-9;]*x"  # attributes, status, parameters
    rb"|\x1b\[\??[0-9;]*\$p|\x1b\[>[0-9;]*q|\x1b\[\?u|\x1b\[\?[0-9;]*S"  # modes, version, keyboard, graphics
    rb"|\x1b\[0*(?:1[1345689]|2[01])[0-9;]*t|\x1b\[[0-9;]*\$w"  # window, tab stops
    rb"|\x1b\](?:4|5|1[0-9]|21|5[02]);(?:[^\x07\x18\x1a\x1b]*;)?\?[^\x07\x18\x1a\x1b]*(?:\x07|\x1b\\)"  # colours
    rb"|\x1bP[$+]q[^\x18\x1a\x1b]*\x1b\\"  # settings, capabilities
    rb"|\x1b_G[^\x18\x1a\x1b]*\x1b\\"  # images, which are acknowledged
)
_TITLE = re.compile(rb"\x1b\][02];([^\x07\x18\x1a\x1b]*)(?:\x07|\x1b\\)")
_CWD = re.compile(rb"\x1b\]7;([^\x07\x18\x1a\x1b]*)(?:\x07|\x1b\\)")
_NOT_TEXT = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x18\x1a\x1b]*(?:\x07|\x1b\\|[\x18\x1a]|$)"
    r"|\x1b[PX^_][^\x18\x1a\x1b]*(?:\x1b\\|[\x18\x1a]|$)|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]"
)
_UNFINISHED = {
    ParserState.ESCAPE: b"\x1b",
    ParserState.INTERMEDIATE: b"\x1b ",
    ParserState.CSI: b"\x1b[=",
    ParserState.OSC: b"\x1b]0000;",
    ParserState.STRING: b"\x1bX",
}
"""Begin a sequence that ends where the one with a lost beginning does, and means nothing."""


class _State(msgspec.Struct, frozen=True, array_like=True):
    """What a checkpoint holds, behind its magic."""

    cols: int
    rows: int
    title: bytes
    cwd: bytes | None
    data: bytes


class LogScreen(Screen):
    """The newest output of one pane."""

    def __init__(self, cols: int, rows: int) -> None:
        """Raises `ScreenError` for a size that no terminal has."""
        self.resize(cols, rows)
        self._chunks: list[bytes] = []
        """Read from the first on, a terminal is never in the middle of something."""
        self._size = 0
        self._title = b""
        """As it was before the chunks, like the directory."""
        self._cwd: bytes | None = None

    @classmethod
    def opened(cls, state: bytes) -> LogScreen:
        """The screen of which `state` is a checkpoint. Raises `ScreenError` if it cannot be read."""
        if not state.startswith(_MAGIC):
            raise ScreenError("The stored screen was written by another emulator.")
        try:
            kept = msgspec.msgpack.decode(state[len(_MAGIC) :], type=_State)
        except msgspec.DecodeError:
            raise ScreenError("A stored screen cannot be read.") from None
        screen = cls(kept.cols, kept.rows)
        screen._title, screen._cwd = kept.title, kept.cwd
        screen.feed(kept.data)
        return screen

    def feed(self, data: bytes) -> bytes:
        if self._chunks and len(self._chunks[-1]) + len(data) <= _JOIN_BELOW_BYTES:
            self._chunks[-1] += data
        else:
            self._chunks.append(data)
        self._size += len(data)
        if self._size > REDRAW_LOG_BYTES:
            self._cut(REDRAW_LOG_BYTES - _SPARE_BYTES)
        return b""

    def resize(self, cols: int, rows: int) -> None:
        if not (MIN_COLS <= cols <= MAX_COLS and MIN_ROWS <= rows <= MAX_ROWS):
            raise ScreenError(f"A terminal cannot be {cols} × {rows}.")
        self.cols, self.rows = cols, rows

    def skip(self) -> None:
        if state_after(ParserState.GROUND, self._data()) != ParserState.GROUND:
            self.feed(_CANCEL)

    def set_colors(self, foreground: int, background: int, cursor: int) -> None:
        """Nothing: no query is answered."""

    def redraw(self, lines: int, limit_bytes: int) -> Redraw:
        data = self._data()
        wanted = max(0, len(data) - limit_bytes, _start_of_last_lines(data, self.rows + lines))
        cut = safe_cut(ParserState.GROUND, data, wanted) if wanted else 0
        rest = data[cut:] or _begun(data)
        return Redraw(_QUERY.sub(b"", rest), data.count(b"\n", 0, cut))

    def checkpoint(self) -> bytes:
        state = _State(self.cols, self.rows, self._title, self._cwd, self._data())
        return _MAGIC + msgspec.msgpack.encode(state)

    def text(self, *, scrollback: bool = False) -> str:
        lines = self._lines()
        return "\n".join(lines if scrollback else lines[-self.rows :])

    def find(self, pattern: str, *, case_sensitive: bool = False, limit: int = 1000) -> list[Match]:
        if not pattern:
            return []
        wanted = re.compile(re.escape(pattern), 0 if case_sensitive else re.IGNORECASE)
        found: list[Match] = []
        lines = self._lines()
        for number in range(len(lines) - 1, -1, -1):
            places = [Match(number, m.start(), len(m[0])) for m in wanted.finditer(lines[number])]
            found += reversed(places)
            if len(found) >= limit:
                break
        return found[:limit]

    @property
    def title(self) -> str:
        return self._title_after(self._data()).decode("utf-8", "replace")[:TITLE_CHARS]

    @property
    def cwd(self) -> str | None:
        cwd = self._cwd_after(self._data())
        return cwd.decode("utf-8", "replace")[:CWD_CHARS] if cwd is not None else None

    @property
    def memory_bytes(self) -> int:
        return self._size

    def shrink(self, memory_bytes: int) -> None:
        keep = max(memory_bytes, _LEAST_BYTES)
        if self._size > keep:
            self._cut(keep)

    def close(self) -> None:
        self._chunks.clear()

    def _data(self) -> bytes:
        if len(self._chunks) > 1:
            self._chunks = [b"".join(self._chunks)]
        return self._chunks[0] if self._chunks else b""

    def _cut(self, keep_bytes: int) -> None:
        """Forget all but about the newest `keep_bytes`."""
        data = self._data()
        cut = safe_cut(ParserState.GROUND, data, len(data) - keep_bytes)
        forgotten, rest = data[:cut], data[cut:] or _begun(data)
        self._title, self._cwd = self._title_after(forgotten), self._cwd_after(forgotten)
        self._chunks, self._size = [rest], len(rest)

    def _title_after(self, data: bytes) -> bytes:
        found = _last(_TITLE, data)
        return self._title if found is None else found

    def _cwd_after(self, data: bytes) -> bytes | None:
        found = _last(_CWD, data)
        return self._cwd if found is None else found

    def _lines(self) -> list[str]:
        """What was written, without sequences; of a line that was written over, what came last."""
        text = _NOT_TEXT.sub("", self._data().decode("utf-8", "replace"))
        lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
        while lines and not lines[-1]:
            lines.pop()
        return lines


def _begun(data: bytes) -> bytes:
    """What stands for an unfinished sequence that is all that is left of `data`."""
    return _UNFINISHED.get(state_after(ParserState.GROUND, data), b"")


def _last(pattern: re.Pattern[bytes], data: bytes) -> bytes | None:
    found = None
    for match in pattern.finditer(data):
        found = match[1]
    return found


def _start_of_last_lines(data: bytes, lines: int) -> int:
    """Index where the last `lines` lines begin."""
    end = len(data) - data.endswith(b"\n")
    for _ in range(lines):
        end = data.rfind(b"\n", 0, end)
        if end < 0:
            return 0
    return end + 1
