"""What clients ask for: one method per message of protocol §3.

Requests that change what is stored are planned (`PLANNED`): `saver` makes the plan when all before it is done, saves
it and carries it out. The others act at once. Either way a `Refusal` changes nothing and becomes an `error`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from wormux.errors import ErrorCode, Refusal
from wormux.hub.announcer import Announcer
from wormux.hub.clients import Clients, check_colors, check_viewport, grid_guess
from wormux.hub.closing import Closing
from wormux.hub.connection import Connection
from wormux.hub.effects import Deed
from wormux.hub.flow import Flow
from wormux.hub.layout import encode_layout, neighbour, resize_split, split_pane
from wormux.hub.log import OutputLog
from wormux.hub.pane import Pane
from wormux.hub.sandboxes import Sandboxes
from wormux.hub.saver import Plan, Saver
from wormux.hub.session import Session, Tab
from wormux.hub.typing import Typing
from wormux.hub.world import World
from wormux.ids import PaneId, SandboxId, SessionId, TabId
from wormux.limits import (
    DEEP_REDRAW_LINES,
    DEFAULT_COLS,
    DEFAULT_ROWS,
    LEASE_S,
    MAX_COLS,
    MAX_ROWS,
    MIN_COLS,
    MIN_ROWS,
    NAME_CHARS,
    POSITION_MARK_BYTES,
    SESSIONS,
)
from wormux.protocol import messages as m
from wormux.records import Change, Intent, Meta

Planner = Callable[[Connection, Any], Plan]
Handler = Callable[[Connection, Any], "m.Made | None"]


class Requests:
    """See the module."""

    def __init__(
        self,
        world: World,
        flow: Flow,
        announcer: Announcer,
        saver: Saver,
        typing: Typing,
        closing: Closing,
        sandboxes: Sandboxes,
        clients: Clients,
    ) -> None:
        self._world = world
        self._flow = flow
        self._announcer = announcer
        self._saver = saver
        self._typing = typing
        self._closing = closing
        self._sandboxes = sandboxes
        self._clients = clients
        self.planned: dict[type, Planner] = {
            m.SessionCreate: self.session_create,
            m.SessionDestroy: lambda by, request: closing.plan_session(request.session_id, by),
            m.SessionRename: self.session_rename,
            m.SessionLease: self.session_lease,
            m.TabCreate: self.tab_create,
            m.TabClose: lambda by, request: closing.plan_tab(request.tab_id, by),
            m.TabRename: self.tab_rename,
            m.PaneSplit: self.pane_split,
            m.PaneClose: lambda by, request: closing.plan_pane(request.pane_id, by),
        }
        self.immediate: dict[type, Handler] = {
            m.ClientUpdate: self.client_update,
            m.TabSwitch: self.tab_switch,
            m.PaneResize: self.pane_resize,
            m.PaneFocus: self.pane_focus,
            m.PaneWake: self.pane_wake,
            m.PaneRedraw: self.pane_redraw,
            m.LayoutResize: self.layout_resize,
            m.LayoutAck: self.layout_ack,
            m.OutputAck: self.output_ack,
            m.InputDiscard: self.input_discard,
        }

    # --- Planned -----------------------------------------------------------------------------------------

    def session_create(self, connection: Connection, request: m.SessionCreate) -> Plan:
        """A session with its own sandbox, one tab, one pane."""
        world = self._world
        name = checked_name(request.name)
        provider = request.provider or world.settings.default_provider
        if provider not in world.settings.providers:
            known = ", ".join(sorted(world.settings.providers))
            raise Refusal(ErrorCode.INVALID, f"This server has no such provider; it has: {known}.")
        if len(world.sessions) >= SESSIONS:
            raise Refusal(ErrorCode.LIMIT, f"There are {SESSIONS} sessions already; destroy one first.")
        order = max((other.order for other in world.sessions.values()), default=0) + 1
        session = Session(
            id=SessionId(world.new_id("s")),
            sandbox_id=SandboxId(world.new_id("b")),
            name=name,
            created_at_ms=world.now.wall_ms,
            provider=provider,
            order=order,
        )
        tab, pane = self._new_tab(connection, session, "shell", request.cols, request.rows)

        def commit() -> m.Made:
            world.sessions[session.id] = session
            world.by_sandbox[session.sandbox_id] = session.id
            self._announcer.sessions_changed()
            world.note(
                Deed.SESSION_CREATE,
                connection,
                session_id=session.id,
                tab_id=tab.id,
                pane_id=pane.id,
                name=name,
            )
            self._add_tab(connection, tab, pane)
            self._sandboxes.start(session)
            return m.Made(session_id=session.id, tab_id=tab.id, pane_id=pane.id)

        change = Change(
            insert_sessions=(session.record(Intent.CREATING),),
            insert_tabs=(tab.record(encode_layout(tab.layout)),),
            insert_panes=(pane.record(POSITION_MARK_BYTES),),
            meta=self._meta_with(pane),
        )
        return Plan(change, commit)

    def session_rename(self, _: Connection, request: m.SessionRename) -> Plan:
        session = self._world.session(request.session_id)
        name = checked_name(request.name)

        def commit() -> None:
            session.name = name
            self._announcer.sessions_changed()

        renamed = session.record()
        return Plan(Change(update_sessions=(replace(renamed, name=name),)), commit)

    def session_lease(self, _: Connection, request: m.SessionLease) -> Plan:
        """Keep its sandbox awake for some seconds; 0 ends the lease."""
        session = self._world.session(request.session_id)
        if not 0 <= request.seconds <= LEASE_S:
            raise Refusal(ErrorCode.INVALID, f"A lease lasts 0 to {LEASE_S} seconds.")
        reason = checked_name(request.reason) if request.reason else ""
        until_ms = self._world.now.wall_ms + 1000 * request.seconds if request.seconds else 0

        def commit() -> None:
            session.lease_until_ms, session.lease_reason = until_ms, reason
            self._sandboxes.leased(session)

        record = replace(session.record(), lease_until_ms=until_ms, lease_reason=reason)
        return Plan(Change(update_sessions=(record,)), commit)

    def tab_create(self, connection: Connection, request: m.TabCreate) -> Plan:
        world = self._world
        session = world.session(request.session_id)
        number = len(world.tabs_of(session.id)) + 1
        name = checked_name(request.name) if request.name is not None else f"shell {number}"
        tab, pane = self._new_tab(connection, session, name, request.cols, request.rows)

        def commit() -> m.Made:
            world.note(
                Deed.TAB_CREATE, connection, session_id=session.id, tab_id=tab.id, pane_id=pane.id, name=name
            )
            self._add_tab(connection, tab, pane)
            self._sandboxes.key(pane)
            return m.Made(tab_id=tab.id, pane_id=pane.id)

        change = Change(
            insert_tabs=(tab.record(encode_layout(tab.layout)),),
            insert_panes=(pane.record(POSITION_MARK_BYTES),),
            meta=self._meta_with(pane),
        )
        return Plan(change, commit)

    def tab_rename(self, _: Connection, request: m.TabRename) -> Plan:
        tab = self._world.tab(request.tab_id)
        name = checked_name(request.name)

        def commit() -> None:
            tab.name = name
            self._announcer.layout_changed()

        return Plan(Change(update_tabs=(replace(tab.record(encode_layout(tab.layout)), name=name),)), commit)

    def pane_split(self, connection: Connection, request: m.PaneSplit) -> Plan:
        """A new pane beside another, its shell in that one's directory."""
        world = self._world
        origin = world.pane(request.pane_id)
        tab = world.tabs[origin.tab_id]
        session = world.sessions[origin.session_id]
        pane = self._new_pane(session, tab.id, *checked_size(request.cols, request.rows))
        pane.cwd, pane.beside = origin.cwd, origin.id
        layout = split_pane(tab.layout, origin.id, request.orientation, pane.id)
        split = Tab(tab.id, tab.session_id, tab.name, tab.order, layout, pane.id)

        def commit() -> m.Made:
            # Shares may have been dragged while this was saved; panes come and go by plans alone.
            tab.layout = split_pane(tab.layout, origin.id, request.orientation, pane.id)
            tab.focus = pane.id
            world.note(Deed.PANE_CREATE, connection, session_id=session.id, tab_id=tab.id, pane_id=pane.id)
            self._add_pane(pane)
            self._sandboxes.key(pane)
            return m.Made(pane_id=pane.id)

        change = Change(
            update_tabs=(split.record(encode_layout(layout)),),
            insert_panes=(pane.record(POSITION_MARK_BYTES),),
            meta=self._meta_with(pane),
        )
        return Plan(change, commit)

    # --- At once -----------------------------------------------------------------------------------------

    def client_update(self, connection: Connection, request: m.ClientUpdate) -> None:
        check_viewport(request.width, request.height)
        check_colors(request.colors)
        if request.width is not None and request.height is not None:
            connection.cols, connection.rows = grid_guess(request.width, request.height)
        client = self._world.clients.get(connection.client_id) if connection.client_id is not None else None
        if client is not None and request.colors is not None:
            self._clients.color(client, request.colors)

    def tab_switch(self, connection: Connection, request: m.TabSwitch) -> None:
        self._look_at(connection, self._world.tab(request.tab_id).id)

    def pane_resize(self, connection: Connection, request: m.PaneResize) -> None:
        pane = self._world.pane(request.pane_id)
        cols, rows = checked_size(request.cols, request.rows)
        assert connection.client_id is not None
        self._clients.wish(pane, connection.client_id, cols, rows)

    def pane_focus(self, connection: Connection, request: m.PaneFocus) -> None:
        """Name a pane, or move the focus of the client's active tab."""
        if (request.pane_id is None) == (request.direction is None):
            raise Refusal(ErrorCode.INVALID, "Name either a paneId or a direction.")
        if request.pane_id is not None:
            pane = self._world.pane(request.pane_id)
            self._focus(self._world.tabs[pane.tab_id], pane.id)
        elif request.direction is not None:
            client = self._world.clients[connection.client_id] if connection.client_id else None
            if client is None or client.active_tab is None:
                raise Refusal(ErrorCode.NOT_FOUND, "There is no active tab to move the focus in.")
            tab = self._world.tab(client.active_tab)
            self._focus(tab, neighbour(tab.layout, tab.focus, request.direction) or tab.focus)

    def pane_wake(self, _: Connection, request: m.PaneWake) -> None:
        self._sandboxes.key(self._world.pane(request.pane_id))

    def pane_redraw(self, connection: Connection, request: m.PaneRedraw) -> None:
        pane = self._world.pane(request.pane_id)
        if not 0 <= request.lines <= DEEP_REDRAW_LINES:
            raise Refusal(ErrorCode.INVALID, f"A redraw has 0 to {DEEP_REDRAW_LINES} lines of scrollback.")
        if pane.id not in connection.views:
            raise Refusal(ErrorCode.NOT_FOUND, "This pane was not announced to this client yet.")
        self._flow.ask_redraw(connection, pane, request.lines)

    def layout_resize(self, _: Connection, request: m.LayoutResize) -> None:
        tab = self._world.tab(request.tab_id)
        tab.layout = resize_split(tab.layout, request.path, request.ratios)
        self._saver.touch_tab(tab.id)
        self._announcer.layout_changed()

    def layout_ack(self, connection: Connection, request: m.LayoutAck) -> None:
        if request.rev > self._world.rev:
            raise Refusal(ErrorCode.INVALID, "This revision was never sent.")
        connection.acked_rev = max(connection.acked_rev, request.rev)

    def output_ack(self, connection: Connection, request: m.OutputAck) -> None:
        pane = self._world.panes.get(request.pane_id)
        if pane is not None:  # else it was closed while the acknowledgement was under way
            self._flow.acknowledged(connection, pane, request.position)

    def input_discard(self, connection: Connection, request: m.InputDiscard) -> None:
        pane = self._world.pane(request.pane_id)
        assert connection.client_id is not None
        self._typing.asked(pane, connection.client_id)

    # --- Parts -------------------------------------------------------------------------------------------

    def _new_tab(
        self, connection: Connection, session: Session, name: str, cols: int | None, rows: int | None
    ) -> tuple[Tab, Pane]:
        guess = (connection.cols or DEFAULT_COLS, connection.rows or DEFAULT_ROWS)
        size = checked_size(guess[0] if cols is None else cols, guess[1] if rows is None else rows)
        tab_id = TabId(self._world.new_id("t"))
        pane = self._new_pane(session, tab_id, *size)
        order = max((tab.order for tab in self._world.tabs.values()), default=0) + 1
        return Tab(tab_id, session.id, name, order, m.PaneLeaf(pane_id=pane.id), pane.id), pane

    def _new_pane(self, session: Session, tab_id: TabId, cols: int, rows: int) -> Pane:
        channel, used_before = self._world.channels.next_free()
        return Pane(
            id=PaneId(self._world.new_id("p")),
            tab_id=tab_id,
            session_id=session.id,
            channel=channel,
            channel_rev=self._world.rev + 1 if used_before else 0,
            cols=cols,
            rows=rows,
            log=OutputLog(0, cols, rows),
            position_mark=POSITION_MARK_BYTES,
        )

    def _add_tab(self, connection: Connection, tab: Tab, pane: Pane) -> None:
        self._world.tabs[tab.id] = tab
        self._add_pane(pane)
        self._look_at(connection, tab.id)

    def _add_pane(self, pane: Pane) -> None:
        self._announcer.layout_changed()
        self._announcer.pane_changed(pane)
        if pane.channel_rev:
            pane.channel_rev = self._world.rev  # the one that announces it
        self._world.channels.take(pane.channel, pane.id)
        self._world.panes[pane.id] = pane
        self._clients.enforce_colors(pane)

    def _look_at(self, connection: Connection, tab_id: TabId) -> None:
        client = self._world.clients.get(connection.client_id) if connection.client_id else None
        if client is None or client.active_tab == tab_id:
            return
        client.active_tab = self._world.last_tab = tab_id
        self._saver.touch_client(client.id)
        self._saver.touch_meta()
        self._announcer.active_tab_changed(connection)

    def _focus(self, tab: Tab, pane_id: PaneId) -> None:
        if tab.focus != pane_id:
            tab.focus = pane_id
            self._saver.touch_tab(tab.id)
            self._announcer.layout_changed()

    def _meta_with(self, pane: Pane) -> Meta:
        """The user's row as it will be when the pane has its channel."""
        meta = self._saver.meta()
        return replace(meta, free_channels=tuple(c for c in meta.free_channels if c != pane.channel))


def checked_name(name: str) -> str:
    """Trimmed. Raises `Refusal` (`invalid`)."""
    name = name.strip()
    if not 1 <= len(name) <= NAME_CHARS or not name.isprintable():
        raise Refusal(
            ErrorCode.INVALID, f"A name has 1 to {NAME_CHARS} characters, none of them a control character."
        )
    return name


def checked_size(cols: int, rows: int) -> tuple[int, int]:
    """Raises `Refusal` (`invalid`)."""
    if not (MIN_COLS <= cols <= MAX_COLS and MIN_ROWS <= rows <= MAX_ROWS):
        raise Refusal(
            ErrorCode.INVALID, f"A size is {MIN_COLS}–{MAX_COLS} columns and {MIN_ROWS}–{MAX_ROWS} rows."
        )
    return cols, rows
