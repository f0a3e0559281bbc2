"""The sandboxes in memory do what real ones do."""

from __future__ import annotations

import pytest

from wormux.errors import SandboxError
from wormux.sandbox.port import Lost, Provider, Sandbox
from wormux.testing.fake_sandbox import FakeProvider, FakeWorld
from wormux.testing.sandbox_conformance import BOX, Pane, SandboxConformance, ignore, open_request


class TestFakeProvider(SandboxConformance):
    @pytest.fixture(autouse=True)
    async def _world(self) -> None:
        self.world = FakeWorld()

    def make_provider(self) -> Provider:
        return FakeProvider(self.world)

    def kill_agent(self, provider: Provider, sandbox: Sandbox) -> None:
        self.world.agents[BOX].kill()

    def remains(self) -> list[str]:
        return [str(sandbox_id) for sandbox_id in (*self.world.agents, *self.world.known)]

    async def test_a_start_fails_as_scripted(self) -> None:
        self.world.refuse_starts = "No space left."
        with pytest.raises(SandboxError, match=r"No space left\."):
            await self.make_provider().start(BOX, ignore)

    async def test_a_cut_leaves_the_shells_alive(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            pane = Pane(sandbox, open_request())
            await pane.opened()
            self.world.agents[BOX].cut()
            assert not (await pane.events.next(Lost)).dead
            assert not (await events.next(Lost)).dead
            again = await provider.find(BOX, ignore)
            assert again is not None
            assert [info.pane_id for info in again.welcome.terminals] == ["pane-1"]
