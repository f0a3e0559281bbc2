"""The emulator on its own: redraws by kind of content, and memory by lines of scrollback."""

from __future__ import annotations

import time
from pathlib import Path

from bench.report import Figure, median
from wormux.limits import DEEP_REDRAW_BYTES, DEEP_REDRAW_LINES, REDRAW_BYTES, REDRAW_LINES
from wormux.screen.answers import Answers
from wormux.screen.ghostty import GhosttyScreen

COLS, ROWS = 120, 40
LINES = 10_000
SCREENS = 20
"""Of each size of scrollback, so that what the allocator keeps for later does not count."""


def contents() -> dict[str, bytes]:
    """Lines of each kind, the same every time."""
    plain = b"the quick brown fox jumps over the lazy dog, and %d times again\r\n"
    colors = (
        b"".join(b"\x1b[3%dmword\x1b[1;4%dm%%d\x1b[m " % (n % 8, (n + 3) % 8) for n in range(12)) + b"\r\n"
    )
    wide = "日本語のテキスト、%d 回、そして 👩‍👩‍👧 と é を\r\n".encode()
    return {
        "text": b"".join(plain % n for n in range(LINES)),
        "colours": b"".join(colors % ((n,) * 12) for n in range(LINES)),
        "wide and clustered": b"".join(wide % n for n in range(LINES)),
        "a full screen": b"\x1b[?1049h" + b"".join(
            b"\x1b[%d;1H\x1b[7m%4d\x1b[m \x1b[38;5;%dm%s\x1b[K" % (row, row, row + 16, b"x" * 100)
            for row in range(1, ROWS + 1)
        ),
    }  # fmt: skip


def measure(rounds: int) -> list[Figure]:
    """Milliseconds and kilobytes; megabytes a second; memory per screen."""
    figures = []
    for kind, data in contents().items():
        screen = GhosttyScreen(COLS, ROWS, Answers())
        started = time.perf_counter()
        screen.feed(data)
        parsed_s = time.perf_counter() - started
        first_s, first = _redraw(screen, REDRAW_LINES, REDRAW_BYTES, rounds)
        deep_s, deep = _redraw(screen, DEEP_REDRAW_LINES, DEEP_REDRAW_BYTES, rounds)
        kept_s, kept = _checkpoint(screen, rounds)
        screen.close()
        if len(data) > 100_000:
            figures.append(Figure(f"screen of {kind}, parsed", len(data) / parsed_s / 1e6, "MB/s"))
        figures += [
            Figure(f"screen of {kind}, redraw with {REDRAW_LINES} lines", 1000 * first_s, "ms"),
            Figure(f"screen of {kind}, its size", first / 1000, "kB"),
            Figure(f"screen of {kind}, redraw with all lines that fit", 1000 * deep_s, "ms"),
            Figure(f"screen of {kind}, its size", deep / 1000, "kB"),
            Figure(f"screen of {kind}, checkpoint", 1000 * kept_s, "ms"),
            Figure(f"screen of {kind}, its size", kept / 1000, "kB"),
        ]
    if Path("/proc/self/statm").exists():
        figures += [
            Figure(f"memory per screen with {lines} lines", _memory(lines) / 1024, "KiB")
            for lines in (0, 1_000, 10_000)
        ]
    return figures


def _redraw(screen: GhosttyScreen, lines: int, limit: int, rounds: int) -> tuple[float, int]:
    times = []
    size = 0
    for _ in range(max(5, rounds)):
        started = time.perf_counter()
        size = len(screen.redraw(lines, limit).data)
        times.append(time.perf_counter() - started)
    return median(times), size


def _checkpoint(screen: GhosttyScreen, rounds: int) -> tuple[float, int]:
    times = []
    size = 0
    for _ in range(rounds):
        started = time.perf_counter()
        size = len(screen.checkpoint())
        times.append(time.perf_counter() - started)
    return median(times), size


def _memory(lines: int) -> float:
    """Bytes per screen of 80 columns. The screens stay, or the next would get their memory."""
    data = b"".join(
        b"the quick brown fox jumps over the lazy dog, and %d times again\r\n" % n for n in range(lines)
    )
    before = _resident()
    screens = [GhosttyScreen(80, 24, Answers()) for _ in range(SCREENS)]
    for screen in screens:
        screen.feed(data)
    grown = _resident() - before
    for screen in screens:
        screen.close()
    return grown / SCREENS


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
