"""Tells clients what changed: `state` once, then `layout_update`s, as few as can be (protocol §4).

Whether a pane is connected is derived here, from the live terminals, at the moment of sending.
"""

from __future__ import annotations

from msgspec import UNSET

from wormux.errors import Refusal
from wormux.hub.connection import Connection
from wormux.hub.effects import SendFrame
from wormux.hub.flow import Flow
from wormux.hub.pane import Pane
from wormux.hub.session import Client, Session
from wormux.hub.timers import Wait
from wormux.hub.world import World
from wormux.ids import ConnectionId, PaneId, TabId
from wormux.limits import QUIET_UPDATE_EVERY_S, UPDATE_EVERY_S
from wormux.protocol.messages import (
    AnyServerMessage,
    Error,
    InputAck,
    InputDiscarded,
    LayoutUpdate,
    Made,
    Ok,
    PaneInfo,
    SessionInfo,
    State,
    TabInfo,
    encode_control,
)

Updates = dict[tuple[TabId | None, frozenset[PaneId], bool], bytes]
"""Frames by what they are about: the active tab, the panes that changed, and whether sessions did."""


class Announcer:
    """See the module."""

    def __init__(self, world: World, flow: Flow) -> None:
        self._world = world
        self._flow = flow
        self._bumped = False

    def begin(self) -> None:
        """A step starts."""
        self._bumped = False

    def send(self, connection: Connection, message: AnyServerMessage) -> None:
        """A control message that may overtake bytes."""
        self._world.effects.append(SendFrame(connection.id, encode_control(message), urgent=True))

    def send_behind_update(self, connection: Connection, message: AnyServerMessage) -> None:
        """An answer: it goes out behind the update that is pending."""
        connection.held.append(encode_control(message))

    def answer(
        self,
        connection_id: ConnectionId | None,
        request: str,
        ref: str | None,
        outcome: Made | Refusal | None,
    ) -> None:
        """The answer to a request that had to wait; its client may be gone."""
        connection = self._world.connections.get(connection_id) if connection_id is not None else None
        if connection is None:
            return
        connection.unanswered -= 1
        if isinstance(outcome, Refusal):
            self.refuse(connection, request, ref, outcome)
        else:
            self.grant(connection, ref, outcome)

    def grant(self, connection: Connection, ref: str | None, made: Made | None) -> None:
        """`ok`, if it was asked for."""
        if ref is not None:
            self.send_behind_update(connection, Ok(ref=ref, result=UNSET if made is None else made))

    def refuse(self, connection: Connection, request: str | None, ref: str | None, refusal: Refusal) -> None:
        """`error`; nothing was changed."""
        error = Error(
            code=refusal.code, message=refusal.message, request=request, ref=UNSET if ref is None else ref
        )
        self.send(connection, error)

    def pane_changed(self, pane: Pane, *, quiet: bool = False) -> None:
        """Something that clients see of this pane is different now."""
        for connection in self._mark(quiet=quiet):
            connection.dirty_panes.add(pane.id)

    def sessions_changed(self, *, quiet: bool = False) -> None:
        """Something in the list of sessions is different now."""
        for connection in self._mark(quiet=quiet):
            connection.dirty_sessions = True

    def layout_changed(self) -> None:
        """Tabs, layouts, focus or channels are different now."""
        self._mark(quiet=False)

    def active_tab_changed(self, connection: Connection) -> None:
        """This client looks at another tab."""
        self._bump()
        self._mark_one(connection, quiet=False)

    def finish(self) -> None:
        """The step is over: send the updates that are due, and the answers that wait for none."""
        made: Updates = {}
        for connection in self._world.connections.values():
            if connection.closing or not connection.greeted:
                continue
            if connection.dirty:
                quiet = connection.quiet and not connection.held
                due = connection.updated_at_s + (QUIET_UPDATE_EVERY_S if quiet else UPDATE_EVERY_S)
                if self._world.now.mono_s < due:
                    self._world.timers.set(Wait.UPDATE, connection.id, due)
                    continue
                self._update(connection, made)
            if connection.held:
                for frame in connection.held:
                    self._world.effects.append(SendFrame(connection.id, frame, urgent=True))
                connection.held.clear()

    def greet(self, connection: Connection, client: Client, inputs: dict[PaneId, int | None] | None) -> None:
        """Answer `connect`: `state`, the notices that the client may have missed, then the replays."""
        world = self._world
        request = connection.connect
        assert request is not None
        connection.greeted = True
        connection.connect = None
        connection.updated_at_s = world.now.mono_s
        client.active_tab = self._existing_tab(client.active_tab)
        state = State(
            rev=world.rev,
            tabs=self._tabs(),
            active_tab=client.active_tab,
            channels=self._channels(),
            connected=self._connected(),
            panes=self._panes(list(world.panes)),
            now=world.now.wall_ms,
            sessions=self._sessions(),
            input=inputs,
        )
        self.send(connection, state)
        self._bumped = False  # what follows in this step is not in this state
        for pane_id, known in request.input.items():
            pane = world.panes.get(pane_id)
            stream = pane.streams.get(client.id) if pane else None
            if stream is None:
                continue
            for start, end, reason in stream.notices:
                if end > known:
                    self.send(connection, InputDiscarded(pane_id=pane_id, from_=start, to=end, reason=reason))
            if inputs is not None and not stream.asked:  # the last acknowledgement may have been cut off
                self.send(connection, InputAck(pane_id=pane_id, position=stream.taken))
        self._flow.begin(connection, request.resume, self._by_view(client.active_tab))

    def _update(self, connection: Connection, made: Updates) -> None:
        """`made` holds those of this step: most clients are to hear the same."""
        world = self._world
        client = world.clients[connection.client_id] if connection.client_id else None
        if client is not None and client.active_tab is None:
            client.active_tab = self._existing_tab(None)
        active_tab = client.active_tab if client else None
        about = (active_tab, frozenset(connection.dirty_panes), connection.dirty_sessions)
        frame = made.get(about)
        if frame is None:
            update = LayoutUpdate(
                rev=world.rev,
                tabs=self._tabs(),
                active_tab=active_tab,
                channels=self._channels(),
                connected=self._connected(),
                panes=self._panes([pane_id for pane_id in world.panes if pane_id in connection.dirty_panes]),
                sessions=self._sessions() if connection.dirty_sessions else UNSET,
            )
            frame = made[about] = encode_control(update)
        self._flow.drop(connection)
        world.effects.append(SendFrame(connection.id, frame, urgent=True))
        connection.dirty = connection.dirty_sessions = False
        connection.quiet = True
        connection.dirty_panes.clear()
        connection.updated_at_s = world.now.mono_s
        world.timers.cancel(Wait.UPDATE, connection.id)
        self._flow.begin(connection, {}, self._by_view(active_tab))

    def _mark(self, *, quiet: bool) -> list[Connection]:
        self._bump()
        connections = [connection for connection in self._world.connections.values() if connection.greeted]
        for connection in connections:
            self._mark_one(connection, quiet=quiet)
        return connections

    def _mark_one(self, connection: Connection, *, quiet: bool) -> None:
        connection.quiet = quiet if not connection.dirty else connection.quiet and quiet
        connection.dirty = True

    def _bump(self) -> None:
        """One revision a step is enough: what falls together is announced together."""
        if not self._bumped:
            self._bumped = True
            self._world.rev += 1

    def _existing_tab(self, wanted: TabId | None) -> TabId | None:
        for tab_id in (wanted, self._world.last_tab):
            if tab_id is not None and tab_id in self._world.tabs:
                return tab_id
        return next(iter(self._world.tabs), None)

    def _by_view(self, active_tab: TabId | None) -> list[PaneId]:
        """All panes, those of the active tab first."""
        panes = self._world.panes.values()
        return [pane.id for pane in sorted(panes, key=lambda pane: pane.tab_id != active_tab)]

    def _sessions(self) -> tuple[SessionInfo, ...]:
        return tuple(session.info(self._busy(session)) for session in self._world.sessions.values())

    def _busy(self, session: Session) -> str | None:
        if session.busy:
            panes = [pane.id for pane in self._world.panes_of(session.id)]
            if session.busy_pane in panes and len(panes) > 1:
                return f"{session.busy} in pane {panes.index(session.busy_pane) + 1}"
            return session.busy
        if session.lease_until_ms > self._world.now.wall_ms:
            return f"lease: {session.lease_reason}" if session.lease_reason else "lease"
        return None

    def _tabs(self) -> tuple[TabInfo, ...]:
        return tuple(tab.info() for tab in self._world.tabs.values())

    def _channels(self) -> dict[PaneId, int]:
        return {pane.id: pane.channel for pane in self._world.panes.values()}

    def _connected(self) -> dict[PaneId, bool]:
        return {pane.id: pane.connected for pane in self._world.panes.values()}

    def _panes(self, pane_ids: list[PaneId]) -> dict[PaneId, PaneInfo]:
        return {pane_id: self._pane(self._world.panes[pane_id]) for pane_id in pane_ids}

    def _pane(self, pane: Pane) -> PaneInfo:
        pane.queue_shown |= pane.queued_bytes > 0
        if pane.retry_at_s is None:
            return pane.info(None)
        now = self._world.now
        return pane.info(now.wall_ms + round(1000 * (pane.retry_at_s - now.mono_s)))
