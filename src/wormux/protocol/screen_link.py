"""What a server and its screens say to each other: the link to a worker process, and what the hub asks for.

Each pane that needs one has a screen, fed with the pane's output in order and numbered as that is. A frame is a
32-bit big-endian length and so many bytes of msgpack, an array of two: the number of the screen, which the server
gave it and never gives again, and one message. `decode_*` hold both ends to these types: a worker that runs C code
on what programs wrote is untrusted.
"""

from __future__ import annotations

import struct

import msgspec

from wormux.limits import SCREEN_FRAME_BYTES

HEADER = struct.Struct("!I")
"""Length of a frame, without these bytes."""


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Either direction."""


class OpenScreen(_Message, frozen=True):
    """The first request to a screen. Without `state` it is blank."""

    position: int
    """Of the next output byte."""
    cols: int
    rows: int
    state: bytes | None = None
    """As in `CheckpointTaken`; that it cannot be read is answered by `Unreadable`."""


class Feed(_Message, frozen=True):
    """The next bytes of output; counted."""

    data: bytes
    answer: bool = True
    """Queries in them are to be answered; not so if that was done before."""


class Skip(_Message, frozen=True):
    """The next byte is number `position`; what lies between was never seen. A sequence that was begun is given up."""

    position: int


class ResizeScreen(_Message, frozen=True):
    """What follows was written for this size."""

    cols: int
    rows: int


class SetColors(_Message, frozen=True):
    """What queries for the default colours are answered with, each 0xRRGGBB."""

    foreground: int
    background: int
    cursor: int


class TakeRedraw(_Message, frozen=True):
    """Answered by `RedrawTaken`, as of all that was fed before."""

    lines: int
    """Of scrollback that are wanted above the screen."""
    limit_bytes: int
    """The most that it may take: the oldest lines are left out for it."""


class TakeCheckpoint(_Message, frozen=True):
    """Answered by `CheckpointTaken`, as of all that was fed before."""


class CloseScreen(_Message, frozen=True):
    """The last request to a screen. Nothing is answered any more."""


ScreenRequest = (
    OpenScreen | Feed | Skip | ResizeScreen | SetColors | TakeRedraw | TakeCheckpoint | CloseScreen
)  # fmt: skip


class Fed(_Message, frozen=True):
    """All output before `position` is in the screen. Sent at least whenever the worker has nothing else to do."""

    position: int


class Answered(_Message, frozen=True):
    """What the terminal answers to the queries that ended at or before `position`, and after those answered before.
    Comes before the `Fed` of the same position."""

    position: int
    data: bytes


class RedrawTaken(_Message, frozen=True):
    """The bytes that bring an empty terminal of this size to the screen's state at `position`."""

    lines: int
    """As asked for."""
    position: int
    cols: int
    rows: int
    data: bytes
    above: int
    """How many lines of scrollback the screen has beyond those in `data`."""


class CheckpointTaken(_Message, frozen=True):
    """The screen at `position`, to be opened again with `OpenScreen`; opaque to everybody else."""

    position: int
    cols: int
    rows: int
    state: bytes


class Unreadable(_Message, frozen=True):
    """The `state` of `OpenScreen` cannot be read; a sentence. The last event of the screen."""

    reason: str


class ScreenGone(_Message, frozen=True):
    """The screen is lost, with its worker or by its own fault; a sentence. The last event of the screen."""

    reason: str


ScreenEvent = Fed | Answered | RedrawTaken | CheckpointTaken | Unreadable | ScreenGone

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(tuple[int, ScreenRequest])
_events = msgspec.msgpack.Decoder(tuple[int, ScreenEvent])


def encode(screen: int, message: ScreenRequest | ScreenEvent) -> bytes:
    """A whole frame."""
    payload = _encoder.encode((screen, message))
    return HEADER.pack(len(payload)) + payload


def decode_request(payload: bytes | memoryview) -> tuple[int, ScreenRequest]:
    """Raises `msgspec.DecodeError` for what no server says."""
    try:
        return _requests.decode(payload)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError("It is no request.") from error


def decode_event(payload: bytes | memoryview) -> tuple[int, ScreenEvent]:
    """Raises `msgspec.DecodeError` for what no worker says."""
    try:
        return _events.decode(payload)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError("It is no event.") from error


def frame_length(header: bytes | memoryview) -> int:
    """Raises `ValueError` for a frame that is longer than any may be."""
    (length,) = HEADER.unpack(header)
    if length > SCREEN_FRAME_BYTES:
        raise ValueError(f"A frame of {length} bytes is more than a screen's link carries.")
    return int(length)
