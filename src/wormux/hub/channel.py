"""Which pane has which channel, and who gets one next (protocol §1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from wormux.errors import ErrorCode, Refusal
from wormux.ids import Channel, PaneId
from wormux.limits import PANES


class ChannelTable:
    """Never-used channels are given out first, then the longest-freed, so that late keys meet a stranger as
    seldom as can be."""

    def __init__(self, used: dict[Channel, PaneId], free: Iterable[Channel]) -> None:
        self._panes = dict(used)
        self._freed = deque(free)
        ever_used = [*self._panes, *self._freed]
        self._next = max(ever_used, default=-1) + 1

    def pane(self, channel: int) -> PaneId | None:
        """The pane that has this channel."""
        return self._panes.get(Channel(channel))

    @property
    def ever_used(self) -> bool:
        """Some pane has had a channel."""
        return self._next > 0

    @property
    def freed(self) -> tuple[Channel, ...]:
        """The longest-freed first."""
        return tuple(self._freed)

    def next_free(self) -> tuple[Channel, bool]:
        """The channel that the next pane gets, and whether it was used before. Raises `Refusal` (`limit`)."""
        if self._next < PANES:
            return Channel(self._next), False
        if self._freed:
            return self._freed[0], True
        raise Refusal(ErrorCode.LIMIT, f"There are {PANES} panes already; close one first.")

    def take(self, channel: Channel, pane_id: PaneId) -> None:
        """Give out what `next_free` said."""
        if channel == self._next:
            self._next += 1
        else:
            self._freed.remove(channel)
        self._panes[channel] = pane_id

    def release(self, channel: Channel) -> None:
        """The pane of this channel was closed."""
        del self._panes[channel]
        self._freed.append(channel)
