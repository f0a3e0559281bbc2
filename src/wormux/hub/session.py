"""A session: a named set of tabs that runs in one sandbox. Plain state; `sandboxes` moves it."""

from __future__ import annotations

from dataclasses import dataclass, field

from wormux.hub.lifecycle import SandboxEvent, SandboxPhase, next_sandbox_phase
from wormux.ids import ClientId, ConnectionId, PaneId, SandboxId, SessionId, TabId
from wormux.protocol.messages import Layout, SessionInfo, SessionStatus, TabInfo
from wormux.records import Intent, SessionRecord, TabRecord

_STATUS: dict[SandboxPhase, SessionStatus] = {
    SandboxPhase.NEW: "starting",
    SandboxPhase.STARTING: "starting",
    SandboxPhase.ASLEEP: "asleep",
    SandboxPhase.FINDING: "waking",
    SandboxPhase.WAKING: "waking",
    SandboxPhase.AWAKE: "awake",
    SandboxPhase.STOPPING: "awake",
    SandboxPhase.FAILED: "failed",
}


@dataclass(slots=True)
class Session:
    """See the module. Times on the monotonic clock in seconds, unless `_ms`."""

    id: SessionId
    sandbox_id: SandboxId
    name: str
    created_at_ms: int
    provider: str
    order: int
    phase: SandboxPhase = SandboxPhase.NEW
    attempt_at_s: float = float("-inf")
    """When the last attempt to start or find the sandbox began."""
    failures: int = 0
    """How often it was looked for in vain while terminals in it were connected."""
    active_at_s: float = 0.0
    """Last input or output."""
    busy: str | None = None
    busy_pane: PaneId | None = None
    lease_until_ms: int = 0
    lease_reason: str = ""
    frozen: bool = False
    """ASLEEP: its terminals may outlast that."""
    asleep_since_ms: int = 0
    """When it fell asleep; 0 while it is awake and is not to be stopped for good at once."""
    deepening: bool = False
    """It was frozen, and is woken only to be stopped."""
    deepen_force: bool = False
    stopped: bool = False
    """STOPPING: the sandbox has said so, and the last words of its terminals are waited for."""
    sleep_requests: list[tuple[ConnectionId, str | None]] = field(default_factory=list)
    """Who asked for sleep and waits for the answer."""
    shown_sleeps_at_ms: int | None = None

    def move(self, event: SandboxEvent) -> None:
        """Take the step that `event` means."""
        self.phase = next_sandbox_phase(self.phase, event)

    def info(self, busy: str | None) -> SessionInfo:
        """As clients see it."""
        return SessionInfo(
            id=self.id,
            sandbox_id=self.sandbox_id,
            name=self.name,
            created_at=self.created_at_ms,
            provider=self.provider,
            status=_STATUS[self.phase],
            busy=busy,
            sleeps_at=self.shown_sleeps_at_ms,
            frozen=self.frozen,
        )

    def record(self, intent: Intent | None = None) -> SessionRecord:
        """As it is stored."""
        if intent is None:
            if self.phase in (SandboxPhase.NEW, SandboxPhase.STARTING):
                intent = Intent.CREATING
            else:
                stopped = self.phase == SandboxPhase.ASLEEP and not self.frozen
                intent = Intent.ASLEEP if stopped else Intent.AWAKE
        return SessionRecord(
            id=self.id,
            sandbox_id=self.sandbox_id,
            name=self.name,
            created_at_ms=self.created_at_ms,
            provider=self.provider,
            intent=intent,
            order=self.order,
            lease_until_ms=self.lease_until_ms,
            lease_reason=self.lease_reason,
        )


@dataclass(slots=True)
class Tab:
    """An ordered member of a session, and its tree of panes."""

    id: TabId
    session_id: SessionId
    name: str
    order: int
    layout: Layout
    focus: PaneId

    def info(self) -> TabInfo:
        """As clients see it."""
        return TabInfo(
            id=self.id, session_id=self.session_id, name=self.name, layout=self.layout, focus=self.focus
        )

    def record(self, encoded_layout: bytes) -> TabRecord:
        """As it is stored."""
        return TabRecord(
            id=self.id,
            session_id=self.session_id,
            name=self.name,
            order=self.order,
            layout=encoded_layout,
            focus=self.focus,
        )


@dataclass(slots=True)
class Client:
    """A page or program that was here, and may be again."""

    id: ClientId
    key: str
    """Its name towards agents."""
    anonymous: bool
    """It gave no id, so it cannot come back."""
    left_at_ms: int = 0
    connection_id: ConnectionId | None = None
    active_tab: TabId | None = None
    attempt: int = 0
    """Of its newest `connect`, where it counts them."""
    colors: tuple[int, int, int] | None = None
    """Foreground, background and cursor of its page's terminals (0xRRGGBB)."""
    colored: int = 0
    """Order of colours."""
