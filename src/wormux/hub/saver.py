"""What goes to the store, and when (design, "Store").

Two ways. What a request changes is planned, saved, and only then carried out and announced: one plan at a time,
so that none is made on a world that another is about to change. Everything else (titles, sizes, positions, output)
is noted as dirty and saved at most once a second; when that fails it stays dirty. The driver saves in our order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sized
from dataclasses import dataclass, field

from wormux.errors import ErrorCode, Refusal
from wormux.hub.announcer import Announcer
from wormux.hub.effects import Effect, Save
from wormux.hub.flow import Flow
from wormux.hub.layout import encode_layout
from wormux.hub.pane import Pane
from wormux.hub.timers import Wait
from wormux.hub.world import World
from wormux.ids import ClientId, ConnectionId, PaneId, SessionId, TabId
from wormux.limits import REV_MARK, SAVE_EVERY_S
from wormux.protocol.messages import Made
from wormux.records import Change, ClientRecord, InputPosition, Meta

_STORAGE = "The server cannot store this just now, so nothing was changed. Shells and streams go on; try again later."


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request would change, and how it is carried out once that is saved."""

    change: Change
    commit: Callable[[], Made | None]


@dataclass(frozen=True, slots=True)
class Job:
    """A plan to be made when its turn comes."""

    make_plan: Callable[[], Plan]
    request: str
    connection_id: ConnectionId | None = None
    """None: it is nobody's request, and tried until it is saved."""
    ref: str | None = None
    refused: Callable[[], None] | None = None
    """Called when it could not be done."""


@dataclass(slots=True)
class _Dirty:
    """What differs from the store."""

    sessions: set[SessionId] = field(default_factory=set)
    tabs: set[TabId] = field(default_factory=set)
    panes: set[PaneId] = field(default_factory=set)
    clients: set[ClientId] = field(default_factory=set)
    gone_clients: set[ClientId] = field(default_factory=set)
    gone_sessions: set[SessionId] = field(default_factory=set)
    inputs: set[tuple[ClientId, PaneId]] = field(default_factory=set)
    checkpoints: set[PaneId] = field(default_factory=set)
    meta: bool = False
    then: list[Effect] = field(default_factory=list)
    """To be done once it is saved."""

    def merge(self, other: _Dirty) -> None:
        self.sessions |= other.sessions
        self.tabs |= other.tabs
        self.panes |= other.panes
        self.clients |= other.clients
        self.gone_clients |= other.gone_clients
        self.gone_sessions |= other.gone_sessions
        self.inputs |= other.inputs
        self.checkpoints |= other.checkpoints
        self.meta |= other.meta
        self.then += other.then

    def __len__(self) -> int:
        sets: tuple[Sized, ...] = (
            self.sessions, self.tabs, self.panes, self.clients, self.gone_clients, self.gone_sessions, self.inputs,
            self.checkpoints, self.then,
        )  # fmt: skip
        return sum(len(one) for one in sets) + self.meta

    @property
    def empty(self) -> bool:
        return not (
            self.sessions or self.tabs or self.panes or self.clients or self.gone_clients or self.gone_sessions
            or self.inputs or self.checkpoints or self.meta or self.then
        )  # fmt: skip


class Saver:
    """See the module."""

    def __init__(self, world: World, flow: Flow, announcer: Announcer, rev_mark: int) -> None:
        self._world = world
        self._flow = flow
        self._announcer = announcer
        self._rev_mark = rev_mark
        self._jobs: deque[Job] = deque()
        self._active: tuple[int, Job, Plan] | None = None
        self._dirty = _Dirty()
        self._saving: tuple[int, _Dirty, Change] | None = None
        self._again: list[Job] = []
        """Nobody's requests that could not be saved: tried again when the next save is due."""
        self._saved_at_s = float("-inf")
        self._count = 0
        self._stopping = False
        self._failing = False
        """The last save failed."""

    def submit(self, job: Job) -> None:
        """Plan, save, carry out and answer, when all that was submitted before is done."""
        self._jobs.append(job)
        self._work()

    @property
    def idle(self) -> bool:
        """Nothing is being saved or waits to be."""
        return not (self._jobs or self._active or self._saving or self._again) and self._dirty.empty

    @property
    def unsaved(self) -> int:
        """How many things differ from the store, those that are being saved included."""
        saving = len(self._saving[1]) if self._saving is not None else 0
        waiting = len(self._jobs) + len(self._again) + (self._active is not None)
        return len(self._dirty) + saving + waiting

    def touch_session(self, session_id: SessionId) -> None:
        self._dirty.sessions.add(session_id)

    def touch_tab(self, tab_id: TabId) -> None:
        self._dirty.tabs.add(tab_id)

    def touch_pane(self, pane_id: PaneId) -> None:
        self._dirty.panes.add(pane_id)

    def touch_client(self, client_id: ClientId) -> None:
        self._dirty.clients.add(client_id)

    def forget_client(self, client_id: ClientId) -> None:
        self._dirty.clients.discard(client_id)
        self._dirty.gone_clients.add(client_id)

    def session_destroyed(self, session_id: SessionId) -> None:
        """Its sandbox is gone: so may its row."""
        self._dirty.gone_sessions.add(session_id)

    def touch_input(self, client_id: ClientId, pane_id: PaneId) -> None:
        self._dirty.inputs.add((client_id, pane_id))

    def touch_checkpoint(self, pane: Pane) -> None:
        """Store the checkpoint that the pane has now, with its row, and then do what waits for that."""
        assert pane.kept is not None
        position = pane.kept.position
        if pane.checkpoint_wanted is not None and position >= pane.checkpoint_wanted:
            pane.checkpoint_wanted = None
        self._dirty.checkpoints.add(pane.id)
        self._dirty.panes.add(pane.id)
        self._dirty.then += [effect for at, effect in pane.checkpoint_then if at <= position]
        pane.checkpoint_then = [(at, effect) for at, effect in pane.checkpoint_then if at > position]

    def touch_meta(self) -> None:
        self._dirty.meta = True

    def meta(self) -> Meta:
        """The user's own row, as a plan needs it; its mark is ahead of every `rev` sent so far."""
        self._rev_mark = max(self._rev_mark, self._world.rev + REV_MARK)
        return Meta(self._rev_mark, self._world.channels.freed, self._world.last_tab)

    def finish(self) -> None:
        """The step is over: save what is dirty, if it is time."""
        if self._world.rev > self._rev_mark - REV_MARK // 2:
            self._dirty.meta = True
        if self._stopping and not self._failing:
            self.flush()
        if self._dirty.empty or self._must_wait:
            return
        due_s = self._saved_at_s + SAVE_EVERY_S
        if self._world.now.mono_s >= due_s:
            self.flush()
        else:
            self._world.timers.set(Wait.SAVE, None, due_s)

    @property
    def _must_wait(self) -> bool:
        """What is saved now would overwrite a plan that is saved and not carried out yet."""
        return self._saving is not None or self._active is not None

    def stop(self) -> None:
        """The server stops: from now on, save at once. Streams that have no terminal are marked just behind their
        end, since nothing more will be sent."""
        self._stopping = True

    def flush(self) -> None:
        """Save what is dirty now, and try again what could not be saved."""
        if not self._dirty.empty and not self._must_wait:
            dirty, self._dirty = self._dirty, _Dirty()
            change = self._change(dirty)
            self._saved_at_s = self._world.now.mono_s
            self._saving = (self._save(change), dirty, change)
        self._jobs.extend(self._again)
        self._again.clear()
        self._work()

    def saved(self, save_id: int) -> None:
        """The store has it."""
        self._failing = False
        if self._active is not None and self._active[0] == save_id:
            _, job, plan = self._active
            self._active = None
            self._note_marks(plan.change)
            self._answer(job, plan.commit())
            self.finish()  # before the next plan, which would make it wait again
        elif self._saving is not None and self._saving[0] == save_id:
            _, dirty, change = self._saving
            self._saving = None
            self._world.effects += dirty.then
            self._note_marks(change)
        self._work()

    def failed(self, save_id: int) -> None:
        """The store does not have it, nothing of it."""
        self._failing = True
        if self._active is not None and self._active[0] == save_id:
            job = self._active[1]
            self._active = None
            if job.connection_id is None:
                self._again.append(job)
                self._world.timers.set(Wait.SAVE, None, self._world.now.mono_s + SAVE_EVERY_S)
            else:
                self._refuse(job, Refusal(ErrorCode.STORAGE, _STORAGE))
        elif self._saving is not None and self._saving[0] == save_id:
            self._dirty.merge(self._saving[1])
            self._saving = None
            self._world.timers.set(Wait.SAVE, None, self._world.now.mono_s + SAVE_EVERY_S)
        self._work()

    def _work(self) -> None:
        """Take up the next job, if none is under way."""
        while self._jobs and self._active is None:
            job = self._jobs.popleft()
            try:
                plan = job.make_plan()
            except Refusal as refusal:
                self._refuse(job, refusal)
                continue
            if plan.change == Change():
                self._answer(job, plan.commit())
            else:
                self._active = (self._save(plan.change), job, plan)

    def _save(self, change: Change) -> int:
        self._count += 1
        self._world.effects.append(Save(self._count, change))
        return self._count

    def _answer(self, job: Job, made: Made | None) -> None:
        self._announcer.answer(job.connection_id, job.request, job.ref, made)

    def _refuse(self, job: Job, refusal: Refusal) -> None:
        if job.refused is not None:
            job.refused()
        self._announcer.answer(job.connection_id, job.request, job.ref, refusal)

    def _note_marks(self, change: Change) -> None:
        """Output up to a stored mark may be sent."""
        for record in (*change.insert_panes, *change.update_panes):
            pane = self._world.panes.get(record.id)
            if pane is not None and pane.position_mark < record.position_mark:
                pane.position_mark = record.position_mark
                self._flow.pump_all(pane)

    def _change(self, dirty: _Dirty) -> Change:
        world = self._world
        panes = [pane for pane in world.panes.values() if pane.id in dirty.panes]
        checkpoints = [world.panes[pane_id] for pane_id in dirty.checkpoints if pane_id in world.panes]
        return Change(
            update_sessions=tuple(s.record() for s in world.sessions.values() if s.id in dirty.sessions),
            update_tabs=tuple(
                t.record(encode_layout(t.layout)) for t in world.tabs.values() if t.id in dirty.tabs
            ),
            update_panes=tuple(pane.record(self._mark_of(pane)) for pane in panes),
            delete_sessions=tuple(sorted(dirty.gone_sessions)),
            put_clients=tuple(
                ClientRecord(client.id, client.key, client.left_at_ms, client.active_tab)
                for client in world.clients.values()
                if client.id in dirty.clients and not client.anonymous
            ),
            delete_clients=tuple(sorted(dirty.gone_clients - world.clients.keys())),
            put_inputs=tuple(self._inputs(dirty)),
            put_checkpoints=tuple(
                pane.log.checkpoint(pane.kept, pane.id) for pane in checkpoints if pane.kept is not None
            ),
            meta=self.meta() if dirty.meta else None,
        )

    def _mark_of(self, pane: Pane) -> int:
        knows_end = not pane.restored and pane.log.end >= pane.coming_end
        if self._stopping and knows_end and not pane.connected and not pane.surviving:
            return pane.log.end
        return pane.next_mark

    def _inputs(self, dirty: _Dirty) -> list[InputPosition]:
        positions = []
        for client_id, pane_id in sorted(dirty.inputs):
            pane = self._world.panes.get(pane_id)
            client = self._world.clients.get(client_id)
            if pane is not None and client is not None and not client.anonymous and client_id in pane.streams:
                positions.append(InputPosition(client_id, pane_id, pane.streams[client_id].taken))
        return positions
