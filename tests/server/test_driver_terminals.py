"""What the driver does with terminals and screens."""

from __future__ import annotations

import asyncio

import pytest

from tests.server.bench import BOX, ENDED, OPENED, PANE, Bench, open_terminal
from tests.server.kit import WITHIN_S
from wormux.hub.effects import (
    AnswerTerminal,
    CloseTerminal,
    ForgetTerminal,
    HoldTerminal,
    ResizeTerminal,
    TellScreen,
    WriteTerminal,
)
from wormux.hub.inputs import (
    ScreenInput,
    ServerStopping,
    TerminalInput,
    TerminalLost,
)
from wormux.protocol.agent_link import Input as LinkInput
from wormux.protocol.agent_link import (
    InputAck,
    Output,
    Refused,
)
from wormux.protocol.screen_link import CheckpointTaken, Fed, Feed, RedrawTaken, ScreenGone, Unreadable
from wormux.sandbox.port import Lost


class TestTerminals:
    async def test_events_carry_the_generation_of_their_terminal(self, bench: Bench) -> None:
        sandbox = await bench.awake()
        bench.do(open_terminal(1), open_terminal(2))
        first, second = sandbox.terminals
        second.deliver(OPENED)
        first.deliver(Refused("Too old."))
        assert bench.hub.all(TerminalInput) == [
            TerminalInput(PANE, 2, OPENED),
            TerminalInput(PANE, 1, Refused("Too old.")),
        ]

    async def test_a_lost_one_tells_whether_it_is_dead_and_nothing_more(self, bench: Bench) -> None:
        sandbox = await bench.awake()
        bench.do(open_terminal())
        sandbox.terminals[0].deliver(Lost("Killed.", dead=True))
        sandbox.terminals[0].deliver(Output(b"late"))
        assert bench.terminal_events() == [TerminalLost("Killed.", dead=True)]

    async def test_opening_without_a_sandbox_is_answered(self, bench: Bench) -> None:
        bench.do(open_terminal())
        (event,) = bench.terminal_events()
        assert isinstance(event, TerminalLost)

    async def test_write_and_resize_reach_the_terminal_of_the_generation(self, bench: Bench) -> None:
        sandbox = await bench.awake()
        bench.do(
            open_terminal(1),
            WriteTerminal(PANE, 1, LinkInput("me", 5, b"ls")),
            ResizeTerminal(PANE, 1, 90, 30),
            WriteTerminal(PANE, 2, LinkInput("me", 7, b"lost")),
            ResizeTerminal(PANE, 2, 1, 1),
        )
        assert sandbox.terminals[0].calls == [("write", "me", 5, b"ls"), ("resize", 90, 30)]

    async def test_a_closed_one_is_silent(self, bench: Bench) -> None:
        sandbox = await bench.awake()
        bench.do(open_terminal(), CloseTerminal(BOX, PANE, 1))
        sandbox.terminals[0].deliver(ENDED)
        assert sandbox.terminals[0].calls == [("close",)]
        assert sandbox.calls == []
        assert bench.terminal_events() == []

    async def test_closing_an_unknown_one_asks_its_sandbox(self, bench: Bench) -> None:
        sandbox = await bench.awake()
        bench.do(CloseTerminal(BOX, PANE, 1))
        assert sandbox.calls == [("close_terminal", PANE)]

    async def test_an_ended_one_is_forgotten_once(self, bench: Bench) -> None:
        sandbox = await bench.awake()
        bench.do(open_terminal())
        sandbox.terminals[0].deliver(ENDED)
        bench.do(ForgetTerminal(PANE, 1), ForgetTerminal(PANE, 1))
        assert sandbox.terminals[0].calls == [("forget",)]

    async def test_attaching_again_lets_the_old_link_go(self, bench: Bench) -> None:
        sandbox = await bench.awake()
        bench.do(open_terminal(1), open_terminal(1))
        old, new = sandbox.terminals
        old.deliver(InputAck("me", 1))
        new.deliver(OPENED)
        assert old.calls == [("detach",)]
        assert bench.terminal_events() == [OPENED]

    async def test_live_ones_are_counted(self, bench: Bench) -> None:
        sandbox = await bench.awake()
        bench.do(open_terminal(1), open_terminal(2), open_terminal(3))
        assert bench.driver.live_terminals() == 0
        for terminal in sandbox.terminals:
            terminal.deliver(OPENED)
        assert bench.driver.live_terminals() == 3
        sandbox.terminals[0].deliver(ENDED)
        sandbox.terminals[1].deliver(Lost("Gone."))
        assert bench.driver.live_terminals() == 1

    async def test_answers_and_holds_reach_it(self, bench: Bench) -> None:
        sandbox = await bench.awake()
        bench.do(
            open_terminal(1),
            AnswerTerminal(PANE, 1, 30, b"\x1b[1;1R"),
            AnswerTerminal(PANE, 2, 30, b"lost"),
            HoldTerminal(PANE, 1, held=True),
            HoldTerminal(PANE, 1, held=False),
            HoldTerminal(PANE, 2, held=True),
        )
        assert sandbox.terminals[0].calls == [("answer", 30, b"\x1b[1;1R"), ("hold", True), ("hold", False)]


class TestScreens:
    async def test_they_are_told_and_heard(self, bench: Bench) -> None:
        bench.do(TellScreen(PANE, 3, Feed(b"output")))
        assert bench.screens.told == [(PANE, 3, Feed(b"output"))]
        bench.screens.deliver(PANE, 3, Fed(6))
        assert bench.hub.all(ScreenInput) == [ScreenInput(PANE, 3, Fed(6))]

    async def test_a_stored_one_that_cannot_be_read_is_one_warning(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench.screens.deliver(PANE, 3, Unreadable("It was written by another emulator."))
        assert bench.screen_events() == [Unreadable("It was written by another emulator.")]
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert "another emulator" in record.getMessage()

    async def test_redraws_and_losses_are_counted(self, bench: Bench) -> None:
        bench.screens.deliver(PANE, 1, RedrawTaken(200, 0, 80, 24, b"", 0))
        bench.screens.deliver(PANE, 1, ScreenGone("Its worker was killed."))
        bench.screens.deliver(PANE, 2, Fed(0))
        assert (bench.driver._counts.redraws, bench.driver._counts.screens_lost) == (1, 1)

    async def test_draining_waits_for_their_checkpoints(self, bench: Bench) -> None:
        bench.hub.awaits_screens = True
        draining = asyncio.create_task(bench.driver.drain(WITHIN_S))
        await bench.hub.got(ServerStopping)
        assert not draining.done()
        bench.hub.awaits_screens = False
        bench.screens.deliver(PANE, 1, CheckpointTaken(0, 80, 24, b""))
        await draining
