"""The sandboxes in memory do what real ones do; and what the suite says of kinds that cannot do everything."""

from __future__ import annotations

import pytest

from wormux.errors import SandboxError
from wormux.protocol.agent_link import Refused
from wormux.sandbox.port import Lost, Provider, Sandbox
from wormux.testing.fake_sandbox import FakeProvider, FakeWorld
from wormux.testing.sandbox_conformance import BOX, SandboxConformance, ignore


class FakeKind(SandboxConformance):
    @pytest.fixture(autouse=True)
    async def _world(self) -> None:
        self.world = FakeWorld()

    def make_provider(self) -> Provider:
        return FakeProvider(self.world)

    def kill_agent(self, provider: Provider, sandbox: Sandbox) -> None:
        self.world.agents[BOX].kill()

    def remains(self) -> list[str]:
        return [str(sandbox_id) for sandbox_id in (*self.world.agents, *self.world.frozen, *self.world.known)]


class TestFakeProvider(FakeKind):
    async def test_a_start_fails_as_scripted(self) -> None:
        self.world.refuse_starts = "No space left."
        with pytest.raises(SandboxError, match=r"No space left\."):
            await self.make_provider().start(BOX, ignore)

    async def test_a_freeze_is_refused_as_scripted(self) -> None:
        self.world.refuse_freezes = "No cgroup."
        await self.test_freezing_is_done_or_refused_as_the_provider_says()
        async with self.sandbox() as (_, sandbox, events):
            sandbox.freeze(force=True)
            assert await events.next(Refused) == Refused("No cgroup.")

    async def test_a_cut_leaves_the_shells_alive(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            pane = self.pane(sandbox)
            await pane.opened()
            self.world.agents[BOX].cut()
            assert not (await pane.events.next(Lost)).dead
            assert not (await events.next(Lost)).dead
            again = await provider.find(BOX, ignore)
            assert isinstance(again, Sandbox)
            assert [info.pane_id for info in again.welcome.terminals] == ["pane-1"]


class TestWhatAKindCannotDo:
    """Runs single checks by hand, of a kind that lacks what they need."""

    async def test_a_check_is_skipped_with_the_ability_that_is_missing(self) -> None:
        class Unaware(FakeKind):
            knows_busy = False

        with pytest.raises(pytest.skip.Exception, match=r"^without `knows_busy`: what is busy is not known$"):
            await Unaware().test_what_is_busy_is_not_put_to_sleep()

    async def test_a_kind_that_cannot_freeze_skips_with_its_own_reason(self) -> None:
        kind = FakeKind()
        kind.world = FakeWorld()
        kind.world.refuse_freezes = "No cgroup."
        with pytest.raises(pytest.skip.Exception, match=r"^No cgroup\.$"):
            await kind.test_finding_it_has_it_go_on()

    async def test_hooks_may_be_asynchronous(self) -> None:
        class Remote(FakeKind):
            async def agent_of(self, sandbox: Sandbox) -> object:
                return sandbox.welcome.pid

            async def remains(self) -> list[str]:  # type: ignore[override]
                return super().remains()

        kind = Remote()
        kind.world = FakeWorld()
        await kind.test_destroying_leaves_nothing()
        await kind.test_starting_again_gives_the_same_agent()
        kind.world.known.add(BOX)
        with pytest.raises(AssertionError):
            await kind.assert_nothing_remains()
