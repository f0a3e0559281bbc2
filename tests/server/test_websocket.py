from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from starlette.types import Message

from tests.server.kit import WITHIN_S
from wormux.ids import Channel
from wormux.limits import SENT_REPORT_BYTES
from wormux.server import websocket
from wormux.server.counts import Counts
from wormux.server.websocket import FrameLanes


@dataclass
class Socket:
    """Takes one message for each `take`; until then the sender waits."""

    taken: list[Message] = field(default_factory=list)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self._offered = asyncio.Semaphore(0)
        self._may_take = asyncio.Semaphore(0)

    async def send(self, message: Message) -> None:
        self._offered.release()
        await self._may_take.acquire()
        if self.error is not None:
            raise self.error
        self.taken.append(message)

    async def offered(self) -> None:
        """Returns once a further message waits to be taken."""
        async with asyncio.timeout(WITHIN_S):
            await self._offered.acquire()

    async def take(self, count: int = 1) -> None:
        for _ in range(count):
            await self.offered()
            self._may_take.release()

    def frames(self) -> list[bytes]:
        return [message["bytes"] for message in self.taken if message["type"] == "websocket.send"]


@dataclass
class Bench:
    socket: Socket
    lanes: FrameLanes
    counts: Counts
    reports: asyncio.Queue[int]
    writer: asyncio.Task[None]

    async def reported(self) -> int:
        async with asyncio.timeout(WITHIN_S):
            return await self.reports.get()

    async def ended(self) -> None:
        await asyncio.wait([self.writer], timeout=WITHIN_S)
        assert self.writer.done()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    socket, counts, reports = Socket(), Counts(), asyncio.Queue[int]()
    lanes = FrameLanes(socket.send, counts)
    writer = asyncio.create_task(lanes.write(reports.put_nowait))
    yield Bench(socket, lanes, counts, reports, writer)
    writer.cancel()


async def test_urgent_frames_overtake_the_others_in_their_own_order(bench: Bench) -> None:
    for frame in (b"\x00a", b"\x00b"):
        bench.lanes.send(frame, urgent=False)
    for frame in (b"\xff1", b"\xff2"):
        bench.lanes.send(frame, urgent=True)
    await bench.socket.take(4)
    await bench.reported()
    assert bench.socket.frames() == [b"\xff1", b"\xff2", b"\x00a", b"\x00b"]


async def test_an_urgent_frame_overtakes_what_waits_behind_a_slow_one(bench: Bench) -> None:
    for frame in (b"\x00a", b"\x00b"):
        bench.lanes.send(frame, urgent=False)
    await bench.socket.offered()
    bench.lanes.send(b"\xff1", urgent=True)
    bench.socket._may_take.release()
    await bench.socket.take(2)
    await bench.reported()
    assert bench.socket.frames() == [b"\x00a", b"\xff1", b"\x00b"]


async def test_sent_bytes_are_told_once_the_lane_is_empty(bench: Bench) -> None:
    bench.lanes.send(b"\x00abc", urgent=False)
    bench.lanes.send(b"\xffurgent", urgent=True)
    bench.lanes.send(b"\x01de", urgent=False)
    await bench.socket.take(3)
    assert await bench.reported() == len(b"\x00abc\x01de")
    assert bench.reports.empty()
    assert bench.counts.sent_bytes == len(b"\x00abc\xffurgent\x01de")


async def test_sent_bytes_are_told_within_a_long_lane(bench: Bench) -> None:
    frame = bytes(SENT_REPORT_BYTES // 2)
    for _ in range(3):
        bench.lanes.send(frame, urgent=False)
    await bench.socket.take(2)
    assert await bench.reported() == SENT_REPORT_BYTES
    await bench.socket.take()
    assert await bench.reported() == SENT_REPORT_BYTES // 2


async def test_what_the_socket_has_not_taken_is_not_told(bench: Bench) -> None:
    bench.lanes.send(b"\x00abc", urgent=False)
    await bench.socket.offered()
    assert bench.reports.empty()
    assert bench.counts.sent_bytes == 0


async def test_dropped_frames_are_not_sent_and_count_as_sent(bench: Bench) -> None:
    for frame in (b"\x01first", b"\x01abc", b"\x02de", b"\xff1", b"\x01f"):
        bench.lanes.send(frame, urgent=False)
    bench.lanes.send(b"\x01urgent", urgent=True)
    await bench.socket.offered()  # the urgent one is under way
    bench.lanes.drop(Channel(1))
    bench.socket._may_take.release()
    await bench.socket.take(2)
    assert await bench.reported() == len(b"\x01first\x01abc\x02de\xff1\x01f")
    assert bench.socket.frames() == [b"\x01urgent", b"\x02de", b"\xff1"]


async def test_dropping_all_that_waits_is_told(bench: Bench) -> None:
    bench.lanes.send(b"\x01abc", urgent=False)
    bench.lanes.drop(Channel(1))
    assert await bench.reported() == 4


async def test_closing_sends_what_is_urgent_and_nothing_else(bench: Bench) -> None:
    bench.lanes.send(b"\x00a", urgent=False)
    bench.lanes.send(b"\xff1", urgent=True)
    bench.lanes.close(4408, "late")
    bench.lanes.close(4429, "again")
    bench.lanes.send(b"\xff2", urgent=True)
    await bench.socket.take(2)
    await bench.ended()
    assert bench.socket.taken == [
        {"type": "websocket.send", "bytes": b"\xff1"},
        {"type": "websocket.close", "code": 4408, "reason": "late"},
    ]


async def test_a_socket_that_takes_nothing_is_let_go(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "DRAIN_S", 0.01)
    bench.lanes.send(b"\x00a", urgent=False)
    await bench.socket.offered()
    bench.lanes.close(4429, "too much")
    await bench.ended()
    assert bench.socket.taken == []


async def test_a_client_that_is_gone_ends_the_writer(bench: Bench) -> None:
    bench.socket.error = ConnectionResetError()
    bench.lanes.send(b"\x00a", urgent=False)
    await bench.socket.take()
    await bench.ended()
    assert bench.writer.exception() is None


async def test_a_host_that_has_closed_the_socket_ends_the_writer(bench: Bench) -> None:
    """As uvicorn says it, between the client's close frame and the reader's turn."""
    bench.socket.error = RuntimeError(
        "Unexpected ASGI message 'websocket.send', after sending 'websocket.close'."
    )
    bench.lanes.send(b"\xffone", urgent=True)
    await bench.socket.take()
    await bench.ended()
    assert bench.writer.exception() is None
