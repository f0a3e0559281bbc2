"""What the kernel says of processes by their number: since when they run, and whose children they are."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def start_time(pid: int) -> str | None:
    """Ticks from boot to its start, which tells it from a later process of the same number.

    None if there is none, or no way to know."""
    fields = _stat(pid)
    return fields[19] if fields is not None else None


def state(pid: int) -> str | None:
    """The kernel's letter for what it does: R runs, S sleeps, T stands still. None if there is none."""
    fields = _stat(pid)
    return fields[0] if fields is not None else None


def parent(pid: int) -> int | None:
    """Whose child it is; None if there is none of this number."""
    fields = _stat(pid)
    return int(fields[1]) if fields is not None else None


def descendants(pid: int) -> list[int]:
    """Its children, their children and so on, parents first; not those that have ended."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir(_PROC) if _PROC.is_dir() else ():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None and fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    parents = [pid]
    for parent in parents:
        parents.extend(children.get(parent, ()))
        found.extend(children.get(parent, ()))
    return found


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name: 0 is the state, 1 the parent, 19 the start time."""
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    return text.rpartition(b")")[2].decode().split()
