"""From a key to its echo, in a quiet server and beside a flood in another of its terminals, which somebody reads."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Iterator

from bench.peers.port import Client, Server
from bench.peers.table import Samples

KEYS = 400
WITHIN_S = 3.0
"""The keys end then, however many they were."""
SETTLE_S = 0.5
_LETTERS = "abcdefgh"
FLOOD = "yes the quick brown fox jumps over the lazy dog"


def quiet(server: Server) -> Samples:
    """Nothing else happens."""
    return {"echo": keys(ready(server))}


def beside_a_flood(server: Server) -> Samples:
    """Another terminal writes as fast as its client takes it."""
    flooded = server.shell()
    client = ready(server)
    flooded.run(FLOOD)
    with _read_elsewhere(flooded) as count:
        time.sleep(SETTLE_S)
        began, before = time.perf_counter(), count.value
        times = keys(client)
        rate = (count.value - before) / (time.perf_counter() - began) / 1e6
    flooded.close()
    return {"echo flood": times, "echo flood rate": [rate]}


def ready(server: Server) -> Client:
    """A terminal that echoes each byte, and nothing else."""
    client = server.shell()
    client.run("stty raw -echo; printf 'rea%s' dy; exec cat")
    client.until(b"ready")
    return client


def keys(client: Client, within_s: float = WITHIN_S) -> list[float]:
    """Milliseconds, each key after the echo of the one before."""
    times: list[float] = []
    ends_s = time.perf_counter() + within_s
    while len(times) < KEYS:
        key = _LETTERS[
            len(times) % len(_LETTERS)
        ].encode()  # never the one before: its echo is not this one's
        began = time.perf_counter()
        if began > ends_s:
            break
        client.send(key)
        while key not in bytes(client.read()):
            pass
        times.append(1e3 * (time.perf_counter() - began))
    return times


@contextlib.contextmanager
def _read_elsewhere(client: Client) -> Iterator[multiprocessing.sharedctypes.Synchronized[float]]:
    """In a process of its own, so that the reading takes no turn from the keys."""
    context = multiprocessing.get_context("fork")
    count = context.Value("d", 0.0, lock=False)

    def read() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                count.value += len(client.read())

    reader = context.Process(target=read, daemon=True)
    reader.start()
    try:
        yield count
    finally:
        reader.kill()
        reader.join()
