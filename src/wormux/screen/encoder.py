"""A snapshot as the bytes that bring an empty terminal to the same state.

The terminal meant is xterm.js 6 of the snapshot's size; libghostty-vt itself comes to exactly the same state. What
xterm.js does not have is left out where leaving it out changes nothing later (images, mouse shapes, the alternate
screen while it is not shown, which xterm.js clears), and is sent where xterm.js ignores it anyway: keyboard flags,
left and right margins, XTSAVE. No byte of it asks the terminal for an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wormux.limits import KIB
from wormux.screen import modes
from wormux.screen.port import Redraw
from wormux.screen.rows import blank_pen, cell_text
from wormux.screen.rows import encode as encode_rows
from wormux.screen.snapshot import (
    ALTERNATE,
    CONTENT,
    CONTENT_SHIFT,
    KIND,
    LINK_SHIFT,
    PRIMARY,
    PROTECTED,
    SPACER_TAIL,
    STYLE,
    STYLE_SHIFT,
    WIDE,
    WIDTH,
    WIDTH_SHIFT,
    Row,
    SavedCursor,
    ScreenState,
    Snapshot,
)
from wormux.screen.style import (
    PLAIN_PEN,
    PROTECT,
    UNPROTECT,
    charsets,
    clean,
    link,
    no_charsets,
    pen,
    rgb,
    single_shift,
)

CONTINUATION_BYTES: Final = 64 * KIB
"""Of an unfinished sequence that is sent; a longer one is sent as one that does nothing."""
_MEANINGLESS: Final = {
    b"\x1b[": b"\x1b[!1",
    b"\x1b]": b"\x1b]~",
    b"\x1bP": b"\x1bP~",
    b"\x1b_": b"\x1b_~",
    b"\x1bX": b"\x1bX~",
    b"\x1b^": b"\x1b^~",
}
_WRAP_PENDING, _PROTECTED = 1, 2
_SAVED_PROTECTED, _SAVED_WRAP_PENDING, _SAVED_ORIGIN = 1, 2, 4
_ISO_PROTECTION = 1
_ASCII = 1
_CURSOR_SHAPES: Final = (5, 1, 3, 1)
"""DECSCUSR's number for a blinking cursor; a steady one is the next."""


def encode(state: Snapshot, lines: int, limit_bytes: int) -> Redraw:
    """The redraw of a snapshot, with at most `lines` rows of scrollback and in at most `limit_bytes`: the oldest rows
    are left out for it, then the upper rows of the screen."""
    screen = state.screens[state.active]
    rows = screen.rows(state.rows)
    before = _colors(state) + modes.saved(state) + _tabs(state)
    after = _tail(state, screen, rows)
    continuation = _continuation(state.continuation)
    room = limit_bytes - len(before) - len(after) - len(continuation)
    primary = state.screens[PRIMARY]
    if state.active == ALTERNATE:
        shown, _ = encode_rows(rows, state.cols, state.rows, room)
        change = _to_alternate(state, primary) + shown
        room -= len(change)
    else:
        change = b""
    wanted = min(lines, primary.history_rows)
    drawn, left_out = encode_rows(primary.rows(state.rows + wanted), state.cols, state.rows, room)
    data = b"".join((before.encode(), drawn, change, after, continuation))
    return Redraw(data, primary.history_rows - wanted + left_out)


def _colors(state: Snapshot) -> str:
    parts = [f"\x1b]4;{index};{rgb(color)}\x1b\\" for index, color in state.palette.items()]
    for number, color in ((10, state.foreground), (11, state.background), (12, state.cursor_color)):
        if color is not None:
            parts.append(f"\x1b]{number};{rgb(color)}\x1b\\")
    return "".join(parts)


def _tabs(state: Snapshot) -> str:
    if state.tabs == list(range(8, state.cols, 8)):
        return ""
    return "\x1b[3g" + "".join(f"\x1b[{x + 1}G\x1bH" for x in state.tabs) + "\r"


def _to_alternate(state: Snapshot, primary: ScreenState) -> bytes:
    """From the primary screen, drawn, to a blank alternate one. The primary's own cursor is of no account: a program
    comes back to the saved one or brings the alternate screen's along. By which mode it came is of none either."""
    parts = [_keyboard(primary), _cursor_shape(state, primary)]
    if primary.protected_mode == _ISO_PROTECTION:
        parts.append("\x1bV\x1bW")
    saved = _saved(state, primary)
    rows = primary.rows(state.rows)
    if saved:
        parts += [_at_saved(state, saved, rows), "\x1b7", _plain(saved), _unprinted(state, saved, rows)]
    parts.append(modes.switch("?47", True))
    parts += [PLAIN_PEN, "\x1b[H\x1b[2J"]
    return "".join(parts).encode()


def _tail(state: Snapshot, screen: ScreenState, rows: Sequence[Row]) -> bytes:
    """All that follows the rows of the active screen."""
    parts = [_keyboard(screen)]
    margins = _margins(state)
    origin = modes.is_set(state.modes, "?6")
    if margins:  # xterm.js takes DECSLRM for SCOSC, so the saved cursor comes after it
        parts.append(margins)
    saved = _saved(state, screen)
    if saved:
        parts += [_at_saved(state, saved, rows), "\x1b7", _plain(saved), _unprinted(state, saved, rows)]
    top, bottom, _left, _right = state.region
    if (top, bottom) != (0, state.rows - 1):
        parts.append(f"\x1b[{top + 1};{bottom + 1}r")
    if origin:
        parts.append(modes.switch("?6", True))
    parts += [_cursor(state, screen, rows, origin), _protection(screen), pen(screen.style)]
    if screen.link:
        parts.append(link(screen.link))
    parts += [charsets(screen.charset), _cursor_shape(state, screen), modes.current(state)]
    if state.title:
        parts.append(f"\x1b]2;{clean(state.title)}\x1b\\")
    if state.cwd:
        parts.append(f"\x1b]7;{clean(state.cwd)}\x1b\\")
    parts += [_printed_last(state, screen, rows), modes.last(state), single_shift(screen.charset)]
    return "".join(parts).encode("utf-8", "replace")


def _margins(state: Snapshot) -> str:
    if not modes.is_set(state.modes, "?69"):
        return ""
    _top, _bottom, left, right = state.region
    return f"{modes.switch('?69', True)}\x1b[{left + 1};{right + 1}s"


def _saved(state: Snapshot, screen: ScreenState) -> SavedCursor | None:
    """The saved cursor, on the screen also where that became smaller since: there it is restored to."""
    saved = screen.saved
    return saved and saved._replace(x=min(saved.x, state.cols - 1), y=min(saved.y, state.rows - 1))


def _at_saved(state: Snapshot, saved: SavedCursor, rows: Sequence[Row]) -> str:
    """Everything as it is to be saved. The region is not set yet, so origin mode leaves rows as they are."""
    origin = modes.switch("?6", True) if saved.flags & _SAVED_ORIGIN else ""
    pending = saved.flags & _SAVED_WRAP_PENDING != 0
    left = state.region[2] if origin else 0
    place = _place(state, rows, saved.x, saved.y, pending=pending, top=0, left=left)
    protect = PROTECT if saved.flags & _SAVED_PROTECTED else ""
    return origin + place + pen(saved.style) + protect + charsets(saved.charset)


def _plain(saved: SavedCursor) -> str:
    """Takes back what `_at_saved` changed beside the cursor."""
    origin = modes.switch("?6", False) if saved.flags & _SAVED_ORIGIN else ""
    unprotect = UNPROTECT if saved.flags & _SAVED_PROTECTED else ""
    return origin + PLAIN_PEN + unprotect + no_charsets(saved.charset)


def _unprinted(state: Snapshot, saved: SavedCursor, rows: Sequence[Row]) -> str:
    """Takes back what `_at_saved` had to print in a blank cell, by an insertion: erasing would undo a wrap."""
    if not saved.flags & _SAVED_WRAP_PENDING or cell_text(rows[saved.y], saved.x, state.cols):
        return ""
    if rows[saved.y].cell(saved.x) >> WIDTH_SHIFT & WIDTH == SPACER_TAIL:
        return ""
    return f"\x1b[{saved.y + 1};{saved.x + 1}H{blank_pen(rows[saved.y], saved.x)}\x1b[@{PLAIN_PEN}"


def _cursor(state: Snapshot, screen: ScreenState, rows: Sequence[Row], origin: bool) -> str:
    top, left = (state.region[0], state.region[2]) if origin else (0, 0)
    pending = screen.cursor_flags & _WRAP_PENDING != 0
    return _place(state, rows, screen.x, screen.y, pending=pending, top=top, left=left)


def _place(
    state: Snapshot, rows: Sequence[Row], x: int, y: int, *, pending: bool, top: int, left: int
) -> str:
    """The cursor in its cell, counted from `top` and `left`. Where a wrap is pending, the cell is printed again, a
    blank one as a space: only printing makes a wrap pending."""
    if not pending or x not in (state.cols - 1, state.region[3]):  # a back tab leaves it pending anywhere
        return f"\x1b[{y - top + 1};{x - left + 1}H"
    row = rows[y]
    if row.cell(x) >> WIDTH_SHIFT & WIDTH == SPACER_TAIL:
        x -= 1
    return f"\x1b[{y - top + 1};{x - left + 1}H{cell_text(row, x, state.cols) or blank_pen(row, x) + ' '}"


def _protection(screen: ScreenState) -> str:
    """Whether what is printed next is protected, and whether the ISO kind is on, which all erasing heeds."""
    protected = screen.cursor_flags & _PROTECTED != 0
    if screen.protected_mode == _ISO_PROTECTION:
        return "\x1bV" if protected else "\x1bV\x1bW"
    return PROTECT if protected else ""


def _keyboard(screen: ScreenState) -> str:
    """The stack of Kitty keyboard flags."""
    flags, top = screen.kitty_flags, screen.kitty_index
    if not any(flags):
        return "" if not top else "\x1b[>0u" * top
    pushed = [*flags[1:], *flags[: top + 1]] if any(flags[top + 1 :]) else [*flags[1 : top + 1]]
    return f"\x1b[={flags[0]}u" + "".join(f"\x1b[>{value}u" for value in pushed)


def _cursor_shape(state: Snapshot, screen: ScreenState) -> str:
    if state.cursor_is_default:
        return ""
    steady = 0 if modes.is_set(state.modes, "?12") else 1
    return f"\x1b[{_CURSOR_SHAPES[screen.cursor_style] + steady} q"


def _printed_last(state: Snapshot, screen: ScreenState, rows: Sequence[Row]) -> str:
    """The character before the cursor once more, where it seems to be what was printed last: REP may follow, and
    xterm.js repeats only what came just before."""
    row = rows[screen.y]
    pending = screen.cursor_flags & _WRAP_PENDING
    x = screen.x if pending else screen.x - 1
    if x > 0 and row.cell(x) >> WIDTH_SHIFT & WIDTH == SPACER_TAIL:
        x -= 1
    if x < 0:
        return ""
    cell = row.cell(x)
    after = x + 2 if cell >> WIDTH_SHIFT & WIDTH == WIDE else x + 1
    gl = screen.charset >> 8 & 3
    if (
        cell & KIND
        or after != (state.cols if pending else screen.x)
        or cell >> CONTENT_SHIFT & CONTENT != state.previous
        or row.page.links.get(cell >> LINK_SHIFT) != screen.link
        or row.page.styles.get(cell >> STYLE_SHIFT & STYLE) != screen.style
        or bool(cell & PROTECTED) != bool(screen.cursor_flags & _PROTECTED)
        or screen.charset >> 2 * gl & 3 > _ASCII
        or screen.charset >> 12
        or any(modes.is_set(state.modes, mode) for mode in ("?6", "4", "?2027"))
    ):
        return ""
    return f"\x1b[{screen.y + 1};{x + 1}H{chr(cell >> CONTENT_SHIFT & CONTENT)}"


def _continuation(begun: bytes) -> bytes:
    return begun if len(begun) <= CONTINUATION_BYTES else meaningless(begun)


def meaningless(begun: bytes) -> bytes:
    """The begin of a sequence that ends where one ends that begins like `begun`, and does nothing. What was begun is
    too long for whoever is to read it, and the rest of it alone would be taken for something else."""
    return _MEANINGLESS.get(begun[:2], b"")
