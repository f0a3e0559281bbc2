"""What programs hear from a screen: every question on the list gets its one answer, and nothing else gets any.

The list is docs/queries.md; that it is the same as the one here is tested too.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("pyghostty._ffi", exc_type=ImportError)

from wormux import __version__
from wormux.screen.answers import DEFAULT_COLORS, THEME_COLORS, Answers
from wormux.screen.ghostty import GhosttyScreen

ROOT = Path(__file__).parents[2]
ANSWER_BYTES = 256
"""The most that one answer takes."""
NAME = f"\x1bP>|Wormux {__version__}\x1b\\".encode()

QUESTIONS: list[tuple[bytes, bytes, bytes]] = [
    # What was written before, the question, its answer.
    (b"", b"\x1b[c", b"\x1b[?1;2c"),
    (b"", b"\x1b[0c", b"\x1b[?1;2c"),
    (b"", b"\x1bZ", b"\x1b[?1;2c"),
    (b"", b"\x1b[>c", b"\x1b[>0;276;0c"),
    (b"", b"\x1b[>0c", b"\x1b[>0;276;0c"),
    (b"", b"\x1b[>q", NAME),
    (b"", b"\x1b[>0q", NAME),
    (b"", b"\x1b[5n", b"\x1b[0n"),
    (b"", b"\x1b[6n", b"\x1b[1;1R"),
    (b"abc\r\nde", b"\x1b[6n", b"\x1b[2;3R"),
    ("漢".encode(), b"\x1b[6n", b"\x1b[1;3R"),
    (b"\x1b[999;999H", b"\x1b[6n", b"\x1b[24;80R"),
    (b"x" * 80, b"\x1b[6n", b"\x1b[1;80R"),
    (b"\x1b[5;9r\x1b[?6h\x1b[2;2H", b"\x1b[6n", b"\x1b[2;2R"),
    (b"", b"\x1bP$qm\x1b\\", b"\x1bP1$r0m\x1b\\"),
    (b"\x1b[1;3;31m", b"\x1bP$qm\x1b\\", b"\x1bP1$r0;1;3;31m\x1b\\"),
    (b"\x1b[48;2;1;2;3m", b"\x1bP$qm\x1b\\", b"\x1bP1$r0;48:2::1:2:3m\x1b\\"),
    (b"", b"\x1bP$qr\x1b\\", b"\x1bP1$r1;24r\x1b\\"),
    (b"\x1b[3;9r", b"\x1bP$qr\x1b\\", b"\x1bP1$r3;9r\x1b\\"),
    (b"", b"\x1bP$q q\x1b\\", b"\x1bP1$r1 q\x1b\\"),
    (b"\x1b[6 q", b"\x1bP$q q\x1b\\", b"\x1bP1$r6 q\x1b\\"),
    (b"\x1b[2 q\x1b[0 q", b"\x1bP$q q\x1b\\", b"\x1bP1$r1 q\x1b\\"),
    (b"\x1b[4 q\x1bc", b"\x1bP$q q\x1b\\", b"\x1bP1$r1 q\x1b\\"),
    (b"", b"\x1bP$qs\x1b\\", b"\x1bP0$r\x1b\\"),
    (b"\x1b[?69h\x1b[4;5s", b"\x1bP$qs\x1b\\", b"\x1bP0$r\x1b\\"),
    (b"", b"\x1b]10;?\x07", b"\x1b]10;rgb:dada/dede/e3e3\x07"),
    (b"", b"\x1b]11;?\x07", b"\x1b]11;rgb:0a0a/0e0e/1212\x07"),
    (b"", b"\x1b]12;?\x1b\\", b"\x1b]12;rgb:e5e5/e8e8/ecec\x1b\\"),
    (b"\x1b]11;#102030\x07", b"\x1b]11;?\x07", b"\x1b]11;rgb:1010/2020/3030\x07"),
    (b"\x1b]11;#102030\x07\x1b]111\x07", b"\x1b]11;?\x07", b"\x1b]11;rgb:0a0a/0e0e/1212\x07"),
    (b"", b"\x1b]10;?;?\x07", b"\x1b]10;rgb:dada/dede/e3e3\x07\x1b]11;rgb:0a0a/0e0e/1212\x07"),
    (b"\x1b]4;1;rgb:aa/bb/cc\x07", b"\x1b]4;1;?\x1b\\", b"\x1b]4;1;rgb:aaaa/bbbb/cccc\x1b\\"),
    (b"\x1b]4;1;#cc6666\x07", b"\x1b]4;0;?;1;?;2;?\x07", b"\x1b]4;1;rgb:cccc/6666/6666\x07"),
    (b"", b"\x1b]4;16;?\x07", b"\x1b]4;16;rgb:0000/0000/0000\x07"),
    (b"", b"\x1b]4;208;?\x07", b"\x1b]4;208;rgb:ffff/8787/0000\x07"),
    (b"", b"\x1b]4;255;?\x07", b"\x1b]4;255;rgb:eeee/eeee/eeee\x07"),
]  # fmt: skip

MODES = {
    # How the page's terminal knows a mode: as it stands, and so it can be set; or always as here.
    False: {2: 4, 4: None, 12: 3, 20: None},
    True: {8: 3, 67: 4, 1005: 4, 1015: 4, 1048: 1}
    | dict.fromkeys((1, 6, 7, 9, 12, 25, 45, 47, 66, 1000, 1002, 1003, 1004, 1006, 1016, 1047, 1049, 2004, 2026)),
}  # fmt: skip
SETTABLE = [
    (private, mode) for private, known in MODES.items() for mode, value in known.items() if value is None
]
SET_AT_FIRST = {7, 12, 25}

UNANSWERED = [
    b"\x05",
    b"\x1b[=c",
    b"\x1b[?c",
    b"\x1b[x",
    b"\x1b[1x",
    *(b"\x1b[?%dn" % number for number in (6, 15, 25, 26, 53, 55, 56, 62, 63, 75, 85, 996)),
    *(b"\x1b[%dt" % number for number in (11, 13, 14, 15, 16, 18, 19, 20, 21)),
    b"\x1b]2;rm -rf\x07\x1b[21t",
    b"\x1b[?u",
    b"\x1b[>5u\x1b[?u",
    b"\x1b[?4m",
    b"\x1b[>4;?m",
    b"\x1b[1$w",
    b"\x1b[2$w",
    b"\x1b[1;1;1;1;2;2*y",
    b"\x1b[?1;1;0S",
    b"\x1b[?2048h",
    b"\x1b[?2031h",
    b"\x1b[?1004h",
    b"\x1b[?5522h",
    b"\x1b]4;1;?\x07",
    b"\x1b]4;256;?\x07",
    b"\x1b]5;0;?\x07",
    *(b"\x1b]%d;?\x07" % number for number in (7, 13, 14, 15, 16, 17, 18, 19, 22, 66, 99, 3008)),
    b"\x1b]21;foreground=?;background=?;1=?\x07",
    b"\x1b]52;c;?\x07",
    b"\x1b]52;c;bHM=\x07\x1b]52;c;?\x07",
    b"\x1b]52;;?\x1b\\",
    b"\x1b]99;i=1:p=?;\x07",
    b"\x1b]5522;type=read;\x07",
    b"\x1b]1337;ReportCellSize\x07",
    b"\x1b]1337;ReportVariable=name\x07",
    b"\x1bP+q544e\x1b\\",
    b"\x1bP+q524742;436f;696e646e\x1b\\",
    b"\x1bP+Q\x1b\\",
    b"\x1bP$qrm -rf\x1b\\",
    b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\",
    b"\x1b_Ga=T,f=100,t=f;L2V0Yy9wYXNzd2Q=\x1b\\",
    b"\x1b_25a1;s\x1b\\",
    b"\x1b_25a1;q;cp=41\x1b\\",
]

_COLOR = rb"rgb:([0-9a-f]{2})\1/([0-9a-f]{2})\2/([0-9a-f]{2})\3(?:\x07|\x1b\\)"
LISTED = [
    rb"\x1b\[\?1;2c",
    rb"\x1b\[>0;276;0c",
    re.escape(NAME),
    rb"\x1b\[0n",
    rb"\x1b\[[0-9]{1,4};[0-9]{1,4}R",
    rb"\x1b\[\??[0-9]{1,5};[0-4]\$y",
    rb"\x1bP1\$r0(?:;[0-9:]+)*m\x1b\\",
    rb"\x1bP1\$r[0-9]{1,4};[0-9]{1,4}r\x1b\\",
    rb"\x1bP1\$r[0-6] q\x1b\\",
    rb"\x1bP0\$r\x1b\\",
    rb"\x1b\]4;[0-9]{1,3};" + _COLOR,
    rb"\x1b\]1[0-2];" + _COLOR,
]


def screen(cols: int = 80, rows: int = 24) -> GhosttyScreen:
    return GhosttyScreen(cols, rows, Answers())


def heard(asked: bytes, before: bytes = b"") -> bytes:
    fresh = screen()
    fresh.feed(before)
    return fresh.feed(asked)


def check(answers: bytes) -> None:
    """Nothing but what is listed."""
    position = 0
    while position < len(answers):
        found = next((m for form in LISTED if (m := re.compile(form).match(answers, position))), None)
        assert found is not None, answers[position:]
        assert len(found[0]) <= ANSWER_BYTES
        position = found.end()
    assert not re.search(rb"[\r\n\x03\x04\x16]|[^\x07\x1b -~]", answers)


@pytest.mark.parametrize(("before", "asked", "answer"), QUESTIONS)
def test_every_question_gets_its_answer(before: bytes, asked: bytes, answer: bytes) -> None:
    assert heard(asked, before) == answer
    check(answer)


@pytest.mark.parametrize(("before", "asked", "answer"), QUESTIONS)
def test_a_question_cut_anywhere_is_answered_once(before: bytes, asked: bytes, answer: bytes) -> None:
    for cut in range(1, len(asked)):
        fresh = screen()
        fresh.feed(before)
        assert fresh.feed(asked[:cut]) + fresh.feed(asked[cut:]) == answer, cut
        assert fresh.feed(b"more\r\n") == b""
    fresh = screen()
    fresh.feed(before)
    assert b"".join(fresh.feed(asked[at : at + 1]) for at in range(len(asked))) == answer


@pytest.mark.parametrize("private", [False, True])
def test_modes_are_reported_as_the_page_knows_them(private: bool) -> None:
    prefix = b"?" if private else b""
    for mode in [*range(120), *range(1000, 1100), *range(2000, 2100), 5522, 9001]:
        asked = b"\x1b[%s%d$p" % (prefix, mode)
        fixed = MODES[private].get(mode, 0)
        if fixed is None:
            fixed = 1 if private and mode in SET_AT_FIRST else 2
        assert heard(asked) == b"\x1b[%s%d;%d$y" % (prefix, mode, fixed)


@pytest.mark.parametrize(("private", "mode"), SETTABLE)
def test_modes_that_can_be_set_follow_the_program(private: bool, mode: int) -> None:
    name = b"%s%d" % (b"?" if private else b"", mode)
    for final, value in ((b"h", 1), (b"l", 2)):
        assert heard(b"\x1b[%s$p" % name, b"\x1b[" + name + final) == b"\x1b[%s;%d$y" % (name, value)


@pytest.mark.parametrize("asked", UNANSWERED)
def test_other_questions_get_none(asked: bytes) -> None:
    assert heard(asked) == b""


@pytest.mark.parametrize("index", THEME_COLORS)
def test_the_themes_own_colours_are_nobodys_guess(index: int) -> None:
    assert heard(b"\x1b]4;%d;?\x07" % index) == b""
    chosen = b"\x1b]4;%d;#000000\x07" % index
    assert heard(b"\x1b]4;%d;?\x07" % index, chosen) == b"\x1b]4;%d;rgb:0000/0000/0000\x07" % index
    assert heard(b"\x1b]4;%d;?\x07" % index, chosen + b"\x1b]104\x07") == b""


def test_colours_are_those_of_the_client_until_the_program_sets_its_own() -> None:
    shown = screen()
    shown.set_colors(0x010203, 0xFFFFFF, 0x040506)
    assert shown.feed(b"\x1b]11;?\x07") == b"\x1b]11;rgb:ffff/ffff/ffff\x07"
    shown.feed(b"\x1b]11;#123456\x07")
    shown.set_colors(0x111111, 0x222222, 0x333333)
    assert shown.feed(b"\x1b]10;?;?;?\x07") == (
        b"\x1b]10;rgb:1111/1111/1111\x07\x1b]11;rgb:1212/3434/5656\x07\x1b]12;rgb:3333/3333/3333\x07"
    )


def test_the_first_colours_are_the_pages_dark_theme() -> None:
    sheet = (ROOT / "web/src/styles/tokens.css").read_text()
    names = ("foreground", "background", "cursor")
    found = [re.search(rf"--term-{name}: oklch\(([\d.]+) ([\d.]+) ([\d.]+)\);", sheet) for name in names]
    assert [_srgb(*(float(part) for part in match.groups())) for match in found if match] == list(
        DEFAULT_COLORS
    )


def _srgb(lightness: float, chroma: float, hue: float) -> int:
    a, b = (chroma * turn(math.radians(hue)) for turn in (math.cos, math.sin))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short,
    )
    curved = (12.92 * part if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055 for part in linear)
    return int.from_bytes(bytes(round(min(1, max(0, part)) * 255) for part in curved), "big")


ANSWERED_OTHERWISE = {
    # Than the page's terminal does by itself; the reasons stand in docs/queries.md.
    b"\x1bZ",
    b"\x1b[>q",
    b"\x1b[>0q",
    b"\x1b[?6n",
    b"\x1bP$qm\x1b\\",
    b"\x1bP$q q\x1b\\",
    b"\x1bP$qrm -rf\x1b\\",
}
PLACED_OTHERWISE = {b"x" * 80, b"\x1b[5;9r\x1b[?6h\x1b[2;2H"}
"""Where the page's terminal reports another cursor: one beyond the last column, and without regard to the origin."""
COLOR_QUESTION = re.compile(rb"\x1b\](?:4|1[0-2]);")


def test_answers_are_those_of_the_pages_terminal() -> None:
    node = shutil.which("node")
    if node is None or not (ROOT / "web/node_modules/@xterm/headless").is_dir():
        pytest.skip("the page's terminal is not installed: make setup")
    numbers = (*range(120), *range(1000, 1100), *range(2000, 2100))
    modes = [(b"", b"\x1b[%s%d$p" % (prefix, number)) for prefix in (b"", b"?") for number in numbers]
    settable = [b"?%d" % mode if private else b"%d" % mode for private, mode in SETTABLE]
    cases = [
        *modes,
        *((b"\x1b[%s%s" % (mode, final), b"\x1b[%s$p" % mode) for mode in settable for final in (b"h", b"l")),
        *((before, asked) for before, asked, _ in QUESTIONS if before not in PLACED_OTHERWISE),
        *((b"", asked) for asked in UNANSWERED),
    ]
    cases = [
        case for case in cases if case[1] not in ANSWERED_OTHERWISE and not COLOR_QUESTION.match(case[1])
    ]
    given = "".join(f"{json.dumps([text.decode() for text in case])}\n" for case in cases)
    program = [node, str(Path(__file__).parent / "heard.mjs"), str(ROOT / "web")]
    done = subprocess.run(program, input=given, check=True, capture_output=True, text=True, timeout=60)
    theirs = [json.loads(line).encode() for line in done.stdout.splitlines()]
    ours = [heard(asked, before) for before, asked in cases]
    assert list(zip(cases, ours, strict=True)) == list(zip(cases, theirs, strict=True))


def test_many_questions_at_once_are_all_answered_in_order() -> None:
    asked = [(question, answer) for before, question, answer in QUESTIONS if not before]
    fresh = screen()
    together = b"text".join(question for question, _ in asked)
    expected = b"".join(answer for _, answer in asked)
    # The text between moves the cursor, whose place is asked for among the rest.
    assert re.sub(rb"\d+R", b"1R", fresh.feed(together)) == expected


def test_a_resize_answers_nothing() -> None:
    shown = screen()
    assert shown.feed(b"\x1b[?2048h") == b""
    shown.resize(100, 30)
    assert shown.feed(b"x") == b""
    assert shown.feed(b"\x1b[?2048$p") == b"\x1b[?2048;0$y"


PIECES = st.one_of(
    st.sampled_from(
        [
            *(question for _, question, _ in QUESTIONS),
            *UNANSWERED,
            *(
                b"\x1b[",
                b"\x1bP",
                b"\x1b]",
                b"\x1b_",
                b"\x1b^",
                b"\x1bX",
                b"\x1b\\",
                b"\x07",
                b"\x18",
                b"\x1b",
            ),
            *(b"?", b">", b"=", b"$", b"+", b"q", b"p", b"r", b"m", b"t", b"n", b"c", b"u", b"y", b";", b":"),
            *(b"\n", b"\r", b" ", b"\x9b", b"\x9d", b"\x90", b"\x9c", b"99999999999999999999"),
            *(b"rm -rf ~\r", b"\x1b]0;\r\nid\r\n\x07", b"\x1b]4;0;", b"\x1b]10;", b"\x1b[38:2::1:2:3;4:3m"),
        ]
    ),
    st.integers(0, 70_000).map(lambda number: b"%d" % number),
    st.binary(max_size=6),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40).map(b"".join), st.integers(0, 200))
@example(b"\x1bP$q\r\nid\r\n\x1b\\\x1b]11;\n?\x07", 5)
def test_nothing_but_listed_answers_comes_of_whatever_is_written(written: bytes, cut: int) -> None:
    fresh = screen(20, 5)
    check(fresh.feed(written[:cut]) + fresh.feed(written[cut:]))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    *(answer for _, _, answer in QUESTIONS),
                    *(
                        b"\x1b[48;1;2;3;4t",
                        b"\x1b[?0u",
                        b"\x1bP1+r52=38\x1b\\",
                        b"\x1b]lid\r\n\x1b\\",
                        b"\x1b[1;1R\r",
                    ),
                    *(
                        b"\x1b]21;a=rgb:1/2/3\x07",
                        b"\x1bP1$rid\r\n\x1b\\",
                        b"\x1bP>|\r\x1b\\",
                        b"\x1b[?1;2;3c",
                    ),
                    b"\x1bP1$r" + b"0;1" * 200 + b"m\x1b\\",
                ]
            ),
            st.binary(max_size=8),
        ),
        max_size=8,
    ).map(b"".join)
)
def test_nothing_but_listed_answers_is_taken_from_any_library(reply: bytes) -> None:
    check(Answers().take(reply))


def test_a_sequence_of_another_kind_does_not_hide_the_next() -> None:
    assert Answers().take(b"\x1b[?0u\x1b]21;x\x07\x1b[0n") == b"\x1b[0n"
    assert Answers().take(b"\x1b[0nid\r\x1b[0n") == b"\x1b[0n"


def test_the_most_that_one_sequence_can_ask_for_is_small() -> None:
    every = b"\x1b]4;" + b";".join(b"%d;?" % index for index in range(256)) + b"\x07"
    assert len(heard(every)) < 8192
    assert heard(b"\x1b]4;" + b";".join([b"255;?"] * 5000) + b"\x07") == b""


def test_a_checkpoint_keeps_how_questions_are_answered() -> None:
    before = screen()
    before.set_colors(0x010203, 0x040506, 0x070809)
    before.feed(b"\x1b]4;3;#abcdef\x07\x1b[1m")
    again = GhosttyScreen.opened(before.checkpoint(), Answers())
    assert again.feed(b"\x1b]4;1;?;3;?\x07") == b"\x1b]4;3;rgb:abab/cdcd/efef\x07"
    assert again.feed(b"\x1bP$q q\x1b\\\x1bP$qm\x1b\\") == b"\x1bP1$r1 q\x1b\\\x1bP1$r0;1m\x1b\\"
    assert again.feed(b"\x1b]11;?\x07") == b"\x1b]11;rgb:0404/0505/0606\x07"
    again.feed(b"\x1bc\x1b]104\x07")
    assert again.feed(b"\x1b]4;3;?\x07\x1bP$q q\x1b\\") == b"\x1bP1$r1 q\x1b\\"


@pytest.mark.parametrize(("before", "asked", "answer"), QUESTIONS)
def test_a_question_cut_by_a_checkpoint_is_answered_once(before: bytes, asked: bytes, answer: bytes) -> None:
    for cut in range(1, len(asked)):
        first = screen()
        first.feed(before)
        heard_first = first.feed(asked[:cut])
        second = GhosttyScreen.opened(first.checkpoint(), Answers())
        assert heard_first + second.feed(asked[cut:]) == answer, cut


@pytest.mark.parametrize(("before", "asked", "answer"), QUESTIONS)
def test_looking_at_a_question_does_not_answer_it(before: bytes, asked: bytes, answer: bytes) -> None:
    for cut in range(1, len(asked)):
        shown = screen()
        shown.feed(before)
        heard_first = shown.feed(asked[:cut])
        shown.redraw(100, 1 << 20)
        shown.checkpoint()
        shown.text(scrollback=True)
        shown.find("a")
        assert heard_first + shown.feed(asked[cut:]) == answer, cut


def test_a_question_that_was_given_up_gets_no_answer() -> None:
    for asked in (question for _, question, _ in QUESTIONS):
        for cut in range(1, len(asked)):
            shown = screen()
            heard_first = shown.feed(asked[:cut])
            shown.skip()
            assert shown.feed(b"x") == b"", (asked, cut, heard_first)


def test_mending_a_screen_answers_nothing() -> None:
    """A wide character was cut in two by a resize, while a question is only begun."""
    shown = screen(10, 4)
    shown.feed("\x1b[?1049h\x1b[1;4H漢".encode())
    shown.resize(4, 4)
    assert shown.feed(b"\x1bP$qm") == b""
    shown.checkpoint()
    assert shown.feed(b"\x1b\\") == b"\x1bP1$r0m\x1b\\"


def test_the_page_of_the_docs_lists_these_questions() -> None:
    page = (ROOT / "docs/queries.md").read_text()
    known = sorted(mode for mode, value in MODES[True].items() if value is None)
    assert ", ".join(f"`{mode}`" for mode in known) in page
    assert f"at most {ANSWER_BYTES} bytes" in page
    table = (
        "".join(line for line in page.splitlines() if line.startswith("|"))
        .replace(" ", "")
        .replace("\\|", "|")
    )
    for _, question, answer in QUESTIONS:
        if question.endswith(b"c") or question == b"\x1b[5n":
            for sequence in (question.replace(b"0c", b"c"), answer):
                assert sequence.decode().replace("\x1b[", "CSI") in table, sequence
        if question.startswith(b"\x1b]"):
            code = question[2:].split(b";")[0].decode()
            assert f"OSC{code};" in table
