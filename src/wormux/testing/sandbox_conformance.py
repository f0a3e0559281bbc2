"""What every provider of sandboxes must do, as checks that pytest collects from a subclass.

    class TestMyProvider(SandboxConformance):
        def make_provider(self) -> Provider:
            return MyProvider(self.directory)

The shells behind it must know `echo`, which leaves out quotes, `sleep`, `exit` and `pwd` as /bin/sh does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from wormux.errors import SandboxError
from wormux.ids import PaneId, SandboxId
from wormux.protocol.agent_link import (
    Attach,
    Busy,
    Ended,
    InputAck,
    Open,
    Opened,
    Output,
    Refused,
    SizeMark,
    Stopped,
    TerminalInfo,
)
from wormux.sandbox.port import Lost, Provider, Sandbox, SandboxEvent, Terminal, TerminalEvent

WITHIN_S = 20.0
"""Far more than anything here takes on a busy machine."""
BOX = SandboxId("box-1")
CLIENT = "client"

_E = TypeVar("_E")
_T = TypeVar("_T")


class Events(Generic[_E]):
    """A `deliver` that remembers, and that can be waited on."""

    def __init__(self) -> None:
        self.all: list[_E] = []
        self._arrived = asyncio.Event()

    def __call__(self, event: _E) -> None:
        self.all.append(event)
        self._arrived.set()

    def of(self, kind: type[_T]) -> list[_T]:
        """Those of one kind."""
        return [event for event in self.all if isinstance(event, kind)]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Until the events so far make it true."""
        try:
            async with asyncio.timeout(WITHIN_S):
                while not is_so():
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise AssertionError(f"It did not come about. There was: {self.all[-20:]}") from None

    async def next(self, kind: type[_T], is_it: Callable[[_T], bool] = lambda _: True) -> _T:
        """The first of its kind that `is_it`, as soon as it is there."""
        await self.until(lambda: any(is_it(event) for event in self.of(kind)))
        return next(event for event in self.of(kind) if is_it(event))


def ignore(_event: object) -> None:
    """A `deliver` for what a check does not look at."""


class Pane:
    """A terminal, what it delivered, and the input stream of one client to it."""

    def __init__(self, sandbox: Sandbox, request: Open | Attach, typed: int = 0) -> None:
        self.events: Events[TerminalEvent] = Events()
        self.typed = typed
        self.terminal: Terminal = sandbox.terminal(request, self.events)

    @property
    def output(self) -> bytes:
        return b"".join(event.data for event in self.events.of(Output))

    def type(self, text: bytes) -> None:
        """Write it as the client's next bytes."""
        self.terminal.write(CLIENT, self.typed, text)
        self.typed += len(text)

    async def opened(self) -> Opened:
        return await self.events.next(Opened)

    async def shows(self, text: bytes) -> None:
        await self.events.until(lambda: text in self.output)

    async def position(self) -> int:
        """Of the next byte that it will deliver."""
        return (await self.opened()).position + len(self.output)


def open_request(pane: str = "pane-1", generation: int = 1, position: int = 0) -> Open:
    """A plain shell."""
    return Open(PaneId(pane), generation, 80, 24, position, b"", ("/bin/sh",), env={"PS1": "$ "})


class SandboxConformance:
    """Subclasses say how their provider is made, and how its agents die."""

    def make_provider(self) -> Provider:
        """Each call gives a provider that stands for another run of the same server."""
        raise NotImplementedError

    def kill_agent(self, provider: Provider, sandbox: Sandbox) -> None:
        """Kill what runs the terminals, with no warning."""
        raise NotImplementedError

    def remains(self) -> list[str]:
        """Processes, sockets and files of sandboxes that are still there."""
        raise NotImplementedError

    @asynccontextmanager
    async def provider(self) -> AsyncIterator[Provider]:
        """A provider whose sandboxes are destroyed in the end."""
        provider = self.make_provider()
        try:
            yield provider
        finally:
            for sandbox_id in await provider.list():
                await provider.destroy(sandbox_id)
            await provider.aclose()

    @asynccontextmanager
    async def sandbox(self) -> AsyncIterator[tuple[Provider, Sandbox, Events[SandboxEvent]]]:
        async with self.provider() as provider:
            events: Events[SandboxEvent] = Events()
            yield provider, await provider.start(BOX, events), events

    # --- Starting, finding, destroying -------------------------------------------------------------------------

    async def test_a_sandbox_is_found_only_after_it_was_started(self) -> None:
        async with self.provider() as provider:
            assert await provider.find(BOX, ignore) is None
            assert await provider.list() == ()
            started = await provider.start(BOX, ignore)
            found = await provider.find(BOX, ignore)
            assert found is not None
            assert found.welcome.pid == started.welcome.pid
            assert await provider.list() == (BOX,)

    async def test_starting_again_gives_the_same_agent(self) -> None:
        async with self.provider() as provider:
            first = await provider.start(BOX, ignore)
            second = await provider.start(BOX, ignore)
            assert first.welcome.pid == second.welcome.pid

    async def test_a_sandbox_that_is_found_again_knows_its_terminals_of_now(self) -> None:
        async with self.sandbox() as (provider, sandbox, _):
            await Pane(sandbox, open_request()).opened()
            for again in (await provider.start(BOX, ignore), await provider.find(BOX, ignore)):
                assert again is not None
                assert [info.pane_id for info in again.welcome.terminals] == ["pane-1"]

    async def test_many_starts_at_once_give_one_agent(self) -> None:
        async with self.provider() as provider:
            starts = [provider.start(BOX, ignore) for _ in range(20)]
            sandboxes = await asyncio.gather(*starts)
            assert len({sandbox.welcome.pid for sandbox in sandboxes}) == 1

    async def test_a_later_server_finds_the_agent_and_its_terminals(self) -> None:
        async with self.sandbox() as (first, sandbox, _):
            pane = Pane(sandbox, open_request())
            await pane.opened()
            await first.aclose()
            second = self.make_provider()
            found = await second.find(BOX, ignore)
            assert found is not None
            assert found.welcome.pid == sandbox.welcome.pid
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
            pane = Pane(sandbox, open_request())
            await pane.opened()
            pane.type(b"sleep 1000\n")
            await pane.shows(b"sleep 1000")
            await provider.destroy(BOX)
            assert self.remains() == []
            assert await provider.list() == ()
            assert await provider.find(BOX, ignore) is None

    async def test_destroying_what_never_was_does_nothing(self) -> None:
        async with self.provider() as provider:
            await provider.destroy(BOX)
            await provider.start(BOX, ignore)
            await provider.destroy(BOX)
            await provider.destroy(BOX)
            assert self.remains() == []

    async def test_destroying_waits_for_a_start_under_way(self) -> None:
        async with self.provider() as provider:
            start = asyncio.create_task(provider.start(BOX, ignore))
            await asyncio.sleep(0)
            await provider.destroy(BOX)
            await start
            assert self.remains() == []

    async def test_a_destroyed_sandbox_can_be_started_anew(self) -> None:
        async with self.sandbox() as (provider, sandbox, _):
            await Pane(sandbox, open_request()).opened()
            await provider.destroy(BOX)
            again = await provider.start(BOX, ignore)
            assert again.welcome.terminals == ()
            await Pane(again, open_request()).opened()

    # --- Terminals ---------------------------------------------------------------------------------------------

    async def test_a_terminal_opens_and_echoes(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = Pane(sandbox, open_request())
            assert pane.events.all == [], "an event was delivered from inside the call"
            pane.type(b"echo hel''lo\n")
            await pane.shows(b"hello")
            assert isinstance(pane.events.all[0], Opened)
            await pane.events.next(
                InputAck, lambda ack: (ack.client_id, ack.position) == (CLIENT, pane.typed)
            )

    async def test_the_stream_begins_with_the_preamble_at_the_position_asked_for(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = Pane(sandbox, Open("pane-1", 3, 80, 24, 1000, b"<preamble>", ("/bin/sh",)))
            opened = await pane.opened()
            assert opened.position == 1000
            await pane.shows(b"<preamble>")
            assert pane.output.startswith(b"<preamble>")

    async def test_a_size_comes_back_in_its_place(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = Pane(sandbox, open_request())
            pane.terminal.resize(100, 30)
            mark = await pane.events.next(SizeMark)
            assert (mark.cols, mark.rows) == (100, 30)
            before = pane.events.all[: pane.events.all.index(mark)]
            shown = sum(len(event.data) for event in before if isinstance(event, Output))
            assert mark.position == (await pane.opened()).position + shown

    async def test_a_shell_that_exits_says_how(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = Pane(sandbox, open_request())
            pane.type(b"exit 7\n")
            ended = await pane.events.next(Ended)
            assert ended.exit.code == 7
            assert ended.position == await pane.position()
            assert ended.inputs == {CLIENT: pane.typed}
            assert pane.events.all[-1] is ended

    async def test_an_ended_terminal_is_kept_until_it_is_forgotten(self) -> None:
        async with self.sandbox() as (provider, sandbox, _):
            pane = Pane(sandbox, open_request())
            pane.type(b"echo la''st; exit 7\n")
            ended = await pane.events.next(Ended)
            pane.terminal.detach()
            again = Pane(sandbox, Attach("pane-1", 1, 0))
            assert (await again.events.next(Ended)).exit.code == ended.exit.code
            assert again.output == pane.output
            again.terminal.forget()
            await self._terminals(provider, lambda terminals: terminals == ())

    async def test_attaching_gives_the_bytes_that_were_missed(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = Pane(sandbox, open_request())
            pane.type(b"echo fi''rst\n")
            await pane.shows(b"first")
            position = await pane.position()
            pane.type(b"echo se''cond\n")
            await pane.events.next(InputAck, lambda ack: ack.position == pane.typed)
            pane.terminal.detach()
            again = Pane(sandbox, Attach("pane-1", 1, position), pane.typed)
            assert (await again.opened()).position == position
            await again.shows(b"second")
            again.type(b"echo th''ird\n")
            await again.shows(b"third")
            again.terminal.detach()
            whole = Pane(sandbox, Attach("pane-1", 1, 0))
            await whole.shows(b"third")
            at = position - (await whole.opened()).position
            assert whole.output[at:].startswith(again.output)

    async def test_nothing_is_attached_where_nothing_is(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            refused = await Pane(sandbox, Attach("pane-1", 1, 0)).events.next(Refused)
            assert refused.gone

    async def test_input_arrives_once_however_often_the_link_is_cut(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            stream = b"".join(b"echo nr''-%d-\n" % number for number in range(10))
            pane = Pane(sandbox, open_request())
            pane.type(stream[: len(stream) // 2])
            await pane.opened()
            for _cut in range(5):
                pane.terminal.detach()
                pane = Pane(sandbox, Attach("pane-1", 1, 0))
                pane.type(stream)
                await pane.opened()
            await pane.shows(b"nr-9-")
            for number in range(10):
                assert pane.output.count(b"nr-%d-" % number) == 1

    async def test_an_answer_is_typed_behind_the_input_before_it(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = Pane(sandbox, open_request())
            await pane.shows(b"$ ")
            pane.type(b"echo fi''rst ")
            pane.terminal.answer(await pane.position(), b"an''swer ")
            pane.type(b"la''st\n")
            await pane.shows(b"first answer last")

    async def test_an_answer_is_given_once_whoever_gives_it(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = Pane(sandbox, open_request(position=1000))
            await pane.shows(b"$ ")
            assert (await pane.opened()).answered == 1000
            position = await pane.position()
            pane.terminal.answer(position, b"echo nr''-1-\n")
            pane.terminal.answer(position, b"echo nr''-2-\n")
            await pane.shows(b"nr-1-")
            pane.terminal.detach()
            again = Pane(sandbox, Attach("pane-1", 1, 0))
            assert (await again.opened()).answered == position
            await again.shows(b"nr-1-")
            later = await again.position()
            again.terminal.answer(position - 1, b"echo nr''-3-\n")
            again.terminal.answer(position, b"echo nr''-4-\n")
            again.terminal.answer(later, b"echo nr''-5-\n")
            again.terminal.answer(later, b"echo nr''-6-\n")
            again.type(b"echo la''st\n")
            await again.shows(b"last")
            for number, is_answered in enumerate([True, False, False, False, True, False], 1):
                assert (b"nr-%d-" % number in again.output) is is_answered

    async def test_an_ended_terminal_is_not_answered(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = Pane(sandbox, open_request())
            await pane.shows(b"$ ")
            pane.type(b"exit 7\n")
            ended = await pane.events.next(Ended)
            pane.terminal.answer(ended.position, b"answer")
            pane.terminal.detach()
            again = Pane(sandbox, Attach("pane-1", 1, 0))
            assert await again.events.next(Ended) == ended
            again.terminal.answer(ended.position, b"answer")
            assert again.output == pane.output

    async def test_what_is_held_is_not_heard_until_it_is_released(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            held, calm = Pane(sandbox, open_request("held")), Pane(sandbox, open_request("calm"))
            await held.shows(b"$ ")
            for _ in range(2):
                held.terminal.hold(True)
            held.type(b"echo la''ter\n")
            calm.type(b"echo ca''lm\n")
            await calm.shows(b"calm")
            assert b"later" not in held.output
            for _ in range(2):
                held.terminal.hold(False)
            await held.shows(b"later")

    async def test_a_terminal_that_is_held_from_the_start_opens(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = Pane(sandbox, open_request())
            pane.terminal.hold(True)
            await pane.opened()
            pane.terminal.hold(False)
            await pane.shows(b"$ ")
            pane.type(b"exit 7\n")
            await pane.events.next(Ended)
            pane.terminal.hold(True)
            pane.terminal.hold(False)

    async def test_a_flood_that_is_held_can_be_closed(self) -> None:
        async with self.sandbox() as (provider, sandbox, _):
            pane = Pane(sandbox, open_request())
            pane.type(b"while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done\n")
            await pane.shows(b"\nxxxx")
            pane.terminal.hold(True)
            pane.terminal.close()
            await self._terminals(provider, lambda terminals: terminals == ())

    async def test_a_flood_in_one_terminal_delays_no_other(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            flood = Pane(sandbox, open_request("flood"))
            flood.type(b"while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done\n")
            await flood.shows(b"\nxxxx")
            calm = Pane(sandbox, open_request("calm"))
            calm.type(b"echo ca''lm\n")
            await calm.shows(b"calm")
            flood.terminal.close()

    async def test_nothing_is_delivered_after_close_and_detach(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            closed, detached = Pane(sandbox, open_request("closed")), Pane(sandbox, open_request("detached"))
            await closed.opened()
            await detached.opened()
            closed.terminal.close()
            detached.terminal.detach()
            sandbox.detach()
            counts = [len(probe.all) for probe in (closed.events, detached.events, events)]
            await self._terminals(
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
                pane = Pane(sandbox, open_request(f"pane-{steps}"))
                for _ in range(steps):
                    await asyncio.sleep(0)
                pane.terminal.close()
                panes.append((pane, len(pane.events.all)))
            await Pane(sandbox, open_request("stays")).opened()
            await self._terminals(
                provider, lambda terminals: [info.pane_id for info in terminals] == ["stays"]
            )
            for pane, count in panes:
                assert len(pane.events.all) == count

    async def test_a_terminal_that_nobody_is_attached_to_can_be_closed(self) -> None:
        async with self.sandbox() as (provider, sandbox, _):
            pane = Pane(sandbox, open_request())
            await pane.opened()
            pane.terminal.detach()
            sandbox.close_terminal(PaneId("pane-1"))
            await self._terminals(provider, lambda terminals: terminals == ())

    # --- Sleep and death ---------------------------------------------------------------------------------------

    async def test_sleep_ends_everything(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            pane = Pane(sandbox, open_request())
            pane.type(b"echo hel''lo\n")
            await pane.shows(b"hello")
            sandbox.sleep(force=True)
            await events.next(Stopped)
            ended = pane.events.of(Ended)
            assert len(ended) == 1, "Stopped came before the last event of a terminal"
            assert ended[0].exit.asleep
            assert await provider.find(BOX, ignore) is None
            awake = await provider.start(BOX, ignore)
            assert awake.welcome.terminals == ()

    async def test_what_is_busy_is_not_put_to_sleep(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            pane = Pane(sandbox, open_request())
            pane.type(b"sleep 1000\n")
            await events.next(Busy, lambda event: "sleep" in (event.sentence or ""))
            sandbox.sleep(force=False)
            await events.next(Refused)
            pane.type(b"\x03")
            pane.type(b"echo al''ive\n")
            await pane.shows(b"alive")
            sandbox.sleep(force=True)
            await events.next(Stopped)
            assert await provider.find(BOX, ignore) is None

    async def test_an_idle_sandbox_sleeps_without_force(self) -> None:
        async with self.sandbox() as (_, sandbox, events):
            sandbox.sleep(force=False)
            await events.next(Stopped)
            assert isinstance(events.all[-1], Stopped)

    async def test_a_killed_agent_is_known_to_be_dead(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            panes = [Pane(sandbox, open_request(f"pane-{number}")) for number in range(5)]
            for pane in panes:
                await pane.opened()
            self.kill_agent(provider, sandbox)
            losses = [await pane.events.next(Lost) for pane in panes]
            losses.append(await events.next(Lost))
            assert all(loss.dead for loss in losses)
            assert len({loss.reason for loss in losses}) == 1
            assert await provider.find(BOX, ignore) is None
            again = await provider.start(BOX, ignore)
            await Pane(again, open_request()).opened()

    async def test_an_agent_that_is_killed_while_held_is_known_to_be_dead(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            flood, quiet = Pane(sandbox, open_request("flood")), Pane(sandbox, open_request("quiet"))
            flood.type(b"while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done\n")
            await flood.shows(b"\nxxxx")
            await quiet.opened()
            for pane in (flood, quiet):
                pane.terminal.hold(True)
            self.kill_agent(provider, sandbox)
            for probe in (flood.events, quiet.events, events):
                assert (await probe.next(Lost)).dead

    async def test_starting_right_after_a_kill_ends_in_a_new_agent(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            self.kill_agent(provider, sandbox)
            again = await provider.start(BOX, events)
            if again is sandbox:  # its death was not known yet
                await events.next(Lost)
                again = await provider.start(BOX, events)
            assert again.welcome.pid != sandbox.welcome.pid
            assert len(events.of(Lost)) == 1, "the end of the old link was not told before the new one began"

    async def _terminals(
        self, provider: Provider, are_so: Callable[[tuple[TerminalInfo, ...]], bool]
    ) -> None:
        """Until the agent's own list of its terminals is right. It sends the list only to those who look, so it is
        looked at again and again."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                sandbox = await provider.find(BOX, ignore)
                assert sandbox is not None
                if are_so(sandbox.welcome.terminals):
                    return
                await asyncio.sleep(0.01)
