"""Bulk output of one pane to one client, against a raw read of the same command and against terminado."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from bench.raw_pty import drain
from bench.report import Figure, median
from bench.servers import terminado, wormux
from bench.ws_client import WebSocket

LINES = 1_500_000
LINE = b"the quick brown fox jumps over the lazy dog, and 0123456789 times again\n"
TERMINADO_SHARE = 8
"""terminado gets an eighth of the bytes: it is that much slower, and only its rate is wanted."""
END = b"that-was-all"


def measure(rounds: int) -> list[Figure]:
    """Megabytes a second, and their ratios."""
    with tempfile.TemporaryDirectory(prefix="wormux-bench-") as folder:
        path = Path(folder) / "bulk.txt"
        path.write_bytes(LINE * LINES)
        less = Path(folder) / "less.txt"
        less.write_bytes(LINE * (LINES // TERMINADO_SHARE))
        raw, ours, theirs, shares = [], [], [], []
        for _ in range(rounds):  # one after the other, so that all see the same machine
            count, seconds = drain(["cat", str(path)])
            raw.append(count / seconds / 1e6)
            rate, share = _through_wormux(path)
            ours.append(rate)
            shares.append(share)
            theirs.append(_through_terminado(less))
    return [
        Figure("bulk output, raw PTY read", median(raw), "MB/s"),
        Figure("bulk output, Wormux", median(ours), "MB/s"),
        Figure("bulk output, share that Wormux's client got", 100 * median(shares), "%"),
        Figure("bulk output, terminado", median(theirs), "MB/s"),
        Figure("bulk output, Wormux / raw", median(ours) / median(raw), "×", aim="≥ 0.9"),
        Figure("bulk output, Wormux / terminado", median(ours) / median(theirs), "×", aim="≥ 1.3"),
    ]


def script(path: Path) -> str:
    """A shell that waits for a line, then writes the file and the end mark."""
    words = _script(path)
    return f"{words[0]} {words[1]} {json.dumps(words[2])}"


def _script(path: Path) -> list[str]:
    return ["sh", "-c", f"stty -echo; read go; cat {path}; printf %s that-was-'all'; read end"]


def _through_wormux(path: Path) -> tuple[float, float]:
    """Delivered bytes only: a client that falls too far behind is sent a redraw instead of what it missed."""
    with wormux(script(path)) as server:
        client = server.client()
        client.wait_status("connected")
        total, seconds = client.flood(END)
        client.close()
    return total / seconds / 1e6, total / (total + client.skipped)


def _through_terminado(path: Path) -> float:
    with terminado(_script(path)) as url:
        socket = WebSocket(url, {})
        started = time.perf_counter()
        socket.send(json.dumps(["stdin", "\n"]).encode(), opcode=1)
        total, tail = 0, b""
        while END not in tail:
            _, payload = socket.receive()
            message = json.loads(payload.tobytes())
            if message[0] == "stdout":
                total += len(message[1])
                tail = (tail + message[1][-64:].encode())[-64:]
        seconds = time.perf_counter() - started
        socket.close()
    return total / seconds / 1e6
