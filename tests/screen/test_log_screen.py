"""Without an emulator, a screen is the newest output from a safe place on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wormux.errors import ScreenError
from wormux.limits import KIB
from wormux.screen.log_screen import LogScreen
from wormux.screen.port import Match
from wormux.screen.safe_cut import ParserState, state_after

LIMIT_BYTES = 512 * KIB
KEPT_BYTES = 128 * KIB


def screen(*pieces: bytes, cols: int = 80, rows: int = 24) -> LogScreen:
    made = LogScreen(cols, rows)
    for piece in pieces:
        assert made.feed(piece) == b""
    return made


def lines(count: int) -> bytes:
    return b"".join(b"line %d\r\n" % number for number in range(count))


def test_a_blank_screen_needs_nothing() -> None:
    assert screen().redraw(200, LIMIT_BYTES).data == b""


def test_little_output_is_kept_as_it_is() -> None:
    redraw = screen(b"\x1b[31mred", b"\x1b[", b"0m").redraw(200, LIMIT_BYTES)
    assert (redraw.data, redraw.above) == (b"\x1b[31mred\x1b[0m", 0)


def test_the_oldest_output_goes_first() -> None:
    made = screen(*[b"%05d:" % number + b"x" * 993 + b"\n" for number in range(1000)])
    data = made.redraw(10_000, LIMIT_BYTES).data
    assert KEPT_BYTES // 2 < len(data) <= KEPT_BYTES
    assert data.startswith(b"00")
    assert data.endswith(b"00999:" + b"x" * 993 + b"\n")


@pytest.mark.parametrize("piece", [b"x", b"line\r\n", "ä€😀".encode(), b"\x1b[31mred\x1b[m", b"\x1b]2;t\x07"])
def test_it_never_keeps_more_than_it_may(piece: bytes) -> None:
    made = LogScreen(80, 24)
    for _ in range(300):
        made.feed(piece * 997)
        assert made.memory_bytes <= KEPT_BYTES
    made.redraw(10_000, LIMIT_BYTES).data.decode()


def test_only_the_wanted_lines_are_redrawn() -> None:
    redraw = screen(lines(500), rows=10).redraw(20, LIMIT_BYTES)
    assert redraw.data == b"".join(b"line %d\r\n" % number for number in range(470, 500))
    assert redraw.above == 470


def test_a_redraw_keeps_to_its_bytes() -> None:
    made = screen(lines(2000))
    redraw = made.redraw(2000, 1000)
    assert 0 < len(redraw.data) <= 1000
    assert redraw.data.startswith(b"line ")
    assert redraw.data.count(b"\n") + redraw.above == 2000


@pytest.mark.parametrize(
    ("begin", "end"),
    [(b"\x1b]0;", b"\x07"), (b"\x1bP", b"\x1b\\"), (b"\x1b[", b"m"), (b"\x1b ", b"F")],
    ids=["osc", "dcs", "csi", "esc"],
)
def test_a_sequence_without_its_beginning_stays_one(begin: bytes, end: bytes) -> None:
    """What follows is not taken for text because the screen has forgotten where the sequence began."""
    made = screen(b"text" + begin, b"0" * KEPT_BYTES if begin != b"\x1b " else b" " * KEPT_BYTES)
    redraw = made.redraw(200, LIMIT_BYTES)
    assert len(redraw.data) <= KEPT_BYTES
    assert state_after(ParserState.GROUND, redraw.data) == state_after(ParserState.GROUND, begin)
    made.feed(end + b"after")
    data = made.redraw(200, LIMIT_BYTES).data
    assert state_after(ParserState.GROUND, data) == ParserState.GROUND
    assert made.text() == "after"


QUERIES = [
    b"\x1b[c", b"\x1b[0c", b"\x1b[>c", b"\x1b[=c", b"\x1bZ", b"\x1b[5n", b"\x1b[6n", b"\x1b[?6n", b"\x1b[?996n",
    b"\x1b[?2026$p", b"\x1b[4$p", b"\x1b[>q", b"\x1b[>0q", b"\x1b[?u", b"\x1b[18t", b"\x1b[14;2t", b"\x1b[x",
    b"\x1b]10;?\x07", b"\x1b]11;?\x1b\\", b"\x1b]4;1;?\x07", b"\x1b]52;c;?\x07", b"\x1bP$qm\x1b\\",
    b"\x1bP+q544e\x1b\\", b"\x05",
]  # fmt: skip
NO_QUERIES = [
    b"\x1b[m", b"\x1b[2J", b"\x1b[22;0t", b"\x1b[23t", b"\x1b[8;24;80t", b"\x1b]0;what?\x07", b"\x1b]2;a;?b\x07x",
    b"\x1b[>4;1m", b"\x1b[>1u", b"\x1b[2 q", b"\x1b[?2026h", b"\x1b]8;;http://x/?y\x07",
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=repr)
def test_a_redraw_asks_nothing(query: bytes) -> None:
    assert screen(b"a" + query + b"b").redraw(200, LIMIT_BYTES).data == b"ab"


@pytest.mark.parametrize("sequence", NO_QUERIES, ids=repr)
def test_a_redraw_keeps_what_only_looks_like_a_question(sequence: bytes) -> None:
    assert screen(b"a" + sequence + b"b").redraw(200, LIMIT_BYTES).data == b"a" + sequence + b"b"


def test_missed_output_ends_a_sequence() -> None:
    made = screen(b"seen\x1b]0;half a title")
    made.skip()
    made.feed(b"shown")
    assert made.text() == "seenshown"
    assert state_after(ParserState.GROUND, made.redraw(0, LIMIT_BYTES).data) == ParserState.GROUND


def test_missed_output_leaves_a_terminal_at_rest_alone() -> None:
    made = screen(b"seen")
    made.skip()
    assert made.redraw(0, LIMIT_BYTES).data == b"seen"


def test_title_and_directory_are_the_last_ones() -> None:
    made = screen(b"\x1b]0;first\x07\x1b]2;sec", "ond ä\x1b\\".encode(), b"\x1b]7;file:///tmp\x07")
    assert (made.title, made.cwd) == ("second ä", "file:///tmp")


def test_title_and_directory_outlive_their_output() -> None:
    made = screen(b"\x1b]0;title\x07\x1b]7;file:///tmp\x07", lines(50_000))
    assert (made.title, made.cwd) == ("title", "file:///tmp")
    again = LogScreen.opened(made.checkpoint())
    assert (again.title, again.cwd) == ("title", "file:///tmp")


def test_without_either_there_is_none() -> None:
    assert (screen(b"x").title, screen(b"x").cwd) == ("", None)


def test_text_is_what_was_written() -> None:
    made = screen(b"\x1b[31mone\x1b[m\r\ntwo\rTWO\r\n", lines(30), rows=5)
    assert made.text().split("\n") == [f"line {number}" for number in range(25, 30)]
    assert made.text(scrollback=True).startswith("one\nTWO\nline 0\n")


def test_places_are_found_newest_first() -> None:
    made = screen(b"Ada and ada\r\nnobody\r\nada\r\n")
    assert made.find("ada") == [Match(2, 0, 3), Match(0, 8, 3), Match(0, 0, 3)]
    assert made.find("ada", case_sensitive=True) == [Match(2, 0, 3), Match(0, 8, 3)]
    assert made.find("ada", limit=2) == [Match(2, 0, 3), Match(0, 8, 3)]
    assert made.find("a.a") == []
    assert made.find("") == []


def test_a_checkpoint_holds_everything() -> None:
    made = screen(lines(5000), b"\x1b]0;ti", cols=100, rows=30)
    again = LogScreen.opened(made.checkpoint())
    assert (again.cols, again.rows) == (100, 30)
    assert again.redraw(10_000, LIMIT_BYTES) == made.redraw(10_000, LIMIT_BYTES)


@pytest.mark.parametrize("cut", [0, 3, 5, 6, 20])
def test_a_cut_checkpoint_cannot_be_read(cut: int) -> None:
    with pytest.raises(ScreenError):
        LogScreen.opened(screen(b"some output").checkpoint()[:cut])


@given(st.binary(max_size=64))
def test_a_strange_checkpoint_cannot_be_read(data: bytes) -> None:
    magic = screen().checkpoint()[:5]
    with pytest.raises(ScreenError):
        LogScreen.opened(magic + b"\xc1" + data)


def test_it_shrinks_but_not_to_nothing() -> None:
    made = screen(lines(10_000))
    made.shrink(20_000)
    assert 10_000 < made.memory_bytes <= 20_000
    made.shrink(0)
    assert 0 < made.memory_bytes <= 4096
    assert made.redraw(0, LIMIT_BYTES).data.endswith(b"line 9999\r\n")


@pytest.mark.parametrize("size", [(1, 24), (80, 1), (1001, 24), (80, 1001)])
def test_sizes_that_no_terminal_has_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ScreenError):
        LogScreen(*size)
    with pytest.raises(ScreenError):
        screen().resize(*size)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=20))
def test_nothing_that_is_written_makes_it_fail(pieces: list[bytes]) -> None:
    made = screen(*(piece * 50 for piece in pieces))
    made.redraw(3, 1000)
    made.skip()
    made.shrink(0)
    assert made.find("a") is not None
    assert isinstance(made.text(scrollback=True) + made.title, str)
    assert LogScreen.opened(made.checkpoint()).text() == made.text()
