"""What all screens of a server must do, wherever they run, as checks that pytest collects from a subclass.

class TestMyScreens(ScreensConformance):
    def open_screens(self, deliver: Deliver) -> Screens:
        return MyScreens(deliver)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from wormux.ids import PaneId
from wormux.limits import MAX_COLS
from wormux.protocol.screen_link import (
    Answered,
    CheckpointTaken,
    CloseScreen,
    Fed,
    Feed,
    OpenScreen,
    RedrawTaken,
    ResizeScreen,
    ScreenEvent,
    ScreenGone,
    ScreenRequest,
    SetColors,
    Skip,
    TakeCheckpoint,
    TakeRedraw,
    Unreadable,
)
from wormux.screen.port import Deliver, Screens

_E = TypeVar("_E", bound=ScreenEvent)

PANE = PaneId("pane-1")
OTHER = PaneId("pane-2")
WITHIN_S = 30.0
"""The deadline of everything that is waited for."""
REDRAW_LIMIT_BYTES = 65_536


class Heard:
    """Keeps what was delivered, for whoever waits for it."""

    def __init__(self) -> None:
        self.events: list[tuple[PaneId, int, ScreenEvent]] = []
        self._changed = asyncio.Event()
        self._telling = False

    def deliver(self, pane_id: PaneId, epoch: int, event: ScreenEvent) -> None:
        assert not self._telling, "delivered from within tell"
        self.events.append((pane_id, epoch, event))
        self._changed.set()

    def of(self, pane_id: PaneId = PANE, epoch: int = 1) -> list[ScreenEvent]:
        """All that this screen said."""
        return [event for pane, number, event in self.events if (pane, number) == (pane_id, epoch)]

    async def wait(self, kind: type[_E], pane_id: PaneId = PANE, epoch: int = 1, nth: int = 1) -> _E:
        """The `nth` event of this kind from this screen."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                found = [event for event in self.of(pane_id, epoch) if isinstance(event, kind)]
                if len(found) >= nth:
                    return found[nth - 1]
                await self.wait_more()

    async def wait_fed(self, position: int, pane_id: PaneId = PANE, epoch: int = 1) -> None:
        """Until all output before `position` is in the screen."""
        async with asyncio.timeout(WITHIN_S):
            while not any(isinstance(e, Fed) and e.position >= position for e in self.of(pane_id, epoch)):
                await self.wait_more()

    async def wait_more(self) -> None:
        """Until something was delivered."""
        self._changed.clear()
        await self._changed.wait()

    def tell(
        self, screens: Screens, *requests: ScreenRequest, pane_id: PaneId = PANE, epoch: int = 1
    ) -> None:
        self._telling = True
        for request in requests:
            screens.tell(pane_id, epoch, request)
        self._telling = False


class ScreensConformance:
    """Subclasses say how the screens are opened."""

    def open_screens(self, deliver: Deliver) -> Screens:
        """None open yet; called on a running event loop, once per check."""
        raise NotImplementedError

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Screens, Heard]]:
        heard = Heard()
        screens = self.open_screens(heard.deliver)
        try:
            yield screens, heard
        finally:
            await screens.aclose()

    async def test_what_was_fed_is_in_the_redraw(self) -> None:
        async with self.running() as (screens, heard):
            heard.tell(
                screens,
                OpenScreen(100, 80, 24),
                Feed(b"one\r\n"),
                Feed(b"two"),
                TakeRedraw(0, REDRAW_LIMIT_BYTES),
            )
            redraw = await heard.wait(RedrawTaken)
            assert (redraw.lines, redraw.position, redraw.cols, redraw.rows) == (0, 108, 80, 24)
            assert b"one" in redraw.data
            assert b"two" in redraw.data

    async def test_it_says_how_far_it_is(self) -> None:
        async with self.running() as (screens, heard):
            heard.tell(screens, OpenScreen(7, 80, 24), *(Feed(b"x" * 1000) for _ in range(100)))
            await heard.wait_fed(100_007)
            fed = [event.position for event in heard.of() if isinstance(event, Fed)]
            assert fed == sorted(set(fed))
            heard.tell(screens, Feed(b"more"))
            await heard.wait_fed(100_011)

    async def test_a_redraw_is_of_its_place_in_the_stream(self) -> None:
        async with self.running() as (screens, heard):
            heard.tell(
                screens,
                OpenScreen(0, 80, 24),
                Feed(b"before"),
                TakeRedraw(5, REDRAW_LIMIT_BYTES),
                Feed(b"-after"),
                TakeRedraw(6, REDRAW_LIMIT_BYTES),
            )
            late = await heard.wait(RedrawTaken, nth=2)
            early = await heard.wait(RedrawTaken)
            assert (early.lines, early.position, late.lines, late.position) == (5, 6, 6, 12)
            assert b"after" not in early.data
            assert b"before-after" in late.data

    async def test_a_checkpoint_opens_again(self) -> None:
        async with self.running() as (screens, heard):
            heard.tell(
                screens,
                OpenScreen(0, 80, 24),
                ResizeScreen(100, 30),
                Feed(b"kept\r\n"),
                TakeCheckpoint(),
                TakeRedraw(0, REDRAW_LIMIT_BYTES),
            )
            kept = await heard.wait(CheckpointTaken)
            assert (kept.position, kept.cols, kept.rows) == (6, 100, 30)
            before = await heard.wait(RedrawTaken)
            begin = OpenScreen(kept.position, kept.cols, kept.rows, kept.state)
            heard.tell(screens, begin, TakeRedraw(0, REDRAW_LIMIT_BYTES), epoch=2)
            after = await heard.wait(RedrawTaken, epoch=2)
            assert after == before

    async def test_each_checkpoint_is_answered(self) -> None:
        async with self.running() as (screens, heard):
            heard.tell(
                screens,
                OpenScreen(0, 80, 24),
                TakeCheckpoint(),
                TakeCheckpoint(),
                Feed(b"x"),
                TakeCheckpoint(),
            )
            assert (await heard.wait(CheckpointTaken, nth=3)).position == 1
            assert (await heard.wait(CheckpointTaken, nth=2)).position == 0

    async def test_a_state_of_another_size_is_made_to_fit(self) -> None:
        async with self.running() as (screens, heard):
            heard.tell(screens, OpenScreen(0, 80, 24), Feed(b"kept"), TakeCheckpoint())
            kept = await heard.wait(CheckpointTaken)
            begin = OpenScreen(4, 50, 10, kept.state)
            heard.tell(screens, begin, TakeRedraw(0, REDRAW_LIMIT_BYTES), epoch=2)
            redraw = await heard.wait(RedrawTaken, epoch=2)
            assert (redraw.cols, redraw.rows) == (50, 10)

    async def test_an_unreadable_state_is_named_and_ends_it(self) -> None:
        async with self.running() as (screens, heard):
            begin = OpenScreen(0, 80, 24, b"nothing that anybody wrote")
            heard.tell(screens, begin, Feed(b"x"), TakeRedraw(0, REDRAW_LIMIT_BYTES))
            unreadable = await heard.wait(Unreadable)
            assert unreadable.reason.endswith(".")
            heard.tell(screens, OpenScreen(0, 80, 24), TakeRedraw(0, REDRAW_LIMIT_BYTES), epoch=2)
            await heard.wait(RedrawTaken, epoch=2)
            assert heard.of() == [unreadable]

    async def test_missed_output_moves_it_on(self) -> None:
        async with self.running() as (screens, heard):
            heard.tell(
                screens,
                OpenScreen(0, 80, 24),
                Feed(b"seen \x1b]0;never ended"),
                Skip(5000),
                Feed(b"shown"),
                TakeRedraw(0, REDRAW_LIMIT_BYTES),
            )
            redraw = await heard.wait(RedrawTaken)
            assert redraw.position == 5005
            assert redraw.data.rfind(b"shown") > redraw.data.find(b"seen")
            await heard.wait_fed(5005)

    async def test_answers_come_before_their_place_is_passed(self) -> None:
        """Where the emulator answers at all."""
        async with self.running() as (screens, heard):
            heard.tell(screens, OpenScreen(0, 80, 24), SetColors(0xFFFFFF, 0, 0xFF0000))
            heard.tell(screens, Feed(b"\x1b[5"), Feed(b"n"), Feed(b"\x1b[5n", answer=False), Feed(b"text"))
            await heard.wait_fed(12)
            answers = [event for event in heard.of() if isinstance(event, Answered)]
            assert answers in ([], [Answered(4, b"\x1b[0n")])
            for answer in answers:
                events = heard.of()
                assert all(e.position < 4 for e in events[: events.index(answer)] if isinstance(e, Fed))

    async def test_screens_do_not_meet(self) -> None:
        async with self.running() as (screens, heard):
            places = [(PANE, 1), (PANE, 2), (OTHER, 1)]
            for pane_id, epoch in places:
                heard.tell(screens, OpenScreen(epoch, 80, 24), pane_id=pane_id, epoch=epoch)
            for pane_id, epoch in places:
                mine = f"{pane_id}:{epoch}".encode()
                heard.tell(
                    screens, Feed(mine), TakeRedraw(0, REDRAW_LIMIT_BYTES), pane_id=pane_id, epoch=epoch
                )
            for pane_id, epoch in places:
                redraw = await heard.wait(RedrawTaken, pane_id, epoch)
                for other_pane, other_epoch in places:
                    theirs = f"{other_pane}:{other_epoch}".encode()
                    assert (theirs in redraw.data) == ((other_pane, other_epoch) == (pane_id, epoch))

    async def test_a_closed_screen_says_nothing(self) -> None:
        async with self.running() as (screens, heard):
            heard.tell(
                screens, OpenScreen(0, 80, 24), Feed(b"x"), TakeRedraw(0, REDRAW_LIMIT_BYTES), CloseScreen()
            )
            heard.tell(screens, Feed(b"x"), TakeRedraw(0, REDRAW_LIMIT_BYTES))
            heard.tell(screens, OpenScreen(0, 80, 24), TakeRedraw(0, REDRAW_LIMIT_BYTES), pane_id=OTHER)
            await heard.wait(RedrawTaken, OTHER)
            assert heard.of() == []

    async def test_a_screen_that_never_was_says_nothing(self) -> None:
        async with self.running() as (screens, heard):
            heard.tell(screens, Feed(b"x"), TakeCheckpoint(), CloseScreen())
            heard.tell(screens, OpenScreen(0, 80, 24), TakeRedraw(0, REDRAW_LIMIT_BYTES), pane_id=OTHER)
            await heard.wait(RedrawTaken, OTHER)
            assert heard.of() == []

    @pytest.mark.parametrize(
        "wrong", [ResizeScreen(1, 1), ResizeScreen(MAX_COLS + 1, 24), OpenScreen(0, 80, 24)], ids=repr
    )
    async def test_a_wrong_request_costs_that_screen_alone(self, wrong: ScreenRequest) -> None:
        async with self.running() as (screens, heard):
            heard.tell(screens, OpenScreen(0, 80, 24), pane_id=OTHER)
            heard.tell(screens, OpenScreen(0, 80, 24), wrong, TakeRedraw(0, REDRAW_LIMIT_BYTES))
            gone = await heard.wait(ScreenGone)
            assert gone.reason.endswith(".")
            heard.tell(screens, Feed(b"well"), TakeRedraw(0, REDRAW_LIMIT_BYTES), pane_id=OTHER)
            assert b"well" in (await heard.wait(RedrawTaken, OTHER)).data
            assert heard.of() == [gone]

    async def test_an_impossible_size_is_not_opened(self) -> None:
        async with self.running() as (screens, heard):
            heard.tell(screens, OpenScreen(0, 1, 1))
            await heard.wait(ScreenGone)

    async def test_nothing_is_delivered_after_the_end(self) -> None:
        heard = Heard()
        screens = self.open_screens(heard.deliver)
        heard.tell(screens, OpenScreen(0, 80, 24), TakeRedraw(0, REDRAW_LIMIT_BYTES))
        await heard.wait(RedrawTaken)
        heard.tell(screens, Feed(b"x"), TakeRedraw(0, REDRAW_LIMIT_BYTES))
        await screens.aclose()
        count = len(heard.events)
        heard.tell(screens, Feed(b"x"), OpenScreen(0, 80, 24))
        heard.tell(screens, OpenScreen(0, 80, 24), epoch=2)
        await asyncio.sleep(0)
        await screens.aclose()
        assert len(heard.events) == count
