"""`wormux token rotate`: from then on the old token, every login and every open connection is worth nothing."""

from __future__ import annotations

import asyncio
import json
import re
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.types import Message

from tests.integration.kit import MakeServer, run
from tests.security.kit import BEARER, LET_IN, get, host_of, knock
from tests.server.kit import WITHIN_S, World, make_world
from wormux.config import Config
from wormux.errors import SetupError
from wormux.hub.inputs import ClientConnected
from wormux.server.rotation import rotate_token
from wormux.server.tokens import kept_token, read_control_token
from wormux.testing.client import ScriptedClient

NEW_ADDRESS = re.compile(r"(http://127\.0\.0\.1:\d+)/(?:\?token=(\S+))?\n")


async def ask_to_rotate(world: World, token: str | None = None, *lines: str) -> int:
    shown = token or read_control_token(world.config.data_dir)
    bearer = f"Authorization: Bearer {shown}"
    return (await get(world, "/control/rotate-token", bearer, *lines, method="POST")).status


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[World]:
    """A server with a token of its own."""
    async with make_world(tmp_path / "data", port=0, token=None).served() as world:
        yield world


async def test_everything_that_the_old_token_gave_is_worth_nothing(own: World) -> None:
    running = own.application.running()
    old = own.application.token
    assert old is not None
    cookie = f"Cookie: {running.gate.cookie}={running.gate.logins.new()}"
    origin = f"Origin: http://{host_of(own)}"
    assert await knock(own, cookie, origin) == LET_IN
    assert await knock(own, f"Authorization: Bearer {old}") == LET_IN
    assert await ask_to_rotate(own) == 204
    new = own.application.token
    assert new not in (None, old)
    path = own.config.data_dir / "token"
    assert path.read_text() == f"{new}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert await knock(own, cookie, origin) == 4401
    assert await knock(own, f"Authorization: Bearer {old}") == 4401
    assert "set-cookie" not in (await get(own, f"/?token={old}")).headers
    assert await knock(own, f"Authorization: Bearer {new}") == LET_IN
    # The store has no login any more, so that none comes back with a restart either.
    assert own.store.get_secret("logins") == b"{}"


async def test_no_page_and_no_ordinary_token_can_do_it(own: World) -> None:
    token = own.application.token
    assert token is not None
    origin = f"Origin: http://{host_of(own)}"
    gate = own.application.running().gate
    cookie = f"Cookie: {gate.cookie}={gate.logins.new()}"
    assert await ask_to_rotate(own, token) == 403
    assert await ask_to_rotate(own, "wrong") == 401
    assert (await get(own, "/control/rotate-token", cookie, method="POST")).status == 401
    assert (await get(own, "/control/rotate-token", cookie, origin, method="POST")).status == 403
    # Not even with the control token, if it comes from a page.
    assert await ask_to_rotate(own, None, origin) == 403
    assert await ask_to_rotate(own, None, "Origin: https://evil.example") == 403
    assert own.application.token == token


async def test_nothing_changes_where_the_new_one_cannot_be_kept(own: World) -> None:
    token = own.application.token
    own.config.data_dir.joinpath("token.new").mkdir()
    assert await ask_to_rotate(own) == 409
    assert own.application.token == token
    assert await knock(own, f"Authorization: Bearer {token}") == LET_IN


async def test_a_handshake_that_is_under_way_is_not_let_in(own: World) -> None:
    """The old token was right when the server looked, and the page has not had its answer yet."""
    said: list[Message] = []
    asked = asyncio.Event()
    accepted = asyncio.Event()

    async def receive() -> Message:
        if said:
            await asyncio.Event().wait()  # the page says nothing more
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        said.append(message)
        if message["type"] == "websocket.accept":
            asked.set()
            await accepted.wait()

    bearer = f"Bearer {own.application.token}".encode()
    scope = {
        "type": "websocket",
        "path": "/ws",
        "headers": [(b"host", host_of(own).encode()), (b"authorization", bearer)],
        "query_string": b"",
        "client": ("192.0.2.1", 1),
    }
    handshake = asyncio.create_task(own.app(scope, receive, send))
    async with asyncio.timeout(WITHIN_S):
        await asked.wait()
        assert await ask_to_rotate(own) == 204
        accepted.set()
        await handshake
    assert (said[-1]["type"], said[-1]["code"]) == ("websocket.close", 4401)
    assert own.hub.all(ClientConnected) == []


async def test_the_command_disconnects_everybody_and_shells_go_on(make_server: MakeServer) -> None:
    server = make_server()
    old = server.token
    clients = [ScriptedClient(server.url, old) for _ in range(3)]
    for client in clients:
        await client.__aenter__()
    pane = clients[0].pane()
    assert await run(clients[0], pane, "kept=42") == b""
    rotated = await asyncio.to_thread(server.run, "token", "rotate", "--print-token")
    assert (rotated.returncode, rotated.stderr) == (0, "")
    address = NEW_ADDRESS.search(rotated.stdout)
    assert address is not None
    assert address[1] == server.url
    for client in clients:
        assert (await client.wait_closed()).code == 4401
        await client.close()
    assert address[2] not in (None, old)
    async with ScriptedClient(server.url, address[2]) as client:
        assert await run(client, client.pane(), "echo still-$kept") == b"still-42\r\n"
    server.terminate()
    # Without a server as well; and it is not shown where nobody asked for it.
    rotated = await asyncio.to_thread(server.run, "token", "rotate")
    kept = (server.data_dir / "token").read_text().strip()
    assert kept not in (old, address[2])
    assert rotated.stdout.endswith(": http://127.0.0.1:8022/\n")
    assert kept not in rotated.stdout + rotated.stderr


async def test_a_token_that_was_given_is_not_ours_to_change(world: World) -> None:
    with pytest.raises(SetupError, match="change it there and start the server again"):
        await asyncio.to_thread(rotate_token, world.config)
    # Nor may the commands' own settings decide, while a server runs that knows better.
    with pytest.raises(SetupError, match="was given to the server"):
        await asyncio.to_thread(rotate_token, replace(world.config, token=None))
    assert await knock(world, BEARER) == LET_IN


def test_without_a_server_it_is_refused_with_a_sentence_where_it_does_nothing(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="There is no Wormux data directory"):
        rotate_token(Config(data_dir=tmp_path / "nowhere"))
    with pytest.raises(SetupError, match="was given to the server"):
        rotate_token(Config(data_dir=tmp_path, token="given"))
    assert list(tmp_path.iterdir()) == []
    made = rotate_token(Config(data_dir=tmp_path, host="0.0.0.0", port=9000, insecure=True))
    assert (made.url, made.running) == ("http://127.0.0.1:9000", False)
    assert kept_token(tmp_path) == made.token
    (line,) = (tmp_path / "audit.log").read_text().splitlines()
    assert json.loads(line)["event"] == "token_rotate"
