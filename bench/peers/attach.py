"""Attaching to a terminal with a long past: until the whole screen is there and read, and what came above it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from bench.peers.port import COLS, ROWS, NotKept, Server
from bench.peers.table import Cells
from bench.report import median
from tests.screen.xterm import Xterm

LINES = 10_000
TIMES = 5
END = b"that-was-all"
LINE = r"\033[32m%6d\033[m the quick brown fox jumps over the lazy dog\n"
PAST = f"i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); printf '{LINE}' $i; done; printf %s that-was-'all'"


def measure(server: Server) -> Cells:
    """Milliseconds, kilobytes and lines."""
    first = server.shell()
    first.run(PAST)
    first.until(END, within_s=60)
    times, drawn = [], b""
    for _ in range(TIMES):
        began = time.perf_counter()
        try:
            later = server.attach(first)
        except NotKept:
            return {"attach": "new shell", "attach bytes": "–", "attach above": "–"}
        pieces = []
        tail = b""
        while END not in tail:
            pieces.append(bytes(later.read()))
            tail = tail[-len(END) :] + pieces[-1]
        times.append(1e3 * (time.perf_counter() - began))
        drawn = b"".join(pieces) + later.until_quiet()
        later.close()
    first.close()
    return {
        "attach": median(times) + _parsed_ms(drawn),
        "attach bytes": len(drawn) / 1000,
        "attach above": _above(drawn),
    }


def _parsed_ms(data: bytes) -> float:
    """What the page's terminal takes to read that, without drawing it."""
    command = ["node", str(Path(__file__).parents[1] / "parse.mjs")]
    return float(subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout)


def _above(drawn: bytes) -> int:
    """Lines of scrollback that a terminal has then."""
    with Xterm() as xterm:
        terminal = xterm.open(COLS, ROWS)
        xterm.write([terminal], drawn)
        return int(xterm.state(terminal)["scrollback"])
