"""The two numbered streams between a client and a pane, kept and checked byte for byte (protocol §5, §6)."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from wormux.limits import INPUT_PANE_BYTES, OUTPUT_FRAME_BYTES, QUEUE_WAITS_S
from wormux.protocol.messages import DiscardReason, InputDiscarded, Replay, Resized
from wormux.testing.errors import ServerBroke, expect


@dataclass(frozen=True)
class Gap:
    """Output that this client never got: positions `start` to `end`."""

    start: int
    end: int


class OutputStream:
    """A pane's output as this client got it, across all its connections."""

    def __init__(self) -> None:
        self.position = 0
        """Of the next byte."""
        self.size = (0, 0)
        self.sizes: list[tuple[int, int, int]] = []
        """Every size that was told: (position, columns, rows)."""
        self.drawn = bytearray()
        """What a terminal would have been fed since it was last cleared: a redraw, and what came behind it."""
        self.start = 0
        """The position of the first byte of `received`."""
        self.received = bytearray()
        """All numbered bytes since the last gap."""
        self.earlier: list[tuple[int, bytes]] = []
        """What was received before each gap, with the position of its first byte."""
        self.gaps: list[Gap] = []
        self.replays: list[Replay] = []
        self.cursor = 0
        """How far of `drawn` was looked at by `ScriptedClient.wait_output`."""
        self._known = False
        """A whole redraw was received: the stream can be resumed."""
        self._started = False
        """On this connection."""
        self._resumed_at: int | None = None
        self._redraw_left = 0

    @property
    def resume(self) -> int | None:
        """For `connect`: the position, or None if the terminal's contents are not whole."""
        return self.position if self._known and not self._redraw_left else None

    def connecting(self) -> None:
        """A new connection asks to go on at `resume`."""
        self._resumed_at = self.resume
        self._known = self._resumed_at is not None
        self._started = False
        self._redraw_left = 0

    def forget(self) -> None:
        """Leave it out of `resume`."""
        self._known = False

    def take_replay(self, message: Replay) -> None:
        expect(not self._redraw_left, "A redraw is not interrupted by another message of its channel.")
        expect(message.reset or message.bytes == 0, "A replay with bytes clears first.")
        since = self.position if self._started else self._resumed_at
        if since is None:
            expect(message.skipped == 0, "Without a position in `resume` nothing is skipped.")
            expect(message.reset, "Without a position in `resume` the stream starts with a redraw.")
        else:
            # A server that lost what its predecessor sent last redraws from where its own stream ends.
            may_go_back = message.reset and not self._started
            expect(message.position >= since or may_go_back, "The stream never goes back.")
            expect(message.skipped == max(0, message.position - since), "`skipped` says how much was missed.")
            expect(message.reset or message.skipped == 0, "What is not continued is cleared.")
        if not self._known or message.position != self.position:
            if self._known and message.position > self.position:
                self.gaps.append(Gap(self.position, message.position))
            if self.received:
                self.earlier.append((self.start, bytes(self.received)))
            self.start = message.position
            self.received.clear()
        if message.reset:
            self.drawn.clear()
            self.cursor = 0
        self.replays.append(message)
        self.position = message.position
        self._redraw_left = message.bytes
        self._started = self._known = True
        self._sized(message.position, message.cols, message.rows)

    def take_resized(self, message: Resized) -> None:
        expect(self._started, "`replay` comes before anything else of its channel.")
        expect(not self._redraw_left, "A redraw is not interrupted by another message of its channel.")
        expect(message.position == self.position, "`resized` has its place among the bytes.")
        self._sized(message.position, message.cols, message.rows)

    def take_bytes(self, payload: bytes) -> None:
        expect(self._started, "`replay` comes before the first byte on a channel.")
        expect(
            len(payload) <= OUTPUT_FRAME_BYTES, f"A frame of output has at most {OUTPUT_FRAME_BYTES} bytes."
        )
        self.drawn += payload
        if self._redraw_left:
            expect(len(payload) <= self._redraw_left, "A redraw ends at the end of a frame.")
            self._redraw_left -= len(payload)
        else:
            self.position += len(payload)
            self.received += payload

    def whole(self) -> bytes:
        """All numbered bytes since this client first saw the pane. Raises `ServerBroke` if it missed any."""
        if self.gaps or (self.replays and self.start != self.replays[0].position):
            raise ServerBroke(f"Output is missing: it starts at {self.start}, with gaps {self.gaps}.")
        return bytes(self.received)

    def _sized(self, position: int, cols: int, rows: int) -> None:
        self.size = (cols, rows)
        self.sizes.append((position, cols, rows))


@dataclass(frozen=True)
class Discard:
    """Input that the server said will never be delivered: positions `start` to `end`."""

    start: int
    end: int
    reason: DiscardReason


@dataclass(frozen=True)
class Numbering:
    """One numbering of a client's input to a pane: it ends when a server does not know the client any more."""

    data: bytes
    """By position: what was typed, without what was left out after a cut."""
    acked: int
    discards: tuple[Discard, ...]


@dataclass(frozen=True)
class _Piece:
    position: int
    data: bytes
    typed_at_s: float

    @property
    def end(self) -> int:
        return self.position + len(self.data)


class InputStream:
    """What this client typed into a pane, kept until it is acknowledged."""

    def __init__(self) -> None:
        self.acked = 0
        self.end = 0
        """The position of the next byte to be typed."""
        self.discards: list[Discard] = []
        self.left_out: list[bytes] = []
        """Typed, and after a cut not sent again: too old, or to a server that did not know this client."""
        self.asked = False
        """The server is finding out how far it took this stream: nothing is sent meanwhile."""
        self.numbered = bytearray()
        """By position: what was typed, without what was left out."""
        self.ended: list[Numbering] = []
        """By servers that did not know this client."""
        self._pieces: deque[_Piece] = deque()
        self._sent = 0

    @property
    def room(self) -> int:
        """How much may be typed before an acknowledgement."""
        return INPUT_PANE_BYTES - (self.end - self.acked)

    def add(self, data: bytes) -> None:
        self._pieces.append(_Piece(self.end, data, time.monotonic()))
        self.numbered += data
        self.end += len(data)

    def next_unsent(self) -> bytes:
        """The next frame's payload, or nothing. It counts as sent."""
        if self.asked:
            return b""
        for piece in self._pieces:
            if piece.end > self._sent:
                data = piece.data[self._sent - piece.position :]
                self._sent = piece.end
                return data
        return b""

    def take_ack(self, position: int) -> None:
        expect(position <= self.end, "Only what was typed is acknowledged.")
        expect(position >= self.acked, "Acknowledgements never go back.")
        self._acknowledge(position)
        if self.asked:
            self.asked = False
            self._continue_at(position)

    def take_discard(self, message: InputDiscarded) -> None:
        discard = Discard(message.from_, message.to, message.reason)
        expect(0 <= discard.start < discard.end <= self.end, "Only what was typed is discarded.")
        if discard in self.discards:
            return  # said again after a cut
        apart = all(discard.end <= other.start or other.end <= discard.start for other in self.discards)
        expect(apart, "No byte is discarded twice.")
        self.discards.append(discard)

    def reconnected(self, position: int | None) -> None:
        """`state.input` has this entry for the pane."""
        if position is None:
            self.asked = True
        else:
            expect(self.acked <= position <= self.end, "The server took no more than was typed.")
            self._continue_at(position)

    def unknown(self) -> None:
        """The server does not know this client: its stream begins anew."""
        self.left_out += [piece.data for piece in self._pieces]
        self.ended.append(Numbering(bytes(self.numbered), self.acked, tuple(self.discards)))
        self.numbered.clear()
        self.discards.clear()
        self._pieces.clear()
        self.acked = self.end = self._sent = 0
        self.asked = False

    def kept(self, typed: bytes) -> bytes:
        """`typed`, all that was ever typed, without what was discarded."""
        kept = bytearray(typed)
        for discard in sorted(self.discards, key=lambda one: one.start, reverse=True):
            del kept[discard.start : discard.end]
        return bytes(kept)

    def _acknowledge(self, position: int) -> None:
        self.acked = position
        while self._pieces and self._pieces[0].end <= position:
            self._pieces.popleft()

    def _continue_at(self, position: int) -> None:
        """Everything before `position` is the server's; send what is younger than the queue's time. What was named as
        discarded is not sent again, also where the server has forgotten that it named it and uses its numbers anew."""
        now_s = time.monotonic()
        named = sorted((one for one in self.discards if one.end > position), key=lambda one: one.start)
        self.discards = [
            Discard(one.start, min(one.end, position), one.reason)
            for one in self.discards
            if one.start < position
        ]
        taken = [piece for piece in self._pieces if piece.position < position]
        rest = [piece for piece in self._pieces if piece.end > position]
        self._pieces = deque(taken)
        if taken and taken[-1].end > position:
            cut = self._pieces.pop()
            self._pieces.append(_Piece(cut.position, cut.data[: position - cut.position], cut.typed_at_s))
        self._sent = self.end = position
        del self.numbered[position:]
        for piece in rest:
            kept = bytearray(piece.data)
            del kept[: max(0, position - piece.position)]
            begin = piece.end - len(kept)
            out: list[bytes] = []
            for one in reversed(named):
                start, end = max(one.start, begin) - begin, min(one.end, piece.end) - begin
                if start < end:
                    out.append(bytes(kept[start:end]))
                    del kept[start:end]
            self.left_out += reversed(out)
            if not kept:
                continue
            if now_s - piece.typed_at_s < QUEUE_WAITS_S:
                self._pieces.append(_Piece(self.end, bytes(kept), piece.typed_at_s))
                self.numbered += kept
                self.end += len(kept)
            else:
                self.left_out.append(bytes(kept))
