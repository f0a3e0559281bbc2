"""What happens in a story as text: a line for every event, everything that the hub hears and wants, what terminals
read, and what clients send and receive. The same story gives the same text, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum
from zlib import crc32

from msgspec import Struct
from msgspec.structs import asdict

from wormux.hub.effects import Effect, SendFrame
from wormux.hub.inputs import FrameReceived, Input
from wormux.protocol.frames import CONTROL_CHANNEL, split_frame
from wormux.testing.sim.agent import SimPty, Written
from wormux.testing.sim.client import SimClient, TapKind
from wormux.testing.simulate.stage import Stage
from wormux.testing.simulate.story import Event

_SHOWN_BYTES = 24
_SHOWN_CHARS = 200


class Trace:
    """A `Watch` that writes lines."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def event(self, number: int, event: Event, stage: Stage | None) -> None:
        """Before each event of the story."""
        now_s = f"{stage.world.now_s:.3f}" if stage is not None else "begin"
        told = " ".join(f"{name}={json.dumps(value)}" for name, value in event.fields.items())
        self._write(f"#{number} at {now_s}: {event.name} {told}".rstrip())

    def hub_heard(self, event: Input | None) -> None:
        if isinstance(event, FrameReceived):
            self._write(f"  hub hears connection {event.connection_id}: {_frame(event.frame)}")
        else:
            self._write(f"  hub hears {_told(event) if event is not None else 'that its server starts'}")

    def hub_wants(self, effect: Effect) -> None:
        if isinstance(effect, SendFrame):
            self._write(f"    wants to send connection {effect.connection_id}: {_frame(effect.frame)}")
        else:
            self._write(f"    wants {_told(effect)}")

    def terminal_opened(self, pty: SimPty) -> None:
        self._write(f"  terminal {pty.generation} of {pty.pane_id} opens at {pty.begin}")

    def terminal_read(self, pty: SimPty, written: Written) -> None:
        read = f"{written.client_key} {written.position} {_bytes(written.data)}"
        self._write(f"  terminal {pty.generation} of {pty.pane_id} reads {read}")

    def client_heard(self, client: SimClient, kind: TapKind, frame: bytes) -> None:
        if kind == "received":
            self._write(f"  client {client.client_id} receives {_frame(frame)}")
        elif kind != "sent":  # the hub hears it, if it arrives
            self._write(f"  client {client.client_id}: connection {kind}")


def _frame(frame: bytes) -> str:
    if not frame:
        return "nothing"
    channel, payload = split_frame(frame)
    if channel != CONTROL_CHANNEL:
        return f"channel {channel} {_bytes(payload)}"
    text = payload.decode()
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}… ({crc32(payload):08x})"


def _bytes(data: bytes) -> str:
    if len(data) <= _SHOWN_BYTES:
        return repr(bytes(data))
    return f"{bytes(data[:_SHOWN_BYTES])!r}… ({len(data)} bytes, {crc32(data):08x})"


def _told(thing: object) -> str:
    """A value, with what is long in it cut short, and nothing in it in an order that is not its own."""
    if isinstance(thing, bytes | bytearray):
        return _bytes(bytes(thing))
    if isinstance(thing, Enum):
        return str(thing)
    if isinstance(thing, tuple | list):
        return f"[{', '.join(map(_told, thing))}]"
    if isinstance(thing, set | frozenset):
        return f"[{', '.join(sorted(map(_told, thing)))}]"
    if isinstance(thing, dict):
        return "{" + ", ".join(f"{key}: {_told(value)}" for key, value in thing.items()) + "}"
    if isinstance(thing, Struct):
        return _named(thing, asdict(thing))
    if is_dataclass(thing):
        return _named(thing, {field.name: getattr(thing, field.name) for field in fields(thing)})
    return repr(thing)


def _named(thing: object, values: dict[str, object]) -> str:
    told = ", ".join(
        f"{name}={_told(value)}" for name, value in values.items() if value not in (None, (), "")
    )
    return f"{type(thing).__name__}({told})"
