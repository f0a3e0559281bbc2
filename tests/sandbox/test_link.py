"""The server's end of the links, against an agent that the test plays."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sandbox.scripted_agent import OPENED, WELCOME, Peer, ScriptedAgent
from wormux.errors import LinkError, SandboxError
from wormux.ids import PaneId
from wormux.limits import (
    ANSWERS_UNWRITTEN_BYTES,
    LINK_FRAME_BYTES,
    LINK_INPUT_BYTES,
    LINK_OUTPUT_BYTES,
)
from wormux.protocol.agent_link import (
    HEADER,
    Answer,
    Attach,
    Busy,
    Close,
    Ended,
    Exit,
    Forget,
    Input,
    InputAck,
    Kind,
    Message,
    Open,
    Opened,
    Output,
    Ready,
    Refused,
    Resize,
    SizeMark,
    Sleep,
    Stopped,
    Welcome,
    encode,
)
from wormux.sandbox import link as link_module
from wormux.sandbox import wire as wire_module
from wormux.sandbox.life import Life
from wormux.sandbox.link import AgentMissing, ControlLink, Outside
from wormux.sandbox.port import Lost, SandboxEvent, TerminalEvent
from wormux.sandbox.wire import dial_path
from wormux.testing.sandbox_conformance import Events, Pane, ignore, open_request

ENDED = Ended(Exit(code=0), 0, {})
ATTACH = Attach("pane-1", 1, 0)


class Rig:
    """A control link, and both its ends."""

    def __init__(self, agent: ScriptedAgent, control: ControlLink, peer: Peer, events: Events[SandboxEvent]):
        self.agent = agent
        self.control = control
        self.peer = peer
        self.events = events

    async def pane(self, request: Open | Attach | None = None) -> tuple[Pane, Peer]:
        """A terminal that was asked for, and not answered."""
        request = request or open_request()
        pane = Pane(self.control, request)
        peer = await self.agent.accept("pane")
        assert await peer.next(type(request)) == request
        return pane, peer

    async def open_pane(self, request: Open | Attach | None = None) -> tuple[Pane, Peer]:
        pane, peer = await self.pane(request)
        peer.send(OPENED)
        await pane.opened()
        return pane, peer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket"


@asynccontextmanager
async def rigged(path: Path, life_of: Callable[[int], Life] = Life, backlog: int = 100) -> AsyncIterator[Rig]:
    lives: list[Life] = []

    def watched(pid: int) -> Life:
        lives.append(life_of(pid))
        return lives[-1]

    async with ScriptedAgent.at(path, backlog) as agent:
        events: Events[SandboxEvent] = Events()
        connect = asyncio.create_task(ControlLink.connect(Outside(dial_path(path), watched), events, ignore))
        peer = await agent.accept("control")
        peer.send(WELCOME)
        control = await connect
        try:
            yield Rig(agent, control, peer, events)
        finally:
            control.detach()
            for life in lives:
                life.unwatch()


# --- A pane's link -----------------------------------------------------------------------------------------------


async def test_what_is_written_before_the_answer_keeps_its_order(path: Path) -> None:
    async with rigged(path) as rig:
        pane = Pane(rig.control, open_request())
        pane.type(b"one")
        pane.terminal.resize(90, 20)
        pane.type(b"two")
        peer = await rig.agent.accept("pane")
        assert await peer.next(Open) == open_request()
        assert (await peer.next(Input)).data == b"one"
        assert await peer.next(Resize) == Resize(90, 20)
        assert await peer.next(Input) == Input("client", 3, b"two")


async def test_input_larger_than_a_frame_is_cut(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.open_pane()
        pane.type(b"x" * (LINK_INPUT_BYTES + 1))
        assert len((await peer.next(Input)).data) == LINK_INPUT_BYTES
        assert await peer.next(Input) == Input("client", LINK_INPUT_BYTES, b"x")


async def test_events_come_in_order_and_the_end_comes_last(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.pane()
        said: list[Message] = [
            OPENED, Ready(), Output(b"abc"), SizeMark(3, 90, 20), InputAck("client", 1), Output(b"d"),
            Ended(Exit(code=0), 4, {"client": 1}),
        ]  # fmt: skip
        peer.send(*said, Output(b"late"))
        await pane.events.next(Ended)
        assert pane.events.all == said
        peer.close()
        await peer.closed()
        assert pane.events.all == said


async def test_outputs_that_arrive_together_are_joined_up_to_a_bound(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.open_pane()
        peer.send(*[Output(b"x" * 1000)] * 200)
        await pane.events.until(lambda: len(pane.output) == 200_000)
        outputs = pane.events.of(Output)
        assert len(outputs) < 100
        assert all(len(output.data) <= LINK_OUTPUT_BYTES for output in outputs)


async def test_frames_may_arrive_in_any_pieces(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.pane()
        large = Opened(7, 0, 0, True, {f"client-{number}": number for number in range(20_000)}, OPENED.sizes)
        stream = encode(large) + encode(Output(b"abc" * 1000)) + encode(Ended(Exit(code=0), 3000, {}))
        assert len(stream) > 300_000
        for start in (*range(100), *range(100, len(stream), 9973)):
            end = start + 1 if start < 100 else start + 9973
            peer.send_bytes(stream[start : end if start != 99 else 100])
            await asyncio.sleep(0)
        await pane.events.next(Ended)
        assert pane.events.all[0] == large
        assert pane.output == b"abc" * 1000


async def test_a_refusal_is_the_last_event(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.pane()
        peer.send(Refused("No such shell."))
        assert await pane.events.next(Refused) == Refused("No such shell.")
        assert await peer.closed() == []
        assert len(pane.events.all) == 1


@pytest.mark.parametrize(
    "nonsense",
    [
        Output(b"x"),
        ENDED,
        Stopped(),
        Open("pane", 1, 80, 24, 0, b"", ()),
        Opened(7, 5, 4, True, {}, OPENED.sizes),
        Opened(7, 0, 0, True, {}, ()),
        Opened(7, 0, 0, True, {}, (SizeMark(0, 0, 24),)),
        Opened(7, 0, 9, True, {}, (SizeMark(1, 80, 24),)),
        Opened(7, 0, 9, True, {}, OPENED.sizes, answered=10),
    ],
)
async def test_nonsense_in_answer_ends_the_link(path: Path, nonsense: Message) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.pane()
        peer.send(nonsense)
        lost = await pane.events.next(Lost)
        assert "The agent" in lost.reason
        assert not lost.dead
        assert pane.events.all == [lost]
        await peer.closed()


@pytest.mark.parametrize(
    "nonsense",
    [
        OPENED,
        Refused("no"),
        Busy(None),
        SizeMark(5, 80, 24),
        SizeMark(0, 80, 2000),
        Ended(Exit(code=0), 9, {}),
        InputAck("c" * 100, 1),
    ],
)
async def test_nonsense_from_a_terminal_ends_the_link(path: Path, nonsense: Message) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.open_pane()
        peer.send(nonsense, Output(b"late"))
        lost = await pane.events.next(Lost)
        assert "The agent" in lost.reason
        assert pane.events.all == [OPENED, lost]


@pytest.mark.parametrize(
    "garbage",
    [
        HEADER.pack(99, 0),
        HEADER.pack(Kind.OUTPUT, LINK_FRAME_BYTES + 1),
        HEADER.pack(Kind.OUTPUT, LINK_OUTPUT_BYTES + 1) + bytes(LINK_OUTPUT_BYTES + 1),
        HEADER.pack(Kind.READY, 1) + b"{",
        HEADER.pack(Kind.INPUT_ACK, 2) + b"{}",
        HEADER.pack(Kind.INPUT_ACK, 33) + b'{"client_id":"\\ud800","position":1}'[:33],
    ],
)
async def test_garbage_ends_the_link(path: Path, garbage: bytes) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.open_pane()
        peer.send_bytes(encode(Output(b"before")) + garbage)
        lost = await pane.events.next(Lost)
        assert pane.events.all == [OPENED, Output(b"before"), lost]
        assert not lost.dead


async def test_an_attach_may_get_less_than_it_asked_for_only_at_the_end(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.pane(Attach("pane-1", 1, 100))
        peer.send(Opened(7, 50, 50, True, {}, OPENED.sizes))
        await pane.opened()
        other, other_peer = await rig.pane(Attach("pane-2", 1, 100))
        other_peer.send(Opened(7, 50, 60, True, {}, OPENED.sizes))
        await other.events.next(Lost)


async def test_silence_in_answer_is_a_loss(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rigged(path) as rig:
        monkeypatch.setattr(link_module, "OPEN_WITHIN_S", 0.01)
        pane = Pane(rig.control, open_request())
        lost = await pane.events.next(Lost)
        assert "did not answer within" in lost.reason
        assert not lost.dead


async def test_a_cut_link_is_a_loss_and_nobody_is_dead(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.open_pane()
        peer.close()
        assert await pane.events.next(Lost) == Lost("The link to the sandbox broke.")


async def test_a_dead_agent_is_named(path: Path) -> None:
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    pid = os.posix_spawn(sys.executable, command, os.environ)  # noqa: ASYNC221 -- returns at once
    async with rigged(path, lambda _: Life(pid)) as rig:
        pane, peer = await rig.open_pane()
        os.kill(pid, signal.SIGKILL)
        peer.close()
        rig.peer.close()
        expected = Lost("The agent was killed by SIGKILL.", dead=True)
        assert await pane.events.next(Lost) == expected
        assert await rig.events.next(Lost) == expected


# --- Answers -----------------------------------------------------------------------------------------------------


async def test_answers_keep_their_place_among_the_input(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.pane()
        peer.send(replace(OPENED, answered=0))
        await pane.opened()
        pane.type(b"one")
        pane.terminal.answer(5, b"\x1b[0n")
        pane.type(b"two")
        assert (await peer.next(Input)).data == b"one"
        assert await peer.next(Answer) == Answer(5, b"\x1b[0n")
        assert (await peer.next(Input)).data == b"two"


async def test_what_is_too_much_of_an_answer_is_settled_without(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.pane()
        peer.send(replace(OPENED, answered=0))
        await pane.opened()
        pane.terminal.answer(5, bytes(ANSWERS_UNWRITTEN_BYTES))
        pane.terminal.answer(6, bytes(ANSWERS_UNWRITTEN_BYTES + 1))
        assert await peer.next(Answer) == Answer(5, bytes(ANSWERS_UNWRITTEN_BYTES))
        assert await peer.next(Answer) == Answer(6, b"")


async def test_an_agent_that_takes_no_answers_gets_none(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.pane()
        pane.terminal.answer(1, b"before it is known")
        peer.send(OPENED)
        assert (await pane.opened()).answered is None
        pane.terminal.answer(2, b"known")
        pane.type(b"input")
        assert (await peer.next(Input)).data == b"input"


# --- Holding -----------------------------------------------------------------------------------------------------


async def test_what_is_held_is_not_read(path: Path) -> None:
    """From inside of `deliver`, too."""
    size = 4_000_000
    async with rigged(path) as rig:
        events: Events[TerminalEvent] = Events()
        held_at = 0

        def deliver(event: TerminalEvent) -> None:
            events(event)
            if isinstance(event, Output) and not held_at:
                terminal.hold(True)

        def delivered() -> int:
            return sum(len(event.data) for event in events.of(Output))

        terminal = rig.control.terminal(open_request(), deliver)
        peer = await rig.agent.accept("pane")
        peer.send(OPENED, *[Output(b"x" * 1000)] * (size // 1000), SizeMark(size, 90, 20))
        await events.next(Output)
        await rig.open_pane(open_request("other"))
        held_at = delivered()
        assert held_at <= 256 * 1024, "more than one read"
        await rig.open_pane(open_request("another"))
        assert delivered() == held_at
        terminal.hold(False)
        await events.next(SizeMark)
        assert delivered() == size


async def test_what_is_held_before_the_answer_is_held_from_then_on(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.pane()
        pane.terminal.hold(True)
        peer.send(OPENED)
        await pane.opened()
        peer.send(Output(b"x"))
        await rig.open_pane(open_request("other"))
        assert pane.events.all == [OPENED]
        pane.terminal.hold(False)
        await pane.events.next(Output)


async def test_a_refusal_is_not_held(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.pane()
        pane.terminal.hold(True)
        peer.send(Refused("No such shell."))
        await pane.events.next(Refused)
        assert await peer.closed() == []


async def test_what_was_cut_while_held_is_known_on_release(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.open_pane()
        pane.terminal.hold(True)
        peer.send(Output(b"x"))
        peer.close()
        await rig.open_pane(open_request("other"))
        assert pane.events.all == [OPENED]
        pane.terminal.hold(False)
        assert await pane.events.next(Lost) == Lost("The link to the sandbox broke.")
        assert pane.output == b"x"


@pytest.mark.parametrize("is_watched_by_control", [True, False])
async def test_an_agent_that_dies_while_held_is_named(path: Path, is_watched_by_control: bool) -> None:
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    pid = os.posix_spawn(sys.executable, command, os.environ)  # noqa: ASYNC221 -- returns at once
    async with rigged(path, lambda _: Life(pid)) as rig:
        pane, peer = await rig.open_pane()
        pane.terminal.hold(True)
        peer.send(Output(b"last words"))
        if not is_watched_by_control:
            rig.peer.close()
            assert not (await rig.events.next(Lost)).dead
        os.kill(pid, signal.SIGKILL)
        peer.close()
        rig.peer.close()
        assert await pane.events.next(Lost) == Lost("The agent was killed by SIGKILL.", dead=True)
        assert pane.output == b"last words"


async def test_holding_an_agent_that_is_dead_hides_nothing(path: Path) -> None:
    command = [sys.executable, "-c", ""]
    pid = os.posix_spawn(sys.executable, command, os.environ)  # noqa: ASYNC221 -- returns at once
    life = Life(pid)
    async with rigged(path, lambda _: life) as rig:
        pane, peer = await rig.open_pane()
        assert await life.wait(10)
        pane.terminal.hold(True)
        peer.close()
        assert (await pane.events.next(Lost)).dead


async def test_closing_what_is_held_lets_the_agent_finish(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire_module, "OPEN_WITHIN_S", 1000.0)
    async with rigged(path) as rig:
        pane, peer = await rig.open_pane()
        pane.terminal.hold(True)
        pane.terminal.close()
        await peer.next(Close)
        peer.send(*[Output(b"x" * 1000)] * 2000)
        peer.say_no_more()
        assert await peer.closed() == []
        assert pane.events.all == [OPENED]


async def test_what_has_ended_is_not_held(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.open_pane()
        peer.send(ENDED)
        await pane.events.next(Ended)
        pane.terminal.hold(True)
        peer.say_no_more()
        assert await peer.closed() == []
        pane.terminal.forget()
        assert await rig.peer.next(Forget) == Forget("pane-1")


# --- Letting go of a pane ----------------------------------------------------------------------------------------


async def test_closing_before_it_is_connected_asks_for_nothing(path: Path) -> None:
    async with rigged(path) as rig:
        closed = Pane(rig.control, open_request("closed"))
        closed.terminal.close()
        await rig.open_pane(open_request("next"))
        assert rig.agent.waiting == 0
        assert closed.events.all == []


async def test_closing_asks_the_agent_and_waits_for_it(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.open_pane()
        peer.send(Output(b"x" * 1000))
        pane.terminal.close()
        assert await peer.next(Close) == Close()
        peer.send(Output(b"more"))
        peer.close()
        assert pane.events.all == [OPENED]


async def test_closing_while_it_opens_asks_the_agent(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.pane()
        pane.terminal.close()
        await peer.next(Close)
        peer.send(OPENED)
        peer.close()
        assert pane.events.all == []


async def test_closing_what_is_about_to_be_attached_ends_it(path: Path) -> None:
    async with rigged(path) as rig:
        pane = Pane(rig.control, ATTACH)
        pane.terminal.close()
        peer = await rig.agent.accept("pane")
        await peer.next(Attach)
        await peer.next(Close)


async def test_closing_goes_over_the_control_link_when_the_panes_is_broken(path: Path) -> None:
    async with rigged(path) as rig:
        (cut, cut_peer), (ended, ended_peer) = await rig.open_pane(), await rig.open_pane()
        ended_peer.send(ENDED, OPENED)  # nonsense after the end makes the link close
        await ended.events.next(Ended)
        await ended_peer.closed()
        ended.terminal.close()
        assert await rig.peer.next(Close) == Close("pane-1")
        cut_peer.send(OPENED)  # nonsense; it is found out before `closed` returns
        await cut_peer.closed()
        assert isinstance(cut.events.all[-1], Lost)
        cut.terminal.close()  # its owner knows that it is lost: `close_terminal` is for that
        rig.control.close_terminal(PaneId("pane-2"))
        assert await rig.peer.next(Close) == Close("pane-2")


async def test_detaching_sends_what_was_written(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.open_pane()
        pane.type(b"x" * 500_000)
        pane.terminal.detach()
        assert (await peer.next(Input)).data == b"x" * 500_000
        assert await peer.closed() == []


async def test_forgetting_tells_the_agent(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.open_pane()
        peer.send(ENDED)
        await pane.events.next(Ended)
        pane.terminal.forget()
        assert await peer.next(Forget) == Forget("pane-1")
        assert await peer.closed() == []


async def test_forgetting_goes_over_the_control_link_when_the_panes_is_gone(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.open_pane()
        peer.send(ENDED, OPENED)  # nonsense after the end makes the link close
        await pane.events.next(Ended)
        await peer.closed()
        pane.terminal.forget()
        assert await rig.peer.next(Forget) == Forget("pane-1")
        assert pane.events.all == [OPENED, ENDED]


# --- The control link --------------------------------------------------------------------------------------------


async def test_nobody_listening_is_no_agent(path: Path) -> None:
    with pytest.raises(AgentMissing):
        await ControlLink.connect(Outside(dial_path(path), Life), ignore, ignore)
    async with ScriptedAgent.at(path):
        pass
    with pytest.raises(AgentMissing):
        await ControlLink.connect(Outside(dial_path(path), Life), ignore, ignore)


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        ([Welcome(99, 1, (), None), Busy("vim")], LinkError, "another version"),
        ([Refused("The agent speaks version 9.")], SandboxError, "speaks version 9"),
        ([Busy(None)], LinkError, "makes no sense"),
    ],
)
async def test_a_strange_welcome_is_an_error(
    path: Path, answer: list[Message], error: type[SandboxError], sentence: str
) -> None:
    events: Events[SandboxEvent] = Events()
    async with ScriptedAgent.at(path) as agent:
        connect = asyncio.create_task(ControlLink.connect(Outside(dial_path(path), Life), events, ignore))
        peer = await agent.accept("control")
        peer.send(*answer)
        with pytest.raises(error, match=sentence):
            await connect
        await peer.closed()
        assert events.all == []


async def test_an_agent_that_hangs_up_is_no_agent(path: Path) -> None:
    async with ScriptedAgent.at(path) as agent:
        connect = asyncio.create_task(ControlLink.connect(Outside(dial_path(path), Life), ignore, ignore))
        (await agent.accept("control")).close()
        with pytest.raises(AgentMissing):
            await connect


async def test_a_mute_agent_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "OPEN_WITHIN_S", 0.01)
    async with ScriptedAgent.at(path):
        with pytest.raises(SandboxError, match="did not answer within"):
            await ControlLink.connect(Outside(dial_path(path), Life), ignore, ignore)


async def test_what_follows_the_welcome_at_once_comes_after_the_link_is_known(path: Path) -> None:
    known: list[ControlLink] = []
    heard: list[tuple[SandboxEvent, int]] = []
    life = Life(os.getpid())
    async with ScriptedAgent.at(path) as agent:

        async def connect() -> None:
            known.append(
                await ControlLink.connect(
                    Outside(dial_path(path), lambda _: life),
                    lambda event: heard.append((event, len(known))),
                    ignore,
                )
            )

        task = asyncio.create_task(connect())
        peer = await agent.accept("control")
        peer.send(WELCOME, Busy("vim"))
        peer.close()
        await task
        async with asyncio.timeout(5):
            await known[0].wait_over()
        assert heard == [(Busy("vim"), 1), (Lost("The link to the sandbox broke."), 1)]
    life.unwatch()


async def test_stopped_comes_after_the_last_events_of_the_terminals(path: Path) -> None:
    async with rigged(path) as rig:
        order: list[object] = []
        first, first_peer = await rig.open_pane(open_request("pane-1"))
        second, second_peer = await rig.open_pane(open_request("pane-2"))
        rig.control.sleep(force=True)
        assert await rig.peer.next(Sleep) == Sleep(force=True)
        rig.peer.send(Stopped())
        rig.peer.close()
        await asyncio.sleep(0)
        order.append(len(rig.events.of(Stopped)))
        first_peer.send(ENDED)
        second_peer.send(ENDED)
        await first.events.next(Ended)
        await second.events.next(Ended)
        await rig.events.next(Stopped)
        assert order == [0]
        assert rig.events.all == [Stopped()]


async def test_stopped_waits_no_longer_than_a_moment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "_LAST_EVENTS_WITHIN_S", 0.01)
    async with rigged(path) as rig:
        await rig.open_pane()
        rig.control.sleep(force=True)
        await rig.peer.next(Sleep)
        rig.peer.send(Stopped())
        await rig.events.next(Stopped)


async def test_a_refused_sleep_can_be_asked_again(path: Path) -> None:
    async with rigged(path) as rig:
        rig.control.sleep(force=False)
        await rig.peer.next(Sleep)
        rig.peer.send(Refused("vim runs."))
        await rig.events.next(Refused)
        rig.control.sleep(force=True)
        await rig.peer.next(Sleep)
        rig.peer.send(Stopped())
        await rig.events.next(Stopped)


async def test_a_sleep_without_answer_is_a_loss(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "STOP_WITHIN_S", 0.01)
    async with rigged(path) as rig:
        rig.control.sleep(force=True)
        assert "did not stop within" in (await rig.events.next(Lost)).reason


@pytest.mark.parametrize("nonsense", [Stopped(), Refused("no"), Output(b"x"), WELCOME])
async def test_nonsense_from_a_sandbox_ends_the_link(path: Path, nonsense: Message) -> None:
    async with rigged(path) as rig:
        rig.peer.send(nonsense)
        assert "The agent sent" in (await rig.events.next(Lost)).reason


async def test_detaching_lets_go_of_everything(path: Path) -> None:
    async with rigged(path) as rig:
        pane, peer = await rig.open_pane()
        rig.control.detach()
        rig.peer.send(Busy("vim"))
        assert await peer.closed() == []
        assert await rig.peer.closed() == []
        assert (pane.events.all, rig.events.all) == ([OPENED], [])


async def test_a_full_backlog_is_waited_for(path: Path) -> None:
    async with rigged(path, backlog=1) as rig:
        panes = [Pane(rig.control, open_request(f"pane-{number}")) for number in range(20)]
        for _ in panes:
            (await rig.agent.accept("pane")).send(OPENED)
        for pane in panes:
            await pane.opened()
