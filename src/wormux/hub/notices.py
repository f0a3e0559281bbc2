"""Bytes that the server itself writes into a pane's output, all of them numbered (protocol, "Pane status").

Control functions as in ECMA-48 and xterm's "Control Sequences".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from wormux.hub.inputs import Moment
from wormux.hub.pane import Pane

MODES_OFF = b"\x18\x1b[?9;1000;1002;1003;1004;1005;1006;1015;1016;2004;1l\x1b>"
"""CAN ends a sequence that was left unfinished; then mouse, focus, paste and cursor-key modes off, numeric keypad."""

_NORMAL_SCREEN = (
    MODES_OFF
    + b"\x1b[?1047l"  # not 1049: on the normal screen that would move the cursor
    + b"\x1b[!p"  # DECSTR: scroll region, origin mode and pen, with the cursor where it is
    + b"\x1b[?7h\x1b[?25h\x1b[?2026l\x1b[4l\x1b[20l\x1b[0 q\x1b(B\x0f\x1b]8;;\x1b\\\x1b[m"
)


def fresh_shell_preamble(pane: Pane, now: Moment) -> bytes:
    """What a fresh shell's output begins with: the normal screen, and a line that says why all is new."""
    until = _clock(now.wall_ms, now)
    since = _clock(pane.closed_at_ms, now) if pane.closed_at_ms else None
    if since is not None and _day(pane.closed_at_ms, now) != _day(now.wall_ms, now):
        since = f"{_day(pane.closed_at_ms, now)} {since}"
    if since is None:
        text = f"{until}, new shell"
    elif pane.exit is not None:
        text = f"ended {since}, new shell"
    elif pane.slept:
        text = f"slept {since}–{until}, new shell"
    else:
        text = f"lost {since}, new shell"
    return _NORMAL_SCREEN + f"\r\n\x1b[2m── {text} ──\x1b[m\r\n".encode()


def _local(wall_ms: int, now: Moment) -> datetime:
    return datetime.fromtimestamp(wall_ms / 1000, UTC) + timedelta(seconds=now.utc_offset_s)


def _clock(wall_ms: int, now: Moment) -> str:
    return _local(wall_ms, now).strftime("%H:%M")


def _day(wall_ms: int, now: Moment) -> str:
    return _local(wall_ms, now).strftime("%Y-%m-%d")
