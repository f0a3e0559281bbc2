"""From a key in a sleeping pane to the prompt, against starting the same shell on a raw PTY."""

from __future__ import annotations

import time

from bench.raw_pty import on_pty, read_until
from bench.report import Figure, median
from bench.servers import wormux

SHELL = ["bash", "--norc", "--noprofile"]
PROMPT = b"bash-"
WAKES = 10
PAUSE_S = 0.5
"""Asleep for so long before the key: nobody types in the instant of falling asleep."""


def measure(rounds: int) -> list[Figure]:
    """Milliseconds, medians."""
    raw, ours = [], []
    for _ in range(rounds):
        raw += [_raw() for _ in range(WAKES)]
        ours += _wormux()
    return [
        Figure("start of a shell to its prompt, raw PTY", 1e3 * median(raw), "ms"),
        Figure("wake, key to prompt, Wormux", 1e3 * median(ours), "ms"),
        Figure("wake / start of the same shell", median(ours) / median(raw), "×", aim="≤ 1.3"),
    ]


def _raw() -> float:
    started = time.perf_counter()
    with on_pty(SHELL) as master:
        read_until(master, PROMPT)
        return time.perf_counter() - started


def _wormux() -> list[float]:
    times = []
    with wormux(" ".join(SHELL)) as server:
        client = server.client()
        client.wait_status("connected")
        for _ in range(WAKES):
            client.request(
                {"type": "session_sleep", "sessionId": client.state["sessions"][0]["id"], "force": True}
            )
            client.wait_status("asleep")
            time.sleep(PAUSE_S)
            output = client.output()
            seen = b""
            started = time.perf_counter()
            client.type(b"\r")
            while PROMPT not in seen:
                seen += next(output).tobytes()
            times.append(time.perf_counter() - started)
            while seen.count(PROMPT) < 2:  # the key itself has arrived, and will not wake the pane again
                seen += next(output).tobytes()
            client.wait_status("connected")
        client.close()
    return times
