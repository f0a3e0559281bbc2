"""The whole state of a terminal as plain values, so that two can be compared.

Left out is what a redraw is not meant to bring (see `wormux.screen.encoder`), and what differs without a difference:
- the numbers that a page gives its styles and links, and how cells are stored;
- ASCII selected as a character set, and a single shift that was saved with a cursor;
- by which of three modes the alternate screen was entered, and the shape of a cursor that no program chose;
- protection by DEC's sequence, which no common erasing heeds;
- of a cell without a character all but its background, and whether it is a space under a cursor with a wrap pending.
"""

from __future__ import annotations

from itertools import pairwise, zip_longest
from typing import Any

from wormux.screen import snapshot
from wormux.screen.modes import MODES
from wormux.screen.rows import background
from wormux.screen.snapshot import PLAIN_STYLE, PRIMARY, Link, Row, ScreenState, Snapshot

Cell = tuple[Any, ...]
HOW = ("?3", "?47", "?1047", "?1048", "?1049")
ISO = 1
BLANK: Cell = (0, PLAIN_STYLE, 0, False, None)


def state(data: bytes, *, number_links: bool = True) -> dict[str, Any]:
    """What a snapshot says."""
    found = snapshot.read(data)
    shown = found.screens[found.active]
    links = _Links(number_links)
    values: dict[str, Any] = {
        "size": (found.cols, found.rows),
        "region": found.region,
        "active": found.active,
        "default cursor": found.cursor_is_default,
        "keys": (found.modify_other_keys, found.mouse_shift_capture),
        "mouse": (found.mouse_event, found.mouse_format),
        "modes": [mode for bit, mode in enumerate(MODES) if found.modes >> bit & 1 and mode not in HOW],
        "colors": (found.background, found.foreground, found.cursor_color),
        "tabs": found.tabs,
        "palette": found.palette,
        "cwd": found.cwd,
        "title": found.title,
        "continuation": found.continuation,
        "cursor": (shown.x, shown.y, shown.cursor_flags & 2),
        "pending wrap": shown.cursor_flags & 1 != 0 and shown.x in (found.cols - 1, found.region[3]),
        "cursor shape": None if found.cursor_is_default else shown.cursor_style,
        "pen": shown.style,
        "charset": (_charset(shown.charset), shown.charset >> 12),
        "link": links.known(shown.link),
        "protection": shown.protected_mode == ISO,
    }
    for key, screen in found.screens.items():
        if key in (found.active, PRIMARY):
            values |= {f"{name} of {key}": value for name, value in _screen(found, screen, links).items()}
    return values


def differences(left: dict[str, Any], right: dict[str, Any]) -> list[str]:
    """Where two states differ, for a person."""
    found = []
    for name in left.keys() | right.keys():
        one, other = left.get(name), right.get(name)
        if one == other:
            continue
        if isinstance(one, list) and isinstance(other, list):
            found.append(f"{name}: {len(one)} and {len(other)}")
            pairs = enumerate(zip(one, other, strict=False))
            found += [f"{name} {index}{_difference(a, b)}" for index, (a, b) in pairs if a != b][:3]
        else:
            found.append(f"{name}: {one!r} != {other!r}")
    return sorted(found)


def _difference(left: object, right: object) -> str:
    if isinstance(left, tuple) and isinstance(right, tuple):
        for index, (one, other) in enumerate(zip_longest(left, right)):
            if one != other:
                return f" at {index}: {one!r} != {other!r}"
    return f": {left!r} != {right!r}"


def _screen(found: Snapshot, screen: ScreenState, links: _Links) -> dict[str, Any]:
    rows = screen.rows(found.rows + screen.history_rows)
    saved = screen.saved
    if saved:
        x, y = min(saved.x, found.cols - 1), min(saved.y, found.rows - 1)
        saved = saved._replace(x=x, y=y, charset=_charset(saved.charset))
    cells = [_cells(row, links) for row in rows]
    if screen is found.screens[found.active] and screen.cursor_flags & 1:
        at = len(rows) - found.rows + screen.y
        cells[at] = _without_space(cells[at], screen.x)
    return {
        "rows": cells,
        "wraps": [above.wraps and below.continues for above, below in pairwise(rows)],
        "saved cursor": saved,
        "keyboard": (screen.kitty_index, screen.kitty_flags),
    }


def _cells(row: Row, links: _Links) -> tuple[Cell, ...]:
    cells = [_cell(row, x, cell, links) for x, cell in enumerate(row.cells())]
    while cells and cells[-1] == BLANK:
        cells.pop()
    return tuple(cells)


def _cell(row: Row, x: int, cell: int, links: _Links) -> Cell:
    page = row.page
    kind = cell & snapshot.KIND
    content = cell >> snapshot.CONTENT_SHIFT & snapshot.CONTENT
    width = cell >> snapshot.WIDTH_SHIFT & snapshot.WIDTH
    style = page.styles[cell >> snapshot.STYLE_SHIFT & snapshot.STYLE]
    link = page.links.get(cell >> snapshot.LINK_SHIFT)
    if kind >= snapshot.KIND_PALETTE or not (content or width == snapshot.SPACER_TAIL):
        return (background(page, cell), *BLANK[1:])
    text = chr(content) + page.clusters.get((row.number, x), "") if content else ""
    return text, style, width, bool(cell & snapshot.PROTECTED), links.known(link)


def _without_space(cells: tuple[Cell, ...], x: int) -> tuple[Cell, ...]:
    """The row with a space at `x` as a blank cell of the same background."""
    if x >= len(cells) or cells[x][0] != " ":
        return cells
    kind, first, second, third = cells[x][1][4:8]
    color = {0: 0, 1: 2 | first << 2}.get(kind, 3 | (first | second << 8 | third << 16) << 2)
    changed = [*cells[:x], (color, *BLANK[1:]), *cells[x + 1 :]]
    while changed and changed[-1] == BLANK:
        changed.pop()
    return tuple(changed)


class _Links:
    """Links that have no id of the program's, numbered in the order of their appearance."""

    def __init__(self, number: bool) -> None:
        self._number = number
        self._numbers: dict[bytes | int, int] = {}

    def known(self, link: Link | None) -> Link | None:
        if link is None or (isinstance(link.id, bytes) and not link.id.startswith(b"~")):
            return link
        if not self._number:
            return Link(0, link.uri)
        return Link(self._numbers.setdefault(link.id, len(self._numbers)), link.uri)


def _charset(state: int) -> int:
    """With ASCII for what is like it."""
    state &= 0xFFF
    for shift in (0, 2, 4, 6):
        if state >> shift & 3 == 0:
            state |= 1 << shift
    return state
