"""Screens in worker processes: which worker a screen lives in, and what becomes of it when the worker dies.

An emulator is C code on what programs wrote, so a worker may crash, and its word is not trusted. Each of its screens
is then reported gone, once; whoever owns them opens new ones, which find another worker. A pane whose output ended
two workers gets no emulator any more; and where no worker comes up, no pane has one for a while.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import dataclass, field

from wormux.ids import PaneId
from wormux.limits import (
    LOG_BYTES,
    MAX_COLS,
    MAX_ROWS,
    MIN_COLS,
    MIN_ROWS,
    SCREEN_CRASHES,
    SCREEN_PANES_REMEMBERED,
    SCREEN_WORKER_DELAY_CAP_S,
    SCREEN_WORKER_DELAY_FLOOR_S,
    SCREEN_WORKER_YOUNG_S,
    SCREEN_WORKERS_AT_ONCE,
    SCREEN_WORKERS_UNHEARD,
    SCREENS_MEMORY_BYTES,
)
from wormux.protocol.screen_link import (
    Answered,
    CheckpointTaken,
    CloseScreen,
    Fed,
    Feed,
    OpenScreen,
    RedrawTaken,
    ScreenEvent,
    ScreenGone,
    ScreenRequest,
    Skip,
    Unreadable,
    encode,
)
from wormux.screen.in_process import LocalScreens
from wormux.screen.opening import open_log
from wormux.screen.port import Deliver, Screens
from wormux.screen.process import Death, WorkerCommand, WorkerProcess

logger = logging.getLogger(__name__)


@dataclass
class ScreenCounts:
    """What has happened since the start."""

    workers_started: int = 0
    workers_died: int = 0
    screens_lost: int = 0
    redraws: int = 0
    checkpoints: int = 0
    panes_without_emulator: int = 0


@dataclass(slots=True, eq=False)
class _Entry:
    """One screen in a worker."""

    key: tuple[PaneId, int]
    number: int
    worker: _Worker
    position: int
    """The end of all that it was told."""


@dataclass(eq=False)
class _Worker:
    """A worker's process and the screens in it."""

    process: WorkerProcess
    started_at_s: float
    was_heard: bool = False
    entries: dict[int, _Entry] = field(default_factory=dict)


@dataclass
class _Place:
    """Where workers are, one after the other."""

    worker: _Worker | None = None
    died_young: int = 0
    """Workers in a row."""


@dataclass
class _Suspect:
    """A pane during whose work workers died."""

    deaths: int
    until: int
    """If the pane's screen gets past this position, nothing of what it held then is left in it or the log."""


class ScreenPool(Screens):
    """Keeps screens in at most `workers` processes, started when the first screen needs one."""

    def __init__(
        self,
        deliver: Deliver,
        *,
        workers: int = 1,
        memory_bytes: int = SCREENS_MEMORY_BYTES,
        opener: str = "wormux.screen.opening:open_ghostty",
        python: str = sys.executable,
    ) -> None:
        """`memory_bytes` is for all screens together. `opener` names the `table.Opener` that workers use."""
        self.counts = ScreenCounts()
        self._deliver: Deliver | None = deliver
        self._command = WorkerCommand(python, opener, memory_bytes // workers)
        self._places = [_Place() for _ in range(workers)]
        self._entries: dict[tuple[PaneId, int], _Entry] = {}
        self._last_number = 0
        self._dying: set[_Worker] = set()
        """Their place is taken by others; their screens are not reported yet."""
        self._suspects: dict[PaneId, _Suspect] = {}
        self._without_emulator: dict[PaneId, None] = {}
        self._unheard = 0
        """Workers in a row that died by themselves before they did anything."""
        self._no_workers_before_s = 0.0
        self._simple = LocalScreens(self._deliver_simple, open_log)
        self._loop = asyncio.get_running_loop()

    @property
    def open_screens(self) -> int:
        return len(self._entries) + len(self._simple)

    @property
    def without_workers(self) -> bool:
        """None comes up: for a while, screens do without an emulator."""
        return self._unheard >= SCREEN_WORKERS_UNHEARD

    @property
    def unsent_bytes(self) -> int:
        """What screens were told and no worker's socket has taken."""
        return sum(place.worker.process.unsent_bytes for place in self._places if place.worker is not None)

    @property
    def worker_pids(self) -> list[int]:
        """Of the workers that run."""
        processes = [place.worker.process for place in self._places if place.worker is not None]
        return [process.pid for process in processes if process.pid is not None]

    def prepare(self) -> None:
        """Start a worker before one is needed: to load its emulator takes a good part of a second."""
        if self._deliver is not None and all(place.worker is None for place in self._places):
            self._start(self._places[0])

    def tell(self, pane_id: PaneId, epoch: int, request: ScreenRequest) -> None:
        if self._deliver is None:
            return
        key = (pane_id, epoch)
        entry = self._entries.get(key)
        if isinstance(request, Feed):
            if entry is not None:
                entry.position += len(request.data)
        elif isinstance(request, OpenScreen):
            if entry is None and self._may_have_emulator(pane_id):
                entry = self._open(key, request.position)
        elif isinstance(request, Skip) and entry is not None:
            entry.position = request.position
        if entry is None:
            self._simple.tell(pane_id, epoch, request)
            return
        entry.worker.process.send(encode(entry.number, request))
        if isinstance(request, CloseScreen):
            self._forget(entry)

    async def aclose(self) -> None:
        self._deliver = None
        workers = [place.worker for place in self._places if place.worker is not None]
        await self._simple.aclose()
        await asyncio.gather(*(worker.process.aclose() for worker in [*workers, *self._dying]))
        self._entries.clear()

    def _may_have_emulator(self, pane_id: PaneId) -> bool:
        if pane_id in self._without_emulator:
            return False
        return self._unheard < SCREEN_WORKERS_UNHEARD or self._loop.time() >= self._no_workers_before_s

    def _open(self, key: tuple[PaneId, int], position: int) -> _Entry:
        for place in self._places:
            if place.worker is not None and place.worker.process.is_over:
                self._dying.add(place.worker)
                place.worker = None
        place = min(self._places, key=lambda place: len(place.worker.entries) if place.worker else 0)
        worker = place.worker or self._start(place)
        self._last_number += 1
        entry = _Entry(key, self._last_number, worker, position)
        self._entries[key] = worker.entries[entry.number] = entry
        return entry

    def _start(self, place: _Place) -> _Worker:
        delay_s = restart_delay_s(place.died_young)

        def on_event(number: int, event: ScreenEvent) -> bool:
            return self._heard(worker, number, event)

        def on_death(death: Death) -> None:
            self._died(place, worker, death)

        process = WorkerProcess(self._command, delay_s, on_event, on_death)
        worker = place.worker = _Worker(process, self._loop.time() + delay_s)
        self.counts.workers_started += 1
        return worker

    def _heard(self, worker: _Worker, number: int, event: ScreenEvent) -> bool:
        """Deliver it, unless its screen is closed. Returns whether it makes sense."""
        worker.was_heard = True
        self._unheard = 0
        entry = worker.entries.get(number)
        if entry is None or self._deliver is None:
            return 0 < number <= self._last_number
        if isinstance(event, (ScreenGone, Unreadable)):
            self.counts.screens_lost += 1
            self._forget(entry)
        elif not _makes_sense(entry, event):
            return False
        else:
            self._count(entry, event)
        self._deliver(*entry.key, event)
        return True

    def _count(self, entry: _Entry, event: Fed | Answered | RedrawTaken | CheckpointTaken) -> None:
        if isinstance(event, RedrawTaken):
            self.counts.redraws += 1
        elif isinstance(event, CheckpointTaken):
            self.counts.checkpoints += 1
        elif self._suspects:
            suspect = self._suspects.get(entry.key[0])
            if suspect is not None and event.position >= suspect.until:
                del self._suspects[entry.key[0]]

    def _died(self, place: _Place, worker: _Worker, death: Death) -> None:
        self._dying.discard(worker)
        if place.worker is worker:
            place.worker = None
        lived_s = self._loop.time() - worker.started_at_s
        place.died_young = place.died_young + 1 if lived_s < SCREEN_WORKER_YOUNG_S else 0
        self.counts.workers_died += 1
        if not worker.was_heard and not death.screen and not death.was_killed:
            self._unheard += 1
            self._no_workers_before_s = self._loop.time() + SCREEN_WORKER_DELAY_CAP_S
            if self._unheard == SCREEN_WORKERS_UNHEARD:
                logger.error("Screens have no emulator for now, as no worker comes up. %s", death.sentence)
        entries = list(worker.entries.values())
        self.counts.screens_lost += len(entries)
        logger.warning("%s Screens that are opened anew: %d.", death.sentence, len(entries))
        if not death.was_killed and death.screen in worker.entries:
            self._suspect(worker.entries[death.screen])
        for entry in entries:
            self._forget(entry)
        for entry in entries:
            if self._deliver is not None:
                self._deliver(*entry.key, ScreenGone(death.sentence))

    def _suspect(self, entry: _Entry) -> None:
        """A worker died while it worked for this screen."""
        pane_id = entry.key[0]
        known = self._suspects.pop(pane_id, None)
        suspect = _Suspect(known.deaths + 1 if known is not None else 1, entry.position + LOG_BYTES)
        if suspect.deaths < SCREEN_CRASHES:
            self._suspects[pane_id] = suspect
            _drop_oldest(self._suspects)
            return
        self._without_emulator[pane_id] = None
        _drop_oldest(self._without_emulator)
        self.counts.panes_without_emulator += 1
        logger.warning("The output of a pane ended two workers of screens: it has no emulator any more.")

    def _forget(self, entry: _Entry) -> None:
        del self._entries[entry.key]
        del entry.worker.entries[entry.number]

    def _deliver_simple(self, pane_id: PaneId, epoch: int, event: ScreenEvent) -> None:
        if self._deliver is not None:
            self._deliver(pane_id, epoch, event)


def _makes_sense(entry: _Entry, event: Fed | Answered | RedrawTaken | CheckpointTaken) -> bool:
    if isinstance(event, (RedrawTaken, CheckpointTaken)) and not (
        MIN_COLS <= event.cols <= MAX_COLS and MIN_ROWS <= event.rows <= MAX_ROWS
    ):
        return False
    return 0 <= event.position <= entry.position


def restart_delay_s(died_young: int) -> float:
    """How long after so many workers in a row that died young the next is started."""
    if died_young < SCREEN_WORKERS_AT_ONCE:
        return 0.0
    return min(
        SCREEN_WORKER_DELAY_CAP_S,
        SCREEN_WORKER_DELAY_FLOOR_S * 2.0 ** min(died_young - SCREEN_WORKERS_AT_ONCE, 10),
    )


def _drop_oldest(panes: dict[PaneId, _Suspect] | dict[PaneId, None]) -> None:
    if len(panes) > SCREEN_PANES_REMEMBERED:
        del panes[next(iter(panes))]
