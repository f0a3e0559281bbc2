"""What a story is played on: a `HubWorld` with its clients, where things are found by index."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from wormux.hub.settings import ExitBehavior, SleepMode
from wormux.ids import PaneId
from wormux.testing.model import leaves
from wormux.testing.sim.agent import SimAgent, SimPty
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.world import SETTINGS, HubWorld, Watch
from wormux.testing.simulate.kinds import CLIENTS

T = TypeVar("T")

IDLE_S = 20.0
SLEEP_MODES: tuple[SleepMode, ...] = ("stop", "freeze", "freeze-then-stop")
PANES = 6
"""More are not asked for: few panes meet each other oftener."""
SESSIONS = 2


class Stage:
    """See the module."""

    def __init__(
        self,
        *,
        seed: int,
        hold: bool,
        ready_after_s: float,
        sleep_mode: SleepMode,
        watch: Watch | None = None,
    ) -> None:
        """`hold` keeps panes whose shell has exited."""
        behavior: ExitBehavior = "hold" if hold else "close"
        settings = replace(
            SETTINGS,
            idle_timeout_s=IDLE_S,
            exit_behavior=behavior,
            sleep_mode=sleep_mode,
            stop_after_s=2 * IDLE_S,
        )
        self.world = HubWorld(settings, seed=seed, watch=watch)
        self.world.keeps_effects = False
        self.world.ready_after_s = ready_after_s
        self.clients = [self._client(number) for number in range(CLIENTS)]
        self.attempts = [0] * CLIENTS
        self.clients[0].connect()
        self.world.settle()
        self.set_back = False
        """The wall clock was set back."""
        self.count = 0
        """Of things that were typed and printed, so that each is like no other."""

    def _client(self, number: int) -> SimClient:
        """The second does not acknowledge output, the last has no id."""
        client_id = f"c{number}" if number < CLIENTS - 1 else None
        return self.world.client(client_id, flow=number != 1)

    def next_count(self) -> int:
        self.count += 1
        return self.count

    def pane(self, index: int) -> PaneId | None:
        """One that the hub has."""
        return _at(list(self.world.hub.world.panes), index)

    def known_pane(self, client: SimClient, index: int) -> PaneId | None:
        """One that the client was told of."""
        return _at(client.panes, index) if client.attached else None

    def pty(self, index: int) -> SimPty | None:
        """A living one, in a sandbox that is not frozen."""
        running = [agent for agent in self.world.machine.agents.values() if not agent.frozen]
        return _at([pty for agent in running for pty in agent.terminals.values() if pty.lives], index)

    def agent(self, index: int) -> SimAgent | None:
        return _at(list(self.world.machine.agents.values()), index)

    def hear_clients(self) -> None:
        """What clients have said arrives, and nothing else."""
        for client in self.clients:
            while client.socket is not None and len(client.socket.up):
                client.socket.up.deliver()

    def reach_terminals(self) -> None:
        """What the server has said to terminals arrives, and nothing else."""
        for link in self.world.server.terminals.values():
            link.arrive()

    def room_for_panes(self) -> bool:
        return len(self.world.hub.world.panes) < PANES

    def ask(self, number: int, kind: str, index: int, field: str = "paneId", **fields: Any) -> None:
        """A request about a pane that the client knows, or about its tab or session."""
        client = self.clients[number]
        pane_id = self.known_pane(client, index)
        if pane_id is None:
            return
        tab = next(tab for tab in client.model.tabs.values() if pane_id in leaves(tab.layout))
        ids = {"paneId": pane_id, "tabId": tab.id, "sessionId": tab.session_id}
        client.ask(kind, **{field: ids[field]}, **fields)


def _at(things: list[T], index: int) -> T | None:
    return things[index % len(things)] if things else None
