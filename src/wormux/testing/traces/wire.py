"""The server's end of a client's connections, as far as its rules can be checked from there (protocol §3, §5, §6).

It knows what was said to the client and what the client says, and nothing of the client's insides.
"""

from __future__ import annotations

import json
from typing import Any

from wormux.limits import INPUT_CLIENT_BYTES, INPUT_PANE_BYTES
from wormux.protocol.frames import CONTROL_CHANNEL, split_frame

_UNTOLD = ("ping", "connect", "layout_ack", "output_ack")
"""Checked here, or of no interest: not among `said`."""


class _Output:
    """One pane's output on one connection."""

    def __init__(self, position: int, redraw_left: int) -> None:
        self.position = position
        self.redraw_left = redraw_left
        self.acked: int | None = None
        self.began = redraw_left > 0
        """Something came that can be drawn."""


class Wire:
    """Collects what the client does wrong in `wrongs`."""

    def __init__(self) -> None:
        self.wrongs: list[str] = []
        self.connect: dict[str, Any] | None = None
        """The first message of the present connection."""
        self.said: list[dict[str, Any]] = []
        """Since somebody looked."""
        self.typed: dict[str, list[tuple[int, bytes]]] = {}
        """Input by pane as (position, bytes), since somebody looked; what adjoins is one."""
        self.outputs: dict[str, _Output] = {}
        self.greeted = False
        self._channels: dict[str, int] = {}
        self._next: dict[str, int | None] = {}
        """Position of the next byte of input; None while that is being asked."""
        self._acked: dict[str, int] = {}
        self._owed: int | None = None
        """The `rev` that is to be acknowledged next."""

    def opened(self) -> None:
        """A new connection."""
        self.connect, self.greeted, self._owed = None, False, None
        self.outputs.clear()
        self._channels = {}

    def settled(self) -> None:
        """The client has had its turn."""
        if self.greeted and self._owed is not None:
            self.wrongs.append(f"Revision {self._owed} was applied and not acknowledged.")

    def check_drawn(self) -> None:
        """Everything is drawn: that is acknowledged too."""
        for pane_id, output in self.outputs.items():
            if output.began and not output.redraw_left and output.acked != output.position:
                self.wrongs.append(
                    f"{pane_id} is drawn to {output.position}, acknowledged to {output.acked}."
                )

    # --- The server's words ------------------------------------------------------------------------------

    def server_says(self, message: dict[str, Any]) -> None:
        """Before the client hears it."""
        kind, pane_id = message.get("type"), message.get("paneId")
        if kind in ("state", "layout_update"):
            self._announced(message)
        elif kind == "replay" and pane_id in self._channels:
            self.outputs[pane_id] = _Output(message["position"], message["bytes"])
        elif kind == "input_ack" and pane_id in self._next:
            if self._next[pane_id] is None:
                self._next[pane_id] = message["position"]
            self._acked[pane_id] = message["position"]

    def server_sends(self, channel: int, data: bytes) -> None:
        """Output, before the client gets it."""
        for pane_id, output in self.outputs.items():
            if self._channels.get(pane_id) == channel:
                redraw = min(output.redraw_left, len(data))
                output.redraw_left -= redraw
                output.position += len(data) - redraw
                output.began = True

    def _announced(self, message: dict[str, Any]) -> None:
        self._channels = message["channels"]
        self._owed = message["rev"]
        if message["type"] == "state":
            self.greeted = True
            given = message["input"] or {}
            self._next = {pane_id: given.get(pane_id, 0) for pane_id in self._channels}
        else:
            self._next = {pane_id: self._next.get(pane_id, 0) for pane_id in self._channels}
        before = self._acked if message["type"] == "layout_update" or message["input"] is not None else {}
        self._acked = {pane_id: before.get(pane_id, 0) for pane_id in self._channels}
        self.outputs = {pane_id: one for pane_id, one in self.outputs.items() if pane_id in self._channels}

    # --- The client's ------------------------------------------------------------------------------------

    def client_sends(self, frame: bytes) -> None:
        """One frame."""
        channel, payload = split_frame(frame)
        if channel == CONTROL_CHANNEL:
            self._client_says(json.loads(payload))
        elif not self.greeted:
            self.wrongs.append("Input is sent before `state`.")
        else:
            self._client_types(channel, payload)

    def _client_says(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if (kind == "connect") != (self.connect is None):
            self.wrongs.append(f"{kind}: `connect` comes first, and once.")
        elif kind == "connect":
            self.connect = message
        elif not self.greeted:
            self.wrongs.append(f"{kind}: nothing is said before `state`.")
        elif kind == "layout_ack":
            if message["rev"] != self._owed:
                self.wrongs.append(f"Revision {message['rev']} is acknowledged, {self._owed} is due.")
            self._owed = None
        elif kind == "output_ack":
            self._client_drew(message["paneId"], message["position"])
        if kind not in _UNTOLD:
            self.said.append(message)

    def _client_drew(self, pane_id: str, position: int) -> None:
        output = self.outputs.get(pane_id)
        if output is None:
            self.wrongs.append(f"{pane_id} has no output that can be acknowledged.")
        elif output.redraw_left or not (output.acked or 0) <= position <= output.position:
            self.wrongs.append(
                f"{pane_id} is acknowledged to {position}; it had {output.acked} to {output.position}."
            )
        else:
            output.acked = position

    def _client_types(self, channel: int, data: bytes) -> None:
        pane_id = next((one for one, number in self._channels.items() if number == channel), None)
        position = self._next.get(pane_id) if pane_id is not None else None
        if pane_id is None or position is None:
            self.wrongs.append(
                f"Input on channel {channel}, of which the server has not said where it goes on."
            )
            return
        if self._owed is not None:
            self.wrongs.append(f"Input before revision {self._owed} is acknowledged.")
        self._next[pane_id] = position + len(data)
        runs = self.typed.setdefault(pane_id, [])
        if runs and runs[-1][0] + len(runs[-1][1]) == position:
            runs[-1] = (runs[-1][0], runs[-1][1] + data)
        else:
            runs.append((position, data))
        open_bytes = {one: max(0, (end or 0) - self._acked[one]) for one, end in self._next.items()}
        if open_bytes[pane_id] > INPUT_PANE_BYTES or sum(open_bytes.values()) > INPUT_CLIENT_BYTES:
            self.wrongs.append(f"{open_bytes[pane_id]} bytes are sent past the last acknowledgement.")
