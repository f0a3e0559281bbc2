"""How an agent in a container gets the socket that it listens on: handed over as it starts, and visible to nobody else.

The container sees one directory of the host, which it cannot write: the agent's code, and while it starts a socket by
which the server tells it what to do. What the agent listens on lies in the server's own directory. So no program in
the container can put a link or a socket where the server connects to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from wormux.errors import SandboxError
from wormux.limits import BOOT_ORDER_BYTES, DEATH_KNOWN_WITHIN_S, LINK_CONNECTIONS, WAKE_WITHIN_S
from wormux.sandbox.life import Life
from wormux.sandbox.zipapp import build

CODE = "agent.pyz"
SOCKET = "boot.sock"


class Boot:
    """The directory that a starting container sees. Entering it makes the socket, leaving it removes that."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def __enter__(self) -> Self:
        """Raises `OSError`."""
        try:
            self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._folder.chmod(
                0o755
            )  # whatever user the agent is; the directories above are the server's alone
            _write_code(self._folder)
            self._unlink()
            descriptor = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                # The name of a socket must be short, and the path of the directory need not be.
                self._socket.bind(f"/proc/self/fd/{descriptor}/{SOCKET}")
            finally:
                os.close(descriptor)
            (self._folder / SOCKET).chmod(0o666)
            self._socket.listen()
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        with contextlib.suppress(OSError):
            self._unlink()

    async def tell(self, life: Life, order: Mapping[str, object], listening: socket.socket) -> str:
        """Have the process behind `life` run the agent; what it answers: "ready", a sentence, or nothing if it ended.

        Raises `SandboxError` if it takes too long."""
        line = json.dumps(order).encode() + b"\n"
        telling = asyncio.create_task(self._tell(life.pid, line, listening))
        ending = asyncio.create_task(life.wait(WAKE_WITHIN_S))
        try:
            await asyncio.wait({telling, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not telling.done() and life.ended is None:
                raise SandboxError(f"The agent did not start within {WAKE_WITHIN_S:g} seconds.")
            await asyncio.wait({telling}, timeout=DEATH_KNOWN_WITHIN_S)  # its last words may just be coming
            return telling.result() if telling.done() else ""
        finally:
            for task in (telling, ending):
                task.cancel()
            await asyncio.gather(telling, ending, return_exceptions=True)

    async def _tell(self, pid: int, order: bytes, listening: socket.socket) -> str:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._socket)
            with connection:
                if peer_pid(connection) != pid:
                    continue  # Somebody else, who entered the container while it starts.
                with contextlib.suppress(OSError):  # It did not wait for an order: it says why.
                    socket.send_fds(connection, [order], [listening.fileno()])
                answer = b""
                with contextlib.suppress(OSError):
                    while not answer.endswith(b"\n") and len(answer) < BOOT_ORDER_BYTES:
                        part = await loop.sock_recv(connection, BOOT_ORDER_BYTES)
                        if not part:
                            break
                        answer += part
                return answer.decode(errors="replace").strip()

    def _unlink(self) -> None:
        (self._folder / SOCKET).unlink(missing_ok=True)


def listen_at(path: Path) -> socket.socket:
    """A listening socket of this name, for the server's user alone; one that was left there goes. Raises `OSError`."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        umask = os.umask(0o177)
        try:
            listening.bind(os.fsencode(path))
        finally:
            os.umask(umask)
        listening.listen(LINK_CONNECTIONS)
    except BaseException:
        listening.close()
        raise
    return listening


def peer_pid(connection: socket.socket) -> int:
    """The process at the other end, as the kernel numbers it for us; 0 if it does not."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", credentials)[0]
    return pid


def _write_code(folder: Path) -> None:
    """Put the agent there, of this server's version."""
    path = folder / CODE
    code = build()
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == code:
            return
    fresh = folder / f"{CODE}.new"
    fresh.unlink(missing_ok=True)
    with fresh.open("xb") as file:
        file.write(code)
        os.fchmod(file.fileno(), 0o644)
    fresh.replace(path)
