"""What is kept in the store: plain records that hub, store and server share.

The hub decides what changes and hands a `Change` to the driver; the store applies it as one transaction.
Positions and sizes are as in the protocol; times are milliseconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from wormux.ids import Channel, ClientId, PaneId, SandboxId, SessionId, TabId


class Intent(StrEnum):
    """What the server is about to do, or has done, with a session's sandbox.

    Saved before it is carried out: a starting server finishes what is pending."""

    CREATING = "creating"
    AWAKE = "awake"
    ASLEEP = "asleep"
    DESTROYING = "destroying"


class Rest(StrEnum):
    """Why a pane has no terminal, as far as that outlives the server."""

    LIVE = "live"
    """It has one, or it is being opened, or it is frozen with its sandbox: a starting server asks the agent."""
    ASLEEP = "asleep"
    EXITED = "exited"
    FAILED = "failed"


@dataclass(frozen=True)
class SessionRecord:
    id: SessionId
    sandbox_id: SandboxId
    name: str
    created_at_ms: int
    provider: str
    intent: Intent
    order: int
    """Place in the list of sessions."""
    lease_until_ms: int = 0
    lease_reason: str = ""


@dataclass(frozen=True)
class TabRecord:
    id: TabId
    session_id: SessionId
    name: str
    order: int
    layout: bytes
    """The layout as JSON, in the protocol's shape."""
    focus: PaneId


@dataclass(frozen=True)
class PaneRecord:
    id: PaneId
    tab_id: TabId
    channel: Channel
    channel_rev: int
    """The `rev` that gave the channel to this pane; 0 if it was never used before."""
    cols: int
    rows: int
    generation: int
    position_mark: int
    """No output byte at or past this position was ever sent."""
    rest: Rest = Rest.LIVE
    reason: str = ""
    exit_code: int | None = None
    exit_signal: str | None = None
    closed_at_ms: int = 0
    """When the last terminal ended; 0 while one lives."""
    title: str = ""
    cwd: str | None = None


@dataclass(frozen=True)
class ClientRecord:
    """A client that may come back."""

    id: ClientId
    key: str
    """Its name towards agents: made anew when a forgotten client comes back, since its positions start at 0 again
    while agents remember the old ones."""
    left_at_ms: int
    """0 while it is attached."""
    active_tab: TabId | None = None


@dataclass(frozen=True)
class InputPosition:
    """All of the client's input to the pane before `position` was taken or named as discarded."""

    client_id: ClientId
    pane_id: PaneId
    position: int


@dataclass(frozen=True)
class Checkpoint:
    """What a pane showed, so that it can be shown again without its agent."""

    pane_id: PaneId
    start: int
    """Position of the first byte of `log`."""
    log: bytes
    """The newest part of the pane's output."""
    sizes: tuple[tuple[int, int, int], ...]
    """(position, cols, rows): sizes in force from `start` on."""
    screen: bytes | None = None
    """The screen at `end`, as its emulator keeps it; opaque to everybody else."""
    cols: int = 0
    rows: int = 0
    """Of the screen."""

    @property
    def end(self) -> int:
        return self.start + len(self.log)


@dataclass(frozen=True)
class Meta:
    """What belongs to the user as a whole."""

    rev_mark: int
    """No `rev` at or past this was ever sent."""
    free_channels: tuple[Channel, ...]
    """Channels that were used and freed, the longest-freed first."""
    last_tab: TabId | None


@dataclass(frozen=True)
class Change:
    """One transaction. Inserts fail if the id exists; updates of a row that is gone do nothing, so that a late
    update never brings a closed pane back. Deleting a session deletes its tabs, a tab its panes, a pane its
    input positions and checkpoint. Applied in the order of the fields."""

    insert_sessions: tuple[SessionRecord, ...] = ()
    insert_tabs: tuple[TabRecord, ...] = ()
    insert_panes: tuple[PaneRecord, ...] = ()
    update_sessions: tuple[SessionRecord, ...] = ()
    update_tabs: tuple[TabRecord, ...] = ()
    update_panes: tuple[PaneRecord, ...] = ()
    delete_panes: tuple[PaneId, ...] = ()
    delete_tabs: tuple[TabId, ...] = ()
    delete_sessions: tuple[SessionId, ...] = ()
    put_clients: tuple[ClientRecord, ...] = ()
    """Insert or replace."""
    delete_clients: tuple[ClientId, ...] = ()
    put_inputs: tuple[InputPosition, ...] = ()
    """Insert or replace; ignored for a pane or client that is gone."""
    put_checkpoints: tuple[Checkpoint, ...] = ()
    """Insert or replace; ignored for a pane that is gone."""
    meta: Meta | None = None


@dataclass(frozen=True)
class Snapshot:
    """All that the store holds of one user, as a starting hub needs it."""

    sessions: tuple[SessionRecord, ...] = ()
    tabs: tuple[TabRecord, ...] = ()
    panes: tuple[PaneRecord, ...] = ()
    clients: tuple[ClientRecord, ...] = ()
    inputs: tuple[InputPosition, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    meta: Meta = field(default_factory=lambda: Meta(rev_mark=0, free_channels=(), last_tab=None))
