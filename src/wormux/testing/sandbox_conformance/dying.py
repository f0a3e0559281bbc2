"""What runs the terminals is killed."""

from __future__ import annotations

from wormux.sandbox.port import Lost

from .kind import SandboxKind, needs
from .kit import BOX, ignore


class DyingChecks(SandboxKind):
    @needs("knows_deaths")
    async def test_a_killed_agent_is_known_to_be_dead(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            panes = [self.pane(sandbox, self.open_request(f"pane-{number}")) for number in range(5)]
            for pane in panes:
                await pane.opened()
            await self.kill(provider, sandbox)
            losses = [await pane.events.next(Lost) for pane in panes]
            losses.append(await events.next(Lost))
            assert all(loss.dead for loss in losses)
            assert len({loss.reason for loss in losses}) == 1
            assert await provider.find(BOX, ignore) is None
            again = await provider.start(BOX, ignore)
            await self.pane(again).opened()

    @needs("knows_deaths")
    async def test_an_agent_that_is_killed_while_held_is_known_to_be_dead(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            flood, quiet = (
                self.pane(sandbox, self.open_request("flood")),
                self.pane(sandbox, self.open_request("quiet")),
            )
            flood.type(b"while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done\n")
            await flood.shows(b"\nxxxx")
            await quiet.opened()
            for pane in (flood, quiet):
                pane.terminal.hold(True)
            await self.kill(provider, sandbox)
            for probe in (flood.events, quiet.events, events):
                assert (await probe.next(Lost)).dead

    async def test_starting_right_after_a_kill_ends_in_a_new_agent(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            killed = await self.agent(sandbox)
            await self.kill(provider, sandbox)
            again = await provider.start(BOX, events)
            if again is sandbox:  # its death was not known yet
                await events.next(Lost)
                again = await provider.start(BOX, events)
            assert await self.agent(again) != killed
            assert len(events.of(Lost)) == 1, "the end of the old link was not told before the new one began"
