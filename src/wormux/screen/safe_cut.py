"""Where terminal output may be cut: never inside an escape sequence or a character.

Only as much of ECMA-48 as that needs (states as in Williams' parser, https://vt100.net/emu/dec_ansi_parser):
ESC begins anew from anywhere, CAN and SUB end anything, BEL ends an OSC string. Terminals here speak UTF-8, so
the 8-bit C1 controls are no controls.
"""

from __future__ import annotations

import re
from enum import IntEnum

_ESC = b"\x1b"
_LINE_WITHIN_BYTES = 1024
"""A cut moves on to the start of a line if one is this near."""


class ParserState(IntEnum):
    """Where a terminal's parser stands between two bytes."""

    GROUND = 0
    ESCAPE = 1
    INTERMEDIATE = 2
    CSI = 3
    OSC = 4
    STRING = 5
    """DCS, SOS, PM or APC."""
    UNKNOWN = 6
    """What came before is not known: a new line is the best that can be said."""


_INTRODUCERS = {
    ord("["): ParserState.CSI,
    ord("]"): ParserState.OSC,
    ord("P"): ParserState.STRING,
    ord("X"): ParserState.STRING,
    ord("^"): ParserState.STRING,
    ord("_"): ParserState.STRING,
}
_ENDS = {
    ParserState.INTERMEDIATE: re.compile(rb"[\x18\x1a\x30-\x7e\x80-\xff]"),
    ParserState.CSI: re.compile(rb"[\x18\x1a\x40-\x7e\x80-\xff]"),
    ParserState.OSC: re.compile(rb"[\x07\x18\x1a]"),
    ParserState.STRING: re.compile(rb"[\x18\x1a]"),
    ParserState.UNKNOWN: re.compile(rb"[\x18\x1a\n]"),
}


def state_after(state: ParserState, data: bytes) -> ParserState:
    """The parser's state behind `data`, if it was in `state` before. Looks at the last sequence alone."""
    last = data.rfind(_ESC)
    if last < 0:
        return _run(state, data, 0)[0]
    return _run(ParserState.ESCAPE, data, last + 1)[0]


def safe_cut(state: ParserState, data: bytes, wanted: int) -> int:
    """The first index at or behind `wanted` where a terminal may begin to read `data`, preferring the start of a
    line nearby; `len(data)` if there is none. `state` is the parser's before `data`."""
    cut = _ground_from(state, data, wanted)
    if data[:cut].endswith(b"\n"):
        return cut
    line_end = data.find(b"\n", cut, cut + _LINE_WITHIN_BYTES)
    if cut > 0 and line_end >= 0 and _ground_from(state, data, line_end + 1) == line_end + 1:
        return line_end + 1
    return cut


def _ground_from(state: ParserState, data: bytes, wanted: int) -> int:
    last = data.rfind(_ESC, 0, wanted)
    if last < 0:
        state, ground = _run(state, data, 0)
    else:
        state, ground = _run(ParserState.ESCAPE, data, last + 1)
    interrupted = data.find(_ESC, wanted)
    if interrupted >= 0 and (state != ParserState.GROUND or ground > interrupted):
        return interrupted
    if state != ParserState.GROUND:
        return len(data)
    cut = max(wanted, ground)
    while cut < len(data) and 0x80 <= data[cut] < 0xC0:  # continuation bytes of a character cut in two
        cut += 1
    return cut


def _run(state: ParserState, data: bytes, start: int) -> tuple[ParserState, int]:
    """State at the end, and the index where ground was reached if it was, for `data[start:]` up to its next ESC."""
    if state == ParserState.ESCAPE:
        if start >= len(data):
            return ParserState.ESCAPE, start
        byte = data[start]
        intermediate = 0x20 <= byte < 0x30
        state = ParserState.INTERMEDIATE if intermediate else _INTRODUCERS.get(byte, ParserState.GROUND)
        start += 1
    if state == ParserState.GROUND:
        return state, start
    end = _ENDS[state].search(data, start)
    return (ParserState.GROUND, end.end()) if end else (state, len(data))
