"""What processes have open: counted, and taken hold of from outside (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PIDFD_GETFD = 438
"""The system call's number, the same on all machines."""
_MOST = 1 << 16


def descriptors(pid: int) -> list[int]:
    """The numbers of those that the process has open. Raises `OSError` if there is no such process."""
    return [int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()]


def lowest_free(pid: int) -> int:
    """The number that the process's next one would have."""
    taken = set(descriptors(pid))
    return next(number for number in range(_MOST) if number not in taken)


def why_not_taken() -> str | None:
    """Why no descriptor of another process can be had here, if so."""
    ours, theirs = socket.socketpair()
    with ours, theirs, _process(os.getpid()) as process:
        try:
            os.close(_take(process, ours.fileno()))
        except OSError as error:
            return f"needs pidfd_getfd: {error.strerror}"
    return None


def unix_links(pid: int, folder: Path) -> Iterator[socket.socket]:
    """The process's own connections to sockets that lie in this folder, oldest first; each is the caller's to close."""
    with contextlib.suppress(OSError), _process(pid) as process:
        for number in sorted(descriptors(pid)):
            if (link := _as_link(process, number, folder)) is not None:
                yield link


@contextmanager
def _process(pid: int) -> Iterator[int]:
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _as_link(process: int, number: int, folder: Path) -> socket.socket | None:
    try:
        descriptor = _take(process, number)
    except OSError:
        return None  # it was closed meanwhile
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    taken = socket.socket(fileno=descriptor)
    try:
        if taken.family == socket.AF_UNIX and Path(os.fsdecode(taken.getpeername())).parent == folder:
            return taken
    except OSError:
        pass  # it is not connected
    taken.close()
    return None


def _take(process: int, number: int) -> int:
    taken = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, process, number, 0)
    if taken < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return int(taken)
