"""What must hold in a `HubWorld`, compared with what the terminals really printed and were given.

Checked as it happens, so that a failure points at the delivery that brought it; what can be seen by looking at the
world at any moment stands in `invariants`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from wormux.hub import effects as e
from wormux.hub.hub import Hub
from wormux.hub.notices import MODES_OFF
from wormux.ids import PaneId
from wormux.protocol.messages import InputDiscarded
from wormux.testing.sim.agent import SimPty, Written
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.input import ACCOUNTED, Handed, SimInput
from wormux.testing.sim.rules import rule

ONE_BYTE = rule("one byte a position", "A position of a pane's output never names two different bytes.")
PRINTED = rule("printed", "Output is what terminals printed, where they printed it.")
ONE_TERMINAL = rule("one terminal", "A pane has one open terminal at most, and never two of one generation.")
ONE_WAKE = rule("one wake", "A sandbox is woken or looked for once at a time, whoever asks.")
UNCERTAIN = rule(
    "uncertain",
    "Input is named as uncertain only where an agent died, or stopped out of reach, or a link cannot know; or where a "
    "shell ended that had not read what its agent had taken for a server that is gone.",
)
READY = rule("ready", "Nothing is typed into a shell that does not read yet.")
NO_OLD_CONNECTION = rule("no old connection", "Nothing is sent on a connection that was given up.")

_PAGE_BYTES = 1 << 16


class _Page:
    """A piece of a pane's output, as far as anybody saw it."""

    def __init__(self) -> None:
        self._bytes = bytearray(_PAGE_BYTES)
        self._known = bytearray(_PAGE_BYTES)

    def saw(self, at: int, data: bytes) -> bool:
        """Whether it agrees with what was seen before."""
        end = at + len(data)
        known = self._known[at:end]
        agrees = (
            all(
                not was_known or before == now
                for was_known, before, now in zip(known, self._bytes[at:end], data, strict=True)
            )
            if any(known) and self._bytes[at:end] != data
            else True
        )
        self._bytes[at:end] = data
        self._known[at:end] = b"\x01" * len(data)
        return agrees


class SimTruth:
    """The other side's books."""

    def __init__(self) -> None:
        self.server = 1
        """Which server process this is."""
        self.channels: dict[PaneId, int] = {}
        """Of every pane that was seen; a pane never changes its own."""
        self.rev = (1, 0)
        """Which server had which revision when that was last looked at."""
        self.stored: set[PaneId] = set()
        """Panes that the store ever had."""
        self._outputs: dict[tuple[PaneId, int], _Page] = {}
        """By pane and number of the page: what clients saw."""
        self._streams: dict[tuple[str, str], SimInput] = {}
        """By client key and pane: whose stream it is."""
        self._writers: dict[tuple[str, str], dict[int, int]] = {}
        """By client key and pane: how far each server has written."""
        self._owing: dict[int, tuple[SimClient, SimInput]] = {}
        """Streams in which something was acknowledged that is to be found written or named."""
        self.unsure: set[PaneId] = set()
        """Panes whose links have said that they do not know what a terminal took."""

    # --- Output ------------------------------------------------------------------------------------------

    def saw(self, ptys: list[SimPty], pane_id: PaneId, position: int, data: bytes) -> None:
        """A client got `data` at `position`: the same for everybody, and what a terminal printed there, or the
        server itself at a terminal's end."""
        at = position
        while at < position + len(data):
            page = self._outputs.setdefault((pane_id, at // _PAGE_BYTES), _Page())
            piece = data[at - position :][: _PAGE_BYTES - at % _PAGE_BYTES]
            ONE_BYTE.expect(page.saw(at % _PAGE_BYTES, piece), f"{pane_id} at {at}")
            at += len(piece)
        at = position
        while at < position + len(data):
            rest = data[at - position :]
            count = max((_common(pty, at, rest) for pty in ptys), default=0)
            if not count:
                notice = rest[: len(MODES_OFF)]
                PRINTED.expect(notice in MODES_OFF, f"{pane_id} at {at}: {rest[:60]!r}")
                count = len(notice)
            at += count

    # --- Terminals ---------------------------------------------------------------------------------------

    def opened(self, ptys: Sequence[SimPty], pty: SimPty) -> None:
        """A fresh terminal for a pane: whatever it had before must be over, or never have been known."""
        for other in ptys:
            if other is not pty:
                ONE_TERMINAL.expect(
                    not other.lives or (not other.known and other.generation < pty.generation),
                    f"{pty.pane_id} has generation {other.generation}, and gets {pty.generation}.",
                )

    def asked(self, effect: e.WakeSandbox | e.FindSandbox, under_way: Sequence[e.Effect]) -> None:
        """The hub asks its provider for a sandbox."""
        ONE_WAKE.expect(not under_way, f"{effect} while {under_way} is under way.")

    def sent(self, effect: e.SendFrame, hub: Hub) -> None:
        """The hub sends a frame."""
        connection = hub.world.connections.get(effect.connection_id)
        NO_OLD_CONNECTION.expect(connection is not None, f"{effect.connection_id} is gone.")

    # --- Input -------------------------------------------------------------------------------------------

    def note_key(self, effect: e.WriteTerminal, hub: Hub, clients: list[SimClient]) -> None:
        """The hub writes for a client, under the name that agents know."""
        key = (effect.input.client_id, effect.pane_id)
        end = effect.input.position + len(effect.input.data)
        writers = self._writers.setdefault(key, {})
        writers[self.server] = max(end, writers.get(self.server, 0))
        if key in self._streams:
            return
        writer = hub.world.client_of(effect.input.client_id)
        known = hub.world.clients.get(writer) if writer is not None else None
        for client in clients:
            here = client.socket is not None and known and client.socket.connection_id == known.connection_id
            if client.client_id == writer or here:
                self._streams[key] = client.input(effect.pane_id)

    def written(self, pty: SimPty, written: Written) -> None:
        """A terminal was given input."""
        READY.expect(pty.ready, f"{pty.pane_id} got {written.data!r}.")
        stream = self._streams.get((written.client_key, pty.pane_id))
        if stream is None:
            return  # of a client that left before the first of it was written
        end = written.position + len(written.data)
        # What a server had sent before it was killed may arrive later.
        writers = self._writers.get((written.client_key, pty.pane_id), {})
        server = min((number for number, sent in writers.items() if sent >= end), default=self.server)

        def is_forgotten() -> bool:
            return self.server > server and (pty.died or pty.sandbox_stopped)

        handed = Handed(written.position, end, id(pty), server, is_forgotten)
        may_repeat = all(
            other.server != self.server and other.terminal != id(pty)
            for other in stream.handed
            if other.end > written.position
        )
        stream.hand(written.data, handed, may_repeat=may_repeat)

    def discarded(self, ptys: Sequence[SimPty], pane_id: PaneId, named: InputDiscarded) -> None:
        """A client is told that something never arrives."""
        if named.reason == "uncertain":
            died = pane_id in self.unsure or any(
                pty.died or pty.stopped_unheard or (pty.unread_at_end and self.server > 1) for pty in ptys
            )
            UNCERTAIN.expect(died, f"{pane_id}, {named.from_} to {named.to}")

    def acknowledged(self, client: SimClient, stream: SimInput) -> None:
        """What was acknowledged is settled, once all that was said before has arrived."""
        self._owing[id(stream)] = (client, stream)

    def missing(self, stream: SimInput, ptys: Mapping[PaneId, Sequence[SimPty]]) -> list[tuple[int, int]]:
        """What was acknowledged, and is neither written nor named: to be empty. A new server acknowledges what an agent
        has, though no program has read it yet; if that agent dies as well, nobody can name it."""
        missing = stream.unaccounted()
        if not missing or self.server == 1:
            return missing
        held = [
            piece
            for (key, pane_id), other in self._streams.items()
            if other is stream
            for pty in ptys.get(PaneId(pane_id), ())
            for piece in (*pty.unread, *pty.unread_at_death)
            if piece.client_key == key
        ]
        return [
            (start, end)
            for start, end in missing
            if not any(one.position <= start and end <= one.position + len(one.data) for one in held)
        ]

    def check_accounts(self, ptys: Mapping[PaneId, Sequence[SimPty]]) -> None:
        """Of every stream whose client has heard all that is on its way to it."""
        for key, (client, stream) in list(self._owing.items()):
            if client.socket is None:
                continue  # it is told again what it may have missed
            if client.greeted and client.socket.quiet:
                missing = self.missing(stream, ptys)
                ACCOUNTED.expect(not missing, f"{client.client_id} typed {missing}.")
                del self._owing[key]

    def server_died(self, hub: Hub, clients: list[SimClient], ptys: Iterable[SimPty]) -> None:
        """What it had named to nobody yet is excused, since a dead server's notices are lost; so is what its agents
        have and no program has read, which nobody can name if the agent dies as well."""
        for pty in ptys:
            for piece in pty.unread:
                stream = self._streams.get((piece.client_key, pty.pane_id))
                if stream is not None:
                    stream.excused.append((piece.position, piece.position + len(piece.data)))
        for client in clients:
            for stream in client.inputs.values():
                stream.named_by_the_dead.update(stream.named)
        for pane in hub.world.panes.values():
            for client in clients:
                if client.client_id in pane.streams and pane.id in client.inputs:
                    excused = client.inputs[pane.id].excused
                    excused += [(start, end) for start, end, _ in pane.streams[client.client_id].notices]


def _common(pty: SimPty, at: int, data: bytes) -> int:
    """How many bytes of `data` the terminal printed at `at`."""
    if not pty.begin <= at < pty.end:
        return 0
    printed = pty.history[at - pty.begin : at - pty.begin + len(data)]
    if printed == data[: len(printed)]:
        return len(printed)
    return next(index for index, byte in enumerate(printed) if byte != data[index])
