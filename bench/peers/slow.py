"""A client that stops reading while its terminal floods: what the server keeps for it, what its neighbour feels, and
what it gets when it reads again."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

from bench.peers import echo, processes
from bench.peers.port import HERE, Server
from bench.peers.table import Cells, Samples

BYTES = 400_000_000
SECONDS = 6.0
AFTERWARDS_S = 20.0
END = b"that-was-all"
LOOK_EVERY_S = 0.25
HELD_BELOW_BYTES = 5_000_000
"""A program that wrote less waited for the client: nothing of it had to be kept, or was missed."""
_AFTERWARDS = ("slow per MB", "slow after", "slow got")


def measure(server: Server) -> tuple[Cells, Samples]:
    """MB, milliseconds and seconds."""
    stuck = server.shell()
    neighbour = echo.ready(server)
    with tempfile.TemporaryDirectory(prefix="wormux-bench-") as folder:
        told = Path(folder, "written")
        before = processes.pss_kib(server.roots)
        stuck.run(f"python3 {HERE / 'flood.py'} {BYTES} {SECONDS} {told}")
        with _Highest(server) as highest:
            times = []
            while not told.exists():
                times += echo.keys(neighbour, within_s=0.5)
        written = int(told.read_text())
    began = time.perf_counter()
    try:
        got = stuck.until(END, within_s=AFTERWARDS_S)
        after: float | str = time.perf_counter() - began
    except (TimeoutError, EOFError) as error:
        got, after = 0, "cut off" if isinstance(error, EOFError) else f"> {AFTERWARDS_S:.0f}"
    stuck.close()
    neighbour.close()
    cells: Cells = {"slow written": written / 1e6, "slow growth": (highest.kib - before) / 1024}
    if written < HELD_BELOW_BYTES:
        return {**cells, **dict.fromkeys(_AFTERWARDS, "program held")}, {"slow echo": times}
    cells |= {
        "slow per MB": max(0, highest.kib - before) / (written / 1e6),
        "slow after": after,
        "slow got": got / 1e6 if got else "–",
    }
    return cells, {"slow echo": times}


class _Highest:
    """Looks at a server's memory meanwhile, in a thread of its own."""

    def __init__(self, server: Server) -> None:
        self.kib = 0
        self._roots = server.roots
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> _Highest:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            self.kib = max(self.kib, processes.pss_kib(self._roots))
            if self._over.wait(LOOK_EVERY_S):
                return
