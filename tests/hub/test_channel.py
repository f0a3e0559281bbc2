"""Channels are given out never-used first, then longest-freed first."""

from __future__ import annotations

import pytest

from wormux.errors import Refusal
from wormux.hub.channel import ChannelTable
from wormux.ids import Channel, PaneId
from wormux.limits import PANES


def take(table: ChannelTable, name: str) -> tuple[Channel, bool]:
    channel, used_before = table.next_free()
    table.take(channel, PaneId(name))
    return channel, used_before


def test_never_used_ones_come_first_then_the_longest_freed() -> None:
    table = ChannelTable({}, ())
    assert not table.ever_used
    taken = [take(table, f"p{number}") for number in range(PANES - 1)]
    assert taken == [(Channel(number), False) for number in range(PANES - 1)]
    table.release(Channel(7))
    table.release(Channel(3))
    assert take(table, "last new one") == (Channel(PANES - 1), False)
    assert take(table, "x") == (Channel(7), True)
    assert take(table, "y") == (Channel(3), True)
    assert table.pane(7) == "x"
    with pytest.raises(Refusal):
        table.next_free()


def test_looking_takes_nothing() -> None:
    table = ChannelTable({}, ())
    assert table.next_free() == table.next_free()
    assert table.pane(0) is None


def test_it_goes_on_where_the_store_says() -> None:
    table = ChannelTable({Channel(2): PaneId("p")}, [Channel(1), Channel(0)])
    assert table.ever_used
    assert table.next_free() == (Channel(3), False)
    assert table.freed == (Channel(1), Channel(0))
