"""One worker process, as the server sees it: frames out, frames in, and how it died. Knows no screen's owner."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from wormux.protocol.screen_link import ScreenEvent, decode_event
from wormux.screen.frames import FrameBuffer

_KEPT_VARIABLES = ("DYLD_", "LANG", "LC_", "LD_", "PYTHONHOME")
"""How the names of variables begin that Python and its libraries may need to load. A worker gets no others."""
_ENDS_WITHIN_S = 1.0
"""An interpreter that ends closes its link a moment before: how it ended is worth the wait."""
_PAGE = struct.Struct("=Q")


@dataclass(frozen=True)
class WorkerCommand:
    """How a worker is started."""

    python: str
    opener: str
    """As `module:name`."""
    memory_bytes: int
    """What its screens may take."""


@dataclass(frozen=True)
class Death:
    """How a worker ended."""

    sentence: str
    screen: int
    """The number of the one that it was working for, 0 if none."""
    was_killed: bool
    """By SIGKILL, which may have been anybody; else by its own fault, or that of what it worked for."""


class WorkerProcess(asyncio.BufferedProtocol):
    """One process from before its start until it is reaped. Callbacks come from the event loop alone."""

    def __init__(
        self,
        command: WorkerCommand,
        delay_s: float,
        on_event: Callable[[int, ScreenEvent], bool],
        on_death: Callable[[Death], None],
    ) -> None:
        """Starts after `delay_s`; what is sent before goes first. `on_event` says whether an event made sense; if not,
        the worker is ended. `on_death` is called once, as the last callback, unless it was closed."""
        self.is_over = False
        """It takes nothing any more; `on_death` comes, or came."""
        self.pid: int | None = None
        self._on_event = on_event
        self._fault: str | None = None
        """What it said that it must not say."""
        self._frames = FrameBuffer()
        self._transport: asyncio.Transport | None = None
        self._waiting: list[bytes] = []
        self._closing = asyncio.Event()
        self._lost = asyncio.Event()
        self._life = asyncio.get_running_loop().create_task(self._live(command, delay_s, on_death))

    @property
    def unsent_bytes(self) -> int:
        """What it was told and the kernel has not taken."""
        if self._transport is not None:
            return self._transport.get_write_buffer_size()
        return sum(map(len, self._waiting))

    def send(self, frame: bytes) -> None:
        """Nothing happens once it is over."""
        if self.is_over:
            return
        if self._transport is None:
            self._waiting.append(frame)
        elif not self._transport.is_closing():  # uvloop raises then, asyncio does not
            self._transport.write(frame)

    async def aclose(self) -> None:
        """End it, and wait until it is reaped. Nothing is called back any more."""
        self.is_over = True
        self._closing.set()
        if self._transport is not None:
            self._transport.abort()
        await self._life

    async def _live(self, command: WorkerCommand, delay_s: float, on_death: Callable[[Death], None]) -> None:
        if delay_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._closing.wait()
        if self._closing.is_set():
            return
        try:
            process, ours, page = _start(command)
        except OSError as error:
            self._over()
            if not self._closing.is_set():
                on_death(Death(f"No worker can be started ({error.strerror}).", 0, was_killed=False))
            return
        self.pid = process.pid
        try:
            await self._connect(ours)
            await self._lost.wait()
            if self._fault is None and not self._closing.is_set():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    await asyncio.to_thread(process.wait, _ENDS_WITHIN_S)
        finally:
            process.kill()  # if it lives on, it is to blame, or not wanted any more
        status = await asyncio.to_thread(process.wait)
        noted = os.pread(page, _PAGE.size, 0)
        os.close(page)
        if not self._closing.is_set():
            screen = _PAGE.unpack(noted)[0] if len(noted) == _PAGE.size else 0
            was_killed = self._fault is None and status == -signal.SIGKILL
            on_death(Death(self._fault or _sentence(status), screen, was_killed=was_killed))

    async def _connect(self, ours: socket.socket) -> None:
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        # Nothing may be done to the transport before this returns, not even in `connection_made`: uvloop 0.23
        # then closes the socket's descriptor once more later, when it may be another file's.
        try:
            self._transport, _ = await loop.create_unix_connection(lambda: self, sock=ours)
        except OSError as error:
            ours.close()
            self.connection_lost(error)
            return
        if self._closing.is_set():
            self._transport.abort()
        elif self._waiting and not self._transport.is_closing():
            self._transport.write(b"".join(self._waiting))
        self._waiting.clear()

    def _over(self) -> None:
        self.is_over = True
        self._waiting.clear()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._frames.space()

    def buffer_updated(self, count: int) -> None:
        payloads = self._frames.took(count)
        while not self.is_over:
            try:
                payload = next(payloads, None)
                if payload is None:
                    return
                number, event = decode_event(payload)
            except (msgspec.DecodeError, ValueError):
                self._distrust()
                return
            if not self._on_event(number, event):
                self._distrust()

    def _distrust(self) -> None:
        self._fault = "The screen's worker said what no worker says."
        self._over()
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._over()
        self._lost.set()


def _start(command: WorkerCommand) -> tuple[subprocess.Popen[bytes], socket.socket, int]:
    """A worker, this end of its link, and the page that it writes. That is read as a file: memory that the worker can
    take away would kill the server. Raises `OSError`."""
    with contextlib.ExitStack() as on_failure:
        ours, theirs = socket.socketpair()
        on_failure.callback(ours.close)
        with theirs:
            page = page_file()
            on_failure.callback(os.close, page)
            process = spawn(command, theirs.fileno(), page)
        on_failure.pop_all()
    return process, ours, page


def page_file() -> int:
    """A new page that two processes can share; the caller closes the descriptor."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("wormux-screen-worker")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, mmap.PAGESIZE)
    return descriptor


def spawn(command: WorkerCommand, link: int, page: int) -> subprocess.Popen[bytes]:
    """Start a worker with these descriptors, in a session of its own, so that no key at the server's terminal reaches
    it. It finds modules where this process does, however that came about. Raises `OSError`."""
    env = {name: value for name, value in os.environ.items() if name.startswith(_KEPT_VARIABLES)}
    here = str(Path(__file__).parents[2])
    env["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*map(os.path.abspath, sys.path), here]))
    arguments = [str(link), str(page), command.opener, str(command.memory_bytes)]
    return subprocess.Popen(
        [command.python, "-P", "-S", "-m", "wormux.screen.worker", *arguments],
        env=env,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(link, page),
        start_new_session=True,
    )


def _sentence(status: int) -> str:
    if status >= 0:
        return f"The screen's worker ended with status {status}."
    try:
        return f"The screen's worker was killed by {signal.Signals(-status).name}."
    except ValueError:
        return f"The screen's worker was killed by signal {-status}."
