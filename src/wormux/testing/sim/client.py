"""A scripted client that lives in a `HubWorld`: a page without a screen, which holds the hub to its protocol.

What the server says wrongly is raised as `ServerBroke` from the delivery that brought it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any, Literal, Protocol, get_args

import msgspec

from wormux.ids import ClientId, PaneId
from wormux.limits import INPUT_CLIENT_BYTES, KIB
from wormux.protocol import messages as m
from wormux.protocol.close_codes import CloseCode
from wormux.protocol.frames import CONTROL_CHANNEL, encode_frame, split_frame
from wormux.testing.errors import ServerBroke, expect
from wormux.testing.model import Model
from wormux.testing.sim.input import SimInput
from wormux.testing.sim.socket import SimSocket
from wormux.testing.streams import OutputStream

_decoder: msgspec.json.Decoder[m.AnyServerMessage] = msgspec.json.Decoder(m.AnyServerMessage)


INPUT_FRAME_BYTES = 64 * KIB


class _Typed(msgspec.Struct):
    type: str


_KNOWN_TYPES = frozenset(member.__struct_config__.tag for member in get_args(m.AnyServerMessage))

TapKind = Literal["opened", "sent", "received", "closed"]


class ClientSurroundings(Protocol):
    """What a client stands in."""

    @property
    def now_s(self) -> float: ...

    def dial(self) -> SimSocket: ...

    def to_server(self, socket: SimSocket, frame: bytes) -> None: ...

    def hang_up(self, socket: SimSocket) -> None: ...

    def saw_output(self, pane_id: PaneId, position: int, data: bytes) -> None: ...

    def saw_discard(self, pane_id: PaneId, named: m.InputDiscarded) -> None: ...

    def saw_ack(self, client: SimClient, stream: SimInput) -> None: ...


class SimClient:
    """One page or program. It survives its connections."""

    def __init__(self, around: ClientSurroundings, client_id: str | None, *, flow: bool = True) -> None:
        self.client_id = ClientId(client_id) if client_id is not None else None
        self.model = Model()
        self.outputs: dict[PaneId, OutputStream] = {}
        self.inputs: dict[PaneId, SimInput] = {}
        self.past_inputs: list[tuple[PaneId, SimInput]] = []
        """Of panes that are closed, and from before the server forgot this client."""
        self.messages: list[m.AnyServerMessage] = []
        """Every control message of the present connection."""
        self.frames: list[bytes] = []
        """Every frame of output of the present connection."""
        self.answers: dict[str, m.Ok | m.Error] = {}
        self.errors: list[m.Error] = []
        """Those that answer no `ref`."""
        self.greeted = False
        self.code: int | None = None
        """Why the last connection was closed by the server."""
        self.acks_layout = True
        self.acks_output = True
        """What comes is drawn at once; otherwise by `draw`."""
        self.keeps_windows = True
        """Send no more input than is allowed before an acknowledgement."""
        self.keeps_frames = False
        self.tap: Callable[[TapKind, bytes], None] | None = None
        """Called with every frame as it is sent and received, and with nothing when a connection opens and closes."""
        self.socket: SimSocket | None = None
        self._around = around
        self._flow = flow
        self._refs = 0
        self._reloaded = False

    # --- Connections -------------------------------------------------------------------------------------

    def open(self) -> SimSocket:
        """Only the WebSocket."""
        self.cut()
        socket = self._around.dial()
        socket.on_frame, socket.on_close = self._receive, self._closed
        self.socket = socket
        self.greeted = False
        self.code = None
        self.messages.clear()
        self.frames.clear()
        self._tell("opened")
        return socket

    def connect(self, *, resume: bool = True, width: int = 1024, height: int = 768, **fields: Any) -> None:
        """Open and greet; the state comes with the deliveries."""
        self.open()
        positions = {}
        for pane_id, output in self.outputs.items():
            if not resume:
                output.forget()
            output.connecting()
            if output.resume is not None:
                positions[pane_id] = output.resume
        known = {} if self.client_id is None else {"clientId": self.client_id}
        inputs = {pane_id: stream.acked for pane_id, stream in self.inputs.items()}
        self.say(
            "connect",
            width=width,
            height=height,
            resume=positions,
            input=inputs,
            flow=self._flow,
            **known,
            **fields,
        )

    def cut(self, *, keep_words: bool = False) -> None:
        """The network breaks. With `keep_words`, what was sent before still arrives at the server."""
        if self.socket is not None:
            socket, self.socket = self.socket, None
            socket.on_frame = socket.on_close = _nobody
            if not keep_words:
                socket.up.clear()
            self._tell("closed")
            self._around.hang_up(socket)
        self._over()

    @property
    def may_connect(self) -> bool:
        """Whose credentials were refused does not try again."""
        return self.code != CloseCode.NOT_AUTHENTICATED

    def reload(self) -> None:
        """The page is loaded anew: the same client, and all that it knows is its id."""
        self.cut()
        self.model = Model()
        self.outputs.clear()
        self.inputs.clear()
        self.past_inputs.clear()
        self._reloaded = True

    @property
    def attached(self) -> bool:
        return self.socket is not None and self.greeted

    # --- What it says ------------------------------------------------------------------------------------

    def say(self, kind: str, **fields: Any) -> None:
        """A control message, fields as on the wire."""
        self.send(encode_frame(CONTROL_CHANNEL, json.dumps({"type": kind, **fields}).encode()))

    def ask(self, kind: str, **fields: Any) -> str:
        """The same with a `ref`, which is returned: look for it in `answers`."""
        self._refs += 1
        ref = f"{kind}-{self._refs}"
        self.say(kind, ref=ref, **fields)
        return ref

    def send(self, frame: bytes) -> None:
        assert self.socket is not None, "The client is not connected."
        self._tell("sent", frame)
        self._around.to_server(self.socket, frame)

    def type(self, pane_id: PaneId, data: bytes) -> None:
        """Keys, kept until they are acknowledged. They go out now if they may, and otherwise as soon as they may."""
        self.input(pane_id).type(data)
        self._send_keys(pane_id)

    def discard(self, pane_id: PaneId) -> None:
        """Drop what was typed and is not written yet."""
        if self.input(pane_id).discard() and self.greeted:
            self.say("input_discard", paneId=pane_id)

    def draw(self) -> None:
        """Everything that came so far is drawn now."""
        for pane_id, output in self.outputs.items():
            self._tell_drawn(pane_id, output)

    def input(self, pane_id: PaneId) -> SimInput:
        """The stream of input to a pane."""
        if pane_id not in self.inputs:
            self.inputs[pane_id] = SimInput(lambda: self._around.now_s, ready=self.greeted)
        return self.inputs[pane_id]

    def output(self, pane_id: PaneId) -> OutputStream:
        """The stream of a pane's output, as this client got it."""
        return self.outputs.setdefault(pane_id, OutputStream())

    # --- What it knows -----------------------------------------------------------------------------------

    @property
    def panes(self) -> list[PaneId]:
        """By channel."""
        return sorted(self.model.channels, key=lambda pane_id: self.model.channels[pane_id])

    def pane(self) -> PaneId:
        """The only one."""
        (pane_id,) = self.panes
        return pane_id

    def status(self, pane_id: PaneId) -> str:
        return self.model.panes[pane_id].status

    def said(self, kind: Any) -> list[Any]:
        """Messages of one kind on the present connection."""
        return [message for message in self.messages if isinstance(message, kind)]

    # --- What it hears -----------------------------------------------------------------------------------

    def _tell(self, kind: TapKind, frame: bytes = b"") -> None:
        if self.tap is not None:
            self.tap(kind, frame)

    def _receive(self, frame: bytes) -> None:
        self._tell("received", frame)
        expect(len(frame) > 0, "A message has at least one byte, the channel.")
        channel, payload = split_frame(frame)
        if channel == CONTROL_CHANNEL:
            message = _read(payload)
            if message is not None:
                self._control(message)
            return
        pane_id = self.model.pane_at(channel)
        expect(pane_id is not None, "Bytes come on channels that were announced.")
        assert pane_id is not None
        if self.keeps_frames:
            self.frames.append(frame)
        output = self.output(pane_id)
        position = output.position
        output.take_bytes(payload)
        if output.position > position:
            self._around.saw_output(pane_id, position, payload)
        self._ack_output(pane_id, output)

    def _control(self, message: m.AnyServerMessage) -> None:
        self.messages.append(message)
        expect(self.greeted or isinstance(message, m.State | m.Error), "`state` comes first.")
        match message:
            case m.State():
                expect(not self.greeted, "`state` comes once.")
                self.greeted = True
                self._update(message)
                self._reconnected(message.input)
            case m.LayoutUpdate():
                self._update(message)
            case m.Replay(pane_id=pane_id):
                if self._knows(pane_id, message.channel):
                    self.output(pane_id).take_replay(message)
            case m.Resized(pane_id=pane_id):
                if self._knows(pane_id, message.channel):
                    self.output(pane_id).take_resized(message)
            case m.InputAck(pane_id=pane_id):
                if pane_id in self.model.channels:
                    self._acknowledged(pane_id, message.position)
            case m.InputDiscarded(pane_id=pane_id):
                self._around.saw_discard(pane_id, message)
                if pane_id in self.inputs:
                    self.inputs[pane_id].take_named(message)
                else:
                    self._named_late(message)
                self._send_all_keys()
            case m.Ok(ref=ref):
                self._answered(ref, message)
            case m.Error(ref=ref):
                if isinstance(ref, str):
                    self._answered(ref, message)
                else:
                    self.errors.append(message)
            case m.Pong():
                pass

    def _knows(self, pane_id: PaneId, channel: int) -> bool:
        """Not closed; of a closed pane such a message may still come."""
        closed = self.model.was_closed(pane_id)
        expect(closed or self.model.channels.get(pane_id) == channel, "Panes are announced first.")
        return not closed

    def _answered(self, ref: str, message: m.Ok | m.Error) -> None:
        expect(ref not in self.answers, "A request is answered once.")
        self.answers[ref] = message

    def _update(self, message: m.State | m.LayoutUpdate) -> None:
        self.model.apply(message)
        for pane_id in [pane_id for pane_id in self.inputs if pane_id not in self.model.channels]:
            stream = self.inputs.pop(pane_id)
            stream.close()
            self.past_inputs.append((pane_id, stream))
        for pane_id in [pane_id for pane_id in self.outputs if pane_id not in self.model.channels]:
            del self.outputs[pane_id]
        if self.acks_layout:
            self.say("layout_ack", rev=message.rev)

    def _reconnected(self, positions: dict[PaneId, int | None] | None) -> None:
        if positions is None:
            self._begin_inputs_anew()
            positions = dict.fromkeys(self.inputs, 0)
        else:
            complete = positions.keys() == self.model.channels.keys()
            expect(complete, "`state.input` has an entry for every pane.")
        reloaded, self._reloaded = self._reloaded, False
        for pane_id, position in positions.items():
            stream = self.input(pane_id)
            stream.adopts = reloaded
            stream.cut()
            stream.reconnected(position)
            self._insist(pane_id, stream)
        self._send_all_keys()

    def _acknowledged(self, pane_id: PaneId, position: int) -> None:
        stream = self.input(pane_id)
        was_ready = stream.ready
        stream.take_ack(position)
        if not was_ready:
            self._insist(pane_id, stream)
        self._send_all_keys()
        self._around.saw_ack(self, stream)

    def _insist(self, pane_id: PaneId, stream: SimInput) -> None:
        """What the person dropped before the cut is still to be dropped, if the server has it."""
        if stream.ready and stream.unwanted:
            self.say("input_discard", paneId=pane_id)

    def _begin_inputs_anew(self) -> None:
        """The server does not know this client. What it was never sent goes on under new numbers."""
        self.past_inputs += self.inputs.items()
        self.inputs = {pane_id: stream.begin_anew() for pane_id, stream in self.inputs.items()}

    def _become_another(self) -> None:
        """Somebody else has this client's id: it goes on under one of its own."""
        self.client_id = ClientId(f"{self.client_id}'")
        for _, stream in self.past_inputs:
            stream.lose()
        self._begin_inputs_anew()

    def _named_late(self, message: m.InputDiscarded) -> None:
        """Of a pane that was just closed."""
        for pane_id, stream in reversed(self.past_inputs):
            if pane_id == message.pane_id:
                stream.take_named(message)
                return

    def _send_all_keys(self) -> None:
        for pane_id in list(self.inputs):
            self._send_keys(pane_id)

    def _send_keys(self, pane_id: PaneId) -> None:
        stream = self.inputs[pane_id]
        channel = self.model.channels.get(pane_id)
        if not self.attached or channel is None or not stream.waits:
            return
        while data := stream.send(min(INPUT_FRAME_BYTES, self._room(stream))):
            self.send(encode_frame(channel, data))

    def _room(self, stream: SimInput) -> int:
        """How much may be sent of this stream before more is acknowledged."""
        if not self.keeps_windows:
            return INPUT_FRAME_BYTES
        return min(
            stream.room, INPUT_CLIENT_BYTES - sum(one.sent - one.acked for one in self.inputs.values())
        )

    def _ack_output(self, pane_id: PaneId, output: OutputStream) -> None:
        if self.acks_output:
            self._tell_drawn(pane_id, output)

    def _tell_drawn(self, pane_id: PaneId, output: OutputStream) -> None:
        if self._flow and self.attached and output.resume is not None:
            self.say("output_ack", paneId=pane_id, position=output.position)

    def _closed(self, code: int) -> None:
        self.code = code
        self._tell("closed")
        self.socket = None
        self._over()
        if code == CloseCode.TAKEN_OVER:
            self._become_another()

    def _over(self) -> None:
        self.greeted = False
        for stream in self.inputs.values():
            stream.cut()


def _read(payload: bytes) -> m.AnyServerMessage | None:
    """None for a message of a newer server, which is passed over. Raises `ServerBroke`."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            kind = msgspec.json.decode(payload, type=_Typed).type
            if kind not in _KNOWN_TYPES:
                return None
        raise ServerBroke(f"A message has not the form that the protocol gives it: {error}.") from None


def _nobody(_: object) -> None:
    """It is not connected any more."""
