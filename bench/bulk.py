"""Bulk output of one pane to one client, against a raw read of the same command."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from bench.raw_pty import drain
from bench.report import Figure, median
from bench.servers import wormux

LINES = 1_500_000
LINE = b"the quick brown fox jumps over the lazy dog, and 0123456789 times again\n"
END = b"that-was-all"


def measure(rounds: int) -> list[Figure]:
    """Megabytes a second, and their ratios."""
    with tempfile.TemporaryDirectory(prefix="wormux-bench-") as folder:
        path = Path(folder) / "bulk.txt"
        path.write_bytes(LINE * LINES)
        raw, ours, shares = [], [], []
        for _ in range(rounds):  # one after the other, so that all see the same machine
            count, seconds = drain(["cat", str(path)])
            raw.append(count / seconds / 1e6)
            rate, share = _through_wormux(path)
            ours.append(rate)
            shares.append(share)
    return [
        Figure("bulk output, raw PTY read", median(raw), "MB/s"),
        Figure("bulk output, Wormux", median(ours), "MB/s"),
        Figure("bulk output, share that Wormux's client got", 100 * median(shares), "%"),
        Figure("bulk output, Wormux / raw", median(ours) / median(raw), "×", aim="≥ 0.9"),
    ]


def script(path: Path) -> str:
    """A shell that waits for a line, then writes the file and the end mark."""
    steps = f"stty -echo; read go; cat {path}; printf %s that-was-'all'; read end"
    return f"sh -c {json.dumps(steps)}"


def _through_wormux(path: Path) -> tuple[float, float]:
    """Delivered bytes only: a client that falls too far behind is sent a redraw instead of what it missed."""
    with wormux(script(path)) as server:
        client = server.client()
        client.wait_status("connected")
        total, seconds = client.flood(END)
        client.close()
    return total / seconds / 1e6, total / (total + client.skipped)
