"""Everything that a hub can want. The driver carries effects out in order and feeds back what came of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wormux.ids import Channel, ClientId, ConnectionId, PaneId, SandboxId, SessionId, TabId
from wormux.protocol.agent_link import Attach, Input, Open
from wormux.protocol.screen_link import ScreenRequest
from wormux.records import Change


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Urgent frames go before all others that wait, in their own order; the rest is counted by `FramesSent`."""

    connection_id: ConnectionId
    frame: bytes
    urgent: bool


@dataclass(frozen=True, slots=True)
class DropUnsent:
    """Forget the frames of this channel that wait for the socket, and count them as sent. A `replay` or `resized`
    of the channel among them may still be sent: its pane is closed, so nobody reads it."""

    connection_id: ConnectionId
    channel: Channel


@dataclass(frozen=True, slots=True)
class CloseClient:
    """Send what is urgent, then close. `ClientGone` follows."""

    connection_id: ConnectionId
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class WakeSandbox:
    """Answered by `SandboxAwake` or `SandboxFailed`."""

    sandbox_id: SandboxId
    provider: str


@dataclass(frozen=True, slots=True)
class FindSandbox:
    """Answered by `SandboxAwake`, `SandboxFrozen`, `SandboxMissing` or `SandboxFailed`."""

    sandbox_id: SandboxId
    provider: str


@dataclass(frozen=True, slots=True)
class StopSandbox:
    """Answered by `Stopped`, `SandboxFrozen`, `Refused` or `SandboxLost`."""

    sandbox_id: SandboxId
    force: bool


@dataclass(frozen=True, slots=True)
class FreezeSandbox:
    """Answered by `SandboxFrozen`, `Refused` or `SandboxLost`."""

    sandbox_id: SandboxId
    force: bool


@dataclass(frozen=True, slots=True)
class DestroySandbox:
    """Answered by `SandboxDestroyed` or `SandboxFailed`; waits for a start under way."""

    sandbox_id: SandboxId
    provider: str


@dataclass(frozen=True, slots=True)
class OpenTerminal:
    """Answered by `Opened`, `Refused` or `TerminalLost`; sooner or later `Ended` or `TerminalLost` follows."""

    sandbox_id: SandboxId
    request: Open | Attach


@dataclass(frozen=True, slots=True)
class WriteTerminal:
    pane_id: PaneId
    generation: int
    input: Input


@dataclass(frozen=True, slots=True)
class ResizeTerminal:
    pane_id: PaneId
    generation: int
    cols: int
    rows: int


@dataclass(frozen=True, slots=True)
class AnswerTerminal:
    """What the terminal answers to the queries in its output before `position`."""

    pane_id: PaneId
    generation: int
    position: int
    data: bytes


@dataclass(frozen=True, slots=True)
class HoldTerminal:
    """While held, its output is not read: the program waits."""

    pane_id: PaneId
    generation: int
    held: bool


@dataclass(frozen=True, slots=True)
class CloseTerminal:
    """End it, wherever its opening stands, also if only the sandbox knows of it. No event comes after this."""

    sandbox_id: SandboxId
    pane_id: PaneId
    generation: int


@dataclass(frozen=True, slots=True)
class ForgetTerminal:
    """After `Ended`: what is needed of it is in the store."""

    pane_id: PaneId
    generation: int


@dataclass(frozen=True, slots=True)
class TellScreen:
    """Answered by `ScreenInput`s of the same epoch. An epoch begins with `OpenScreen`."""

    pane_id: PaneId
    epoch: int
    request: ScreenRequest


@dataclass(frozen=True, slots=True)
class Save:
    """Answered by `Saved` or `SaveFailed`. Saves are carried out in the order of their effects."""

    save_id: int
    change: Change


@dataclass(frozen=True, slots=True)
class SetTimer:
    """`TimerFired` is wanted when the monotonic clock reaches `at_s`. Replaces the one before; None: none."""

    at_s: float | None


class Deed(StrEnum):
    """What the audit log tells of clients, by the words that it has for it."""

    ATTACH = "attach"
    DETACH = "detach"
    TAKE_OVER = "take_over"
    SESSION_CREATE = "session_create"
    SESSION_DESTROY = "session_destroy"
    SESSION_SLEEP = "session_sleep"
    TAB_CREATE = "tab_create"
    TAB_CLOSE = "tab_close"
    PANE_CREATE = "pane_create"
    PANE_CLOSE = "pane_close"


@dataclass(frozen=True, slots=True)
class Note:
    """For the audit log: who did what. Never anything that a terminal shows or takes."""

    deed: Deed
    connection_id: ConnectionId | None
    """None: it came about by itself, as when a shell ends."""
    client_id: ClientId | None = None
    session_id: SessionId | None = None
    tab_id: TabId | None = None
    pane_id: PaneId | None = None
    name: str | None = None
    """Of the session or the tab."""


Effect = (
    SendFrame | DropUnsent | CloseClient | WakeSandbox | FindSandbox | StopSandbox | FreezeSandbox
    | DestroySandbox | OpenTerminal | WriteTerminal | ResizeTerminal | AnswerTerminal | HoldTerminal | CloseTerminal
    | ForgetTerminal | TellScreen | Save | SetTimer | Note
)  # fmt: skip
