"""A redraw leaves the page's terminal as the whole stream would have.

Recordings of real programs are cut at random places, inside escape sequences and characters too. One terminal of
xterm.js reads a recording from its begin; others begin with our emulator's redraw at a cut and read the rest. At every
cut and at the end each of them is compared with the first: every cell of both screens and of the scrollback, and
everything beside cells. docs/screens.md tells what is left, and its share.

WORMUX_SCREEN_CUTS says how often each recording is cut.
"""

from __future__ import annotations

import functools
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.screen import recording as recordings
from tests.screen.recording import Recording, Resize
from tests.screen.xterm import Comparison, Xterm, oracle
from wormux.limits import DEEP_REDRAW_BYTES, DEEP_REDRAW_LINES
from wormux.screen.answers import Answers
from wormux.screen.ghostty import GhosttyScreen

CUTS = int(os.environ.get("WORMUX_SCREEN_CUTS", "24"))
MOST_DIFFERING = 0.0005
"""Of all cells that are compared."""

CELLS = {
    "continued": "Whether a row goes on from the one above is forgotten by xterm.js alone when the row is erased, and"
    " by the emulator alone when the one above has scrolled away. A new width would show it, and brings a redraw.",
    "empty": "Cells that a program did not write: the half that is left of a wide character, and a fresh alternate"
    " screen, which the emulator fills with the background that the last one was left with.",
    "keycap": "The emulator leaves U+FE0F out between a digit and its keycap.",
}
"""Every way in which cells may differ, and why."""
STATE = {
    "alternate saved cursor": "xterm.js moves it with the rows that scroll; the emulator leaves it in its place.",
    "charsets": "A soft reset gives up designated sets in xterm.js alone, and so does restoring the cursor in the"
    " emulator alone.",
    "cursor blinks": "What ?12 and what DECSCUSR says is one setting for the emulator. In xterm.js the first holds"
    " again when the second is taken back (CSI 0 SP q).",
    "normal saved cursor": "As of the alternate screen.",
}
"""Everything else that may differ, and why."""

REPAINTED = ["colours", "curses", "htop", "less", "mc", "nano", "python", "top", "vim"]
"""Their programs draw everything anew for a new size, or never get one."""

RESET = b"\x18\x1bc"
"""What the page writes before a redraw."""

WHOLE = re.compile(rb"\x1b[^a-zA-Z]*[a-zA-Z]|[\x80-\xff]+")
"""Sequences, roughly, and characters of several bytes."""


@dataclass
class Tally:
    """What was compared, and what differed in it."""

    cells: int = 0
    differing: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    state: Counter[str] = field(default_factory=Counter)
    examples: list[Any] = field(default_factory=list)

    def add(self, comparisons: list[Comparison]) -> None:
        for comparison in comparisons:
            self.cells += comparison.cells
            self.differing += comparison.differing
            self.kinds.update(comparison.kinds)
            self.state.update(name for name, _, _ in comparison.state)
            self.examples += (entry for entry in comparison.state if entry[0] not in STATE)
            self.examples += (example for example in comparison.examples if example["kind"] not in CELLS)

    def hold(self) -> None:
        assert self.examples == []
        assert self.kinds.keys() <= CELLS.keys()
        assert self.state.keys() <= STATE.keys()


@dataclass(frozen=True)
class Cut:
    """A place where a redraw is tried."""


def cuts(name: str, output: bytes) -> list[int]:
    """Every other one is inside something that belongs together."""
    chance = random.Random(f"{name} {CUTS}")
    inside = [at for match in WHOLE.finditer(output) for at in range(match.start() + 1, match.end())]
    anywhere = [chance.randrange(len(output)) for _ in range(CUTS - CUTS // 2)]
    return sorted({*anywhere, *chance.sample(inside, min(len(inside), CUTS // 2))})


def steps(recording: Recording, offsets: list[int]) -> Iterator[bytes | Resize | Cut]:
    """The recording with its cuts. A cut at the very place of a resize comes before it."""
    position, left = 0, list(offsets)
    for record in recording.records:
        if isinstance(record, Resize):
            yield record
            continue
        start = position
        while left and left[0] <= start + len(record):
            cut = left.pop(0)
            yield record[position - start : cut - start]
            yield Cut()
            position = cut
        yield record[position - start :]
        position = start + len(record)


def redraw(screen: GhosttyScreen) -> bytes:
    return RESET + screen.redraw(DEEP_REDRAW_LINES, DEEP_REDRAW_BYTES).data


def judge(xterm: Xterm, name: str, *, redrawn: bool) -> Tally:
    """`redrawn`: after each change of size all terminals get a redraw, the first one too, as a page does."""
    recording = recordings.load(name)
    screen = GhosttyScreen(recording.cols, recording.rows, Answers())
    terminals = [xterm.open(recording.cols, recording.rows)]
    tally = Tally()
    for step in steps(recording, cuts(name, recording.output)):
        match step:
            case Cut():
                terminals.append(xterm.open(screen.cols, screen.rows))
                xterm.write(terminals[-1:], redraw(screen))
                tally.add(xterm.compare(terminals[0], terminals[1:]))
            case Resize(cols, rows):
                screen.resize(cols, rows)
                xterm.resize(terminals, cols, rows)
                if redrawn:
                    xterm.write(terminals, redraw(screen))
            case bytes():
                screen.feed(step)
                xterm.write(terminals, step)
    tally.add(xterm.compare(terminals[0], terminals[1:]))
    xterm.close(terminals)
    screen.close()
    return tally


def difference(xterm: Xterm, *stream: bytes | Resize) -> Comparison:
    """Between a terminal of the stream and one of its redraw."""
    screen = GhosttyScreen(80, 24, Answers())
    read, redrawn = xterm.open(80, 24), xterm.open(80, 24)
    for step in stream:
        if isinstance(step, Resize):
            screen.resize(step.cols, step.rows)
            xterm.resize([read, redrawn], step.cols, step.rows)
        else:
            screen.feed(step)
            xterm.write([read], step)
    xterm.write([redrawn], redraw(screen))
    [comparison] = xterm.compare(read, [redrawn])
    xterm.close([read, redrawn])
    screen.close()
    return comparison


@pytest.fixture(scope="module")
def xterm() -> Iterator[Xterm]:
    with oracle() as running:
        yield running


@pytest.fixture(scope="module")
def judged(xterm: Xterm) -> Callable[[str], Tally]:
    return functools.cache(lambda name: judge(xterm, name, redrawn=True))


def test_all_programs_are_recorded() -> None:
    assert recordings.names() == sorted([*REPAINTED, "bash", "tmux"])


@pytest.mark.parametrize("name", recordings.names())
def test_a_redraw_and_the_rest_are_the_whole_stream(judged: Callable[[str], Tally], name: str) -> None:
    judged(name).hold()


def test_few_cells_differ(judged: Callable[[str], Tally]) -> None:
    tallies = [judged(name) for name in recordings.names()]
    cells, differing = sum(tally.cells for tally in tallies), sum(tally.differing for tally in tallies)
    kinds = sum((tally.kinds for tally in tallies), Counter[str]())
    print(f"{differing} of {cells} cells differ: {dict(kinds)}")  # for docs/screens.md
    assert differing <= MOST_DIFFERING * cells


@pytest.mark.parametrize("name", REPAINTED)
def test_programs_that_paint_anew_need_no_redraw_for_a_new_size(xterm: Xterm, name: str) -> None:
    judge(xterm, name, redrawn=False).hold()


@pytest.mark.parametrize("name", recordings.names())
def test_a_checkpoint_redraws_the_same(name: str) -> None:
    recording = recordings.load(name)
    screen = GhosttyScreen(recording.cols, recording.rows, Answers())
    for step in steps(recording, cuts(name, recording.output)):
        match step:
            case Cut():
                kept = GhosttyScreen.opened(screen.checkpoint(), Answers())
                assert redraw(kept) == redraw(screen)
                screen.close()
                screen = kept
            case Resize(cols, rows):
                screen.resize(cols, rows)
            case bytes():
                screen.feed(step)
    screen.close()


def test_a_redraw_has_as_much_scrollback_as_is_asked_for(xterm: Xterm) -> None:
    recording = recordings.load("colours")
    screen = GhosttyScreen(recording.cols, recording.rows, Answers())
    whole = xterm.open(recording.cols, recording.rows)
    screen.feed(recording.output)
    xterm.write([whole], recording.output)
    for lines in (0, 50, 200):
        shallow = xterm.open(recording.cols, recording.rows)
        given = screen.redraw(lines, DEEP_REDRAW_BYTES)
        xterm.write([shallow], given.data)
        [comparison] = xterm.compare(whole, [shallow])
        scrollback = xterm.state(whole)["scrollback"]
        assert comparison.differing == 0
        assert ["scrollback", scrollback, lines] in comparison.state
        assert given.above == scrollback - lines
    screen.close()


ROWS = b"".join(b"\x1b[%d;1Hrow %d" % (row, row) for row in range(1, 25))
LONG = b"x" * 200


@pytest.mark.parametrize(
    ("names", "stream"),
    [
        (["keycap"], "1\ufe0f\u20e3".encode()),
        (["empty"], "\x1b[31m漢\x1b[D\x1b[32mx".encode()),
        (["empty"], b"\x1b[?1049h\x1b[44m\x1b[?1049l\x1b[?1049h"),
        (["continued"], b"\x1b[?1049h" + b"x" * 100 + b"\r\x1b[K"),
        (["continued"], b"\x1b[?1049h" + b"x" * 100 + b"\x1b[24;1H\n"),
        (["normal saved cursor"], b"\x1b[10;1H\x1b7\x1b[24;1H\n\n"),
        (["continued"], b"x" * 100 + b"\r\x1b[K"),
        (["charsets"], b"\x1b)0\x1b[!p"),
        (["charsets"], b"\x1b7\x1b(0\x1b8"),
        (["cursor blinks"], b"\x1b[?12l\x1b[0 q"),
        # Of no recording:
        (["colors"], b"\x1b]12;red\x07"),
        (["colors"], b"\x1b]10;#f00\x07"),
        (["pen", "underline"], b"\x1b[4;58;5;1mx\x1b[59mx"),
        (["width+foreground+background"], "\x1b[31;44m漢字\x1b[3D\x1b[m\x1b[@".encode()),
    ],
)
def test_known_differences(xterm: Xterm, names: list[str], stream: bytes) -> None:
    """That they are still there: docs/screens.md lists them."""
    comparison = difference(xterm, stream)
    assert sorted({*comparison.kinds, *(name for name, _, _ in comparison.state)}) == names


@pytest.mark.parametrize(
    ("stream", "size"),
    [
        (LONG, Resize(60, 24)),
        (LONG, Resize(120, 24)),
        (ROWS + b"\x1b[5;1H", Resize(80, 12)),
        (b"\x1b[?1049h" + ROWS + b"\x1b[5;1H", Resize(80, 12)),
    ],
)
def test_only_a_redraw_agrees_after_some_changes_of_size(xterm: Xterm, stream: bytes, size: Resize) -> None:
    """xterm.js leaves a line with the cursor as it is folded, and gives up other rows."""
    assert difference(xterm, stream, size).differing > 0


def test_a_terminal_that_grows_by_rows_agrees(xterm: Xterm) -> None:
    for stream in (ROWS, b"x\r\n" * 50, b"\x1b[?1049h" + ROWS):
        comparison = difference(xterm, stream, Resize(80, 40))
        assert comparison.differing == 0
        assert comparison.state == []
