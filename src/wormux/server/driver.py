"""Runs one hub: carries out its effects in their order, and feeds back what came of them.

It has no rules of its own. It owns the links to sandboxes and terminals, the thread that saves, and the timer;
it never looks into frames or records. Everything but the saving happens on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol, assert_never

from wormux.bugs import log_bug
from wormux.errors import SandboxError, StoreError
from wormux.hub.effects import (
    AnswerTerminal,
    CloseClient,
    CloseTerminal,
    DestroySandbox,
    DropUnsent,
    Effect,
    FindSandbox,
    ForgetTerminal,
    FreezeSandbox,
    HoldTerminal,
    Note,
    OpenTerminal,
    ResizeTerminal,
    Save,
    SendFrame,
    SetTimer,
    StopSandbox,
    TellScreen,
    WakeSandbox,
    WriteTerminal,
)
from wormux.hub.inputs import (
    ClientConnected,
    ClientGone,
    FrameReceived,
    FramesSent,
    Input,
    InputUncertain,
    Moment,
    SandboxAwake,
    SandboxDestroyed,
    SandboxFailed,
    SandboxFrozen,
    SandboxInput,
    SandboxLost,
    SandboxMissing,
    Saved,
    SaveFailed,
    ScreenInput,
    ServerStopping,
    TerminalInput,
    TerminalLost,
    TimerFired,
)
from wormux.ids import Channel, ConnectionId, PaneId, SandboxId, UserId
from wormux.protocol.agent_link import Ended, Opened, Refused, Stopped
from wormux.protocol.screen_link import RedrawTaken, ScreenEvent, ScreenGone, Unreadable
from wormux.records import Change
from wormux.sandbox.port import (
    Frozen,
    Lost,
    Provider,
    Sandbox,
    SandboxEvent,
    Terminal,
    TerminalEvent,
    Uncertain,
)
from wormux.screen.port import Deliver, Screens
from wormux.server.journal import Journal
from wormux.server.moments import Moments
from wormux.store.port import Store

logger = logging.getLogger(__name__)

INTERNAL_ERROR = 1011
"""RFC 6455: the server met a condition that it did not expect."""
RETRY_TIMER_S = 1.0
"""A hub that failed at its timer is asked again after this long, or it might wait for ever."""


class Steps(Protocol):
    """What the driver needs of a hub."""

    def start(self, moment: Moment, /) -> list[Effect]: ...

    def step(self, moment: Moment, event: Input, /) -> list[Effect]: ...

    @property
    def awaits_screens(self) -> bool: ...


class Outgoing(Protocol):
    """The sending half of a client's connection. Nothing of it blocks, raises, or calls the driver at once."""

    def send(self, frame: bytes, *, urgent: bool) -> None: ...

    def drop(self, channel: Channel) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


@dataclass(slots=True, eq=False)
class _TerminalLink:
    """One terminal from its opening to its last event, or until it is closed or forgotten."""

    sandbox_id: SandboxId
    terminal: Terminal | None = None
    live: bool = False


@dataclass(slots=True, eq=False)
class _SandboxLink:
    """One link to a sandbox. What happens before the hub knows of it waits in `early`."""

    sandbox: Sandbox | None = None
    early: list[SandboxEvent] = field(default_factory=list)


_TerminalKey = tuple[PaneId, int]


class Driver:
    """Carries out the effects of one user's hub. Made and used on the event loop's thread."""

    def __init__(
        self,
        hub: Steps,
        *,
        user_id: UserId,
        store: Store,
        store_thread: Executor,
        providers: Mapping[str, Provider],
        screens: Callable[[Deliver], Screens],
        journal: Journal,
        audit: Callable[[Note, str | None], None] = lambda _note, _peer: None,
    ) -> None:
        """`audit` takes notes, with the peer address of who did it. `store_thread` has exactly one worker: saves are
        carried out one after the other."""
        self._hub = hub
        self._user_id = user_id
        self._store = store
        self._store_thread = store_thread
        self._providers = providers
        self.screens = screens(self._screen_event)
        self._journal = journal
        self._counts = journal.counts
        self._loop = asyncio.get_running_loop()
        self._moments = Moments()
        self._inputs: deque[Input] = deque()
        self._running = False
        self._closed = False
        self._audit = audit
        self._connections: dict[ConnectionId, Outgoing] = {}
        self._peers: dict[ConnectionId, str] = {}
        self._last_connection = 0
        self._sandboxes: dict[SandboxId, _SandboxLink] = {}
        self._terminals: dict[_TerminalKey, _TerminalLink] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer_at_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_fires_s = 0.0
        self._quiet = asyncio.Event()
        self.storing = True
        """The last save succeeded."""
        self.stopping = False

    # --- What the server calls ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Let the hub say what it wants first. Raises what the hub raises."""
        self._running = True
        try:
            self._carry_out_all(self._hub.start(self._moments.now()))
        finally:
            self._running = False
        self._work()

    def connect(self, outgoing: Outgoing, peer: str | None = None) -> ConnectionId:
        """Tell the hub of a new connection; `ClientGone` must be dispatched for it, once."""
        self._last_connection += 1
        connection_id = ConnectionId(self._last_connection)
        self._connections[connection_id] = outgoing
        if peer is not None:
            self._peers[connection_id] = peer
        self.dispatch(ClientConnected(connection_id))
        return connection_id

    def dispatch(self, event: Input) -> None:
        """Step the hub and carry out what it wants. From within an effect: after all effects of this step."""
        if self._closed:
            return
        self._inputs.append(event)
        if not self._running:
            self._work()

    def close_all(self, code: int, reason: str) -> None:
        """End every connection; nothing more is taken from any of them."""
        for connection in tuple(self._connections.values()):
            connection.close(code, reason)

    def live_terminals(self) -> int:
        """How many shells run behind this server."""
        return sum(link.live for link in self._terminals.values())

    async def drain(self, within_s: float) -> bool:
        """Say goodbye: returns when all connections are closed and everything is saved, or the time is over; then
        false."""
        self.stopping = True
        self.dispatch(ServerStopping())
        try:
            async with asyncio.timeout(within_s):
                while self._connections or self._counts.saves_under_way or self._hub.awaits_screens:
                    self._quiet.clear()
                    await self._quiet.wait()
            return True
        except TimeoutError:
            logger.warning(
                "Stopping with %d connections open and %d changes unsaved.",
                len(self._connections),
                self._counts.saves_under_way,
            )
            return False

    async def aclose(self) -> None:
        """Let go of everything; shells go on running. Nothing reaches the hub any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for terminal_link in self._terminals.values():
            if terminal_link.terminal is not None:
                terminal_link.terminal.detach()
        for sandbox_link in self._sandboxes.values():
            if sandbox_link.sandbox is not None:
                sandbox_link.sandbox.detach()
        await self.screens.aclose()
        for provider in self._providers.values():
            await provider.aclose()

    # --- Steps -------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        self._running = True
        try:
            while self._inputs:
                self._step(self._inputs.popleft())
        finally:
            self._running = False

    def _step(self, event: Input) -> None:
        if isinstance(event, ClientGone) and self._connections.pop(event.connection_id, None) is not None:
            self._counts.connections -= 1
            self._quiet.set()
        self._counts.hub_steps += 1
        self._journal.took(event)
        try:
            effects = self._hub.step(self._moments.now(), event)
        except Exception as error:
            self._hub_failed(event, error)
        else:
            self._carry_out_all(effects)
        if isinstance(event, ClientGone):
            self._peers.pop(event.connection_id, None)

    def _hub_failed(self, event: Input, error: Exception) -> None:
        self._counts.hub_failures += 1
        log_bug(logger, f"the hub took {type(event).__name__}", error)
        if isinstance(event, ClientConnected | FrameReceived | FramesSent):
            connection = self._connections.get(event.connection_id)
            if connection is not None:
                connection.close(INTERNAL_ERROR, "The server failed; its log says where.")
        elif isinstance(event, TimerFired):
            self._set_timer(time.monotonic() + RETRY_TIMER_S)

    def _carry_out_all(self, effects: list[Effect]) -> None:
        for effect in effects:
            try:
                self._carry_out(effect)
            except Exception as error:
                log_bug(logger, f"carrying out {type(effect).__name__}", error)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case SendFrame():
                connection = self._connections.get(effect.connection_id)
                if connection is not None:
                    connection.send(effect.frame, urgent=effect.urgent)
            case WriteTerminal(pane_id, generation, data):
                terminal = self._terminal(pane_id, generation)
                if terminal is not None:
                    terminal.write(data.client_id, data.position, data.data)
            case ResizeTerminal(pane_id, generation, cols, rows):
                terminal = self._terminal(pane_id, generation)
                if terminal is not None:
                    terminal.resize(cols, rows)
            case TellScreen(pane_id, epoch, request):
                self.screens.tell(pane_id, epoch, request)
            case AnswerTerminal(pane_id, generation, position, data):
                terminal = self._terminal(pane_id, generation)
                if terminal is not None:
                    terminal.answer(position, data)
            case HoldTerminal(pane_id, generation, held):
                terminal = self._terminal(pane_id, generation)
                if terminal is not None:
                    terminal.hold(held)
            case SetTimer(at_s):
                self._set_timer(at_s)
            case Note(connection_id=connection_id):
                self._audit(effect, None if connection_id is None else self._peers.get(connection_id))
            case Save(save_id, change):
                self._save(save_id, change)
            case DropUnsent(connection_id, channel):
                connection = self._connections.get(connection_id)
                if connection is not None:
                    connection.drop(channel)
            case CloseClient(connection_id, code, reason):
                connection = self._connections.get(connection_id)
                if connection is not None:
                    connection.close(code, reason)
            case OpenTerminal():
                self._journal.wanted(effect)
                self._open_terminal(effect)
            case CloseTerminal():
                self._close_terminal(effect)
            case ForgetTerminal(pane_id, generation):
                link = self._terminals.pop((pane_id, generation), None)
                if link is not None and link.terminal is not None:
                    link.terminal.forget()
            case WakeSandbox(sandbox_id, provider):
                self._journal.wanted(effect)
                self._run(self._wake(sandbox_id, provider))
            case FindSandbox(sandbox_id, provider):
                self._journal.wanted(effect)
                self._run(self._find(sandbox_id, provider))
            case StopSandbox(sandbox_id, force):
                self._ask_sandbox(sandbox_id, lambda sandbox: sandbox.sleep(force=force))
            case FreezeSandbox(sandbox_id, force):
                self._ask_sandbox(sandbox_id, lambda sandbox: sandbox.freeze(force=force))
            case DestroySandbox(sandbox_id, provider):
                self._run(self._destroy(sandbox_id, provider))
            case _:
                assert_never(effect)

    # --- The timer ---------------------------------------------------------------------------------------------

    def _set_timer(self, at_s: float | None) -> None:
        """A handle that fires too early is kept and set anew when it fires, since most timers move later."""
        self._timer_at_s = at_s
        if at_s is None or self._closed or (self._timer is not None and self._timer_fires_s <= at_s):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_fires_s = at_s
        # uvloop rounds to milliseconds: a delay that is rounded down would come too early, again and again.
        delay_s = math.ceil(max(0.0, at_s - time.monotonic()) * 1000) / 1000
        self._timer = self._loop.call_later(delay_s, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        at_s = self._timer_at_s
        if at_s is None:
            return
        if time.monotonic() < at_s:  # moved later, or the event loop's clock is ahead of ours
            self._set_timer(at_s)
            return
        self._timer_at_s = None
        self.dispatch(TimerFired())

    # --- Saves -------------------------------------------------------------------------------------------------

    def _save(self, save_id: int, change: Change) -> None:
        self._journal.save_begins()
        saving = self._loop.run_in_executor(self._store_thread, self._store.apply, self._user_id, change)
        saving.add_done_callback(lambda done: self._saved(save_id, done))

    def _saved(self, save_id: int, done: asyncio.Future[None]) -> None:
        self._quiet.set()
        error = None if done.cancelled() else done.exception()
        self.storing = error is None and not done.cancelled()
        if error is not None and not isinstance(error, StoreError):
            log_bug(logger, "storing a change", error)
        self._journal.save_ends(stored=self.storing, error=error)
        self.dispatch(Saved(save_id) if self.storing else SaveFailed(save_id))

    # --- Sandboxes ---------------------------------------------------------------------------------------------

    def _sandbox(self, sandbox_id: SandboxId) -> Sandbox | None:
        link = self._sandboxes.get(sandbox_id)
        return None if link is None else link.sandbox

    def _ask_sandbox(self, sandbox_id: SandboxId, ask: Callable[[Sandbox], None]) -> None:
        sandbox = self._sandbox(sandbox_id)
        if sandbox is None:
            self.dispatch(SandboxInput(sandbox_id, SandboxLost("The sandbox is not linked.")))
        else:
            ask(sandbox)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wake(self, sandbox_id: SandboxId, provider: str) -> None:
        link = _SandboxLink()
        try:
            sandbox = await self._provider(provider).start(sandbox_id, self._sandbox_sink(sandbox_id, link))
        except Exception as error:
            self._sandbox_failed(sandbox_id, "a sandbox was started", error)
        else:
            self._linked(sandbox_id, link, sandbox)

    async def _find(self, sandbox_id: SandboxId, provider: str) -> None:
        link = _SandboxLink()
        try:
            sandbox = await self._provider(provider).find(sandbox_id, self._sandbox_sink(sandbox_id, link))
        except Exception as error:
            self._sandbox_failed(sandbox_id, "a sandbox was looked for", error)
            return
        if sandbox is None:
            self.dispatch(SandboxInput(sandbox_id, SandboxMissing()))
        elif isinstance(sandbox, Frozen):
            self.dispatch(SandboxInput(sandbox_id, SandboxFrozen()))
        else:
            self._linked(sandbox_id, link, sandbox)

    async def _destroy(self, sandbox_id: SandboxId, provider: str) -> None:
        try:
            await self._provider(provider).destroy(sandbox_id)
        except Exception as error:
            self._sandbox_failed(sandbox_id, "a sandbox was destroyed", error)
        else:
            self.dispatch(SandboxInput(sandbox_id, SandboxDestroyed()))

    def _provider(self, name: str) -> Provider:
        provider = self._providers.get(name)
        if provider is None:
            raise SandboxError(f"This server has no provider {name}.")
        return provider

    def _sandbox_failed(self, sandbox_id: SandboxId, doing: str, error: Exception) -> None:
        if isinstance(error, SandboxError):
            reason = str(error)
        else:
            log_bug(logger, doing, error)
            reason = "The server failed at this sandbox; its log says where."
        self.dispatch(SandboxInput(sandbox_id, SandboxFailed(reason)))

    def _linked(self, sandbox_id: SandboxId, link: _SandboxLink, sandbox: Sandbox) -> None:
        if self._closed:
            sandbox.detach()
            return
        older = self._sandboxes.get(sandbox_id)
        self._sandboxes[sandbox_id] = link
        link.sandbox = sandbox
        if older is not None and older.sandbox is not None and older.sandbox is not sandbox:
            older.sandbox.detach()
        self.dispatch(SandboxInput(sandbox_id, SandboxAwake(sandbox.welcome)))
        early, link.early = link.early, []
        for event in early:
            self._sandbox_event(sandbox_id, link, event)

    def _sandbox_sink(self, sandbox_id: SandboxId, link: _SandboxLink) -> Callable[[SandboxEvent], None]:
        def deliver(event: SandboxEvent) -> None:
            if link.sandbox is None:
                link.early.append(event)
            else:
                self._sandbox_event(sandbox_id, link, event)

        return deliver

    def _sandbox_event(self, sandbox_id: SandboxId, link: _SandboxLink, event: SandboxEvent) -> None:
        if self._sandboxes.get(sandbox_id) is not link:
            return
        if isinstance(event, Lost | Stopped | Frozen):
            del self._sandboxes[sandbox_id]
        if isinstance(event, Lost) and event.dead:
            self._journal.agent_lost()
        if isinstance(event, Frozen):
            self._let_terminals_go(sandbox_id)
            self.dispatch(SandboxInput(sandbox_id, SandboxFrozen()))
        else:
            told = SandboxLost(event.reason) if isinstance(event, Lost) else event
            self.dispatch(SandboxInput(sandbox_id, told))

    # --- Screens -----------------------------------------------------------------------------------------------

    def _screen_event(self, pane_id: PaneId, epoch: int, event: ScreenEvent) -> None:
        if isinstance(event, RedrawTaken):
            self._counts.redraws += 1
        elif isinstance(event, Unreadable | ScreenGone):
            self._counts.screens_lost += 1
        if isinstance(event, Unreadable):
            logger.warning("A stored screen is drawn from its newest output alone. %s", event.reason)
        self.dispatch(ScreenInput(pane_id, epoch, event))
        self._quiet.set()

    # --- Terminals ---------------------------------------------------------------------------------------------

    def _terminal(self, pane_id: PaneId, generation: int) -> Terminal | None:
        link = self._terminals.get((pane_id, generation))
        return None if link is None else link.terminal

    def _let_terminals_go(self, sandbox_id: SandboxId) -> None:
        """They are frozen with their sandbox."""
        for key, link in tuple(self._terminals.items()):
            if link.sandbox_id == sandbox_id:
                del self._terminals[key]
                if link.terminal is not None:
                    link.terminal.detach()

    def _open_terminal(self, effect: OpenTerminal) -> None:
        request = effect.request
        key = (PaneId(request.pane_id), request.generation)
        sandbox = self._sandbox(effect.sandbox_id)
        if sandbox is None:
            self.dispatch(TerminalInput(*key, TerminalLost("The sandbox is not linked.")))
            return
        older = self._terminals.pop(key, None)
        if older is not None and older.terminal is not None:
            older.terminal.detach()
        link = self._terminals[key] = _TerminalLink(effect.sandbox_id)

        def deliver(event: TerminalEvent) -> None:
            self._terminal_event(key, link, event)

        link.terminal = sandbox.terminal(request, deliver)

    def _terminal_event(self, key: _TerminalKey, link: _TerminalLink, event: TerminalEvent) -> None:
        if self._terminals.get(key) is not link:
            return
        if isinstance(event, Lost):
            del self._terminals[key]
            self.dispatch(TerminalInput(*key, TerminalLost(event.reason, event.dead)))
            return
        if isinstance(event, Uncertain):
            self.dispatch(TerminalInput(*key, InputUncertain(event.client_id, event.position)))
            return
        if isinstance(event, Opened):
            link.live = True
        elif isinstance(event, Ended):
            link.live = False
        elif isinstance(event, Refused):
            del self._terminals[key]
        self.dispatch(TerminalInput(*key, event))

    def _close_terminal(self, effect: CloseTerminal) -> None:
        link = self._terminals.pop((effect.pane_id, effect.generation), None)
        if link is not None and link.terminal is not None:
            link.terminal.close()
            return
        sandbox = self._sandbox(effect.sandbox_id)
        if sandbox is not None:
            sandbox.close_terminal(effect.pane_id)
