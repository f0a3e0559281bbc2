"""The limit: the program's PTY, read by the client itself."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
from collections.abc import Iterator

from bench.peers.port import COLS, READ_WITHIN_S, ROWS, Client, Peer, Server

_READ_BYTES = 64 * 1024


class _Terminal(Client):
    def __init__(self, argv: list[str], cols: int, rows: int) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, {**os.environ, "TERM": "xterm-256color"})
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", rows, cols, 0, 0))

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._master, data) :]

    def read(self, within_s: float = READ_WITHIN_S) -> bytes:
        if not select.select([self._master], [], [], within_s)[0]:
            raise TimeoutError
        return os.read(self._master, _READ_BYTES)

    def close(self) -> None:
        os.close(self._master)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class _Raw(Server):
    def __init__(self, argv: list[str]) -> None:
        self._argv = argv
        self.opened: list[_Terminal] = []

    @property
    def roots(self) -> list[int]:
        return []

    def open(self, cols: int = COLS, rows: int = ROWS) -> Client:
        terminal = _Terminal(self._argv, cols, rows)
        self.opened.append(terminal)
        return terminal


class Raw(Peer):
    name = "raw PTY"
    has_neighbours = False

    def version(self) -> str:
        return ""

    @contextlib.contextmanager
    def serve(self, argv: list[str]) -> Iterator[Server]:
        yield _Raw(argv)
