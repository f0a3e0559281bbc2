"""What a program hears when it asks its terminal something.

The library answers as the terminal that it is; what people see is drawn by another. Between them stands one table of
the answers that are given, which are those that the page's terminal would give or could keep: docs/queries.md has
the list. All else that the library says is kept back, above all whatever has text of a program's own choice in it: an
answer is typed into that program's terminal, and must never be able to type a command.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from wormux.screen.library import Terminal
from wormux.version import __version__

DEFAULT_COLORS: Final = (0xDADEE3, 0x0A0E12, 0xE5E8EC)
"""Foreground, background and cursor of the page's dark theme, until a client gives its own."""
THEME_COLORS: Final = range(16)
"""The palette's entries that are the theme's. All pages draw the others alike."""
_UNKNOWN: Final = {index: 0x010100 | index for index in THEME_COLORS}
"""Colours that mean "the theme's, whatever it is": hardly to be told from black, so that no program wants them."""

_PRIMARY: Final = b"\x1b[?1;2c"
_SECONDARY: Final = b"\x1b[>0;276;0c"
_NAME: Final = b"\x1bP>|Wormux " + __version__.encode("ascii") + b"\x1b\\"
_NO_STATUS: Final = b"\x1bP0$r\x1b\\"

_AS_IT_IS: Final = -1
_UNRECOGNIZED, _SET, _ALWAYS_SET, _NEVER_SET = 0, 1, 3, 4
_ANSI_MODES: Final = {2: _NEVER_SET, 4: _AS_IT_IS, 12: _ALWAYS_SET, 20: _AS_IT_IS}
_DEC_MODES: Final = {
    8: _ALWAYS_SET,
    67: _NEVER_SET,
    1005: _NEVER_SET,
    1015: _NEVER_SET,
    1048: _SET,
} | dict.fromkeys(
    (1, 6, 7, 9, 12, 25, 45, 47, 66, 1000, 1002, 1003, 1004, 1006, 1016, 1047, 1049, 2004, 2026), _AS_IT_IS
)
"""The modes that the page's terminal knows, and how they stand."""


def _same(reply: re.Match[bytes]) -> bytes:
    return reply[0]


def _fixed(answer: bytes) -> Callable[[re.Match[bytes]], bytes]:
    return lambda _reply: answer


def _mode(known: Mapping[int, int], prefix: bytes) -> Callable[[re.Match[bytes]], bytes]:
    def answer(reply: re.Match[bytes]) -> bytes:
        number, found = (int(digits) for digits in _DIGITS.findall(reply[0]))
        value = known.get(number, _UNRECOGNIZED)
        return b"\x1b[%s%d;%d$y" % (prefix, number, found if value == _AS_IT_IS else value)

    return answer


def _palette(reply: re.Match[bytes]) -> bytes:
    _, index, color = reply[0].rstrip(b"\x07\x1b\\").split(b";")
    unknown = _UNKNOWN.get(int(index))
    return b"" if unknown is not None and color == _rgb(unknown) else reply[0]


def _rgb(color: int) -> bytes:
    return b"rgb:" + b"/".join(b"%02x%02x" % (part, part) for part in color.to_bytes(3, "big"))


_DIGITS: Final = re.compile(rb"[0-9]+")
_NUMBER: Final = rb"[0-9]{1,5}"
_COLOR: Final = rb"rgb:[0-9a-f]{4}/[0-9a-f]{4}/[0-9a-f]{4}(?:\x07|\x1b\\)"

_REPLIES: Final[tuple[tuple[str, bytes, Callable[[re.Match[bytes]], bytes]], ...]] = (
    ("primary", rb"\x1b\[\?[0-9;]*c", _fixed(_PRIMARY)),
    ("secondary", rb"\x1b\[>[0-9;]*c", _fixed(_SECONDARY)),
    ("status", rb"\x1b\[0n", _same),
    ("position", rb"\x1b\[%s;%sR" % (_NUMBER, _NUMBER), _same),
    ("ansi_mode", rb"\x1b\[%s;[0-4]\$y" % _NUMBER, _mode(_ANSI_MODES, b"")),
    ("dec_mode", rb"\x1b\[\?%s;[0-4]\$y" % _NUMBER, _mode(_DEC_MODES, b"?")),
    ("name", rb"\x1bP>\|[ -~]*\x1b\\", _fixed(_NAME)),
    ("pen", rb"\x1bP1\$r0(?:;[0-9:]{1,20}){0,11}m\x1b\\", _same),
    ("region", rb"\x1bP1\$r%s;%sr\x1b\\" % (_NUMBER, _NUMBER), _same),
    ("cursor_style", rb"\x1bP1\$r[0-6] q\x1b\\", _same),
    ("no_status", rb"\x1bP[01]\$r[ -~]*\x1b\\", _fixed(_NO_STATUS)),
    ("palette", rb"\x1b\]4;[0-9]{1,3};" + _COLOR, _palette),
    ("default_color", rb"\x1b\]1[0-2];" + _COLOR, _same),
    # Whole sequences of any other kind, so that a listed one behind them is still found.
    ("csi", rb"\x1b\[[0-?]*[ -/]*[@-~]", _fixed(b"")),
    ("string", rb"\x1b[P\]_^X][^\x07\x1b]*(?:\x07|\x1b\\)", _fixed(b"")),
)
"""Each kind of reply, and what becomes of it. The first that fits counts."""

_REPLY: Final = re.compile(b"|".join(b"(?P<%s>%s)" % (kind.encode(), form) for kind, form, _ in _REPLIES))
_ANSWERS: Final = {kind: answer for kind, _, answer in _REPLIES}


def configure(terminal: Terminal) -> None:
    """Make a fresh terminal ready to be asked. What is restored from a checkpoint has this from it."""
    terminal.set_colors(*DEFAULT_COLORS)
    terminal.set_palette(_UNKNOWN)
    # As the page draws it: programs put the cursor back as they found it.
    terminal.blink_cursor()


class Answers:
    """Turns the library's replies into the answers that programs get."""

    def take(self, reply: bytes) -> bytes:
        """`reply` is all that the library says at once: one answer, or as many as were asked for in one sequence.

        Gives a sequence of answers, each as docs/queries.md lists them; of what is none, nothing.
        """
        answer = bytearray()
        position = 0
        while position < len(reply):
            found = _REPLY.match(reply, position)
            if found is None or found.lastgroup is None:
                break
            answer += _ANSWERS[found.lastgroup](found)
            position = found.end()
        return bytes(answer)
