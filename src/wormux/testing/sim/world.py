"""A simulated surrounding of one hub: a server process, a machine with sandboxes, a store, clients and a clock.

Nothing happens by itself. What the parties send each other waits in lanes; the caller says which delivery comes
next (`lanes.ready()`), lets all arrive (`run`), or lets time pass (`advance`). The same seed and the same calls
give the same run.

    world = HubWorld()
    client = world.client("c")
    client.connect()
    world.settle()
    client.type(client.pane(), b"ls\\n")
    world.run()
    assert world.live(client.pane()).typed == b"ls\\n"

Reading order: `lanes`, `machine` and `agent` (what outlives the server), `server` with `links` and `socket` (what
dies with it), `client` with `input`, `truth` (what must hold).
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Protocol

from wormux.errors import StoreError
from wormux.hub import effects as e
from wormux.hub.hub import Hub
from wormux.hub.inputs import FrameReceived, Input, InputUncertain, Moment, ServerStopping, TerminalInput
from wormux.hub.settings import HubSettings
from wormux.ids import ConnectionId, PaneId, SandboxId
from wormux.protocol.messages import InputDiscarded
from wormux.records import Snapshot
from wormux.store.memory import MemoryStore
from wormux.testing.sim.agent import SimAgent, SimPty, Written
from wormux.testing.sim.client import SimClient, TapKind
from wormux.testing.sim.input import SimInput
from wormux.testing.sim.lanes import Lane, Lanes
from wormux.testing.sim.machine import SimMachine
from wormux.testing.sim.server import USER, SimServer
from wormux.testing.sim.socket import SimSocket
from wormux.testing.sim.truth import SimTruth

SETTINGS = HubSettings(
    idle_timeout_s=None,
    shell=(),
    default_provider="sim",
    providers=frozenset({"sim"}),
    exit_behavior="close",
)
_WALL_MS = 1_700_000_000_000
_ENDLESS = 100_000
_STARTING_S = 0.2
"""How long a server takes to start."""


class Watch(Protocol):
    """Is told what happens, as it happens."""

    def hub_heard(self, event: Input | None) -> None:
        """A step begins; None: the first of a server."""

    def hub_wants(self, effect: e.Effect) -> None: ...

    def terminal_opened(self, pty: SimPty) -> None: ...

    def terminal_read(self, pty: SimPty, written: Written) -> None: ...

    def client_heard(self, client: SimClient, kind: TapKind, frame: bytes) -> None: ...


class HubWorld:
    """See the module."""

    def __init__(
        self, settings: HubSettings = SETTINGS, *, seed: int = 0, watch: Watch | None = None
    ) -> None:
        self.settings = settings
        self.now_s = 1000.0
        self.random = random.Random(seed)
        self.lanes = Lanes()
        self.store = MemoryStore()
        self.machine = SimMachine(self._terminal_opened, self._written)
        self.truth = SimTruth()
        self.clients: list[SimClient] = []
        self.ready_after_s: float | None = 0.0
        """How long a fresh shell takes to read; None: until the test says so."""
        self.effects: list[e.Effect] = []
        """All that the hub wanted since the test last cleared this."""
        self.keeps_effects = True
        self.watch = watch
        self.steps = 0
        self.suspended_s = 0.0
        """How long the machine was suspended so far: its monotonic clock stood still."""
        self._serial = 0
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._parted: list[SimSocket] = []
        self.up = True
        self.server = SimServer(self, settings)
        self.server.start()

    # --- Parties -----------------------------------------------------------------------------------------

    @property
    def hub(self) -> Hub:
        return self.server.hub

    def client(self, client_id: str | None = None, *, flow: bool = True) -> SimClient:
        """A client that is not connected yet."""
        client = SimClient(self, client_id, flow=flow)
        self.clients.append(client)
        if self.watch is not None:
            watch = self.watch
            client.tap = lambda kind, frame: watch.client_heard(client, kind, frame)
        return client

    def attached(self, client_id: str | None = "c", *, flow: bool = True) -> SimClient:
        """A client that is connected, with everything settled."""
        client = self.client(client_id, flow=flow)
        client.connect()
        self.settle()
        return client

    def live(self, pane_id: PaneId) -> SimPty:
        """The living terminal of a pane."""
        pty = self.machine.live(pane_id)
        assert pty is not None, f"{pane_id} has no living terminal."
        return pty

    def sandbox_of(self, pane_id: PaneId) -> SandboxId:
        """The sandbox that the pane's terminals run in."""
        world = self.hub.world
        return world.sessions[world.panes[pane_id].session_id].sandbox_id

    def agent_of(self, pane_id: PaneId) -> SimAgent:
        return self.machine.agents[self.sandbox_of(pane_id)]

    def wanted(self, kind: type[e.Effect]) -> list[e.Effect]:
        """Effects of one kind since `effects` was cleared."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    # --- Time and deliveries -----------------------------------------------------------------------------

    def run(self) -> None:
        """Everything that is under way arrives, and what follows from it; no time passes."""
        for _ in range(_ENDLESS):
            ready = self.lanes.ready()
            if not ready:
                return
            for lane in ready:
                if len(lane):
                    lane.deliver()
        raise AssertionError("The deliveries never end.")

    def run_shuffled(self, pick: Callable[[list[Lane]], Lane]) -> None:
        """The same, in an order that the caller picks."""
        while ready := self.lanes.ready():
            pick(ready).deliver()

    def advance(self, seconds: float, *, deliver: bool = True) -> None:
        """Let time pass; timers fire when they are due, and without `deliver` nothing else happens."""
        until_s = self.now_s + seconds
        if deliver:
            self.run()
        for _ in range(_ENDLESS):
            at_s = self._next_at_s()
            if at_s is None or at_s > until_s:
                break
            self.now_s = max(self.now_s, at_s)
            self._fire()
            if deliver:
                self.run()
        else:
            raise AssertionError("The timers never end.")
        self.now_s = until_s

    def settle(self) -> None:
        """Enough time for shells to be ready and for updates to be sent."""
        self.advance(0.5)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something when so much time has passed."""
        self._serial += 1
        heapq.heappush(self._later, (self.now_s + seconds, self._serial, action))

    def _next_at_s(self) -> float | None:
        times = [self._later[0][0]] if self._later else []
        if self.server.timer_at_s is not None:
            times.append(self.server.timer_at_s)
        return min(times, default=None)

    def _fire(self) -> None:
        while self._later and self._later[0][0] <= self.now_s:
            heapq.heappop(self._later)[2]()
        if self.server.timer_at_s is not None and self.server.timer_at_s <= self.now_s:
            self.server.fire_timer()

    # --- Faults ------------------------------------------------------------------------------------------

    def fail_saves(self, *, failing: bool = True) -> None:
        self.store.failure = StoreError("The disk is full.") if failing else None

    def cut_sandbox(self, pane_id: PaneId, *, keep_words: bool = False) -> None:
        """All links to the agent of this pane break; its shells live on."""
        self.server.cut_sandbox(self.sandbox_of(pane_id), keep_words=keep_words)

    def cut_terminal(self, pane_id: PaneId, *, keep_words: bool = False) -> None:
        """The link to this pane's terminal alone breaks."""
        for (linked, _), link in list(self.server.terminals.items()):
            if linked == pane_id:
                link.break_off("The link to the terminal broke.", keep_words=keep_words)

    def kill_agent(self, pane_id: PaneId, *, keep_words: bool = False, unseen: bool = False) -> None:
        """The agent of this pane dies with all its shells; `unseen`: its sandbox vanishes."""
        self.server.kill_agent(self.sandbox_of(pane_id), keep_words=keep_words, unseen=unseen)

    def part_sandbox(self, pane_id: PaneId, notices_s: float) -> None:
        """The network between the server and this pane's sandbox lets nothing through; `notices_s` later the server
        gives up on the links that it then has."""
        server, sandbox_id = self.server, self.sandbox_of(pane_id)
        server.part(sandbox_id, parted=True)
        agent = self.machine.agents.get(sandbox_id)

        def notice() -> None:
            if server is self.server and self.up and agent is not None and agent.parted:
                server.give_up(sandbox_id)

        self.after(notices_s, notice)

    def part_client(
        self, client: SimClient, *, up: bool, down: bool, server_notices_s: float, client_notices_s: float
    ) -> None:
        """The network between this client and the server lets nothing through in these directions. Each side finds out
        later, by itself."""
        server, socket = self.server, client.socket
        if socket is None or not self.up:
            return
        socket.part(up=up, down=down)
        self._parted.append(socket)

        def server_notices() -> None:
            if server is self.server and self.up and socket.parted and not socket.over:
                socket.give_up()
                server.gone(socket.connection_id)

        def client_notices() -> None:
            if client.socket is socket and socket.parted:
                client.cut(keep_words=True)

        self.after(server_notices_s, server_notices)
        self.after(client_notices_s, client_notices)

    def heal(self) -> None:
        """All networks let everything through again."""
        for socket in self._parted:
            socket.part(up=False, down=False)
        self._parted.clear()
        for sandbox_id, agent in self.machine.agents.items():
            if agent.parted:
                self.server.part(sandbox_id, parted=False)
        self.lanes.free()

    def lose_screens(self) -> None:
        """All screens are lost, as when the worker that has them is killed."""
        self.server.lose_screens()

    def kill_server(self) -> None:
        """The server process ends without a word. What it had said to agents still arrives there."""
        ptys = [pty for ptys in self.machine.ptys.values() for pty in ptys]
        self.truth.server_died(self.hub, self.clients, ptys)
        self.up = False
        self.machine.note_unstored(self._stored())
        self.server.kill()
        for client in self.clients:
            client.cut()

    def _stored(self) -> Snapshot:
        failure, self.store.failure = self.store.failure, None
        snapshot = self.store.load(USER)
        self.store.failure = failure
        return snapshot

    def stop_server(self) -> None:
        """It says goodbye and saves everything first."""
        self.say_goodbye()
        self.run()
        self.kill_server()

    def say_goodbye(self) -> None:
        """It begins to stop; what follows waits in lanes."""
        self.server.step(ServerStopping())

    def start_server(self, settings: HubSettings | None = None) -> None:
        """A new one, on the same store, a moment later. The store must be readable."""
        self.now_s += _STARTING_S
        self._serial += 1
        self.truth.server += 1
        self.up = True
        self.server = SimServer(self, settings or self.settings)
        self.server.start()

    def restart(self) -> None:
        """Kill, and start anew."""
        self.kill_server()
        self.start_server()

    # --- What the parties need ---------------------------------------------------------------------------

    def moment(self) -> Moment:
        wall_ms = _WALL_MS + round(1000 * (self.now_s + self.suspended_s))
        return Moment(self.now_s, wall_ms, 3600, self.random.getrandbits(64))

    def serial(self) -> int:
        self._serial += 1
        return self._serial

    def on_input(self, event: Input | None) -> None:
        if isinstance(event, TerminalInput) and isinstance(event.event, InputUncertain):
            self.truth.unsure.add(event.pane_id)
        if self.watch is not None:
            self.watch.hub_heard(event)

    def on_effect(self, effect: e.Effect) -> None:
        if self.keeps_effects:
            self.effects.append(effect)
        if self.watch is not None:
            self.watch.hub_wants(effect)
        if isinstance(effect, e.WriteTerminal):
            self.truth.note_key(effect, self.hub, self.clients)
        elif isinstance(effect, e.WakeSandbox | e.FindSandbox):
            self.truth.asked(effect, self.server.asked.get(effect.sandbox_id, []))
        elif isinstance(effect, e.SendFrame):
            self.truth.sent(effect, self.hub)

    def on_saved(self, effect: e.Save) -> None:
        self.truth.stored.update(pane.id for pane in effect.change.insert_panes)

    def on_blown(self) -> None:
        self.kill_server()

    def on_stepped(self) -> None:
        self.steps += 1

    def dial(self) -> SimSocket:
        return self.server.accept()

    def to_server(self, socket: SimSocket, frame: bytes) -> None:
        server, connection_id = self.server, socket.connection_id
        if not socket.over:
            socket.up.post(lambda: self._frame_arrived(server, connection_id, frame))

    def hang_up(self, socket: SimSocket) -> None:
        server = self.server
        if socket.over:
            socket.cut()
            return
        up = socket.up

        def gone() -> None:
            socket.cut()
            server.gone(socket.connection_id)

        socket.stalled = True
        up.post(gone)

    def saw_output(self, pane_id: PaneId, position: int, data: bytes) -> None:
        self.truth.saw(self.machine.ptys.get(pane_id, []), pane_id, position, data)

    def saw_discard(self, pane_id: PaneId, named: InputDiscarded) -> None:
        self.truth.discarded(self.machine.ptys.get(pane_id, []), pane_id, named)

    def saw_ack(self, client: SimClient, stream: SimInput) -> None:
        self.truth.acknowledged(client, stream)

    def _frame_arrived(self, server: SimServer, connection_id: ConnectionId, frame: bytes) -> None:
        server.step(FrameReceived(connection_id, frame))

    def _terminal_opened(self, pty: SimPty) -> None:
        self.truth.opened(self.machine.ptys[PaneId(pty.pane_id)], pty)
        if self.watch is not None:
            self.watch.terminal_opened(pty)
        if self.ready_after_s == 0:
            pty.ready = True
        elif self.ready_after_s is not None:
            self.after(self.ready_after_s, pty.become_ready)

    def _written(self, pty: SimPty, written: Written) -> None:
        if self.watch is not None:
            self.watch.terminal_read(pty, written)
        self.truth.written(pty, written)
