"""Key echo through server and agent, against the same key on a raw PTY."""

from __future__ import annotations

import os
import time

from bench.raw_pty import on_pty, read_until
from bench.report import Figure, percentile
from bench.servers import wormux

ECHO = ["sh", "-c", "stty raw -echo; printf ready; exec cat"]
KEYS = 1000


def measure(rounds: int) -> list[Figure]:
    """Milliseconds from a key to its echo."""
    raw, ours = [], []
    for _ in range(rounds):
        raw += _raw()
        ours += _wormux()
    return [
        Figure("key echo p50, raw PTY", 1e3 * percentile(raw, 50), "ms"),
        Figure("key echo p50, Wormux", 1e3 * percentile(ours, 50), "ms"),
        Figure(
            "key echo p50, more than raw", 1e3 * (percentile(ours, 50) - percentile(raw, 50)), "ms", aim="< 1"
        ),
        Figure("key echo p99, raw PTY", 1e3 * percentile(raw, 99), "ms"),
        Figure("key echo p99, Wormux", 1e3 * percentile(ours, 99), "ms"),
    ]


def _raw() -> list[float]:
    times = []
    with on_pty(ECHO) as master:
        read_until(master, b"ready")
        for _ in range(KEYS):
            started = time.perf_counter()
            os.write(master, b"x")
            read_until(master, b"x")
            times.append(time.perf_counter() - started)
        os.write(master, b"\x04")
    return times


def _wormux() -> list[float]:
    times = []
    with wormux("sh -c 'stty raw -echo; printf ready; exec cat'") as server:
        client = server.client()
        client.wait_status("connected")
        output = client.output()
        seen = b""
        client.type(b"!")
        while b"!" not in seen:
            seen += next(output).tobytes()
        for _ in range(KEYS):
            started = time.perf_counter()
            client.type(b"x")
            while b"x" not in next(output).tobytes():
                pass
            times.append(time.perf_counter() - started)
        client.close()
    return times
