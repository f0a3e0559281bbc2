"""A server that speaks the Cloudflare Sandbox terminal WebSocket, with its faults, and with real shells behind it.

    async with CloudflareServer() as server:
        options = {"url": server.url}               for the provider `cloudflare`
        await server.sleep("box")                   its container sleeps: everything is gone
        server.drop()                               sockets break, shells live on
        server.deafen()                             nothing more arrives, and nothing sent is used
        server.refuse_status = 503                  every connect is answered so
        server.refuse_spawn = "no such shell"       an error, then 1011
        server.ready.clear()                        connects wait for `ready` until it is set again

Each path below `/sandbox/` is a container of its own, awake from the first connect on. It lives in the event loop of
whoever makes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

KEPT_BYTES = 262_144
"""Of each terminal's output."""
FRAME_BYTES = 16 * 1024 * 1024
"""A larger frame drops the connection."""
BEHIND_BYTES = 16 * 1024 * 1024
"""A reader that is so far behind goes deaf."""
_READ_BYTES = 65536
_CLOSED = 1011
_WITH_TERMINAL = 'exec "$@" <>"$0" >&0 2>&0'
"""The first terminal that a session's leader opens becomes its controlling terminal."""


@dataclass(frozen=True)
class Connect:
    """One request for a terminal."""

    sandbox: str
    session: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


class Link:
    """The server's end of one socket."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.is_deaf = False
        self._queue: deque[bytes | str] = deque()
        self._queued_bytes = 0
        self._has_queued = asyncio.Event()

    @property
    def behind(self) -> int:
        """Bytes that its reader has not taken."""
        return self._queued_bytes

    def send(self, message: bytes | str) -> None:
        if self.is_deaf:
            return
        self._queue.append(message)
        self._queued_bytes += len(message)
        self._has_queued.set()
        if self._queued_bytes > BEHIND_BYTES:
            self.deafen()

    def deafen(self) -> None:
        self.is_deaf = True
        self._queue.clear()

    async def send_all(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._has_queued.wait()
                while self._queue:
                    message = self._queue.popleft()
                    await self.socket.send(message)
                    self._queued_bytes -= len(message)
                self._has_queued.clear()

    def drop(self) -> None:
        """Break the connection, with no word."""
        self.socket.transport.abort()


class Pty:
    """One terminal, with a real shell. Raises `OSError` if that cannot be run."""

    def __init__(
        self, shell: Sequence[str], env: Mapping[str, str], size: tuple[int, int], *, controls: bool
    ) -> None:
        self.kept = bytearray()
        self.typed = bytearray()
        """All input that it got."""
        self.size = size
        self.links: list[Link] = []
        self._loop = asyncio.get_running_loop()
        self._master, slave = pty.openpty()
        self._unwritten = bytearray()
        os.set_blocking(self._master, False)
        self.resize(*size)
        command = ["/bin/sh", "-c", _WITH_TERMINAL, os.ttyname(slave), *shell] if controls else [*shell]
        try:
            if not os.access(shell[0], os.X_OK):
                raise FileNotFoundError(f"{shell[0]}: no such file or directory")
            self.process = subprocess.Popen(
                command,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env=dict(env),
                cwd="/",
                start_new_session=True,
            )
        except OSError:
            os.close(self._master)
            raise
        finally:
            os.close(slave)
        self._loop.add_reader(self._master, self._read)

    @property
    def has_exited(self) -> bool:
        return self.process.poll() is not None

    def write(self, data: bytes) -> None:
        self.typed += data
        self._unwritten += data
        self._write()

    def resize(self, cols: int, rows: int) -> None:
        self.size = (cols, rows)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def end(self) -> None:
        """Kill its shell."""
        if self._master >= 0:
            self._loop.remove_reader(self._master)
            self._loop.remove_writer(self._master)
            os.close(self._master)
            self._master = -1
        self.process.kill()
        self.process.wait()

    def _write(self) -> None:
        if self._master < 0:
            return
        with contextlib.suppress(BlockingIOError):
            while self._unwritten:
                del self._unwritten[: os.write(self._master, self._unwritten[:4096])]
        if self._unwritten:
            self._loop.add_writer(self._master, self._write)
        else:
            self._loop.remove_writer(self._master)

    def _read(self) -> None:
        try:
            data = os.read(self._master, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:  # the shell is gone; nobody is told
            self._loop.remove_reader(self._master)
            return
        self.emit(data)

    def emit(self, data: bytes) -> None:
        """As if it had written this."""
        self.kept += data
        del self.kept[:-KEPT_BYTES]
        for link in self.links:
            link.send(data)


@dataclass
class Container:
    """One sandbox that is awake."""

    ptys: dict[str, Pty] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    sleep_timer: asyncio.TimerHandle | None = None


class CloudflareServer:
    """See the module."""

    def __init__(
        self,
        *,
        shell: Sequence[str] = ("/bin/sh",),
        env: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        sleep_after_s: float | None = None,
        has_controlling_terminal: bool = True,
    ) -> None:
        """`headers` must come with each connect, or it is refused as what stands before a sandbox would. Without a
        controlling terminal, as in some versions, neither Ctrl-C nor job control works."""
        self.shell = tuple(shell)
        self.env = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "HOME": "/nonexistent", "PS1": "$ "}
        self.env |= env or {}
        self.headers = dict(headers or {})
        self.sleep_after_s = sleep_after_s
        self.has_controlling_terminal = has_controlling_terminal
        self.containers: dict[str, Container] = {}
        """Those that are awake."""
        self.connects: list[Connect] = []
        self.wakes = 0
        """How many containers were ever started."""
        self.dropped: list[bytes] = []
        """Input that came before `ready`, or on a deaf link."""
        self.refuse_status: int | None = None
        self.refuse_spawn: str | None = None
        self.ready = asyncio.Event()
        self.ready.set()
        self._server: Server | None = None
        self._sleeping: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, process_request=self._process_request, compression=None, max_size=None,
            ping_interval=None, close_timeout=1.0,
        )  # fmt: skip
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ready.set()
        for sandbox in tuple(self.containers):
            await self.sleep(sandbox)
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """The template for the provider's option `url`."""
        assert self._server is not None
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"ws://127.0.0.1:{port}/sandbox/{{sandbox}}/ws/pty?sessionId={{pane}}"

    def ptys(self) -> dict[str, Pty]:
        """All terminals by their session, of all containers."""
        return {
            session: pty for container in self.containers.values() for session, pty in container.ptys.items()
        }

    def links(self, session: str | None = None) -> list[Link]:
        """The open sockets of one terminal, or all."""
        return [link for name, pty in self.ptys().items() if session in (None, name) for link in pty.links]

    async def sleep(self, sandbox: str) -> None:
        """Its container stops: sockets close, and shells, files and kept output are gone."""
        container = self.containers.pop(sandbox, None)
        if container is None:
            return
        if container.sleep_timer is not None:
            container.sleep_timer.cancel()
        for terminal in container.ptys.values():
            terminal.links.clear()
            terminal.end()
        await asyncio.gather(*(link.socket.close(1001) for link in container.links))

    def drop(self, session: str | None = None) -> None:
        """Break the sockets of one terminal, or all."""
        for link in self.links(session):
            link.drop()

    def deafen(self, session: str | None = None) -> None:
        """As if their readers had fallen behind."""
        for link in self.links(session):
            link.deafen()

    # --- Connections ---------------------------------------------------------------------------------------------

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.refuse_status is not None:
            return connection.respond(HTTPStatus(self.refuse_status), "refused\n")
        if any(request.headers.get(name) != value for name, value in self.headers.items()):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "who are you?\n")
        parts = urlsplit(request.path).path.split("/")
        if len(parts) != 5 or parts[:2] != ["", "sandbox"] or parts[3:] != ["ws", "pty"]:
            return connection.respond(HTTPStatus.NOT_FOUND, "not here\n")
        if not parse_qs(urlsplit(request.path).query).get("sessionId"):
            return connection.respond(HTTPStatus.BAD_REQUEST, "sessionId is required\n")
        return None

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        address = urlsplit(socket.request.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        sandbox, session = address.path.split("/")[2], query["sessionId"]
        self.connects.append(Connect(sandbox, session, query, dict(socket.request.headers.raw_items())))
        container = self.containers.get(sandbox)
        if container is None:
            self.wakes += 1
            container = self.containers[sandbox] = Container()
        link = Link(socket)
        container.links.append(link)
        self._active(sandbox, container)
        sender = asyncio.create_task(link.send_all())
        terminal: Pty | None = None
        try:
            terminal = await self._open(container, link, session, query)
            if terminal is not None:
                await self._receive(sandbox, container, link, terminal)
        except ConnectionClosed:
            pass
        finally:
            sender.cancel()
            container.links.remove(link)
            if terminal is not None and link in terminal.links:
                terminal.links.remove(link)

    async def _open(
        self, container: Container, link: Link, session: str, query: Mapping[str, str]
    ) -> Pty | None:
        early = asyncio.create_task(self._drop_early(link))
        ready = asyncio.create_task(self.ready.wait())
        try:
            await asyncio.wait({early, ready}, return_when=asyncio.FIRST_COMPLETED)
            if early.done():
                await early  # the client has gone
        finally:
            for task in (early, ready):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                    await task
        if container not in self.containers.values():  # it sleeps already
            await link.socket.close(1001)
            return None
        terminal = container.ptys.get(session)
        if terminal is None:
            try:
                terminal = container.ptys[session] = self._spawn(query)
            except OSError as error:
                await link.socket.send(json.dumps({"type": "error", "message": str(error)}))
                await link.socket.close(_CLOSED)
                return None
        if terminal.kept:
            link.send(bytes(terminal.kept))
        terminal.links.append(link)
        link.send('{"type":"ready"}')
        return terminal

    async def _drop_early(self, link: Link) -> None:
        while True:
            message = await link.socket.recv()
            if isinstance(message, bytes):
                self.dropped.append(message)

    def _spawn(self, query: Mapping[str, str]) -> Pty:
        if self.refuse_spawn is not None:
            raise OSError(self.refuse_spawn)
        try:
            size = (int(query["cols"]), int(query["rows"]))
        except (KeyError, ValueError):
            size = (80, 24)
        if not all(0 < length < 65536 for length in size):
            size = (80, 24)
        shell = (query["shell"],) if "shell" in query else self.shell
        return Pty(shell, self.env, size, controls=self.has_controlling_terminal)

    async def _receive(self, sandbox: str, container: Container, link: Link, terminal: Pty) -> None:
        async for message in link.socket:
            self._active(sandbox, container)
            if len(message) > FRAME_BYTES:
                link.drop()
            elif link.is_deaf:
                if isinstance(message, bytes):
                    self.dropped.append(message)
            elif isinstance(message, bytes):
                if terminal.has_exited:
                    await link.socket.close(_CLOSED)
                else:
                    terminal.write(message)
            else:
                self._control(link, terminal, message)

    def _control(self, link: Link, terminal: Pty, message: str) -> None:
        problem = "Invalid control message"
        try:
            control = json.loads(message)
            if control["type"] == "resize" and not terminal.has_exited:
                cols, rows = int(control["cols"]), int(control["rows"])
                if cols > 0 and rows > 0:
                    terminal.resize(cols, rows)
                    return
                problem = "Invalid dimensions: cols and rows must be positive"
        except (ValueError, KeyError, TypeError):
            pass  # as what stands there says
        link.send(json.dumps({"type": "error", "message": problem}))

    def _active(self, sandbox: str, container: Container) -> None:
        if container.sleep_timer is not None:
            container.sleep_timer.cancel()
        if self.sleep_after_s is not None:
            container.sleep_timer = asyncio.get_running_loop().call_later(
                self.sleep_after_s, self._sleep_soon, sandbox, container
            )

    def _sleep_soon(self, sandbox: str, container: Container) -> None:
        if self.containers.get(sandbox) is container:
            task = asyncio.create_task(self.sleep(sandbox))
            self._sleeping.add(task)
            task.add_done_callback(self._sleeping.discard)
