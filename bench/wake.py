"""From a key in a sleeping pane to the prompt, against starting the same shell on a raw PTY."""

from __future__ import annotations

import os
import re
import time

from bench.raw_pty import READ_BYTES, on_pty
from bench.report import Figure, median
from bench.servers import wormux

SHELLS = {"bash as its user has it": ["bash"], "bash without its files": ["bash", "--norc", "--noprofile"]}
PROMPT = re.compile(rb"[$#] (\x1b\]133;B[^\x07\x1b]*(\x07|\x1b\\))?\Z")
"""With the mark of shell integration behind it, or without."""
ANY_PROMPT = re.compile(rb"[$#] ")
WAKES = 10
PAUSE_S = 0.5
"""Asleep for so long before the key: nobody types in the instant of falling asleep."""


def measure(rounds: int) -> list[Figure]:
    """Milliseconds, medians."""
    figures = []
    for name, shell in SHELLS.items():
        raw, ours = [], []
        for _ in range(rounds):
            raw += [_raw(shell) for _ in range(WAKES)]
            ours += _wormux(shell)
        figures += [
            Figure(f"{name}: start to prompt, raw PTY", 1e3 * median(raw), "ms"),
            Figure(f"{name}: wake, key to prompt", 1e3 * median(ours), "ms"),
            Figure(f"{name}: wake / start", median(ours) / median(raw), "×", aim="≤ 1.3"),
        ]
    return figures


def _raw(shell: list[str]) -> float:
    started = time.perf_counter()
    with on_pty(shell) as master:
        seen = b""
        while not PROMPT.search(seen):
            seen += os.read(master, READ_BYTES)
        return time.perf_counter() - started


def _wormux(shell: list[str]) -> list[float]:
    times = []
    with wormux(" ".join(shell)) as server:
        client = server.client()
        client.wait_status("connected")
        output = client.output()
        seen = b""
        while not PROMPT.search(seen):
            seen += next(output).tobytes()
        for _ in range(WAKES):
            client.request(
                {"type": "session_sleep", "sessionId": client.state["sessions"][0]["id"], "force": True}
            )
            client.wait_status("asleep")
            time.sleep(PAUSE_S)
            seen = b""
            started = time.perf_counter()
            client.type(b"\r")
            while not PROMPT.search(seen):
                seen += next(output).tobytes()
            times.append(time.perf_counter() - started)
            while len(ANY_PROMPT.findall(seen)) < 2:  # the key itself: else it would wake the pane again
                seen += next(output).tobytes()
            client.wait_status("connected")
        client.close()
    return times
