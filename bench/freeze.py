"""From a key in a frozen pane to its echo, against thawing the same control group by hand and writing to its PTY."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from pathlib import Path

from bench.raw_pty import READ_BYTES, on_pty
from bench.report import Figure, median, percentile
from bench.servers import SHELL, wormux
from wormux.sandbox.cgroup import entering
from wormux.sandbox.cgroup_place import Groups

KEYS = 10
PAUSE_S = 0.3
"""Frozen for so long before the key: nobody types in the instant of freezing."""
PROMPT = re.compile(rb"[$#] \Z")
KEY, ERASE = b"x", b"\x7f"
ECHO, ERASED = re.compile(KEY), re.compile(b"\b")


def measure(rounds: int) -> list[Figure]:
    """Milliseconds; nothing where no process can be frozen."""
    with tempfile.TemporaryDirectory() as directory:
        reason = Groups(Path(directory)).cannot("freezer")
    if reason is not None:
        return [Figure(f"frozen: not measured, {reason}", 0.0, "")]
    raw: list[float] = []
    ours: list[float] = []
    for _ in range(rounds):
        raw += asyncio.run(_raw())
        ours += _wormux()
    return [
        Figure("frozen: thaw by hand to echo, raw PTY", 1e3 * median(raw), "ms"),
        Figure("frozen: key to echo", 1e3 * median(ours), "ms", aim="≤ 5"),
        Figure("frozen: key to echo, 95 of 100", 1e3 * percentile(ours, 95), "ms"),
        Figure("frozen: key to echo / by hand", median(ours) / median(raw), "×"),
    ]


async def _raw() -> list[float]:
    times = []
    with tempfile.TemporaryDirectory() as directory:
        groups = Groups(Path(directory))
        groups.cannot("freezer")
        group = groups.make()
        with on_pty(entering(group, SHELL.split(), None)) as master:
            _read_until(master, PROMPT)
            for _ in range(KEYS):
                await group.freeze()
                time.sleep(PAUSE_S)  # noqa: ASYNC251 -- nothing else runs on this loop
                started = time.perf_counter()
                group.thaw()
                os.write(master, KEY)
                _read_until(master, ECHO)
                times.append(time.perf_counter() - started)
                os.write(master, ERASE)
                _read_until(master, ERASED)
        await group.kill()
        await group.remove()
    return times


def _read_until(master: int, wanted: re.Pattern[bytes]) -> None:
    seen = b""
    while not wanted.search(seen):
        seen += os.read(master, READ_BYTES)


def _wormux() -> list[float]:
    times = []
    with wormux(SHELL, "--sleep-mode", "freeze") as server:
        client = server.client()
        client.wait_status("connected")
        output = client.output()

        def read_until(wanted: re.Pattern[bytes]) -> None:
            seen = b""
            while not wanted.search(seen):
                seen += next(output).tobytes()

        read_until(PROMPT)
        session = client.state["sessions"][0]["id"]
        for _ in range(KEYS):
            client.request({"type": "session_sleep", "sessionId": session, "force": True})
            client.wait_status("asleep")
            time.sleep(PAUSE_S)
            started = time.perf_counter()
            client.type(KEY)
            read_until(ECHO)
            times.append(time.perf_counter() - started)
            client.wait_status("connected")
            client.type(ERASE)
            read_until(ERASED)
        client.close()
    return times
