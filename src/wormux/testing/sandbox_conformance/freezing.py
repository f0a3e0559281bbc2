"""Standing still, and going on as if nothing had been. Skipped with the provider's reason where it cannot freeze."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from wormux.ids import PaneId
from wormux.protocol.agent_link import Attach, Busy, Opened, Refused
from wormux.sandbox.port import Frozen, Provider, Sandbox, SandboxEvent

from .kind import SandboxKind, needs
from .kit import BOX, CLIENT, Events, Pane, ignore

_COUNT = b"while :; do i=$((i+1)); echo nr-$i-; done\n"
_NUMBER = re.compile(rb"nr-(\d+)-\r\n")


class FreezingChecks(SandboxKind):
    @asynccontextmanager
    async def freezable(self) -> AsyncIterator[tuple[Provider, Sandbox, Events[SandboxEvent]]]:
        async with self.sandbox() as (provider, sandbox, events):
            if provider.cannot_freeze is not None:
                pytest.skip(provider.cannot_freeze)
            yield provider, sandbox, events

    async def freeze(self, sandbox: Sandbox, events: Events[SandboxEvent]) -> None:
        """With force, whether it is busy or not."""
        sandbox.freeze(force=True)
        await events.next(Frozen)
        assert isinstance(events.all[-1], Frozen)

    async def lives(self, pane: Pane, word: str = "alive") -> None:
        """The shell behind it carries out commands."""
        pane.type(b"echo %s''-%s\n" % (word[:1].encode(), word[1:].encode()))
        await pane.shows(b"%s-%s" % (word[:1].encode(), word[1:].encode()))

    async def test_freezing_is_done_or_refused_as_the_provider_says(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            pane = self.pane(sandbox)
            await self.lives(pane)
            reason = provider.cannot_freeze
            sandbox.freeze(force=False)
            if reason is None:
                await events.next(Frozen)
            else:
                assert reason.endswith("."), "the reason is no sentence"
                assert (await events.next(Refused)).reason
                await self.lives(pane, "later")

    @needs("knows_busy")
    async def test_what_is_busy_is_frozen_by_force_alone(self) -> None:
        async with self.freezable() as (provider, sandbox, events):
            pane = self.pane(sandbox)
            pane.type(b"sleep 1000\n")
            await events.next(Busy, lambda event: "sleep" in (event.sentence or ""))
            sandbox.freeze(force=False)
            await events.next(Refused)
            assert events.of(Frozen) == []
            await self.freeze(sandbox, events)
            thawed = await provider.start(BOX, ignore)
            assert "sleep" in (thawed.welcome.busy or "")

    @needs("interrupts", "keeps_output")
    async def test_a_flood_goes_on_with_nothing_lost_or_twice(self) -> None:
        async with self.freezable() as (provider, sandbox, events):
            agent = await self.agent(sandbox)
            before = self.pane(sandbox)
            before.type(_COUNT)
            await before.shows(b"nr-100-")
            await self.freeze(sandbox, events)
            heard = len(before.events.all)
            position = await before.position()

            thawed = await provider.start(BOX, ignore)
            assert await self.agent(thawed) == agent
            after = self.pane(thawed, Attach("pane-1", 1, position), before.typed)
            opened = await after.opened()
            assert opened.pid == before.events.of(Opened)[0].pid
            assert opened.position == position
            after.type(b"\x03")
            await self.lives(after)
            numbers = [int(number) for number in _NUMBER.findall(before.output + after.output)]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(before.events.all) == heard, "a terminal went on to tell after its sandbox had frozen"

    @needs("interrupts", "keeps_output")
    async def test_a_flood_that_is_held_freezes_and_goes_on(self) -> None:
        async with self.freezable() as (provider, sandbox, events):
            before = self.pane(sandbox)
            before.type(_COUNT)
            await before.shows(b"nr-100-")
            before.terminal.hold(True)
            await self.freeze(sandbox, events)
            heard = len(before.events.all)
            before.terminal.hold(False)
            thawed = await provider.start(BOX, ignore)
            after = self.pane(thawed, Attach("pane-1", 1, await before.position()), before.typed)
            await after.opened()
            after.type(b"\x03")
            await self.lives(after)
            numbers = [int(number) for number in _NUMBER.findall(before.output + after.output)]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(before.events.all) == heard

    @needs("acknowledges", "keeps_output")
    async def test_what_was_typed_in_the_instant_of_freezing_arrives_once(self) -> None:
        async with self.freezable() as (provider, sandbox, events):
            stream = b"".join(b"echo nr''-%d-\n" % number for number in range(10))
            pane = self.pane(sandbox)
            await pane.shows(self.prompt)
            pane.type(stream[: len(stream) // 2])
            await self.freeze(sandbox, events)
            again = self.pane(await provider.start(BOX, ignore), Attach("pane-1", 1, 0))
            again.type(stream)
            await again.shows(b"nr-9-")
            for number in range(10):
                assert again.output.count(b"nr-%d-" % number) == 1

    async def test_finding_it_has_it_go_on(self) -> None:
        async with self.freezable() as (provider, sandbox, events):
            pane = self.pane(sandbox)
            await self.lives(pane)
            agent = await self.agent(sandbox)
            await self.freeze(sandbox, events)
            assert await provider.list() == (BOX,)
            found = await provider.find(BOX, ignore)
            assert isinstance(found, Sandbox)
            assert await self.agent(found) == agent
            again = self.pane(found, Attach("pane-1", 1, await pane.position()), pane.typed)
            await self.lives(again, "again")

    async def test_many_starts_at_once_have_it_go_on_once(self) -> None:
        async with self.freezable() as (provider, sandbox, events):
            pane = self.pane(sandbox)
            await self.lives(pane)
            agent = await self.agent(sandbox)
            await self.freeze(sandbox, events)
            later: Events[SandboxEvent] = Events(self.within_s)
            for thawed in await asyncio.gather(*(provider.start(BOX, later) for _ in range(20))):
                assert await self.agent(thawed) == agent
            again = self.pane(thawed, Attach("pane-1", 1, await pane.position()), pane.typed)
            await self.lives(again, "again")
            assert later.of(Frozen) == []

    async def test_it_freezes_again_and_again(self) -> None:
        async with self.freezable() as (provider, first, _):
            pane = self.pane(first)
            await self.lives(pane, "ready")
            for count in range(3):
                events: Events[SandboxEvent] = Events(self.within_s)
                sandbox = await provider.start(BOX, events)
                pane = self.pane(sandbox, Attach("pane-1", 1, await pane.position()), pane.typed)
                await self.lives(pane, f"{count}-times")
                sandbox.freeze(force=True)
                await self.freeze(sandbox, events)
                assert len(events.of(Frozen)) == 1, "it was told twice"

    async def test_links_to_what_is_frozen_do_nothing(self) -> None:
        async with self.freezable() as (provider, sandbox, events):
            pane = self.pane(sandbox)
            await self.lives(pane)
            await self.freeze(sandbox, events)
            heard = len(pane.events.all)
            pane.terminal.write(CLIENT, pane.typed, b"exit\n")
            pane.terminal.answer(await pane.position(), b"exit\n")
            pane.terminal.hold(True)
            pane.terminal.resize(90, 20)
            pane.terminal.forget()
            pane.terminal.close()
            pane.terminal.detach()
            sandbox.close_terminal(PaneId("pane-1"))
            sandbox.sleep(force=True)
            sandbox.freeze(force=True)
            sandbox.detach()
            thawed = await provider.start(BOX, ignore)
            again = self.pane(thawed, Attach("pane-1", 1, await pane.position()), pane.typed)
            await self.lives(again, "again")
            assert len(pane.events.all) == heard
            assert len(events.of(Frozen)) == 1
            assert isinstance(events.all[-1], Frozen)

    async def test_destroying_what_is_frozen_leaves_nothing(self) -> None:
        async with self.freezable() as (provider, sandbox, events):
            await self.lives(self.pane(sandbox))
            await self.freeze(sandbox, events)
            await provider.destroy(BOX)
            await self.assert_nothing_remains()
            assert await provider.list() == ()
            assert await provider.find(BOX, ignore) is None

    @needs("keeps_agents")
    async def test_a_later_server_has_it_go_on(self) -> None:
        async with self.freezable() as (first, sandbox, events):
            pane = self.pane(sandbox)
            await self.lives(pane)
            agent = await self.agent(sandbox)
            await self.freeze(sandbox, events)
            await first.aclose()
            second = self.make_provider()
            assert await second.list() == (BOX,)
            thawed = await second.start(BOX, ignore)
            assert await self.agent(thawed) == agent
            again = self.pane(thawed, Attach("pane-1", 1, await pane.position()), pane.typed)
            await self.lives(again, "again")
            await second.aclose()

    @needs("keeps_agents")
    async def test_a_later_server_can_destroy_what_is_frozen(self) -> None:
        async with self.freezable() as (first, sandbox, events):
            await self.lives(self.pane(sandbox))
            await self.freeze(sandbox, events)
            await first.aclose()
            second = self.make_provider()
            await second.destroy(BOX)
            await second.aclose()
            await self.assert_nothing_remains()
