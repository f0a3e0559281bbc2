"""What the security tests share: requests written byte by byte, as somebody writes them who is no browser."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from dataclasses import dataclass

from tests.server.kit import TOKEN, WITHIN_S, World, ask

BEARER = f"Authorization: Bearer {TOKEN}"
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
LET_IN = 101
"""What `knock` says of a WebSocket that stays open."""
_PING = b"\x89\x80\0\0\0\0"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    """By their names in lower case; the lines of a repeated one are joined."""
    body: bytes


def head(target: str, *lines: str, method: str = "GET") -> bytes:
    """Of a request. No header is added."""
    return "\r\n".join((f"{method} {target} HTTP/1.1", *lines, "", "")).encode("latin-1")


def host_of(world: World) -> str:
    return f"127.0.0.1:{world.config.port}"


async def send(port: int, data: bytes) -> Answer:
    """Send what ends with `Connection: close`, and read to the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(WITHIN_S):
            writer.write(data)
            await writer.drain()
            return parse(await reader.read())
    finally:
        writer.close()


def parse(data: bytes) -> Answer:
    start, _, body = data.partition(b"\r\n\r\n")
    first, *lines = start.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        known = headers.get(name.lower())
        headers[name.lower()] = value.strip() if known is None else f"{known}\n{value.strip()}"
    return Answer(int(first.split(" ")[1]), headers, body)


async def get(world: World, target: str, *lines: str, method: str = "GET", host: str | None = None) -> Answer:
    shown = f"Host: {host_of(world) if host is None else host}"
    return await send(world.config.port, head(target, shown, "Connection: close", *lines, method=method))


async def knock(world: World, *lines: str, target: str = "/ws", host: str | None = None) -> int:
    """Try to open a WebSocket: `LET_IN`, the code with which it is closed, or the HTTP status instead of it."""
    hosts = [] if any(line.startswith("Host:") for line in lines) else [f"Host: {host or host_of(world)}"]
    reader, writer = await asyncio.open_connection("127.0.0.1", world.config.port)
    try:
        async with asyncio.timeout(WITHIN_S):
            writer.write(head(target, *hosts, *UPGRADE, *lines))
            status = int((await reader.readuntil(b"\r\n")).split(b" ")[1])
            if status != LET_IN:
                return status
            await reader.readuntil(b"\r\n\r\n")
            writer.write(_PING)
            kind, size = await reader.readexactly(2)
            if kind == 0x8A:
                return LET_IN
            assert kind == 0x88, hex(kind)
            (code,) = struct.unpack("!H", (await reader.readexactly(size))[:2])
            return int(code)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def login(world: World) -> str:
    """A line with the cookie of a browser that is logged in."""
    answer = await ask(world.app, f"/?token={TOKEN}", {"Host": host_of(world)})
    return f"Cookie: {answer.headers['set-cookie'].partition(';')[0]}"
