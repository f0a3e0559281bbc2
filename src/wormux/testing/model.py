"""What a client knows of sessions, tabs and panes: `state` and `layout_update`s, applied and checked (protocol §4)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from wormux.ids import PaneId, SessionId, TabId
from wormux.protocol.messages import Layout, LayoutUpdate, PaneInfo, PaneLeaf, SessionInfo, State, TabInfo
from wormux.testing.errors import expect

_SUM_TOLERANCE = 0.01


class Model:
    """Raises `ServerBroke` for what no server may say. Survives reconnecting, so that it sees what must not change."""

    def __init__(self) -> None:
        self.rev = -1
        self.sessions: dict[SessionId, SessionInfo] = {}
        self.tabs: dict[TabId, TabInfo] = {}
        self.active_tab: TabId | None = None
        self.channels: dict[PaneId, int] = {}
        self.connected: dict[PaneId, bool] = {}
        self.panes: dict[PaneId, PaneInfo] = {}
        self._closed: set[PaneId] = set()

    def apply(self, message: State | LayoutUpdate) -> None:
        """Take over what the message says."""
        if isinstance(message, State):
            expect(message.rev >= self.rev, "A `rev` never falls, server restarts included.")
            expect(message.panes.keys() == message.channels.keys(), "`state` has a record of every pane.")
            self.panes = {}
        else:
            expect(message.rev > self.rev, "The `rev` rises with every announced change.")
        self._check_channels(message)
        self.rev = message.rev
        if not isinstance(message.sessions, msgspec.UnsetType):
            self.sessions = {session.id: session for session in message.sessions}
        self.tabs = {tab.id: tab for tab in message.tabs}
        self.active_tab = message.active_tab
        self._closed |= self.channels.keys() - message.channels.keys()
        self.channels = message.channels
        self.connected = message.connected
        merged = self.panes | message.panes
        self.panes = {pane: merged[pane] for pane in merged if pane in message.channels}
        self._check_records()
        self._check_layouts()

    def was_closed(self, pane: PaneId) -> bool:
        """It was there, and is not any more."""
        return pane in self._closed

    def pane_at(self, channel: int) -> PaneId | None:
        return next((pane for pane, number in self.channels.items() if number == channel), None)

    def tabs_of(self, session: SessionId) -> list[TabInfo]:
        return [tab for tab in self.tabs.values() if tab.session_id == session]

    def panes_of(self, session: SessionId) -> list[PaneId]:
        return [pane for tab in self.tabs_of(session) for pane in leaves(tab.layout)]

    def session_named(self, name: str) -> SessionId:
        return next(session.id for session in self.sessions.values() if session.name == name)

    def _check_channels(self, message: State | LayoutUpdate) -> None:
        channels = message.channels
        expect(len(set(channels.values())) == len(channels), "No two panes have one channel.")
        expect(all(0 <= number <= 254 for number in channels.values()), "Channels are 0 to 254.")
        expect(
            message.connected.keys() == channels.keys(), "`connected` has exactly the panes in `channels`."
        )
        expect(message.panes.keys() <= channels.keys(), "Records are of panes that have a channel.")
        expect(not channels.keys() & self._closed, "Ids are never used twice.")
        kept = channels.keys() & self.channels.keys()
        same = all(channels[pane] == self.channels[pane] for pane in kept)
        expect(same, "A pane keeps its channel until it is closed.")

    def _check_records(self) -> None:
        expect(self.panes.keys() == self.channels.keys(), "Every pane that was announced has a record.")
        for pane, info in self.panes.items():
            lives = info.status == "connected"
            expect(self.connected[pane] == lives, "A pane is `connected` exactly while its status says so.")
            expect(lives or info.command is None, "Without a terminal there is no command.")

    def _check_layouts(self) -> None:
        shown = [pane for tab in self.tabs.values() for pane in leaves(tab.layout)]
        expect(sorted(shown) == sorted(self.channels), "Every pane stands in one layout, once.")
        for tab in self.tabs.values():
            expect(tab.session_id in self.sessions, "A tab belongs to a session that was announced.")
            expect(tab.focus in set(leaves(tab.layout)), "The focus is a pane of the tab.")
            _check_split(tab.layout)
        known = self.active_tab is None or self.active_tab in self.tabs
        expect(
            known and (self.active_tab is None) == (not self.tabs), "`activeTab` is a tab if there is one."
        )


def leaves(layout: Layout) -> Iterator[PaneId]:
    """The panes of a layout, in order."""
    if isinstance(layout, PaneLeaf):
        yield layout.pane_id
    else:
        for child in layout.children:
            yield from leaves(child)


def _check_split(layout: Layout) -> None:
    if isinstance(layout, PaneLeaf):
        return
    expect(len(layout.children) >= 2, "A split has two or more children.")
    expect(len(layout.ratios) == len(layout.children), "A split has a share for each child.")
    expect(min(layout.ratios) > 0, "Shares are positive.")
    expect(abs(sum(layout.ratios) - 1) < _SUM_TOLERANCE, "Shares sum to 1.")
    for child in layout.children:
        alike = not isinstance(child, PaneLeaf) and child.orientation == layout.orientation
        expect(not alike, "No child split has its parent's orientation.")
        _check_split(child)
