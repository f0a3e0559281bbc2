"""What every measured system has: a server with terminals, and clients that are attached to them.

A client here is the least that a page of that system must be: it speaks the protocol, acknowledges where the system
wants that, and gives the terminal's bytes. It draws nothing.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
COLS, ROWS = 80, 24
SHELL = ["bash", "--norc", "--noprofile"]
START_WITHIN_S = 30.0
READ_WITHIN_S = 30.0
_PROMPT = re.compile(rb"[$#] ")
QUIET_S = 0.3
"""A system that has sent nothing for this long has sent all."""


class NotKept(Exception):
    """The system has no such terminal any more: a later client gets a new shell."""


class Client(ABC):
    """Attached to one terminal."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Type."""

    @abstractmethod
    def read(self, within_s: float = READ_WITHIN_S) -> bytes | memoryview:
        """The next bytes of the terminal, valid until the next call. Raises `TimeoutError`."""

    @abstractmethod
    def close(self) -> None:
        """Go away without a word, as a lost network does."""

    def until(self, wanted: bytes, within_s: float = READ_WITHIN_S) -> int:
        """Read up to the piece that ends `wanted`: how many bytes that were."""
        ends_s = time.monotonic() + within_s
        total, tail = 0, b""
        overlap = len(wanted) - 1
        while wanted not in tail:
            piece = self.read(max(0.0, ends_s - time.monotonic()))
            total += len(piece)
            tail = tail[-overlap:] + bytes(piece[-4096:])
        return total

    def until_quiet(self, quiet_s: float = QUIET_S, within_s: float = READ_WITHIN_S) -> bytes:
        """All that comes until nothing more does."""
        ends_s = time.monotonic() + within_s
        got = bytearray()
        with contextlib.suppress(TimeoutError):
            while time.monotonic() < ends_s:
                got += self.read(quiet_s)
        return bytes(got)

    def until_prompt(self) -> None:
        """Until the shell reads: some systems lose what is typed earlier."""
        seen = b""
        while not _PROMPT.search(seen):
            seen = seen[-256:] + bytes(self.read())

    def run(self, command: str) -> None:
        """Have the shell run it."""
        self.send(command.encode() + b"\r")


class Server(ABC):
    """A running system, all of whose terminals run the program that it was started for."""

    @property
    @abstractmethod
    def roots(self) -> list[int]:
        """Processes that are its own, with all below them but the shells."""

    @abstractmethod
    def open(self, cols: int = COLS, rows: int = ROWS) -> Client:
        """A new terminal of this size, and a client of it."""

    def shell(self) -> Client:
        """A new terminal whose shell waits for a command."""
        client = self.open()
        client.until_prompt()
        return client

    def attach(self, terminal: Client, cols: int = COLS, rows: int = ROWS) -> Client:
        """Another client of that terminal. Raises `NotKept`."""
        raise NotKept

    def open_idle(self, count: int) -> list[Client]:
        """So many terminals more, with as many clients as a page of this system has."""
        return [self.open() for _ in range(count)]


class Peer(ABC):
    """A system that can be started here."""

    name: str
    has_neighbours = True
    """More than one terminal shares a server."""

    def missing(self) -> str | None:
        """Why it cannot be measured here, or None."""
        return None

    @abstractmethod
    def version(self) -> str:
        """Of the installed one."""

    @abstractmethod
    def serve(self, argv: list[str]) -> contextlib.AbstractContextManager[Server]:
        """Start it; its terminals run `argv`. All of it is ended afterwards."""


@contextlib.contextmanager
def process(command: list[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A server's process, ended at the end."""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running: subprocess.Popen[bytes] = subprocess.Popen(command, **{**quiet, **options})  # type: ignore[call-overload]
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(5)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def free_port() -> int:
    """A port that nobody had a moment ago, for systems that cannot choose one."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def wait_for_port(port: int, server: subprocess.Popen[bytes]) -> None:
    """Until it accepts connections."""
    ends_s = time.monotonic() + START_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > ends_s:
                raise RuntimeError(f"{server.args!r} does not come up.") from None
            time.sleep(0.02)
        else:
            return
