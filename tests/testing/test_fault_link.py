"""The link carries bytes unchanged, and does at its byte what it was armed with."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from wormux.testing.fault_link import Fault, FaultKind, FaultLink, draw_fault

DATA = random.Random(1).randbytes(300_000)


@dataclass
class Echo:
    """A server that sends back what it gets, and keeps it."""

    link: FaultLink
    taken: bytearray = field(default_factory=bytearray)
    ends: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    """How its connections ended."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self.taken += data
                writer.write(data)
                await writer.drain()
            self.ends.put_nowait("closed")
        except ConnectionError:
            self.ends.put_nowait("reset")
        finally:
            writer.close()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = self.link.url.removeprefix("http://").partition(":")
        return await asyncio.open_connection(host, int(port))


@asynccontextmanager
async def echoing() -> AsyncIterator[Echo]:
    async with FaultLink() as link:
        echo = Echo(link)
        async with await asyncio.start_server(echo.serve, "127.0.0.1", 0) as server:
            link.server_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield echo


async def test_carries_both_ways_and_closes_properly() -> None:
    async with echoing() as echo:
        reader, writer = await echo.connect()
        writer.write(DATA)
        writer.write_eof()
        assert await reader.read() == DATA
        assert await echo.ends.get() == "closed"
        assert echo.link.bytes == {"up": len(DATA), "down": len(DATA)}
        writer.close()


@pytest.mark.parametrize("after_bytes", [1, 777, 200_000])
async def test_cuts_behind_a_byte(after_bytes: int) -> None:
    async with echoing() as echo:
        echo.link.arm(Fault("cut", "up", after_bytes))
        reader, writer = await echo.connect()
        writer.write(DATA)
        assert await echo.ends.get() == "reset"
        assert echo.taken == DATA[:after_bytes]
        with pytest.raises(ConnectionError):
            await reader.read()
        await echo.link.wait_over()
        writer.close()

        reader, writer = await echo.connect()  # the next one is well
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"
        writer.close()


@pytest.mark.parametrize("kind", ["client unaware", "server unaware"])
async def test_one_side_is_never_told(kind: FaultKind) -> None:
    async with echoing() as echo:
        echo.link.arm(Fault(kind, "down", 5))
        reader, writer = await echo.connect()
        writer.write(b"hello and more")
        assert await reader.readexactly(5) == b"hello"
        await echo.link.wait_over()
        if kind == "client unaware":
            assert await echo.ends.get() == "reset"
            assert not reader.at_eof()
            writer.write(b"into nowhere")
            await writer.drain()
        else:
            with pytest.raises(ConnectionError):
                await reader.read(1)
            assert echo.ends.empty()
        writer.close()


@pytest.mark.parametrize("ends", [False, True])
async def test_stalls_until_it_is_released(ends: bool) -> None:
    async with echoing() as echo:
        echo.link.arm(Fault("stall", "up", 100, ends=ends))
        reader, writer = await echo.connect()
        writer.write(DATA[:1000])
        await echo.link.wait_struck()
        carried = dict(echo.link.bytes)
        assert carried["up"] == 100
        other_reader, other_writer = await echo.connect()
        other_writer.write(DATA)
        assert await other_reader.readexactly(len(DATA)) == DATA
        assert echo.link.bytes["up"] == carried["up"] + len(DATA)
        echo.link.release()
        await echo.link.wait_over()
        if ends:
            with pytest.raises(ConnectionError):
                await reader.readexactly(1000)
        else:
            assert await reader.readexactly(1000) == DATA[:1000]
        writer.close()
        other_writer.close()


async def test_slows_down_for_a_while() -> None:
    async with echoing() as echo:
        echo.link.arm(Fault("slow", "down", 1000, ends=False, bytes_per_second=100_000, slow_bytes=5000))
        reader, writer = await echo.connect()
        writer.write(DATA)
        await echo.link.wait_struck()
        began_s = asyncio.get_running_loop().time()
        await echo.link.wait_over()
        assert asyncio.get_running_loop().time() - began_s > 0.04
        assert await reader.readexactly(len(DATA)) == DATA
        writer.close()


async def test_a_server_that_is_not_there_cuts() -> None:
    async with echoing() as echo:
        echo.link.server_url = "http://127.0.0.1:1"
        reader, writer = await echo.connect()
        with pytest.raises(ConnectionError):
            await reader.read(1)
        writer.close()


def test_a_seed_draws_every_kind_near_and_far() -> None:
    faults = [draw_fault(random.Random(seed), 10_000) for seed in range(200)]
    assert {fault.kind for fault in faults} == {"cut", "client unaware", "server unaware", "stall", "slow"}
    assert {fault.mends for fault in faults} == {False, True}
    assert min(fault.after_bytes for fault in faults) < 10
    assert 1000 < max(fault.after_bytes for fault in faults) <= 10_000
    assert draw_fault(random.Random(7), 10_000) == draw_fault(random.Random(7), 10_000)
