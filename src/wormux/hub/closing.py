"""Closing panes, tabs and sessions: one place that takes a pane out of every table (protocol §3)."""

from __future__ import annotations

from collections.abc import Iterable

from wormux.errors import ErrorCode, Refusal
from wormux.hub.announcer import Announcer
from wormux.hub.connection import Connection
from wormux.hub.effects import CloseTerminal, Deed, DestroySandbox
from wormux.hub.flow import Flow
from wormux.hub.layout import encode_layout, pane_ids, remove_pane
from wormux.hub.pane import Pane
from wormux.hub.saver import Plan, Saver
from wormux.hub.screens import Screens
from wormux.hub.session import Tab
from wormux.hub.timers import Wait
from wormux.hub.typing import Typing
from wormux.hub.world import World
from wormux.ids import Channel, PaneId, SessionId, TabId
from wormux.protocol.messages import Layout
from wormux.records import Change, Intent, Meta


class Closing:
    """See the module. Plans are made and carried out by `saver`, one at a time; `by` is who asked, if anybody did."""

    def __init__(
        self, world: World, screens: Screens, flow: Flow, announcer: Announcer, saver: Saver, typing: Typing
    ) -> None:
        self._world = world
        self._screens = screens
        self._flow = flow
        self._announcer = announcer
        self._saver = saver
        self._typing = typing

    def plan_pane(self, pane_id: PaneId, by: Connection | None = None) -> Plan:
        """Close a pane, and its tab if it was the last. Raises `Refusal` (`not_found`)."""
        pane = self._world.pane(pane_id)
        tab = self._world.tabs[pane.tab_id]
        layout = remove_pane(tab.layout, pane_id)
        if layout is None:
            return self.plan_tab(tab.id, by)
        focus = self._focus_after(tab, layout, pane_id)
        record = Tab(tab.id, tab.session_id, tab.name, tab.order, layout, focus).record(encode_layout(layout))

        def commit() -> None:
            # Shares may have been dragged while this was saved; panes come and go by plans alone.
            tab.layout = remove_pane(tab.layout, pane_id) or layout
            if tab.focus == pane_id or tab.focus not in set(pane_ids(layout)):
                tab.focus = focus
            self._world.note(Deed.PANE_CLOSE, by, session_id=tab.session_id, tab_id=tab.id, pane_id=pane_id)
            self._drop([pane])
            self._announcer.layout_changed()

        return Plan(
            Change(update_tabs=(record,), delete_panes=(pane_id,), meta=self._meta_without([pane])), commit
        )

    def plan_tab(self, tab_id: TabId, by: Connection | None = None) -> Plan:
        """Close a tab with its panes; its session stays. Raises `Refusal` (`not_found`)."""
        tab = self._world.tab(tab_id)
        panes = [self._world.panes[pane_id] for pane_id in pane_ids(tab.layout)]

        def commit() -> None:
            self._world.note(Deed.TAB_CLOSE, by, session_id=tab.session_id, tab_id=tab_id, name=tab.name)
            self._drop(panes)
            self._remove_tabs([tab])
            self._announcer.layout_changed()

        change = Change(
            delete_panes=tuple(pane.id for pane in panes),
            delete_tabs=(tab_id,),
            meta=self._meta_without(panes, [tab]),
        )
        return Plan(change, commit)

    def plan_session(self, session_id: SessionId, by: Connection | None = None) -> Plan:
        """Close a session with its tabs, then destroy its sandbox; the row goes when that is done. Raises `Refusal`
        (`not_found`)."""
        session = self._world.session(session_id)
        tabs = self._world.tabs_of(session_id)
        panes = self._world.panes_of(session_id)

        def commit() -> None:
            self._world.note(Deed.SESSION_DESTROY, by, session_id=session_id, name=session.name)
            self._drop(panes)
            self._remove_tabs(tabs)
            del self._world.sessions[session_id]
            self._world.destroying[session.sandbox_id] = session
            for wait in (Wait.IDLE, Wait.SLEEPS_AT, Wait.LEASE, Wait.FIND):
                self._world.timers.cancel(wait, session_id)
            for connection_id, ref in session.sleep_requests:
                gone = Refusal(ErrorCode.NOT_FOUND, "The session was destroyed meanwhile.")
                self._announcer.answer(connection_id, "session_sleep", ref, gone)
            self._world.effects.append(DestroySandbox(session.sandbox_id, session.provider))
            self._announcer.layout_changed()
            self._announcer.sessions_changed()

        change = Change(
            update_sessions=(session.record(Intent.DESTROYING),),
            delete_panes=tuple(pane.id for pane in panes),
            delete_tabs=tuple(tab.id for tab in tabs),
            meta=self._meta_without(panes, tabs),
        )
        return Plan(change, commit)

    def _drop(self, panes: Iterable[Pane]) -> None:
        """Take panes out of every table, and end what stands behind them."""
        world = self._world
        for pane in panes:
            session = world.sessions[pane.session_id]
            pane.closing = True
            self._typing.closed(pane)
            self._flow.forget(pane)
            self._screens.close(pane)
            world.timers.cancel(Wait.RETRY, pane.id)
            if pane.generation:
                world.effects.append(CloseTerminal(session.sandbox_id, pane.id, pane.generation))
            world.channels.release(pane.channel)
            del world.panes[pane.id]
            for connection in world.connections.values():
                connection.dirty_panes.discard(pane.id)

    def _remove_tabs(self, tabs: list[Tab]) -> None:
        """Clients that looked at one of them look at its neighbour."""
        world = self._world
        for tab in tabs:
            heir = self._heir(tab)
            del world.tabs[tab.id]
            if world.last_tab == tab.id:
                world.last_tab = heir
                self._saver.touch_meta()
            for client in world.clients.values():
                if client.active_tab == tab.id:
                    client.active_tab = heir
                    self._saver.touch_client(client.id)

    def _heir(self, tab: Tab) -> TabId | None:
        """The tab to look at instead: the one before in its session, the one after, or any."""
        siblings = self._world.tabs_of(tab.session_id)
        index = siblings.index(tab)
        others = siblings[:index][::-1] + siblings[index + 1 :]
        others += [other for other in self._world.tabs.values() if other.session_id != tab.session_id][::-1]
        return others[0].id if others else None

    def _focus_after(self, tab: Tab, layout: Layout, gone: PaneId) -> PaneId:
        """The focused pane, or the one before the closed one."""
        if tab.focus != gone:
            return tab.focus
        before = list(pane_ids(tab.layout))
        kept = set(pane_ids(layout))
        index = before.index(gone)
        return next(pane_id for pane_id in [*before[:index][::-1], *before[index + 1 :]] if pane_id in kept)

    def _meta_without(self, panes: list[Pane], tabs: list[Tab] | None = None) -> Meta:
        """The user's row as it will be when these panes have given back their channels."""
        meta = self._saver.meta()
        freed: tuple[Channel, ...] = (*meta.free_channels, *(pane.channel for pane in panes))
        gone = {tab.id for tab in tabs or ()}
        return Meta(meta.rev_mark, freed, None if meta.last_tab in gone else meta.last_tab)
