"""The modes of a terminal, as a snapshot counts them, and the sequences that set them."""

from __future__ import annotations

from typing import Final

from wormux.screen.snapshot import Snapshot

MODES: Final = (
    "2", "4", "12", "20", "?1", "?3", "?4", "?5", "?6", "?7", "?8", "?9", "?12", "?25", "?40", "?45", "?47", "?66",
    "?67", "?69", "?1000", "?1002", "?1003", "?1004", "?1005", "?1006", "?1007", "?1015", "?1016", "?1035", "?1036",
    "?1039", "?1045", "?1047", "?1048", "?1049", "?2004", "?2026", "?2027", "?2031", "?2033", "?2048", "?5522",
)  # fmt: skip
"""What SM and RM call the mode of each bit."""

_BITS: Final = {mode: 1 << bit for bit, mode in enumerate(MODES)}
_MOUSE_EVENTS: Final = ("", "?9", "?1000", "?1002", "?1003")
_MOUSE_FORMATS: Final = ("", "?1005", "?1006", "?1015", "?1016")
_ORDERED: Final = {*_MOUSE_EVENTS[1:], *_MOUSE_FORMATS[1:]}
_BY_POSITION: Final = {"?6", "?69", "?47", "?1047", "?1048", "?1049"}
"""Restored with the cursor, the margins and the screens that they are about."""
_UNSAVABLE: Final = {"?3", "?47", "?1047", "?1048", "?1049", "?2026", "?2048"}
"""Setting them for a moment to save them would do more than set them."""
_BLINKING: Final = "?12"
"""Set in a fresh terminal, though by no default of the library's: the page's cursor blinks."""
_LAST: Final = "?2026"
"""What follows it is shown at once only when it is reset."""


def is_set(modes: int, mode: str) -> bool:
    """Whether `mode`, written as in `MODES`, is among `modes`."""
    return modes & _BITS[mode] != 0


def switch(mode: str, value: bool) -> str:
    return f"\x1b[{mode}{'h' if value else 'l'}"


def current(state: Snapshot) -> str:
    """What sets all modes that a fresh terminal has otherwise, those aside that go with the cursor and `last`."""
    parts = [
        switch(mode, is_set(state.modes, mode))
        for mode in _differing(state.modes, state)
        if mode not in _ORDERED and mode not in _BY_POSITION and mode not in ("?3", _BLINKING, _LAST)
    ]
    if not is_set(state.modes, _BLINKING):
        parts.append(switch(_BLINKING, False))
    parts += _choice(state, _MOUSE_EVENTS, state.mouse_event)
    parts += _choice(state, _MOUSE_FORMATS, state.mouse_format)
    if state.modify_other_keys:
        parts.append("\x1b[>4;2m")
    if state.mouse_shift_capture:
        parts.append(f"\x1b[>{state.mouse_shift_capture - 1}s")
    return "".join(parts)


def last(state: Snapshot) -> str:
    """What begins a synchronized update again."""
    return switch(_LAST, True) if is_set(state.modes, _LAST) else ""


def saved(state: Snapshot) -> str:
    """What saves the modes (XTSAVE) that were saved as other than a fresh terminal has them, for a blank terminal.
    xterm.js has no XTSAVE and ignores it."""
    parts: list[str] = []
    for mode in _differing(state.saved_modes, state):
        if mode.startswith("?") and mode not in _UNSAVABLE:
            value = is_set(state.saved_modes, mode)
            parts += [switch(mode, value), f"\x1b[{mode}s", switch(mode, not value)]
    return "".join(parts)


def _choice(state: Snapshot, names: tuple[str, ...], chosen: int) -> list[str]:
    """Modes of which the one in force was set last; it is none after any of them was reset."""
    others = [name for name in names[1:] if is_set(state.modes, name) and name != names[chosen]]
    parts = [switch(mode, True) for mode in others]
    if chosen:
        parts.append(switch(names[chosen], True))
    elif others:
        parts += [switch(name, False) for name in names[1:] if name not in others][:1]
    return parts


def _differing(modes: int, state: Snapshot) -> list[str]:
    changed = modes ^ state.default_modes
    return [mode for bit, mode in enumerate(MODES) if changed >> bit & 1]
