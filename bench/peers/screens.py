"""A connection that breaks while a full-screen program runs: is the screen right when the next one is there?

Programs are played from the recordings of `tests/screen`, up to a place between two sequences; the client goes away
and another comes. Its screen is compared with that of a terminal which read the whole stream, at once and again after
the program has written on. Some have done for hours what they do just before it, and have written `LONG_BYTES`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench.peers.judge import Screen, Verdict, judge
from bench.peers.port import HERE, NotKept, Server
from bench.peers.table import Cells
from tests.screen import recording as recordings
from tests.screen.recording import Recording
from tests.screen.xterm import Xterm

PROGRAM = [sys.executable, str(HERE / "player.py")]
READY = b"ready\r\n"
BEGUN, CUT = 0.3, 0.6
"""Of what a program wrote before its terminal was resized first."""
LONG = ("htop", "less", "top", "vim")
LONG_BYTES = 6_000_000


@dataclass(frozen=True)
class Play:
    """One program in one terminal, and what is to be seen when it has written so far."""

    file: Path
    cols: int
    rows: int
    data: bytes
    begun: int
    """From here to the cut it has done the same so many times."""
    cut: int
    times: int
    at_cut: Screen | None = None
    at_end: Screen | None = None

    def before(self) -> bytes:
        """All that the program has written when the connection breaks."""
        return READY + self.data[: self.begun] + self.data[self.begun : self.cut] * self.times

    def order(self, start: int, end: int, times: int = 1) -> bytes:
        """For the player."""
        return b"\x1e%s %d %d %d %d %d\n" % (bytes(self.file), start, end, times, self.cols, self.rows)


def plays(folder: Path, xterm: Xterm) -> list[tuple[str, Play]]:
    """All programs, short and long, with the screens that are right."""
    made = []
    for name in recordings.names():
        recording = recordings.load(name)
        data = b"".join(_first_size(recording))
        file = folder / name
        file.write_bytes(data)
        begun, cut = between(data, BEGUN), between(data, CUT)
        short = Play(file, recording.cols, recording.rows, data, begun, cut, 1)
        made.append(("screens", _with_screens(short, xterm)))
        if name in LONG:
            long = replace(short, times=LONG_BYTES // (cut - begun))
            made.append(("screens long", _with_screens(long, xterm)))
    return made


def measure(server: Server, todo: list[tuple[str, Play]], xterm: Xterm) -> Cells:
    """Percent of the screens, and of the cells that show something."""
    verdicts: dict[str, list[Verdict]] = {}
    for kind, play in todo:
        try:
            shown, later = _reconnected(server, play, xterm)
        except NotKept:
            return dict.fromkeys(_KEYS, "new shell")
        verdicts.setdefault(kind, []).append(shown)
        verdicts.setdefault(f"{kind} on", []).append(later)
    every = [verdict for some in verdicts.values() for verdict in some]
    right: Cells = {
        kind: 100 * sum(one.is_all_right for one in some) / len(some) for kind, some in verdicts.items()
    }
    return {**right, "screens cells": 100 * sum(v.wrong for v in every) / sum(v.cells for v in every)}


_KEYS = ("screens", "screens on", "screens long", "screens long on", "screens cells")


def _reconnected(server: Server, play: Play, xterm: Xterm) -> tuple[Verdict, Verdict]:
    first = server.open(play.cols, play.rows)
    first.until(READY.strip())
    first.send(play.order(0, play.begun))
    first.send(play.order(play.begun, play.cut, play.times))
    first.until_quiet()
    first.close()
    second = server.attach(first, play.cols, play.rows)
    drawn = second.until_quiet()
    terminal = xterm.open(play.cols, play.rows)
    xterm.write([terminal], drawn)
    shown = _screen(xterm, terminal)
    second.send(play.order(play.cut, len(play.data)))
    xterm.write([terminal], second.until_quiet())
    later = _screen(xterm, terminal)
    second.close()
    xterm.close([terminal])
    assert play.at_cut is not None
    assert play.at_end is not None
    return judge(play.at_cut, shown), judge(play.at_end, later)


def between(data: bytes, share: float) -> int:
    """A place between two sequences, or lines, after that share of them."""
    near = int(share * len(data))
    return min(at for at in (data.find(b"\x1b", near), data.find(b"\r\n", near), len(data)) if at >= 0)


def _first_size(recording: Recording) -> Iterator[bytes]:
    for record in recording.records:
        if not isinstance(record, bytes):
            return
        yield record


def _with_screens(play: Play, xterm: Xterm) -> Play:
    terminal = xterm.open(play.cols, play.rows)
    xterm.write([terminal], play.before())
    at_cut = _screen(xterm, terminal)
    xterm.write([terminal], play.data[play.cut :])
    at_end = _screen(xterm, terminal)
    xterm.close([terminal])
    return replace(play, at_cut=at_cut, at_end=at_end)


def _screen(xterm: Xterm, terminal: int) -> Screen:
    rows, cursor = xterm.screen(terminal)
    return Screen(rows, {**xterm.state(terminal), "cursor": cursor})
