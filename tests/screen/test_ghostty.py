"""The screen that runs the library: checkpoints, sizes, bad input and its bounds."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator

import pytest

from tests.screen.programs import Program
from tests.screen.states import differences, state
from wormux.errors import ScreenError
from wormux.limits import KIB, MAX_COLS, MIB, SCREEN_CONTINUATION_BYTES, SCREEN_SCROLLBACK_BYTES
from wormux.screen import library
from wormux.screen.ghostty import GhosttyScreen

pytestmark = pytest.mark.skipif(not library.available(), reason="the emulator has no build for this machine")

CHUNK = 64 * KIB


class AsTheyAre:
    """All of the library's answers."""

    def take(self, reply: bytes) -> bytes:
        return reply


@pytest.fixture
def screen() -> Iterator[GhosttyScreen]:
    made = GhosttyScreen(20, 5, AsTheyAre())
    yield made
    made.close()


def feed_many(screen: GhosttyScreen, piece: bytes, count: int) -> None:
    data = piece * (CHUNK // len(piece))
    whole, rest = divmod(count * len(piece), len(data))
    for _ in range(whole):
        screen.feed(data)
    screen.feed(data[:rest])


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123  # one read of a kernel file
        return int(file.read().split()[1]) * 4 * KIB


def test_answers_queries(screen: GhosttyScreen) -> None:
    assert screen.feed(b"ab\x1b[6") == b""
    assert screen.feed(b"n") == b"\x1b[1;3R"
    assert screen.feed(b"") == b""


def test_title_and_directory(screen: GhosttyScreen) -> None:
    assert (screen.title, screen.cwd) == ("", None)
    screen.feed("\x1b]2;tïtle\x07\x1b]7;file://host/dir\x07".encode())
    assert (screen.title, screen.cwd) == ("tïtle", "file://host/dir")


@pytest.mark.parametrize("size", [(1, 5), (5, 1), (0, 0), (MAX_COLS + 1, 5)])
def test_refuses_sizes(screen: GhosttyScreen, size: tuple[int, int]) -> None:
    with pytest.raises(ScreenError):
        GhosttyScreen(*size, AsTheyAre())
    with pytest.raises(ScreenError):
        screen.resize(*size)
    assert (screen.cols, screen.rows) == (20, 5)


def test_a_program_does_not_change_the_size(screen: GhosttyScreen) -> None:
    screen.feed(b"\x1b[?40h\x1b[?3h")
    assert (screen._terminal.cols, screen._terminal.rows) == (20, 5)


def test_folds_lines_at_the_new_width(screen: GhosttyScreen) -> None:
    screen.feed(b"\x1b[?7l\x1b[?7hone two three four five six")
    screen.resize(10, 5)
    assert screen.text() == "one two three four five six"
    screen.resize(40, 5)
    assert screen.text() == "one two three four five six"
    assert screen._terminal.cursor == (27, 0)


@pytest.mark.parametrize("mode", [b"", b"\x1b[?7l", b"\x1b[?1049h", b"\x1b[?1049h\x1bV"])
@pytest.mark.parametrize(
    ("after", "begun"), [(b"", b""), (b"\x1b[?1049l", b""), (b"text", b"\x1b[3"), (b"", b"\x1b]0;begun")]
)
def test_wide_characters_at_the_edge(screen: GhosttyScreen, mode: bytes, after: bytes, begun: bytes) -> None:
    """A resize without folding cuts them in two, which the library cannot write into a snapshot."""
    screen.feed(b"before\r\n" + mode + "中中中中中中".encode())
    screen.resize(7, 5)
    screen.feed(after + begun)
    screen.resize(15, 6)
    x, y = screen._terminal.cursor
    GhosttyScreen.opened(screen.checkpoint(), AsTheyAre()).close()
    assert screen._terminal.cursor == (x, y)
    assert screen._terminal.continuation == begun


def test_skip_gives_up_a_sequence_and_nothing_else(screen: GhosttyScreen) -> None:
    screen.feed(b"\x1b[31mred\x1b7\x1b[?1049h\x1b[2;3r\x1b[4hx")
    before = state(screen._snapshot())
    for begun in (b"", b"\x1b", b"\x1b[12;", b"\x1b]2;title", b"\x1bPq", b"\x1b_G"):
        screen.feed(begun)
        screen.skip()
        assert differences(before, state(screen._snapshot())) == []


def test_checkpoints() -> None:
    for seed in range(40):
        pick = random.Random(seed)
        cols, rows = pick.choice(((80, 24), (20, 5), (2, 2)))
        screen = GhosttyScreen(cols, rows, AsTheyAre())
        program = Program(seed, cols, rows)
        screen.feed(program.output(40))
        again = GhosttyScreen.opened(screen.checkpoint(), AsTheyAre())
        rest = program.output(40)
        assert screen.feed(rest) == again.feed(rest)
        # The library counts an open link without an id as another one after it was restored.
        states = [state(one._snapshot(), number_links=False) for one in (screen, again)]
        assert differences(*states) == []
        screen.close()
        again.close()


def test_an_opened_screen_has_our_settings() -> None:
    screen = GhosttyScreen(80, 24, AsTheyAre())
    screen.set_colors(0x111213, 0x212223, 0x313233)
    again = GhosttyScreen.opened(screen.checkpoint(), AsTheyAre())
    assert again.feed(b"\x1b]11;?\x07") == b"\x1b]11;rgb:2121/2222/2323\x07"
    assert again.feed(b"\x1b_Gi=1,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\") == b""
    feed_many(again, b"line\r\n", 20_000)
    assert again._terminal.scrollback_rows > 10_000
    again.feed(b"\x1b]0;" + b"x" * MIB)
    assert len(again.checkpoint()) > 0
    screen.close()
    again.close()


def test_refuses_damaged_checkpoints(screen: GhosttyScreen) -> None:
    screen.feed(b"text \x1b[31mred\r\n" * 10)
    good = screen.checkpoint()
    pick = random.Random(2)
    bomb = zlib.compress(bytes(100 * MIB), 1)
    assert len(bomb) < MIB
    for state_ in (
        b"",
        b"WXSC",
        good[:-1],
        good[:20],
        b"x" * 500,
        good[:10] + bomb,
        good[:4] + b"\2" + good[5:],
    ):
        with pytest.raises(ScreenError):
            GhosttyScreen.opened(state_, AsTheyAre())
    for _ in range(300):
        damaged = bytearray(good)
        damaged[pick.randrange(len(damaged))] ^= 1 << pick.randrange(8)
        try:
            opened = GhosttyScreen.opened(bytes(damaged), AsTheyAre())
        except ScreenError:
            continue
        assert opened.checkpoint() == good, "nothing but bits that compression leaves unused"


def test_a_checkpoint_of_damaged_state_is_refused(screen: GhosttyScreen) -> None:
    """Also where the damage was done before it was compressed: the library's sums do not fit."""
    header, snapshot = screen.checkpoint()[:10], bytearray(zlib.decompress(screen.checkpoint()[10:]))
    for at in range(60, len(snapshot), 37):
        snapshot[at] ^= 4
        with pytest.raises(ScreenError):
            GhosttyScreen.opened(header + zlib.compress(snapshot), AsTheyAre())
        snapshot[at] ^= 4


def test_shrinks() -> None:
    screen = GhosttyScreen(80, 24, AsTheyAre())
    small = screen.memory_bytes
    assert small < MIB
    feed_many(screen, b"\x1b[31mline\x1b[m of text\r\n", 20_000)
    full = screen.memory_bytes
    assert 6 * MIB < full < 10 * MIB
    screen.feed(b"\x1b[?1049halternate")
    assert screen.memory_bytes == full
    screen.feed(b"\x1b[?1049l")
    before = resident_bytes()
    screen.shrink(3 * MIB)
    assert screen.memory_bytes <= 3.5 * MIB
    assert before - resident_bytes() > 2 * MIB
    assert "of text" in screen.text()
    screen.shrink(0)
    assert screen.memory_bytes == small
    feed_many(screen, b"line\r\n", 20_000)
    assert screen.memory_bytes > 6 * MIB
    screen.feed(b"\x1b[?1049halternate")
    screen.shrink(2 * MIB)
    assert screen.memory_bytes <= 2.5 * MIB
    screen.feed(b"\x1b[?1049l")
    assert screen.memory_bytes <= 2.5 * MIB
    screen.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("begin", "piece", "count", "end"),
    [
        pytest.param(b"", b"x", 100 * MIB, b"\r\n\x1b[2J\x1b[H", id="a long line"),
        pytest.param(b"\x1b]0;", b"x", 20 * MIB, b"\x07", id="a long title"),
        pytest.param(b"\x1b]52;c;", b"QUFB", 5 * MIB, b"\x1b\\", id="a long clipboard"),
        pytest.param(b"\x1bPq", b"#0~~", 5 * MIB, b"\x1b\\", id="a long DCS"),
        pytest.param(b"\x1b_G", b"AAAA", 5 * MIB, b"\x1b\\", id="a long APC"),
        pytest.param(b"\x1b[", b"1;", 5 * MIB, b"m", id="a long CSI"),
        pytest.param(b"", b"\x1b]2;title\x07", 10_000, b"", id="many titles"),
        pytest.param(
            b"e", "\u0301".encode(), 100_000, b"\r\n\x1b[2J\x1b[H", id="many marks on one character"
        ),
        pytest.param(b"", b"\x1b[22t", 100_000, b"", id="many saved titles"),
        pytest.param(b"", b"\x1b[>1u", 100_000, b"", id="many keyboard flags"),
        pytest.param(b"", b"\x1b]5522;type=write\x1b\\", 10_000, b"", id="many clipboard writes"),
    ],
)
def test_bad_input(screen: GhosttyScreen, begin: bytes, piece: bytes, count: int, end: bytes) -> None:
    screen.feed(piece * 10 + end)
    before = resident_bytes()
    screen.feed(begin)
    feed_many(screen, piece, count)
    screen.feed(end + b"the rest")
    assert screen.text().endswith("the rest")
    assert len(screen.redraw(100, MIB).data) <= MIB
    assert resident_bytes() - before < SCREEN_SCROLLBACK_BYTES + 2 * SCREEN_CONTINUATION_BYTES + 8 * MIB


@pytest.mark.parametrize("begin", [b"\x1b]52;c;", b"\x1b]0;", b"\x1bP1$r", b"\x1b_G", b"\x1bX", b"\x1b["])
def test_a_sequence_too_long_to_be_kept(screen: GhosttyScreen, begin: bytes) -> None:
    """It ends where it does, and the checkpoint knows that it is one."""
    screen.feed(b"text" + begin[:1])
    screen.feed(begin[1:])
    feed_many(screen, b"1;", SCREEN_CONTINUATION_BYTES)
    again = GhosttyScreen.opened(screen.checkpoint(), AsTheyAre())
    assert len(again._terminal.continuation or b"") < 10
    for one in (screen, again):
        one.feed(b"1;" + (b"m" if begin == b"\x1b[" else b"1\x1b\\") + b" more")
        assert (one.text(), one.title) == ("text more", "")
        assert one.redraw(0, MIB).data.count(b"\x1b[1;9He") == 1


@pytest.mark.parametrize("begun", [b"\x1b[\x9f\x90", b"\x1b_\x90"])
def test_a_malformed_sequence_that_no_snapshot_can_say_is_given_up(
    screen: GhosttyScreen, begun: bytes
) -> None:
    screen.feed(b"before" + begun)
    assert b"before" in screen.redraw(0, 1 << 20).data
    assert screen.checkpoint()
    screen.feed(b" after")
    assert screen.text().strip() == "before after"
