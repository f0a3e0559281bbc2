"""Key echo through server and agent, against the same key on a raw PTY."""

from __future__ import annotations

from bench.peers.echo import keys, ready
from bench.peers.port import SHELL
from bench.peers.raw import Raw
from bench.peers.wormux import Wormux
from bench.report import Figure, percentile

TURNS = 3
"""Of some hundred keys each, in every round."""


def measure(rounds: int) -> list[Figure]:
    """Milliseconds from a key to its echo."""
    raw: list[float] = []
    ours: list[float] = []
    for _ in range(rounds):  # one after the other, so that both see the same machine
        for peer, times in ((Raw(), raw), (Wormux(), ours)):
            with peer.serve(SHELL) as server:
                client = ready(server)
                for _ in range(TURNS):
                    times.extend(keys(client))
                client.close()
    more = percentile(ours, 50) - percentile(raw, 50)
    return [
        Figure("key echo p50, raw PTY", percentile(raw, 50), "ms"),
        Figure("key echo p50, Wormux", percentile(ours, 50), "ms"),
        Figure("key echo p50, more than raw", more, "ms", aim="< 1"),
        Figure("key echo p99, raw PTY", percentile(raw, 99), "ms"),
        Figure("key echo p99, Wormux", percentile(ours, 99), "ms"),
    ]
