"""The library's binary snapshot, read: version 1 of the format that begins with GHOSTSNP.

A snapshot is records, each a tag, a length, a CRC32C and a payload. All numbers are little-endian. Records are read
when the snapshot is opened, the rows of a page only when they are asked for: a redraw wants a few hundred of ten
thousand. The CRC is left to the library, which checks it when it reads a stored snapshot.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from wormux.errors import ScreenError

_MAGIC: Final = b"GHOSTSNP"
_VERSION: Final = 1
_ENVELOPE: Final = struct.Struct("<8sH")
_RECORD: Final = struct.Struct("<HII")
_TERMINAL: Final = struct.Struct("<HHIIHHHHBHHIBBBBBBBBBBQQQ8s8s8sQQ")
_SCREEN: Final = struct.Struct("<HHQHHBB16sIHBB8sBBB")
_SAVED_CURSOR: Final = struct.Struct("<HH16sBH")
_HISTORY: Final = struct.Struct("<HI")
_PAGE: Final = struct.Struct("<HHHHHHII")
_STYLE_ENTRY: Final = struct.Struct("<H16s")
_ROW: Final = struct.Struct("<BH")
_CLUSTER: Final = struct.Struct("<HHH")
_SHORT_CLUSTER: Final = struct.Struct("<HHHI")
_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")

_TAG_TERMINAL, _TAG_SCREEN, _TAG_PAGE, _TAG_HISTORY, _TAG_READY, _TAG_FINISH, _TAG_CONTINUATION = range(1, 8)

PRIMARY: Final = 0
ALTERNATE: Final = 1
PLAIN_STYLE: Final = bytes(16)

# A cell is a word of 64 bits; rows of simpler cells are stored narrower.
KIND: Final = 0b11
"""Of its content: 0 a character (0 for none), 1 one with more code points, 2 and 3 a background alone."""
KIND_CLUSTER: Final = 1
KIND_PALETTE: Final = 2
KIND_RGB: Final = 3
CONTENT_SHIFT: Final = 2
CONTENT: Final = 0xFFFFFF
STYLE_SHIFT: Final = 26
STYLE: Final = 0xFFFF
WIDTH_SHIFT: Final = 42
WIDTH: Final = 0b11
WIDE: Final = 1
SPACER_TAIL: Final = 2
"""The second cell of a wide character."""
SPACER_HEAD: Final = 3
"""A last cell left free because a wide character did not fit in it."""
PROTECTED: Final = 1 << 44
SEMANTIC_SHIFT: Final = 46
SEMANTIC: Final = 0b11
LINK_SHIFT: Final = 48

Rgb = tuple[int, int, int]


class Link(NamedTuple):
    """An OSC 8 link."""

    id: bytes | int
    """Given by the program, or counted by the library."""
    uri: bytes


class SavedCursor(NamedTuple):
    """As DECSC left it."""

    x: int
    y: int
    style: bytes
    flags: int
    """1 protected, 2 a wrap is pending, 4 origin mode."""
    charset: int


class Row(NamedTuple):
    """One row of a page. Cells past `length` are blank."""

    page: Page
    number: int
    flags: int
    """1 it goes on in the next row, 2 it goes on from the one above, 4 and 8 what a shell marked it as."""
    cell_log2: int
    """Bytes per cell: 1 and 2 are bare code points, 4 the low half of the word, 8 the word."""
    length: int
    offset: int

    @property
    def wraps(self) -> bool:
        return self.flags & 1 != 0

    @property
    def continues(self) -> bool:
        return self.flags & 2 != 0

    @property
    def prompt(self) -> int:
        """0 nothing, 1 begins a prompt, 2 goes on with one."""
        return self.flags >> 2 & 3

    def plain(self) -> str | None:
        """The characters of a row that has no styles, NUL for a blank cell; None if it has more to it."""
        end = self.offset + (self.length << self.cell_log2)
        if self.cell_log2 == 0:
            return str(self.page.data[self.offset : end], "latin-1")
        if self.cell_log2 == 1:
            return str(self.page.data[self.offset : end], "utf-16-le", "replace")
        return None

    def cells(self) -> tuple[int, ...]:
        """The cells as words."""
        cells: tuple[int, ...] = struct.unpack_from(
            f"<{self.length}{'BHIQ'[self.cell_log2]}", self.page.data, self.offset
        )
        return cells if self.cell_log2 >= 2 else tuple(cell << CONTENT_SHIFT for cell in cells)

    def cell(self, x: int) -> int:
        """One cell as a word."""
        if x >= self.length:
            return 0
        at = self.offset + (x << self.cell_log2)
        cell = int.from_bytes(self.page.data[at : at + (1 << self.cell_log2)], "little")
        return cell if self.cell_log2 >= 2 else cell << CONTENT_SHIFT


class Page:
    """Some rows, with the styles, links and clusters that their cells name. Read when a row is first asked for, which
    raises `ScreenError` for garbage."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.styles: dict[int, bytes] = {0: PLAIN_STYLE}
        self.links: dict[int, Link] = {}
        self.clusters: dict[tuple[int, int], str] = {}
        """What follows a cell's first code point, by row and column."""

    @cached_property
    def _starts(self) -> list[int]:
        """Where each row's header is, oldest first."""
        try:
            return self._read()
        except (struct.error, IndexError, ValueError, OverflowError) as error:
            raise _garbage("a page") from error

    def newest_first(self) -> Iterator[Row]:
        starts = self._starts
        for number in range(len(starts) - 1, -1, -1):
            at = starts[number]
            flags, length = _ROW.unpack_from(self.data, at)
            yield Row(self, number, flags & 0xF, flags >> 4 & 3, length, at + _ROW.size)

    def _read(self) -> list[int]:
        data = self.data
        cols, count, styles, links, *_capacities = _PAGE.unpack_from(data, 0)
        at = _PAGE.size
        for _ in range(styles):
            number, style = _STYLE_ENTRY.unpack_from(data, at)
            self.styles[number] = style
            at += _STYLE_ENTRY.size
        for _ in range(links):
            (number,) = _U16.unpack_from(data, at)
            link, at = _link(data, at + _U16.size)
            if link is not None:
                self.links[number] = link
        starts: list[int] = []
        for _ in range(count):
            starts.append(at)
            length = data[at + 1] | data[at + 2] << 8
            if length > cols:
                raise _garbage("a row")
            at += _ROW.size + (length << (data[at] >> 4 & 3))
        if at > len(data):
            raise _garbage("a row")
        (clusters,) = _U32.unpack_from(data, at)
        at += _U32.size
        if len(data) - at == clusters * _SHORT_CLUSTER.size:  # one more code point each: nearly always so
            entries = _SHORT_CLUSTER.iter_unpack(data[at:])
            self.clusters = {(number, x): chr(point) for number, x, _, point in entries}
            return starts
        for _ in range(clusters):
            number, x, length = _CLUSTER.unpack_from(data, at)
            at += _CLUSTER.size
            points = struct.unpack_from(f"<{length}I", data, at)
            at += 4 * length
            self.clusters[number, x] = "".join(map(chr, points))
        return starts


@dataclass(frozen=True, slots=True)
class ScreenState:
    """One of the two screens."""

    history_rows: int
    """Above it, in all."""
    x: int
    y: int
    cursor_style: int
    """0 bar, 1 block, 2 underline, 3 hollow block."""
    cursor_flags: int
    """1 a wrap is pending, 2 protected, 4 and 8 what a shell marks the text as, 16 until the line ends."""
    style: bytes
    charset: int
    """Two bits each for G0 to G3, then for GL and GR the number of the set in use; three bits for a single shift."""
    protected_mode: int
    """0 off, 1 ISO, 2 DEC."""
    kitty_index: int
    kitty_flags: bytes
    """The stack of keyboard flags; `kitty_index` is the top."""
    saved: SavedCursor | None
    link: Link | None
    pages: list[Page]
    """Of the screen, oldest first."""
    history: list[Page]
    """Newest first."""

    def rows(self, count: int) -> list[Row]:
        """The last `count` rows of history and screen, oldest first."""
        found: list[Row] = []
        for row in self._backwards():
            if len(found) >= count:
                break
            found.append(row)
        found.reverse()
        return found

    def _backwards(self) -> Iterator[Row]:
        for page in (*reversed(self.pages), *self.history):
            yield from page.newest_first()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A terminal, as `read` found it."""

    cols: int
    rows: int
    region: tuple[int, int, int, int]
    """First and last row, first and last column that scroll, from 0."""
    active: int
    """`PRIMARY` or `ALTERNATE`."""
    previous: int | None
    """The code point printed last, which REP repeats."""
    cursor_is_default: bool
    modify_other_keys: bool
    mouse_event: int
    """What is reported: 0 nothing, 1 X10, 2 buttons, 3 and drags, 4 and every move."""
    mouse_format: int
    """0 X10, 1 UTF-8, 2 SGR, 3 urxvt, 4 SGR pixels."""
    mouse_shift_capture: int
    """0 never said, 1 no, 2 yes."""
    modes: int
    """One bit for each mode of `modes.MODES`."""
    saved_modes: int
    default_modes: int
    background: Rgb | None
    """As the program set it, like the two that follow."""
    foreground: Rgb | None
    cursor_color: Rgb | None
    tabs: list[int]
    palette: dict[int, Rgb]
    """The colours that the program set."""
    cwd: bytes
    title: bytes
    screens: dict[int, ScreenState]
    continuation: bytes
    """Of a sequence or character that was begun."""


def read(data: bytes) -> Snapshot:
    """Raises `ScreenError` for anything but a whole snapshot of the version known here."""
    try:
        return _read(memoryview(data))
    except (struct.error, ValueError, OverflowError) as error:
        raise _garbage("a record") from error


def _read(data: memoryview) -> Snapshot:
    magic, version = _ENVELOPE.unpack_from(data, 0)
    if magic != _MAGIC or version != _VERSION:
        raise ScreenError("A screen's state is of a kind that this version cannot read.")
    terminal: memoryview | None = None
    continuation = b""
    screens: dict[int, ScreenState] = {}
    target: list[Page] = []
    at = _ENVELOPE.size
    tag = 0
    while tag != _TAG_FINISH:
        tag, length, _crc = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        payload = data[at : at + length]
        if len(payload) != length:
            raise _garbage("a record")
        at += length
        if tag == _TAG_PAGE:
            target.append(Page(payload))
        elif tag == _TAG_TERMINAL:
            terminal = payload
        elif tag == _TAG_SCREEN:
            key, screen = _screen(payload)
            screens[key] = screen
            target = screen.pages
        elif tag == _TAG_HISTORY:
            key, _pages = _HISTORY.unpack_from(payload, 0)
            if key not in screens:
                raise _garbage("a record")
            target = screens[key].history
        elif tag == _TAG_CONTINUATION:
            continuation = bytes(payload)
        elif tag not in (_TAG_READY, _TAG_FINISH):
            raise _garbage("a record")
    if terminal is None or PRIMARY not in screens:
        raise _garbage("a record")
    return _terminal(terminal, screens, continuation)


def _terminal(data: memoryview, screens: dict[int, ScreenState], continuation: bytes) -> Snapshot:
    (
        cols, rows, _width_px, _height_px, top, bottom, left, right, _status_display, active, _screen_count,
        previous, cursor_is_default, _default_style, _default_blink, _shell_redraw, modify_other_keys,
        mouse_event, mouse_format, shift_capture, _mouse_shape, _password, modes, saved_modes, default_modes,
        background, foreground, cursor, _most_bytes, _most_rows,
    ) = _TERMINAL.unpack_from(data, 0)  # fmt: skip
    at = _TERMINAL.size
    if not (cols and rows and top <= bottom < rows and left <= right < cols and active in screens):
        raise _garbage("a terminal")
    if mouse_event > 4 or mouse_format > 4:
        raise _garbage("a terminal")
    stops = int.from_bytes(data[at : at + (cols + 7) // 8], "little")
    at += (cols + 7) // 8 + 3 * 256
    mask = int.from_bytes(data[at : at + 32], "little")
    at += 32
    palette: dict[int, Rgb] = {}
    for index in range(256):
        if mask >> index & 1:
            palette[index] = _rgb(data[at : at + 3])
            at += 3
    cwd, at = _string(data, at)
    title, at = _string(data, at)
    return Snapshot(
        cols=cols,
        rows=rows,
        region=(top, bottom, left, right),
        active=active,
        previous=None if previous == 0xFFFFFFFF else previous,
        cursor_is_default=bool(cursor_is_default),
        modify_other_keys=bool(modify_other_keys),
        mouse_event=mouse_event,
        mouse_format=mouse_format,
        mouse_shift_capture=shift_capture,
        modes=modes,
        saved_modes=saved_modes,
        default_modes=default_modes,
        background=_override(background),
        foreground=_override(foreground),
        cursor_color=_override(cursor),
        tabs=[x for x in range(cols) if stops >> x & 1],
        palette=palette,
        cwd=cwd,
        title=title,
        screens=screens,
        continuation=continuation,
    )


def _screen(data: memoryview) -> tuple[int, ScreenState]:
    (
        key, _pages, history_rows, x, y, cursor_style, cursor_flags, style, _link_id, charset, protected_mode,
        kitty_index, kitty_flags, _click_kind, _click, has_saved,
    ) = _SCREEN.unpack_from(data, 0)  # fmt: skip
    at = _SCREEN.size
    if key not in (PRIMARY, ALTERNATE) or cursor_style > 3 or kitty_index >= len(kitty_flags):
        raise _garbage("a screen")
    saved = None
    if has_saved:
        saved = SavedCursor(*_SAVED_CURSOR.unpack_from(data, at))
        at += _SAVED_CURSOR.size
    link, at = _link(data, at)
    state = ScreenState(
        history_rows, x, y, cursor_style, cursor_flags, style, charset, protected_mode, kitty_index, kitty_flags,
        saved, link, [], [],
    )  # fmt: skip
    return key, state


def _link(data: memoryview, at: int) -> tuple[Link | None, int]:
    """A link and where the next thing begins."""
    if at >= len(data):
        raise _garbage("a link")
    kind = data[at]
    at += 1
    identity: bytes | int
    if kind == 0:
        return None, at
    if kind == 1:
        (identity,) = _U32.unpack_from(data, at)
        at += _U32.size
    else:
        identity, at = _string(data, at)
    uri, at = _string(data, at)
    return Link(identity, uri), at


def _string(data: memoryview, at: int) -> tuple[bytes, int]:
    (length,) = _U32.unpack_from(data, at)
    at += _U32.size
    if at + length > len(data):
        raise _garbage("a text")
    return bytes(data[at : at + length]), at + length


def _override(color: bytes) -> Rgb | None:
    """What a program set, of the eight bytes of a default colour and its replacement."""
    return _rgb(color[5:8]) if color[4] else None


def _rgb(data: bytes | memoryview) -> Rgb:
    red, green, blue = data
    return red, green, blue


def _garbage(what: str) -> ScreenError:
    return ScreenError(f"A screen's state cannot be read: {what} in it is damaged.")
