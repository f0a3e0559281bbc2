"""One WebSocket to one terminal of a Cloudflare sandbox: what is said on it, and how it ends, in plain terms.

It is always read: a reader that falls behind goes deaf. Nothing of its address and headers is logged or told.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from socket import gaierror
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidProxy, InvalidStatus, InvalidURI

from wormux.errors import SandboxError
from wormux.limits import (
    CLOUDFLARE_FRAME_BYTES,
    CLOUDFLARE_MESSAGE_CHARS,
    CLOUDFLARE_PONG_WITHIN_S,
    OPEN_WITHIN_S,
    PING_EVERY_S,
    WAKE_WITHIN_S,
)
from wormux.sandbox.cloudflare_options import CloudflareOptions

_STATUS_SENTENCES = {
    400: "does not understand the request; check the url",
    401: "refuses our credentials",
    403: "refuses our credentials",
    404: "is not at this address; check the url",
    426: "is not a WebSocket server; check the url",
    429: "takes no more requests for now",
}
_mute = logging.getLogger("wormux.sandbox.cloudflare_socket.mute")
"""The library's own log would name addresses and headers."""
_mute.disabled = True


class Unreachable(SandboxError):
    """There is no terminal behind the address for now. `is_answer`: the sandbox, or what stands before it, said so."""

    def __init__(self, sentence: str, *, is_answer: bool) -> None:
        super().__init__(sentence)
        self.is_answer = is_answer


@dataclass(frozen=True)
class Closed:
    """How a socket ended."""

    code: int | None
    """As the other side said it; None: it said nothing."""
    message: str
    """The last `error` that it sent; empty if none."""


class _Connect(connect):
    """Goes where it was told to, and nowhere else: a redirect would carry our headers."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class PtySocket:
    """Made by `open`, with the output that was kept."""

    def __init__(self, connection: ClientConnection, kept: bytes) -> None:
        self.kept = kept
        """What the sandbox had kept when it was connected."""
        self._connection = connection
        self._message = ""

    @classmethod
    async def open(
        cls, options: CloudflareOptions, sandbox: str, session: str, cols: int, rows: int, shell: str | None
    ) -> PtySocket:
        """Connect and wait until input is taken. Raises `Unreachable`."""
        url = options.address(sandbox, session, cols, rows, shell)
        try:
            connection = await _Connect(
                url,
                additional_headers=dict(options.headers),
                proxy=None if options.is_loopback else True,
                compression=None,
                max_size=CLOUDFLARE_FRAME_BYTES,
                open_timeout=WAKE_WITHIN_S,
                close_timeout=1.0,
                ping_interval=PING_EVERY_S,
                ping_timeout=PING_EVERY_S,
                logger=_mute,
            )
        except Exception as error:
            raise _unreachable(error, urlsplit(url).hostname or "") from None
        try:
            async with asyncio.timeout(OPEN_WITHIN_S):
                return await cls._ready(connection)
        except TimeoutError:
            connection.transport.abort()
            sentence = f"The Cloudflare sandbox did not get ready within {OPEN_WITHIN_S:g} seconds."
            raise Unreachable(sentence, is_answer=False) from None
        except BaseException:
            connection.transport.abort()
            raise

    @classmethod
    async def _ready(cls, connection: ClientConnection) -> PtySocket:
        socket = cls(connection, b"")
        kept = bytearray()
        try:
            while True:
                message = await connection.recv()
                if isinstance(message, bytes):
                    kept += message
                    if len(kept) > CLOUDFLARE_FRAME_BYTES:
                        raise Unreachable("The Cloudflare sandbox sends more than it may.", is_answer=True)
                elif socket._is_ready(message):
                    socket.kept = bytes(kept)
                    return socket
        except ConnectionClosed as error:
            closed = socket._closed(error)
            if closed.message:
                raise Unreachable(f"The Cloudflare sandbox says: {closed.message}", is_answer=True) from None
            raise Unreachable(
                "The Cloudflare sandbox closed the connection before it was ready.", is_answer=False
            ) from None

    async def read(self, output: Callable[[bytes], None]) -> Closed:
        """Until it ends."""
        try:
            while True:
                message = await self._connection.recv()
                if isinstance(message, bytes):
                    output(message)
                else:
                    self._is_ready(message)
        except ConnectionClosed as error:
            return self._closed(error)

    async def send(self, data: bytes) -> None:
        """Nothing happens once it is over: `read` says so."""
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(data)

    async def resize(self, cols: int, rows: int) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(json.dumps({"type": "resize", "cols": cols, "rows": rows}))

    async def answers(self) -> bool:
        """Whether all that was sent has reached the other end of this connection."""
        try:
            async with asyncio.timeout(CLOUDFLARE_PONG_WITHIN_S):
                await (await self._connection.ping())
        except (TimeoutError, ConnectionClosed):
            return False
        return True

    def close(self) -> None:
        """At once. Whoever reads it hears nothing more if its task is cancelled before."""
        self._connection.transport.abort()

    async def finish(self) -> None:
        """With what was sent still going out."""
        await self._connection.close()

    def _is_ready(self, message: str) -> bool:
        """What a text says; it may be anything."""
        try:
            said = json.loads(message)
        except (ValueError, RecursionError):
            return False
        if not isinstance(said, dict):
            return False
        if said.get("type") == "error":
            self._message = presentable(said.get("message"))
        return said.get("type") == "ready"

    def _closed(self, error: ConnectionClosed) -> Closed:
        return Closed(error.rcvd.code if error.rcvd is not None else None, self._message)


def presentable(message: object) -> str:
    """Fit to be shown: one short line."""
    text = message if isinstance(message, str) else "an error without a message"
    text = "".join(char if char.isprintable() else " " for char in text[: 4 * CLOUDFLARE_MESSAGE_CHARS])
    return " ".join(text.split())[:CLOUDFLARE_MESSAGE_CHARS]


def _unreachable(error: Exception, host: str) -> Unreachable:
    """`host` alone of the address is no secret."""
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        what = _STATUS_SENTENCES.get(status)
        if what is None:
            what = "cannot start a terminal for now" if status >= 500 else "does not open a terminal"
        return Unreachable(f"The Cloudflare sandbox {what} (status {status}).", is_answer=True)
    if isinstance(error, TimeoutError):
        return Unreachable(
            f"The Cloudflare sandbox did not answer within {WAKE_WITHIN_S:g} seconds.", is_answer=False
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreachable(f"{host} shows a certificate that is not trusted.", is_answer=False)
    if isinstance(error, ssl.SSLError):
        return Unreachable(f"No encrypted connection to {host} comes about.", is_answer=False)
    if isinstance(error, InvalidProxy):
        return Unreachable("The proxy that the environment names cannot be used.", is_answer=False)
    if isinstance(error, ConnectionError) and error.errno is None:  # as where TLS meets a server without it
        return Unreachable(f"{host} breaks the connection off before it stands.", is_answer=False)
    if isinstance(error, OSError):
        if error.errno is None or isinstance(error, gaierror):
            return Unreachable(
                f"The name or address {host} of the Cloudflare sandbox cannot be reached.", is_answer=False
            )
        return Unreachable(f"{host} cannot be reached: {_why(error)}.", is_answer=False)
    if isinstance(error, InvalidHandshake | InvalidURI | EOFError | ConnectionClosed):
        return Unreachable(f"{host} does not answer as a Cloudflare sandbox does.", is_answer=False)
    return Unreachable(f"The connection to {host} fails ({type(error).__name__}).", is_answer=False)


def _why(error: OSError) -> str:
    """Without the address that asyncio puts into it."""
    return os.strerror(error.errno) if error.errno is not None and error.errno > 0 else "it does not answer"
