"""One run: people use a real server, storms of faults pass over it, and at the end everything is compared."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from wormux.errors import WormuxError
from wormux.ids import PaneId
from wormux.limits import CONNECTION_UNSENT_BYTES, LOG_BYTES, MIB
from wormux.screen.answers import Answers
from wormux.testing.client import ScriptedClient
from wormux.testing.fault_link import FaultLink

from . import house, oracle
from .descriptors import descriptors
from .faults import Faults
from .machine import Machine, resident_bytes
from .plan import Kind, Storm, storms
from .programs import Scribes, typed_by
from .users import User, Visitor

RECOVERS_WITHIN_S = 60.0
"""From the end of a storm until everything works for everybody, unless told otherwise. Most of it is for slow machines:
the report says how long it took."""
_LOOK_EVERY_S = 0.05
_TELL_EVERY_S = 3.0
"""How often the story says what is waited for."""
_MORE_DESCRIPTORS = 8
"""Than before, that are no leak: what happens to be under way."""
_MORE_MEMORY_BYTES = 48 * MIB
"""Than before, beyond what panes and clients may cost: what an allocator does not give back."""
_MAY_REFUSE = {"storage", "busy", "sandbox_failed"}
"""Codes of errors that faults explain."""
_KEPT_FILES = {
    "wormux.db",
    "wormux.db-wal",
    "wormux.db-shm",
    "wormux.lock",
    "token",
    "audit.log",
    "sandboxes",
}


class ChaosFailed(WormuxError):
    """What must hold does not."""


@dataclass(frozen=True)
class Options:
    """What is run."""

    seed: int
    seconds: float
    once: bool
    """It ends when every kind of fault has come, however long that takes."""
    sessions: int
    panes: int
    """Of each session."""
    clients: int
    rate: int
    """Bytes per second that each program writes."""
    longest_s: float
    at_once: int
    recovers_within_s: float
    sleep_mode: str


@dataclass
class Report:
    """What came of it."""

    done: Counter[str] = field(default_factory=Counter)
    log: list[str] = field(default_factory=list)
    """What happened, with times since the start."""
    recoveries: list[tuple[float, str]] = field(default_factory=list)
    """Seconds, and after what."""
    facts: dict[str, object] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


class Run:
    """See the module."""

    def __init__(self, options: Options, folder: Path, report: Report, *, housed: bool) -> None:
        self._options = options
        self._report = report
        self._housed = housed
        self._folder = folder
        self._scribes = Scribes(folder / "scribes", options.rate)
        self._began_s = time.monotonic()
        self._panes: list[PaneId] = []
        self._sandboxes: dict[PaneId, str] = {}
        self._users: list[User] = []
        self._look = _nobody
        self._last: dict[PaneId, int] = {}
        """The pid of the program behind each pane, at the end."""
        self._origins: dict[PaneId, int] = {}
        """The position of its first byte."""

    @property
    def missing(self) -> dict[Kind, str]:
        """The kinds of faults that could not be done, and why."""
        return self._machine.missing

    async def carry_out(self) -> None:
        """Raises `ChaosFailed` with all that is wrong, and whatever a client raises for it."""
        async with AsyncExitStack() as stack:
            links = [await stack.enter_async_context(FaultLink()) for _ in range(self._options.clients + 1)]
            self._machine = Machine(
                self._folder,
                self._scribes.shell,
                links,
                ("--sleep-mode", self._options.sleep_mode),
                housed=self._housed,
                has_time=house.has_time(),
            )
            stack.enter_context(self._machine.mounted())
            stack.callback(self._save_logs)
            stack.callback(self._machine.server.stop_all)
            await self._machine.start()
            await self._use(links)
        if self._report.wrong:
            raise ChaosFailed("\n".join(self._report.wrong))

    async def _use(self, links: Sequence[FaultLink]) -> None:
        server, options = self._machine.server, self._options
        for number, link in enumerate(links[:-1]):
            user = User(number, link, server.token, 1000 * options.seed + number)
            user.tells = self._tell
            self._users.append(user)
        visitor = Visitor(links[-1], server.token, 1000 * options.seed + 999)
        faults = Faults(self._machine, self._users)
        await self._make_panes()
        async with _running(*(user.live() for user in self._users), visitor.live()) as look:
            self._look = look
            await self._calm("the start")
            before = self._measure()
            await self._storms(faults)
            self._machine.set_wall_clock(0)
            after = self._measure()
            await self._finish()
        self._look = _nobody
        self._compare(visitor, faults)
        self._compare_measures(before, after)
        await self._leave(visitor)

    async def _make_panes(self) -> None:
        first = self._users[0]
        await first.client.connect()
        for number in range(self._options.sessions):
            if number:
                await first.client.request("session_create", name=f"session {number}")
            (pane,) = first.client.model.panes.keys() - set(self._panes)
            self._panes.append(pane)
            for _ in range(self._options.panes - 1):
                made = await first.client.request(
                    "pane_split", pane_id=pane, orientation="vertical", cols=80, rows=24
                )
                assert made.pane_id is not None
                self._panes.append(made.pane_id)
        for session in first.client.model.sessions.values():
            for pane in first.client.model.panes_of(session.id):
                self._sandboxes[pane] = session.sandbox_id
        for user in self._users:
            user.panes = tuple(self._panes)

    # --- Storms and calms ----------------------------------------------------------------------------------------

    async def _storms(self, faults: Faults) -> None:
        until_s = time.monotonic() + self._options.seconds
        options = self._options
        plan = storms(options.seed, self._machine.kinds, at_once=options.at_once, longest_s=options.longest_s)
        for number, storm in enumerate(plan, start=1):
            await self._pass(number, storm, faults)
            await self._calm(f"storm {number}")
            has_come = self._report.done.keys() >= set(self._machine.kinds)
            if has_come if options.once else time.monotonic() >= until_s:
                break

    async def _pass(self, number: int, storm: Storm, faults: Faults) -> None:
        async with asyncio.TaskGroup() as group:
            for fault in storm.faults:
                await asyncio.sleep(fault.after_s)
                self._tell(f"storm {number}: {fault}")
                self._report.done[fault.kind] += 1
                group.create_task(faults.carry_out(fault))

    async def _calm(self, after: str) -> None:
        """Everything works for everybody again, in time."""
        since_s, since_ms = time.monotonic(), int(1000 * time.clock_gettime(time.CLOCK_BOOTTIME))
        for user in self._users:
            user.prove()
        await self._until(
            lambda: [sentence for user in self._users for sentence in user.unwell(since_ms)],
            f"after {after}",
        )
        took_s = time.monotonic() - since_s
        self._report.recoveries.append((took_s, after))
        self._tell(f"well {took_s:.2f} s after {after}")
        self._machine.look()

    async def _until(self, wrong: Callable[[], list[str]], what: str) -> None:
        """Nothing is wrong any more. Raises `ChaosFailed` with what still is."""
        began_s = time.monotonic()
        deadline_s, tell_at_s = began_s + self._options.recovers_within_s, began_s + _TELL_EVERY_S
        while found := wrong():
            self._look()
            if time.monotonic() > tell_at_s:
                tell_at_s += _TELL_EVERY_S
                self._tell(f"not yet {what}: " + "; ".join(found))
            if time.monotonic() > deadline_s:
                self._tell("\n".join(user.client.describe() for user in self._users))
                self._tell("\n".join(self._machine.describe()))
                raise ChaosFailed(f"{self._options.recovers_within_s:g} s {what}: " + "; ".join(found) + ".")
            await asyncio.sleep(_LOOK_EVERY_S)

    def _measure(self) -> tuple[int, int]:
        pid = self._machine.server.pid
        return len(descriptors(pid)), resident_bytes(pid)

    # --- The end -------------------------------------------------------------------------------------------------

    async def _finish(self) -> None:
        """Nobody types; every program ends its output, and everybody has got all of it."""
        for user in self._users:
            user.rest()
        await self._until(
            lambda: [
                f"{user.name} misses acknowledgements" for user in self._users if not user.has_all_acked
            ],
            "after the last key",
        )
        for pane in self._panes:
            runs, _ = oracle.merge(self._views(pane))
            told = oracle.told(runs, self._written())
            self._last[pane] = told.pids[-1]
            self._origins[pane] = told.origins[told.pids[-1]]
            await self._users[0].end(pane)
        scribes = self._scribes.all()
        await self._until(
            lambda: [
                f"program {pid} has not read its end"
                for pid in self._last.values()
                if not scribes[pid].is_done
            ],
            "after the last key",
        )
        ends = {
            pane: origin + len(scribes[self._last[pane]].written) for pane, origin in self._origins.items()
        }
        await self._until(
            lambda: [
                f"{user.name} is at {user.position(pane)} of {pane} instead of {end}"
                for user in self._users
                for pane, end in ends.items()
                if user.position(pane) != end
            ],
            "after the last line",
        )
        await self._compare_screens()

    async def _compare_screens(self) -> None:
        """What a page shows that attaches now, of every pane, is what its program wrote last."""
        from wormux.screen.ghostty import GhosttyScreen

        server = self._machine.server
        written = self._written()
        async with ScriptedClient(server.url, server.token) as client:
            for pane in self._panes:
                await client.wait_for(
                    lambda pane=pane: pane in client.outputs and client.outputs[pane].resume is not None,  # type: ignore[misc]
                    f"the drawing of {pane}",
                )
                output = client.outputs[pane]
                cols, rows = output.size
                screen = GhosttyScreen(cols, rows, Answers())
                screen.feed(bytes(output.drawn))
                wrong = oracle.shown(screen.text(), written[self._last[pane]])
                self._report.wrong += [
                    f"A page that attaches last, of {pane}: {sentence}" for sentence in wrong
                ]
                screen.close()
                if output.position != self._users[0].position(pane):
                    self._report.wrong.append(
                        f"A page that attaches last is at {output.position} of {pane}, others at "
                        f"{self._users[0].position(pane)}."
                    )

    async def _leave(self, visitor: Visitor) -> None:
        """Everything is destroyed and stopped: nothing is left."""
        server, wrong = self._machine.server, self._report.wrong
        for user in self._users:
            await user.client.close()
        async with ScriptedClient(server.url, server.token) as client:
            for session in list(client.model.sessions):
                await client.request("session_destroy", session_id=session)
            await self._until(
                lambda: [f"agent {agent.pid} still runs" for agent in server.agents()],
                "after the last session",
            )
        if "Traceback" in server.stderr or "A bug:" in server.stderr:
            wrong.append("The server's log tells of a bug.")
        if (status := await asyncio.to_thread(server.terminate)) != 0:
            wrong.append(f"The server stopped with status {status}.")
        if server.sockets():
            wrong.append(f"Sockets are left: {server.sockets()}.")
        left = [one for one in self._machine.seen if one.is_alive]
        if left:
            wrong.append(f"Processes are left: {left}.")
        files = {path.name for path in server.data_dir.iterdir()} - _KEPT_FILES
        files |= {path.name for path in server.data_dir.glob("sandboxes/*")}
        if files:
            wrong.append(f"Files are left in the data directory: {sorted(files)}.")
        if self._housed and (others := house.others()):
            wrong.append(f"Processes are left in the house: {others}.")

    # --- Comparing -----------------------------------------------------------------------------------------------

    def _written(self) -> dict[int, bytes]:
        return {pid: scribe.written for pid, scribe in self._scribes.all().items()}

    def _views(self, pane: PaneId) -> list[oracle.View]:
        return [
            view
            for user in self._users
            if pane in user.client.outputs
            for view in oracle.views(user.name, user.client.outputs[pane])
        ]

    def _compare(self, visitor: Visitor, faults: Faults) -> None:
        """Every byte, in both directions."""
        scribes, written = self._scribes.all(), self._written()
        compared = unread = read = got = 0
        fates: Counter[str] = Counter()
        claimed: set[int] = set()
        for pane in self._panes:
            mine = [view for at, view in visitor.views if at == pane]
            runs, wrong = oracle.merge([*self._views(pane), *mine])
            told = oracle.told(runs, written, self._last[pane])
            got += sum(len(view.data) for view in (*self._views(pane), *mine))
            self._report.wrong += [f"{pane}: {sentence}" for sentence in (*wrong, *told.wrong)]
            compared += told.compared_bytes
            claimed.update(told.pids)
            typed = [scribes[pid].typed for pid in told.pids]
            for user in self._users:
                parts = oracle.typed(user.client.inputs[pane])
                reads = oracle.reads(parts, [typed_by(user.number, data) for data in typed], lives=True)
                self._report.wrong += [f"{pane}, {user.name}: {sentence}" for sentence in reads.wrong]
                read, unread = read + reads.read_bytes, unread + reads.unread_bytes
                for part in parts:
                    fates[part.fate] += len(part.data)
                self._check_uncertain(pane, user, parts, faults)
        gaps = sum(len(output.gaps) for user in self._users for output in user.client.outputs.values())
        errors = Counter(error.code for user in self._users for error in user.client.errors)
        if not gaps and (lost := set(scribes) - claimed):
            self._check_unclaimed(lost)
        if errors.keys() - _MAY_REFUSE:
            self._report.wrong.append(f"Requests were refused: {dict(errors)}.")
        self._report.facts |= {
            "bytes that programs wrote": sum(map(len, written.values())),
            "bytes of output compared": compared,
            "bytes of output received": got,
            "bytes typed": sum(user.typed_bytes for user in self._users),
            "bytes read": read,
            "bytes acknowledged, not read by a program that was ended": unread,
            "bytes by fate": dict(fates),
            "bytes never sent, being too old": sum(
                len(data)
                for user in self._users
                for stream in user.client.inputs.values()
                for data in stream.left_out
            ),
            "clients that a server did not know": sum(
                len(stream.ended) for user in self._users for stream in user.client.inputs.values()
            ),
            "gaps announced": gaps,
            "attaches": sum(user.attaches for user in self._users),
            "visits": visitor.visits,
            "programs": len(scribes),
            "servers started": self._machine.starts,
            "starts that failed": len(self._machine.failed_starts),
            "requests refused": dict(errors),
        }

    def _check_uncertain(
        self, pane: PaneId, user: User, parts: Sequence[oracle.Typed], faults: Faults
    ) -> None:
        sandbox = self._sandboxes[pane]
        ended = len(self._machine.agents_of[sandbox]) > 1 or sandbox in faults.slept
        if not ended and any(part.fate == "uncertain" for part in parts):
            self._report.wrong.append(f"{pane}, {user.name}: input is uncertain, though no agent ended.")

    def _check_unclaimed(self, pids: set[int]) -> None:
        """Programs of which nobody saw anything had no time to write."""
        for pid in pids:
            size = len(self._scribes.all()[pid].written)
            if size > self._options.rate:
                self._report.wrong.append(f"Nobody got any of the {size} bytes of program {pid}.")

    def _compare_measures(self, before: tuple[int, int], after: tuple[int, int]) -> None:
        self._report.facts["the server's descriptors before and after"] = (before[0], after[0])
        self._report.facts["the server's memory before and after, MiB"] = (
            round(before[1] / MIB),
            round(after[1] / MIB),
        )
        if after[0] > before[0] + _MORE_DESCRIPTORS:
            self._report.wrong.append(f"The server has {after[0]} descriptors instead of {before[0]}.")
        allowed = (
            len(self._panes) * LOG_BYTES + len(self._users) * CONNECTION_UNSENT_BYTES + _MORE_MEMORY_BYTES
        )
        if after[1] > before[1] + allowed:
            self._report.wrong.append(f"The server has {after[1]} bytes of memory instead of {before[1]}.")

    # --- Telling -------------------------------------------------------------------------------------------------

    def _tell(self, text: str) -> None:
        self._report.log.append(f"{time.monotonic() - self._began_s:8.2f} s  {text}")

    def _save_logs(self) -> None:
        """Out of the disk that is about to go."""
        server, logs = self._machine.server, self._folder / "logs"
        logs.mkdir()
        (logs / "server.stderr").write_text(server.stderr)
        (logs / "failed-starts").write_text("\n".join(self._machine.failed_starts))
        for notes in server.data_dir.glob("sandboxes/*/agent.log"):
            shutil.copy(notes, logs / f"{notes.parent.name}.agent.log")


def _nobody() -> None:
    """Lives, so nothing can have gone wrong."""


@asynccontextmanager
async def _running(*lives: object) -> AsyncIterator[Callable[[], None]]:
    """They live until this is left. What is given raises what went wrong in one of them."""
    tasks = [asyncio.ensure_future(life) for life in lives]  # type: ignore[call-overload]

    def look() -> None:
        for task in tasks:
            if task.done():
                task.result()
                raise ChaosFailed("A client stopped by itself.")

    try:
        yield look
        look()
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
