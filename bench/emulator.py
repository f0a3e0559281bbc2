"""What the emulator costs the way of output: bulk with it and without, and its share of the processors' time."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.bulk import END, LINE, LINES, script
from bench.report import Figure, median
from bench.servers import Server, wormux


def measure(rounds: int) -> list[Figure]:
    """Rates with and without, one after the other in one run."""
    with tempfile.TemporaryDirectory(prefix="wormux-bench-") as folder:
        path = Path(folder) / "bulk.txt"
        path.write_bytes(LINE * LINES)
        on, off, shares = [], [], []
        for _ in range(rounds):
            rate, share = _bulk(path)
            on.append(rate)
            shares.append(share)
            off.append(_bulk(path, "--emulator", "none")[0])
    return [
        Figure("bulk output, with the emulator", median(on), "MB/s"),
        Figure("bulk output, without", median(off), "MB/s"),
        Figure(
            "bulk output, with / without", median(on) / median(off), "×", aim="≥ 0.9 on a free second core"
        ),
        Figure("emulator's time / server's time while relaying", 100 * median(shares), "%"),
    ]


def _bulk(path: Path, *options: str) -> tuple[float, float]:
    with wormux(script(path), *options) as server:
        client = server.client()
        client.wait_status("connected")
        before = _times(server)
        total, seconds = client.flood(END)
        relaying, emulating = (after - earlier for after, earlier in zip(_times(server), before, strict=True))
        client.close()
    return total / seconds / 1e6, emulating / max(relaying, 1)


def _times(server: Server) -> tuple[int, int]:
    """Ticks of the processors' time that the server and its workers took."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    workers = [pid for pid in children if b"wormux.screen" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return _ticks(str(server.pid)), sum(map(_ticks, workers))


def _ticks(pid: str) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
