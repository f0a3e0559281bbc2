"""Starting, finding and destroying."""

from __future__ import annotations

import asyncio

from wormux.errors import SandboxError
from wormux.ids import SandboxId
from wormux.sandbox.port import Sandbox

from .kind import SandboxKind, needs
from .kit import BOX, ignore


class LivingChecks(SandboxKind):
    async def test_a_sandbox_is_found_only_after_it_was_started(self) -> None:
        async with self.provider() as provider:
            assert await provider.find(BOX, ignore) is None
            assert await provider.list() == ()
            started = await provider.start(BOX, ignore)
            found = await provider.find(BOX, ignore)
            assert isinstance(found, Sandbox)
            assert await self.agent(found) == await self.agent(started)
            assert await provider.list() == (BOX,)

    async def test_starting_again_gives_the_same_agent(self) -> None:
        async with self.provider() as provider:
            first = await provider.start(BOX, ignore)
            second = await provider.start(BOX, ignore)
            assert await self.agent(first) == await self.agent(second)

    @needs("keeps_terminals")
    async def test_a_sandbox_that_is_found_again_knows_its_terminals_of_now(self) -> None:
        async with self.sandbox() as (provider, sandbox, _):
            await self.pane(sandbox).opened()
            for again in (await provider.start(BOX, ignore), await provider.find(BOX, ignore)):
                assert isinstance(again, Sandbox)
                assert [info.pane_id for info in again.welcome.terminals] == ["pane-1"]

    async def test_many_starts_at_once_give_one_agent(self) -> None:
        async with self.provider() as provider:
            starts = [provider.start(BOX, ignore) for _ in range(20)]
            sandboxes = await asyncio.gather(*starts)
            for sandbox in sandboxes[1:]:
                assert await self.agent(sandbox) == await self.agent(sandboxes[0])

    @needs("keeps_agents")
    async def test_a_later_server_finds_the_agent_and_its_terminals(self) -> None:
        async with self.sandbox() as (first, sandbox, _):
            pane = self.pane(sandbox)
            await pane.opened()
            await first.aclose()
            second = self.make_provider()
            found = await second.find(BOX, ignore)
            assert isinstance(found, Sandbox)
            assert await self.agent(found) == await self.agent(sandbox)
            assert [info.pane_id for info in found.welcome.terminals] == ["pane-1"]
            await second.aclose()

    async def test_an_id_that_is_no_name_is_refused(self) -> None:
        async with self.provider() as provider:
            for name in ("", "../up", "a/b", "x" * 65, "a b", "ü"):
                for operation in (
                    provider.start(SandboxId(name), ignore),
                    provider.find(SandboxId(name), ignore),
                    provider.destroy(SandboxId(name)),
                ):
                    try:
                        await operation
                    except SandboxError:
                        continue
                    raise AssertionError(f"{name!r} was taken for the id of a sandbox.")

    async def test_destroying_leaves_nothing(self) -> None:
        async with self.sandbox() as (provider, sandbox, _):
            pane = self.pane(sandbox)
            await pane.opened()
            pane.type(b"sleep 1000\n")
            await pane.shows(b"sleep 1000")
            await provider.destroy(BOX)
            await self.assert_nothing_remains()
            assert await provider.list() == ()
            assert await provider.find(BOX, ignore) is None

    async def test_destroying_what_never_was_does_nothing(self) -> None:
        async with self.provider() as provider:
            await provider.destroy(BOX)
            await provider.start(BOX, ignore)
            await provider.destroy(BOX)
            await provider.destroy(BOX)
            await self.assert_nothing_remains()

    async def test_destroying_waits_for_a_start_under_way(self) -> None:
        async with self.provider() as provider:
            start = asyncio.create_task(provider.start(BOX, ignore))
            await asyncio.sleep(0)
            await provider.destroy(BOX)
            await start
            await self.assert_nothing_remains()

    async def test_a_destroyed_sandbox_can_be_started_anew(self) -> None:
        async with self.sandbox() as (provider, sandbox, _):
            await self.pane(sandbox).opened()
            await provider.destroy(BOX)
            again = await provider.start(BOX, ignore)
            assert again.welcome.terminals == ()
            await self.pane(again).opened()
