"""What a flood in one pane costs another: the echo of keys with and without it."""

from __future__ import annotations

import time

from bench.report import Figure, percentile
from bench.servers import wormux
from bench.ws_client import WormuxClient

KEYS = 2000
ACK_BYTES = 128 * 1024
PROGRAM = "sh -c 'stty raw -echo; printf ready; head -c 1 | grep -q f && exec yes; exec cat'"
"""The key f makes a flood of the pane, any other an echo of all that come after it."""


def measure(rounds: int) -> list[Figure]:
    """Milliseconds from a key to its echo, in a pane beside another."""
    quiet, hidden, drawn = [], [], []
    for _ in range(rounds):
        quiet += _echo(flood=False, drawn=False)
        hidden += _echo(flood=True, drawn=False)
        drawn += _echo(flood=True, drawn=True)
    figures = [
        Figure(f"key echo p{percent}, beside a quiet pane", 1e3 * percentile(quiet, percent), "ms")
        for percent in (50, 99)
    ]
    for name, times, aim in (("drawn by nobody", hidden, "< 5"), ("drawn by the same client", drawn, "")):
        figures += [
            Figure(
                f"key echo p{percent}, what a flood beside it adds, {name}",
                1e3 * (percentile(times, percent) - percentile(quiet, percent)),
                "ms",
                aim=aim if percent == 99 else "",
            )
            for percent in (50, 99)
        ]
    return figures


def _echo(*, flood: bool, drawn: bool) -> list[float]:
    times = []
    with wormux(PROGRAM) as server:
        client = server.client()
        session = client.state["sessions"][0]["id"]
        client.request({"type": "tab_create", "sessionId": session, "cols": 80, "rows": 24})
        client.wait_connected()
        ((other, beside),) = ((p, c) for p, c in client.state["channels"].items() if p != client.pane_id)
        echo = _Echo(client, other if drawn else None, beside)
        client.type(b"f" if flood else b"e", beside)
        client.type(b"e!")
        echo.wait(b"!")
        for _ in range(KEYS):
            started = time.perf_counter()
            client.type(b"x")
            echo.wait(b"x")
            times.append(time.perf_counter() - started)
        assert (client.positions[beside] > ACK_BYTES) == flood, "The pane beside did something else."
        client.close()
    return times


class _Echo:
    """The first pane's output, with that of the other one drawn on the way if it has an id."""

    def __init__(self, client: WormuxClient, other: str | None, beside: int) -> None:
        self._client = client
        self._other = other
        self._beside = beside
        self._frames = client.frames()
        self._acked = 0

    def wait(self, key: bytes) -> None:
        for channel, data in self._frames:
            if channel != self._beside:
                if key in data.tobytes():
                    return
            elif self._other is not None:
                position = self._client.positions[channel]
                if not 0 <= position - self._acked < ACK_BYTES:
                    self._acked = position
                    self._client.ask({"type": "output_ack", "paneId": self._other, "position": position})
