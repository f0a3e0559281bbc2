"""A scripted client that lives in a `HubWorld`: a page without a screen, which holds the hub to its protocol.

What the server says wrongly is raised as `ServerBroke` from the delivery that brought it.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

import msgspec

from wormux.ids import ClientId, PaneId
from wormux.protocol import messages as m
from wormux.protocol.frames import CONTROL_CHANNEL, encode_frame, split_frame
from wormux.testing.errors import expect
from wormux.testing.model import Model
from wormux.testing.sim.input import SimInput
from wormux.testing.sim.socket import SimSocket
from wormux.testing.streams import OutputStream

_decoder: msgspec.json.Decoder[m.AnyServerMessage] = msgspec.json.Decoder(m.AnyServerMessage)


class ClientSurroundings(Protocol):
    """What a client stands in."""

    @property
    def now_s(self) -> float: ...

    def dial(self) -> SimSocket: ...

    def to_server(self, socket: SimSocket, frame: bytes) -> None: ...

    def hang_up(self, socket: SimSocket) -> None: ...

    def saw_output(self, pane_id: PaneId, position: int, data: bytes) -> None: ...


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
        self.keeps_frames = False
        self.socket: SimSocket | None = None
        self._around = around
        self._flow = flow
        self._refs = 0

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
            self._around.hang_up(socket)

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
        self._around.to_server(self.socket, frame)

    def type(self, pane_id: PaneId, data: bytes) -> None:
        """Keys, numbered and kept until they are acknowledged."""
        self._send_keys(pane_id, self.input(pane_id).type(data))

    def input(self, pane_id: PaneId) -> SimInput:
        """The stream of input to a pane."""
        return self.inputs.setdefault(pane_id, SimInput(lambda: self._around.now_s))

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

    def _receive(self, frame: bytes) -> None:
        channel, payload = split_frame(frame)
        if channel == CONTROL_CHANNEL:
            self._control(_decoder.decode(payload))
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
        match message:
            case m.State():
                expect(not self.greeted, "`state` comes once.")
                self.greeted = True
                self._update(message)
                self._reconnected(message.input)
            case m.LayoutUpdate():
                expect(self.greeted, "`state` comes first.")
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
                if pane_id in self.inputs:
                    self.inputs[pane_id].take_named(message)
                else:
                    self._named_late(message)
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
            self.past_inputs.append((pane_id, self.inputs.pop(pane_id)))
        for pane_id in [pane_id for pane_id in self.outputs if pane_id not in self.model.channels]:
            del self.outputs[pane_id]
        if self.acks_layout:
            self.say("layout_ack", rev=message.rev)

    def _reconnected(self, positions: dict[PaneId, int | None] | None) -> None:
        if positions is None:
            self.past_inputs += self.inputs.items()
            self.inputs.clear()
            return
        expect(positions.keys() == self.model.channels.keys(), "`state.input` has an entry for every pane.")
        for pane_id, position in positions.items():
            self._send_keys(pane_id, self.input(pane_id).reconnected(position))

    def _acknowledged(self, pane_id: PaneId, position: int) -> None:
        self._send_keys(pane_id, self.input(pane_id).take_ack(position))

    def _named_late(self, message: m.InputDiscarded) -> None:
        """Of a pane that was just closed."""
        for pane_id, stream in reversed(self.past_inputs):
            if pane_id == message.pane_id:
                stream.take_named(message)
                return

    def _send_keys(self, pane_id: PaneId, data: bytes) -> None:
        if data and self.socket is not None and pane_id in self.model.channels:
            self.send(encode_frame(self.model.channels[pane_id], data))

    def _ack_output(self, pane_id: PaneId, output: OutputStream) -> None:
        if self._flow and self.acks_output and output.resume is not None:
            self.say("output_ack", paneId=pane_id, position=output.position)

    def _closed(self, code: int) -> None:
        self.code = code
        self.socket = None
        self.greeted = False


def _nobody(_: object) -> None:
    """It is not connected any more."""
