"""The other end of the links, played by the test."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from wormux.protocol.agent_link import (
    VERSION,
    FrameReader,
    Hello,
    Message,
    Opened,
    SizeMark,
    Welcome,
    encode,
)

_T = TypeVar("_T")
WITHIN_S = 10.0

WELCOME = Welcome(VERSION, os.getpid(), (), None)
OPENED = Opened(7, 0, 0, True, {}, (SizeMark(0, 80, 24),))


class Peer:
    """One connection, from the agent's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()
        self._received: list[Message] = []

    async def next(self, kind: type[_T]) -> _T:
        """What comes next, which is of this kind."""
        async with asyncio.timeout(WITHIN_S):
            while not self._received:
                data = await self._reader.read(65536)
                assert data, "the link was closed"
                self._received.extend(self._frames.feed(data))
        message = self._received.pop(0)
        assert isinstance(message, kind), message
        return message

    async def closed(self) -> list[Message]:
        """Until the server's end is closed; what came until then."""
        async with asyncio.timeout(WITHIN_S):
            while data := await self._read():
                self._received.extend(self._frames.feed(data))
        return self._received

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(65536)
        except ConnectionResetError:
            return b""

    def send(self, *messages: Message) -> None:
        self.send_bytes(b"".join(map(encode, messages)))

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    def say_no_more(self) -> None:
        """Close its own direction, after what was sent."""
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()

    async def wait_closed(self) -> None:
        with contextlib.suppress(OSError):
            async with asyncio.timeout(WITHIN_S):
                await self._writer.wait_closed()


class ScriptedAgent:
    """Accepts links at a path."""

    def __init__(self) -> None:
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()

    @classmethod
    @asynccontextmanager
    async def at(cls, path: Path, backlog: int = 100) -> AsyncIterator[ScriptedAgent]:
        agent = cls()
        all_peers: list[Peer] = []
        is_over = False

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = Peer(reader, writer)
            all_peers.append(peer)
            agent._peers.put_nowait(peer)
            if is_over:  # it was under way when the agent ended
                peer.close()

        server = await asyncio.start_unix_server(accept, path, backlog=backlog)
        try:
            yield agent
        finally:
            is_over = True
            server.close()
            await asyncio.sleep(0)  # those who were accepted already come to `accept`
            for peer in all_peers:
                peer.close()
                await peer.wait_closed()

    async def accept(self, role: str) -> Peer:
        """The next link, after its hello."""
        async with asyncio.timeout(WITHIN_S):
            peer = await self._peers.get()
        assert (await peer.next(Hello)).role == role
        return peer

    @property
    def waiting(self) -> int:
        """Links that were not accepted yet."""
        return self._peers.qsize()
