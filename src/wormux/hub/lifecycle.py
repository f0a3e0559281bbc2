"""The life cycles of panes and sandboxes, as tables. Nothing else decides what may follow what.

A transition that is not in its table is a bug of ours and raises `InternalError`.
"""

from __future__ import annotations

from enum import StrEnum

from wormux.errors import InternalError


class PanePhase(StrEnum):
    """A pane's status on the wire (protocol, "Pane status"). CONNECTED exactly while it has a live terminal."""

    STARTING = "starting"
    CONNECTED = "connected"
    ASLEEP = "asleep"
    WAKING = "waking"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    EXITED = "exited"


class PaneEvent(StrEnum):
    WOKEN = "woken"
    """A key asked for a terminal."""
    OPENED = "opened"
    ATTEMPT_FAILED = "attempt failed"
    GAVE_UP = "gave up"
    """The last attempt of a round failed."""
    SLEPT = "slept"
    FROZEN = "frozen"
    """It sleeps, and its terminal with it: it may be as it was once the sandbox wakes."""
    LOST = "lost"
    """The terminal is gone, or out of reach, and nobody asked for that."""
    ENDED = "ended"
    """The terminal's process ended."""


PANE_TABLE: dict[PanePhase, dict[PaneEvent, PanePhase]] = {
    PanePhase.STARTING: {
        PaneEvent.WOKEN: PanePhase.STARTING,
        PaneEvent.OPENED: PanePhase.CONNECTED,
        PaneEvent.ATTEMPT_FAILED: PanePhase.DISCONNECTED,
        PaneEvent.GAVE_UP: PanePhase.FAILED,
        PaneEvent.SLEPT: PanePhase.ASLEEP,
        PaneEvent.FROZEN: PanePhase.ASLEEP,
        PaneEvent.ENDED: PanePhase.EXITED,
    },
    PanePhase.CONNECTED: {
        PaneEvent.SLEPT: PanePhase.ASLEEP,
        PaneEvent.FROZEN: PanePhase.ASLEEP,
        PaneEvent.LOST: PanePhase.DISCONNECTED,
        PaneEvent.ENDED: PanePhase.EXITED,
    },
    PanePhase.ASLEEP: {PaneEvent.WOKEN: PanePhase.WAKING, PaneEvent.SLEPT: PanePhase.ASLEEP},
    PanePhase.WAKING: {
        PaneEvent.WOKEN: PanePhase.WAKING,
        PaneEvent.OPENED: PanePhase.CONNECTED,
        PaneEvent.ATTEMPT_FAILED: PanePhase.DISCONNECTED,
        PaneEvent.GAVE_UP: PanePhase.FAILED,
        PaneEvent.SLEPT: PanePhase.ASLEEP,
        PaneEvent.FROZEN: PanePhase.ASLEEP,
        PaneEvent.ENDED: PanePhase.EXITED,
    },
    PanePhase.DISCONNECTED: {
        # An attempt by itself does not show; one that a key asked for does.
        PaneEvent.WOKEN: PanePhase.WAKING,
        PaneEvent.OPENED: PanePhase.CONNECTED,
        PaneEvent.ATTEMPT_FAILED: PanePhase.DISCONNECTED,
        PaneEvent.GAVE_UP: PanePhase.FAILED,
        PaneEvent.SLEPT: PanePhase.ASLEEP,
        PaneEvent.FROZEN: PanePhase.ASLEEP,
        PaneEvent.ENDED: PanePhase.EXITED,
    },
    PanePhase.FAILED: {PaneEvent.WOKEN: PanePhase.WAKING, PaneEvent.SLEPT: PanePhase.ASLEEP},
    PanePhase.EXITED: {PaneEvent.WOKEN: PanePhase.WAKING},
}


class SandboxPhase(StrEnum):
    """Where a session's sandbox stands, as far as the hub knows."""

    NEW = "new"
    """Never started."""
    STARTING = "starting"
    ASLEEP = "asleep"
    FINDING = "finding"
    """The provider is asked whether it runs."""
    WAKING = "waking"
    AWAKE = "awake"
    STOPPING = "stopping"
    FAILED = "failed"
    """The last attempt to start or find it failed, or the link to it broke."""


class SandboxEvent(StrEnum):
    WAKE = "wake"
    FIND = "find"
    AWAKE = "awake"
    MISSING = "missing"
    FAILED = "failed"
    LOST = "lost"
    STOP = "stop"
    REFUSED = "refused"
    STOPPED = "stopped"
    FROZEN = "frozen"
    """It sleeps with all that it has in memory."""


SANDBOX_TABLE: dict[SandboxPhase, dict[SandboxEvent, SandboxPhase]] = {
    SandboxPhase.NEW: {SandboxEvent.WAKE: SandboxPhase.STARTING, SandboxEvent.FIND: SandboxPhase.FINDING},
    SandboxPhase.STARTING: {
        SandboxEvent.AWAKE: SandboxPhase.AWAKE,
        SandboxEvent.FAILED: SandboxPhase.FAILED,
    },
    SandboxPhase.ASLEEP: {SandboxEvent.WAKE: SandboxPhase.WAKING, SandboxEvent.FIND: SandboxPhase.FINDING},
    SandboxPhase.FINDING: {
        SandboxEvent.AWAKE: SandboxPhase.AWAKE,
        SandboxEvent.MISSING: SandboxPhase.ASLEEP,
        SandboxEvent.FROZEN: SandboxPhase.ASLEEP,
        SandboxEvent.FAILED: SandboxPhase.FAILED,
    },
    SandboxPhase.WAKING: {
        SandboxEvent.AWAKE: SandboxPhase.AWAKE,
        SandboxEvent.FAILED: SandboxPhase.FAILED,
    },
    SandboxPhase.AWAKE: {
        SandboxEvent.STOP: SandboxPhase.STOPPING,
        SandboxEvent.FROZEN: SandboxPhase.ASLEEP,
        SandboxEvent.LOST: SandboxPhase.FAILED,
    },
    SandboxPhase.STOPPING: {
        SandboxEvent.REFUSED: SandboxPhase.AWAKE,
        SandboxEvent.STOPPED: SandboxPhase.ASLEEP,
        SandboxEvent.FROZEN: SandboxPhase.ASLEEP,
        SandboxEvent.LOST: SandboxPhase.FAILED,
    },
    SandboxPhase.FAILED: {SandboxEvent.WAKE: SandboxPhase.WAKING, SandboxEvent.FIND: SandboxPhase.FINDING},
}


def next_pane_phase(phase: PanePhase, event: PaneEvent) -> PanePhase:
    """Where `event` takes a pane in `phase`."""
    try:
        return PANE_TABLE[phase][event]
    except KeyError:
        raise InternalError(f"A pane that is {phase} cannot be {event}.") from None


def next_sandbox_phase(phase: SandboxPhase, event: SandboxEvent) -> SandboxPhase:
    """Where `event` takes a sandbox in `phase`."""
    try:
        return SANDBOX_TABLE[phase][event]
    except KeyError:
        raise InternalError(f"A sandbox that is {phase} cannot see {event}.") from None
