"""What uvicorn has no bounds for: connections of strangers, their requests' heads, and WebSockets that do not end."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from weakref import WeakKeyDictionary

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.http11 import Request

from wormux.limits import (
    CONNECT_WITHIN_S,
    PIPELINED_REQUESTS,
    REQUEST_HEAD_BYTES,
    REQUEST_HEADERS,
    SOCKET_CLOSES_WITHIN_S,
    STRANGERS,
)
from wormux.server.http import ADMITTED


class Strangers:
    """Connections on which nobody was let in. Anybody may open one, and keep it without a word or without reading: so
    the one that was quiet longest goes when there are too many. A page loads faster than so many can be opened."""

    def __init__(self) -> None:
        self._transports: dict[asyncio.BaseTransport, None] = {}

    def add(self, transport: asyncio.Transport) -> None:
        if len(self._transports) >= STRANGERS:
            quietest = next(iter(self._transports))
            del self._transports[quietest]
            cast(asyncio.Transport, quietest).abort()
        self._transports[transport] = None

    def asks(self, transport: asyncio.BaseTransport) -> None:
        """A whole request came."""
        if transport in self._transports:
            del self._transports[transport]
            self._transports[transport] = None

    def remove(self, transport: asyncio.BaseTransport) -> None:
        """It is closed, or somebody was let in."""
        self._transports.pop(transport, None)


_strangers: WeakKeyDictionary[ServerState, Strangers] = WeakKeyDictionary()


def _strangers_of(server: ServerState) -> Strangers:
    if server not in _strangers:
        _strangers[server] = Strangers()
    return _strangers[server]


class _Refused(Exception):
    """Stops the parser: what follows is not looked at."""


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP, which bounds neither how many connections there are, nor the size of a request's head, nor the
    time that it takes, nor how many requests may wait in a line. Bodies are not read: a connection ends with them."""

    _head_bytes = 0
    """Received since the last whole head."""
    _parsed_bytes = 0
    """Of the head that is just read."""
    _in_head = True
    _head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._strangers = _strangers_of(self.server_state)
        self._strangers.add(transport)
        self._head_begins()

    def connection_lost(self, exc: Exception | None) -> None:
        self._strangers.remove(self.transport)
        self._head_is_whole()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > REQUEST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()

    def send_400_response(self, msg: str) -> None:
        if self._head_is_too_large():
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        self._parsed_bytes = 0
        super().on_message_begin()
        self._head_begins()

    def on_url(self, url: bytes) -> None:
        self._parsed_bytes += len(url)
        super().on_url(url)
        self._check_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._parsed_bytes += len(name) + len(value)
        super().on_header(name, value)
        self._check_head()

    def on_headers_complete(self) -> None:
        self._head_is_whole()
        if not self.url.startswith(b"/"):  # it names a host of its own, beside that of its header
            raise _Refused
        self._strangers.asks(self.transport)
        super().on_headers_complete()
        if self.parser.should_upgrade() and self._should_upgrade():
            return  # to a WebSocket
        names = {name for name, _ in self.headers}
        if names & {b"content-length", b"transfer-encoding", b"upgrade"}:
            self.cycle.keep_alive = False

    def _check_head(self) -> None:
        if self._head_is_too_large():
            raise _Refused

    def _head_is_too_large(self) -> bool:
        return (
            self._parsed_bytes > REQUEST_HEAD_BYTES
            or len(self.headers or ()) > REQUEST_HEADERS
            or len(self.pipeline) > PIPELINED_REQUESTS
        )

    def _refuse_head(self) -> None:
        self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
        self.transport.close()

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


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSockets, for which neither a handshake that fails nor a client that takes nothing any more ever
    comes to its end."""

    _end: asyncio.TimerHandle | None = None

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._strangers = _strangers_of(server_state)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            why = b"".join(self.conn.data_to_send())  # empty, if there is nothing to be said
            self.transport.write(why)
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:
            extensions = cast(dict[str, object], self.scope["extensions"])
            extensions[ADMITTED] = lambda: self._strangers.remove(self.transport)

    async def run_asgi(self) -> None:
        await super().run_asgi()
        if not self.disconnected:
            self._end = self.loop.call_later(SOCKET_CLOSES_WITHIN_S, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._strangers.remove(self.transport)
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)
