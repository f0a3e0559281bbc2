"""One WebSocket of a client, and how far each pane's output has gone down it. Plain state."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from wormux.ids import Channel, ClientId, ConnectionId, PaneId
from wormux.protocol.messages import Connect


@dataclass(slots=True)
class View:
    """One connection's place in one pane's output. `flow` moves it."""

    pane_id: PaneId
    resume: int | None = None
    """Where the client says it stands; until its first `replay`."""
    started: bool = False
    """A `replay` was sent: from then on the stream goes on byte by byte."""
    position: int = 0
    """Of the next byte to send."""
    acked: int = 0
    """With `flow`: all before it has been drawn."""
    behind: bool = False
    """It filled its window, and goes on when half of it is free."""
    size: tuple[int, int] = (0, 0)
    """Columns and rows that the client was last told."""
    wanted_lines: int | None = None
    """It asked for a redraw with so many lines of scrollback, and that was not passed on."""
    refit: bool = False
    """Its terminal had its lines broken anew, which it does otherwise than the screen: it needs a redraw."""
    asked: tuple[int, int] | None = None
    """The redraw (lines, position) that is on its way for it; until then it gets nothing else."""
    redraw_at_s: float = float("-inf")
    """When a redraw was last asked for."""


@dataclass(slots=True)
class Connection:
    """See the module. Times on the monotonic clock in seconds."""

    id: ConnectionId
    client_id: ClientId | None = None
    """None before `connect`."""
    greeted: bool = False
    """`state` was sent."""
    closing: bool = False
    flow: bool = False
    cols: int = 0
    rows: int = 0
    """A guess from the page's size, for new panes; 0 before `connect`."""
    acked_rev: int = 0
    unsent: int = 0
    """Bytes of frames that are not urgent and wait for the socket."""
    reserved: int = 0
    """Bytes that redraws on their way may take."""
    views: dict[PaneId, View] = field(default_factory=dict)
    gone_channels: list[Channel] = field(default_factory=list)
    """Of panes that were closed since the last update."""
    waiting: dict[PaneId, None] = field(default_factory=dict)
    """Panes with output that did not fit; the next to be served first."""
    message_times: deque[float] = field(default_factory=deque)
    unanswered: int = 0
    not_found_at: dict[int, float] = field(default_factory=dict)
    """Channel to the time of its last `not_found`."""
    dirty: bool = False
    """An update is pending."""
    quiet: bool = True
    """It is about nothing but titles, directories, commands and counts."""
    dirty_sessions: bool = False
    dirty_panes: set[PaneId] = field(default_factory=set)
    updated_at_s: float = float("-inf")
    held: list[bytes] = field(default_factory=list)
    """Answers that go out behind the pending update."""
    connect: Connect | None = None
    """Until `state` answers it."""
