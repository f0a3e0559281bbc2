"""The text of a screen, and what is found in it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pyghostty._ffi", exc_type=ImportError)

from wormux.screen.library import Terminal
from wormux.screen.port import Match
from wormux.screen.text import find, plain_text


def shown(written: bytes | str, cols: int = 10, rows: int = 4) -> Terminal:
    terminal = Terminal(cols, rows, lambda _reply: None)
    terminal.feed(written.encode() if isinstance(written, str) else written)
    return terminal


def text(written: bytes | str, *, cols: int = 10, rows: int = 4, scrollback: bool = True) -> str:
    return plain_text(shown(written, cols, rows), scrollback=scrollback)


def places(
    written: bytes | str, pattern: str, *, cols: int = 10, case_sensitive: bool = False
) -> list[tuple[int, ...]]:
    found = find(shown(written, cols), pattern, case_sensitive=case_sensitive, limit=1000)
    return [(match.line, match.column, match.columns) for match in found]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", ""),
        ("ab\r\ncd", "ab\ncd"),
        ("ab   \r\n   \r\n", "ab"),
        ("\r\n\r\nab", "\n\nab"),
        ("  ab", "  ab"),
        ("a\tb\r\n\tc", "a       b\n        c"),
        ("a\x1b[3Cb\x1b[3;2Hc", "a   b\n\n c"),
        ("abcdefghij", "abcdefghij"),
        ("abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz"),
        ("abcdefghij\r\nklm", "abcdefghij\nklm"),
        ("abcde     fgh", "abcde     fgh"),
        ("abcdefghi     jk", "abcdefghi     jk"),
        ("abcdefghi漢字", "abcdefghi漢字"),
        ("漢字漢字漢字", "漢字漢字漢字"),
        ("e\u0301a\u0308\u0323 \u1100\u1161\u11a8", "e\u0301a\u0308\u0323 \u1100\u1161\u11a8"),
        ("👩\u200d👩\u200d👧🇩🇪", "👩\u200d👩\u200d👧🇩🇪"),
        ("a\u00a0", "a\u00a0"),
        ("\x1b[1;31mred\x1b[m \x1b]8;;http://a\x07link\x1b]8;;\x07", "red link"),
        ("\x1b[41m   \x1b[m\r\n\x1b[42m\x1b[2K\r\nx", "\n\nx"),
        ("\x1b[8mhid\x1b[mden", "hidden"),
        ("\x0e\x1b)0qx", "─│"),
        # A line that was joined no longer is when something happens to where it was.
        ("abcdefghijklm\x1b[1;4H\x1b[K", "abc\nklm"),
        ("abcdefghijklm\x1b[1;4H\x1b[2P", "abcfghij\nklm"),
        ("abcdefghijklmnopqrstuvwxyz\x1b[2;1H\x1b[L", "abcdefghij\n\nklmnopqrst\nuvwxyz"),
        ("abcdefghijklmnopqrstuvwxyz\x1b[2;1H\x1b[M", "abcdefghij\nuvwxyz"),
        ("abcdefghijklmnop\x1b[2;3r\x1b[3;1H\n\n", "abcdefghij"),
        ("abcdefghijklmnop\x1b[2;1Hxyz", "abcdefghijxyznop"),
        ("abcdefghijklm\x1b[2;1H\x1b[2@", "abcdefghij  klm"),
    ],
)
def test_text_is_what_was_written(written: str, expected: str) -> None:
    assert text(written) == expected


def test_the_screen_alone_or_with_all_above_it() -> None:
    written = "\r\n".join(str(number) for number in range(10))
    assert text(written) == "0\n1\n2\n3\n4\n5\n6\n7\n8\n9"
    assert text(written, scrollback=False) == "6\n7\n8\n9"


def test_the_screen_has_the_rest_of_a_line_that_was_begun_above() -> None:
    written = "a" * 10 + "b" * 10 + "c" * 10 + "\r\n1\r\n2\r\n3"
    assert text(written, scrollback=False) == "c" * 10 + "\n1\n2\n3"
    assert text(written) == "a" * 10 + "b" * 10 + "c" * 10 + "\n1\n2\n3"


def test_the_alternate_screen_has_nothing_above_it() -> None:
    terminal = shown("1\r\n2\r\n3\r\n4\r\n5\x1b[?1049h\x1b[Hvim")
    assert plain_text(terminal, scrollback=True) == plain_text(terminal, scrollback=False) == "vim"
    assert find(terminal, "1", case_sensitive=True, limit=9) == []
    terminal.feed(b"\x1b[?1049l")
    assert plain_text(terminal, scrollback=True) == "1\n2\n3\n4\n5"


def test_lines_are_joined_again_after_a_resize() -> None:
    terminal = shown("abcdefghijklm\r\nxy")
    for cols in (3, 30, 5, 2, 10):
        terminal.resize(cols, 4)
        assert plain_text(terminal, scrollback=True) == "abcdefghijklm\nxy"


@pytest.mark.parametrize(
    ("written", "pattern", "expected"),
    [
        ("", "a", []),
        ("abc", "", []),
        ("abc", "b", [(0, 1, 1)]),
        ("ABC", "b", [(0, 1, 1)]),
        ("abab aba", "aba", [(0, 5, 3), (0, 0, 3)]),
        ("aaaa", "aa", [(0, 2, 2), (0, 0, 2)]),
        ("a.c abc", "a.c", [(0, 0, 3)]),
        ("ab\r\nab", "ab", [(1, 0, 2), (0, 0, 2)]),
        ("ab\r\ncd", "b\nc", []),
        ("ab\r\ncd", "bc", []),
        ("abcdefghijklm", "ijkl", [(0, 8, 4)]),
        ("abcdefghij" * 3, "j" + "abcdefghij" + "a", [(0, 9, 12)]),
        ("abcdefghijklm", "klm", [(1, 0, 3)]),
        ("abcdefghij\r\nklm", "jk", []),
        ("漢字a漢", "漢", [(0, 5, 2), (0, 0, 2)]),
        ("漢字a漢", "字a", [(0, 2, 3)]),
        # The last column is left empty by a wide character that did not fit; it lies between.
        ("abcdefghi漢字", "i漢", [(0, 8, 4)]),
        ("abcdefghi漢字", "字", [(1, 2, 2)]),
        ("xe\u0301y", "e\u0301", [(0, 1, 1)]),
        ("xe\u0301y", "e", [(0, 1, 1)]),
        ("xe\u0301y", "\u0301", [(0, 1, 1)]),
        ("xe\u0301y", "y", [(0, 2, 1)]),
        ("xe\u0301y", "\u00e9", []),
        ("ÄÖ straße", "äö", [(0, 0, 2)]),
        ("ÄÖ straße", "STRAßE", [(0, 3, 6)]),
        ("a\x1b[1;6Hb", "a    b", [(0, 0, 6)]),
        ("a  \r\nb", "a ", [(0, 0, 2)]),
        ("a\r\nb", "a ", []),
    ],
)
def test_places(written: str, pattern: str, expected: list[tuple[int, ...]]) -> None:
    assert places(written, pattern) == expected


def test_case_matters_if_it_is_to() -> None:
    assert places("ab AB aB", "aB", case_sensitive=True) == [(0, 6, 2)]
    assert places("ab AB aB", "aB") == [(0, 6, 2), (0, 3, 2), (0, 0, 2)]


def test_a_cluster_of_many_code_points_is_one_cell() -> None:
    many = "e" + "\u0301" * 40
    assert places(f"x{many}y", "y") == [(0, 2, 1)]
    assert text(f"x{many}y") == f"x{many}y"


def test_lines_count_from_the_oldest_of_the_scrollback() -> None:
    terminal = shown("\r\n".join(f"line {number}" for number in range(100)))
    assert find(terminal, "line 0", case_sensitive=True, limit=9) == [Match(0, 0, 6)]
    assert find(terminal, "line 99", case_sensitive=True, limit=9) == [Match(99, 0, 7)]


@pytest.mark.parametrize("limit", [-1, 0, 1, 7, 300, 1000])
def test_the_newest_are_given_up_to_the_limit(limit: int) -> None:
    terminal = shown("ab ab ab\r\n" * 100)
    expected = [Match(line, column, 2) for line in reversed(range(100)) for column in (6, 3, 0)]
    assert find(terminal, "AB", case_sensitive=False, limit=limit) == expected[: max(0, limit)]


def test_a_line_of_many_rows_is_one_line() -> None:
    terminal = shown("a" * 5000 + "b" + "a" * 5000)
    assert find(terminal, "aba", case_sensitive=True, limit=9) == [Match(499, 9, 3)]
    assert find(terminal, "a", case_sensitive=True, limit=2) == [Match(1000, 0, 1), Match(999, 9, 1)]


CLUSTERS = [*"abAB  .", "漢", "字", "é", "e\u0301", "a\u0308", "ß", "İ", "ﬁ", "\u00a0", "─", "👩"]
WIDE = {"漢", "字", "👩"}
written_lines = st.lists(st.lists(st.sampled_from(CLUSTERS), max_size=30), min_size=1, max_size=8)


@dataclass
class Model:
    """Clusters laid out in rows: a line begins a row, a wide cluster never stands in two."""

    cols: int
    lines: list[list[str]]

    def text(self) -> str:
        return "\n".join("".join(line).rstrip(" ") for line in self.lines).rstrip("\n")

    def find(self, pattern: str, flags: re.RegexFlag) -> list[Match]:
        found = []
        row = 0
        for line in self.lines:
            cells: list[tuple[int, int]] = []
            column = 0
            for cluster in line:
                width = 2 if cluster in WIDE else 1
                if column + width > self.cols:
                    row, column = row + 1, 0
                cells += [(row * self.cols + column, width)] * len(cluster)
                column += width
            for match in re.finditer(re.escape(pattern), "".join(line), flags):
                first, (last, width) = cells[match.start()][0], cells[match.end() - 1]
                found.append(Match(first // self.cols, first % self.cols, last + width - first))
            row += 1
        return found[::-1]


@settings(max_examples=400, deadline=None)
@given(st.integers(2, 12), st.integers(2, 6), written_lines)
def test_text_is_that_of_the_model(cols: int, rows: int, lines: list[list[str]]) -> None:
    written = "\r\n".join("".join(line) for line in lines)
    assert text(written, cols=cols, rows=rows) == Model(cols, lines).text()


@settings(max_examples=400, deadline=None)
@given(
    st.integers(2, 12),
    written_lines,
    st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=3),
    st.booleans(),
)
def test_places_are_those_of_the_model(
    cols: int, lines: list[list[str]], pattern: list[str], case_sensitive: bool
) -> None:
    terminal = shown("\r\n".join("".join(line) for line in lines), cols)
    flags = re.NOFLAG if case_sensitive else re.IGNORECASE
    wanted = "".join(pattern)
    expected = Model(cols, lines).find(wanted, flags)
    assert find(terminal, wanted, case_sensitive=case_sensitive, limit=1000) == expected
    assert find(terminal, wanted, case_sensitive=case_sensitive, limit=3) == expected[:3]


CONTROLS = (
    r"\r\n \n \r \t \b \e[K \e[1K \e[J \e[2J \e[H \e[L \e[M \e[2P \e[3@ \e[2X \e[A \e[3C \e[2;3r \e[r \e[?1049h "
    r"\e[?1049l \e[?2027h \e[?7l \e[?7h \e[4h \e[4l \e[41m \e[m \e[3S \e[2T \e[?69h\e[2;4s \e[?69l \e[3b \e#8 \eM \ec"
)
SEQUENCES = st.one_of(
    st.sampled_from([*CLUSTERS, "\ufe0f", "\u200d", "🇩🇪"]),
    st.text(alphabet="ab 漢\u0301", max_size=30),
    st.sampled_from(
        [control.encode().decode("unicode_escape") for control in CONTROLS.replace(r"\e", r"\x1b").split()]
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(SEQUENCES, max_size=40).map("".join), st.integers(2, 12), st.integers(2, 12))
def test_rows_are_the_text_of_their_cells(written: str, cols: int, later_cols: int) -> None:
    terminal = shown(written, cols)
    terminal.resize(later_cols, 4)
    rows = terminal.row_texts(scrollback=True)
    height = terminal.scrollback_rows + terminal.rows
    cells = [terminal.row_cells(row) for row in range(height)]
    assert all(len(row) == later_cols for row in cells)
    by_cells = ["".join(text for text, _ in row) for row in cells]
    assert [row.rstrip(" ") for row in rows + [""] * (height - len(rows))] == [
        row.rstrip(" ") for row in by_cells
    ]
    assert all(whole.startswith(row) for row, whole in zip(rows, by_cells, strict=False))
    whole_text = plain_text(terminal, scrollback=True)
    assert whole_text.replace("\n", "").replace(" ", "") == "".join(rows).replace(" ", "")
    for pattern in ("a", "a b", "漢", "\u0301"):
        for match in find(terminal, pattern, case_sensitive=True, limit=100):
            run = [cell for row in cells[match.line :] for cell in row][
                match.column : match.column + match.columns
            ]
            # A wide character that did not fit leaves a cell empty at the end of a row.
            assert pattern.replace(" ", "") in "".join(text for text, _ in run).replace(" ", "")
