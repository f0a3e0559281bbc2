"""Terminal output is never cut inside an escape sequence or a character.

What a terminal makes of the bytes is said by a parser of the test's own, a byte at a time, after the diagram of
Williams (https://vt100.net/emu/dec_ansi_parser) with UTF-8 in ground.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wormux.screen.safe_cut import ParserState, safe_cut, state_after

ESC, BEL, CAN, SUB = 0x1B, 0x07, 0x18, 0x1A


class Reference:
    """Whether a terminal is at rest: in ground, between two characters."""

    def __init__(self) -> None:
        self.state = "ground"
        self.more = 0
        """Continuation bytes that the character still lacks."""

    @property
    def at_rest(self) -> bool:
        return self.state == "ground" and self.more == 0

    def feed(self, byte: int) -> None:
        if byte == ESC:
            self.state, self.more = "escape", 0
        elif byte in (CAN, SUB):
            self.state, self.more = "ground", 0
        elif byte >= 0x80 and self.state in ("escape", "intermediate", "csi"):
            self.state = "ground"  # as xterm.js has it
            self._text(byte)
        elif self.state == "ground":
            self._text(byte)
        elif self.state == "escape":
            self._escape(byte)
        elif self.state == "intermediate":
            if 0x30 <= byte <= 0x7E:
                self.state = "ground"
        elif self.state == "csi":
            if 0x40 <= byte <= 0x7E:
                self.state = "ground"
        elif self.state == "osc" and byte == BEL:
            self.state = "ground"

    def _text(self, byte: int) -> None:
        if 0x80 <= byte < 0xC0:
            self.more = max(0, self.more - 1)
        elif byte >= 0xC0:
            self.more = 1 if byte < 0xE0 else 2 if byte < 0xF0 else 3
        else:
            self.more = 0

    def _escape(self, byte: int) -> None:
        if byte == ord("["):
            self.state = "csi"
        elif byte == ord("]"):
            self.state = "osc"
        elif byte in b"PX^_":
            self.state = "string"
        elif 0x20 <= byte <= 0x2F:
            self.state = "intermediate"
        elif byte >= 0x20:
            self.state = "ground"


def rests(data: bytes) -> list[bool]:
    """For every index of `data`, and its end: is the terminal at rest there, or put to rest by the ESC that follows?"""
    reference = Reference()
    found = [True]
    for byte in data:
        reference.feed(byte)
        found.append(reference.at_rest)
    return [rest or data[index : index + 1] == b"\x1b" for index, rest in enumerate(found)]


PIECES = st.sampled_from(
    [
        b"text",
        b"\r\n",
        "ä€😀".encode(),
        b"\x1b[31m",
        b"\x1b[?2004;1h",
        b"\x1b[",
        b"\x1b[12;",
        b"\x1b]0;title\x07",
        b"\x1b]8;;http://x\x1b\\",
        "\x1b]2;späß".encode(),
        b"\x1bPq#0;2;0;0;0\x1b\\",
        b"\x1bP$q",
        b"\x1b_application\x1b\\",
        b"\x1b^private\x1b\\",
        b"\x1bXstring",
        b"\x1b(B",
        b"\x1b(",
        b"\x1b",
        b"\x1b7",
        b"\x1b#8",
        b"\x18",
        b"\x1a",
        b"\x07",
        b"x" * 1500,
        b"line\n" * 30,
    ]
)
STREAMS = st.lists(PIECES, max_size=12).map(b"".join)


@settings(deadline=None)
@given(STREAMS, st.data())
def test_cuts_are_where_a_terminal_is_at_rest(stream: bytes, data: st.DataObject) -> None:
    wanted = data.draw(st.integers(0, len(stream)))
    cut = safe_cut(ParserState.GROUND, stream, wanted)
    assert wanted <= cut <= len(stream)
    assert cut == len(stream) or rests(stream)[cut]


@settings(deadline=None)
@given(STREAMS, STREAMS, st.data())
def test_what_came_before_counts(before: bytes, stream: bytes, data: st.DataObject) -> None:
    """A part of the stream whose beginning is gone: the parser's state stands for it."""
    state = state_after(ParserState.GROUND, before)
    wanted = data.draw(st.integers(0, len(stream)))
    cut = safe_cut(state, stream, wanted)
    whole = rests(before + stream)
    assert cut == len(stream) or whole[len(before) + cut] or _cut_in_character(before, stream, cut)


def _cut_in_character(before: bytes, stream: bytes, cut: int) -> bool:
    """A character that begins before the part is out of sight; its rest at the cut is left out all the same."""
    return cut == 0 and not 0x80 <= stream[0] < 0xC0


@settings(deadline=None)
@given(STREAMS, st.data())
def test_the_state_is_the_same_in_pieces(stream: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(stream)))
    halves = state_after(state_after(ParserState.GROUND, stream[:cut]), stream[cut:])
    assert halves == state_after(ParserState.GROUND, stream)


@settings(deadline=None)
@given(STREAMS)
def test_the_state_is_ground_where_the_reference_says_so(stream: bytes) -> None:
    reference = Reference()
    for byte in stream:
        reference.feed(byte)
    assert (state_after(ParserState.GROUND, stream) == ParserState.GROUND) == (reference.state == "ground")


@pytest.mark.parametrize(
    ("stream", "wanted", "cut"),
    [
        (b"one\ntwo\nthree", 1, 4),
        (b"one\ntwo\nthree", 4, 4),
        (b"one\ntwo\nthree", 0, 0),
        (b"no line end here", 3, 3),
        (b"a\x1b[31mb", 3, 6),
        ("aäb".encode(), 2, 3),
        (b"\x1b]0;a title that never ends", 3, 27),
        (b"abc", 3, 3),
        (b"", 0, 0),
    ],
)
def test_where_it_cuts(stream: bytes, wanted: int, cut: int) -> None:
    assert safe_cut(ParserState.GROUND, stream, wanted) == cut


def test_after_an_unknown_past_a_new_line_is_safe() -> None:
    assert safe_cut(ParserState.UNKNOWN, b"31mrest of it\nnext", 0) == 14
    assert safe_cut(ParserState.UNKNOWN, b"31mrest\x1b[mnext", 0) == 7
