"""Sandboxes that live in memory: no process, no file, no time. For tests of what stands above the provider.

A `FakeWorld` is the machine on which they run; it outlives a `FakeProvider` as agents outlive a server. What their
shells know is in `fake_shell`. What goes wrong is scripted:

    world.refuse_starts = "No space left."      every start fails so
    world.starts_held.clear()                   starts wait until it is set again
    world.agents["box"].refuse_opens = "..."    every new terminal is refused so
    world.agents["box"].kill("The agent was killed by SIGKILL.")
    world.agents["box"].cut()                   the links break, the shells live on
    world.refuse_freezes = "No cgroup."         nothing can be frozen here
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable

from wormux.errors import SandboxError
from wormux.ids import PaneId, SandboxId
from wormux.protocol.agent_link import Attach, Open, Refused
from wormux.sandbox.port import Lost, Provider, Sandbox, SandboxEvent, Terminal, TerminalEvent
from wormux.testing.fake_machine import FakeAgent, FakePty, FakeWorld, Outbox

__all__ = ["FakeAgent", "FakeProvider", "FakePty", "FakeSandbox", "FakeTerminal", "FakeWorld"]


class FakeProvider(Provider):
    """One server's hold on a `FakeWorld`."""

    name = "fake"

    def __init__(self, world: FakeWorld) -> None:
        self._world = world
        self._links: dict[SandboxId, FakeSandbox] = {}
        self._locks: weakref.WeakValueDictionary[SandboxId, asyncio.Lock] = weakref.WeakValueDictionary()

    @property
    def cannot_freeze(self) -> str | None:
        return self._world.refuse_freezes

    async def start(self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]) -> Sandbox:
        async with self._lock(sandbox_id):
            await self._world.starts_held.wait()
            await asyncio.sleep(0)  # what an old link still has to say comes first
            if self._world.refuse_starts is not None:
                raise SandboxError(self._world.refuse_starts)
            self._world.known.add(sandbox_id)
            self._world.thaw(sandbox_id)
            if sandbox_id not in self._world.agents:
                self._world.starts += 1
                self._world.agents[sandbox_id] = FakeAgent(self._world, sandbox_id)
            return self._link(sandbox_id, deliver)

    async def find(self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]) -> Sandbox | None:
        async with self._lock(sandbox_id):
            await asyncio.sleep(0)
            self._world.thaw(sandbox_id)
            return self._link(sandbox_id, deliver) if sandbox_id in self._world.agents else None

    async def destroy(self, sandbox_id: SandboxId) -> None:
        async with self._lock(sandbox_id):
            self._world.thaw(sandbox_id)
            if sandbox_id in self._world.agents:
                self._world.agents[sandbox_id].stop()
            self._world.known.discard(sandbox_id)

    async def list(self) -> tuple[SandboxId, ...]:
        return tuple(sorted(self._world.known))

    async def aclose(self) -> None:
        for link in self._links.values():
            link.detach()
        self._links.clear()

    def _lock(self, sandbox_id: SandboxId) -> asyncio.Lock:
        if not (
            0 < len(sandbox_id) <= 64 and sandbox_id.isascii() and sandbox_id.replace("-", "x").isidentifier()
        ):
            raise SandboxError("The sandbox's id is not a name that a sandbox can have.")
        return self._locks.setdefault(sandbox_id, asyncio.Lock())

    def _link(self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]) -> FakeSandbox:
        link = self._links.get(sandbox_id)
        if link is not None and not link.events.is_over:
            link.events.deliver = deliver
            link.welcome = self._world.agents[sandbox_id].welcome
            return link
        link = self._links[sandbox_id] = FakeSandbox(self._world.agents[sandbox_id], deliver)
        return link


class FakeSandbox(Sandbox):
    """A link to a `FakeAgent`."""

    def __init__(self, agent: FakeAgent, deliver: Callable[[SandboxEvent], None]) -> None:
        self.events: Outbox[SandboxEvent] = Outbox(deliver)
        self.welcome = agent.welcome
        self._agent = agent
        self._terminals: weakref.WeakSet[FakeTerminal] = weakref.WeakSet()
        agent.links.append(self.events)

    def terminal(self, request: Open | Attach, deliver: Callable[[TerminalEvent], None]) -> Terminal:
        terminal = FakeTerminal(self._agent, request, deliver)
        self._terminals.add(terminal)
        return terminal

    def sleep(self, *, force: bool) -> None:
        if self.events.is_over:
            return
        if self._agent.busy is not None and not force:
            self.events.post(Refused(f"{self._agent.busy} runs."))
        else:
            self._agent.stop()

    def freeze(self, *, force: bool) -> None:
        if self.events.is_over:
            return
        if self._agent.cannot_freeze is not None:
            self.events.post(Refused(self._agent.cannot_freeze))
        elif self._agent.busy is not None and not force:
            self.events.post(Refused(f"{self._agent.busy} runs."))
        else:
            self._agent.freeze()

    def close_terminal(self, pane_id: PaneId) -> None:
        if not self.events.is_over:
            self._agent.close(pane_id)

    def detach(self) -> None:
        self.events.silence()
        for terminal in self._terminals:
            terminal.detach()
        if self.events in self._agent.links:
            self._agent.links.remove(self.events)


class FakeTerminal(Terminal):
    """A link to a `FakePty`. Its request is carried out in the loop's next round, as a socket would."""

    def __init__(
        self, agent: FakeAgent, request: Open | Attach, deliver: Callable[[TerminalEvent], None]
    ) -> None:
        self._agent = agent
        self._request = request
        self._out: Outbox[TerminalEvent] = Outbox(deliver)
        self._pty: FakePty | None = None
        self._later: list[Callable[[FakePty], None]] = []
        self._is_asked = False
        asyncio.get_running_loop().call_soon(self._ask)

    def write(self, client_id: str, position: int, data: bytes) -> None:
        self._do(lambda pty: pty.input(client_id, position, data))

    def answer(self, position: int, data: bytes) -> None:
        if self._pty is not None:
            self._do(lambda pty: pty.answer(position, data))

    def hold(self, held: bool) -> None:
        self._out.hold(held)

    def resize(self, cols: int, rows: int) -> None:
        self._do(lambda pty: pty.resize(cols, rows))

    def close(self) -> None:
        if self._out.is_silenced:
            return
        self._out.silence()
        is_ours = self._pty is not None and self._agent.ptys.get(self._request.pane_id) is self._pty
        is_to_be_attached = not self._is_asked and isinstance(self._request, Attach)
        if is_ours or is_to_be_attached:
            self._agent.close(self._request.pane_id)

    def forget(self) -> None:
        if self._out.is_silenced:
            return
        if self._pty is not None and self._agent.ptys.get(self._request.pane_id) is self._pty:
            self._agent.forget(self._request.pane_id)

    def detach(self) -> None:
        self._out.silence()

    def _do(self, action: Callable[[FakePty], None]) -> None:
        if self._out.is_over:
            return
        if self._pty is not None:
            action(self._pty)
        elif not self._is_asked:
            self._later.append(action)

    def _ask(self) -> None:
        self._is_asked = True
        if self._out.is_over:
            return
        if not self._agent.is_awake:
            self._out.post(Lost("The link to the sandbox broke."), last=True)
        elif isinstance(self._request, Open):
            self._pty = self._agent.open(self._request, self._out)
        else:
            self._pty = self._agent.attach(self._request, self._out)
        if self._pty is not None:
            for action in self._later:
                action(self._pty)
        self._later.clear()
