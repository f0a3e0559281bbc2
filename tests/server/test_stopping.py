"""A server that stops while a client takes nothing any more, on a real socket."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from pathlib import Path

import pytest

from tests.server.kit import TOKEN, WITHIN_S, World, make_world
from wormux.hub.effects import Effect, SendFrame
from wormux.hub.inputs import ClientConnected, ClientGone, Input
from wormux.limits import FRAME_BYTES
from wormux.server import app, websocket

DRAIN_S = 0.2


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(app, "DRAIN_S", DRAIN_S)
    monkeypatch.setattr(websocket, "DRAIN_S", DRAIN_S)
    world = make_world(tmp_path, port=0)

    def flood(event: Input) -> list[Effect]:
        if not isinstance(event, ClientConnected):
            return []
        return [SendFrame(event.connection_id, b"\0" * FRAME_BYTES, urgent=False)] * 16

    world.hub.react = flood
    return world


async def upgraded(world: World) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket of which nothing is read beyond the handshake."""
    port = world.config.port
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect(("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=4096)
    writer.write(
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
    )
    async with asyncio.timeout(WITHIN_S):
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def test_it_is_not_awaited_for_long_and_is_no_error(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.served():
        _, writer = await upgraded(world)
        await world.hub.got(ClientConnected)
        began_s = time.monotonic()
    took_s = time.monotonic() - began_s
    assert world.hub.all(ClientGone)
    assert took_s >= DRAIN_S
    assert "Stopping with 1 connections open" in caplog.text
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []
    writer.close()
