"""What must hold in a `HubWorld`, compared with what the terminals really printed and were given.

Checked as it happens, so that a failure points at the delivery that brought it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from wormux.hub.effects import WriteTerminal
from wormux.hub.hub import Hub
from wormux.hub.notices import MODES_OFF
from wormux.ids import PaneId
from wormux.limits import CONNECTION_UNSENT_BYTES
from wormux.testing.errors import expect
from wormux.testing.sim.agent import SimPty, Written
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.input import Handed, SimInput

if TYPE_CHECKING:
    from wormux.testing.sim.world import HubWorld


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
        self._outputs: dict[tuple[PaneId, int], _Page] = {}
        """By pane and number of the page: what clients saw."""
        self._streams: dict[tuple[str, str], SimInput] = {}
        """By client key and pane: whose stream it is."""

    # --- Output ------------------------------------------------------------------------------------------

    def saw(self, ptys: list[SimPty], pane_id: PaneId, position: int, data: bytes) -> None:
        """A client got `data` at `position`: the same for everybody, and what a terminal printed there, or the
        server itself at a terminal's end."""
        at = position
        while at < position + len(data):
            page = self._outputs.setdefault((pane_id, at // _PAGE_BYTES), _Page())
            piece = data[at - position :][: _PAGE_BYTES - at % _PAGE_BYTES]
            expect(page.saw(at % _PAGE_BYTES, piece), "A position never names two different bytes.")
            at += len(piece)
        at = position
        while at < position + len(data):
            rest = data[at - position :]
            count = max((_common(pty, at, rest) for pty in ptys), default=0)
            if not count:
                notice = rest[: len(MODES_OFF)]
                expect(notice in MODES_OFF, "Output is what terminals printed.")
                count = len(notice)
            at += count

    # --- Terminals ---------------------------------------------------------------------------------------

    def opened(self, machine: object, pty: SimPty) -> None:
        """A fresh terminal for a pane: whatever it had before must be over, or never have been known."""
        from wormux.testing.sim.machine import SimMachine

        assert isinstance(machine, SimMachine)
        for other in machine.ptys[PaneId(pty.pane_id)]:
            if other is not pty:
                expect(not other.lives or not other.known, "A pane's living terminal is not replaced.")

    # --- Input -------------------------------------------------------------------------------------------

    def note_key(self, effect: WriteTerminal, hub: Hub, clients: list[SimClient]) -> None:
        """The hub writes for a client, under the name that agents know."""
        key = (effect.input.client_id, effect.pane_id)
        if key in self._streams:
            return
        client_id = hub.world.client_of(effect.input.client_id)
        for client in clients:
            if client.client_id == client_id:
                self._streams[key] = client.input(effect.pane_id)

    def written(self, pty: SimPty, written: Written) -> None:
        """A terminal was given input."""
        stream = self._streams.get((written.client_key, pty.pane_id))
        if stream is None:
            return  # an anonymous client's
        end = written.position + len(written.data)
        handed = Handed(written.position, end, id(pty), self.server)
        may_repeat = all(
            other.server != self.server and other.terminal != id(pty)
            for other in stream.handed
            if other.end > written.position
        )
        stream.hand(written.data, handed, may_repeat=may_repeat)

    def server_died(self, hub: Hub, clients: list[SimClient], ptys: Iterable[SimPty]) -> None:
        """What it had named to nobody yet is excused, since a dead server's notices are lost; so is what its agents
        have and no program has read, which nobody can name if the agent dies as well."""
        for pty in ptys:
            for piece in pty.unread:
                stream = self._streams.get((piece.client_key, pty.pane_id))
                if stream is not None:
                    stream.excused.append((piece.position, piece.position + len(piece.data)))
        for pane in hub.world.panes.values():
            for client in clients:
                if client.client_id in pane.streams and pane.id in client.inputs:
                    excused = client.inputs[pane.id].excused
                    excused += [(start, end) for start, end, _ in pane.streams[client.client_id].notices]

    # --- Every step --------------------------------------------------------------------------------------

    def check_step(self, world: HubWorld) -> None:
        """What holds after every step of the hub."""
        for socket in world.server.sockets.values():
            expect(socket.unsent <= CONNECTION_UNSENT_BYTES, "Unsent bytes are bounded.")
        channels = [pane.channel for pane in world.hub.world.panes.values()]
        expect(len(set(channels)) == len(channels), "No two panes have one channel.")


def _common(pty: SimPty, at: int, data: bytes) -> int:
    """How many bytes of `data` the terminal printed at `at`."""
    if not pty.begin <= at < pty.end:
        return 0
    printed = pty.history[at - pty.begin : at - pty.begin + len(data)]
    if printed == data[: len(printed)]:
        return len(printed)
    return next(index for index, byte in enumerate(printed) if byte != data[index])
