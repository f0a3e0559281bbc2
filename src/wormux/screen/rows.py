"""Rows as the bytes that print them on a blank screen, each as short as it can be.

Every row begins and ends with a plain pen, so rows can be left out at any boundary. Blank cells are skipped rather
than printed, and rows that were wrapped wrap again, so that a terminal can fold its lines anew.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from wormux.screen.snapshot import (
    CONTENT,
    CONTENT_SHIFT,
    KIND,
    KIND_CLUSTER,
    KIND_PALETTE,
    KIND_RGB,
    LINK_SHIFT,
    PLAIN_STYLE,
    PROTECTED,
    SPACER_HEAD,
    SPACER_TAIL,
    STYLE,
    STYLE_SHIFT,
    WIDE,
    WIDTH,
    WIDTH_SHIFT,
    Page,
    Row,
)
from wormux.screen.style import NO_LINK, PLAIN_PEN, PROTECT, UNPROTECT, background_pen, link, pen

NEW_LINE: Final = b"\r\n"
_UNPRINTABLE: Final = re.compile("[\0-\x1f\x7f-\x9f]+")
_LOOK: Final = STYLE << STYLE_SHIFT | PROTECTED | 0xFFFF << LINK_SHIFT
"""What of a cell is its pen, link and protection."""
_STYLE: Final = STYLE << STYLE_SHIFT
_NOT_CONTENT: Final = ~(CONTENT << CONTENT_SHIFT)
_SPACE: Final = 0x20
_CLUSTER_OR_WIDE: Final = KIND_CLUSTER | WIDE << WIDTH_SHIFT
_JOINERS: Final = ("\u200d", "\ufe0e", "\ufe0f")
_WIDE_BLANK: Final = "\u3000"
_WIDE_SPACE: Final = f"\x1b(0{_WIDE_BLANK}\x1b(B"
"""A space in two cells is what becomes of a wide character that the selected set does not have."""
_CLUSTERS_ON, _CLUSTERS_OFF = "\x1b[?2027h", "\x1b[?2027l"


def encode(rows: Sequence[Row], cols: int, screen_rows: int, limit_bytes: int) -> tuple[bytes, int]:
    """The last of `rows` that fit in `limit_bytes`, and how many are left out. The last `screen_rows` are a screen:
    where even they are too much, the first of them are left blank."""
    pieces: list[bytes] = []
    room = limit_bytes - screen_rows * len(NEW_LINE)  # which even rows that are left blank take
    fits = True
    left_out = len(rows)
    below: Row | None = None
    for row in reversed(rows):
        piece = _line(row, below, cols) if fits else NEW_LINE
        in_screen = len(pieces) < screen_rows
        cost = len(piece) - len(NEW_LINE) if in_screen else len(piece)
        if fits and cost > room:
            fits = False
            piece = NEW_LINE
        if not fits and not in_screen:
            break
        pieces.append(piece)
        if fits:
            room -= cost
        left_out -= 1
        below = row
    pieces.reverse()
    data = b"".join(pieces)
    # Blank rows at the end matter only where they push others up.
    return (data if len(pieces) > screen_rows else data.rstrip(NEW_LINE)), left_out


def cell_text(row: Row, x: int, cols: int) -> str | None:
    """What prints one cell again, with the cursor on it; None if it holds no character."""
    cell = row.cell(x)
    if cell & KIND > KIND_CLUSTER or not cell >> CONTENT_SHIFT & CONTENT:
        return None
    body = _cells((0,) * x + (cell,), row, cols)[0]
    return body.removeprefix(f"\x1b[{x}C") if x else body


def blank_pen(row: Row, x: int) -> str:
    """The pen that makes a blank cell as it is."""
    color = background(row.page, row.cell(x))
    return _background_pen(color) if color else PLAIN_PEN


def _line(row: Row, below: Row | None, cols: int) -> bytes:
    """A row and the way to the one below it."""
    text = row.plain()
    if text is not None:
        printed = row.length == cols and text[-1] != "\0"
        body = _UNPRINTABLE.sub(_skip, text) if not text.isprintable() else text
    else:
        body, printed = _cells(row.cells(), row, cols)
    if below is None:
        way = ""
    elif not (row.wraps and below.continues):
        way = "\r\n"
    else:
        way = _wrap(row, below, printed, cols)
    return (body + way).encode("utf-8", "replace")


def _skip(blanks: re.Match[str]) -> str:
    return f"\x1b[{len(blanks[0])}C"


def _cells(cells: tuple[int, ...], row: Row, cols: int) -> tuple[str, bool]:
    """What prints them from the first column on, and whether the last column is filled so that the next character
    wraps."""
    page = row.page
    out: list[str] = []
    add = out.append
    look = 0  # the pen, link and protection in force, as in the cells; -1 where only the pen is not plain
    blank = 0  # cells to be skipped before the next
    filled = 0  # cells to be erased with the background of `fill` before the next
    fill = 0
    run = -1  # all but the content of cells that need nothing but their character
    for x, cell in enumerate(cells):
        if cell & _NOT_CONTENT == run and cell != run:
            add(chr(cell >> CONTENT_SHIFT & CONTENT))
            continue
        point = cell >> CONTENT_SHIFT & CONTENT
        kind = cell & KIND
        width = cell >> WIDTH_SHIFT & WIDTH
        if point and kind < KIND_PALETTE:
            if filled:
                add(_filled(fill, filled))
                filled, look = 0, -1
            if blank:
                add(f"\x1b[{blank}C")
                blank = 0
            if cell & _LOOK != look:
                add(_look(page, cell & _LOOK, look))
                look = cell & _LOOK
            if kind == KIND_CLUSTER:
                add(_cluster(chr(point), page.clusters.get((row.number, x), ""), width == WIDE))
                after = x + 2 if width == WIDE else x + 1
                if after < cols:  # where terminals see its width differently
                    add(f"\x1b[{after + 1}G")
            elif width == WIDE and point == _SPACE:
                add(_WIDE_SPACE)
            else:
                add(chr(point))
            run = cell & _NOT_CONTENT if not cell & _CLUSTER_OR_WIDE else -1
            continue
        if width == SPACER_TAIL:
            continue
        run = -1
        color = background(page, cell) if cell else 0
        if filled and color != fill:
            add(_filled(fill, filled))
            filled, look = 0, -1
        if not color:
            blank += 1
            continue
        if blank:
            add(f"\x1b[{blank}C")
            blank = 0
        if look > 0:
            add(_look(page, 0, look))
            look = 0
        fill = color
        filled += 1
    if filled:
        add(_filled(fill, filled))
        look = -1
    if look:
        add(_look(page, 0, look))
    last = cells[-1] if len(cells) == cols else 0
    character = last & KIND < KIND_PALETTE and last >> CONTENT_SHIFT & CONTENT
    return "".join(out), bool(character) or last >> WIDTH_SHIFT & WIDTH == SPACER_TAIL


def _look(page: Page, look: int, before: int) -> str:
    """What changes the pen, link and protection. `before` is -1 where only the pen is not plain."""
    selected = pen(page.styles.get(look >> STYLE_SHIFT & STYLE, PLAIN_STYLE))
    if before < 0:
        before = 0
    if not (look | before) & ~_STYLE:
        return selected
    parts = [selected]
    if look & PROTECTED:
        parts.append(PROTECT)  # a terminal may take it back with any SGR 0
    elif before & PROTECTED:
        parts.append(UNPROTECT)
    if look >> LINK_SHIFT != before >> LINK_SHIFT:
        target = page.links.get(look >> LINK_SHIFT)
        parts.append(link(target) if target else NO_LINK)
    return "".join(parts)


def background(page: Page, cell: int) -> int:
    """A cell without a character as one that has a background alone; 0 if it has none. Erasing leaves such cells;
    where half of a wide character was overwritten there are others, which look the same."""
    if cell & KIND >= KIND_PALETTE:
        return cell & (KIND | CONTENT << CONTENT_SHIFT)
    kind, first, second, third = page.styles.get(cell >> STYLE_SHIFT & STYLE, PLAIN_STYLE)[4:8]
    if kind == 0:
        return 0
    if kind == 1:
        return KIND_PALETTE | first << CONTENT_SHIFT
    return KIND_RGB | (first | second << 8 | third << 16) << CONTENT_SHIFT


def _filled(color: int, count: int) -> str:
    """What gives cells a background and no character, and steps over them."""
    return f"{_background_pen(color)}\x1b[{count}X\x1b[{count}C"


def _background_pen(color: int) -> str:
    content = color >> CONTENT_SHIFT
    if color & KIND == KIND_PALETTE:
        return background_pen(content)
    return background_pen((content & 0xFF, content >> 8 & 0xFF, content >> 16 & 0xFF))


@lru_cache(maxsize=4096)
def _cluster(base: str, more: str, wide: bool) -> str:
    """One cell's code points. Where they would not come together by themselves, clustering is asked for."""
    if base == " " and wide:
        return _WIDE_SPACE + more
    by_itself = all(c in _JOINERS or unicodedata.category(c) in ("Mn", "Me") for c in more)
    resized = "\ufe0f" in more if wide else "\ufe0e" in more
    if by_itself and not resized:
        return base + more
    return f"{_CLUSTERS_ON}{base}{more}{_CLUSTERS_OFF}"


def _wrap(row: Row, below: Row, printed: bool, cols: int) -> str:
    """What makes the row go on in the one below, with the cursor at its begin. Where printing the row below does that
    by itself it is nothing; but a wrap with a background would paint all of the new row."""
    first, last = below.cell(0), row.cell(cols - 1)
    plain = not first & (_LOOK | KIND) and first >> CONTENT_SHIFT & CONTENT
    if last >> WIDTH_SHIFT & WIDTH == SPACER_HEAD and first >> WIDTH_SHIFT & WIDTH == WIDE:
        style = row.page.styles.get(last >> STYLE_SHIFT & STYLE, PLAIN_STYLE)
        if plain and style == PLAIN_STYLE:
            return f"\x1b[{cols}G"
        # Printed over, the blank keeps what it left free above; the rest of its row it may have painted.
        unpaint = "\x1b[K" if cols > 2 else ""
        return f"\x1b[{cols}G{pen(style)}{_WIDE_BLANK}{PLAIN_PEN}{unpaint}\r"
    if printed:
        return "" if plain else " \r\x1b[X"
    # A blank last cell: print it, wrap, and go back to make it blank by an insertion, which leaves the wrap alone.
    color = background(row.page, last) if last else 0
    paint = _background_pen(color) if color else ""
    unpaint = PLAIN_PEN if paint else ""
    return f"\x1b[{cols}G  \x1b[A\x1b[{cols}G{paint}\x1b[@{unpaint}\x1b[B\r\x1b[X"
