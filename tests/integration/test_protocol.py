"""What a client must not do, and what it is told: nothing changes, and the connection stays where it can."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from wormux.errors import ErrorCode
from wormux.ids import SessionId
from wormux.limits import (
    CONNECT_WITHIN_S,
    CONNECTIONS,
    CONTROL_MESSAGES,
    FRAME_BYTES,
    INPUT_PANE_BYTES,
    NOT_FOUND_EVERY_S,
    PANES,
)
from wormux.protocol import messages as m
from wormux.protocol.close_codes import CloseCode
from wormux.protocol.frames import CONTROL_CHANNEL, encode_frame
from wormux.testing.client import ScriptedClient
from wormux.testing.errors import ConnectionOver, RequestError, TooLate
from wormux.testing.server_process import ServerProcess

from .conftest import servers
from .kit import MakeServer, at_prompt, run


@pytest.fixture(scope="module")
def first_pane(server: ServerProcess) -> None:
    """The server's first pane is at its prompt, so that nothing changes by itself any more."""

    async def wait() -> None:
        async with ScriptedClient(server.url, server.token) as client:
            await at_prompt(client, client.pane())
            await client.wait_for(lambda: client.info(client.pane()).command == "bash", "the shell's name")

    asyncio.run(wait())


@asynccontextmanager
async def nothing_changes(server: ServerProcess) -> AsyncIterator[ScriptedClient]:
    """A client; afterwards nothing has changed, and its connection is still good."""
    async with ScriptedClient(server.url, server.token) as client:
        before = _everything(client)
        yield client
        await client.round_trip()
        assert _everything(client) == before
    async with ScriptedClient(server.url, server.token) as other:
        assert _everything(other) == before


def _everything(client: ScriptedClient) -> tuple[Any, ...]:
    model = client.model
    return model.rev, model.sessions, model.tabs, model.channels, model.connected, model.panes


# --- Messages that cannot be read --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "code", "request_type"),
    [
        (b"", "bad_message", None),
        (b"{", "bad_message", None),
        (b"[]", "bad_message", None),
        (b'"connect"', "bad_message", None),
        (b"\xff\xfe", "bad_message", None),
        (b"{}", "bad_message", None),
        (b'{"type": 5}', "bad_message", None),
        (b"[" * 100_000, "bad_message", None),
        (b'{"type": "no_such"}', "unknown_type", None),
        (b'{"type": "tab_close"}', "bad_message", "tab_close"),
        (b'{"type": "tab_close", "tabId": 5}', "bad_message", "tab_close"),
        (b'{"type": "pane_resize", "paneId": "p", "cols": "80", "rows": 24}', "bad_message", "pane_resize"),
        (b'{"type": "pane_resize", "paneId": "p", "cols": 80.5, "rows": 24}', "bad_message", "pane_resize"),
        (b'{"type": "pane_resize", "paneId": "p", "cols": 1e99, "rows": 24}', "bad_message", "pane_resize"),
        (b'{"type": "pane_focus", "direction": "north"}', "bad_message", "pane_focus"),
        (
            b'{"type": "layout_resize", "tabId": "t", "path": 0, "ratios": [1]}',
            "bad_message",
            "layout_resize",
        ),
        (b'{"type": "ping", "time": 1, "ref": 5}', "bad_message", "ping"),
        (b'{"type": "ping", "time": 1, "ref": "%s"}' % (b"r" * 65), "bad_message", "ping"),
        (b'{"type": "connect", "width": 100, "height": 100}', "bad_message", "connect"),
    ],
)
@pytest.mark.usefixtures("first_pane")
async def test_unreadable_messages(
    server: ServerProcess, payload: bytes, code: str, request_type: str | None
) -> None:
    async with nothing_changes(server) as client:
        await client.send_frame(encode_frame(CONTROL_CHANNEL, payload))
        error = await client.wait_error()
        assert (error.code, error.request) == (code, request_type)
        assert error.message.endswith(".")
        assert "Traceback" not in error.message


@pytest.mark.usefixtures("first_pane")
async def test_unreadable_messages_with_a_ref_are_answered_with_it(server: ServerProcess) -> None:
    async with nothing_changes(server) as client:
        for request, fields, code in (
            ("no_such", {}, ErrorCode.UNKNOWN_TYPE),
            ("tab_close", {"tab_id": 5}, ErrorCode.BAD_MESSAGE),
        ):
            with pytest.raises(RequestError) as refused:
                await client.request(request, **fields)
            assert refused.value.code == code


@pytest.mark.usefixtures("first_pane")
async def test_unknown_fields_are_ignored(server: ServerProcess) -> None:
    async with nothing_changes(server) as client:
        await client.request("ping", time=1, colour="blue")


# --- Requests that cannot be met ---------------------------------------------------------------------------

_SPLIT: dict[str, Any] = {"orientation": "vertical", "cols": 80, "rows": 24}


@pytest.mark.parametrize(
    ("request_type", "fields"),
    [
        ("session_destroy", {"session_id": "s_x"}),
        ("session_rename", {"session_id": "s_x", "name": "n"}),
        ("session_sleep", {"session_id": "s_x"}),
        ("session_lease", {"session_id": "s_x", "seconds": 1}),
        ("tab_create", {"session_id": "s_x"}),
        ("tab_close", {"tab_id": "t_x"}),
        ("tab_rename", {"tab_id": "t_x", "name": "n"}),
        ("tab_switch", {"tab_id": "t_x"}),
        ("pane_split", {"pane_id": "p_x", **_SPLIT}),
        ("pane_close", {"pane_id": "p_x"}),
        ("pane_resize", {"pane_id": "p_x", "cols": 80, "rows": 24}),
        ("pane_focus", {"pane_id": "p_x"}),
        ("pane_wake", {"pane_id": "p_x"}),
        ("pane_redraw", {"pane_id": "p_x", "lines": 10}),
        ("layout_resize", {"tab_id": "t_x", "path": [], "ratios": [0.5, 0.5]}),
        ("input_discard", {"pane_id": "p_x"}),
    ],
)
@pytest.mark.usefixtures("first_pane")
async def test_unknown_ids(server: ServerProcess, request_type: str, fields: dict[str, Any]) -> None:
    await _is_refused(server, request_type, fields, ErrorCode.NOT_FOUND)


_NAMES = ["", "   ", "a\x07b", "a\nb", "a\x7fb", "\x1b[31m", "a\u2028b", "x" * 101]
_SIZES = [(0, 24), (80, 0), (1, 24), (80, 1), (-1, -1), (1001, 24), (80, 10_000)]
_INVALID: list[tuple[str, dict[str, Any]]] = [
    *(("session_create", {"name": name}) for name in _NAMES),
    *(("session_rename", {"session_id": "SESSION", "name": name}) for name in _NAMES),
    *(("tab_create", {"session_id": "SESSION", "name": name}) for name in _NAMES),
    *(("tab_rename", {"tab_id": "TAB", "name": name}) for name in _NAMES),
    *(("session_create", {"name": "n", "cols": cols, "rows": rows}) for cols, rows in _SIZES),
    *(("tab_create", {"session_id": "SESSION", "cols": cols, "rows": rows}) for cols, rows in _SIZES),
    *(("pane_split", {**_SPLIT, "pane_id": "PANE", "cols": cols, "rows": rows}) for cols, rows in _SIZES),
    *(("pane_resize", {"pane_id": "PANE", "cols": cols, "rows": rows}) for cols, rows in _SIZES),
    ("session_create", {"name": "n", "provider": "moon"}),
    ("session_lease", {"session_id": "SESSION", "seconds": -1}),
    ("session_lease", {"session_id": "SESSION", "seconds": 7 * 24 * 3600 + 1}),
    ("session_lease", {"session_id": "SESSION", "seconds": 60, "reason": "a\x07b"}),
    ("pane_focus", {}),
    ("pane_focus", {"pane_id": "PANE", "direction": "left"}),
    ("pane_redraw", {"pane_id": "PANE", "lines": -1}),
    ("layout_resize", {"tab_id": "TAB", "path": [], "ratios": [0.5, 0.5]}),
    ("layout_ack", {"rev": 2**60}),
    ("client_update", {"width": -1}),
]


@pytest.mark.usefixtures("first_pane")
async def test_invalid_fields(server: ServerProcess) -> None:
    for request_type, fields in _INVALID:
        await _is_refused(server, request_type, fields, ErrorCode.INVALID)


async def _is_refused(
    server: ServerProcess, request_type: str, fields: dict[str, Any], code: ErrorCode
) -> None:
    async with nothing_changes(server) as client:
        ids = {"SESSION": client.session().id, "TAB": client.model.active_tab, "PANE": client.pane()}
        known: dict[str, Any] = {
            name: ids.get(value, value) if isinstance(value, str) else value for name, value in fields.items()
        }
        with pytest.raises(RequestError) as refused:
            await client.request(request_type, **known)
        assert refused.value.code == code, f"{request_type} {fields}: {refused.value}"


@pytest.mark.usefixtures("first_pane")
async def test_shares_that_are_none(server: ServerProcess) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        made = await client.request("tab_create", session_id=client.session().id)
        await client.request("pane_split", pane_id=made.pane_id, **_SPLIT)
        layout = client.model.tabs[made.tab_id].layout  # type: ignore[index]
        for path, ratios in [
            ([], [0.5]), ([], [0.5, 0.4, 0.1]), ([], [1.0, 0.0]), ([], [1.5, -0.5]), ([], [0.6, 0.6]), ([0], [1.0]),
            ([5], [0.5, 0.5]), ([-1], [0.5, 0.5]),
        ]:  # fmt: skip
            with pytest.raises(RequestError) as refused:
                await client.request("layout_resize", tab_id=made.tab_id, path=path, ratios=ratios)
            assert refused.value.code in (ErrorCode.INVALID, ErrorCode.NOT_FOUND), f"{path} {ratios}"
        assert client.model.tabs[made.tab_id].layout == layout  # type: ignore[index]
        await client.request("layout_resize", tab_id=made.tab_id, path=[], ratios=[0.25, 0.75])
        split = client.model.tabs[made.tab_id].layout  # type: ignore[index]
        assert isinstance(split, m.Split)
        assert split.ratios == (0.25, 0.75)
        await client.request("tab_close", tab_id=made.tab_id)


@pytest.fixture(scope="module")
def full_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """For as many panes as there may be."""
    for make in servers(tmp_path_factory.mktemp("full")):
        yield make(shell="cat")


async def fill(client: ScriptedClient) -> SessionId:
    """Open panes until there are 255; returns the session that has them."""
    session = client.session().id
    missing = range(PANES - len(client.model.panes))
    asked = [await client.ask("tab_create", session_id=session, cols=20, rows=5) for _ in missing]
    await asyncio.gather(*asked)
    return session


async def test_the_256th_pane_is_refused(full_server: ServerProcess) -> None:
    async with ScriptedClient(full_server.url, full_server.token, flow=True) as client:
        session = await fill(client)
        assert sorted(client.model.channels.values()) == list(range(PANES))
        for request, fields in (
            ("tab_create", {"session_id": session}),
            ("session_create", {"name": "one more"}),
            ("pane_split", {"pane_id": next(iter(client.model.panes)), **_SPLIT}),
        ):
            with pytest.raises(RequestError) as refused:
                await client.request(request, **fields)
            assert refused.value.code == ErrorCode.LIMIT
        await client.wait_for(lambda: all(client.model.connected.values()), "255 terminals", within_s=60)
        await client.request("pane_close", pane_id=next(iter(client.model.panes)))
        await client.request("tab_create", session_id=session)


# --- Input ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("first_pane")
async def test_input_on_a_channel_without_a_pane_is_told_once_a_second(server: ServerProcess) -> None:
    async with nothing_changes(server) as client:
        began_s = time.monotonic()
        told: list[float] = []
        while len(told) < 2:
            for _ in range(20):
                await client.send_frame(encode_frame(200, b"lost"))
            with contextlib.suppress(TooLate):
                error = await client.wait_error(within_s=0.05)
                told.append(time.monotonic() - began_s)
                assert (error.code, error.request) == ("not_found", "input")
        assert told[1] - told[0] >= NOT_FOUND_EVERY_S - 0.1


async def test_channels_that_were_freed_count_only_from_who_knows_of_it(full_server: ServerProcess) -> None:
    async with ScriptedClient(full_server.url, full_server.token, flow=True) as client:
        session = await fill(client)
        victims = [pane for pane, channel in client.model.channels.items() if channel in (7, 3)]
        for pane in sorted(victims, key=lambda one: client.model.channels[one], reverse=True):
            await client.request("pane_close", pane_id=pane)
        client.acks_layout = False
        made = await client.request("tab_create", session_id=session)
        assert made.pane_id is not None
        assert client.model.channels[made.pane_id] == 7, "The longest-freed is given out first."

        await client.send_frame(encode_frame(7, b"for the old pane\n"))
        error = await client.wait_error()
        assert (error.code, error.request) == ("not_found", "input")

        await client.request("layout_ack", rev=client.model.rev)
        await client.type(made.pane_id, b"for the new one\n")
        await client.wait_output(made.pane_id, b"for the new one")
        assert b"old pane" not in client.outputs[made.pane_id].whole()


# --- What ends the connection ------------------------------------------------------------------------------


async def _closes(client: ScriptedClient, code: int) -> None:
    over = await client.wait_closed(within_s=CONNECT_WITHIN_S + 10)
    assert over.code == code
    assert over.reason


async def test_frames_that_no_client_may_send(server: ServerProcess) -> None:
    for frame, code in (
        (b"\xff" + b" " * FRAME_BYTES, CloseCode.TOO_BIG),
        ("text", CloseCode.TEXT_MESSAGE),
        (b"", CloseCode.BAD_START),
        (encode_frame(0, b"x" * (INPUT_PANE_BYTES + 1)), CloseCode.TOO_MUCH),
    ):
        async with ScriptedClient(server.url, server.token) as client:
            await client.round_trip()
            await client.send_frame(frame)
            over = await client.wait_closed()
            assert over.code == code


async def test_a_frame_of_the_largest_size_is_read(server: ServerProcess) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        message = json.dumps({"type": "ping", "time": 1, "padding": ""})
        padding = "x" * (FRAME_BYTES - 1 - len(message))
        await client.send("ping", time=1, padding=padding)
        await client.wait_for(lambda: any(isinstance(one, m.Pong) for one in client.messages), "pong")


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00",
        b"\x00ls\n",
        b'\xff{"type": "ping", "time": 1}',
        b'\xff{"type": "no_such"}',
        b"\xff{",
        b"\xff",
    ],
)
async def test_anything_before_connect(server: ServerProcess, frame: bytes) -> None:
    client = ScriptedClient(server.url, server.token)
    await client.open()
    await client.send_frame(frame)
    await _closes(client, CloseCode.BAD_START)
    await client.close()


async def test_no_connect_within_its_time(server: ServerProcess) -> None:
    client = ScriptedClient(server.url, server.token)
    await client.open()
    began_s = time.monotonic()
    await _closes(client, CloseCode.NO_CONNECT)
    assert time.monotonic() - began_s >= CONNECT_WITHIN_S - 0.1
    await client.close()


async def test_one_connection_too_many(make_server: MakeServer) -> None:
    server = make_server()
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS):
            await stack.enter_async_context(ScriptedClient(server.url, server.token))
        late = ScriptedClient(server.url, server.token)
        await late.open()
        await _closes(late, CloseCode.TOO_MUCH)
        await late.close()


async def test_too_many_control_messages(server: ServerProcess) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        for number in range(CONTROL_MESSAGES - 20):
            await client.send("ping", time=number)
        await client.round_trip()
        with contextlib.suppress(ConnectionOver):
            for number in range(40):
                await client.send("ping", time=number)
        await _closes(client, CloseCode.TOO_MUCH)


async def test_another_connection_of_the_same_client_takes_over(server: ServerProcess) -> None:
    async with (
        ScriptedClient(server.url, server.token, client_id="the-same") as old,
        ScriptedClient(server.url, server.token, client_id="the-same") as new,
    ):
        await _closes(old, CloseCode.TAKEN_OVER)
        with pytest.raises(ConnectionOver):
            await old.request("session_create", name="too late")
        await new.round_trip()
        assert "too late" not in [session.name for session in new.model.sessions.values()]


# --- Who may come in ---------------------------------------------------------------------------------------


async def test_wrong_and_missing_tokens(make_server: MakeServer) -> None:
    server = make_server()
    for token in (None, "wrong", server.token[:-1], server.token + "x"):
        client = ScriptedClient(server.url, token)
        await client.open()
        await _closes(client, CloseCode.NOT_AUTHENTICATED)
        await client.close()
    address = f"{server.url.replace('http', 'ws', 1)}/ws?token={server.token}"
    async with connect(address, proxy=None) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == CloseCode.NOT_AUTHENTICATED


async def test_a_login_is_good_until_the_token_is_another(make_server: MakeServer) -> None:
    server = make_server("--token", "first-token")
    status, headers = _get(server.url, "/?token=first-token")
    cookie = headers["set-cookie"].partition(";")[0]
    assert (status, headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(headers["set-cookie"].split("; "))

    page = {"Cookie": cookie, "Origin": server.url}
    async with ScriptedClient(server.url, None, headers=page) as client:
        assert b"a2b" in await run(client, client.pane(), "echo a$((1+1))b")
    without_origin = ScriptedClient(server.url, None, headers={"Cookie": cookie})
    await without_origin.open()
    await _closes(without_origin, CloseCode.NOT_AUTHENTICATED)
    await without_origin.close()

    server.terminate()
    server.options = tuple("second-token" if option == "first-token" else option for option in server.options)
    server.start()
    for revoked in (
        ScriptedClient(server.url, None, headers={**page, "Origin": server.url}),
        ScriptedClient(server.url, "first-token"),
    ):
        await revoked.open()
        await _closes(revoked, CloseCode.NOT_AUTHENTICATED)
        await revoked.close()


async def test_foreign_origins_and_hosts_are_refused_before_the_handshake(server: ServerProcess) -> None:
    for origin in ("https://evil.example", "null", server.url.replace("127.0.0.1", "localhost") + "0"):
        client = ScriptedClient(server.url, server.token, headers={"Origin": origin})
        with pytest.raises(InvalidStatus) as refused:
            await client.open()
        assert refused.value.response.status_code == 403
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
        "Authorization": f"Bearer {server.token}",
    }
    for path, headers in (("/", {}), ("/ws", upgrade)):
        status, _ = _get(server.url, path, {"Host": "evil.example", **headers})
        assert status == 403


def _get(url: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}
