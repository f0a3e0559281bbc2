"""What programs print: into the emulator, the screen without one, and all else that looks at output.

Cut anywhere, with changes of size, redraws and checkpoints in between.
"""

from __future__ import annotations

from collections.abc import Iterable

from fuzz.kit import SECRET, Target, joined, need, pieces
from wormux.hub.log import OutputLog
from wormux.hub.title import TitleScanner
from wormux.ids import PaneId
from wormux.limits import (
    CHECKPOINT_LOG_BYTES,
    CWD_CHARS,
    KIB,
    LOG_BYTES,
    MAX_COLS,
    MAX_ROWS,
    MIN_COLS,
    MIN_ROWS,
    REDRAW_LOG_BYTES,
    SCREEN_SCROLLBACK_BYTES,
    TITLE_CHARS,
)
from wormux.protocol.screen_link import CheckpointTaken
from wormux.screen import library
from wormux.screen.answers import Answers
from wormux.screen.ghostty import GhosttyScreen
from wormux.screen.log_screen import LogScreen
from wormux.screen.port import Screen
from wormux.screen.safe_cut import ParserState, safe_cut, state_after

PRINT, REPEAT, CUT, RESIZE, SKIP, REDRAW, CHECKPOINT, LOOK, SHRINK, CAREFULLY = range(10)
_LARGEST_PRINT = 32 * KIB


class Watchers:
    """All that reads one pane's output."""

    def __init__(self, cols: int, rows: int) -> None:
        self.screens: list[Screen] = [LogScreen(cols, rows)]
        if library.available():
            self.screens.append(GhosttyScreen(cols, rows, Answers()))
        self.log = OutputLog(0, cols, rows)
        self.titles = TitleScanner()
        self.state = ParserState.GROUND

    def print(self, data: bytes) -> None:
        for screen in self.screens:
            answer = screen.feed(data)
            need(SECRET not in answer, "A program makes its terminal type what it printed.")
            need(not set(answer) & set(b"\r\n\3\4"), "An answer has a key in it that does something.")
        if data:
            self.log.append(data)
        title = self.titles.feed(data)
        need(
            title is None or (len(title) <= TITLE_CHARS and (title.isprintable())),
            "A title is no clean text.",
        )
        need(len(self.titles._carry) <= 4 * TITLE_CHARS + 8, "A title that was begun has no bound.")
        self.state = self._cut(data)
        need(self.log.end - self.log.start <= LOG_BYTES + len(data), "The log has no bound.")

    def _cut(self, data: bytes) -> ParserState:
        after = state_after(self.state, data)
        half = len(data) // 2
        need(
            state_after(state_after(self.state, data[:half]), data[half:]) == after,
            "The state depends on pieces.",
        )
        cut = safe_cut(self.state, data, half)
        need(half <= cut <= len(data), "A cut is before the place that was wanted.")
        return after

    def resize(self, cols: int, rows: int) -> None:
        for screen in self.screens:
            screen.resize(cols, rows)
            need((screen.cols, screen.rows) == (cols, rows), "It has another size than it was given.")
        self.log.mark_size(cols, rows)

    def skip(self) -> None:
        for screen in self.screens:
            screen.skip()

    def redraw(self, lines: int, limit_bytes: int) -> None:
        for screen in self.screens:
            redraw = screen.redraw(lines, limit_bytes)
            most = max(limit_bytes, 96 * KIB)  # the visible screen is never left out, nor what was begun
            need(len(redraw.data) <= most, f"A redraw of {len(redraw.data)} bytes.")
            need(redraw.above >= 0, "There are fewer than no lines above.")

    def checkpoint(self) -> None:
        """Each is put away, and goes on as what was read from that."""
        for index, screen in enumerate(self.screens):
            state = screen.checkpoint()
            again: Screen
            is_log = isinstance(screen, LogScreen)
            again = LogScreen.opened(state) if is_log else GhosttyScreen.opened(state, Answers())
            need((again.cols, again.rows) == (screen.cols, screen.rows), "A checkpoint has another size.")
            need(again.title == screen.title, "A checkpoint has another title.")
            need(again.text() == screen.text(), "A checkpoint shows something else.")
            screen.close()
            self.screens[index] = again
        kept = self.log.checkpoint(CheckpointTaken(self.log.end, 80, 24, b"state"), PaneId("p"))
        need(len(kept.log) <= CHECKPOINT_LOG_BYTES, "A checkpoint has no bound.")
        again_log = OutputLog.restored(kept, 80, 24)
        need((again_log.start, again_log.end) == (kept.start, kept.end), "A log comes back as another.")

    def look(self) -> None:
        for screen in self.screens:
            text = screen.text()
            need("\x1b" not in text, "Text has a control sequence.")
            if (
                screen.memory_bytes < 1024 * KIB
            ):  # it looks at every row, which of a full scrollback takes a second
                screen.find(text[-3:], case_sensitive=True, limit=1)
            need(len(screen.cwd or "") <= max(CWD_CHARS, 64 * KIB), "A directory has no bound.")
            need(len(screen.title) <= 64 * KIB, "A title has no bound.")
            most = (
                REDRAW_LOG_BYTES + _LARGEST_PRINT
                if isinstance(screen, LogScreen)
                else 2 * SCREEN_SCROLLBACK_BYTES
            )
            need(0 <= screen.memory_bytes <= most, "A screen has no bound.")

    def shrink(self, memory_bytes: int) -> None:
        for screen in self.screens:
            screen.shrink(memory_bytes)

    def close(self) -> None:
        for screen in self.screens:
            screen.close()


def run(data: bytes) -> None:
    """The first byte of a piece says what is done; that which is printed is its rest."""
    watchers = Watchers(80, 24)
    try:
        for piece in pieces(data)[:24]:
            _do(watchers, piece[0] % 10, piece[1:])
        watchers.redraw(200, 512 * KIB)
        watchers.look()
    finally:
        watchers.close()


def _do(watchers: Watchers, what: int, rest: bytes) -> None:
    number, other = (int.from_bytes(rest[at : at + 2], "big") for at in (0, 2))
    if what == PRINT:
        watchers.print(rest)
    elif what == REPEAT:
        times = min(number, _LARGEST_PRINT // max(1, len(rest)))
        watchers.print(rest[2:] * times)
    elif what == CUT and rest:
        for at in range(1, len(rest), 1 + rest[0] % 7):
            watchers.print(rest[at : at + 1 + rest[0] % 7])
    elif what == RESIZE:
        cols, rows = MIN_COLS + number % (MAX_COLS - 1), MIN_ROWS + other % (MAX_ROWS - 1)
        # The largest ones take long, and are no different.
        watchers.resize(cols, rows if cols * rows < 40_000 else MIN_ROWS)
    elif what == SKIP:
        watchers.skip()
    elif what == REDRAW:
        watchers.redraw(number % 2000, 16 * other)
    elif what == CHECKPOINT:
        watchers.checkpoint()
    elif what == LOOK:
        watchers.look()
    elif what == SHRINK:
        watchers.shrink(64 * number)
    else:
        for byte in rest[:2000]:
            watchers.print(bytes((byte,)))


_QUERIES = (
    b"\x1b[c\x1b[>c\x1b[5n\x1b[6n\x1b[?6n\x1b[?2004$p\x1b[4$p\x1b[>q"
    b"\x1bP$qm\x1b\\\x1bP$qr\x1b\\\x1b]4;1;?\x07\x1b]11;?\x07"
)
_TITLES = (
    b"\x1b]2;"
    + SECRET
    + b"\r\x07\x1b[21t\x1b[22t\x1b[23t\x1b]52;c;?\x07\x1b]0;"
    + SECRET
    + b"\x1b\\\x1b[20t\x05"
)
_MARKS = b"\x1b]133;P;k=i\x07$ \x1b]133;B\x07ls\r\n\x1b]133;C\x07\x1b]7;file://h/tmp\x07a\r\n\x1b]133;D;0\x07"
_FULL = (
    b"\x1b[?1049h\x1b[?1000;1006h\x1b[2;20r\x1b[?6h"
    b"\x1b[H\x1b[44mtop\x1b[K\x1b[L\x1b[M\x1b[5@\x1b[3P\x1b[?6l\x1b[r\x1b[?1049l"
)
_WIDE = "漢字 e\u0301 👩\u200d👩\u200d👧 a\u0308\u0323".encode() + b"\x1b[65535b\x1b(0lqk\x1b(B\x1bn\x0e\x0f"
_LINKS = b'\x1b]8;id=1;http://a/b\x1b\\link\x1b]8;;\x07\x1b[38;2;1;2;3;48;5;9;58:2::1:2:3;4:3mx\x1b[m\x1b[1"qp\x1b[0"q'


def seeds() -> Iterable[bytes]:
    for stream in (_QUERIES, _TITLES, _MARKS, _FULL, _WIDE, _LINKS):
        yield joined(b"\0" + stream)
        yield joined(b"\2\2" + stream, bytes((CHECKPOINT,)), b"\0" + stream)
        yield joined(
            b"\x09" + stream, b"\3\0\x05\0\x03", b"\0" + stream, b"\3\0\x50\0\x18", b"\5\0\x10\x10\0"
        )
    yield joined(
        b"\1\1\0" + _WIDE + b"\r\n",
        bytes((SHRINK,)) + b"\0\x10",
        bytes((LOOK,)),
        b"\3\0\0\0\0",
        bytes((CHECKPOINT,)),
    )
    yield joined(
        b"\0\x1b]2;" + b"x" * 50,
        b"\6",
        b"\0y\x07",
        b"\4",
        b"\0\x1bP$q",
        b"\5\0\0\1\0",
        b"\4",
        b"\0m\x1b\\",
        b"\7",
    )
    yield joined(b"\1\xff\xff\x1b[", b"\1\xff\xff1;", b"\6", b"\0m")
    yield joined(b"\1\xff\xffa" + "\u0301".encode(), b"\5\0\x10\0\x10", b"\6")
    yield joined(
        b"\0\x1b[?69h\x1b[5;20s\x1b[?7l" + _WIDE, b"\3\0\x12\0\0", b"\6", b"\0\x1b[?3h\x1b[?40h", b"\7"
    )
    yield joined(b"\0\x1b[?47h" + _WIDE, b"\3\0\x03\0\x01", b"\0\x1b[?47l", b"\5\0\x10\xff\xff", b"\6")


TARGET = Target(
    "screens",
    "what programs print: emulator, log, titles, cuts",
    run,
    seeds,
    words=(
        b"\x1b[?1049h",
        b"\x1b]",
        b"\x1bP",
        b"\x1b_G",
        b"\x1b\\",
        b"\x1b[?6h",
        b"\x1b8",
        b"\x1bc",
        b"\x1b[65535",
        b"\x18",
        b"\x9b",
        b"\xf0\x9f\x91\xa9\xe2\x80\x8d",
    ),
    examples=25,
)
