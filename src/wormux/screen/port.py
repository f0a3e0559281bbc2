"""The port to screens: `Screen` is one emulator, `Screens` all of a server's.

A `Screen` is synchronous and knows nothing of positions; `worker` numbers what it is fed. It never raises for what a
program wrote: it raises `ScreenError` only for what its own side asked wrongly, or for a state that cannot be read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from wormux.ids import PaneId
from wormux.protocol.screen_link import ScreenEvent, ScreenRequest


@dataclass(frozen=True)
class Redraw:
    """What brings an empty terminal of the screen's size to the screen's state."""

    data: bytes
    """Ends with what was begun of an unfinished sequence or character, so that the stream can go on behind it. Holds
    no query."""
    above: int
    """Lines of scrollback that the screen has and `data` leaves out."""


@dataclass(frozen=True)
class Match:
    """Where a text was found."""

    line: int
    """0 is the oldest line of the scrollback; the screen's rows come last."""
    column: int
    """Of its first cell."""
    columns: int
    """How many cells it takes, on this line and those that go on from it."""


class Screen(ABC):
    """One emulator. Not thread-safe."""

    cols: int
    rows: int

    @abstractmethod
    def feed(self, data: bytes) -> bytes:
        """Take output, cut anywhere. Returns what the terminal answers to the queries in it."""

    @abstractmethod
    def resize(self, cols: int, rows: int) -> None:
        """What follows is for this size, within `limits.MIN_COLS`, `MAX_COLS`, `MIN_ROWS`, `MAX_ROWS`."""

    @abstractmethod
    def skip(self) -> None:
        """Output was missed here: give up a sequence that was begun, keep everything else."""

    @abstractmethod
    def set_colors(self, foreground: int, background: int, cursor: int) -> None:
        """The default colours, 0xRRGGBB, as queries are to be told; never part of a redraw."""

    @abstractmethod
    def redraw(self, lines: int, limit_bytes: int) -> Redraw:
        """The screen with at most `lines` of scrollback, in at most `limit_bytes` bytes."""

    @abstractmethod
    def checkpoint(self) -> bytes:
        """Everything, in a form that `open` of the same class reads."""

    @abstractmethod
    def text(self, *, scrollback: bool = False) -> str:
        """What it shows, one line per row, without what trails; lines that were wrapped are joined."""

    @abstractmethod
    def find(self, pattern: str, *, case_sensitive: bool = False, limit: int = 1000) -> list[Match]:
        """Where the text stands, in screen and scrollback, the newest first, at most `limit` places."""

    @property
    @abstractmethod
    def title(self) -> str:
        """As the program set it last."""

    @property
    @abstractmethod
    def cwd(self) -> str | None:
        """As OSC 7 said it last; None if it never did."""

    @property
    @abstractmethod
    def memory_bytes(self) -> int:
        """About what it takes, its scrollback above all."""

    @abstractmethod
    def shrink(self, memory_bytes: int) -> None:
        """Forget the oldest scrollback, until it takes about so much."""

    @abstractmethod
    def close(self) -> None:
        """Give the memory back. Nothing else is called after this."""


class Screens(ABC):
    """All screens of a server. A pane's screen is known by the pane and an epoch, which counts its screens."""

    @abstractmethod
    def tell(self, pane_id: PaneId, epoch: int, request: ScreenRequest) -> None:
        """Never raises or blocks. The first request is `OpenScreen`; for a screen that is gone nothing happens."""

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of everything. Nothing is delivered any more."""


Deliver = Callable[[PaneId, int, ScreenEvent], None]
"""Called on the event loop's thread, never from within `tell`: pane, epoch, what happened."""
