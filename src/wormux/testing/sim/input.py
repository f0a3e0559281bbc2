"""What one simulated client typed into one pane: the client's own record, and what became of each byte.

What was sent has a position in the numbered stream; what waits here has none yet. A client that the server does not
know any more begins a new stream; each has its own record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from wormux.limits import INPUT_PANE_BYTES, QUEUE_WAITS_S
from wormux.protocol.messages import DiscardReason, InputDiscarded
from wormux.testing.errors import expect
from wormux.testing.sim.rules import rule

ACCOUNTED = rule("accounted", "Every byte of input that was acknowledged is written or named as discarded.")
WRITTEN_ONCE = rule("written once", "Input is written once, in order, and as it was sent.")
NAMED_ONCE = rule("named once", "No byte of input is named as discarded twice.")
NOT_BOTH = rule("not both", "What is named as never sent to a terminal is not written, before or after.")

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
    is_forgotten: Callable[[], bool] = lambda: False
    """That server is gone, perhaps before it stored this, and so is the terminal's agent: nobody can know of it."""


@dataclass(frozen=True)
class Confession:
    """Input that will never arrive, as the client tells the person."""

    count: int
    reason: DiscardReason | Literal["unsent"]
    data: bytes | None
    """None where some of it was settled before."""


@dataclass(frozen=True)
class _Sent:
    """A press or a paste that is not settled."""

    end: int
    at_s: float
    unwanted: bool = False
    """The person asked to drop it: it is not sent a second time."""


class SimInput:
    """One numbered stream of input."""

    def __init__(self, now_s: Callable[[], float], *, ready: bool = True) -> None:
        self.acked = 0
        self.ready = ready
        self.adopts = False
        """Its numbers began before this client's memory: the server says where they are."""
        """The server has said where this stream goes on. Until then everything waits."""
        self.named: list[Named] = []
        self.named_by_the_dead: set[Named] = set()
        """Those that a server named that is gone."""
        self.handed: list[Handed] = []
        self.excused: list[tuple[int, int]] = []
        """Ranges that were named by a server that died before its client heard it."""
        self.confessed: list[Confession] = []
        """In the order of their coming; a stream that begins anew goes on with the list of the one before."""
        self._now_s = now_s
        self._accounted = 0
        """All before it is known to be settled."""
        self._bytes = bytearray()
        """All that was sent, by position."""
        self._sent: deque[_Sent] = deque()
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._lost = False

    @property
    def sent(self) -> int:
        """The position of the next byte to be sent."""
        return len(self._bytes)

    @property
    def unacked(self) -> int:
        """Bytes whose fate is open."""
        return len(self._open()) + sum(len(data) for data, _ in self._waiting)

    @property
    def room(self) -> int:
        """How much may be sent before an acknowledgement."""
        return INPUT_PANE_BYTES - (self.sent - self.acked)

    @property
    def waits(self) -> bool:
        """Something was typed and not sent."""
        return bool(self._waiting)

    @property
    def unwanted(self) -> bool:
        """The server has something that the person asked to drop, and may not have written it yet."""
        return bool(self._open()) and any(piece.unwanted and piece.end > self.acked for piece in self._sent)

    def type(self, data: bytes) -> None:
        """It waits until `send`."""
        if data:
            self._waiting.append((data, self._now_s()))

    def send(self, room: int) -> bytes:
        """What goes out now of what waits, at most `room` bytes. It counts as sent."""
        begin = self.sent
        while self.ready and self._waiting and room > 0:
            data, at_s = self._waiting.popleft()
            if len(data) > room:
                self._waiting.appendleft((data[room:], at_s))
                data = data[:room]
            room -= len(data)
            self._bytes += data
            self._sent.append(_Sent(self.sent, at_s))
        return bytes(self._bytes[begin:])

    def discard(self) -> bool:
        """The person wants it back. Whether the server has to be asked, because some of it was sent."""
        self._confess(self._take_waiting(), "asked")
        self._sent = deque(replace(piece, unwanted=True) for piece in self._sent)
        return bool(self._open())

    def cut(self) -> None:
        """The connection is over."""
        self.ready = False

    def reconnected(self, position: int | None) -> None:
        """The entry in `state.input`: where to go on, or None while the server finds out."""
        if position is not None:
            self._go_on(position)

    def take_ack(self, position: int) -> None:
        """All before `position` is settled."""
        expect(position >= self.acked, "Acknowledgements never go back.")
        if not self.ready:
            self._go_on(position)
        expect(position <= self.sent, "Only what was sent is acknowledged.")
        self._settle(position)

    def take_named(self, message: InputDiscarded) -> None:
        """Some of it is dropped."""
        named = Named(message.from_, message.to, message.reason)
        expect(0 <= named.start < named.end <= self.sent, "Only what was sent is discarded.")
        if named in self.named:
            return  # said again after a cut
        for other in self.named:
            apart = named.end <= other.start or other.end <= named.start
            # A new server does not know what the one before had named.
            apart |= named.reason in _PERHAPS_WRITTEN and other in self.named_by_the_dead
            NAMED_ONCE.expect(apart, f"{named} after {other}")
        if named.reason not in _PERHAPS_WRITTEN:
            for handed in self.handed:
                apart = handed.end <= named.start or named.end <= handed.start or handed.is_forgotten()
                NOT_BOTH.expect(apart, f"{named} after {handed}")
        self.named.append(named)
        data = bytes(self._bytes[named.start : named.end]) if named.start >= self.acked else None
        self.confessed.append(Confession(named.end - named.start, named.reason, data))
        if named.start <= self.acked:
            self._settle(max(self.acked, named.end))

    def begin_anew(self) -> SimInput:
        """The stream that follows under numbers of its own. Of this one nothing is sent again."""
        self.lose()
        stream = SimInput(self._now_s, ready=False)
        stream.confessed = self.confessed
        stream._waiting, self._waiting = self._waiting, deque()
        return stream

    def lose(self) -> None:
        """Nobody will say any more what became of what was sent."""
        self._confess(self._open(), "uncertain")
        self._lost = True

    def close(self) -> None:
        """The pane is gone: what was not sent never will be. The server names the rest."""
        self.ready = False
        self._confess(self._take_waiting(), "closed")

    def hand(self, data: bytes, handed: Handed, *, may_repeat: bool) -> None:
        """A terminal was given `data`."""
        WRITTEN_ONCE.expect(handed.end <= self.sent, f"{handed}, and {self.sent} were sent.")
        WRITTEN_ONCE.expect(self._bytes[handed.start : handed.end] == data, f"{data!r} at {handed}")
        last = max((other.end for other in self.handed), default=0)
        WRITTEN_ONCE.expect(handed.start >= last or may_repeat, f"{handed} after {last}")
        for named in self.named:
            apart = handed.end <= named.start or named.end <= handed.start
            NOT_BOTH.expect(apart or named.reason in _PERHAPS_WRITTEN, f"{handed} after {named}")
        self.handed.append(handed)

    def unaccounted(self) -> list[tuple[int, int]]:
        """What was acknowledged, and neither written nor named: to be empty."""
        written = [(one.start, one.end) for one in self.handed if one.end > self._accounted]
        named = [(one.start, one.end) for one in self.named if one.end > self._accounted]
        excused = [piece for piece in self.excused if piece[1] > self._accounted]
        missing = _gaps(sorted([*written, *named, *excused]), self._accounted, self.acked)
        if not missing:
            self._accounted = self.acked
        return missing

    def _open(self) -> bytes:
        """What was sent, and is neither acknowledged nor named."""
        return b"" if self._lost else self._unnamed(self.acked, self.sent)

    def _unnamed(self, start: int, end: int) -> bytes:
        named = sorted((one.start, one.end) for one in self.named)
        return b"".join(self._bytes[first:last] for first, last in _gaps(named, start, end))

    def _settle(self, position: int) -> None:
        self.acked = max(self.acked, position)
        while self._sent and self._sent[0].end <= position:
            self._sent.popleft()

    def _go_on(self, position: int) -> None:
        """All before `position` is the server's: what of the rest is young enough waits to be sent again."""
        if self.adopts:
            self.adopts = False
            self._bytes, self.acked = bytearray(position), position
        expect(position >= self.acked, "What was acknowledged stays taken.")
        expect(position <= self.sent, "The server took no more than was sent.")
        start, unwanted = position, bytearray()
        kept, again = deque[_Sent](), list[tuple[bytes, float]]()
        for piece in self._sent:
            if (kept[-1].end if kept else self.acked) < position:
                kept.append(replace(piece, end=min(piece.end, position)))
            if piece.end <= position:
                continue
            data = self._unnamed(start, piece.end)
            start = piece.end
            if piece.unwanted:
                unwanted += data
            elif data:
                again.append((data, piece.at_s))
        self._sent = kept
        self._waiting.extendleft(reversed(again))
        del self._bytes[position:]
        self.named = [named for named in self.named if named.start < position]  # numbers are used anew
        self._confess(bytes(unwanted), "asked")
        self.ready = True
        self._leave_out_old()

    def _leave_out_old(self) -> None:
        young_s = self._now_s() - QUEUE_WAITS_S
        old = [data for data, at_s in self._waiting if at_s <= young_s]
        self._waiting = deque(piece for piece in self._waiting if piece[1] > young_s)
        self._confess(b"".join(old), "unsent")

    def _take_waiting(self) -> bytes:
        data = b"".join(data for data, _ in self._waiting)
        self._waiting.clear()
        return data

    def _confess(self, data: bytes, reason: DiscardReason | Literal["unsent"]) -> None:
        if data:
            self.confessed.append(Confession(len(data), reason, data))


def _gaps(known: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """What of `start` to `end` none of the sorted ranges covers."""
    at, missing = start, []
    for first, last in known:
        if first > at:
            missing.append((at, min(first, end)))
        at = max(at, last)
    missing.append((at, end))
    return [(first, last) for first, last in missing if first < last]
