"""How the numbers of metrics are read: counts that are kept on the way, and tables that are looked at when asked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wormux.hub.connection import Connection
from wormux.hub.hub import Hub
from wormux.hub.lifecycle import PanePhase, SandboxPhase
from wormux.hub.pane import Pane
from wormux.hub.session import Session
from wormux.screen.in_process import LocalScreens
from wormux.screen.pool import ScreenPool
from wormux.screen.port import Screens
from wormux.server.counts import Counts, Histogram

Value = float | Histogram | Mapping[str, float] | Mapping[str, Histogram]
"""Of one metric; where it has a label, by the label's values."""

SESSION_STATES = ("starting", "waking", "awake", "busy", "stopping", "frozen", "asleep", "failed")
_STATES = {
    SandboxPhase.NEW: "starting",
    SandboxPhase.STARTING: "starting",
    SandboxPhase.FINDING: "waking",
    SandboxPhase.WAKING: "waking",
    SandboxPhase.AWAKE: "awake",
    SandboxPhase.STOPPING: "stopping",
    SandboxPhase.ASLEEP: "asleep",
    SandboxPhase.FAILED: "failed",
}


@dataclass
class Sources:
    """Where the numbers come from."""

    counts: Counts
    hub: Hub | None = None
    """None where another one stands in for it."""
    screens: Screens | None = None
    store_file: Path | None = None
    lag_max_s: Callable[[], float] = lambda: 0.0
    storing: Callable[[], bool] = lambda: True

    @property
    def panes(self) -> Iterable[Pane]:
        return self.hub.world.panes.values() if self.hub is not None else ()

    @property
    def sessions(self) -> Iterable[Session]:
        return self.hub.world.sessions.values() if self.hub is not None else ()

    @property
    def connections(self) -> Iterable[Connection]:
        return self.hub.world.connections.values() if self.hub is not None else ()

    @property
    def pool(self) -> ScreenPool | None:
        return self.screens if isinstance(self.screens, ScreenPool) else None


# --- Of the hub ----------------------------------------------------------------------------------------------


def panes(sources: Sources) -> Mapping[str, float]:
    """By status; each is there."""
    found = Counter(str(pane.phase.value) for pane in sources.panes)
    return {phase.value: float(found[phase.value]) for phase in PanePhase}


def session_state(session: Session, wall_ms: float) -> str:
    """One of `SESSION_STATES`."""
    state = _STATES[session.phase]
    if state == "awake" and (session.busy is not None or session.lease_until_ms > wall_ms):
        return "busy"
    return "frozen" if state == "asleep" and session.frozen else state


def sessions(sources: Sources) -> Mapping[str, float]:
    """By state; each is there."""
    found = Counter(session_state(session, 1000 * time.time()) for session in sources.sessions)
    return {state: float(found[state]) for state in SESSION_STATES}


def queued_bytes(sources: Sources) -> float:
    return float(sum(pane.queued_bytes for pane in sources.panes))


def inflight_bytes(sources: Sources) -> float:
    return float(sum(pane.inflight_bytes for pane in sources.panes))


def log_bytes(sources: Sources) -> float:
    return float(sum(pane.log.end - pane.log.start for pane in sources.panes))


def unsent_bytes(sources: Sources) -> float:
    return float(sum(connection.unsent for connection in sources.connections))


def unsent_max_bytes(sources: Sources) -> float:
    return float(max((connection.unsent for connection in sources.connections), default=0))


def behind(sources: Sources) -> float:
    return float(sum(any(view.behind for view in one.views.values()) for one in sources.connections))


def unsaved(sources: Sources) -> float:
    return 0.0 if sources.hub is None else float(sources.hub.unsaved)


def overtaken(sources: Sources) -> float:
    return 0.0 if sources.hub is None else float(sources.hub.world.overtaken)


def skipped_bytes(sources: Sources) -> float:
    return 0.0 if sources.hub is None else float(sources.hub.world.skipped_bytes)


# --- Of the store --------------------------------------------------------------------------------------------


def store_lag_s(sources: Sources) -> float:
    since_s = sources.counts.unsaved_since_s
    return 0.0 if since_s is None else time.monotonic() - since_s


def store_bytes(sources: Sources) -> float:
    return 0.0 if sources.store_file is None else float(store_size(sources.store_file))


def store_size(file: Path) -> int:
    """Bytes of the store's file and of those that belong to it."""
    total = 0
    for suffix in ("", "-wal", "-shm"):
        try:
            total += file.with_name(file.name + suffix).stat().st_size
        except OSError:
            continue
    return total


# --- Of the screens ------------------------------------------------------------------------------------------


def open_screens(sources: Sources) -> float:
    screens = sources.screens
    if isinstance(screens, LocalScreens):
        return float(len(screens))
    return float(screens.open_screens) if isinstance(screens, ScreenPool) else 0.0


def of_pool(read: Callable[[ScreenPool], float]) -> Callable[[Sources], float]:
    """Of the workers; 0 where there are none."""
    return lambda sources: 0.0 if sources.pool is None else float(read(sources.pool))


def resident_bytes(pids: Iterable[int]) -> int:
    """Memory of these processes, as far as they can be seen (Linux); what they share is counted in each."""
    total = 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith("VmRSS:"):
                total += 1024 * int(line.split()[1])
    return total
