"""A redraw brings an empty terminal to exactly the state that the screen has, and the stream goes on behind it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.screen.programs import Program
from tests.screen.states import differences, state
from wormux.limits import KIB, MIB
from wormux.screen import library
from wormux.screen.encoder import CONTINUATION_BYTES
from wormux.screen.ghostty import GhosttyScreen

pytestmark = pytest.mark.skipif(not library.available(), reason="the emulator has no build for this machine")

ALL_LINES = 1_000_000
SIZES = ((80, 24), (20, 5), (7, 3), (2, 2), (40, 10), (11, 6))
PROGRAMS = 300


class AsTheyAre:
    """All of the library's answers."""

    def take(self, reply: bytes) -> bytes:
        return reply


def screen(data: bytes = b"", cols: int = 20, rows: int = 5) -> GhosttyScreen:
    made = GhosttyScreen(cols, rows, AsTheyAre())
    made.feed(data)
    return made


def snapshot(of: GhosttyScreen) -> dict[str, object]:
    return state(of._snapshot())


def redrawn(of: GhosttyScreen, lines: int = ALL_LINES) -> GhosttyScreen:
    made = GhosttyScreen(of.cols, of.rows, AsTheyAre())
    answer = made.feed(of.redraw(lines, 100 * MIB).data)
    assert not answer, "a redraw asks nothing"
    return made


def assert_same(one: GhosttyScreen, other: GhosttyScreen) -> None:
    assert differences(snapshot(one), snapshot(other)) == []


def assert_goes_on(one: GhosttyScreen, other: GhosttyScreen, on_primary: bool) -> None:
    """After more of the stream. Of an alternate screen that was not shown a redraw brings nothing, and of marks of
    wraps only those that both rows have."""
    found = differences(snapshot(one), snapshot(other))
    hidden = (" of 1", "protection") if on_primary else ()
    assert [
        what for what in found if not what.startswith("wraps") and not any(h in what for h in hidden)
    ] == []


def check_program(seed: int) -> None:
    pick = random.Random(seed)
    cols, rows = pick.choice(SIZES)
    data = Program(seed, cols, rows).output(pick.choice((5, 20, 60, 60)))
    cut = pick.randint(0, len(data))
    whole = screen(data[:cut], cols, rows)
    if pick.random() < 0.3:
        whole.resize(max(2, cols + pick.randint(-6, 6)), max(2, rows + pick.randint(-3, 3)))
    fresh = redrawn(whole)
    assert_same(whole, fresh)
    on_primary = not whole._terminal.on_alternate
    whole.feed(data[cut:])
    fresh.feed(data[cut:])
    assert_goes_on(whole, fresh, on_primary)
    whole.close()
    fresh.close()


def test_random_programs_cut_anywhere() -> None:
    for seed in range(PROGRAMS):
        try:
            check_program(seed)
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise


@given(st.integers(min_value=PROGRAMS))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_any_program_cut_anywhere(seed: int) -> None:
    check_program(seed)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"plain\r\n\r\nrows", id="plain"),
        pytest.param(
            b"\x1b[1;2;3;4;5;7;8;9;53;31;42mx\x1b[m\x1b[4:3;58;5;9my\x1b[58:2::1:2:3;38;2;4;5;6mz",
            id="styles",
        ),
        pytest.param("中文字中文字中文字中文字x🙂e\u0301❤\ufe0f👨\u200d👩".encode(), id="wide"),
        pytest.param("\x1b[?2027h👨\u200d👩\u200d👧🇩🇪❤\ufe0f1\ufe0f\u20e3👍🏽x".encode(), id="clusters"),
        pytest.param(b"\x1b[44mblue\x1b[K\r\n\x1b[2;10H\x1b[3X\x1b[4;1H\x1b[1J", id="backgrounds"),
        pytest.param(b"x" * 20, id="pending wrap"),
        pytest.param(b"x" * 20 + b"\x1b7\r\n\x1b[31msaved", id="saved with a pending wrap"),
        pytest.param(b"x" * 45 + b"\r\n" + b"y" * 21, id="wrapped"),
        pytest.param(b"x" * 30 + b"\x1b[A\x1b[1K\x1b[B", id="wrapped and blank"),
        pytest.param(b"primary\x1b[31m\x1b7\x1b[?1049halternate\x1b[2;3r", id="alternate"),
        pytest.param(b"\x1b[2;4r\x1b[?6h\x1b[2;3Hx\x1b7", id="origin"),
        pytest.param(b"\x1b[?69h\x1b[3;9s\x1b[2;4r\x1b[?6h\x1b[2;3Hx", id="margins"),
        pytest.param(b"\x1b[3g\x1b[5G\x1bH\x1b[12G\x1bH", id="tabs"),
        pytest.param(b"\x1b(0lqk\x1b)A\x0ex\x1b7\x0f", id="character sets"),
        pytest.param(b"\x1b[?1;5;7;25;66;1004;2004h\x1b[?7;25l\x1b[4;20h", id="modes"),
        pytest.param(b"\x1b[?1000;1003;1002;1006;1015h", id="mouse"),
        pytest.param(b"\x1b[?1000;1003h\x1b[?1002l", id="no mouse after all"),
        pytest.param(b"\x1b[?7l\x1b[?7s\x1b[?7h", id="saved mode"),
        pytest.param(b"\x1b[5 q", id="bar"),
        pytest.param(b"\x1b[2 q", id="steady block"),
        pytest.param(b"\x1b[>1u\x1b[>31u\x1b[>4;2m", id="keyboard"),
        pytest.param(b'\x1b[1"qkept\x1b[0"q\x1bVmore', id="protected"),
        pytest.param(b"\x1b]8;id=1;http://a\x07one\r\ntwo\x1b]8;;http://b\x07 three\x1b]8;;\x07", id="links"),
        pytest.param(
            b"\x1b]4;1;#123456\x07\x1b]10;#abcdef\x07\x1b]11;#010203\x07\x1b]12;#040506\x07", id="colours"
        ),
        pytest.param("\x1b]2;tïtle; more\x07\x1b]7;file://host/a%20b\x07".encode(), id="title and directory"),
        pytest.param(b"\x1b[?2026hbegun", id="synchronized update"),
        pytest.param(b"y\x1b[?2031h\x1b[?67h\x1b[?45h\x1bN", id="single shift"),
        pytest.param(b"line\r\n" * 9, id="scrolled"),
        pytest.param(b"\x1b[46m\x1b[2J\x1b[mx" + b"\r\n" * 12, id="blank rows scrolled"),
        pytest.param(b"text\x1b[38;2;1;", id="inside CSI"),
        pytest.param(b"text\x1b]0;title", id="inside OSC"),
        pytest.param("text中".encode()[:-1], id="inside a character"),
    ],
)
def test_state(data: bytes) -> None:
    whole = screen(data)
    fresh = redrawn(whole)
    assert_same(whole, fresh)
    rest = b"5;6m\x07 and on \x1b8there\r\n\x1b[Lmore"
    whole.feed(rest)
    fresh.feed(rest)
    assert_same(whole, fresh)


def test_repeats_what_was_printed_last() -> None:
    """xterm.js repeats only the character right before, so that comes last."""
    assert screen(b"\x1b[1mab").redraw(0, MIB).data.endswith(b"\x1b[1;2Hb")
    assert screen(b"ab\r").redraw(0, MIB).data.endswith(b"\x1b[1;1H\x1b[m")


def test_leaves_out_the_oldest_lines() -> None:
    whole = screen(b"".join(b"line %d\r\n" % number for number in range(100)))
    redraw = whole.redraw(10, MIB)
    assert redraw.above == 96 - 10
    assert redraw.data.startswith(b"line 86\r\n")
    assert whole.redraw(ALL_LINES, MIB).above == 0
    assert whole.redraw(0, MIB).data.startswith(b"line 96\r\n")


@pytest.mark.parametrize("limit_bytes", [200, 300, 1000, 4000])
def test_keeps_to_the_limit(limit_bytes: int) -> None:
    whole = screen(b"".join(b"\x1b[3%dmline %d\r\n" % (number % 8, number) for number in range(200)))
    redraw = whole.redraw(ALL_LINES, limit_bytes)
    assert len(redraw.data) <= limit_bytes
    fresh = screen(redraw.data)
    assert fresh.text() == whole.text()
    assert fresh._terminal.scrollback_rows + redraw.above == 196


def test_leaves_the_top_blank_where_even_the_screen_is_too_much() -> None:
    whole = screen(b"\x1b[31mone\r\n\x1b[32mtwo\r\n\x1b[33mthree\r\n\x1b[34mfour")
    data = whole.redraw(0, 50).data
    assert len(data) <= 50
    assert screen(data).text() == "\n\n\nfour"


def test_does_not_send_the_default_colours() -> None:
    whole = screen(b"text")
    before = whole.redraw(0, MIB).data
    whole.set_colors(0x123456, 0x654321, 0xABCDEF)
    assert whole.redraw(0, MIB).data == before


@pytest.mark.parametrize(
    ("begin", "end"),
    [(b"\x1b]52;c;", b"\x07"), (b"\x1bPq", b"\x1b\\"), (b"\x1b_G", b"\x1b\\"), (b"\x1b]0;", b"\x1b\\")],
)
def test_a_long_string_goes_on_as_one_that_means_nothing(begin: bytes, end: bytes) -> None:
    whole = screen(b"before" + begin + b"1" * (200 * KIB))
    redraw = whole.redraw(0, MIB)
    assert len(redraw.data) < CONTINUATION_BYTES
    fresh = screen(redraw.data)
    fresh.feed(b"1111" + end + b" after")
    assert fresh.text() == "before after"
    assert fresh.title == ""


def test_a_title_cannot_end_its_sequence() -> None:
    whole = screen("\x1b]2;a\u009cb\x07".encode())
    assert redrawn(whole).text() == ""
