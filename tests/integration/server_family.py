"""The processes that make up a running server, and how much memory they take. Linux only."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from wormux.sandbox.processes import descendants
from wormux.testing.server_process import ServerProcess

_WORKER = b"wormux.screen.worker"


def screen_workers(server: ServerProcess) -> list[int]:
    """The pids of the processes that run the emulator."""
    return [pid for pid in descendants(server.pid) if _WORKER in _command(pid)]


def kill_screen_workers(server: ServerProcess) -> None:
    """All of them, as a crash of the emulator does."""
    for pid in screen_workers(server):
        os.kill(pid, signal.SIGKILL)


def restart_peaks(*pids: int) -> None:
    """The peak of each is from now on what it takes now."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_bytes(*pids: int) -> int:
    """The most that each has had resident, together."""
    return sum(_peak(pid) for pid in pids)


def _command(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []  # it has just ended


def _peak(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("The kernel does not say how much memory a process had.")
