"""What slow clients cost the others: a neighbour's throughput while clients stall, and Ctrl-C in a flood."""

from __future__ import annotations

import re
import time

from bench.report import Figure, median, percentile
from bench.servers import SHELL, Server, wormux
from bench.ws_client import WormuxClient

BYTES = 100_000_000
STALLED = 4
ENDS = b"that-was-all"
SCRIPT = f"stty -echo; read go; yes some text | head -c {BYTES}; printf %s that-was-'all'; read end"
KEYS = 30
PROMPT = re.compile(rb"\^C.*[$#] \Z", re.DOTALL)


def measure(rounds: int) -> list[Figure]:
    """Megabytes a second and their ratio; milliseconds from a key to the prompt."""
    alone, beside = [], []
    for _ in range(rounds):  # one after the other, so that all see the same machine
        alone.append(_flood(0))
        beside.append(_flood(STALLED))
    keys = _ctrl_c()
    return [
        Figure("flood to one client", median(alone), "MB/s"),
        Figure(f"flood to one client, {STALLED} stalled ones beside it", median(beside), "MB/s"),
        Figure("flood, with stalled clients / without", median(beside) / median(alone), "×", aim="≥ 0.95"),
        Figure("Ctrl-C in a flood of yes to the prompt, p50", 1e3 * percentile(keys, 50), "ms"),
        Figure("Ctrl-C in a flood of yes to the prompt, p99", 1e3 * percentile(keys, 99), "ms", aim="< 100"),
    ]


def _flood(stalled: int) -> float:
    """What the one client that reads gets, in the flood's own pane: delivered bytes only."""
    with wormux(f'sh -c "{SCRIPT}"') as server:
        client = server.client()
        client.wait_status("connected")
        stuck = _stuck(server, stalled)
        total, seconds = client.flood(ENDS)
        for one in [client, *stuck]:
            one.close()
    return total / seconds / 1e6


def _stuck(server: Server, count: int) -> list[WormuxClient]:
    """Attached, and never reading again."""
    return [server.client(f"stuck-{number}") for number in range(count)]


def _ctrl_c() -> list[float]:
    times = []
    with wormux(SHELL) as server:
        client = server.client()
        client.wait_status("connected")
        output = client.output()
        for _ in range(KEYS):
            client.type(b"yes\r")
            flooded = 0
            while flooded < 1_000_000:
                flooded += len(next(output))
            seen = b""
            started = time.perf_counter()
            client.type(b"\x03")
            while not PROMPT.search(seen):
                seen = seen[-1000:] + next(output).tobytes()
            times.append(time.perf_counter() - started)
        client.close()
    return times
