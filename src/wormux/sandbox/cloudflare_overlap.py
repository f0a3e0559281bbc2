"""Which part of the output that comes again is known already. Pure.

A Cloudflare sandbox keeps the last 262,144 bytes of each terminal and sends them on every connect, unnumbered. `Tail`
is what this side remembers of the same stream; `new_part` tells where the kept output goes on behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from wormux.limits import CLOUDFLARE_KEPT_BYTES, CLOUDFLARE_OVERLAP_BYTES

_CANDIDATES = 64
"""Places that are compared one by one before the method that no repetition slows down."""
_ANCHOR_BYTES = 64


class Tail:
    """The end of one terminal's stream, as it came."""

    def __init__(self, data: bytes = b"", seen: int = 0) -> None:
        """`data` ends where the terminal had written `seen` bytes in all."""
        self._data = bytearray(data[-CLOUDFLARE_KEPT_BYTES:])
        self.seen = seen

    def __len__(self) -> int:
        return min(len(self._data), CLOUDFLARE_KEPT_BYTES)

    def __bytes__(self) -> bytes:
        return bytes(memoryview(self._data)[-CLOUDFLARE_KEPT_BYTES:]) if self._data else b""

    @property
    def is_whole(self) -> bool:
        """It begins with the terminal's first byte."""
        return self.seen == len(self)

    def append(self, data: bytes) -> None:
        self.seen += len(data)
        self._data += data
        if len(self._data) > 2 * CLOUDFLARE_KEPT_BYTES:  # seldom, since it moves what stays
            del self._data[:-CLOUDFLARE_KEPT_BYTES]


class Verdict(Enum):
    """What kept output is, beside the tail."""

    CONTINUES = auto()
    """The same stream: what is behind the known part comes next."""
    MOVED_ON = auto()
    """The same stream, but so much was written that what came next is no longer kept."""
    FRESH = auto()
    """Another terminal's: that one is gone."""


@dataclass(frozen=True)
class NewPart:
    verdict: Verdict
    start: int
    """Of what is new in the kept output."""


def new_part(tail: Tail, kept: bytes) -> NewPart:
    """Compare. The kept output's end is the newest byte that the terminal has written.

    As long as the terminal wrote less than is kept, the kept output is its whole stream and begins as the tail does;
    anything else is another terminal. A full one begins somewhere within the tail. Where several places fit, as with
    output that repeats itself, the longest overlap counts: nothing is shown twice, and what may be missed looks like
    what is shown. An overlap of a few bytes may be chance, and is none."""
    is_full = len(kept) >= CLOUDFLARE_KEPT_BYTES
    if tail.is_whole and tail.seen < CLOUDFLARE_OVERLAP_BYTES and is_full:
        return NewPart(Verdict.MOVED_ON, 0)
    if len(kept) <= CLOUDFLARE_KEPT_BYTES // 2 or (tail.is_whole and tail.seen < CLOUDFLARE_OVERLAP_BYTES):
        whole = bytes(tail)
        if tail.is_whole and kept.startswith(whole):
            return NewPart(Verdict.CONTINUES, len(whole))
        return NewPart(Verdict.FRESH, 0)
    known = overlap(bytes(tail), kept)
    if known >= CLOUDFLARE_OVERLAP_BYTES:
        return NewPart(Verdict.CONTINUES, known)
    return NewPart(Verdict.MOVED_ON, 0)


def overlap(tail: bytes, kept: bytes) -> int:
    """The length of the longest end of `tail` with which `kept` begins."""
    if len(kept) < _ANCHOR_BYTES:
        return _overlap_anyhow(tail, kept)
    anchor = kept[:_ANCHOR_BYTES]
    at = tail.find(anchor, max(0, len(tail) - len(kept)))
    for _ in range(_CANDIDATES):
        if at < 0:
            return _overlap_anyhow(tail[1 - _ANCHOR_BYTES :], anchor)
        if kept.startswith(tail[at:]):
            return len(tail) - at
        at = tail.find(anchor, at + 1)
    return _overlap_anyhow(tail, kept)


def _overlap_anyhow(tail: bytes, kept: bytes) -> int:
    """As `overlap`, in a time that grows with the lengths alone (Knuth, Morris and Pratt): a tenth of a second at
    most."""
    kept = kept[: len(tail)]
    tail = tail[len(tail) - len(kept) :]
    if not kept:
        return 0
    borders = [0] * len(kept)
    length = 0
    for index in range(1, len(kept)):
        byte = kept[index]
        while length and byte != kept[length]:
            length = borders[length - 1]
        if byte == kept[length]:
            length += 1
        borders[index] = length
    length = 0
    for byte in tail:
        if length == len(kept):
            length = borders[length - 1]
        while length and byte != kept[length]:
            length = borders[length - 1]
        if byte == kept[length]:
            length += 1
    return length
