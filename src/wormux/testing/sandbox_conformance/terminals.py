"""Opening, attaching, ending and closing terminals."""

from __future__ import annotations

import asyncio

from wormux.ids import PaneId
from wormux.protocol.agent_link import Attach, Ended, InputAck, Open, Opened, Output, Refused, SizeMark
from wormux.sandbox.port import Lost, Sandbox

from .kind import SandboxKind, needs
from .kit import BOX, CLIENT, ignore


class TerminalChecks(SandboxKind):
    async def test_a_terminal_opens_and_echoes(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = self.pane(sandbox)
            assert pane.events.all == [], "an event was delivered from inside the call"
            pane.type(b"echo hel''lo\n")
            await pane.shows(b"hello")
            assert isinstance(pane.events.all[0], Opened)
            await pane.events.next(
                InputAck, lambda ack: (ack.client_id, ack.position) == (CLIENT, pane.typed)
            )

    async def test_the_stream_begins_with_the_preamble_at_the_position_asked_for(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = self.pane(sandbox, Open("pane-1", 3, 80, 24, 1000, b"<preamble>", ("/bin/sh",)))
            opened = await pane.opened()
            assert opened.position == 1000
            await pane.shows(b"<preamble>")
            assert pane.output.startswith(b"<preamble>")

    async def test_a_size_comes_back_in_its_place(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = self.pane(sandbox)
            pane.terminal.resize(100, 30)
            mark = await pane.events.next(SizeMark)
            assert (mark.cols, mark.rows) == (100, 30)
            before = pane.events.all[: pane.events.all.index(mark)]
            shown = sum(len(event.data) for event in before if isinstance(event, Output))
            assert mark.position == (await pane.opened()).position + shown

    @needs("knows_exits", "keeps_terminals", "keeps_output")
    async def test_an_ended_terminal_is_kept_until_it_is_forgotten(self) -> None:
        async with self.sandbox() as (provider, sandbox, _):
            pane = self.pane(sandbox)
            pane.type(b"echo la''st; exit 7\n")
            ended = await pane.events.next(Ended)
            pane.terminal.detach()
            again = self.pane(sandbox, Attach("pane-1", 1, 0))
            assert (await again.events.next(Ended)).exit.code == ended.exit.code
            assert again.output == pane.output
            again.terminal.forget()
            await self.until_terminals(provider, lambda terminals: terminals == ())

    @needs("keeps_terminals", "keeps_output")
    async def test_attaching_gives_the_bytes_that_were_missed(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = self.pane(sandbox)
            pane.type(b"echo fi''rst\n")
            await pane.shows(b"first")
            position = await pane.position()
            pane.type(b"echo se''cond\n")
            await pane.events.next(InputAck, lambda ack: ack.position == pane.typed)
            pane.terminal.detach()
            again = self.pane(sandbox, Attach("pane-1", 1, position), pane.typed)
            assert (await again.opened()).position == position
            await again.shows(b"second")
            again.type(b"echo th''ird\n")
            await again.shows(b"third")
            again.terminal.detach()
            whole = self.pane(sandbox, Attach("pane-1", 1, 0))
            await whole.shows(b"third")
            at = position - (await whole.opened()).position
            assert whole.output[at:].startswith(again.output)

    async def test_nothing_is_attached_where_nothing_is(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            refused = await self.pane(sandbox, Attach("pane-1", 1, 0)).events.next(Refused)
            assert refused.gone

    @needs("keeps_terminals")
    async def test_nothing_is_delivered_after_close_and_detach(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            closed, detached = (
                self.pane(sandbox, self.open_request("closed")),
                self.pane(sandbox, self.open_request("detached")),
            )
            await closed.opened()
            await detached.opened()
            closed.terminal.close()
            detached.terminal.detach()
            sandbox.detach()
            counts = [len(probe.all) for probe in (closed.events, detached.events, events)]
            await self.until_terminals(
                provider, lambda terminals: [info.pane_id for info in terminals] == ["detached"]
            )
            assert [len(probe.all) for probe in (closed.events, detached.events, events)] == counts
            for terminal in (closed.terminal, detached.terminal):
                terminal.write(CLIENT, 0, b"x")
                terminal.answer(1, b"x")
                terminal.hold(True)
                terminal.resize(90, 20)
                terminal.forget()
                terminal.close()
                terminal.detach()

    async def test_closing_while_it_opens_leaves_no_terminal(self) -> None:
        async with self.sandbox() as (provider, sandbox, _):
            panes = []
            for steps in range(12):
                pane = self.pane(sandbox, self.open_request(f"pane-{steps}"))
                for _ in range(steps):
                    await asyncio.sleep(0)
                pane.terminal.close()
                panes.append((pane, len(pane.events.all)))
            await self.pane(sandbox, self.open_request("stays")).opened()
            await self.until_terminals(
                provider, lambda terminals: [info.pane_id for info in terminals] == ["stays"]
            )
            for pane, count in panes:
                assert len(pane.events.all) == count

    @needs("keeps_terminals")
    async def test_a_terminal_that_nobody_is_attached_to_can_be_closed(self) -> None:
        async with self.sandbox() as (provider, sandbox, _):
            pane = self.pane(sandbox)
            await pane.opened()
            pane.terminal.detach()
            sandbox.close_terminal(PaneId("pane-1"))
            await self.until_terminals(provider, lambda terminals: terminals == ())

    @needs("keeps_terminals")
    async def test_opening_the_same_generation_again_is_attaching(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            first = self.pane(sandbox)
            pid = (await first.opened()).pid
            second = self.pane(sandbox)
            assert (await second.opened()).pid == pid
            assert not (await first.events.next(Lost)).dead
            second.type(b"echo al''ive\n")
            await second.shows(b"alive")

    @needs("keeps_terminals")
    async def test_a_newer_generation_takes_the_place_of_an_older_one(self) -> None:
        async with self.sandbox() as (provider, sandbox, _):
            older = self.pane(sandbox)
            await older.opened()
            newer = self.pane(sandbox, self.open_request(generation=2))
            await newer.opened()
            await older.events.next(Lost)
            await self.until_terminals(
                provider, lambda terminals: [info.generation for info in terminals] == [2]
            )
            late = self.pane(sandbox, self.open_request(generation=1))
            await late.events.next(Refused)
            newer.type(b"echo al''ive\n")
            await newer.shows(b"alive")

    @needs("keeps_agents")
    async def test_nothing_is_delivered_once_the_provider_was_closed(self) -> None:
        async with self.sandbox() as (first, sandbox, events):
            pane = self.pane(sandbox)
            await pane.opened()
            pane.type(b"echo hel''lo\n")
            await pane.events.next(InputAck, lambda ack: ack.position == pane.typed)
            await first.aclose()
            heard = (len(events.all), len(pane.events.all))
            second = self.make_provider()
            found = await second.find(BOX, ignore)
            assert isinstance(found, Sandbox)
            again = self.pane(found, Attach("pane-1", 1, 0), pane.typed)
            await again.shows(b"hello")
            again.type(b"exit\n")
            await self.until_terminals(
                second, lambda terminals: all(info.exit is not None for info in terminals)
            )
            assert (len(events.all), len(pane.events.all)) == heard
            await second.aclose()
