"""Backpressure: terminals that are held, and floods."""

from __future__ import annotations

from wormux.protocol.agent_link import Ended

from .kind import SandboxKind, needs


class HoldingChecks(SandboxKind):
    async def test_what_is_held_is_not_heard_until_it_is_released(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            held, calm = (
                self.pane(sandbox, self.open_request("held")),
                self.pane(sandbox, self.open_request("calm")),
            )
            await held.shows(self.prompt)
            for _ in range(2):
                held.terminal.hold(True)
            held.type(b"echo la''ter\n")
            calm.type(b"echo ca''lm\n")
            await calm.shows(b"calm")
            assert b"later" not in held.output
            for _ in range(2):
                held.terminal.hold(False)
            await held.shows(b"later")

    @needs("knows_exits")
    async def test_a_terminal_that_is_held_from_the_start_opens(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = self.pane(sandbox)
            pane.terminal.hold(True)
            await pane.opened()
            pane.terminal.hold(False)
            await pane.shows(self.prompt)
            pane.type(b"exit 7\n")
            await pane.events.next(Ended)
            pane.terminal.hold(True)
            pane.terminal.hold(False)

    async def test_a_flood_that_is_held_can_be_closed(self) -> None:
        async with self.sandbox() as (provider, sandbox, _):
            pane = self.pane(sandbox)
            pane.type(b"while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done\n")
            await pane.shows(b"\nxxxx")
            pane.terminal.hold(True)
            pane.terminal.close()
            await self.until_terminals(provider, lambda terminals: terminals == ())

    async def test_a_flood_in_one_terminal_delays_no_other(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            flood = self.pane(sandbox, self.open_request("flood"))
            flood.type(b"while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done\n")
            await flood.shows(b"\nxxxx")
            calm = self.pane(sandbox, self.open_request("calm"))
            calm.type(b"echo ca''lm\n")
            await calm.shows(b"calm")
            flood.terminal.close()
