"""Pens, character sets and links as the sequences that select them. Knows nothing of rows or cursors."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from wormux.screen.snapshot import PLAIN_STYLE, Link, Rgb

PLAIN_PEN: Final = "\x1b[m"
NO_LINK: Final = "\x1b]8;;\x1b\\"
PROTECT: Final = '\x1b[1"q'
UNPROTECT: Final = '\x1b[0"q'

_ATTRIBUTES: Final = ((1, "1"), (4, "2"), (2, "3"), (8, "5"), (16, "7"), (32, "8"), (64, "9"), (128, "53"))
"""Bit in the style, and the SGR parameter that sets it."""
_FOREGROUND, _BACKGROUND, _UNDERLINE = 38, 48, 58
_SET_FINALS: Final = ("B", "B", "A", "0")
_GL_SHIFTS: Final = ("\x0f", "\x0e", "\x1bn", "\x1bo")
_GR_SHIFTS: Final = ("", "\x1b~", "\x1b}", "\x1b|")
_SINGLE_SHIFTS: Final = ("", "", "", "\x1bN", "\x1bO")
_GR_DEFAULT: Final = 2


@lru_cache(maxsize=4096)
def pen(style: bytes) -> str:
    """What selects a style of 16 bytes, whatever the pen was before."""
    if style == PLAIN_STYLE:
        return PLAIN_PEN
    flags = style[12] | style[13] << 8
    parameters = ["0", *(number for bit, number in _ATTRIBUTES if flags & bit)]
    underline = flags >> 8 & 7
    if underline:
        parameters.append("4" if underline == 1 else f"4:{underline}")
    parameters += _color(style[0:4], _FOREGROUND) + _color(style[4:8], _BACKGROUND)
    parameters += _color(style[8:12], _UNDERLINE)
    return f"\x1b[{';'.join(parameters)}m"


def background_pen(color: int | Rgb) -> str:
    """What selects a background alone."""
    kind = bytes((1, color, 0, 0)) if isinstance(color, int) else bytes((2, *color))
    return f"\x1b[0;{';'.join(_color(kind, _BACKGROUND))}m"


def _color(color: bytes, selector: int) -> list[str]:
    kind, first, second, third = color
    if kind == 0:
        return []
    if kind == 2:
        return [str(selector), "2", str(first), str(second), str(third)]
    if first < 16 and selector != _UNDERLINE:  # the short forms of the first sixteen
        return [str(selector - 8 + first if first < 8 else selector + 52 + first - 8)]
    return [str(selector), "5", str(first)]


def link(target: Link) -> str:
    """What opens a link. One without an id of the program's gets the library's number for one, so that a link that
    goes over several rows stays one link."""
    identity = target.id if isinstance(target.id, bytes) else b"~%d" % target.id
    return f"\x1b]8;id={clean(identity)};{clean(target.uri)}\x1b\\"


def charsets(state: int) -> str:
    """What selects the character sets, in a terminal where none was selected."""
    designate = [
        f"\x1b{slot}{_SET_FINALS[state >> 2 * number & 3]}"
        for number, slot in enumerate("()*+")
        if state >> 2 * number & 3
    ]
    # xterm.js takes a shift of GR for one of GL, so GL comes last, and always then.
    gl, gr = state >> 8 & 3, state >> 10 & 3
    right = _GR_SHIFTS[gr] if gr != _GR_DEFAULT else ""
    left = _GL_SHIFTS[gl] if gl or right else ""
    return "".join(designate) + right + left


def single_shift(state: int) -> str:
    """What makes the next character alone one of another set."""
    return _SINGLE_SHIFTS[state >> 12 & 7] if state >> 12 & 7 < len(_SINGLE_SHIFTS) else ""


def no_charsets(state: int) -> str:
    """What undoes `charsets(state)`."""
    if state & 0x3FF == 0 and state >> 10 & 3 == _GR_DEFAULT:
        return ""
    return "\x1b(B\x1b)B\x1b*B\x1b+B\x1b}\x0f"


def rgb(color: Rgb) -> str:
    """As OSC 4, 10, 11 and 12 take it."""
    return "rgb:{:02x}/{:02x}/{:02x}".format(*color)


def clean(text: bytes) -> str:
    """A text for the inside of an OSC, which a control character would end."""
    return "".join(c for c in text.decode("utf-8", "replace") if c >= " " and not "\x7f" <= c <= "\x9f")
