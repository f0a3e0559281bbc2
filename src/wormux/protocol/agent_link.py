"""The link between the server and an agent: frames over a unix socket, on the standard library alone.

The server opens one connection per pane, and one control connection per sandbox, so that backpressure is the
kernel's and per pane. Each side first sends a hello; then frames follow in both directions:

    byte 0       kind (`Kind`)
    bytes 1..4   length of the payload, big-endian
    bytes 5..n   payload: JSON (UTF-8) for most kinds, raw bytes for OUTPUT, a small header and bytes for INPUT and
                 ANSWER

Connection of a pane
    server: HELLO {"version", "role": "pane"}, then OPEN or ATTACH, once; then INPUT, RESIZE, CLOSE, FORGET,
            and ANSWER if OPENED has `answered`
    agent:  OPENED or REFUSED; then OUTPUT, RESIZED, READY, INPUT_ACK, FOREGROUND in the order of events; at the
            end of the terminal ENDED, after all its output
Control connection
    server: HELLO {"version", "role": "control"}; SLEEP {"force"}, FORGET {"paneId"}, CLOSE {"paneId"},
            and FREEZE {"force"} if WELCOME has `freezes`
    agent:  WELCOME {...} with all terminals; BUSY whenever it changed; STOPPED or REFUSED in answer to SLEEP,
            FREEZABLE or REFUSED in answer to FREEZE

The agent's end is untrusted input to the server: `decode` checks every field and raises `ValueError` with a
sentence. Runs on Python 3.9.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Optional, Union, get_args, get_origin, get_type_hints

from wormux.limits import (
    ANSWERS_UNWRITTEN_BYTES,
    LARGEST_POSITION,
    LINK_FRAME_BYTES,
    LINK_INPUT_BYTES,
    LINK_OUTPUT_BYTES,
)

VERSION = 1

HEADER = struct.Struct("!BI")
"""Kind and length of a frame."""
_INPUT_HEAD = struct.Struct("!QB")
"""Position and length of the client's id, before the id and the bytes."""
_ANSWER_HEAD = struct.Struct("!Q")
"""Position, before the bytes."""
_LARGEST = LARGEST_POSITION
"""No count, size or position is larger, or below 0: what comes here is stored, and told to pages."""


class Kind(IntEnum):
    """What a frame is. Numbers are never used again for something else."""

    HELLO = 1
    OPEN = 2
    ATTACH = 3
    INPUT = 4
    RESIZE = 5
    CLOSE = 6
    SLEEP = 7
    FORGET = 8
    ANSWER = 9
    FREEZE = 10
    WELCOME = 32
    OPENED = 33
    REFUSED = 34
    OUTPUT = 35
    RESIZED = 36
    READY = 37
    INPUT_ACK = 38
    FOREGROUND = 39
    ENDED = 40
    BUSY = 41
    STOPPED = 42
    FREEZABLE = 43


@dataclass(frozen=True)
class Hello:
    """The first frame of a connection, from the server."""

    role: str
    """"pane" or "control"."""
    version: int = VERSION


@dataclass(frozen=True)
class Open:
    """Start a shell on a new PTY for a pane. Answered by `Opened`, or `Refused` with the reason."""

    pane_id: str
    generation: int
    """Counts the ptys of a pane. A newer one ends what the agent has for the pane; the same one, if it lives, is
    attached (the answer to the first try was lost); anything else is refused."""
    cols: int
    rows: int
    position: int
    """The number of the pane's next output byte: the preamble's first, or the terminal's."""
    preamble: bytes
    """Logged (and so numbered and sent) before the terminal's own output; never given to the shell."""
    argv: tuple[str, ...]
    """The program; empty for the user's login shell."""
    cwd: Optional[str] = None
    """Where it starts; if that is gone, the nearest parent that exists."""
    env: dict[str, str] = field(default_factory=dict)
    """Set on top of the agent's environment."""
    beside: Optional[str] = None
    """A pane in whose directory it starts, if that has a terminal here; `cwd` may be a moment old."""


@dataclass(frozen=True)
class Attach:
    """Take up a terminal that lives (or has ended) at this agent. Answered by `Opened` or `Refused`."""

    pane_id: str
    generation: int
    position: int
    """The next output byte that the server wants; 0 for all that is kept."""


@dataclass(frozen=True)
class Resize:
    """Set the terminal's size; RESIZED says from which output byte on it holds. The size that it has already
    makes the program repaint (SIGWINCH)."""

    cols: int
    rows: int


@dataclass(frozen=True)
class Input:
    """Bytes of one client for the terminal."""

    client_id: str
    position: int
    """Of the first byte in this client's input stream to this pane. Bytes below the position that the agent has
    already taken are left out; a position past it starts there (what lies between was discarded by the server)."""
    data: bytes


@dataclass(frozen=True)
class Answer:
    """What the terminal answers to the queries in the output before `position`. Left out if the agent took one of
    this position or a later one before; not acknowledged."""

    position: int
    data: bytes
    """At most `limits.ANSWERS_UNWRITTEN_BYTES`; empty for queries that get no answer any more."""


@dataclass(frozen=True)
class Sleep:
    """Stop: end every terminal and the agent itself, unless something is busy and `force` is false."""

    force: bool


@dataclass(frozen=True)
class Freeze:
    """Somebody outside wants to freeze every process of the sandbox, the agent included. Answered by `Freezable`, or by
    `Refused` if something is busy and `force` is false."""

    force: bool


@dataclass(frozen=True)
class SizeMark:
    """The output from `position` on was written for this size."""

    position: int
    cols: int
    rows: int


@dataclass(frozen=True)
class Exit:
    """How a terminal's process ended: exactly one of `code` and `signal`, or neither where it cannot be known."""

    code: Optional[int] = None
    signal: Optional[str] = None
    """Its name, like "SIGKILL"."""
    asleep: bool = False
    """It was ended by `Sleep`."""
    oom: bool = False
    """The kernel killed it for want of memory."""
    ran_s: float = 0.0
    """From its start to its end."""


@dataclass(frozen=True)
class TerminalInfo:
    """One terminal that an agent holds, in `Welcome`."""

    pane_id: str
    generation: int
    start: int
    """Position of the oldest byte kept."""
    end: int
    """Position of the next byte."""
    exit: Optional[Exit]
    """None while it lives."""


@dataclass(frozen=True)
class Welcome:
    """The first frame of a control connection, from the agent."""

    version: int
    pid: int
    terminals: tuple[TerminalInfo, ...]
    busy: Optional[str]
    freezes: bool = False
    """It knows FREEZE."""


@dataclass(frozen=True)
class Opened:
    """A terminal stands behind this connection from here on."""

    pid: int
    position: int
    """Of the first byte in the next OUTPUT frame: as asked for, or later if that is no longer kept, or `end` if
    the terminal has not come as far."""
    end: int
    """Of the next byte that the terminal will write; what lies between is on its way."""
    ready: bool
    """The shell has been seen ready to read; if not, READY follows."""
    inputs: dict[str, int]
    """Client id to the position up to which its input was taken: handed to the terminal or about to be."""
    sizes: tuple[SizeMark, ...]
    """The size in force at `position`, as the one mark at or before it; later ones follow as RESIZED in their
    place."""
    answered: Optional[int] = None
    """Queries in the output before this position were answered, those after it are still to be. None from an agent
    that takes no ANSWER: it would close the connection."""


@dataclass(frozen=True)
class Refused:
    """The request was not carried out."""

    reason: str
    """A sentence for the person at the pane."""
    gone: bool = False
    """ATTACH: no such terminal here."""


@dataclass(frozen=True)
class InputAck:
    """All of this client's input before `position` has been handed to the terminal, once and in order."""

    client_id: str
    position: int


@dataclass(frozen=True)
class Foreground:
    """What runs in the terminal. Sent when it changed."""

    command: Optional[str]
    """Name of the foreground program; None if unknown."""
    is_shell: bool
    """The foreground program is the pane's own shell."""
    cwd: Optional[str]
    """Its working directory; None if unknown."""


@dataclass(frozen=True)
class Ended:
    """The terminal is over and all its output was sent. The agent forgets it once it got FORGET."""

    exit: Exit
    position: int
    """Of the byte after the last."""
    inputs: dict[str, int]
    """Client id to the position up to which its input was handed to the terminal, as in the last `InputAck`: what
    was taken beyond that is lost. To be stored, since the agent forgets it."""


@dataclass(frozen=True)
class Busy:
    """Something that sleep would break, or None."""

    sentence: Optional[str]
    """What runs, like "vim" or "make and 3 more"; the server adds in which pane."""
    pane_id: Optional[str] = None
    """The pane it belongs to, if that is known."""


@dataclass(frozen=True)
class Stopped:
    """The answer to SLEEP: every terminal was ended, and so is the agent after this frame."""


@dataclass(frozen=True)
class Freezable:
    """The answer to FREEZE: nothing that runs would be broken by standing still, or that was forced."""


@dataclass(frozen=True)
class Ready:
    """The fresh shell is ready to read."""


@dataclass(frozen=True)
class Close:
    """End the terminal (SIGHUP, then SIGKILL) and forget it. On a control connection, `pane_id` names it."""

    pane_id: Optional[str] = None


@dataclass(frozen=True)
class Forget:
    """The server has stored what it needs of a terminal that ended."""

    pane_id: str


@dataclass(frozen=True)
class Output:
    """Raw bytes that the terminal wrote, at most `limits.LINK_OUTPUT_BYTES`; their positions follow from OPENED."""

    data: bytes


Message = Union[
    Hello, Open, Attach, Input, Resize, Close, Sleep, Forget, Welcome, Opened, Refused, Output, SizeMark, Ready,
    InputAck, Foreground, Ended, Busy, Stopped, Answer, Freeze, Freezable,
]  # fmt: skip

_TYPES: dict[Kind, type[Any]] = {
    Kind.HELLO: Hello, Kind.OPEN: Open, Kind.ATTACH: Attach, Kind.INPUT: Input, Kind.RESIZE: Resize,
    Kind.CLOSE: Close, Kind.SLEEP: Sleep, Kind.FORGET: Forget, Kind.WELCOME: Welcome, Kind.OPENED: Opened,
    Kind.REFUSED: Refused, Kind.OUTPUT: Output, Kind.RESIZED: SizeMark, Kind.READY: Ready,
    Kind.INPUT_ACK: InputAck, Kind.FOREGROUND: Foreground, Kind.ENDED: Ended, Kind.BUSY: Busy,
    Kind.STOPPED: Stopped, Kind.ANSWER: Answer, Kind.FREEZE: Freeze, Kind.FREEZABLE: Freezable,
}  # fmt: skip
_KINDS = {kind_type: kind for kind, kind_type in _TYPES.items()}


def encode(message: Message) -> bytes:
    """A whole frame. Raises `ValueError` if a peer would not accept it."""
    if isinstance(message, Output):
        payload = message.data
    elif isinstance(message, Input):
        payload = _encode_input(message)
    elif isinstance(message, Answer):
        payload = _encode_answer(message)
    else:
        payload = json.dumps(_to_json(message), ensure_ascii=False, separators=(",", ":")).encode()
    if len(payload) > LINK_FRAME_BYTES:
        raise ValueError(f"A {type(message).__name__} of {len(payload)} bytes does not fit into a frame.")
    return HEADER.pack(_KINDS[type(message)], len(payload)) + payload


def decode(kind: int, payload: bytes) -> Message:
    """The message of a frame's kind and payload. Raises `ValueError` with a sentence for anything malformed."""
    message_type = _TYPES.get(kind)  # type: ignore[call-overload]
    if message_type is None:
        raise ValueError(f"Frame kind {kind} is unknown.")
    if message_type is Output:
        if len(payload) > LINK_OUTPUT_BYTES:
            raise ValueError(f"An Output frame of {len(payload)} bytes is more than a peer may send.")
        return Output(payload)
    if message_type is Input:
        return _decode_input(payload)
    if message_type is Answer:
        return _decode_answer(payload)
    try:
        value = json.loads(payload.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The {message_type.__name__} frame is not JSON.") from error
    message: Message = _from_json(message_type, value, message_type.__name__)
    return message


class FrameReader:
    """Cuts a byte stream into messages, however it arrives in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: Union[bytes, memoryview]) -> Iterator[Message]:
        """All messages that are whole now. Raises `ValueError` for a broken peer; the stream is over then."""
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= HEADER.size:
                kind, length = HEADER.unpack_from(buffer, start)
                if length > LINK_FRAME_BYTES:
                    raise ValueError(f"A frame of {length} bytes is more than a peer may send.")
                end = start + HEADER.size + length
                if len(buffer) < end:
                    break
                payload = bytes(memoryview(buffer)[start + HEADER.size : end])
                start = end
                yield decode(kind, payload)
        finally:
            del buffer[:start]


def _encode_input(message: Input) -> bytes:
    client_id = message.client_id.encode()
    if len(client_id) > 255 or not 0 <= message.position <= _LARGEST or len(message.data) > LINK_INPUT_BYTES:
        raise ValueError("The client id, position or length of an Input is out of bounds.")
    return _INPUT_HEAD.pack(message.position, len(client_id)) + client_id + message.data


def _decode_input(payload: bytes) -> Input:
    if len(payload) < _INPUT_HEAD.size:
        raise ValueError("The Input frame is shorter than its head.")
    position, id_length = _INPUT_HEAD.unpack_from(payload)
    data_start = _INPUT_HEAD.size + id_length
    if len(payload) < data_start:
        raise ValueError("The Input frame is shorter than its client id.")
    if position > _LARGEST or len(payload) - data_start > LINK_INPUT_BYTES:
        raise ValueError("The Input frame's position or length is out of bounds.")
    try:
        client_id = payload[_INPUT_HEAD.size : data_start].decode()
    except UnicodeDecodeError as error:
        raise ValueError("The Input frame's client id is not UTF-8.") from error
    return Input(client_id, position, payload[data_start:])


def _encode_answer(message: Answer) -> bytes:
    if not 0 <= message.position <= _LARGEST or len(message.data) > ANSWERS_UNWRITTEN_BYTES:
        raise ValueError("The position or length of an Answer is out of bounds.")
    return _ANSWER_HEAD.pack(message.position) + message.data


def _decode_answer(payload: bytes) -> Answer:
    if len(payload) < _ANSWER_HEAD.size:
        raise ValueError("The Answer frame is shorter than its head.")
    (position,) = _ANSWER_HEAD.unpack_from(payload)
    if position > _LARGEST or len(payload) - _ANSWER_HEAD.size > ANSWERS_UNWRITTEN_BYTES:
        raise ValueError("The Answer frame's position or length is out of bounds.")
    return Answer(position, payload[_ANSWER_HEAD.size :])


def _to_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (tuple, list)):
        return [_to_json(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _to_json(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


_HINTS: dict[type[Any], dict[str, Any]] = {}


def _from_json(expected: Any, value: Any, where: str) -> Any:
    """`value` as the type `expected` says; unknown fields are ignored, missing ones take their default."""
    origin = get_origin(expected)
    if origin is Union:  # Optional[X] is the only union used
        return None if value is None else _from_json(get_args(expected)[0], value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_from_json(get_args(expected)[0], item, where) for item in value)
    if origin is dict and isinstance(value, dict):
        item_type = get_args(expected)[1]
        return {
            _from_json(str, key, where): _from_json(item_type, item, where) for key, item in value.items()
        }
    if hasattr(expected, "__dataclass_fields__") and isinstance(value, dict):
        return _dataclass_from_json(expected, value, where)
    if expected is bytes and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except ValueError as error:
            raise ValueError(f"{where} is not base64.") from error
    if expected is float and type(value) in (int, float) and 0 <= value <= _LARGEST and math.isfinite(value):
        return float(value)
    if expected is int and type(value) is int and 0 <= value <= _LARGEST:
        return value
    if expected is bool and type(value) is bool:
        return value
    if expected is str and isinstance(value, str) and not _has_surrogate(value):
        return value
    raise ValueError(f"{where} is not what it should be.")


def _dataclass_from_json(expected: Any, value: dict[str, Any], where: str) -> Any:
    hints = _HINTS.get(expected)
    if hints is None:
        hints = _HINTS[expected] = get_type_hints(expected)
    known = {
        name: _from_json(hint, value[name], f"{where}.{name}")
        for name, hint in hints.items()
        if name in value
    }
    try:
        return expected(**known)
    except TypeError as error:
        raise ValueError(f"{where} lacks a field.") from error


def _has_surrogate(text: str) -> bool:
    """JSON can write half of a character, which no UTF-8 can carry further."""
    return any("\ud800" <= char <= "\udfff" for char in text)
