"""Everything that can happen to a hub. A log of these, with their moments, is a replay of a bug."""

from __future__ import annotations

from dataclasses import dataclass

from wormux.ids import ConnectionId, PaneId, SandboxId
from wormux.protocol.agent_link import (
    Busy,
    Ended,
    Foreground,
    InputAck,
    Opened,
    Output,
    Ready,
    Refused,
    SizeMark,
    Stopped,
    Welcome,
)
from wormux.protocol.screen_link import ScreenEvent


@dataclass(frozen=True, slots=True)
class Moment:
    """The outside world at one step."""

    mono_s: float
    """Monotonic clock: everything that waits is measured on it."""
    wall_ms: int
    """Milliseconds since 1970: everything that people or the store see."""
    utc_offset_s: int
    """Of the server's time zone now, east positive, for times in text."""
    entropy: int
    """64 fresh random bits: ids and jitter are derived from it."""


@dataclass(frozen=True, slots=True)
class ClientConnected:
    """A WebSocket was accepted and authenticated."""

    connection_id: ConnectionId


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """One binary message of a client, as it came: never over `limits.FRAME_BYTES`, perhaps empty."""

    connection_id: ConnectionId
    frame: bytes


@dataclass(frozen=True, slots=True)
class FramesSent:
    """The socket took `count` bytes of frames that were not urgent."""

    connection_id: ConnectionId
    count: int


@dataclass(frozen=True, slots=True)
class ClientGone:
    """The WebSocket is closed, by whichever side."""

    connection_id: ConnectionId


@dataclass(frozen=True, slots=True)
class TerminalLost:
    """The link to a terminal broke, or never came to be."""

    reason: str
    dead: bool = False
    """No process is left behind it, as far as is known."""


@dataclass(frozen=True, slots=True)
class InputUncertain:
    """What of this client's input before `position` is in flight may have been taken or not: nobody will know."""

    client_key: str
    position: int


@dataclass(frozen=True, slots=True)
class TerminalInput:
    """Something about one terminal. An event of an old generation changes nothing."""

    pane_id: PaneId
    generation: int
    event: (
        Opened
        | Refused
        | Output
        | SizeMark
        | Ready
        | InputAck
        | InputUncertain
        | Foreground
        | Ended
        | TerminalLost
    )


@dataclass(frozen=True, slots=True)
class ScreenInput:
    """Something about one screen. An event of an old epoch changes nothing."""

    pane_id: PaneId
    epoch: int
    event: ScreenEvent


@dataclass(frozen=True, slots=True)
class SandboxAwake:
    """`WakeSandbox` or `FindSandbox` succeeded."""

    welcome: Welcome


@dataclass(frozen=True, slots=True)
class SandboxMissing:
    """`FindSandbox`: it does not run."""


@dataclass(frozen=True, slots=True)
class SandboxFailed:
    """`WakeSandbox` or `FindSandbox` failed."""

    reason: str


@dataclass(frozen=True, slots=True)
class SandboxLost:
    """The link to an awake sandbox broke."""

    reason: str


@dataclass(frozen=True, slots=True)
class SandboxFrozen:
    """It sleeps, or was found asleep, and its terminals may outlast that. Nothing more comes of them until they are
    attached to again."""


@dataclass(frozen=True, slots=True)
class SandboxDestroyed:
    """Its processes and files are gone."""


@dataclass(frozen=True, slots=True)
class SandboxInput:
    """Something about one sandbox. `Refused`, `Stopped` and `SandboxFrozen` answer `StopSandbox`, `Refused` and
    `SandboxFrozen` answer `FreezeSandbox`."""

    sandbox_id: SandboxId
    event: (
        SandboxAwake
        | SandboxMissing
        | SandboxFailed
        | SandboxLost
        | SandboxFrozen
        | SandboxDestroyed
        | Busy
        | Refused
        | Stopped
    )


@dataclass(frozen=True, slots=True)
class Saved:
    """The change of a `Save` effect is in the store."""

    save_id: int


@dataclass(frozen=True, slots=True)
class SaveFailed:
    """The change of a `Save` effect is not in the store, nothing of it."""

    save_id: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The moment that the last `SetTimer` named has come."""


@dataclass(frozen=True, slots=True)
class ServerStopping:
    """The server is about to stop: clients are told, everything unsaved is saved."""


Input = (
    ClientConnected | FrameReceived | FramesSent | ClientGone | TerminalInput | ScreenInput
    | SandboxInput
    | Saved | SaveFailed | TimerFired | ServerStopping
)  # fmt: skip
