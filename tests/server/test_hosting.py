from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.server.kit import WITHIN_S, World, make_world
from wormux.errors import SetupError
from wormux.limits import REQUEST_HEAD_BYTES
from wormux.server import bounded
from wormux.server.hosting import listen


async def exchange(world: World, *pieces: bytes) -> bytes:
    """Send raw bytes, and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.config.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(WITHIN_S):
            return await reader.read()
    finally:
        writer.close()


def test_a_taken_port_is_said_in_one_sentence() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(
            SetupError, match=f"Cannot listen on 127.0.0.1 port {port}: Address already in use"
        ):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 300])
def test_an_unknown_host_is_said_in_one_sentence(host: str) -> None:
    with pytest.raises(SetupError, match="is not known"):
        listen(host, 0)


async def test_serves_without_naming_its_software(tmp_path: Path) -> None:
    async with make_world(tmp_path, port=0).served() as world:
        host = f"127.0.0.1:{world.config.port}".encode()
        answer = await exchange(
            world, b"GET /healthz HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
        )
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"server:" not in answer.lower()


@pytest.mark.parametrize(
    "endless", [b"x: " + b"y" * 1000 + b"\r\n", b"y" * 1000], ids=["headers", "one header"]
)
async def test_an_endless_head_is_refused(tmp_path: Path, endless: bytes) -> None:
    async with make_world(tmp_path, port=0).served() as world:
        head = b"GET / HTTP/1.1\r\nx: " + endless * (REQUEST_HEAD_BYTES // len(endless) + 1)
        # Not a byte more than it takes: what a server leaves unread resets the connection.
        answer = await exchange(world, head[: REQUEST_HEAD_BYTES + 1])
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nHost: "], ids=["silent", "slow"])
async def test_a_head_that_does_not_come_is_not_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(bounded, "CONNECT_WITHIN_S", 0.05)
    async with make_world(tmp_path, port=0).served() as world:
        assert await exchange(world, start) == b""
