"""`/ws` over a real port: handshakes, credentials, close codes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.kit import TOKEN, WITHIN_S, World, ask, make_world
from wormux.hub.effects import CloseClient, Effect, SendFrame
from wormux.hub.inputs import ClientConnected, ClientGone, FrameReceived, FramesSent, Input
from wormux.limits import FRAME_BYTES, LOGIN_ATTEMPTS

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with make_world(tmp_path, port=0).served() as world:
        yield world


@asynccontextmanager
async def client(
    world: World, headers: Mapping[str, str] = BEARER, path: str = "/ws"
) -> AsyncIterator[ClientConnection]:
    async with connect(
        f"ws://127.0.0.1:{world.config.port}{path}",
        additional_headers=headers,
        compression=None,
        proxy=None,
        open_timeout=WITHIN_S,
        close_timeout=WITHIN_S,
    ) as connection:
        yield connection


async def close_code(connection: ClientConnection) -> int | None:
    """Of the connection's end, which must come."""
    async with asyncio.timeout(WITHIN_S):
        try:
            while True:
                await connection.recv()
        except ConnectionClosed as closed:
            return None if closed.rcvd is None else closed.rcvd.code


async def login_cookie(world: World) -> str:
    answer = await ask(world.app, f"/?token={TOKEN}", {"Host": f"127.0.0.1:{world.config.port}"})
    return answer.headers["set-cookie"].partition(";")[0]


class TestCredentials:
    async def test_the_token_lets_a_program_in(self, world: World) -> None:
        async with client(world):
            await world.hub.got(ClientConnected)

    async def test_a_login_lets_a_page_in(self, world: World) -> None:
        origin = f"http://127.0.0.1:{world.config.port}"
        async with client(world, {"Cookie": await login_cookie(world), "Origin": origin}):
            await world.hub.got(ClientConnected)

    @pytest.mark.parametrize(
        ("headers", "path"),
        [
            ({}, "/ws"),
            ({"Authorization": "Bearer wrong"}, "/ws"),
            ({"Authorization": f"Basic {TOKEN}"}, "/ws"),
            ({}, f"/ws?token={TOKEN}"),
        ],
        ids=["nothing", "wrong token", "not a bearer", "token in the query"],
    )
    async def test_without_credentials_it_opens_and_closes(
        self, world: World, headers: Mapping[str, str], path: str
    ) -> None:
        async with client(world, headers, path) as connection:
            assert await close_code(connection) == 4401
        assert world.hub.inputs == []

    async def test_a_cookie_without_an_origin_is_not_enough(self, world: World) -> None:
        async with client(world, {"Cookie": await login_cookie(world)}) as connection:
            assert await close_code(connection) == 4401

    async def test_a_foreign_origin_is_refused_before_the_handshake(self, world: World) -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with client(world, BEARER | {"Origin": "https://evil.example"}):
                pass
        assert refused.value.response.status_code == 403

    async def test_a_foreign_host_is_refused_before_the_handshake(self, world: World) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.config.port)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        async with asyncio.timeout(WITHIN_S):
            assert b" 403 " in await reader.readline()
        writer.close()
        await writer.wait_closed()

    async def test_after_too_many_wrong_tokens_even_the_right_one_must_wait(self, world: World) -> None:
        for _ in range(LOGIN_ATTEMPTS):
            async with client(world, {"Authorization": "Bearer wrong"}) as connection:
                assert await close_code(connection) == 4401
        with pytest.raises(InvalidStatus) as refused:
            async with client(world):
                pass
        assert refused.value.response.status_code == 429


class TestFrames:
    async def test_pass_both_ways_unchanged(self, world: World) -> None:
        def echo(event: Input) -> list[Effect]:
            if isinstance(event, FrameReceived):
                return [SendFrame(event.connection_id, event.frame, False)]
            return []

        world.hub.react = echo
        largest = bytes(range(256)) * (FRAME_BYTES // 256)
        async with client(world) as connection:
            for frame in (b"\x00hello\xff", b"", largest):
                await connection.send(frame)
                async with asyncio.timeout(WITHIN_S):
                    assert await connection.recv() == frame
        assert sum(event.count for event in world.hub.all(FramesSent)) == 7 + len(largest)

    async def test_a_text_message_closes(self, world: World) -> None:
        async with client(world) as connection:
            await connection.send("hello")
            assert await close_code(connection) == 1003
        await world.hub.got(ClientGone)
        assert world.hub.all(FrameReceived) == []

    async def test_a_frame_that_is_too_big_closes(self, world: World) -> None:
        async with client(world) as connection:
            await connection.send(bytes(FRAME_BYTES + 1))
            assert await close_code(connection) == 1009
        await world.hub.got(ClientGone)
        assert world.hub.all(FrameReceived) == []

    async def test_a_message_in_fragments_is_one_frame(self, world: World) -> None:
        async with client(world) as connection:
            await connection.send([b"\x00a", b"b", b"c"])
            assert (await world.hub.got(FrameReceived)).frame == b"\x00abc"


class TestEnd:
    async def test_the_hub_closes_with_its_code_after_what_is_urgent(self, world: World) -> None:
        def refuse(event: Input) -> list[Effect]:
            if isinstance(event, FrameReceived):
                one = event.connection_id
                return [SendFrame(one, b"\xffwhy", True), CloseClient(one, 4429, "too much")]
            return []

        world.hub.react = refuse
        async with client(world) as connection:
            await connection.send(b"\x00a")
            async with asyncio.timeout(WITHIN_S):
                assert await connection.recv() == b"\xffwhy"
            assert await close_code(connection) == 4429
            assert connection.close_reason == "too much"
        await world.hub.got(ClientGone)

    async def test_a_hub_that_refuses_at_once_closes(self, world: World) -> None:
        world.hub.react = lambda event: (
            [CloseClient(event.connection_id, 4429, "full")] if isinstance(event, ClientConnected) else []
        )
        async with client(world) as connection:
            assert await close_code(connection) == 4429

    async def test_a_failing_hub_closes_one_and_serves_the_next(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(event: Input) -> list[Effect]:
            if isinstance(event, FrameReceived) and event.frame == b"\x00bad":
                raise AssertionError
            return []

        world.hub.react = fail
        async with client(world) as other:
            async with client(world) as connection:
                await connection.send(b"\x00bad")
                assert await close_code(connection) == 1011
            await other.send(b"\x00good")
            await world.hub.got(FrameReceived, 2)
        assert "AssertionError while the hub took FrameReceived" in caplog.text

    @pytest.mark.parametrize("how", ["closes", "vanishes"])
    async def test_a_client_is_gone_exactly_once(self, world: World, how: str) -> None:
        async with client(world) as first:
            await world.hub.got(ClientConnected)
            if how == "vanishes":
                first.transport.abort()
        await world.hub.got(ClientGone)
        async with client(world):
            await world.hub.got(ClientConnected, 2)
        await world.hub.got(ClientGone, 2)
        assert [event.connection_id for event in world.hub.all(ClientGone)] == world.hub.connections()

    async def test_a_stopping_server_says_goodbye_and_takes_nobody_more(self, world: World) -> None:
        async with client(world) as connection:
            await world.hub.got(ClientConnected)
            draining = asyncio.create_task(world.application.drain())
            assert await close_code(connection) == 1001
            await draining
        async with client(world) as late:
            assert await close_code(late) == 1012
        assert len(world.hub.connections()) == 1
