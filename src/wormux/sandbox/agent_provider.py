"""What every provider shares whose sandboxes run our agent: one link to each, and one operation at a time on each.

A subclass says how an agent is launched, where it listens, how it is ended and what is removed; it knows nothing of
links. Everything runs on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import weakref
from abc import abstractmethod
from collections.abc import Callable

from wormux.errors import SandboxError
from wormux.ids import SandboxId
from wormux.sandbox.life import Life
from wormux.sandbox.link import AgentMissing, ControlLink, Outside
from wormux.sandbox.port import Lost, Provider, Sandbox, SandboxEvent
from wormux.sandbox.wire import Dial

SANDBOX_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Fit to be the name of a file, a container or a group."""
DIES_WITHIN_S = 2.0
"""Between an agent's last sign of life, or the signal that kills it, and the news of its death."""


class AgentProvider(Provider):
    """See the module. The hooks are called under the lock of their sandbox, and raise `SandboxError`."""

    def __init__(self) -> None:
        self._locks: weakref.WeakValueDictionary[SandboxId, asyncio.Lock] = weakref.WeakValueDictionary()
        self._links: dict[SandboxId, ControlLink] = {}
        self._lives: dict[SandboxId, Life] = {}

    # --- What a subclass says ----------------------------------------------------------------------------------

    @abstractmethod
    def dial(self, sandbox_id: SandboxId) -> Dial:
        """How its agent is reached."""

    @abstractmethod
    async def launch(self, sandbox_id: SandboxId) -> None:
        """Run a new agent in it, making the sandbox if need be, and wait until it listens. None runs."""

    @abstractmethod
    async def end(self, sandbox_id: SandboxId) -> None:
        """See to it that no agent runs and no process is left, whoever started them: there was no answer, or the
        sandbox is to be destroyed."""

    @abstractmethod
    async def remove(self, sandbox_id: SandboxId) -> None:
        """Remove its files; nothing of it runs."""

    async def freeze(self, sandbox_id: SandboxId) -> None:
        """Have all its processes stand still, the agent included. What raises has them go on."""
        raise SandboxError(self.cannot_freeze or "Sandboxes of this kind cannot be frozen.")

    async def thaw(self, sandbox_id: SandboxId) -> None:
        """Have them go on, if they were frozen."""
        return

    async def explain(self, sandbox_id: SandboxId, lost: Lost) -> Lost:
        """Say more of why the link to its agent broke, where that is known."""
        return lost

    def life_of(self, sandbox_id: SandboxId, peer_pid: int) -> Life:
        """The life of its agent. `peer_pid` is the process that listens, as the kernel names it; of an inherited
        socket that is the one which made it."""
        life = self._lives.get(sandbox_id)
        return life if life is not None and life.pid == peer_pid else self.watch(sandbox_id, Life(peer_pid))

    def watch(self, sandbox_id: SandboxId, life: Life) -> Life:
        """This is the life of its agent from now on."""
        old = self._lives.get(sandbox_id)
        if old is not None and old is not life:
            old.unwatch()
        self._lives[sandbox_id] = life
        return life

    def known_life(self, sandbox_id: SandboxId) -> Life | None:
        """Of its newest agent, if this server has seen one."""
        return self._lives.get(sandbox_id)

    # --- The port ----------------------------------------------------------------------------------------------

    async def start(self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]) -> Sandbox:
        async with self._lock(sandbox_id):
            link = await self._linked(sandbox_id, deliver)
            if link is None:
                await self.end(sandbox_id)
                await self.launch(sandbox_id)
                link = await self._connect(sandbox_id, deliver)
            return link

    async def find(self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]) -> Sandbox | None:
        async with self._lock(sandbox_id):
            return await self._linked(sandbox_id, deliver)

    async def destroy(self, sandbox_id: SandboxId) -> None:
        async with self._lock(sandbox_id):
            with contextlib.suppress(SandboxError):
                await self._force_sleep(sandbox_id)
            await self.end(sandbox_id)
            self._lives.pop(sandbox_id, None)
            await self.remove(sandbox_id)

    async def aclose(self) -> None:
        for link in tuple(self._links.values()):
            link.detach()
        for life in self._lives.values():
            life.unwatch()
        self._lives.clear()

    # --- Links -------------------------------------------------------------------------------------------------

    def _lock(self, sandbox_id: SandboxId) -> asyncio.Lock:
        if not SANDBOX_ID.fullmatch(sandbox_id):
            raise SandboxError("The sandbox's id is not a name that a sandbox can have.")
        return self._locks.setdefault(sandbox_id, asyncio.Lock())

    async def _linked(
        self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]
    ) -> ControlLink | None:
        """The link to the agent that runs, if one does."""
        await self.thaw(sandbox_id)
        while (link := self._links.get(sandbox_id)) is not None:
            if not link.is_ending:
                await self._look_again(link)
            if not link.is_ending:
                link.deliver_to(deliver)
                return link
            await link.wait_over()
        try:
            return await self._connect(sandbox_id, deliver)
        except AgentMissing:
            return None

    async def _look_again(self, link: ControlLink) -> None:
        """Afterwards its welcome is fresh, or it is ending."""
        try:
            await link.look_again()
        except AgentMissing:
            try:
                async with asyncio.timeout(DIES_WITHIN_S):
                    await link.wait_over()
            except TimeoutError:
                raise SandboxError("The agent lives, but nobody can reach it: its socket is gone.") from None

    async def _connect(self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]) -> ControlLink:
        async def freeze() -> None:
            async with self._lock(sandbox_id):
                if sandbox_id not in self._links:
                    raise SandboxError("The sandbox ended meanwhile.")
                await self.freeze(sandbox_id)

        async def explain(lost: Lost) -> Lost:
            return await self.explain(sandbox_id, lost)

        def on_over(link: ControlLink) -> None:
            if self._links.get(sandbox_id) is link:
                del self._links[sandbox_id]

        outside = Outside(
            dial=self.dial(sandbox_id),
            life_of=lambda peer_pid: self.life_of(sandbox_id, peer_pid),
            freeze=freeze,
            explain=explain,
        )
        link = await ControlLink.connect(outside, deliver, on_over)
        if not link.is_over:  # what its agent said right behind the welcome may have ended it
            self._links[sandbox_id] = link
        return link

    async def _force_sleep(self, sandbox_id: SandboxId) -> None:
        """Have the agent end everything and itself, if it answers."""
        link = await self._linked(sandbox_id, lambda _: None)
        if link is not None:
            link.sleep(force=True)
            await link.wait_over()
