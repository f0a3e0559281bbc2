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
from wormux.hub.reports import are_reports
from wormux.hub.saver import Saver
from wormux.hub.session import Client
from wormux.hub.timers import Wait
from wormux.hub.world import World
from wormux.ids import ClientId, PaneId
from wormux.limits import DISCARD_NOTICES, INFLIGHT_PANE_BYTES, LARGEST_POSITION, QUEUE_WAITS_S
from wormux.protocol.agent_link import Input
from wormux.protocol.messages import DiscardReason, InputAck, InputDiscarded


class Typing:
    """See the module."""

    def __init__(self, world: World, announcer: Announcer, saver: Saver) -> None:
        self._world = world
        self._announcer = announcer
        self._saver = saver

    def accept(self, pane: Pane, client: Client, acked_rev: int, data: bytes) -> bool:
        """The client typed `data`; `acked_rev` is the newest revision that it has seen. Returns whether that is a key:
        something that wakes a pane."""
        stream = pane.streams.setdefault(client.id, InputStream())
        segment = Segment(client.id, stream.received, data, self._world.now.mono_s)
        stream.received = segment.end
        stream.pending.append(segment)
        stopping = self._world.sessions[pane.session_id].phase == SandboxPhase.STOPPING
        if (stopping or not pane.connected) and are_reports(data):
            self._discard(pane, [segment], "program_gone")
            return False
        if pane.gone_rev > acked_rev:
            self._discard(pane, [segment], "program_gone")
        elif pane.closing:
            self._discard(pane, [segment], "closed")
        else:
            pane.queue.append(segment)
            pane.queued_bytes += len(segment.data)
            self.drain(pane)
            if pane.queue:
                self._announcer.pane_changed(pane, quiet=True)
                if pane.queue[0] is segment:
                    self._await_expiry(pane)
        return True

    def drain(self, pane: Pane) -> None:
        """Write what waits, as far as the pane's terminal is there and ready for it."""
        terminal = pane.terminal
        session = self._world.sessions[pane.session_id]
        if terminal is None or not terminal.ready or session.phase == SandboxPhase.STOPPING:
            return
        wrote = False
        while pane.queue and pane.inflight_bytes < INFLIGHT_PANE_BYTES:
            segment = pane.queue.popleft()
            pane.queued_bytes -= len(segment.data)
            self._write(pane, segment)
            wrote = True
        if wrote and not pane.queue:
            self._world.timers.cancel(Wait.EXPIRE, pane.id)
        if wrote and pane.queue_shown:
            pane.queue_shown = False
            self._announcer.pane_changed(pane, quiet=True)

    def taken(self, pane: Pane, client_id: ClientId, position: int) -> None:
        """The agent has handed all of this client's input before `position` to the terminal."""
        stream = pane.streams.get(client_id)
        if stream is None:
            return
        for segment in stream.pending:
            if not segment.sent:
                position = min(position, segment.position)  # what it was not given it cannot have taken
            if segment.end > position:
                break
            if not segment.settled:
                segment.settled = True
                pane.inflight_bytes -= len(segment.data)
        stream.written = max(stream.written, min(position, stream.received))
        while pane.inflight and pane.inflight[0].settled:
            pane.inflight.popleft()
        self._settle(pane, client_id, stream)
        self.drain(pane)

    def opened(self, pane: Pane, inputs: dict[str, int]) -> None:
        """A terminal stands behind the pane. `inputs` says what its agent has of each client's input: that is sent
        again, to be acknowledged when the terminal took it; the rest waits again, unless it has waited too long."""
        waiting: list[Segment] = []
        for segment in self._take_back(pane):
            position = inputs.get(self._world.clients[segment.client_id].key, 0)
            known, rest = self._split(pane, segment, position)
            if known is not None:
                self._write(pane, known)
            if rest is not None:
                waiting.append(rest)
        self._adopt(pane, inputs)
        self.stop_asking(pane)
        self._wait_again(pane, waiting)
        self._discard(pane, [segment for segment in waiting if segment.late], "expired")

    def ended(self, pane: Pane, inputs: dict[str, int]) -> None:
        """The terminal is over. `inputs` says how far it took each client's input; the rest waits for the next."""
        self._adopt(pane, inputs)
        for client in self._world.clients.values():
            stream = pane.streams.get(client.id)
            written = inputs.get(client.key)
            if stream is not None and written is not None and written < stream.written:
                # A restarted server acknowledged what the agent had; the terminal never read it.
                self._name(pane, client.id, written, stream.written, "uncertain")
        for client in self._world.clients.values():
            if client.key in inputs:
                self.taken(pane, client.id, inputs[client.key])
        self.stop_asking(pane)
        waiting = self._take_back(pane)
        for segment in waiting:
            segment.at_s = self._world.now.mono_s
        self._wait_again(pane, waiting)
        self._discard(pane, [segment for segment in pane.queue if are_reports(segment.data)], "program_gone")

    def interrupted(self, pane: Pane) -> None:
        """The terminal is out of reach: what it has not acknowledged waits from now on."""
        for segment in pane.inflight:
            segment.at_s = self._world.now.mono_s
        self._await_expiry(pane)

    def stop_asking(self, pane: Pane) -> None:
        """The agent has answered, or there is none: whoever waits for its input position gets it."""
        for client_id, stream in pane.streams.items():
            if stream.asked:
                stream.asked = False
                self._acknowledge(pane, client_id, stream)

    def _adopt(self, pane: Pane, inputs: dict[str, int]) -> None:
        """Take up what was typed to a server that is no more."""
        for client in self._world.clients.values():
            position = inputs.get(client.key)
            if position is None:
                continue
            stream = pane.streams.setdefault(client.id, InputStream())
            if stream.received < position:
                stream.received = position
                self.taken(pane, client.id, position)
            elif not stream.pending:
                stream.written = max(stream.written, position)

    def _take_back(self, pane: Pane) -> list[Segment]:
        """What is in flight and not settled, which is in flight no more."""
        segments = [segment for segment in pane.inflight if not segment.settled]
        pane.inflight.clear()
        pane.inflight_bytes = 0
        for segment in segments:
            segment.sent = False
        return segments

    def _wait_again(self, pane: Pane, segments: list[Segment]) -> None:
        """These wait before everything else."""
        pane.queue.extendleft(reversed(segments))
        pane.queued_bytes += sum(len(segment.data) for segment in segments)
        if segments:
            self._announcer.pane_changed(pane, quiet=True)
        self._await_expiry(pane)

    def _split(self, pane: Pane, segment: Segment, position: int) -> tuple[Segment | None, Segment | None]:
        """The parts of a segment before `position` and from there on."""
        if position <= segment.position:
            return None, segment
        if position >= segment.end:
            return segment, None
        count = position - segment.position
        known = Segment(segment.client_id, segment.position, segment.data[:count], segment.at_s)
        rest = Segment(segment.client_id, position, segment.data[count:], segment.at_s, late=segment.late)
        pending = pane.streams[segment.client_id].pending
        index = pending.index(segment)
        pending[index] = rest
        pending.insert(index, known)
        return known, rest

    def _write(self, pane: Pane, segment: Segment) -> None:
        segment.sent = True
        pane.inflight.append(segment)
        pane.inflight_bytes += len(segment.data)
        key = self._world.clients[segment.client_id].key
        data = Input(key, segment.position, segment.data)
        self._world.effects.append(WriteTerminal(pane.id, pane.generation, data))

    def lost_in_flight(self, pane: Pane) -> None:
        """Whether the terminal took what was in flight cannot be known any more."""
        self._discard(pane, list(pane.inflight), "uncertain")

    def uncertain(self, pane: Pane, client_id: ClientId, position: int) -> None:
        """The same of this client's input before `position`, while the terminal goes on."""
        segments = [s for s in pane.inflight if s.client_id == client_id and s.end <= position]
        self._discard(pane, segments, "uncertain")
        self.drain(pane)

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
        """The time of the queue may be up: it goes as a whole, unless an attempt is under way. What is in flight may
        have been taken; it goes when its agent says that it was not."""
        since_s = self._waits_since(pane)
        if pane.connected or pane.attempt is not None or since_s is None:
            return
        if self._world.now.mono_s >= since_s + QUEUE_WAITS_S:
            for segment in pane.inflight:
                segment.late = True
            self._discard(pane, list(pane.queue), "expired")
        else:
            self._await_expiry(pane)

    def remind(self, client: Client, acknowledged: dict[PaneId, int]) -> None:
        """The client knows how far its input was acknowledged; a server that died may not have stored that much."""
        for pane_id, position in acknowledged.items():
            pane = self._world.panes.get(pane_id)
            if pane is None or not 0 < position <= LARGEST_POSITION:
                continue
            stream = pane.streams.setdefault(client.id, InputStream())
            if stream.received < position:
                stream.received = position
                self._settle(pane, client.id, stream)

    def positions(self, client_id: ClientId) -> dict[PaneId, int | None]:
        """For `state.input`: up to where the client's input was received, or None while the agent is asked."""
        positions: dict[PaneId, int | None] = {}
        for pane in self._world.panes.values():
            stream = pane.streams.get(client_id)
            if self._world.asking(pane) and not (stream and stream.pending):
                stream = pane.streams.setdefault(client_id, InputStream())
                stream.asked = True
            positions[pane.id] = None if stream and stream.asked else stream.received if stream else 0
        return positions

    def _await_expiry(self, pane: Pane) -> None:
        since_s = None if pane.connected else self._waits_since(pane)
        if since_s is not None:
            self._world.timers.set(Wait.EXPIRE, pane.id, since_s + QUEUE_WAITS_S)

    def _waits_since(self, pane: Pane) -> float | None:
        """Since when the oldest input waits for a terminal."""
        waiting = (segment for segment in (*pane.inflight, *pane.queue) if not segment.settled)
        return min((segment.at_s for segment in waiting if not segment.late), default=None)

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
            for start, end in client_ranges:
                self._name(pane, client_id, start, end, reason)
            self._settle(pane, client_id, pane.streams[client_id])
        if ranges:
            self._announcer.pane_changed(pane, quiet=True)

    def _name(self, pane: Pane, client_id: ClientId, start: int, end: int, reason: DiscardReason) -> None:
        """Tell the client what its terminal will never get, now and after a cut."""
        notices = pane.streams[client_id].notices
        notices.append((start, end, reason))
        if len(notices) > DISCARD_NOTICES:
            notices.popleft()
        connection = self._world.attached(client_id)
        if connection is not None and connection.greeted:
            message = InputDiscarded(pane_id=pane.id, from_=start, to=end, reason=reason)
            self._announcer.send(connection, message)

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
