"""libghostty-vt, as far as a screen needs it: one `Terminal` is one emulator.

The only module that knows pyghostty. It holds the library to its documented calls and checks every result; what the
settings mean and when to use them is `ghostty`'s affair. Where the library has no build (musl), `available` is false
and a `Terminal` cannot be made.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from wormux.errors import ScreenError
from wormux.limits import CELL_HEIGHT_PX, CELL_WIDTH_PX, SCREEN_CONTINUATION_BYTES, SCREEN_SCROLLBACK_BYTES

_raw: Any = None
with contextlib.suppress(ImportError, OSError):
    _raw = importlib.import_module("pyghostty._ffi")
_ffi: Any = getattr(_raw, "ffi", None)
_lib: Any = getattr(_raw, "lib", None)

_SUCCESS: Final = 0
_INVALID_VALUE: Final = -2
_OUT_OF_SPACE: Final = -3
_CELL_PX = (round(CELL_WIDTH_PX), round(CELL_HEIGHT_PX))
_CLUSTER_POINTS: Final = 16
"""Code points of one cell that are read at once; there are seldom more."""
_UNREADABLE: Final = "The screen's text cannot be read"
_GRID_REF = "GhosttyResult(*)(GhosttyTerminal, GhosttyPointS, GhosttyGridRef*)"
"""The C type of `ghostty_terminal_grid_ref`, its union replaced by a struct of the same layout: cffi cannot pass
unions by value."""


def available() -> bool:
    """Whether the library can be used on this machine."""
    return _lib is not None


class SnapshotRefused(ScreenError):
    """The library will not write a snapshot of the terminal as it is, or not read this one."""


class Terminal:
    """One emulator. Not thread-safe. `reply` is called from within `feed`, with what the terminal answers.

    Answers that a `resize` causes are not delivered: they answer no query."""

    def __init__(self, cols: int, rows: int, reply: Callable[[bytes], None]) -> None:
        """Raises `ScreenError` if the library is not there or has no memory for a terminal."""
        if not available():
            raise ScreenError("The terminal emulator is not available on this machine.")
        made = _ffi.new("GhosttyTerminal*")
        _check(_lib.ghostty_terminal_new(_ffi.NULL, made, cols, rows), "A terminal cannot be made")
        self._adopt(made[0], reply)

    @classmethod
    def decoded(cls, snapshot: bytes, reply: Callable[[bytes], None]) -> Terminal:
        """The terminal that wrote `snapshot`. Raises `SnapshotRefused` for anything else."""
        if not available():
            raise ScreenError("The terminal emulator is not available on this machine.")
        decoder = _ffi.new("GhosttySnapshotDecoder*")
        source = _ffi.from_buffer("uint8_t[]", snapshot)  # must outlive the decoder, which reads in place
        _check(
            _lib.ghostty_snapshot_decoder_new_buf(_ffi.NULL, decoder, source, len(source)),
            "A stored screen cannot be read",
        )
        made = _ffi.new("GhosttyTerminal*")
        try:
            most = _ffi.new("size_t*", SCREEN_CONTINUATION_BYTES)
            option = _lib.GHOSTTY_SNAPSHOT_DECODER_OPT_MAX_CONTINUATION_BYTES
            _check(
                _lib.ghostty_snapshot_decoder_set(decoder[0], option, most), "A stored screen cannot be read"
            )
            # Without it the restored terminal could not be snapshotted inside the same sequence again.
            option = _lib.GHOSTTY_SNAPSHOT_DECODER_OPT_RETAIN_CONTINUATION
            keep = _ffi.new("bool*", True)
            _check(
                _lib.ghostty_snapshot_decoder_set(decoder[0], option, keep), "A stored screen cannot be read"
            )
            result = _lib.ghostty_snapshot_decoder_decode(decoder[0], made)
        finally:
            _lib.ghostty_snapshot_decoder_free(decoder[0])
        if result != _SUCCESS:
            raise SnapshotRefused("A stored screen cannot be read.")
        terminal = cls.__new__(cls)
        terminal._adopt(made[0], reply)
        return terminal

    def _adopt(self, handle: Any, reply: Callable[[bytes], None]) -> None:
        self._handle = handle
        self._answering = False

        def write(_terminal: Any, _userdata: Any, data: Any, length: int) -> None:
            if self._answering:
                reply(_ffi.buffer(data, length)[:])

        def size(_terminal: Any, _userdata: Any, out: Any) -> bool:
            out.columns, out.rows = self.cols, self.rows
            out.cell_width, out.cell_height = _CELL_PX
            return True

        # Kept as long as the terminal: the library holds bare pointers to them.
        self._callbacks = (
            _ffi.callback("GhosttyTerminalWritePtyFn", write),
            _ffi.callback("GhosttyTerminalSizeFn", size),
        )
        self._set("WRITE_PTY", self._callbacks[0])
        self._set("SIZE", self._callbacks[1])
        # A limit of lines would make parsing five to nine times slower; bytes alone bound the memory.
        self._set("SCROLLBACK_MAX_LINES", _ffi.NULL)
        self.limit_scrollback(SCREEN_SCROLLBACK_BYTES)
        # Without it there is no snapshot inside an unfinished sequence.
        self._set("CONTINUATION_MAX_BYTES", _ffi.new("size_t*", SCREEN_CONTINUATION_BYTES))
        # No images: the page cannot show them, and a program could fill the memory with them.
        self._set("KITTY_IMAGE_STORAGE_LIMIT", _ffi.new("uint64_t*", 0))
        self._set("KITTY_IMAGE_MEDIUM_FILE", _ffi.new("bool*", False))
        self._set("KITTY_IMAGE_MEDIUM_SHARED_MEM", _ffi.new("bool*", False))
        self._set("KITTY_IMAGE_MEDIUM_TEMP_FILE", _ffi.NULL)
        self._set("GLYPH_PROTOCOL", _ffi.new("bool*", False))
        self._set("APC_MAX_BYTES", _ffi.new("size_t*", 0))
        self._set("CLIPBOARD_WRITE_MAX_BYTES", _ffi.new("size_t*", 0))

    @property
    def cols(self) -> int:
        return int(self._get("COLS", "uint16_t"))

    @property
    def rows(self) -> int:
        return int(self._get("ROWS", "uint16_t"))

    @property
    def scrollback_rows(self) -> int:
        """Above the screen; none on the alternate screen."""
        return int(self._get("SCROLLBACK_ROWS", "size_t"))

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row on the screen, from 0."""
        return int(self._get("CURSOR_X", "uint16_t")), int(self._get("CURSOR_Y", "uint16_t"))

    @property
    def on_alternate(self) -> bool:
        """Whether the alternate screen is shown."""
        return bool(self._get("ACTIVE_SCREEN", "GhosttyTerminalScreen"))

    @property
    def continuation(self) -> bytes | None:
        """Of a sequence or character that was begun; None if it is too long to be kept."""
        start = _ffi.new("uint8_t**")
        length = _ffi.new("size_t*")
        result = _lib.ghostty_terminal_continuation_alloc(self._handle, _ffi.NULL, start, length)
        if result != _SUCCESS:
            return None
        try:
            return bytes(_ffi.buffer(start[0], length[0])) if length[0] else b""
        finally:
            _lib.ghostty_free(_ffi.NULL, start[0], length[0])

    @property
    def title(self) -> bytes:
        return self._string("TITLE")

    @property
    def cwd(self) -> bytes:
        """As OSC 7 gave it, a URL; empty if it never did."""
        return self._string("PWD")

    def feed(self, data: bytes) -> None:
        self._answering = True
        try:
            _lib.ghostty_terminal_vt_write(self._handle, _ffi.from_buffer("uint8_t[]", data), len(data))
        finally:
            self._answering = False

    def resize(self, cols: int, rows: int) -> None:
        _check(
            _lib.ghostty_terminal_resize(self._handle, cols, rows, *_CELL_PX), "A terminal cannot be resized"
        )

    def mode(self, number: int) -> bool:
        """Whether a mode is set: a DEC mode, or an ANSI mode and 0x8000."""
        config = _ffi.new("GhosttyTerminalModeConfig*", (number, False))
        out = _lib.GHOSTTY_TERMINAL_DATA_MODE
        _check(_lib.ghostty_terminal_get(self._handle, out, config), "A terminal cannot be asked")
        return bool(config.value)

    def set_mode(self, number: int, value: bool) -> None:
        """Set a mode and nothing else: the cursor stays where it is."""
        self._set("MODE", _ffi.new("GhosttyTerminalModeConfig*", (number, value)))

    def limit_scrollback(self, limit_bytes: int) -> None:
        """What is kept above the screen, in bytes of the library's memory."""
        self._set("SCROLLBACK_MAX_BYTES", _ffi.new("size_t*", limit_bytes))

    def set_colors(self, foreground: int, background: int, cursor: int) -> None:
        """The default colours, 0xRRGGBB each."""
        for option, color in (("FOREGROUND", foreground), ("BACKGROUND", background), ("CURSOR", cursor)):
            parts = (color >> 16 & 255, color >> 8 & 255, color & 255)
            self._set(f"COLOR_{option}", _ffi.new("GhosttyColorRgb*", parts))

    def set_palette(self, colors: Mapping[int, int]) -> None:
        """The default colours of palette entries, 0xRRGGBB each; what a program set stays."""
        palette = _ffi.new("GhosttyColorRgb[256]")
        number = _lib.GHOSTTY_TERMINAL_DATA_COLOR_PALETTE_DEFAULT
        _check(_lib.ghostty_terminal_get(self._handle, number, palette), "A terminal cannot be asked")
        for index, color in colors.items():
            entry = palette[index]
            entry.r, entry.g, entry.b = color >> 16 & 255, color >> 8 & 255, color & 255
        self._set("COLOR_PALETTE", palette)

    def blink_cursor(self) -> None:
        """The cursor blinks unless a program says otherwise."""
        self._set("DEFAULT_CURSOR_BLINK", _ffi.new("bool*", True))

    def snapshot(self) -> bytes:
        """Everything, in the library's own form. Raises `SnapshotRefused` where the library has none."""
        start = _ffi.new("uint8_t**")
        length = _ffi.new("size_t*")
        result = _lib.ghostty_snapshot_encode_alloc(self._handle, _ffi.NULL, start, length)
        if result == _INVALID_VALUE:
            raise SnapshotRefused("The screen cannot be stored as it is.")
        _check(result, "The screen cannot be stored")
        try:
            return bytes(_ffi.buffer(start[0], length[0]))
        finally:
            _lib.ghostty_free(_ffi.NULL, start[0], length[0])

    def row_texts(self, *, scrollback: bool) -> list[str]:
        """What each row holds, up to the last that is not blank: blanks that were written are there, at the end of a
        row too, and the others only between what was."""
        above = self.scrollback_rows
        selection = _sized("GhosttySelection")
        selection.start = self._grid_ref(0, 0 if scrollback else above)
        selection.end = self._grid_ref(self.cols - 1, above + self.rows - 1)
        options = _sized("GhosttyTerminalSelectionFormatOptions")
        options.emit = _lib.GHOSTTY_FORMATTER_FORMAT_PLAIN
        options.unwrap, options.trim, options.selection = False, False, selection
        start = _ffi.new("uint8_t**")
        length = _ffi.new("size_t*")
        _check(
            _lib.ghostty_terminal_selection_format_alloc(self._handle, _ffi.NULL, options[0], start, length),
            _UNREADABLE,
        )
        try:
            text = bytes(_ffi.buffer(start[0], length[0])).decode("utf-8", "replace")
        finally:
            _lib.ghostty_free(_ffi.NULL, start[0], length[0])
        return text.split("\n")

    def goes_on(self, y: int) -> bool:
        """Whether a line that was begun above goes on in this row; 0 is the oldest row of the scrollback."""
        # Neither mark is always taken away: lines that are deleted leave the first, erasing leaves the second.
        return y > 0 and self._row_mark(y, "WRAP_CONTINUATION") and self._row_mark(y - 1, "WRAP")

    def row_cells(self, y: int) -> list[tuple[str, int]]:
        """The text of each cell of a row, and its width: 0 for what belongs to the wide character before or behind it.
        A blank cell is a space."""
        ref = _ffi.new("GhosttyGridRef*", self._grid_ref(0, y))
        cell, wide = _ffi.new("GhosttyCell*"), _ffi.new("GhosttyCellWide*")
        points, count = _ffi.new("uint32_t[]", _CLUSTER_POINTS), _ffi.new("size_t*")
        cells = []
        for ref.x in range(self.cols):
            _check(_lib.ghostty_grid_ref_cell(ref, cell), _UNREADABLE)
            _check(_lib.ghostty_cell_get(cell[0], _lib.GHOSTTY_CELL_DATA_WIDE, wide), _UNREADABLE)
            if wide[0] in (_lib.GHOSTTY_CELL_WIDE_SPACER_TAIL, _lib.GHOSTTY_CELL_WIDE_SPACER_HEAD):
                cells.append(("", 0))
                continue
            result = _lib.ghostty_grid_ref_graphemes(ref, points, len(points), count)
            if result == _OUT_OF_SPACE:
                points = _ffi.new("uint32_t[]", count[0])
                result = _lib.ghostty_grid_ref_graphemes(ref, points, len(points), count)
            _check(result, _UNREADABLE)
            text = "".join(map(chr, points[0 : count[0]])) if count[0] else " "
            cells.append((text, 2 if wide[0] == _lib.GHOSTTY_CELL_WIDE_WIDE else 1))
        return cells

    def close(self) -> None:
        """Nothing else may be called after this."""
        if self._handle is not None:
            _lib.ghostty_terminal_free(self._handle)
            self._handle = None

    def _grid_ref(self, x: int, y: int) -> Any:
        point = _ffi.new("GhosttyPointS*")
        point.tag, point.value.x, point.value.y = _lib.GHOSTTY_POINT_TAG_SCREEN, x, y
        ref = _sized("GhosttyGridRef")
        call = _raw.union_fn("ghostty_terminal_grid_ref", _GRID_REF)
        _check(call(self._handle, point[0], ref), _UNREADABLE)
        return ref[0]

    def _row_mark(self, y: int, mark: str) -> bool:
        ref = _ffi.new("GhosttyGridRef*", self._grid_ref(0, y))
        row, found = _ffi.new("GhosttyRow*"), _ffi.new("bool*")
        _check(_lib.ghostty_grid_ref_row(ref, row), _UNREADABLE)
        _check(_lib.ghostty_row_get(row[0], getattr(_lib, f"GHOSTTY_ROW_DATA_{mark}"), found), _UNREADABLE)
        return bool(found[0])

    def _set(self, option: str, value: Any) -> None:
        number = getattr(_lib, f"GHOSTTY_TERMINAL_OPT_{option}")
        _check(_lib.ghostty_terminal_set(self._handle, number, value), "A terminal cannot be set up")

    def _get(self, data: str, c_type: str) -> Any:
        out = _ffi.new(f"{c_type}*")
        number = getattr(_lib, f"GHOSTTY_TERMINAL_DATA_{data}")
        _check(_lib.ghostty_terminal_get(self._handle, number, out), "A terminal cannot be asked")
        return out[0]

    def _string(self, data: str) -> bytes:
        found = self._get(data, "GhosttyString")
        return bytes(_ffi.buffer(found.ptr, found.len)) if found.len else b""


def _sized(c_type: str) -> Any:
    """A struct of the kind that begins with its own size, and so do the structs in it."""
    made = _ffi.new(f"{c_type}*")
    made.size = _ffi.sizeof(c_type)
    return made


def _check(result: int, what: str) -> None:
    if result != _SUCCESS:
        raise ScreenError(f"{what} (libghostty-vt says {result}).")
