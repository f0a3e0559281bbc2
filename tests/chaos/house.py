"""Namespaces of a run's own, so that it can do to its machine what nobody else may notice (Linux).

In a house of its own, a run has its own mounts (a disk that gets full), its own loopback device (a link that goes
down) and its own processes: none outlives it, and what is left over is seen. Where no house can be made, the run does
without, and says which faults are missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

_HOUSED = "CHAOS_HOUSED"
_HOUSE = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_AS_NOBODY = ("--user", "--map-root-user")
_TRIAL = "ip link set lo up && mount -t tmpfs -o size=64k chaos /mnt"
_NEEDED = ("unshare", "ip", "mount", "umount")


def is_housed() -> bool:
    """This process stands in a house of its own."""
    return _HOUSED in os.environ


def why_none() -> str | None:
    """Why no house can be made here, if so."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} cannot be found"
    trial = subprocess.run(
        [*_house(), "sh", "-c", _TRIAL], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if trial.returncode != 0:
        return (trial.stderr.strip() or "no namespaces can be made").splitlines()[-1]
    return None


def enter(arguments: Sequence[str]) -> NoReturn:
    """Become a process in a new house that runs `arguments`."""
    sys.stdout.flush()
    os.environ[_HOUSED] = "1"
    command = [*_house(), *arguments]
    os.execvp(command[0], command)


def _house() -> list[str]:
    return [*_HOUSE, *(() if os.geteuid() == 0 else _AS_NOBODY)]


def live(work: Callable[[], int]) -> int:
    """Do it in a house, as the first process there: that inherits all orphans, and must see them off."""
    set_link(up=True)
    worker = os.fork()
    if worker == 0:
        try:
            status = work()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    while True:
        try:
            pid, status = os.wait()
        except KeyboardInterrupt:
            continue  # the worker got it as well, and says what there is to say
        if pid == worker:
            return os.waitstatus_to_exitcode(status) & 0xFF


def set_link(*, up: bool) -> None:
    """Of the house: its loopback device."""
    subprocess.run(["ip", "link", "set", "lo", "up" if up else "down"], check=True)


def others() -> list[str]:
    """The command lines of all processes in the house but this one and the first."""
    found = []
    for entry in sorted(Path("/proc").iterdir(), key=lambda path: path.name):
        if entry.name.isdigit() and int(entry.name) not in (1, os.getpid()):
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                state = (entry / "stat").read_bytes().rpartition(b")")[2].split()[0]
            except OSError:
                continue  # it has just ended
            if state != b"Z":
                found.append(f"{entry.name} {command}".strip())
    return found


def has_time() -> bool:
    """Processes can be given another monotonic clock."""
    trial = subprocess.run(
        ["unshare", "--time", "--monotonic", "1000", "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return trial.returncode == 0
