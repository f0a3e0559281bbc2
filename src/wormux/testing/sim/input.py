"""What one simulated client typed into one pane: the client's own record, and what became of each byte.

A client that the server does not know any more begins a new stream; each has its own record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from wormux.limits import QUEUE_WAITS_S
from wormux.protocol.messages import DiscardReason, InputDiscarded
from wormux.testing.errors import expect

_PERHAPS_WRITTEN = ("uncertain", "closed")
"""Reasons given for what was already on its way to a terminal."""


@dataclass(frozen=True)
class Named:
    """Input that the server said it dropped: positions `start` to `end`."""

    start: int
    end: int
    reason: DiscardReason


@dataclass(frozen=True)
class Handed:
    """Input that a terminal was given."""

    start: int
    end: int
    terminal: int
    """Which terminal it was."""
    server: int
    """Which server was there."""


class SimInput:
    """One numbered stream of input."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.acked = 0
        self.asked = False
        """The server finds out how far it took this stream; nothing is sent meanwhile."""
        self.named: list[Named] = []
        self.handed: list[Handed] = []
        self.excused: list[tuple[int, int]] = []
        """Ranges that were named by a server that died before its client heard it."""
        self.left_out: list[bytes] = []
        """Typed and never sent: too old after a cut."""
        self._now_s = now_s
        self._bytes = bytearray()
        """All that was sent, by position."""
        self._typed: deque[tuple[int, float]] = deque()
        """(end, time) of what is not acknowledged."""
        self._held: list[tuple[bytes, float]] = []
        """Typed while `asked`."""

    @property
    def sent(self) -> int:
        """The position of the next byte to be sent."""
        return len(self._bytes)

    @property
    def unacked(self) -> int:
        return self.sent - self.acked + sum(len(data) for data, _ in self._held)

    def type(self, data: bytes) -> bytes:
        """What to send now."""
        if self.asked:
            self._held.append((data, self._now_s()))
            return b""
        self._bytes += data
        self._typed.append((self.sent, self._now_s()))
        return data

    def reconnected(self, position: int | None) -> bytes:
        """The entry in `state.input`; what to send again."""
        if position is None:
            self.asked = True
            return b""
        self.asked = False
        return self._go_on_with_held(position)

    def take_ack(self, position: int) -> bytes:
        """All before `position` is settled; what to send now."""
        expect(position >= self.acked, "Acknowledgements never go back.")
        if self.asked:
            self.asked = False
            data = self._go_on_with_held(position)
            self._settle(position)
            return data
        expect(position <= self.sent, "Only what was sent is acknowledged.")
        self._settle(position)
        return b""

    def take_named(self, message: InputDiscarded) -> None:
        """Some of it is dropped."""
        named = Named(message.from_, message.to, message.reason)
        expect(0 <= named.start < named.end <= self.sent, "Only what was sent is discarded.")
        if named in self.named:
            return  # said again after a cut
        for other in self.named:
            expect(named.end <= other.start or other.end <= named.start, "No byte is discarded twice.")
        if named.reason not in _PERHAPS_WRITTEN:
            for handed in self.handed:
                apart = handed.end <= named.start or named.end <= handed.start
                expect(apart, f"What a terminal was given is not named as {named.reason}.")
        self.named.append(named)
        if named.start <= self.acked:
            self._settle(max(self.acked, named.end))

    def hand(self, data: bytes, handed: Handed, *, may_repeat: bool) -> None:
        """A terminal was given `data`."""
        expect(handed.end <= self.sent, "Only what was sent is written.")
        expect(self._bytes[handed.start : handed.end] == data, "What was sent is what is written.")
        last = max((other.end for other in self.handed), default=0)
        expect(handed.start >= last or may_repeat, "Input is written once, and in order.")
        for named in self.named:
            apart = handed.end <= named.start or named.end <= handed.start
            expect(apart or named.reason in _PERHAPS_WRITTEN, f"What was {named.reason} is not written.")
        self.handed.append(handed)

    def unaccounted(self) -> list[tuple[int, int]]:
        """What was acknowledged, and neither written nor named: to be empty."""
        written = [(one.start, one.end) for one in self.handed]
        named = [(one.start, one.end) for one in self.named]
        known = sorted([*written, *named, *self.excused])
        at, missing = 0, []
        for start, end in known:
            if start > at:
                missing.append((at, start))
            at = max(at, end)
        missing.append((at, self.acked))
        return [(start, min(end, self.acked)) for start, end in missing if start < min(end, self.acked)]

    def _settle(self, position: int) -> None:
        self.acked = max(self.acked, position)
        while self._typed and self._typed[0][0] <= position:
            self._typed.popleft()

    def _go_on_with_held(self, position: int) -> bytes:
        data = self._go_on(position)
        for held, at_s in self._held:
            self._bytes += held
            self._typed.append((self.sent, at_s))
            data += held
        self._held.clear()
        return data

    def _go_on(self, position: int) -> bytes:
        """All before `position` is the server's: what of the rest is young enough to be sent again."""
        expect(position >= self.acked, "What was acknowledged stays taken.")
        expect(position <= self.sent, "The server took no more than was sent.")
        young_s = self._now_s() - QUEUE_WAITS_S
        start, again, kept = position, bytearray(), deque[tuple[int, float]]()
        for end, at_s in self._typed:
            if end <= position:
                kept.append((end, at_s))
                continue
            piece = bytes(self._bytes[start:end])
            start = end
            is_named = any(start - len(piece) < named.end and named.start < start for named in self.named)
            if at_s > young_s and not is_named:
                again += piece
                kept.append((position + len(again), at_s))
            else:
                self.left_out.append(piece)
        self._bytes[position:] = again
        self.named = [named for named in self.named if named.start < position]  # numbers are used anew
        self._typed = kept
        return bytes(again)
