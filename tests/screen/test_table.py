"""One end of a link keeps its screens apart, and answers every request."""

from __future__ import annotations

import pytest

from tests.screen.odd_screens import ANSWER, KEEPABLE, QUERY, RAISE, REFUSE, UNKEEPABLE, open_odd
from wormux.errors import ScreenError
from wormux.limits import KIB, MIB, SCREEN_FRAME_BYTES
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
    TakeCheckpoint,
    TakeRedraw,
    Unreadable,
)
from wormux.screen.log_screen import LogScreen
from wormux.screen.port import Screen
from wormux.screen.table import Opener, ScreenTable

OPEN = OpenScreen(0, 80, 24)
REDRAW = TakeRedraw(10_000, MIB)


class World:
    """A table and what it said and reported."""

    def __init__(self, opener: Opener = open_odd, memory_bytes: int = 64 * MIB) -> None:
        self.reports: list[tuple[str, Exception]] = []
        self.table = ScreenTable(
            opener, memory_bytes, lambda doing, error: self.reports.append((doing, error))
        )

    def take(self, *requests: ScreenRequest, number: int = 1) -> list[ScreenEvent]:
        return [event for request in requests for event in self.table.take(number, request)]

    def settle(self) -> list[tuple[int, ScreenEvent]]:
        return list(self.table.settle())


def test_how_far_a_screen_is_is_said_once_for_all() -> None:
    world = World()
    assert world.take(OPEN, Feed(b"one"), Feed(b"two")) == []
    assert world.take(OpenScreen(50, 80, 24), Feed(b"x"), number=2) == []
    assert world.settle() == [(1, Fed(6)), (2, Fed(51))]
    assert world.settle() == []


def test_answers_have_the_place_behind_their_query() -> None:
    world = World()
    events = world.take(OPEN, Feed(b"..."), Feed(QUERY * 2 + b"..."), Feed(QUERY, answer=False))
    assert events == [Answered(2 * len(QUERY) + 6, ANSWER * 2)]


@pytest.mark.parametrize("word", [RAISE, REFUSE])
def test_the_fault_of_one_screen_is_its_own(word: bytes) -> None:
    world = World()
    world.take(OPEN, Feed(b"x"))
    world.take(OPEN, Feed(b"x"), number=2)
    (gone,) = world.take(Feed(word), number=2)
    assert isinstance(gone, ScreenGone)
    assert "what a program wrote" not in gone.reason
    assert world.take(REDRAW, TakeCheckpoint(), CloseScreen(), number=2) == []
    assert world.settle() == [(1, Fed(1))]
    assert [doing for doing, _ in world.reports] == ["carrying out Feed"]


def test_a_bug_while_opening_a_state_is_not_met_again() -> None:
    """The owner opens a screen without the state then."""

    def opener(request: OpenScreen) -> Screen:
        raise ZeroDivisionError

    world = World(opener)
    assert isinstance(world.take(OpenScreen(0, 80, 24, b"state"))[0], Unreadable)
    assert isinstance(world.take(OPEN, number=2)[0], ScreenGone)
    assert len(world.reports) == 2


def test_a_checkpoint_that_cannot_be_taken_comes_later() -> None:
    world = World()
    assert world.take(OPEN, Feed(UNKEEPABLE), TakeCheckpoint(), TakeCheckpoint()) == []
    assert [event for _, event in world.settle()] == [Fed(12)]
    world.take(Feed(b"..."))
    assert [event for _, event in world.settle()] == [Fed(15)]
    assert [type(event) for event in world.take(REDRAW)] == [RedrawTaken]
    world.take(Feed(KEEPABLE))
    fed, *kept = [event for _, event in world.settle()]
    assert fed == Fed(25)
    assert [event.position for event in kept if isinstance(event, CheckpointTaken)] == [25, 25]
    assert len(world.reports) == 1
    world.take(Feed(b"x"))
    assert [event for _, event in world.settle()] == [Fed(26)]


def test_the_next_request_takes_the_one_before_along() -> None:
    world = World()
    world.take(OPEN, Feed(UNKEEPABLE), TakeCheckpoint())
    events = world.take(Feed(KEEPABLE), TakeCheckpoint())
    assert [type(event) for event in events] == [CheckpointTaken, CheckpointTaken]


def test_a_checkpoint_that_no_frame_holds_costs_the_screen() -> None:
    class Large(LogScreen):
        def checkpoint(self) -> bytes:
            return bytes(SCREEN_FRAME_BYTES)

    world = World(lambda request: Large(request.cols, request.rows))
    assert isinstance(world.take(OPEN, TakeCheckpoint())[0], ScreenGone)
    assert len(world.table) == 0


def test_all_screens_keep_to_their_memory() -> None:
    world = World(memory_bytes=MIB)
    for number in range(40):
        world.take(OPEN, *[Feed(b"x" * 999 + b"\n")] * 120, number=number)
        world.settle()
    sizes = []
    for number in range(40):
        (redraw,) = world.take(REDRAW, number=number)
        assert isinstance(redraw, RedrawTaken)
        sizes.append(len(redraw.data))
    assert sizes[-1] > 90_000
    assert sizes[0] <= 4 * KIB
    assert sum(sizes) < 2 * MIB


@pytest.mark.parametrize("asked", ["memory_bytes", "shrink"])
def test_a_screen_that_cannot_shrink_is_lost_alone(asked: str) -> None:
    class Stubborn(LogScreen):
        @property
        def memory_bytes(self) -> int:
            if asked == "memory_bytes":
                raise ScreenError("The test does not say.")
            return 8 * MIB

        def shrink(self, memory_bytes: int) -> None:
            raise ScreenError("The test does not shrink.")

    opened: list[Screen] = []

    def opener(request: OpenScreen) -> Screen:
        opened.append((LogScreen if opened else Stubborn)(request.cols, request.rows))
        return opened[-1]

    world = World(opener, memory_bytes=MIB)
    world.take(OPEN, Feed(b"x"))
    world.take(OPEN, Feed(b"x" * MIB), number=2)
    events = world.settle()
    assert (2, Fed(MIB)) in events
    assert [number for number, event in events if isinstance(event, ScreenGone)] == [1]
    assert len(world.table) == 1


def test_a_screen_that_cannot_even_be_closed_is_gone() -> None:
    class Clinging(LogScreen):
        def close(self) -> None:
            raise ScreenError("The test does not close.")

    world = World(lambda request: Clinging(request.cols, request.rows))
    assert world.take(OPEN, CloseScreen()) == []
    assert len(world.table) == 0


def test_closed_screens_leave_nothing_behind() -> None:
    world = World()
    for number in range(1, 10_001):
        world.take(OPEN, Feed(b"x"), ResizeScreen(90, 30), CloseScreen(), number=number)
    assert len(world.table) == 0
    assert world.settle() == []
