"""Runs the application under uvicorn, with the bounds that uvicorn itself does not have."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from wormux.config import Config
from wormux.errors import SetupError
from wormux.limits import (
    ACCEPT_BACKLOG,
    CONNECT_WITHIN_S,
    FRAME_BYTES,
    KERNEL_UNSENT_BYTES,
    PING_EVERY_S,
    PONG_WITHIN_S,
    REQUEST_HEAD_BYTES,
)
from wormux.server.app import Application

CLOSE_WITHIN_S = 1
"""After the drain, for requests under way and sockets whose clients take nothing more."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, made before anything else so that a taken port is found first. Raises `SetupError`."""
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise SetupError(f"The host {host} is not known: give an address of this machine.") from None
    family, _, _, _, address = infos[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            with suppress(OSError):
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, KERNEL_UNSENT_BYTES)
        listener.bind(address)
        listener.listen(ACCEPT_BACKLOG)
    except OSError as error:
        listener.close()
        raise SetupError(
            f"Cannot listen on {host} port {port}: {error.strerror}. "
            "Stop the program that does, or choose another with --port (0 takes a free one)."
        ) from error
    listener.setblocking(False)
    return listener


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP, for which neither the size of a request's head nor the time it takes has a bound."""

    _head_bytes = 0
    _in_head = True
    _head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_begins()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_whole()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > REQUEST_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_begins()

    def on_headers_complete(self) -> None:
        self._head_is_whole()
        super().on_headers_complete()

    def _head_begins(self) -> None:
        self._in_head = True
        if self._head_deadline is None:
            self._head_deadline = self.loop.call_later(CONNECT_WITHIN_S, self._head_is_late)

    def _head_is_whole(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _head_is_late(self) -> None:
        self._head_deadline = None
        if self._in_head:
            self.transport.close()


class Server(uvicorn.Server):
    """Stops our way: clients are told and everything is saved while their sockets still live."""

    def __init__(
        self, config: uvicorn.Config, application: Application, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._application = application
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await self._application.drain()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The first signal stops, a second one stops waiting. uvicorn would send itself the signal again."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


async def host(app: Starlette, config: Config, listener: socket.socket, on_ready: Callable[[], None]) -> int:
    """Serve until a signal comes; returns how many shells go on running. Raises `SetupError` and `StoreRefused`."""
    application: Application = app.state.wormux
    async with app.router.lifespan_context(app):
        server = Server(uvicorn_config(app, config), application, on_ready)
        await server.serve(sockets=[listener])
        return application.running().driver.live_terminals()


def uvicorn_config(app: Starlette, config: Config) -> uvicorn.Config:
    """The settings that `create_app` asks for; the lifespan is entered by `host`, so that its errors come out."""
    logging.getLogger("uvicorn").setLevel(
        logging.WARNING
    )  # at INFO it names addresses, at DEBUG it shows frames
    return uvicorn.Config(
        app,
        loop="none",
        http=BoundedHttp,
        ws="websockets-sansio",
        ws_max_size=FRAME_BYTES,
        ws_ping_interval=PING_EVERY_S,
        ws_ping_timeout=PONG_WITHIN_S,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=bool(config.public_urls),
        timeout_graceful_shutdown=CLOSE_WITHIN_S,
    )
