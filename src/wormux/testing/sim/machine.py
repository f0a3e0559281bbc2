"""The machine under the simulated server: sandboxes, asleep or awake. It outlives servers."""

from __future__ import annotations

from collections.abc import Callable

from wormux.errors import SandboxError
from wormux.ids import PaneId, SandboxId
from wormux.records import Snapshot
from wormux.testing.sim.agent import SimAgent, SimPty, Written


class SimMachine:
    """What runs, and what shall go wrong."""

    def __init__(
        self, on_opened: Callable[[SimPty], None], on_written: Callable[[SimPty, Written], None]
    ) -> None:
        self.agents: dict[SandboxId, SimAgent] = {}
        """Those that ever ran and were not destroyed; a stopped one is asleep."""
        self.ptys: dict[PaneId, list[SimPty]] = {}
        """Every terminal that a pane ever had."""
        self.starts: dict[SandboxId, int] = {}
        """How often each was really started."""
        self.refuse_starts: str | None = None
        """Every start fails with this reason."""
        self.refuse_finds: str | None = None
        self.start_s = 0.0
        """How long a start takes."""
        self.finds_frozen = False
        """Whether terminals live on is known only when their sandbox is started."""
        self.unstored_terminals: set[SandboxId] = set()
        self.unstored_input: set[SandboxId] = set()
        """Sandboxes that have terminals, or input, of which the store does not know since its server was killed. A new
        server that cannot ask them tells clients that this input never arrived, and cannot take that back later. So
        here such a sandbox can be asked."""
        self._on_opened = on_opened
        self._on_written = on_written

    def start(self, sandbox_id: SandboxId) -> SimAgent:
        """Idempotent. Raises `SandboxError`."""
        if self.refuse_starts is not None:
            raise SandboxError(self.refuse_starts)
        agent = self.awake(sandbox_id)
        if agent is None:
            agent = self.agents[sandbox_id] = SimAgent(self._opened, self._on_written)
            agent.sandbox_id = sandbox_id
            self.starts[sandbox_id] = self.starts.get(sandbox_id, 0) + 1
        agent.frozen = False
        return agent

    def find(self, sandbox_id: SandboxId) -> SimAgent | None:
        """Raises `SandboxError`."""
        if self.refuse_finds is not None and sandbox_id not in self.unstored_terminals:
            raise SandboxError(self.refuse_finds)
        agent = self.awake(sandbox_id)
        if agent is not None:
            agent.frozen = False
        return agent

    def note_unstored(self, store: Snapshot) -> None:
        """The server is about to be gone; this is all that it leaves."""
        keys = {client.id: client.key for client in store.clients}
        generations = {pane.id: pane.generation for pane in store.panes}
        inputs = {(entry.pane_id, keys.get(entry.client_id)): entry.position for entry in store.inputs}
        for sandbox_id, agent in self.agents.items():
            for pty in agent.terminals.values():
                pane_id = PaneId(pty.pane_id)
                if generations.get(pane_id, pty.generation) < pty.generation:
                    self.unstored_terminals.add(sandbox_id)
                if any(inputs.get((pane_id, key), 0) < position for key, position in pty.taken.items()):
                    self.unstored_input.add(sandbox_id)

    def heard(self, sandbox_id: SandboxId) -> None:
        """A server has asked the sandbox what it has."""
        self.unstored_terminals.discard(sandbox_id)
        self.unstored_input.discard(sandbox_id)

    def awake(self, sandbox_id: SandboxId) -> SimAgent | None:
        """The agent, if the sandbox runs."""
        agent = self.agents.get(sandbox_id)
        return None if agent is None or agent.stopped else agent

    def destroy(self, sandbox_id: SandboxId) -> None:
        agent = self.agents.pop(sandbox_id, None)
        if agent is not None:
            agent.die()

    def live(self, pane_id: PaneId) -> SimPty | None:
        """The one living terminal of a pane."""
        living = [pty for pty in self.ptys.get(pane_id, ()) if pty.lives]
        assert len(living) <= 1, f"{pane_id} has {len(living)} living terminals."
        return living[0] if living else None

    def _opened(self, pty: SimPty) -> None:
        self.ptys.setdefault(PaneId(pty.pane_id), []).append(pty)
        self._on_opened(pty)
