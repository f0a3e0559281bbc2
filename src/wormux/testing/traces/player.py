"""Plays a trace to the simulator's client, and holds it to what the trace says.

The page's core has a player of the same verbs: a verb that one of them does not know is an error in both.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from wormux.ids import ConnectionId, PaneId
from wormux.protocol.frames import CONTROL_CHANNEL, encode_frame
from wormux.protocol.messages import InputDiscarded
from wormux.testing.errors import ServerBroke
from wormux.testing.model import leaves
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.input import Confession, SimInput
from wormux.testing.sim.lanes import Lanes
from wormux.testing.sim.socket import SimSocket
from wormux.testing.traces.format import Announcements, Trace, TraceFailed, data_of
from wormux.testing.traces.wire import Wire


class Player:
    """One client, and a server and a network that do what the trace says. It is what the client stands in."""

    def __init__(self, trace: Trace) -> None:
        self.now_s = 1000.0
        self._trace = trace
        self._wire = Wire()
        self._client = SimClient(self, "client")
        self._announcements = Announcements()
        self._client_id: str | None = None
        """Of the last `connect`."""
        self._gave_up: ServerBroke | None = None
        """Why the client broke the connection."""
        self._verbs: dict[str, Callable[[Any], None]] = {
            name.removeprefix("_do_"): getattr(self, name) for name in dir(self) if name.startswith("_do_")
        }

    def play(self) -> None:
        """The whole trace. Raises `TraceFailed` with the step."""
        at = "the end"
        try:
            for number, (verb, value) in enumerate(self._trace.steps):
                at = f"step {number}, {verb} {json.dumps(value)[:200]}"
                self._verbs.get(verb, _unknown)(value)
                self._wire.settled()
                self._check(not self._wire.wrongs, " ".join(self._wire.wrongs))
                self._check(self._gave_up is None, f"The client gave up: {self._gave_up}")
            at = "the end"
            self._finish()
        except TraceFailed as failed:
            raise TraceFailed(f"{self._trace.name}: at {at}: {failed} ({self._trace.rule})") from None

    def _finish(self) -> None:
        self._do_sent({})
        self._do_says([])
        if self._client.acks_output and self._client.attached:
            self._wire.check_drawn()
        self._check(not self._wire.wrongs, " ".join(self._wire.wrongs))

    # --- What happens ------------------------------------------------------------------------------------

    def _do_open(self, wanted: dict[str, Any]) -> None:
        """The client connects; `wanted` is what its `connect` says."""
        self._check(self._client.may_connect, "The client does not connect any more.")
        self._client.connect()
        said = self._wire.connect
        if said is None:
            raise TraceFailed("The client did not say `connect`.")
        if "clientId" in wanted:
            same = said["clientId"] == self._client_id
            self._check(
                same == (wanted["clientId"] == "same"), f"The client's id is {'the same' if same else 'new'}."
            )
        self._client_id = said["clientId"]
        self._same("resume", said.get("resume", {}), wanted.get("resume"))
        reminded = {pane_id: position for pane_id, position in said.get("input", {}).items() if position}
        self._same("input", reminded, wanted.get("input"))

    def _do_state(self, value: dict[str, Any]) -> None:
        self._do_say(self._announcements.state(value))

    def _do_update(self, value: dict[str, Any]) -> None:
        self._do_say(self._announcements.update(value))

    def _do_say(self, message: dict[str, Any]) -> None:
        self._wire.server_says(message)
        self._deliver(encode_frame(CONTROL_CHANNEL, json.dumps(message).encode()))

    def _do_bytes(self, value: dict[str, Any]) -> None:
        data = data_of(value)
        self._wire.server_sends(value["channel"], data)
        self._deliver(encode_frame(value["channel"], data))

    def _do_nonsense(self, value: dict[str, Any]) -> None:
        """What no server may say: the client gives the connection up."""
        message = self._announcements.update(value["update"]) if "update" in value else value.get("say")
        frame = encode_frame(CONTROL_CHANNEL, json.dumps(message).encode()) if message else data_of(value)
        self._deliver(frame)
        self._check(self._gave_up is not None, "The client goes on as if nothing was wrong.")
        self._gave_up = None

    def _do_cut(self, _: object) -> None:
        self._client.cut()

    def _do_reload(self, _: object) -> None:
        self._client.reload()

    def _do_close(self, code: int) -> None:
        socket = self._client.socket
        if socket is None:
            raise TraceFailed("There is no connection that could be closed.")
        self._wire.greeted = False
        socket.on_close(code)

    def _do_pass(self, ms: float) -> None:
        self.now_s += ms / 1000

    def _do_type(self, value: dict[str, Any]) -> None:
        self._client.type(PaneId(value["pane"]), data_of(value))

    def _do_discard(self, pane_id: str) -> None:
        self._client.discard(PaneId(pane_id))

    def _do_resize(self, value: dict[str, Any]) -> None:
        self._client.say("pane_resize", paneId=value["pane"], cols=value["cols"], rows=value["rows"])

    def _do_draws(self, draws: bool) -> None:
        self._client.acks_output = draws
        if draws:
            self._client.draw()

    # --- What must hold ----------------------------------------------------------------------------------

    def _do_sent(self, wanted: dict[str, Any]) -> None:
        """All input since the last look."""
        runs = {pane_id: [value] if isinstance(value, dict) else value for pane_id, value in wanted.items()}
        expected = {
            pane_id: [(run["from"], data_of(run)) for run in value] for pane_id, value in runs.items()
        }
        typed, self._wire.typed = self._wire.typed, {}
        self._same("sent", typed, expected)

    def _do_says(self, wanted: list[dict[str, Any]]) -> None:
        """All requests since the last look; fields that are not named may be anything."""
        said, self._wire.said = self._wire.said, []
        kept = [
            {name: value for name, value in message.items() if name in pattern}
            for message, pattern in zip(said, wanted, strict=False)
        ]
        self._same("says", [*kept, *said[len(wanted) :]], wanted)

    def _do_acked(self, wanted: dict[str, int | None]) -> None:
        acked = {pane_id: self._wire.outputs[pane_id].acked for pane_id in wanted}
        self._same("acked", acked, wanted)

    def _do_shows(self, wanted: dict[str, Any]) -> None:
        """What is drawn since the terminal was cleared."""
        for pane_id, value in wanted.items():
            output = self._client.output(PaneId(pane_id))
            self._same(f"{pane_id} shows", bytes(output.drawn), data_of(value))
            if isinstance(value, dict) and "size" in value:
                self._same(f"{pane_id}'s size", list(output.size), value["size"])

    def _do_input(self, wanted: dict[str, Any]) -> None:
        """What is open, and everything that the client had to confess so far."""
        for pane_id, value in wanted.items():
            stream = self._stream(PaneId(pane_id))
            if "unacked" in value:
                self._same(f"{pane_id}'s unacknowledged bytes", stream.unacked, value["unacked"])
            if "discarded" in value:
                found = [confessed(one) for one in stream.confessed]
                self._same(
                    f"{pane_id}'s discards", found, [wanted_confession(one) for one in value["discarded"]]
                )

    def _do_panes(self, wanted: dict[str, str]) -> None:
        """All panes and their statuses."""
        model = self._client.model
        shown = [pane_id for tab in model.tabs.values() for pane_id in leaves(tab.layout)]
        self._same("panes", {pane_id: model.panes[pane_id].status for pane_id in shown}, wanted)

    def _do_over(self, _: object) -> None:
        """The client does not connect any more."""
        self._check(not self._client.may_connect, "The client would connect again.")

    def _check(self, holds: bool, sentence: str) -> None:
        if not holds:
            raise TraceFailed(sentence)

    def _same(self, what: str, found: object, wanted: object | None) -> None:
        if wanted is not None and found != wanted:
            raise TraceFailed(f"{what} is {found}, and should be {wanted}.")

    def _stream(self, pane_id: PaneId) -> SimInput:
        past = [stream for past_id, stream in self._client.past_inputs if past_id == pane_id]
        return self._client.inputs.get(pane_id) or (past[-1] if past else self._client.input(pane_id))

    def _deliver(self, frame: bytes) -> None:
        socket = self._client.socket
        if socket is None:
            raise TraceFailed("There is no connection that the server could use.")
        try:
            socket.on_frame(frame)
        except ServerBroke as broke:
            self._gave_up = broke
            self._client.cut()

    # --- What the client stands in -----------------------------------------------------------------------

    def dial(self) -> SimSocket:
        self._wire.opened()
        return SimSocket(Lanes(), ConnectionId(0), lambda _: None)

    def to_server(self, socket: SimSocket, frame: bytes) -> None:
        self._wire.client_sends(frame)

    def hang_up(self, socket: SimSocket) -> None:
        self._wire.greeted = False

    def saw_output(self, pane_id: PaneId, position: int, data: bytes) -> None:
        """The world's books are not kept here."""

    def saw_discard(self, pane_id: PaneId, named: InputDiscarded) -> None:
        """Nor these."""

    def saw_ack(self, client: SimClient, stream: SimInput) -> None:
        """Nor these."""


def _unknown(_: object) -> None:
    raise TraceFailed("Nobody can play this verb.")


def confessed(one: Confession) -> tuple[int, str, bytes | None]:
    """In a form that can be compared."""
    return (one.count, one.reason, one.data)


def wanted_confession(value: dict[str, Any]) -> tuple[int, str, bytes | None]:
    """`{reason, text | hex}`, or `{reason, bytes}` where the data need not be there any more."""
    if "bytes" in value:
        return (value["bytes"], value["reason"], None)
    data = data_of(value)
    return (len(data), value["reason"], data)
