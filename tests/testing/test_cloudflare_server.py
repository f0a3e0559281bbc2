"""The Cloudflare server of the kit does what the real one does, faults included."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from wormux.testing.cloudflare_server import BEHIND_BYTES, FRAME_BYTES, KEPT_BYTES, CloudflareServer

WITHIN_S = 20.0


class Client:
    """A client of the plain WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.output = b""
        self.texts: list[object] = []
        self.frames: list[bytes | str] = []

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not is_so():
                message = await self.socket.recv()
                self.frames.append(message)
                if isinstance(message, bytes):
                    self.output += message
                else:
                    self.texts.append(json.loads(message))

    async def ready(self) -> Client:
        await self.until(lambda: {"type": "ready"} in self.texts)
        return self

    async def shows(self, text: bytes) -> None:
        await self.until(lambda: text in self.output)

    async def closed(self) -> int | None:
        """The code with which the server closes it."""
        with pytest.raises(ConnectionClosed) as caught:
            await self.until(lambda: False)
        return caught.value.rcvd.code if caught.value.rcvd is not None else None


async def open_client(server: CloudflareServer, query: str = "sessionId=s", sandbox: str = "box") -> Client:
    address = server.url.partition("?")[0].format(sandbox=sandbox)
    socket = await connect(f"{address}?{query}", compression=None, max_size=None, proxy=None)
    return Client(socket)


@pytest.fixture
async def server() -> AsyncIterator[CloudflareServer]:
    async with CloudflareServer() as made:
        yield made


@pytest.mark.parametrize("query", ["", "sessionId=", "cols=80&rows=24"])
async def test_a_session_must_be_named(server: CloudflareServer, query: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await open_client(server, query)
    assert caught.value.response.status_code == 400


async def test_whoever_stands_before_it_may_refuse() -> None:
    async with CloudflareServer(headers={"Authorization": "x"}) as server:
        with pytest.raises(InvalidStatus) as caught:
            await open_client(server)
        assert caught.value.response.status_code == 401
        server.refuse_status = 503
        with pytest.raises(InvalidStatus) as caught:
            await open_client(server)
        assert caught.value.response.status_code == 503
        assert server.connects == []


async def test_size_and_shell_count_at_the_first_connect_only(server: CloudflareServer) -> None:
    first = await (await open_client(server, "sessionId=s&cols=91&rows=31&shell=/bin/bash")).ready()
    second = await (await open_client(server, "sessionId=s&cols=50&rows=10&shell=/bin/cat")).ready()
    await second.socket.send(b"stty size; echo [$BASH]\n")
    for client in (first, second):  # they share it
        await client.shows(b"31 91\r\n[/bin/bash]")


@pytest.mark.parametrize(
    "size", ["cols=0&rows=0", "cols=x&rows=30", "cols=-5&rows=30", "rows=30", "cols=99999&rows=1"]
)
async def test_bad_numbers_give_80_by_24(server: CloudflareServer, size: str) -> None:
    client = await (await open_client(server, f"sessionId=s&{size}")).ready()
    await client.socket.send(b"stty size\n")
    await client.shows(b"24 80")


async def test_a_resize_must_be_positive(server: CloudflareServer) -> None:
    client = await (await open_client(server)).ready()
    await client.socket.send('{"type":"resize","cols":100,"rows":30}')
    await client.socket.send(b"stty size\n")
    await client.shows(b"30 100")
    for wrong in ('{"type":"resize","cols":0,"rows":30}', "no json", '{"type":"other"}'):
        client.texts.clear()
        await client.socket.send(wrong)
        await client.until(lambda: bool(client.texts))
        assert isinstance(client.texts[0], dict)
        assert client.texts[0]["type"] == "error"


async def test_the_kept_output_comes_again_in_one_frame_before_ready(server: CloudflareServer) -> None:
    first = await (await open_client(server)).ready()
    assert isinstance(first.frames[0], str)  # nothing was kept
    await first.shows(b"$ ")
    second = await (await open_client(server)).ready()
    assert second.frames == [first.output, '{"type":"ready"}']
    stream = b"".join(b"%d\r\n" % number for number in range(100_000))
    server.ptys()["s"].emit(stream)
    third = await (await open_client(server)).ready()
    assert third.frames[0] == (b"$ " + stream)[-KEPT_BYTES:]
    assert len(third.frames[0]) == KEPT_BYTES


async def test_input_before_ready_is_dropped(server: CloudflareServer) -> None:
    server.ready.clear()
    client = await open_client(server)
    await client.socket.send(b"echo lo''st\n")
    async with asyncio.timeout(WITHIN_S):
        while True:
            if server.dropped:
                break
            await asyncio.sleep(0.005)
    server.ready.set()
    await client.ready()
    await client.socket.send(b"echo he''ard\n")
    await client.shows(b"heard")
    assert b"lost" not in client.output


async def test_a_shell_that_exits_says_nothing_until_the_next_input(server: CloudflareServer) -> None:
    client = await (await open_client(server)).ready()
    await client.socket.send(b"exit\n")
    await client.shows(b"exit")
    terminal = server.ptys()["s"]
    await asyncio.to_thread(terminal.process.wait)
    await client.socket.send('{"type":"resize","cols":100,"rows":30}')
    await client.until(lambda: len(client.texts) == 2)  # `ready`, and an error; it stays open
    await client.socket.send(b"x")
    assert await client.closed() == 1011
    again = await (await open_client(server)).ready()  # one terminal for each session, for good
    await again.socket.send(b"x")
    assert await again.closed() == 1011


@pytest.mark.parametrize("query", ["sessionId=s&shell=/not/there", "sessionId=s"])
async def test_a_terminal_that_cannot_be_made_is_an_error_and_1011(
    server: CloudflareServer, query: str
) -> None:
    if "shell" not in query:
        server.refuse_spawn = "no more terminals"
    client = await open_client(server, query)
    assert await client.closed() == 1011
    (error,) = client.texts
    assert isinstance(error, dict)
    assert error["type"] == "error"
    assert error["message"]


async def test_a_frame_that_is_too_large_drops_the_connection(server: CloudflareServer) -> None:
    client = await (await open_client(server)).ready()
    await client.socket.send(b" " * (FRAME_BYTES + 1))
    assert await client.closed() is None
    assert not server.ptys()["s"].has_exited


async def test_a_reader_that_falls_behind_goes_deaf_for_good(server: CloudflareServer) -> None:
    client = await (await open_client(server)).ready()
    await client.shows(b"$ ")
    terminal = server.ptys()["s"]
    client.socket.transport.pause_reading()
    for _ in range(2 * BEHIND_BYTES // 65536):
        terminal.emit(b"x" * 65536)
        await asyncio.sleep(0)
    client.socket.transport.resume_reading()
    await client.socket.send(b"echo he''ard\n")
    async with asyncio.timeout(WITHIN_S):
        drained = asyncio.create_task(client.shows(b"heard"))
        while True:
            if server.dropped:
                break
            await asyncio.sleep(0.005)
        await (await client.socket.ping())  # it answers all the same
    drained.cancel()
    assert server.dropped == [b"echo he''ard\n"]
    assert terminal.typed == b""
    other = await (await open_client(server)).ready()
    await other.socket.send(b"echo wo''rks\n")
    await other.shows(b"works")


async def test_sleep_closes_the_sockets_and_forgets_everything(server: CloudflareServer) -> None:
    clients = [await (await open_client(server, f"sessionId={name}")).ready() for name in "ab"]
    calm = await (await open_client(server, sandbox="other")).ready()
    shells = [terminal.process for terminal in server.ptys().values()]
    await server.sleep("box")
    for client in clients:
        assert await client.closed() == 1001
    assert [shell.returncode is None for shell in shells] == [False, False, True]
    await calm.socket.send(b"echo ca''lm\n")
    await calm.shows(b"calm")
    fresh = await (await open_client(server, "sessionId=a")).ready()
    assert fresh.frames == ['{"type":"ready"}']
    assert server.wakes == 3


async def test_it_sleeps_when_nobody_uses_it() -> None:
    async with CloudflareServer(sleep_after_s=0.3) as server:
        client = await (await open_client(server)).ready()
        assert await client.closed() == 1001
        assert server.containers == {}


async def test_a_dropped_socket_leaves_the_shell(server: CloudflareServer) -> None:
    client = await (await open_client(server)).ready()
    await client.shows(b"$ ")
    server.drop()
    assert await client.closed() is None
    again = await (await open_client(server)).ready()
    assert again.output == b"$ "


async def test_without_a_controlling_terminal_ctrl_c_ends_nothing() -> None:
    for has_one in (True, False):
        async with CloudflareServer(has_controlling_terminal=has_one) as server:
            client = await (await open_client(server)).ready()
            await client.shows(b"$ ")
            seconds = b"1000" if has_one else b"1"
            await client.socket.send(b"sh -c \"echo sle''eps; exec sleep " + seconds + b"\"; echo do''ne\n")
            await client.shows(b"sleeps\r\n")
            await client.socket.send(b"\x03")
            await client.shows(b"^C")  # it throws away what was typed before it is done
            await client.socket.send(b"echo af''ter\n")
            await client.shows(b"after\r\n")
            assert (b"done\r\n" in client.output) is not has_one
