"""One connection to an agent's socket: messages out, messages in, and its end. Knows no message's meaning."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from wormux.errors import SandboxError
from wormux.limits import OPEN_WITHIN_S
from wormux.protocol.agent_link import Message, encode
from wormux.sandbox.frame_buffer import FrameBuffer

Dial = Callable[[socket.socket], None]
"""Connects a non-blocking unix socket to an agent, once. Raises `OSError`, and `SandboxError` with the reason if what
answers there is not the agent."""

_CONNECT_AGAIN_S = 0.01
"""A full backlog empties as fast as the agent accepts; the caller has a deadline."""


def dial_path(path: Path) -> Dial:
    """To the socket of this name, which only the server can have put there."""
    return lambda connection: connection.connect(str(path))


class Wire(asyncio.BufferedProtocol):
    """What is sent before it is connected goes first. Callbacks come from the event loop alone, never from inside a
    call; none comes after `abort`, `finish` or `linger`."""

    def __init__(
        self, dial: Dial, on_message: Callable[[Message], None], on_broken: Callable[[str | None], None]
    ) -> None:
        """`on_broken` gets a sentence where the peer or the message is to blame, and None if the link just ended.
        It comes once, as the last callback."""
        self._on_message: Callable[[Message], None] | None = on_message
        self._on_broken = on_broken
        self._frames = FrameBuffer()
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._closing = False
        self._deadline: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._peer_pid: int | None = None
        self._connecting = self._loop.create_task(self._connect(dial))

    @property
    def is_connected(self) -> bool:
        return self._transport is not None

    @property
    def is_over(self) -> bool:
        """Nothing comes any more, by whoever's doing."""
        return self._on_message is None

    @property
    def peer_pid(self) -> int | None:
        """The process that listens at the other end, as the kernel knows it."""
        return self._peer_pid

    def send(self, message: Message) -> None:
        """Nothing happens once the wire is over."""
        try:
            frame = encode(message)
        except ValueError as error:
            self._loop.call_soon(self._break, str(error))
            return
        if self._transport is not None:
            self._write(self._transport, frame)
        elif not self._connecting.done():
            self._unsent.append(frame)

    def hold(self, held: bool) -> None:
        """While held, nothing is read, not even the peer's end. For a wire that is connected."""
        transport = self._transport
        if transport is None or transport.is_closing() or held is not transport.is_reading():
            return
        if held:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def abort(self) -> None:
        """Drop it, with whatever was not sent."""
        self._on_message = None
        self._cancel_deadline()
        if self._transport is not None:
            self._transport.abort()
        else:
            self._connecting.cancel()
        self._unsent.clear()

    def finish(self) -> None:
        """Close it after all that was sent has been written."""
        self._leave()
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    def linger(self) -> None:
        """Leave the closing to the peer, which first acts on what was sent: a socket that is closed with unread
        bytes in it makes the peer's next write fail, and the peer may then read no further."""
        self._leave()

    def _leave(self) -> None:
        self._on_message = None
        if self._deadline is None:
            self._deadline = self._loop.call_later(OPEN_WITHIN_S, self.abort)

    async def _connect(self, dial: Dial) -> None:
        try:
            connection = await _connect_socket(dial)
            self._peer_pid = _peer_pid(connection)
            # Nothing may be done to the transport before this returns, not even in `connection_made`: uvloop 0.23
            # then closes the socket's descriptor once more later, when it may be another file's.
            transport, _ = await self._loop.create_unix_connection(lambda: self, sock=connection)
        except SandboxError as error:
            self._break(str(error))
            return
        except OSError:
            self._break(None)
            return
        self._transport = transport
        self._write(transport, b"".join(self._unsent))
        self._unsent.clear()
        if self._closing:
            transport.close()

    def _write(self, transport: asyncio.Transport, data: bytes) -> None:
        if not transport.is_closing():  # uvloop raises then, asyncio does not
            transport.write(data)

    def _break(self, sentence: str | None) -> None:
        if self._on_message is not None:
            self.abort()
            self._on_broken(sentence)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._frames.space()

    def buffer_updated(self, count: int) -> None:
        if self._on_message is None:
            return
        messages = self._frames.took(count)
        while self._on_message is not None:
            try:
                message = next(messages, None)
            except ValueError as error:
                self._break(str(error))
                return
            if message is None:
                return
            self._on_message(message)

    def connection_lost(self, error: Exception | None) -> None:
        self._cancel_deadline()
        self._break(None)


async def _connect_socket(dial: Dial) -> socket.socket:
    """A unix socket is connected at once or not at all. asyncio's own way takes a full backlog for a success."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        while True:
            try:
                dial(connection)
            except BlockingIOError:
                await asyncio.sleep(_CONNECT_AGAIN_S)
            else:
                return connection
    except BaseException:
        connection.close()
        raise


def _peer_pid(connection: socket.socket) -> int | None:
    if hasattr(socket, "SO_PEERCRED"):
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid: int = struct.unpack("3i", credentials)[0]
        return pid or None
    return None
