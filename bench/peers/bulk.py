"""Bulk output to a client that reads everything: how fast, and what it costs in processors' time."""

from __future__ import annotations

import os
import time
from pathlib import Path

from bench.peers import processes
from bench.peers.port import Client, Server
from bench.peers.table import Cells
from bench.peers.wormux import Page

BLOCK_BYTES = 64 * 1024
BLOCKS = 2400
"""Of the file, 157 MB."""
FIRST_BLOCKS = 32
AIM_S = 1.5
LINE = b"the quick brown fox jumps over the lazy dog, and 0123456789 times again\n"
END = b"that-was-all"


def write_file(path: Path) -> None:
    """What is written to the terminals."""
    path.write_bytes((LINE * (BLOCKS * BLOCK_BYTES // len(LINE) + 1))[: BLOCKS * BLOCK_BYTES])


def measure(server: Server, path: Path) -> Cells:
    """A little first, and then as much as takes a second or two."""
    client = server.shell()
    began = time.perf_counter()
    _flood(client, path, FIRST_BLOCKS)
    blocks = round(AIM_S / (time.perf_counter() - began) * FIRST_BLOCKS)
    blocks = max(FIRST_BLOCKS, min(blocks, BLOCKS))
    before_s, own_before_s = processes.cpu_s(server.roots), _own_cpu_s()
    skipped = client.skipped if isinstance(client, Page) else 0
    began = time.perf_counter()
    total = _flood(client, path, blocks)
    seconds = time.perf_counter() - began
    cpu_s, own_s = processes.cpu_s(server.roots) - before_s, _own_cpu_s() - own_before_s
    skipped = client.skipped - skipped if isinstance(client, Page) else 0
    client.close()
    gigabytes = total / 1e9
    return {
        "bulk": total / seconds / 1e6,
        "bulk share": 100 * total / (total + skipped),
        "bulk cpu": (cpu_s if server.roots else own_s) / gigabytes,
        "bulk client": 100 * own_s / seconds,
    }


def _flood(client: Client, path: Path, blocks: int) -> int:
    client.run(f"dd if={path} bs={BLOCK_BYTES} count={blocks} status=none; printf %s that-was-'all'")
    return client.until(END, within_s=60)


def _own_cpu_s() -> float:
    times = os.times()
    return times.user + times.system
