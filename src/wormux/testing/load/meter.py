"""What the kernel says of a server's processes: memory, descriptors, threads, computing. Linux alone says it all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wormux.sandbox.processes import parent, start_time
from wormux.testing.server_process import ServerProcess

KINDS = ("server", "screens", "agents", "shells")
"""The server's own process; those of its emulators; agents, the one that waits to be used included; and what they
started: shells and their programs."""
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
_PROC = Path("/proc")


@dataclass(frozen=True)
class Usage:
    """Of all processes of one kind."""

    processes: int = 0
    memory_kib: int = 0
    """Proportional set size: what several share is counted once. Where that may not be read, what is resident."""
    descriptors: int = 0
    threads: int = 0


class Meter:
    """Of one server."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._cpu: dict[tuple[int, str], tuple[str, float]] = {}
        """By pid and start: kind, and seconds at the last look. Processes that ended keep theirs."""
        self._shells: set[int] = set()
        """Children of agents, at the last look."""

    def usage(self) -> dict[str, Usage]:
        """By kind, now."""
        return {kind: _usage(pids) for kind, pids in self._pids().items()}

    def cpu_s(self) -> dict[str, float]:
        """Seconds of computing by kind since their start. What a process that ended did after the last look is not in
        it, so that this is asked every second. Programs count with the shell that waited for them."""
        for kind, pids in self._pids().items():
            for pid in pids:
                started, seconds = start_time(pid), _cpu_s(pid, with_children=kind == "shells")
                if started is not None and (kind != "shells" or pid in self._shells):
                    self._cpu[pid, started] = (kind, seconds)
        totals = dict.fromkeys(KINDS, 0.0)
        for kind, seconds in self._cpu.values():
            totals[kind] += seconds
        return totals

    def _pids(self) -> dict[str, list[int]]:
        server = self._server.pid
        children = _children()
        own = children.get(server, [])
        screens = [pid for pid in own if b"wormux.screen" in _command(pid)]
        agents = {*own, *(agent.pid for agent in self._server.agents())} - {*screens}
        self._shells = {pid for agent in agents for pid in children.get(agent, ())} - agents
        beneath = sorted(_beneath(agents, children) - agents)
        return {"server": [server], "screens": screens, "agents": sorted(agents), "shells": beneath}


def _children() -> dict[int, list[int]]:
    """By parent: all processes of the machine, in one pass."""
    children: dict[int, list[int]] = {}
    for name in os.listdir(_PROC):  # noqa: PTH208 -- every second, and a Path for each would be felt
        if name.isdigit():
            above = parent(int(name))
            if above is not None:
                children.setdefault(above, []).append(int(name))
    return children


def _beneath(pids: Iterable[int], children: Mapping[int, list[int]]) -> set[int]:
    found: set[int] = set()
    parents = [*pids]
    for pid in parents:
        found.update(children.get(pid, ()))
        parents.extend(children.get(pid, ()))
    return found


def size_bytes(folder: Path) -> int:
    """Of all files below."""
    return sum(_file_bytes(path) for path in folder.rglob("*"))


def _file_bytes(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0  # It was removed meanwhile.


def _usage(pids: list[int]) -> Usage:
    alive = [pid for pid in pids if start_time(pid) is not None]
    return Usage(
        processes=len(alive),
        memory_kib=sum(_memory_kib(pid) for pid in alive),
        descriptors=sum(_descriptors(pid) for pid in alive),
        threads=sum(_threads(pid) for pid in alive),
    )


def _memory_kib(pid: int) -> int:
    try:
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE_KIB
    except PermissionError:  # A process that lets nobody look into it, and we are not root.
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE_KIB
    except OSError:
        return 0  # It ended meanwhile.


def _descriptors(pid: int) -> int:
    """0 where that may not be read."""
    try:
        return sum(1 for _ in _listed(pid))
    except OSError:
        return 0


def _listed(pid: int) -> Iterator[os.DirEntry[str]]:
    with os.scandir(_PROC / str(pid) / "fd") as entries:
        yield from entries


def _threads(pid: int) -> int:
    try:
        return len(os.listdir(_PROC / str(pid) / "task"))  # noqa: PTH208 -- counted, never looked into
    except OSError:
        return 0


def _command(pid: int) -> bytes:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def _cpu_s(pid: int, *, with_children: bool) -> float:
    try:
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11 : 15 if with_children else 13])) / _TICKS_A_SECOND
