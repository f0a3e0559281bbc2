"""Titles in a stream that arrives in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wormux.hub.title import TitleScanner, clean_text
from wormux.limits import TITLE_CHARS


@pytest.mark.parametrize(
    ("data", "title"),
    [
        (b"\x1b]0;one\x07", "one"),
        (b"\x1b]2;two\x1b\\", "two"),
        (b"a\x1b]0;one\x07b\x1b]2;two\x07c", "two"),
        (b"\x1b]2;\x07", ""),
        ("\x1b]0;grün ✓\x07".encode(), "grün ✓"),
        (b"\x1b]2;x\xff\x07", "x\ufffd".replace("\ufffd", "�")),
        (b"\x1b]1;icon\x07", None),
        (b"\x1b]22;pointer\x07", None),
        (b"\x1b]0;never ended", None),
        (b"\x1b]0;cancelled\x18\x07", None),
        (b"plain", None),
    ],
)
def test_titles(data: bytes, title: str | None) -> None:
    assert TitleScanner().feed(data) == title


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), max_size=12))
def test_pieces_make_no_difference(cuts: list[int]) -> None:
    data = b"ab\x1b]0;first\x07\x1b[31mtext\x1b]2;second \xe2\x9c\x93\x1b\\more\x1b]0;un"
    scanner, seen = TitleScanner(), []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        title = scanner.feed(data[start:end])
        if title is not None:
            seen.append(title)
    assert seen[-1] == "second ✓"


def test_what_is_too_long_is_no_title_and_is_not_kept() -> None:
    scanner = TitleScanner()
    scanner.feed(b"\x1b]0;")
    for _ in range(100):
        scanner.feed(b"x" * 100)
    assert len(scanner._carry) <= 4 * TITLE_CHARS + 8
    assert scanner.feed(b"\x1b]0;next\x07") == "next"


def test_cleaned_text_is_bounded_and_printable() -> None:
    assert clean_text("a\x1bb\x00\u202ec\n", 10) == "abc"
    assert clean_text("x" * 999, TITLE_CHARS) == "x" * TITLE_CHARS


def test_the_first_byte_of_a_title_may_end_a_piece() -> None:
    scanner = TitleScanner()
    assert scanner.feed(b"text\x1b") is None
    assert scanner.feed(b"]0;title\x07") == "title"
