"""A worker does what comes on its link, has nothing that it does not need, and ends with its link."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.screen.odd_screens import ANSWER, HANG, LOOP, OPEN_ODD, QUERY
from wormux.limits import MIB
from wormux.protocol.screen_link import (
    HEADER,
    Answered,
    CloseScreen,
    Fed,
    Feed,
    OpenScreen,
    RedrawTaken,
    ScreenEvent,
    ScreenRequest,
    TakeRedraw,
    decode_event,
    encode,
)
from wormux.screen.process import WorkerCommand, page_file, spawn

WITHIN_S = 30.0
OPEN = OpenScreen(0, 80, 24)
ABOUT = OpenScreen(0, 100, 24)


class Worker:
    """A worker and the other end of its link."""

    def __init__(self, opener: str = OPEN_ODD) -> None:
        self.link, theirs = socket.socketpair()
        self.link.settimeout(WITHIN_S)
        page = page_file()
        with theirs:
            self.process = spawn(WorkerCommand(sys.executable, opener, 64 * MIB), theirs.fileno(), page)
        os.close(page)
        self._received = b""

    def tell(self, *requests: ScreenRequest, number: int = 1) -> None:
        """All at once."""
        self.link.sendall(b"".join(encode(number, request) for request in requests))

    def next_event(self) -> tuple[int, ScreenEvent]:
        while True:
            if len(self._received) >= HEADER.size:
                (length,) = HEADER.unpack_from(self._received)
                if len(self._received) >= HEADER.size + length:
                    payload = self._received[HEADER.size : HEADER.size + length]
                    self._received = self._received[HEADER.size + length :]
                    return decode_event(payload)
            data = self.link.recv(65536)
            assert data, "the worker ended"
            self._received += data

    def redraw(self, number: int = 1) -> bytes:
        self.tell(TakeRedraw(100, MIB), number=number)
        while True:
            of, event = self.next_event()
            if of == number and isinstance(event, RedrawTaken):
                return event.data


@contextmanager
def running(opener: str = OPEN_ODD) -> Iterator[Worker]:
    worker = Worker(opener)
    try:
        yield worker
    finally:
        worker.link.close()
        worker.process.kill()
        worker.process.wait()


def test_what_comes_together_is_answered_together() -> None:
    with running() as worker:
        worker.tell(OPEN, *[Feed(b"x" * 10)] * 50, Feed(QUERY), *[Feed(b"y")] * 50)
        end = 500 + len(QUERY)
        assert worker.next_event() == (1, Answered(end, ANSWER))
        assert worker.next_event() == (1, Fed(end + 50))


def test_frames_may_be_cut_anywhere() -> None:
    frame = encode(1, OPEN) + encode(1, Feed(b"some output"))
    with running() as worker:
        for byte in frame:
            worker.link.sendall(bytes([byte]))
        assert worker.next_event() == (1, Fed(11))


def test_large_frames_come_through() -> None:
    with running() as worker:
        worker.tell(OPEN, *[Feed(b"x" * 4 * MIB + b"\n")] * 3, Feed(b"end"))
        assert worker.redraw().endswith(b"end")


def test_it_ends_with_its_link() -> None:
    with running() as worker:
        worker.tell(OPEN, Feed(b"x"))
        worker.next_event()
        worker.link.close()
        assert worker.process.wait(WITHIN_S) == 0


def test_it_ends_with_its_link_while_it_has_much_to_say() -> None:
    with running() as worker:
        worker.tell(OPEN, Feed(b"x" * 100_000), *[TakeRedraw(100, MIB)] * 100)
        worker.next_event()
        worker.link.close()
        assert worker.process.wait(WITHIN_S) == 0


@pytest.mark.parametrize("noise", [HEADER.pack(2) + b"no", HEADER.pack(2**31), encode(1, Fed(0))])
def test_it_ends_on_what_no_server_says(noise: bytes) -> None:
    with running() as worker:
        worker.link.sendall(noise)
        assert worker.process.wait(WITHIN_S) == 1


def test_what_ends_servers_does_not_end_it() -> None:
    with running() as worker:
        worker.tell(OPEN, Feed(b"still here"))
        worker.next_event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            worker.process.send_signal(number)
        assert worker.redraw() == b"still here"


def test_it_is_out_of_reach_of_the_terminal() -> None:
    with running() as worker:
        worker.tell(OPEN, Feed(b"x"))
        worker.next_event()
        assert os.getsid(worker.process.pid) == worker.process.pid


def test_it_does_not_compute_for_ever() -> None:
    with running("tests.screen.odd_screens:open_impatient") as worker:
        worker.tell(OPEN, Feed(LOOP))
        assert worker.process.wait(WITHIN_S) == -signal.SIGPROF


def test_it_gets_none_of_the_servers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORMUX_TOKEN", "secret")
    monkeypatch.setenv("SOME_KEY", "secret")
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    with running() as worker:
        worker.tell(ABOUT)
        shown = worker.redraw().decode().split("\n")
        assert "PYTHONPATH" in shown
        assert not {"WORMUX_TOKEN", "SOME_KEY", "PYTHONWARNINGS", "HOME"} & set(shown)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_has_given_up_what_it_does_not_need() -> None:
    with running() as worker:
        worker.tell(OPEN, Feed(b"x"))
        worker.next_event()
        proc = Path(f"/proc/{worker.process.pid}")
        assert "NoNewPrivs:\t1" in (proc / "status").read_text()
        assert resource.prlimit(worker.process.pid, resource.RLIMIT_CORE) == (0, 0)
        assert resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE)[1] < 100
        assert resource.prlimit(worker.process.pid, resource.RLIMIT_DATA)[1] < 2048 * MIB
        assert (proc / "stat").stat().st_uid == 0, "others of the same user could look into it"


def test_closed_screens_are_given_back() -> None:
    with running() as worker:
        worker.tell(ABOUT, number=1)
        for number in range(2, 10_002):
            worker.tell(OPEN, Feed(b"x"), CloseScreen(), number=number)
        assert b"living=0" in worker.redraw()


SERVER = """
import asyncio, sys
from wormux.ids import PaneId
from wormux.protocol.screen_link import Feed, OpenScreen
from wormux.screen.pool import ScreenPool

async def main():
    said = asyncio.Event()
    pool = ScreenPool(lambda *_: said.set(), opener=sys.argv[1])
    pool.tell(PaneId("pane"), 1, OpenScreen(0, 80, 24))
    pool.tell(PaneId("pane"), 1, Feed(b"x"))
    await said.wait()
    pool.tell(PaneId("pane"), 1, Feed(sys.argv[2].encode()))
    print(pool.worker_pids[0], flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="waits for a process that is not a child")
@pytest.mark.parametrize("doing", [b"nothing", HANG, LOOP])
def test_no_worker_outlives_a_killed_server(doing: bytes) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, "-c", SERVER, OPEN_ODD, doing.decode()]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=env) as server:
        assert server.stdout is not None
        worker = os.pidfd_open(int(server.stdout.readline()))
        try:
            server.kill()
            assert select.select([worker], [], [], WITHIN_S)[0]
        finally:
            os.close(worker)
