"""The tables of a hub, and what every part of it needs in a step: the moment, the effects, the timers.

The parts (`sandboxes`, `terminals`, `typing`, `flow`, `announcer`, `saver`, `requests`) share one `World`. They
read each other's state here; they change only their own.
"""

from __future__ import annotations

from hashlib import blake2b

from wormux.errors import ErrorCode, Refusal
from wormux.hub.channel import ChannelTable
from wormux.hub.connection import Connection
from wormux.hub.effects import Deed, Effect, Note
from wormux.hub.inputs import Moment
from wormux.hub.lifecycle import PanePhase, SandboxPhase
from wormux.hub.pane import Pane
from wormux.hub.session import Client, Session, Tab
from wormux.hub.settings import HubSettings
from wormux.hub.timers import Timers
from wormux.ids import ClientId, ConnectionId, PaneId, SandboxId, SessionId, TabId


class World:
    """See the module."""

    def __init__(self, settings: HubSettings) -> None:
        self.settings = settings
        self.sessions: dict[SessionId, Session] = {}
        """In their order."""
        self.tabs: dict[TabId, Tab] = {}
        """In their order, whatever their session."""
        self.panes: dict[PaneId, Pane] = {}
        self.channels = ChannelTable({}, ())
        self.clients: dict[ClientId, Client] = {}
        """Attached or known, the one that left longest ago first."""
        self.connections: dict[ConnectionId, Connection] = {}
        self.by_sandbox: dict[SandboxId, SessionId] = {}
        self.destroying: dict[SandboxId, Session] = {}
        """Sessions that are gone, with sandboxes that are not yet."""
        self.last_tab: TabId | None = None
        """Used last by anybody: where a new client starts."""
        self.rev = 0
        self.overtaken = 0
        """How often a redraw stood for output that a client was too slow for."""
        self.skipped_bytes = 0
        """Of output, for which those stood."""
        self.timers = Timers()
        self.effects: list[Effect] = []
        self.now = Moment(0.0, 0, 0, 0)
        self._drawn = 0
        self._order = 0

    def begin(self, moment: Moment) -> None:
        """A step starts."""
        self.now = moment
        self.effects = []
        self._drawn = 0

    def new_id(self, prefix: str) -> str:
        """An id that was never used, from the moment's entropy: a different one each time."""
        return f"{prefix}_{self._draw():024x}"

    def draw(self) -> int:
        """32 random bits or more, from the moment's entropy."""
        return self._draw()

    def next_order(self) -> int:
        """Counts up: what is newer has more."""
        self._order += 1
        return self._order

    def note(
        self,
        deed: Deed,
        by: Connection | None,
        *,
        session_id: SessionId | None = None,
        tab_id: TabId | None = None,
        pane_id: PaneId | None = None,
        name: str | None = None,
    ) -> None:
        """For the audit log. `by` may be gone meanwhile."""
        connection_id, client_id = (None, None) if by is None else (by.id, by.client_id)
        self.effects.append(Note(deed, connection_id, client_id, session_id, tab_id, pane_id, name))

    def session(self, session_id: SessionId) -> Session:
        """Raises `Refusal` (`not_found`)."""
        session = self.sessions.get(session_id)
        if session is None:
            raise Refusal(ErrorCode.NOT_FOUND, "There is no such session; it may have been destroyed.")
        return session

    def tab(self, tab_id: TabId) -> Tab:
        """Raises `Refusal` (`not_found`)."""
        tab = self.tabs.get(tab_id)
        if tab is None:
            raise Refusal(ErrorCode.NOT_FOUND, "There is no such tab; it may have been closed.")
        return tab

    def pane(self, pane_id: PaneId) -> Pane:
        """Raises `Refusal` (`not_found`)."""
        pane = self.panes.get(pane_id)
        if pane is None:
            raise Refusal(ErrorCode.NOT_FOUND, "There is no such pane; it may have been closed.")
        return pane

    def tabs_of(self, session_id: SessionId) -> list[Tab]:
        """A session's tabs, in order."""
        return [tab for tab in self.tabs.values() if tab.session_id == session_id]

    def panes_of(self, session_id: SessionId) -> list[Pane]:
        """A session's panes."""
        return [pane for pane in self.panes.values() if pane.session_id == session_id]

    def client_of(self, key: str) -> ClientId | None:
        """The client that agents know by this name."""
        return next((client.id for client in self.clients.values() if client.key == key), None)

    def asking(self, pane: Pane) -> bool:
        """After a restart: the agent may know more of the pane's streams than the store, and was not heard yet."""
        looking = self.sessions[pane.session_id].phase == SandboxPhase.FINDING
        surviving = pane.surviving and pane.phase not in (PanePhase.FAILED, PanePhase.ASLEEP)
        return pane.restored and (looking or surviving or pane.attempt is not None)

    def attached(self, client_id: ClientId) -> Connection | None:
        """The connection of a client, if it is attached."""
        client = self.clients.get(client_id)
        if client is None or client.connection_id is None:
            return None
        return self.connections.get(client.connection_id)

    def _draw(self) -> int:
        self._drawn += 1
        seed = f"{self.now.entropy}:{self._drawn}".encode()
        return int.from_bytes(blake2b(seed, digest_size=12).digest(), "big")
