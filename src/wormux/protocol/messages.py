"""Control messages between client and server, as strict tagged unions (protocol §3, §4).

Field names are the wire's in snake_case; the wire has them in camelCase. Types are checked here; ranges and
meaning (sizes, names, ids that exist) are the hub's, because they need its answer `invalid` or `not_found`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from wormux.errors import ErrorCode, Refusal
from wormux.ids import ClientId, PaneId, SandboxId, SessionId, TabId
from wormux.limits import REF_CHARS
from wormux.protocol.frames import CONTROL_CHANNEL, encode_frame

Orientation = Literal["horizontal", "vertical"]
Direction = Literal["left", "right", "up", "down"]
PaneStatus = Literal["starting", "connected", "asleep", "waking", "disconnected", "failed", "exited"]
SessionStatus = Literal["starting", "awake", "asleep", "waking", "failed"]
DiscardReason = Literal["expired", "closed", "asked", "program_gone", "uncertain"]


class Request(msgspec.Struct, frozen=True, rename="camel", tag_field="type", kw_only=True):
    """Client to server. `ref` is answered by exactly one `ok` or `error`."""

    ref: str | None = None


class Colors(msgspec.Struct, frozen=True):
    """The colours of the page's terminal, each "#rrggbb"."""

    foreground: str
    background: str
    cursor: str


class Connect(Request, frozen=True, tag="connect"):
    width: int
    height: int
    client_id: ClientId | None = None
    resume: dict[PaneId, int] = {}
    input: dict[PaneId, int] = {}
    flow: bool = False
    colors: Colors | None = None
    attempt: int | None = None
    """Rises with each connection of a client, so that one that was given up and arrives late is known."""


class ClientUpdate(Request, frozen=True, tag="client_update"):
    width: int | None = None
    height: int | None = None
    colors: Colors | None = None


class SessionCreate(Request, frozen=True, tag="session_create"):
    name: str
    provider: str | None = None
    cols: int | None = None
    rows: int | None = None


class SessionDestroy(Request, frozen=True, tag="session_destroy"):
    session_id: SessionId


class SessionRename(Request, frozen=True, tag="session_rename"):
    session_id: SessionId
    name: str


class SessionSleep(Request, frozen=True, tag="session_sleep"):
    session_id: SessionId
    force: bool = False
    stop: bool = False


class SessionLease(Request, frozen=True, tag="session_lease"):
    session_id: SessionId
    seconds: int
    reason: str | None = None


class TabCreate(Request, frozen=True, tag="tab_create"):
    session_id: SessionId
    name: str | None = None
    cols: int | None = None
    rows: int | None = None


class TabClose(Request, frozen=True, tag="tab_close"):
    tab_id: TabId


class TabRename(Request, frozen=True, tag="tab_rename"):
    tab_id: TabId
    name: str


class TabSwitch(Request, frozen=True, tag="tab_switch"):
    tab_id: TabId


class PaneSplit(Request, frozen=True, tag="pane_split"):
    pane_id: PaneId
    orientation: Orientation
    cols: int
    rows: int


class PaneClose(Request, frozen=True, tag="pane_close"):
    pane_id: PaneId


class PaneResize(Request, frozen=True, tag="pane_resize"):
    pane_id: PaneId
    cols: int
    rows: int


class PaneFocus(Request, frozen=True, tag="pane_focus"):
    """Exactly one of the two fields."""

    pane_id: PaneId | None = None
    direction: Direction | None = None


class PaneWake(Request, frozen=True, tag="pane_wake"):
    pane_id: PaneId


class PaneRedraw(Request, frozen=True, tag="pane_redraw"):
    pane_id: PaneId
    lines: int


class LayoutResize(Request, frozen=True, tag="layout_resize"):
    tab_id: TabId
    path: tuple[int, ...]
    ratios: tuple[float, ...]


class LayoutAck(Request, frozen=True, tag="layout_ack"):
    rev: int


class OutputAck(Request, frozen=True, tag="output_ack"):
    pane_id: PaneId
    position: int


class InputDiscard(Request, frozen=True, tag="input_discard"):
    pane_id: PaneId


class Ping(Request, frozen=True, tag="ping"):
    time: float


ClientMessage = (
    Connect | ClientUpdate | SessionCreate | SessionDestroy | SessionRename | SessionSleep | SessionLease
    | TabCreate | TabClose | TabRename | TabSwitch | PaneSplit | PaneClose | PaneResize | PaneFocus | PaneWake
    | PaneRedraw | LayoutResize | LayoutAck | OutputAck | InputDiscard | Ping
)  # fmt: skip


class PaneLeaf(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="pane"):
    """A leaf of a layout."""

    pane_id: PaneId


class Split(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="split"):
    """An inner node: two or more children, none of them a split of the same orientation."""

    orientation: Orientation
    children: tuple[Layout, ...]
    ratios: tuple[float, ...]
    """The children's shares: positive, summing to 1."""


Layout = PaneLeaf | Split


class SessionInfo(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    id: SessionId
    sandbox_id: SandboxId
    name: str
    created_at: int
    provider: str
    status: SessionStatus
    busy: str | None = None
    sleeps_at: int | None = None
    frozen: bool = False


class TabInfo(msgspec.Struct, frozen=True, rename="camel"):
    id: TabId
    session_id: SessionId
    name: str
    layout: Layout
    focus: PaneId


class ExitInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a pane's process ended: one of the two."""

    code: int | None = None
    signal: str | None = None


class PaneInfo(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    status: PaneStatus
    cols: int
    rows: int
    title: str
    queued: int
    """Input bytes of all clients that wait in the server."""
    cwd: str | None = None
    command: str | None = None
    reason: str | None = None
    retry_at: int | None = None
    exit: ExitInfo | None = None
    since: int | None = None
    """Without a terminal: when the last one ended."""


class Update(msgspec.Struct, frozen=True, rename="camel", tag_field="type"):
    """What `state` and `layout_update` share; `tabs`, `channels` and `connected` are always whole."""

    rev: int
    tabs: tuple[TabInfo, ...]
    active_tab: TabId | None
    channels: dict[PaneId, int]
    connected: dict[PaneId, bool]
    panes: dict[PaneId, PaneInfo]


class State(Update, frozen=True, kw_only=True, tag="state"):
    now: int
    sessions: tuple[SessionInfo, ...]
    input: dict[PaneId, int | None] | None


class LayoutUpdate(Update, frozen=True, kw_only=True, tag="layout_update"):
    sessions: tuple[SessionInfo, ...] | msgspec.UnsetType = msgspec.UNSET


class ServerMessage(msgspec.Struct, frozen=True, rename="camel", tag_field="type", kw_only=True):
    """Server to client, besides `State` and `LayoutUpdate`."""


class Replay(ServerMessage, frozen=True, tag="replay"):
    pane_id: PaneId
    channel: int
    position: int
    bytes: int
    reset: bool
    skipped: int
    cols: int
    rows: int
    above: int | msgspec.UnsetType = msgspec.UNSET
    """With `reset`: how many lines of scrollback there are beyond those in the redraw."""


class Resized(ServerMessage, frozen=True, tag="resized"):
    pane_id: PaneId
    channel: int
    position: int
    cols: int
    rows: int


class InputAck(ServerMessage, frozen=True, tag="input_ack"):
    pane_id: PaneId
    position: int


class InputDiscarded(ServerMessage, frozen=True, tag="input_discarded"):
    """Input bytes `from_`..`to` of this client will never reach the pane's terminal."""

    pane_id: PaneId
    from_: int = msgspec.field(name="from")
    to: int
    reason: DiscardReason


class Made(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a request made."""

    session_id: SessionId | None = None
    tab_id: TabId | None = None
    pane_id: PaneId | None = None


class Ok(ServerMessage, frozen=True, tag="ok"):
    ref: str
    result: Made | msgspec.UnsetType = msgspec.UNSET


class Error(ServerMessage, frozen=True, tag="error"):
    code: ErrorCode
    message: str
    request: str | None
    """The type of the request; "input" for terminal bytes; null if it could not be read."""
    ref: str | msgspec.UnsetType = msgspec.UNSET


class Pong(ServerMessage, frozen=True, tag="pong"):
    time: float
    now: int


AnyServerMessage = State | LayoutUpdate | Replay | Resized | InputAck | InputDiscarded | Ok | Error | Pong

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ClientMessage)


class _Envelope(msgspec.Struct):
    """As much of an unreadable message as its answer needs."""

    type: object = None
    ref: object = None


_envelope_decoder = msgspec.json.Decoder(_Envelope)
REQUEST_TYPES = frozenset(str(member.__struct_config__.tag) for member in ClientMessage.__args__)


class Unreadable(Refusal):
    """A control message that could not be decoded, with what its answer needs."""

    def __init__(self, code: ErrorCode, message: str, request: str | None, ref: str | None) -> None:
        super().__init__(code, message)
        self.request = request
        self.ref = ref


def decode_client_message(payload: bytes) -> ClientMessage:
    """The request in a control frame's payload. Raises `Unreadable` (`bad_message` or `unknown_type`)."""
    try:
        message: ClientMessage = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(payload, error) from error
    if message.ref is not None and len(message.ref) > REF_CHARS:
        raise Unreadable(
            ErrorCode.BAD_MESSAGE, f"A ref has at most {REF_CHARS} characters.", request_type(message), None
        )
    return message


def request_type(message: ClientMessage) -> str:
    """The `type` of a request on the wire."""
    return str(message.__struct_config__.tag)


def encode_control(message: AnyServerMessage) -> bytes:
    """A whole control frame."""
    return encode_frame(CONTROL_CHANNEL, _encoder.encode(message))


def _unreadable(payload: bytes, error: Exception) -> Unreadable:
    try:
        envelope = _envelope_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Unreadable(ErrorCode.BAD_MESSAGE, "The message is not a JSON object with a type.", None, None)
    ref = envelope.ref if isinstance(envelope.ref, str) and len(envelope.ref) <= REF_CHARS else None
    if not isinstance(envelope.type, str):
        return Unreadable(ErrorCode.BAD_MESSAGE, "The message has no type.", None, ref)
    if envelope.type not in REQUEST_TYPES:
        return Unreadable(
            ErrorCode.UNKNOWN_TYPE, "This server does not know this type of message.", None, ref
        )
    return Unreadable(ErrorCode.BAD_MESSAGE, f"A field is wrong: {error}.", envelope.type, ref)
