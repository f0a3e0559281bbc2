"""The screens at one end of a link, by number: takes requests in their order, says what came of them.

It numbers what they are fed, and keeps the fault of one screen from the others. It knows neither how requests come
nor whose screens these are.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from wormux.errors import InternalError, ScreenError
from wormux.limits import KIB, SCREEN_FRAME_BYTES
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
from wormux.screen.budget import Budget
from wormux.screen.port import Screen

Opener = Callable[[OpenScreen], Screen]
"""Makes the screen that a request asks for. Raises `ScreenError` if its state cannot be read."""

Report = Callable[[str, Exception], None]
"""Told what was being done when a screen failed, for the log."""

_MOST_BYTES = SCREEN_FRAME_BYTES - KIB
"""Of data in one event, so that its frame is not too large."""

_CELL_BYTES = 8
"""Of an emulator, for one character on the screen."""


@dataclass(slots=True, eq=False)
class _Entry:
    screen: Screen
    position: int
    """Of the next output byte."""
    checkpoints_owed: int = 0
    """Asked for, and not possible yet."""


class ScreenTable:
    """Not thread-safe. Never raises for what programs wrote or servers ask."""

    def __init__(self, opener: Opener, memory_bytes: int, report: Report) -> None:
        """`memory_bytes` is what all screens together may take."""
        self._opener = opener
        self._report = report
        self._entries: dict[int, _Entry] = {}
        self._fed: dict[int, _Entry] = {}
        """Since the last `settle`."""
        self._budget = Budget(memory_bytes)
        self._lost: list[tuple[int, ScreenEvent]] = []
        """Screens that failed outside of a request of their own."""

    def __len__(self) -> int:
        return len(self._entries)

    def take(self, number: int, request: ScreenRequest) -> Sequence[ScreenEvent]:
        """Carry out one request. `Fed` and what cannot be said yet are left to `settle`. For a screen that is not
        there, nothing happens."""
        entry = self._entries.get(number)
        try:
            if isinstance(request, Feed):
                return self._feed(number, entry, request) if entry is not None else ()
            if isinstance(request, OpenScreen):
                return self._open(number, request)
            return self._carry_out(number, entry, request) if entry is not None else ()
        except Exception as error:
            return (self._gone(number, _doing(request), error),)

    def settle(self) -> Sequence[tuple[int, ScreenEvent]]:
        """What is to be said once all requests that are there were taken."""
        events: list[tuple[int, ScreenEvent]] = []
        if self._budget.is_due:
            self._budget.keep(self._size, self._shrink)
        for number, entry in tuple(self._fed.items()):
            events.append((number, Fed(entry.position)))
            if entry.checkpoints_owed:
                try:
                    events += [(number, event) for event in self._checkpoint(entry)]
                except Exception as error:
                    events.append((number, self._gone(number, "taking a checkpoint", error)))
        self._fed.clear()
        events += self._lost
        self._lost.clear()
        return events

    def close(self) -> None:
        """Close every screen."""
        for number in tuple(self._entries):
            self._close(number)

    def _feed(self, number: int, entry: _Entry, request: Feed) -> Sequence[ScreenEvent]:
        entry.position += len(request.data)
        answer = entry.screen.feed(request.data)
        self._fed[number] = entry
        self._budget.use(number, len(request.data))
        return (Answered(entry.position, answer),) if answer and request.answer else ()

    def _open(self, number: int, request: OpenScreen) -> Sequence[ScreenEvent]:
        if number in self._entries:
            raise InternalError("A screen was opened twice.")
        try:
            screen = self._opener(request)
        except Exception as error:
            if request.state is None:
                raise
            if not isinstance(error, ScreenError):
                self._report("opening a stored screen", error)
            return (Unreadable(_sentence(error)),)
        self._entries[number] = _Entry(screen, request.position)
        self._budget.use(number, len(request.state or b"") + _cells_bytes(request))
        if (screen.cols, screen.rows) != (request.cols, request.rows):
            screen.resize(request.cols, request.rows)
        return ()

    def _carry_out(
        self,
        number: int,
        entry: _Entry,
        request: Skip | ResizeScreen | SetColors | TakeRedraw | TakeCheckpoint | CloseScreen,
    ) -> Sequence[ScreenEvent]:
        screen = entry.screen
        match request:
            case Skip(position):
                screen.skip()
                entry.position = position
                self._fed[number] = entry
            case ResizeScreen(cols, rows):
                screen.resize(cols, rows)
                self._budget.use(number, _cells_bytes(request))
            case SetColors(foreground, background, cursor):
                screen.set_colors(foreground, background, cursor)
            case TakeRedraw(lines, limit_bytes):
                redraw = screen.redraw(lines, limit_bytes)
                size = (screen.cols, screen.rows)
                return (RedrawTaken(lines, entry.position, *size, redraw.data, redraw.above),)
            case TakeCheckpoint():
                entry.checkpoints_owed += 1
                return self._checkpoint(entry)
            case CloseScreen():
                self._close(number)
            case _:
                assert_never(request)
        return ()

    def _checkpoint(self, entry: _Entry) -> Sequence[ScreenEvent]:
        """The checkpoints that are owed. If none can be taken now, inside an overlong sequence perhaps, they stay owed
        until more output came: every one that was asked for is answered by what is true at its position."""
        try:
            state = entry.screen.checkpoint()
        except ScreenError as error:
            if entry.checkpoints_owed == 1:
                self._report("taking a checkpoint, which is tried again", error)
            return ()
        if len(state) > _MOST_BYTES:
            raise ScreenError("The screen is too large to be kept.")
        owed, entry.checkpoints_owed = entry.checkpoints_owed, 0
        screen = entry.screen
        return (CheckpointTaken(entry.position, screen.cols, screen.rows, state),) * owed

    def _size(self, number: int) -> int:
        try:
            return self._entries[number].screen.memory_bytes
        except Exception as error:
            self._lost.append((number, self._gone(number, "asking how large a screen is", error)))
            return 0

    def _shrink(self, number: int, memory_bytes: int) -> None:
        try:
            self._entries[number].screen.shrink(memory_bytes)
        except Exception as error:
            self._lost.append((number, self._gone(number, "making a screen smaller", error)))

    def _gone(self, number: int, doing: str, error: Exception) -> ScreenGone:
        self._report(doing, error)
        self._close(number)
        return ScreenGone(_sentence(error))

    def _close(self, number: int) -> None:
        entry = self._entries.pop(number, None)
        self._fed.pop(number, None)
        self._budget.forget(number)
        if entry is not None:
            try:
                entry.screen.close()
            except Exception as error:
                self._report("closing a screen", error)


def account(doing: str, error: Exception) -> str:
    """What to say in the log, without what may quote what a program wrote."""
    if isinstance(error, ScreenError):
        return f"A screen failed while {doing}: {error}"
    frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    return f"A bug: {type(error).__name__} while {doing}.\n{frames}"


def _cells_bytes(size: OpenScreen | ResizeScreen) -> int:
    """About what a screen of this size takes without any output."""
    return _CELL_BYTES * size.cols * size.rows


def _doing(request: ScreenRequest) -> str:
    return f"carrying out {type(request).__name__}"


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, ScreenError) else "The screen's emulator failed."
