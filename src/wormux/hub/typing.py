"""Input on its way to terminals: exactly once and in order, or named as discarded (protocol §6).

A client's input to a pane is one numbered stream. Each piece is a `Segment` until it is settled: it waits in the
pane's queue, or is in flight to the agent, and the stream's `taken` follows the oldest that is neither.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from wormux.hub.announcer import Announcer
from wormux.hub.effects import WriteTerminal
from wormux.hub.lifecycle import SandboxPhase
from wormux.hub.pane import InputStream, Pane, Segment
from wormux.hub.saver import Saver
from wormux.hub.session import Client
from wormux.hub.timers import Wait
from wormux.hub.world import World
from wormux.ids import ClientId, PaneId
from wormux.limits import DISCARD_NOTICES, INFLIGHT_PANE_BYTES, QUEUE_WAITS_S
from wormux.protocol.agent_link import Input
from wormux.protocol.messages import DiscardReason, InputAck, InputDiscarded


class Typing:
    """See the module."""

    def __init__(self, world: World, announcer: Announcer, saver: Saver) -> None:
        self._world = world
        self._announcer = announcer
        self._saver = saver

    def accept(self, pane: Pane, client: Client, acked_rev: int, data: bytes) -> None:
        """The client typed `data`; `acked_rev` is the newest revision that it has seen."""
        stream = pane.streams.setdefault(client.id, InputStream())
        segment = Segment(client.id, stream.received, data, self._world.now.mono_s)
        stream.received = segment.end
        stream.pending.append(segment)
        if pane.gone_rev > acked_rev:
            self._discard(pane, [segment], "program_gone")
        elif pane.closing:
            self._discard(pane, [segment], "closed")
        else:
            self._enqueue(pane, segment)
            self.drain(pane)

    def drain(self, pane: Pane) -> None:
        """Write what waits, as far as the pane's terminal is there and ready for it."""
        terminal = pane.terminal
        session = self._world.sessions[pane.session_id]
        if terminal is None or not terminal.ready or session.phase != SandboxPhase.AWAKE:
            return
        wrote = False
        while pane.queue and pane.inflight_bytes < INFLIGHT_PANE_BYTES:
            segment = pane.queue.popleft()
            pane.queued_bytes -= len(segment.data)
            pane.inflight.append(segment)
            pane.inflight_bytes += len(segment.data)
            key = self._world.clients[segment.client_id].key
            self._world.effects.append(
                WriteTerminal(pane.id, terminal.generation, Input(key, segment.position, segment.data))
            )
            wrote = True
        if wrote and not pane.queue:
            self._world.timers.cancel(Wait.EXPIRE, pane.id)
        if pane.queue_shown:
            pane.queue_shown = bool(pane.queue)
            self._announcer.pane_changed(pane, quiet=True)

    def taken(self, pane: Pane, client_id: ClientId, position: int) -> None:
        """The agent has handed all of this client's input before `position` to the terminal."""
        stream = pane.streams.get(client_id)
        if stream is None:
            return
        stream.written = max(stream.written, position)
        for segment in stream.pending:
            if segment.end > position:
                break
            if not segment.settled:
                segment.settled = True
                pane.inflight_bytes -= len(segment.data)
        while pane.inflight and pane.inflight[0].settled:
            pane.inflight.popleft()
        self._settle(pane, client_id, stream)
        self.drain(pane)

    def answered(self, pane: Pane, inputs: dict[str, int]) -> None:
        """The agent was asked how far it took each client's input; what it did not take waits again."""
        for client in list(self._world.clients.values()):
            stream = pane.streams.get(client.id)
            position = inputs.get(client.key)
            if position is not None:
                if stream is None:
                    stream = pane.streams.setdefault(client.id, InputStream())
                if stream.received < position:  # typed to a server that is no more
                    stream.received = stream.taken = position
                self.taken(pane, client.id, position)
        self.stop_asking(pane)
        self._requeue(pane)
        stale_s = self._world.now.mono_s - QUEUE_WAITS_S
        if any(segment.at_s <= stale_s for segment in pane.queue):
            self._discard(pane, list(pane.queue), "expired")

    def stop_asking(self, pane: Pane) -> None:
        """The agent has answered, or there is none: whoever waits for its input position gets it."""
        for client_id, stream in pane.streams.items():
            if stream.asked:
                stream.asked = False
                self._acknowledge(pane, client_id, stream)

    def _requeue(self, pane: Pane) -> None:
        """What is in flight waits again, before everything else."""
        waiting = [segment for segment in pane.inflight if not segment.settled]
        pane.inflight.clear()
        pane.inflight_bytes = 0
        for segment in reversed(waiting):
            pane.queue.appendleft(segment)
            pane.queued_bytes += len(segment.data)
        if waiting:
            pane.queue_shown = True
            self._await_expiry(pane)
            self._announcer.pane_changed(pane, quiet=True)

    def lost_in_flight(self, pane: Pane) -> None:
        """Whether the terminal took what was in flight cannot be known any more."""
        self._discard(pane, list(pane.inflight), "uncertain")

    def program_gone(self, pane: Pane) -> None:
        """What waits was meant for a program that is gone: it is not for the next shell."""
        self._discard(pane, [*pane.inflight, *pane.queue], "program_gone")

    def closed(self, pane: Pane) -> None:
        """The pane goes, and with it all that was typed for it."""
        self._world.timers.cancel(Wait.EXPIRE, pane.id)
        self._discard(pane, [*pane.inflight, *pane.queue], "closed")

    def asked(self, pane: Pane, client_id: ClientId) -> None:
        """The client wants back what is not written yet."""
        self._discard(pane, [segment for segment in pane.queue if segment.client_id == client_id], "asked")

    def expire(self, pane: Pane) -> None:
        """The time of the queue may be up: it goes as a whole, unless an attempt is under way."""
        if pane.connected or not pane.queue:
            return
        oldest_s = min(segment.at_s for segment in pane.queue)
        if pane.attempt is None and self._world.now.mono_s >= oldest_s + QUEUE_WAITS_S:
            self._discard(pane, list(pane.queue), "expired")
        elif pane.attempt is None:
            self._await_expiry(pane)

    def forget_client(self, client_id: ClientId) -> None:
        """The client will not come back. What it typed still goes its way until it is settled."""
        for pane in self._world.panes.values():
            stream = pane.streams.get(client_id)
            if stream is not None and not stream.pending:
                del pane.streams[client_id]

    def positions(self, client_id: ClientId) -> dict[PaneId, int | None]:
        """For `state.input`: up to where the client's input was received, or None while the agent is asked."""
        positions: dict[PaneId, int | None] = {}
        for pane in self._world.panes.values():
            stream = pane.streams.get(client_id)
            if pane.restored and pane.attempt is not None:
                stream = pane.streams.setdefault(client_id, InputStream())
                stream.asked = True
            positions[pane.id] = None if stream and stream.asked else stream.received if stream else 0
        return positions

    def _enqueue(self, pane: Pane, segment: Segment) -> None:
        pane.queue.append(segment)
        pane.queued_bytes += len(segment.data)
        if not pane.connected:
            pane.queue_shown = True
            self._announcer.pane_changed(pane, quiet=True)
            if len(pane.queue) == 1:
                self._await_expiry(pane)

    def _await_expiry(self, pane: Pane) -> None:
        if pane.queue and not pane.connected:
            self._world.timers.set(Wait.EXPIRE, pane.id, pane.queue[0].at_s + QUEUE_WAITS_S)

    def _discard(self, pane: Pane, segments: Iterable[Segment], reason: DiscardReason) -> None:
        """Name what will never arrive, one range per client and run of pieces."""
        ranges: dict[ClientId, list[tuple[int, int]]] = {}
        for segment in segments:
            if segment.settled:
                continue
            segment.settled = True
            stream = pane.streams[segment.client_id]
            start = max(segment.position, stream.written)
            known = ranges.setdefault(segment.client_id, [])
            if known and known[-1][1] == start:
                known[-1] = (known[-1][0], segment.end)
            elif start < segment.end:
                known.append((start, segment.end))
        pane.inflight = deque(segment for segment in pane.inflight if not segment.settled)
        pane.inflight_bytes = sum(len(segment.data) for segment in pane.inflight)
        pane.queue = deque(segment for segment in pane.queue if not segment.settled)
        pane.queued_bytes = sum(len(segment.data) for segment in pane.queue)
        for client_id, client_ranges in ranges.items():
            stream = pane.streams[client_id]
            connection = self._world.attached(client_id)
            for start, end in client_ranges:
                stream.notices.append((start, end, reason))
                if len(stream.notices) > DISCARD_NOTICES:
                    stream.notices.popleft()
                if connection is not None and connection.greeted:
                    message = InputDiscarded(pane_id=pane.id, from_=start, to=end, reason=reason)
                    self._announcer.send(connection, message)
            self._settle(pane, client_id, stream)
        if ranges:
            self._announcer.pane_changed(pane, quiet=True)

    def _settle(self, pane: Pane, client_id: ClientId, stream: InputStream) -> None:
        """Move `taken` up to the oldest piece that is still on its way, and tell the client."""
        while stream.pending and stream.pending[0].settled:
            stream.pending.popleft()
        taken = stream.received
        if stream.pending:
            first = stream.pending[0]
            taken = max(first.position, min(stream.written, first.end))
        if taken > stream.taken:
            stream.taken = taken
            self._saver.touch_input(client_id, pane.id)
            self._acknowledge(pane, client_id, stream)

    def _acknowledge(self, pane: Pane, client_id: ClientId, stream: InputStream) -> None:
        connection = self._world.attached(client_id)
        if connection is not None and connection.greeted:
            self._announcer.send(connection, InputAck(pane_id=pane.id, position=stream.taken))
