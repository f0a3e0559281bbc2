"""The page's terminal puts every character into the same cells as the server's emulator."""

from __future__ import annotations

import json
import shutil
import subprocess
import unicodedata
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest

core = pytest.importorskip(
    "pyghostty.core", reason="the emulator has no build for this machine", exc_type=ImportError
)
_ffi = pytest.importorskip("pyghostty._ffi", exc_type=ImportError)

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
COLS, ROWS = 20, 4
AT_ONCE = 1000
"""Code points on one screen."""

UNSEEN = dict.fromkeys((0xFE0E, 0xFE0F, 0xFEFF))

SEQUENCES = {
    "a mark": "e\u0301b",
    "two marks": "e\u0301\u0323b",
    "a mark on a wide character": "\u3042\u3099b",
    "a mark on a blank": "a \u0301b",
    "a mark at the beginning": "\u0301b",
    "a mark behind the last column": "a" * COLS + "\u0301",
    "a mark behind a wide character at the end": "a" * (COLS - 2) + "\u3042\u3099",
    "a mark on the next row": "a" * COLS + "b\u0301",
    "a mark behind a colour": "e\x1b[31m\u0301b",
    "a mark behind a colour and a wide character": "\u3042\x1b[31m\u3099b",
    "a mark on the first half of a wide character": "\u3042\x1b[2G\u3099",
    "a mark behind a tab": "a\t\u0301b",
    "a mark behind a new line": "a\r\n\u0301\x1b[A\u0301b",
    "a mark on an empty cell": "\x1b[5C\u0301b",
    "a mark on an erased cell": "ab\x1b[1K\u0301b",
    "a mark behind a mark behind a colour": "e\u0301\x1b[31m\u0302\u0303b",
    "a mark repeated": "e\u0301\x1b[m\u0301\x1b[mb",
    "a wide character over the edge": "a" * (COLS - 1) + "\u3042b",
    "a wide character over the edge, not wrapped": "\x1b[?7l" + "a" * (COLS - 1) + "\u3042",
    "a character written over half a wide one": "\u3042\u3042\x1b[2Gb",
    "a wide character inserted": "abc\x1b[G\x1b[4h\u3042",
    "a soft hyphen": "a\u00adb",
    "a zero width space": "a\u200bb",
    "a word joiner": "a\u2060b",
    "a tag": "a\U000e0041b",
    "an Arabic number sign": "\u0600\u0661\u0662",
    "a family": "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466b",
    "a couple with a heart": "\U0001f469\u200d\u2764\ufe0f\u200d\U0001f468b",
    "a person with a laptop and a skin": "\U0001f469\U0001f3fd\u200d\U0001f4bbb",
    "a rainbow flag": "\U0001f3f3\ufe0f\u200d\U0001f308b",
    "a joiner without anything to join": "a\u200d\U0001f469b",
    "a flag": "\U0001f1e9\U0001f1eab",
    "two flags": "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7b",
    "half a flag": "\U0001f1e9b",
    "three halves of flags": "\U0001f1e9\U0001f1ea\U0001f1ebb",
    "a flag of tags": "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007fb",
    "a skin": "\U0001f44d\U0001f3fdb",
    "a skin alone": "\U0001f3fdb",
    "a skin on a letter": "a\U0001f3fdb",
    "a heart as an emoji": "\u2764\ufe0fb",
    "a heart as text": "\u2764\ufe0eb",
    "a watch as text": "\u231a\ufe0eb",
    "a watch as an emoji": "\u231a\ufe0fb",
    "a keycap": "1\ufe0f\u20e3b",
    "a keycap without a selector": "1\u20e3b",
    "a selector on a letter": "a\ufe0fb",
    "an ideographic variation": "\u845b\U000e0100b",
    "Hangul of three jamo": "\u1112\u1161\u11abb",
    "Hangul of two jamo": "\u1112\u1161b",
    "Hangul of a syllable and a jamo": "\uac00\u11a8b",
    "Hangul fillers": "\u115f\u1160b",
    "old Hangul": "\ua960\ud7b0\ud7cbb",
    "a vowel jamo alone": "\u1161b",
    "Devanagari, a conjunct": "\u0915\u094d\u0937\u093fb",
    "Devanagari, a word": "\u0928\u092e\u0938\u094d\u0924\u0947 b",
    "Devanagari, vowels alone": "\u093e\u093eb",
    "Tamil": "\u0ba8\u0bbfb",
    "Thai": "\u0e01\u0e33\u0e49b",
    "Tibetan": "\u0f40\u0fb5\u0f72b",
    "Khmer": "\u1781\u17d2\u1798\u17c2\u179ab",
    "Hebrew with points": "\u05e9\u05c1\u05b8\u05dcb",
    "fullwidth and halfwidth": "\uff21\uff71\uff9eb",
    "ambiguous": "\u00a7\u00b1\u2026\u2500\u25cf\u2605b",
    "what is for private use": "\ue0b0\U000f0000b",
}


@pytest.fixture(scope="module")
def lay_out(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[str]], Iterator[str]]:
    """The page's terminal: gives the lines that `cells.mjs` answers with."""
    node = shutil.which("node")
    assert node is not None
    widths = tmp_path_factory.mktemp("widths") / "widths.mjs"
    bundle = ["node_modules/.bin/rolldown", "src/terminal/widths.ts", "--file", str(widths), "--format", "es"]
    subprocess.run(bundle, cwd=WEB, check=True, capture_output=True, timeout=60)
    program = [node, str(Path(__file__).parent / "cells.mjs"), str(WEB), str(widths)]

    def run(lines: list[str]) -> Iterator[str]:
        given = "".join(f"{line}\n" for line in lines)
        done = subprocess.run(program, input=given, check=True, capture_output=True, text=True, timeout=100)
        yield from done.stdout.split("\n")[:-1]

    return run


def _cells(terminal: Any) -> list[tuple[str, int]]:
    """Text and width of each cell of the first row, as the library has them."""
    ffi, lib = _ffi.ffi, _ffi.lib
    cells = []
    for column in range(COLS):
        ref = terminal.ref(column, 0)
        cell, wide, count = ffi.new("GhosttyCell*"), ffi.new("GhosttyCellWide*"), ffi.new("size_t*")
        points = ffi.new("uint32_t[32]")
        assert lib.ghostty_grid_ref_cell(ref, cell) == 0
        assert lib.ghostty_cell_get(cell[0], lib.GHOSTTY_CELL_DATA_WIDE, wide) == 0
        assert lib.ghostty_grid_ref_graphemes(ref, points, 32, count) == 0
        text = "".join(chr(points[index]) for index in range(count[0]))
        width = {lib.GHOSTTY_CELL_WIDE_WIDE: 2, lib.GHOSTTY_CELL_WIDE_SPACER_TAIL: 0}.get(wide[0], 1)
        cells.append((text, width))
    return cells


def _drawn(text: str) -> str:
    """Without what neither takes space nor is drawn: the library keeps selectors behind emoji alone, and xterm.js no
    U+FEFF."""
    return text.translate(UNSEEN)


MODES = {"each by itself": "", "in clusters": "\x1b[?2027h"}
SWITCHED = {
    "clusters, and no more": "\x1b[?2027h\u0915\x1b[?2027l\u094d\u0937b",
    "clusters from here on": "\u0915\u094d\x1b[?2027h\u0937b",
    "clusters, reset": "\x1b[?2027h\x1bca\u0e33b",
    "clusters, softly reset": "\x1b[?2027h\x1b[!pa\u0e33b",
    "clusters, saved and restored": "\x1b[?2027h\x1b[?2027s\x1b[?2027l\x1b[?2027ra\u0e33b",
    "clusters switched off with another mode": "\x1b[?2027h\x1b[?7;2027la\u0e33b",
}
CASES = SWITCHED | {
    f"{name}, {mode}": f"{set}{data}" for mode, set in MODES.items() for name, data in SEQUENCES.items()
}
POOL = (
    "a b1\u00e9\u0301\u0323\u200b\u200c\u200d\u2060\ufe0e\ufe0f\u20e3\u0600\u06dd"
    "\u0903\u0915\u0937\u093e\u093f\u094d\u09be\u0e33\u1b44\u3042\u3099\u302e\uff9e"
    "\u1100\u115f\u1160\u1161\u11a8\uac00\uac01\ua960\ud7b0\u2764\u231a\u263a\u00a9"
    "\U0001f1e9\U0001f1ea\U0001f3fb\U0001f3fd\U0001f44d\U0001f468\U0001f469\U0001f600\U0001f4bb"
    "\U000e0067\U000e007f\U00011000\U000110bd\U00016ff0"
)
CONTROLS = (
    "\x1b[m",
    "\x1b[31m",
    "\x1b[G",
    "\x1b[2D",
    "\x1b[C",
    "\x1b[19G",
    "\b",
    "\x1b[?2027h",
    "\x1b[?2027l",
)


@pytest.fixture(scope="module")
def page_layouts(lay_out: Callable[[list[str]], Iterator[str]]) -> dict[str, Any]:
    answers = lay_out([json.dumps(data) for data in CASES.values()])
    return {name: json.loads(answer) for name, answer in zip(CASES, answers, strict=True)}


def _differences(data: str, page: dict[str, Any]) -> list[tuple[object, object]]:
    """What the page has, and the library instead."""
    terminal = core.Terminal(COLS, ROWS)
    terminal.feed(data.encode())
    cells = zip(page["cells"], _cells(terminal), strict=True)
    drawn = [((_drawn(here), a), (_drawn(there), b)) for (here, a), (there, b) in cells]
    # Past the last column xterm.js counts on, where the library remembers a pending wrap.
    x, y = page["cursor"]
    return [pair for pair in [*drawn, ((min(x, COLS - 1), y), terminal.cursor)] if pair[0] != pair[1]]


@pytest.mark.parametrize("name", CASES)
def test_a_sequence_takes_the_same_cells(name: str, page_layouts: dict[str, Any]) -> None:
    assert _differences(CASES[name], page_layouts[name]) == []


@pytest.mark.parametrize("mode", MODES)
def test_any_sequence_takes_the_same_cells(mode: str, lay_out: Callable[[list[str]], Iterator[str]]) -> None:
    random = Random(2027)
    cases = [
        MODES[mode] + "".join(random.choice(CONTROLS if random.random() < 0.05 else POOL) for _ in range(12))
        for _ in range(2000)
    ]
    pages = map(json.loads, lay_out([json.dumps(data) for data in cases]))
    differ = {
        data: found for data, page in zip(cases, pages, strict=True) if (found := _differences(data, page))
    }
    assert not differ


def test_every_code_point_takes_the_same_cells(lay_out: Callable[[list[str]], Iterator[str]]) -> None:
    codes = (code for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cc", "Cs"))
    rows = lay_out(["all"])
    terminal = core.Terminal(10, AT_ONCE)
    differ = []
    while batch := list(islice(codes, AT_ONCE)):
        lines = (f"a{chr(code)}b\x1b[9Gx" for code in batch)
        terminal.feed("\x1b[2J\x1b[H" + "\r\n".join(lines))
        for code, row in zip(batch, terminal.text().split("\n"), strict=True):
            page = next(rows)
            if _drawn(row) != _drawn(page):
                differ.append((f"U+{code:04X}", row, page))
    assert not differ
    assert next(rows, None) is None
