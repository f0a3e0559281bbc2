"""The machine of a run: a real server that is started again whenever it is gone, its disk, its clock and its links."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import random
import resource
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from pathlib import Path

from wormux.sandbox.processes import descendants, parent, start_time, state
from wormux.testing.errors import TooLate
from wormux.testing.fault_link import FaultLink
from wormux.testing.server_process import Process, ServerEnded, ServerProcess, wait_until

from . import house, jumping_clock
from .descriptors import lowest_free, unix_links, why_not_taken
from .plan import KINDS, Kind

DISK_BYTES = 96 * 1024 * 1024
"""Of the disk of a run's own: a store of some panes takes a few megabytes."""
_START_AGAIN_S = 0.2
_FILL_EVERY_S = 0.05
_WORKER = b"wormux.screen.worker"


class Machine:
    """See the module. In a house of its own it has a disk and a loopback device; else it does without."""

    def __init__(
        self,
        folder: Path,
        shell: str,
        links: Sequence[FaultLink],
        options: Sequence[str],
        *,
        housed: bool,
        has_time: bool,
    ) -> None:
        self.folder = folder
        self.links = links
        self.housed = housed
        self.has_time = has_time
        self.disk = folder / "disk"
        self.disk.mkdir()
        self._clock = folder / "clock"
        self._wall_ns = self._ahead_s = 0
        self._write_clock()
        self.server = ServerProcess(
            self.disk / "data",
            "--shell",
            shell,
            *options,
            *(option for link in links for option in ("--public-url", link.url)),
            command=(sys.executable, "-P", jumping_clock.__file__, str(self._clock)),
        )
        self.starts = 0
        self.failed_starts: list[str] = []
        self.seen: set[Process] = set()
        """All that was ever started, as far as somebody looked."""
        self.agents_of: defaultdict[str, set[Process]] = defaultdict(set)
        self._lock = asyncio.Lock()

    @cached_property
    def missing(self) -> dict[Kind, str]:
        """The kinds of faults that cannot be done here, and why."""
        missing: dict[Kind, str] = {}
        if not self.housed:
            missing["link down"] = "needs a network namespace"
        if not self.has_time:
            missing["other clock"] = "needs a time namespace"
        if (reason := why_not_taken()) is not None:
            missing["cut agent link"] = reason
        return missing

    @property
    def kinds(self) -> list[Kind]:
        return [kind for kind in KINDS if kind not in self.missing]

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """With a disk of its own, if it can have one."""
        if not self.housed:
            yield
            return
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "chaos", self.disk], check=True
        )
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", self.disk], check=True)

    # --- The server ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Until it runs: a server that cannot start, for want of what a fault took, is started again."""
        while True:
            try:
                await asyncio.to_thread(self.server.start)
            except (ServerEnded, TooLate) as error:
                self.failed_starts.append(str(error).splitlines()[-1])
                await asyncio.sleep(_START_AGAIN_S)
            else:
                break
        self.starts += 1
        for link in self.links:
            link.server_url = self.server.url
        self.look()

    async def replace_server(self, dice: random.Random, *, kill: bool, other_clock: bool = False) -> None:
        """End it and start the next, at times killed once more while it starts."""
        async with self._lock:
            self.look()
            await asyncio.to_thread(self.server.kill if kill else self._terminate)
            if other_clock:
                self._ahead_s = dice.randrange(10**6)
                self._write_clock()
            if kill and dice.random() < 0.3:
                await self._kill_at_start(dice.uniform(0, 0.6))
            await self.start()

    def _terminate(self) -> None:
        """As a service manager does, which kills what does not end in time."""
        try:
            self.server.terminate()
        except TooLate:
            self.server.kill()

    async def _kill_at_start(self, after_s: float) -> None:
        starting = asyncio.create_task(asyncio.to_thread(self.server.start))
        await asyncio.sleep(after_s)
        await asyncio.to_thread(wait_until, lambda: self.server.is_running or starting.done(), "the process")
        await asyncio.to_thread(self.server.kill)
        with contextlib.suppress(ServerEnded, TooLate):
            await starting

    # --- Processes -----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Remember who runs."""
        for agent in self.server.agents():
            self.agents_of[agent.sandbox_id].add(Process(agent.pid, agent.started))
        self.seen.update(Process(one.pid, one.started) for one in self.everybody())

    def everybody(self) -> list[Process]:
        """The server, its workers, agents and what runs in sandboxes."""
        return [*self.servers(), *self.below_server(), *self.agents(), *self.shells()]

    def describe(self) -> list[str]:
        """Everybody, with what they do, for the story of a failure."""
        return [
            f"process {one.pid}, child of {parent(one.pid)}, {state(one.pid)}: "
            + b" ".join(_command(one.pid)).decode(errors="replace")
            for one in self.everybody()
        ]

    def servers(self) -> list[Process]:
        return _processes([self.server.pid]) if self.server.is_running else []

    def below_server(self) -> list[Process]:
        """Its workers, and what it has just started."""
        return _processes(descendants(self.server.pid)) if self.server.is_running else []

    def workers(self) -> list[Process]:
        """Those of the server's screens."""
        return [one for one in self.below_server() if _WORKER in _command(one.pid)]

    def agents(self) -> list[Process]:
        return [Process(agent.pid, agent.started) for agent in self.server.agents()]

    def shells(self) -> list[Process]:
        """What runs in the sandboxes."""
        return [shell for agent in self.server.agents() for shell in agent.shells()]

    def cut_agent_links(self, target: int | None) -> None:
        """One of the server's connections to agents breaks, or all of them, while both ends live."""
        if not self.server.is_running:
            return
        links = list(unix_links(self.server.pid, self.server.runtime_dir))
        for number, link in enumerate(links):
            if target is None or number == target % len(links):
                with contextlib.suppress(OSError):  # it is over already
                    link.shutdown(socket.SHUT_RDWR)
        for link in links:
            link.close()

    # --- What is short -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def without_descriptors(self) -> AsyncIterator[None]:
        """The server that serves, or the next that does, can open nothing more."""
        async with self._lock:
            pid = self.server.pid
        try:
            soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free(pid), hard))
        except OSError:
            yield  # it has just ended
            return
        try:
            yield
        finally:
            for one in {pid, *descendants(pid), *(agent.pid for agent in self.agents())}:
                with contextlib.suppress(OSError):  # it has ended
                    limit, most = resource.prlimit(one, resource.RLIMIT_NOFILE)
                    if limit < soft:
                        resource.prlimit(one, resource.RLIMIT_NOFILE, (min(soft, most), most))

    async def fill_disk(self, for_s: float) -> None:
        """Nothing can be written for so long: on a disk of its own because it is full, else because no file of the
        server may get larger."""
        if not self.housed:
            await self._limit_files(for_s)
            return
        until_s = time.monotonic() + for_s
        filler = self.disk / "filler"
        try:
            with filler.open("wb", buffering=0) as file:
                while time.monotonic() < until_s:
                    _fill(file.fileno())
                    await asyncio.sleep(_FILL_EVERY_S)
        finally:
            filler.unlink()

    async def _limit_files(self, for_s: float) -> None:
        pid = self.server.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        with contextlib.suppress(OSError):  # it has ended
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (mmap.PAGESIZE, hard))
        await asyncio.sleep(for_s)
        for one in {pid, *descendants(pid), *(agent.pid for agent in self.agents())}:
            with contextlib.suppress(OSError):
                resource.prlimit(one, resource.RLIMIT_FSIZE, (soft, hard))

    # --- Clock and link ------------------------------------------------------------------------------------------

    def set_wall_clock(self, offset_s: int) -> None:
        """Of the server's process, at once."""
        self._wall_ns = offset_s * 1_000_000_000
        self._write_clock()

    def _write_clock(self) -> None:
        descriptor = os.open(self._clock, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(descriptor, jumping_clock.FORM.pack(self._wall_ns, self._ahead_s), 0)
        finally:
            os.close(descriptor)

    async def take_link_down(self, for_s: float) -> None:
        """The loopback device of the house: everything between clients and server is lost meanwhile."""
        await asyncio.to_thread(house.set_link, up=False)
        try:
            await asyncio.sleep(for_s)
        finally:
            house.set_link(up=True)


def resident_bytes(pid: int) -> int:
    """Of memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * mmap.PAGESIZE


def _fill(descriptor: int) -> None:
    block = bytes(1024 * 1024)
    while block:
        try:
            os.write(descriptor, block)
        except OSError:
            block = block[: len(block) // 2] if len(block) > 512 else b""


def _processes(pids: Sequence[int]) -> list[Process]:
    return [Process(pid, started) for pid in pids if (started := start_time(pid)) is not None]


def _command(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
