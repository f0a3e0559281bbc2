"""Stored screens: checkpoints and the emulator's snapshots in them, damaged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from fuzz.kit import SECRET, Target, joined, need, pieces
from fuzz.targets.screens import _FULL, _LINKS, _WIDE
from wormux.errors import ScreenError
from wormux.limits import KIB
from wormux.protocol.screen_link import (
    CheckpointTaken,
    Feed,
    OpenScreen,
    RedrawTaken,
    ScreenGone,
    TakeCheckpoint,
    TakeRedraw,
    Unreadable,
)
from wormux.screen import library
from wormux.screen.answers import Answers
from wormux.screen.ghostty import GhosttyScreen
from wormux.screen.log_screen import LogScreen
from wormux.screen.opening import open_ghostty, open_log
from wormux.screen.snapshot import read
from wormux.screen.table import ScreenTable


def run(data: bytes) -> None:
    """The first byte of a piece says how its rest is read."""
    for piece in pieces(data)[:4]:
        if piece[0] % 3 == 0:
            _snapshot(piece[1:])
        else:
            _checkpoint(piece[1:], emulator=piece[0] % 3 == 1)


def _snapshot(data: bytes) -> None:
    """By our own reader alone, which does not look at the checksums: the library does, before anything is drawn."""
    with contextlib.suppress(ScreenError):
        for screen in read(data).screens.values():
            for row in screen.rows(1000):
                row.plain()
                need(len(row.cells()) == row.length, "A row has other cells than it says.")


def _checkpoint(state: bytes, *, emulator: bool) -> None:
    """By a table of screens, as a worker has it."""
    if emulator and not library.available():
        return
    said: list[str] = []
    table = ScreenTable(
        open_ghostty if emulator else open_log, 64 << 20, lambda doing, _error: said.append(doing)
    )
    events = list(table.take(1, OpenScreen(0, 80, 24, state)))
    for request in (Feed(SECRET), TakeRedraw(10, 10 * KIB), TakeCheckpoint()):
        events += table.take(1, request)
    events += [event for _, event in table.settle()]
    table.close()
    need(not said, f"A screen failed while {said}.")
    if isinstance(events[0], Unreadable):
        need(len(events) == 1, "A screen that could not be opened answers.")
    else:
        need(not any(isinstance(event, ScreenGone) for event in events), "A screen that was opened is gone.")
        need(
            sum(isinstance(event, RedrawTaken | CheckpointTaken) for event in events) == 2, "No answer came."
        )


def seeds() -> Iterable[bytes]:
    plain = LogScreen(80, 24)
    plain.feed(_WIDE + _LINKS)
    yield b"\2" + plain.checkpoint()
    if not library.available():
        return
    for stream in (
        b"",
        _WIDE,
        _LINKS,
        b"\x1b7" + _FULL.removesuffix(b"\x1b[?1049l") + _WIDE + b"\x1b]2;begun",
    ):
        screen = GhosttyScreen(20, 5, Answers())
        screen.feed(stream)
        yield joined(b"\0" + screen._snapshot())
        yield joined(b"\1" + screen.checkpoint())
        screen.close()


TARGET = Target(
    "snapshots",
    "stored screens, damaged",
    run,
    seeds,
    words=(b"GHOSTSNP\1\0", b"WXLG\1", b"\xff\xff\xff\xff"),
    examples=60,
)
