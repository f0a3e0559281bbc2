"""The plain baseline: a program on a PTY of our own, read without anything in between."""

from __future__ import annotations

import contextlib
import os
import pty
import time
from collections.abc import Iterator

READ_BYTES = 64 * 1024


@contextlib.contextmanager
def on_pty(argv: list[str]) -> Iterator[int]:
    """The master side of a PTY on which `argv` runs; the program is ended at the end."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, {**os.environ, "TERM": "xterm-256color"})
    try:
        yield master
    finally:
        os.close(master)
        os.waitpid(pid, 0)


def drain(argv: list[str]) -> tuple[int, float]:
    """Bytes and seconds for all that `argv` writes, by the shortest loop there is: read, count, drop."""
    with on_pty(argv) as master:
        started = time.perf_counter()
        total = 0
        while True:
            try:
                count = len(os.read(master, READ_BYTES))
            except OSError:  # EIO: the other side is closed
                break
            if count == 0:
                break
            total += count
        return total, time.perf_counter() - started


def read_until(master: int, wanted: bytes, seen: bytes = b"") -> bytes:
    """Read up to and with `wanted`; gives what came behind it."""
    while wanted not in seen:
        seen += os.read(master, READ_BYTES)
    return seen.split(wanted, 1)[1]
