"""From the restart of a killed server to the first byte of every pane that goes on where it stopped."""

from __future__ import annotations

import tempfile
import time

from bench.report import Figure, median
from bench.servers import sandboxes, start

PANES = 10
KILLS = 5
PROGRAM = "sh -c 'while :; do echo still here; sleep 0.01; done'"


def measure(rounds: int) -> list[Figure]:
    """Milliseconds, medians: from the start of the process, and from its ready line."""
    started, first, last = [], [], []
    with tempfile.TemporaryDirectory(prefix="wormux-bench-") as data_dir, sandboxes(data_dir):
        process, server = start(data_dir, PROGRAM)
        client = server.client()
        session = client.state["sessions"][0]["id"]
        for _ in range(PANES - 1):
            client.request({"type": "tab_create", "sessionId": session, "cols": 80, "rows": 24})
        client.wait_connected()
        for _ in range(rounds * KILLS):
            missing = set(client.state["channels"].values())
            for channel, _data in client.frames():
                missing.discard(channel)
                if not missing:
                    break
            process.kill()
            process.communicate()
            client.close()
            panes = client.state["channels"]
            began = time.perf_counter()
            process, server = start(data_dir, PROGRAM)
            started.append(time.perf_counter() - began)
            resume = {pane: client.positions[channel] for pane, channel in panes.items()}
            client = server.client(resume=resume)
            missing = set(panes.values())
            for channel, _data in client.frames():
                if len(missing) == PANES:
                    first.append(time.perf_counter() - began)
                missing.discard(channel)
                if not missing:
                    break
            last.append(time.perf_counter() - began)
            assert client.skipped == 0, "Output was lost."
        client.close()
        process.terminate()
        process.communicate()
    return [
        Figure("restart after kill -9, until it is ready", 1e3 * median(started), "ms"),
        Figure("restart after kill -9, until the first resumed byte", 1e3 * median(first), "ms"),
        Figure(f"restart after kill -9, until all of {PANES} panes go on", 1e3 * median(last), "ms"),
    ]
