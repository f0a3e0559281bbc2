"""The lock that keeps a second server off a data directory.

The kernel holds it (flock), so that it ends with the process however that ends; what stands in the file only says
to others who holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from wormux.errors import SetupError

_NAME = "wormux.lock"
_TRIES = 5
_TRY_EVERY_S = 0.02
"""`running_server` holds the lock for an instant while it looks; a server that starts just then tries again."""


@dataclass(frozen=True)
class RunningServer:
    """The server that holds a data directory."""

    pid: int | None
    """None where its file could not be read."""
    address: str | None
    """None while it is not listening yet."""

    def __str__(self) -> str:
        where = self.address or "still starting"
        return where if self.pid is None else f"{where} (process {self.pid})"


class DataDirLock:
    """Held from `acquire` to `release` or the end of the process."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._fd: int | None = None

    def acquire(self) -> None:
        """Raises `SetupError`, with the other server's address if there is one."""
        path = self._data_dir / _NAME
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SetupError(f"The lock file {path} cannot be opened: {error.strerror}.") from error
        try:
            self._lock(fd)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        self._write(address=None)

    def set_address(self, address: str) -> None:
        """Say where the server listens, for those whom the lock turns away."""
        self._write(address)

    def release(self) -> None:
        """Nothing to do if it is not held."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def _lock(self, fd: int) -> None:
        for tries_left in reversed(range(_TRIES)):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if tries_left == 0:
                    raise SetupError(
                        f"Another Wormux server uses this data directory: {_read(fd)}. "
                        "Stop it first, or choose another --data-dir."
                    ) from None
                time.sleep(_TRY_EVERY_S)
            except OSError as error:
                raise SetupError(
                    f"The data directory {self._data_dir} cannot be locked: {error.strerror}. "
                    "Choose another --data-dir, on a local disk."
                ) from error
            else:
                return

    def _write(self, address: str | None) -> None:
        assert self._fd is not None, "the lock is not held"
        text = json.dumps({"pid": os.getpid(), "address": address}).encode()
        try:
            os.pwrite(self._fd, text, 0)
            os.ftruncate(self._fd, len(text))
        except OSError as error:
            raise SetupError(
                f"The data directory {self._data_dir} cannot be written: {error.strerror}."
            ) from error


def running_server(data_dir: Path) -> RunningServer | None:
    """Who holds the lock, if anyone does."""
    try:
        fd = os.open(data_dir / _NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(fd)
    except OSError:
        return None
    else:
        return None
    finally:
        os.close(fd)


def _read(fd: int) -> RunningServer:
    try:
        value = json.loads(os.pread(fd, 4096, 0))
        pid, address = value["pid"], value["address"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return RunningServer(None, None)
    return RunningServer(pid if isinstance(pid, int) else None, address if isinstance(address, str) else None)
