"""What a server's processes take, its helpers with it and its terminals' shells without. Linux."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from bench.peers.port import SHELL

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def own(roots: Iterable[int]) -> list[int]:
    """These processes and all below them, down to the shells."""
    found = []
    left = list(roots)
    while left:
        pid = left.pop()
        try:
            if Path(f"/proc/{pid}/comm").read_text().strip() == SHELL[0]:
                continue
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
            left += [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except FileNotFoundError:
            continue
        found.append(pid)
    return found


def pss_kib(roots: Iterable[int]) -> int:
    """Memory, with a share of what is shared."""
    return sum(_pss_kib(pid) for pid in own(roots))


def cpu_s(roots: Iterable[int]) -> float:
    """User and system time so far."""
    return sum(_cpu_s(pid) for pid in own(roots))


def _pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
