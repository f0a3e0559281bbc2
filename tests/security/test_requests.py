"""Requests that no browser sends: paths that lead out, lines within lines, too much of everything, and too slow."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.security.kit import BEARER, LET_IN, UPGRADE, get, head, host_of, knock, login, parse, send
from tests.server.kit import TOKEN, WITHIN_S, World, make_world
from wormux.hub.effects import Effect, SendFrame
from wormux.hub.inputs import ClientConnected, ClientGone, Input
from wormux.limits import CONTROL_MESSAGES, PIPELINED_REQUESTS, REQUEST_HEAD_BYTES, REQUEST_HEADERS, STRANGERS
from wormux.server import bounded, hosting, websocket
from wormux.testing.client import ScriptedClient
from wormux.testing.errors import ConnectionOver
from wormux.testing.server_process import ServerProcess

SECRET = b"what only the owner may read"


# --- Paths ---------------------------------------------------------------------------------------------------

PATHS = (
    "/../token",
    "/assets/../../token",
    "/assets/%2e%2e/%2e%2e/token",
    "/assets/..%2f..%2ftoken",
    "/assets/%252e%252e%252f%252e%252e%252ftoken",
    "/assets/..\\..\\token",
    "/assets/..%5c..%5ctoken",
    "/assets/..%c0%af..%c0%aftoken",
    "/assets/%c0%ae%c0%ae/token",
    "/assets/..;/token",
    "/assets/.%00./token",
    "/assets/token%00.js",
    "/assets//{data}/token",
    "/assets/{data}/token",
    "/assets/%2f{data}/token",
    "/assets/file:%2f%2f{data}/token",
    "/{data}/token",
    "//{data}/token",
    "/./token",
    "/assets/",
    "/assets",
    "/assets/.",
    "/assets/..",
    "/assets/index.html",
    "/assets/%ff%fe",
    "/t/../token",
    "/t/assets/../../../token",
)


async def test_no_path_leads_out_of_the_page(world: World) -> None:
    data = world.config.data_dir
    (data / "token").write_bytes(SECRET)
    for path in PATHS:
        for host in (None, "term.example"):
            answer = await get(world, path.replace("{data}", str(data).strip("/")), host=host)
            assert answer.status in (400, 404), path
            assert SECRET not in answer.body


async def test_no_line_gets_into_an_answers_head(world: World) -> None:
    injected = "X-Injected: yes"
    for target in (
        f"/%0d%0a{injected.replace(' ', '%20')}",
        "/t?%0d%0aX-Injected:%20yes",
        "/t?\u010d\u010aX-Injected:yes".encode("utf-8").decode("latin-1"),
        "/?token=%0d%0aX-Injected:%20yes",
        f"/?token={TOKEN}%0d%0aX-Injected:%20yes",
        "/assets/%0d%0aX-Injected:%20yes",
    ):
        for host in (None, "term.example"):
            answer = await get(world, target, host=host)
            assert "x-injected" not in answer.headers, target
    moved = await get(world, "/t?%0d%0aX-Injected:%20yes", host="term.example")
    assert (moved.status, moved.headers["location"]) == (308, "/t/?%0d%0aX-Injected:%20yes")
    # Bare ends of lines, and one request hidden in another.
    for line in (
        f"X: a\r{injected}",
        f"X: a\n{injected}\r",
        "X : a",
        "\0: a",
        "X: a\0b",
        "Content-Length: +1",
    ):
        answer = await get(world, "/nothing", line)
        assert "x-injected" not in answer.headers, line
        assert answer.status in (400, 404), line
    for lines in (
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Content-Length: 4", "Content-Length: 5"),
        ("Transfer-Encoding: chunked, identity",),
    ):
        assert (await get(world, "/", *lines, method="POST")).status == 400, lines


async def test_a_redirect_never_leads_to_another_site(world: World) -> None:
    for target in (
        "//evil.example",
        "/%2fevil.example",
        "/\\evil.example",
        "/t//evil.example",
        "//evil.example/t",
    ):
        for host in (None, "term.example"):
            answer = await get(world, target, host=host)
            assert answer.headers.get("location", "/t/") in ("/t/", "/")


# --- Too much ------------------------------------------------------------------------------------------------


async def test_heads_are_bounded_also_where_they_come_at_once(world: World) -> None:
    host = f"Host: {host_of(world)}"
    many = ["a: b"] * REQUEST_HEADERS
    long = [f"a: {'b' * 1000}"] * 60
    for lines in (many, [f"a: {'b' * REQUEST_HEAD_BYTES}"], [*long, *long[:10]]):
        assert (await send(world.config.port, head("/", host, *lines))).status == 431
        assert await knock(world, BEARER, *lines) == 431
    assert (await send(world.config.port, head("/" + "a" * REQUEST_HEAD_BYTES, host))).status == 431
    assert (await get(world, "/healthz", *long)).status == 200
    assert (await knock(world, BEARER, target="/ws?" + "a" * 10_000)) == 414


async def test_a_body_ends_the_connection_unread(world: World) -> None:
    """However slowly it comes. Otherwise each byte of it would keep the connection a while longer."""
    for line in ("Content-Length: 1000000000", "Transfer-Encoding: chunked", "Upgrade: h2c"):
        for method in ("GET", "POST"):
            data = head(
                "/healthz", f"Host: {host_of(world)}", line, "Connection: keep-alive, Upgrade", method=method
            )
            answer = await send(world.config.port, data + b"1\r\na")
            assert answer.headers["connection"] == "close"
            assert answer.status in (200, 405)


async def test_requests_in_a_row_are_answered_and_a_long_row_is_refused(world: World) -> None:
    one = head("/healthz", f"Host: {host_of(world)}")
    last = head("/healthz", f"Host: {host_of(world)}", "Connection: close")
    reader, writer = await asyncio.open_connection("127.0.0.1", world.config.port)
    async with asyncio.timeout(WITHIN_S):
        writer.write(one * PIPELINED_REQUESTS + last)
        assert (await reader.read()).count(b"HTTP/1.1 200 ") == PIPELINED_REQUESTS + 1
    writer.close()
    # Nothing of such a row is worth an answer, and it takes the memory of its bytes alone.
    assert b"431" in (await exchange(world, one * 4000)).split(b"\r\n")[0]


async def exchange(world: World, data: bytes) -> bytes:
    """All that comes, whether or not the server has read it to the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.config.port)
    writer.write(data)
    said = b""
    async with asyncio.timeout(WITHIN_S):
        try:
            while chunk := await reader.read(65536):
                said += chunk
        except ConnectionError:
            assert said
    writer.close()
    return said


# --- Too slow ------------------------------------------------------------------------------------------------


async def test_every_head_has_its_time_and_so_has_a_handshake(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "CONNECT_WITHIN_S", 0.1)
    host = f"Host: {host_of(world)}"
    whole = head("/healthz", host)
    for pieces in (
        (head("/ws", host, *UPGRADE, BEARER)[:-2],),
        (b"G", b"E", b"T"),
        (whole, whole[:20]),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", world.config.port)
        async with asyncio.timeout(WITHIN_S):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            rest = await reader.read()  # returns because the server closes
        assert rest.count(b"HTTP/1.1") == pieces.count(whole)
        writer.close()


async def test_a_client_that_takes_nothing_is_cut_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for it would keep its connection, and all that waits, for as long as it likes."""
    monkeypatch.setattr(bounded, "SOCKET_CLOSES_WITHIN_S", 0.05)
    monkeypatch.setattr(websocket, "DRAIN_S", 0.05)

    lost = asyncio.Event()

    class Watched(bounded.BoundedWebSocket):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    monkeypatch.setattr(hosting, "BoundedWebSocket", Watched)

    def flood(event: Input) -> list[Effect]:
        if isinstance(event, ClientConnected):
            return [SendFrame(event.connection_id, bytes(1 << 16), True) for _ in range(400)]
        return []

    async with make_world(tmp_path, port=0).served() as world:
        world.hub.react = flood
        with socket.create_connection(("127.0.0.1", world.config.port)) as client:
            client.sendall(head("/ws", f"Host: {host_of(world)}", *UPGRADE, BEARER))
            await world.hub.got(ClientConnected)
            world.application.running().driver.close_all(4401, "The token was changed.")
            await world.hub.got(ClientGone)
            async with asyncio.timeout(WITHIN_S):
                await lost.wait()  # though it reads nothing: a close that waits would wait for ever


# --- Too many ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def idle_connections(port: int, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    async with AsyncExitStack() as stack:
        readers = []
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            readers.append(reader)
        yield readers


async def ended(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(WITHIN_S):
        try:
            assert await reader.read() == b""
        except ConnectionError:
            return


async def test_strangers_take_no_place_of_those_who_are_let_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "STRANGERS", 4)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.config.port)
    writer.write(head("/ws", f"Host: {host_of(world)}", *UPGRADE, BEARER))
    await world.hub.got(ClientConnected)
    async with idle_connections(world.config.port, 1) as (quiet,):
        for _ in range(8):  # what is over counts no more
            assert (await get(world, "/healthz")).status == 200
        assert not quiet.at_eof()
    async with idle_connections(world.config.port, 10) as readers:
        for each in readers[:6]:
            await ended(each)
        # Who asks for something now is served, and a page's parts are not cut off by those who wait in silence.
        answers = await asyncio.gather(*(get(world, "/healthz") for _ in range(2)))
        assert [answer.status for answer in answers] == [200, 200]
        assert await knock(world, await login(world), f"Origin: http://{host_of(world)}") == LET_IN
    # The first client of all was let in, and is still there.
    mask = b"\0\0\0\0"
    async with asyncio.timeout(WITHIN_S):
        writer.write(b"\x89\x80" + mask)
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(2) == b"\x8a\x00"
    assert world.hub.all(ClientGone) == world.hub.all(ClientGone)[:1]
    writer.write(b"\x88\x82" + mask + struct.pack("!H", 1000))
    writer.close()


async def test_who_reads_no_answer_goes_as_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "STRANGERS", 4)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.config.port)
    refused = head("/ws", f"Host: {host_of(world)}", *UPGRADE)  # closed with 4401, and never answers that
    writer.write(refused)
    await reader.readuntil(b"\r\n\r\n")
    async with idle_connections(world.config.port, 4):
        async with asyncio.timeout(WITHIN_S):
            try:
                while await reader.read(1):
                    pass
            except ConnectionError:
                pass
    writer.close()


def open_files(server: ServerProcess) -> int:
    return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))


async def test_a_flood_of_connections_leaves_a_whole_server_usable(server: ServerProcess) -> None:
    port = int(server.url.rpartition(":")[2])
    async with ScriptedClient(server.url, server.token) as before:
        await before.wait_status(before.pane(), "connected")
        open_before = open_files(server)
        async with idle_connections(port, STRANGERS + 50) as readers:
            for each in readers[:50]:
                await ended(each)
            assert open_files(server) <= open_before + STRANGERS + 10
            assert parse(await health(port)).status == 200
            async with ScriptedClient(server.url, server.token) as during:
                await during.round_trip()
                await before.round_trip()


async def health(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head("/healthz", "Host: probe", "Connection: close"))
    async with asyncio.timeout(WITHIN_S):
        said = await reader.read()
    writer.close()
    return said


async def test_a_flood_of_messages_costs_its_sender_alone(server: ServerProcess) -> None:
    """Control messages that are answered, that are refused, and that are no messages."""

    async def flood(message: dict[str, object]) -> int | None:
        frame = b"\xff" + json.dumps(message).encode()
        async with ScriptedClient(server.url, server.token) as flooder:
            with suppress(ConnectionOver):
                for _ in range(CONTROL_MESSAGES + 1):
                    await flooder.send_frame(frame)
            return (await flooder.wait_closed()).code

    messages: tuple[dict[str, object], ...] = (
        {"type": "ping", "time": 1},
        {"type": "pane_close", "paneId": "none"},
        {},
    )
    async with ScriptedClient(server.url, server.token) as neighbour:
        floods = [asyncio.create_task(flood(message)) for message in messages]
        while not all(each.done() for each in floods):
            await neighbour.round_trip()
        assert [each.result() for each in floods] == [4429] * len(messages)
