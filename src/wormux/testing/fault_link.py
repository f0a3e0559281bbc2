"""A TCP link between a client and a server that goes wrong where it is told to, in the middle of whatever is under way.

Faults strike at byte counts and stalls end when they are told to, so that a plan drawn from a seed needs no clock.

    async with FaultLink() as link:
        server = ServerProcess(data_dir, "--public-url", link.url)
        link.server_url = server.url
        ...                                   # clients connect to link.url
        link.arm(Fault("cut", "down", after_bytes=1000))
        await link.wait_struck()
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from wormux.testing.errors import TooLate

Direction = Literal["up", "down"]
"""To the server, or to the client."""
FaultKind = Literal["cut", "client unaware", "server unaware", "stall", "slow"]

WITHIN_S = 30.0
"""The deadline of everything that is waited for."""
_CHUNK_BYTES = 64 * 1024
_BACKLOG = 32
_ABANDONED = 64
"""Sides that were never told are kept so many at a time: enough for any test, too few to run out of descriptors."""
_RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing sends RST and drops what was not sent."""
_SLOW_STEP_S = 0.01
"""A slow link forwards what fits into this time at once."""


@dataclass(frozen=True)
class Fault:
    """What happens, once, when `after_bytes` more bytes have gone in `direction`: to the connection that carried the
    last of them.

    - `cut`: both sides hear RST.
    - `client unaware`, `server unaware`: the other side hears RST; this one's connection stays open, and nothing ever
      comes or goes on it again.
    - `stall`: nothing is forwarded in either direction until `FaultLink.release`.
    - `slow`: so many `bytes_per_second` in either direction, for the next `slow_bytes` in `direction`.
    """

    kind: FaultKind
    direction: Direction
    after_bytes: int
    ends: bool = True
    """A stall or slowness ends with a cut; else the connection is well again."""
    bytes_per_second: int = 0
    slow_bytes: int = 0

    @property
    def mends(self) -> bool:
        """The connection outlives it."""
        return self.kind in ("stall", "slow") and not self.ends


def draw_fault(dice: random.Random, most_bytes: int) -> Fault:
    """Any fault, after few bytes as often as after many, so that handshakes and heads of frames are struck too."""
    kinds: tuple[FaultKind, ...] = (
        "cut",
        "cut",
        "client unaware",
        "server unaware",
        "stall",
        "stall",
        "slow",
    )
    rate = dice.randrange(20_000, 200_000)
    return Fault(
        dice.choice(kinds),
        dice.choice(("up", "down")),
        after_bytes=round(most_bytes ** dice.random()),
        ends=dice.random() < 0.5,
        bytes_per_second=rate,
        slow_bytes=dice.randrange(1, rate // 10),
    )


class FaultLink:
    """See the module. One fault is armed at a time; connections without one only carry bytes."""

    def __init__(self) -> None:
        self.server_url = ""
        """Where connections go; may change when the server is another one."""
        self.bytes: dict[Direction, int] = {"up": 0, "down": 0}
        """Forwarded, on all connections together."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._listener.setblocking(False)
        self._fault: Fault | None = None
        self._bytes_left = 0
        self._struck = asyncio.Event()
        self._over = asyncio.Event()
        self._released = asyncio.Event()
        self._carried: set[_Connection] = set()
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._abandoned: deque[socket.socket] = deque()

    @property
    def url(self) -> str:
        """For clients, and for the server's `--public-url`."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._spawn(self._accept())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()
        while self._abandoned:
            _reset(self._abandoned.popleft())
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    # --- Faults ------------------------------------------------------------------------------------------

    def arm(self, fault: Fault) -> None:
        """It strikes any connection that is carried, or the next; bytes count from now on. Replaces one that never
        struck."""
        assert self._fault is None or not self._struck.is_set() or self._over.is_set(), "One is under way."
        self._fault = fault
        self._bytes_left = fault.after_bytes
        self._struck.clear()
        self._over.clear()
        self._released.clear()

    def release(self) -> None:
        """Let the stall end, that which is armed or under way."""
        self._released.set()

    async def wait_struck(self) -> None:
        """The armed fault has begun. Raises `TooLate`."""
        await self._wait(self._struck, "begin")

    async def wait_over(self) -> None:
        """The armed fault has passed: its connection is cut, or well again. Raises `TooLate`."""
        await self._wait(self._over, "pass")

    async def wait_carrying(self, count: int) -> None:
        """No more connections than so many are carried: a client that just left may have been the link's until now.
        Raises `TooLate`."""
        while len(self._carried) > count:
            self._ended.clear()
            await self._wait(self._ended, f"leave {count} connections")

    async def _wait(self, event: asyncio.Event, what: str) -> None:
        try:
            async with asyncio.timeout(WITHIN_S):
                await event.wait()
        except TimeoutError:
            raise TooLate(
                f"Waited {WITHIN_S:g} s for {self._fault} to {what}; forwarded: {self.bytes}."
            ) from None

    # --- Connections -------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="fault link")
        self._tasks.add(task)
        return task

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self._listener)
            self._spawn(self._carry(client)).add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is None:  # the rest is raised when the link is left
            self._tasks.discard(task)

    async def _carry(self, client: socket.socket) -> None:
        server = socket.socket()
        connection = _Connection({"up": server, "down": client})
        self._carried.add(connection)
        try:
            for side in (client, server):
                side.setblocking(False)
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            address = urlsplit(self.server_url)
            await asyncio.get_running_loop().sock_connect(server, (address.hostname, address.port))
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(connection, "up", client, server))
                pumps.create_task(self._pump(connection, "down", server, client))
            while connection.sinks:  # properly, after what they said last
                connection.sinks.popitem()[1].close()
        except* OSError:
            pass  # one side broke off: so does the other
        except* _Cut as cut:
            for direction in _unaware(cut):
                self._abandon(connection.sinks.pop(direction))
        finally:
            for side in connection.sinks.values():
                _reset(side)
            if connection.bytes_per_second:
                self._over.set()  # its end is the end of its slowness
            self._carried.discard(connection)
            self._ended.set()

    def _abandon(self, side: socket.socket) -> None:
        self._abandoned.append(side)
        if len(self._abandoned) > _ABANDONED:
            _reset(self._abandoned.popleft())

    async def _pump(
        self, connection: _Connection, direction: Direction, source: socket.socket, sink: socket.socket
    ) -> None:
        """Until the source says that it has ended, which is passed on."""
        loop = asyncio.get_running_loop()
        while True:
            await connection.flows.wait()
            data = await loop.sock_recv(source, self._room(connection, direction))
            if not data:
                break
            while data:
                await connection.flows.wait()
                piece = data[: self._room(connection, direction)]
                data = data[len(piece) :]
                await loop.sock_sendall(sink, piece)
                await self._count(connection, direction, len(piece))
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _waiting(self, connection: _Connection, direction: Direction) -> Fault | None:
        """The fault that will do something after so many bytes more of these."""
        fault = self._fault
        if fault is None or fault.direction != direction:
            return None
        return fault if not self._struck.is_set() or connection.bytes_per_second else None

    def _room(self, connection: _Connection, direction: Direction) -> int:
        """How many bytes may be forwarded at once."""
        room = max(1, self._bytes_left) if self._waiting(connection, direction) else _CHUNK_BYTES
        if connection.bytes_per_second:
            room = min(room, max(1, round(connection.bytes_per_second * _SLOW_STEP_S)))
        return min(room, _CHUNK_BYTES)

    async def _count(self, connection: _Connection, direction: Direction, count: int) -> None:
        """Forwarded. Returns when more may be; raises `_Cut` if this was the end."""
        self.bytes[direction] += count
        fault = self._waiting(connection, direction)
        if fault is not None:
            self._bytes_left -= count
            if self._bytes_left <= 0 and self._struck.is_set():
                self._pass(connection, fault)
            elif self._bytes_left <= 0:
                await self._strike(connection, fault)
        if connection.bytes_per_second:
            await asyncio.sleep(count / connection.bytes_per_second)

    async def _strike(self, connection: _Connection, fault: Fault) -> None:
        self._struck.set()
        match fault.kind:
            case "slow":
                connection.bytes_per_second = fault.bytes_per_second
                self._bytes_left = fault.slow_bytes
            case "stall":
                connection.flows.clear()
                await self._released.wait()
                self._pass(connection, fault)
            case _:
                self._over.set()
                raise _Cut(fault.kind)

    def _pass(self, connection: _Connection, fault: Fault) -> None:
        self._over.set()
        if fault.ends:
            raise _Cut("cut")
        connection.bytes_per_second = 0
        connection.flows.set()


class _Connection:
    """One that is carried."""

    def __init__(self, sinks: dict[Direction, socket.socket]) -> None:
        self.sinks = sinks
        """Its two sides, by where they receive."""
        self.flows = asyncio.Event()
        """Cleared by a stall."""
        self.flows.set()
        self.bytes_per_second = 0
        """0: as fast as it goes."""


class _Cut(Exception):
    """A connection's end, and how."""

    def __init__(self, kind: FaultKind) -> None:
        super().__init__(kind)
        self.kind = kind


def _unaware(cuts: BaseExceptionGroup[_Cut]) -> set[Direction]:
    kinds = {cut.kind for cut in cuts.exceptions if isinstance(cut, _Cut)}
    sides: dict[FaultKind, Direction] = {"client unaware": "down", "server unaware": "up"}
    return {direction for kind, direction in sides.items() if kind in kinds}


def _reset(side: socket.socket) -> None:
    with contextlib.suppress(OSError):
        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    side.close()
