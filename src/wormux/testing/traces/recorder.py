"""Writes down as a trace what a simulated client hears, does and knows.

What it sends is written down as the streams that come of it, so that another client may cut its frames elsewhere and
acknowledge at other moments; of what it says, only what another client must say as well (`input_discard`).
"""

from __future__ import annotations

import json
from typing import Any

from wormux.ids import PaneId
from wormux.protocol.frames import CONTROL_CHANNEL, split_frame
from wormux.testing.model import leaves
from wormux.testing.sim.client import SimClient, TapKind
from wormux.testing.sim.input import Confession
from wormux.testing.sim.world import HubWorld
from wormux.testing.traces.format import Trace, hexed
from wormux.testing.traces.wire import Wire

_RULE = (
    "Given the same words of a server and the same keys, every client sends and knows the same (§4, §5, §6)."
)


class Recorder:
    """Listens at one client. What its person does goes through here: `type` and `discard`."""

    def __init__(self, world: HubWorld, client: SimClient) -> None:
        self._world = world
        self._client = client
        self._wire = Wire()
        self._steps: list[tuple[str, Any]] = []
        self._now_ms = self._world_ms()
        self._client_id: object = None
        client.tap = self._hear

    def trace(self, name: str) -> Trace:
        """All that happened so far."""
        self._note_sent()
        return Trace(name, _RULE, tuple(self._steps))

    def type(self, pane_id: PaneId, data: bytes) -> None:
        self._note("type", {"pane": pane_id, **hexed(data)})
        self._client.type(pane_id, data)

    def discard(self, pane_id: PaneId) -> None:
        self._note("discard", pane_id)
        self._client.discard(pane_id)

    def look(self) -> None:
        """What the client knows now is what every client must know then."""
        client = self._client
        shown = [pane_id for tab in client.model.tabs.values() for pane_id in leaves(tab.layout)]
        self._note("panes", {pane_id: client.model.panes[pane_id].status for pane_id in shown})
        outputs = {
            pane_id: hexed(bytes(output.drawn)) | {"size": list(output.size)}
            for pane_id, output in client.outputs.items()
            if output.replays and pane_id in client.model.channels
        }
        self._note("shows", outputs)
        streams = dict(client.past_inputs) | client.inputs
        inputs = {
            pane_id: {"unacked": stream.unacked, "discarded": [_told(one) for one in stream.confessed]}
            for pane_id, stream in streams.items()
        }
        self._note("input", inputs)

    def _hear(self, kind: TapKind, frame: bytes) -> None:
        if kind == "opened":
            self._note_sent()
            self._wire.opened()
        elif kind == "closed":
            self._wire.greeted = False
            code = self._client.code
            self._note(*(("cut", True) if code is None else ("close", int(code))))
        elif kind == "received":
            self._note_received(frame)
        else:
            was_connected = self._wire.connect is not None
            self._wire.client_sends(frame)
            if not was_connected and self._wire.connect is not None:
                self._note_open(self._wire.connect)

    def _note_open(self, said: dict[str, Any]) -> None:
        known = said["clientId"] == self._client_id
        who = {} if self._client_id is None else {"clientId": "same" if known else "new"}
        self._client_id = said["clientId"]
        reminded = {pane_id: position for pane_id, position in said["input"].items() if position}
        self._note("open", {"resume": said["resume"], "input": reminded, **who})

    def _note_received(self, frame: bytes) -> None:
        channel, payload = split_frame(frame)
        if channel == CONTROL_CHANNEL:
            message = json.loads(payload)
            self._note("say", message)
            self._wire.server_says(message)
        else:
            self._note("bytes", {"channel": channel, **hexed(payload)})
            self._wire.server_sends(channel, payload)

    def _note(self, verb: str, value: object) -> None:
        """What the client did before comes first, and the time that passed."""
        self._note_sent()
        now_ms = self._world_ms()
        if now_ms > self._now_ms:
            self._steps.append(("pass", now_ms - self._now_ms))
            self._now_ms = now_ms
        self._steps.append((verb, value))

    def _note_sent(self) -> None:
        if self._wire.typed:
            typed, self._wire.typed = self._wire.typed, {}
            runs = {
                pane_id: [{"from": start, **hexed(data)} for start, data in runs]
                for pane_id, runs in typed.items()
            }
            self._steps.append(("sent", runs))
        said, self._wire.said = self._wire.said, []
        asked = [message for message in said if message["type"] == "input_discard"]
        if asked:
            self._steps.append(("says", asked))

    def _world_ms(self) -> int:
        return round(1000 * self._world.now_s)


def _told(one: Confession) -> dict[str, Any]:
    if one.data is None:
        return {"reason": one.reason, "bytes": one.count}
    return {"reason": one.reason, **hexed(one.data)}
