"""Going to sleep."""

from __future__ import annotations

from wormux.protocol.agent_link import Busy, Ended, Refused, Stopped
from wormux.sandbox.port import Lost

from .kind import SandboxKind, needs
from .kit import BOX, ignore


class SleepingChecks(SandboxKind):
    async def test_sleep_ends_everything(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            pane = self.pane(sandbox)
            pane.type(b"echo hel''lo\n")
            await pane.shows(b"hello")
            sandbox.sleep(force=True)
            await events.next(self.sleep_answer)
            assert isinstance(events.all[-1], self.sleep_answer)
            ended = pane.events.of(Ended)
            if self.sleep_answer is Stopped:
                assert len(ended) == 1, "Stopped came before the last event of a terminal"
                assert ended[0].exit.asleep
                assert await provider.find(BOX, ignore) is None
                awake = await provider.start(BOX, ignore)
                assert awake.welcome.terminals == ()
            else:
                assert ended == [], "a terminal ended that may live on"
                awake = await provider.start(BOX, ignore)
            await self.pane(awake, self.open_request(generation=2)).opened()

    @needs("knows_busy", "interrupts")
    async def test_what_is_busy_is_not_put_to_sleep(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            pane = self.pane(sandbox)
            pane.type(b"sleep 1000\n")
            await events.next(Busy, lambda event: "sleep" in (event.sentence or ""))
            sandbox.sleep(force=False)
            await events.next(Refused)
            pane.type(b"\x03")
            pane.type(b"echo al''ive\n")
            await pane.shows(b"alive")
            sandbox.sleep(force=True)
            await events.next(self.sleep_answer)
            if self.sleep_answer is Stopped:
                assert await provider.find(BOX, ignore) is None

    async def test_an_idle_sandbox_sleeps_without_force(self) -> None:
        async with self.sandbox() as (_, sandbox, events):
            sandbox.sleep(force=False)
            await events.next(self.sleep_answer)
            assert isinstance(events.all[-1], self.sleep_answer)

    @needs("knows_exits")
    async def test_a_terminal_that_is_held_keeps_no_sandbox_from_sleeping(self) -> None:
        async with self.sandbox() as (_, sandbox, events):
            pane = self.pane(sandbox)
            await pane.shows(self.prompt)
            pane.terminal.hold(True)
            sandbox.sleep(force=True)
            await events.next(self.sleep_answer)
            if self.sleep_answer is Stopped:
                pane.terminal.hold(False)
                await pane.events.until(lambda: bool(pane.events.of(Ended) or pane.events.of(Lost)))
