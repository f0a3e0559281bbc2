"""Runs the application under uvicorn, with the bounds that uvicorn itself does not have."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette

from wormux.config import Config
from wormux.errors import SetupError
from wormux.limits import ACCEPT_BACKLOG, FRAME_BYTES, KERNEL_UNSENT_BYTES, PING_EVERY_S, PONG_WITHIN_S
from wormux.server.app import Application, local_url
from wormux.server.bounded import BoundedHttp, BoundedWebSocket
from wormux.server.logs import fields
from wormux.server.notify import Notifier
from wormux.version import __version__

logger = logging.getLogger(__name__)

CLOSE_WITHIN_S = 1
"""After the drain, for requests under way and for sockets to take what is left."""
_LOOK_EVERY_S = 0.02


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


class Server(uvicorn.Server):
    """Stops our way: clients are told and everything is saved while their sockets still live."""

    def __init__(
        self,
        config: uvicorn.Config,
        application: Application,
        on_ready: Callable[[], None],
        notifier: Notifier | None = None,
    ) -> None:
        super().__init__(config)
        self._application = application
        self._on_ready = on_ready
        self._notifier = notifier or Notifier(None)
        self._hurry = asyncio.Event()
        """Nobody wants to wait any more."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """First the server is not ready any more, but says so to whoever asks; then clients are told, and everything is
        saved; then nobody gets in."""
        self._notifier.stopping()
        began_s = time.monotonic()
        if await self._unless_hurried(self._application.drain()):
            logger.info("All clients were told, everything is saved.", extra=fields(took_s=_since(began_s)))
            for server in self.servers:
                server.close()
            for connection in tuple(self.server_state.connections):
                connection.shutdown()
            await self._unless_hurried(self._connections_gone())
        for connection in tuple(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await super().shutdown(sockets)

    async def _unless_hurried(self, work: Coroutine[Any, Any, bool]) -> bool:
        """Whether it came to a good end."""
        working, hurried = asyncio.create_task(work), asyncio.create_task(self._hurry.wait())
        await asyncio.wait({working, hurried}, return_when=asyncio.FIRST_COMPLETED)
        for task in (working, hurried):
            task.cancel()
        outcome, _ = await asyncio.gather(working, hurried, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome is True

    async def _connections_gone(self) -> bool:
        for _ in range(round(CLOSE_WITHIN_S / _LOOK_EVERY_S)):
            if not self.server_state.connections:
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        return not self.server_state.connections

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal stops, a second one stops waiting."""
        told = fields(signal=signal.Signals(sig).name)
        if not self.should_exit:
            logger.info("Stopping.", extra=told)
            self.should_exit = True
            return
        if not self._hurry.is_set():
            logger.warning("Stopping without waiting for clients and saves.", extra=told)
        self.force_exit = True
        self._hurry.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn would send itself the signal again when it is done."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


async def host(
    app: Starlette,
    config: Config,
    listener: socket.socket,
    on_ready: Callable[[], None],
    notifier: Notifier | None = None,
) -> int:
    """Serve until a signal comes; returns how many shells go on running. Raises `SetupError` and `StoreRefused`."""
    application: Application = app.state.wormux
    notifier = notifier or Notifier(None)
    async with app.router.lifespan_context(app):
        running = application.running()
        running.telemetry.on_probe = notifier.alive

        def ready() -> None:
            on_ready()
            notifier.ready("Serving.")
            about = fields(version=__version__, pid=os.getpid(), address=local_url(config.host, config.port))
            logger.info("Serving.", extra=about)

        server = Server(uvicorn_config(app, config), application, ready, notifier)
        await server.serve(sockets=[listener])
        shells = running.driver.live_terminals()
    logger.info("Stopped.", extra=fields(shells=shells))
    return shells


def _since(began_s: float) -> float:
    return round(time.monotonic() - began_s, 3)


def uvicorn_config(app: Starlette, config: Config) -> uvicorn.Config:
    """The settings that `create_app` asks for; the lifespan is entered by `host`, so that its errors come out."""
    # At INFO it names addresses, at DEBUG it shows frames; what it warns of is what strangers may send without end.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    return uvicorn.Config(
        app,
        loop="none",
        http=BoundedHttp,
        ws=BoundedWebSocket,
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
