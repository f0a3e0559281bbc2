"""Compares what clients got with what programs wrote, and what programs read with what clients typed, byte for byte.

Pure: everything is given as bytes with their positions. What is wrong comes back as sentences; none means that all is
as it must be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from wormux.testing.streams import InputStream, Numbering, OutputStream

from .programs import HEADER, LINE

UNREAD_BYTES = 72 * 1024
"""What a terminal can hold for a program that reads nothing: the kernel's buffer, and what waits before it."""
_SHOWN_BYTES = 60
_BETWEEN_BYTES = 4096
_BETWEEN = re.compile(
    r"(?:[\x18\x0f\r\n]|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\]8;;\x1b\\|\x1b[ -/]*[0-Z\\^-~]"
    r"|── (?:(?:slept|lost|ended) [0-9:– -]+|[0-9:]+), new shell ──)*".encode()
)
"""What the server itself writes between two programs: modes off, the normal screen, and the line that says so."""

_FRAGMENT = re.compile(rb"[0-9a-zA-Z. ]{0,100}(?:\r\n|\n)?[0-9a-z. ]{0,100}(?:\r\n)?")
"""Behind a gap: the end of a line, and the beginning of the next."""


# --- Output --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """A part of a pane's output as one client got it, without a gap."""

    client: str
    start: int
    data: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.data)


def views(client: str, output: OutputStream) -> list[View]:
    """All that a client got of a pane."""
    parts = [*output.earlier, (output.start, bytes(output.received))]
    return [View(client, start, data) for start, data in parts if data]


@dataclass
class Run:
    """A part of a pane's output that is known without a gap, from all clients together."""

    start: int
    data: bytearray

    @property
    def end(self) -> int:
        return self.start + len(self.data)


def merge(parts: Iterable[View]) -> tuple[list[Run], list[str]]:
    """All that is known of a pane's output. No position may have two different bytes."""
    runs: list[Run] = []
    wrong = []
    for view in sorted(parts, key=lambda one: (one.start, -one.end)):
        if not runs or view.start > runs[-1].end:
            runs.append(Run(view.start, bytearray(view.data)))
            continue
        last = runs[-1]
        shared = min(last.end, view.end) - view.start
        known = bytes(last.data[view.start - last.start :][:shared])
        at = _parts_at(known, view.data[:shared])
        if at is not None:
            here = slice(max(0, at - _SHOWN_BYTES), at + _SHOWN_BYTES)
            wrong.append(
                f"Position {view.start + at} was sent as two bytes: {view.client} got {view.data[here]!r}, "
                f"somebody else {known[here]!r}."
            )
        last.data += view.data[shared:]
    return runs, wrong


@dataclass
class Told:
    """What a pane's output says of its programs."""

    pids: list[int] = field(default_factory=list)
    """In their order."""
    origins: dict[int, int] = field(default_factory=dict)
    """The position of each one's first byte."""
    wrong: list[str] = field(default_factory=list)
    compared_bytes: int = 0


def told(runs: Sequence[Run], written: Mapping[int, bytes], living: int | None = None) -> Told:
    """Compares a pane's output with what its programs wrote. Nothing but the `living` one's own may follow it."""
    result = Told()
    for run in runs:
        _compare_run(run, written, living, result)
    return result


def _compare_run(run: Run, written: Mapping[int, bytes], living: int | None, result: Told) -> None:
    data = bytes(run.data)
    for begin, end, pid, offset in _passages(data, written):
        if pid is None:
            fragment = _FRAGMENT.match(data, begin, end)
            _check_between(run.start + begin, data[fragment.end() if fragment else begin : end], result)
            continue
        if pid not in result.pids:
            result.pids.append(pid)
        elif result.pids[-1] != pid:
            result.wrong.append(f"At {run.start + begin}, program {pid} writes again after another one.")
        origin = run.start + begin - offset
        if result.origins.setdefault(pid, origin) != origin:
            result.wrong.append(
                f"Program {pid} began at {result.origins[pid]}; what follows a gap at {run.start} belongs to {origin}."
            )
        theirs = written[pid][offset : offset + end - begin]
        at = _parts_at(data[begin:end], theirs)
        same = at if at is not None else min(end - begin, len(theirs))
        result.compared_bytes += same
        rest = data[begin + same : end]
        if rest and pid == living:
            near = theirs[same : same + _SHOWN_BYTES]
            result.wrong.append(
                f"At {run.start + begin + same} stands {rest[:_SHOWN_BYTES]!r}, where program {pid} wrote {near!r}."
            )
        elif rest:
            _check_between(run.start + begin + same, rest, result)


def _passages(data: bytes, written: Mapping[int, bytes]) -> Iterator[tuple[int, int, int | None, int]]:
    """Begin, end, program, and where in what it wrote that begins. Without a program: between or before them."""
    headers = [(found.start(), int(found[1])) for found in HEADER.finditer(data)]
    first = headers[0][0] if headers else len(data)
    if first:
        line = LINE.search(data, 0, first)
        pid = int(line[2]) if line is not None else None
        if line is None or pid is None or pid not in written:
            yield 0, first, None, 0
        else:
            offset = written[pid].find(line[0]) - line.start()
            before = max(0, -offset)
            if before:
                yield 0, before, None, 0
            yield before, first, pid, offset + before
    ends = [start for start, _ in headers[1:]] + [len(data)] * bool(headers)
    for (start, pid), end in zip(headers, ends, strict=True):
        yield start, end, pid if pid in written else None, 0


def _check_between(position: int, data: bytes, result: Told) -> None:
    """The server's own bytes."""
    if len(data) > _BETWEEN_BYTES or not _is_between(data):
        result.wrong.append(f"At {position} stands what nobody wrote: {data[: 4 * _SHOWN_BYTES]!r}.")


def _is_between(data: bytes) -> bool:
    found = _BETWEEN.match(data)
    rest = data[found.end() :] if found is not None else data
    return not rest or (
        len(rest) < _SHOWN_BYTES and (rest.startswith(b"\x1b") or "──".encode().startswith(rest[:3]))
    )


def shown(screen: str, written: bytes) -> list[str]:
    """A screen shows the last lines of what its program wrote, the first of them perhaps without its beginning. How
    many depends on the sizes that it had before."""
    lines = written.decode("ascii").replace("\x1b]133;B\x07", "").split("\r\n")[:-1]
    rows = screen.rstrip("\n").split("\n")[-len(lines) :]
    wanted = lines[-len(rows) :]
    if rows[1:] == wanted[1:] and wanted[0].endswith(rows[0]):
        return []
    return [f"The screen shows {rows!r} instead of {wanted!r}."]


def _parts_at(one: bytes, other: bytes) -> int | None:
    """Where they differ, up to the end of the shorter one."""
    count = min(len(one), len(other))
    if one[:count] == other[:count]:
        return None
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle)
    return low


# --- Input ---------------------------------------------------------------------------------------------------

Fate = Literal["acknowledged", "discarded", "uncertain", "forgotten"]
"""Forgotten: not acknowledged when a server did not know the client any more."""


@dataclass(frozen=True)
class Typed:
    """A part of what a client typed into a pane."""

    data: bytes
    fate: Fate


def typed(stream: InputStream) -> list[Typed]:
    """All that was typed, and what the server said of it."""
    now = Numbering(bytes(stream.numbered), stream.acked, tuple(stream.discards))
    return [part for numbering in (*stream.ended, now) for part in _fates(numbering)]


def _fates(numbering: Numbering) -> Iterator[Typed]:
    at = 0
    for discard in sorted(numbering.discards, key=lambda one: one.start):
        start, end = max(at, discard.start), max(at, discard.end)
        if start > at:
            yield Typed(numbering.data[at:start], "acknowledged")
        if end > start:
            yield Typed(
                numbering.data[start:end], "uncertain" if discard.reason == "uncertain" else "discarded"
            )
        at = max(at, end)
    if at < numbering.acked:
        yield Typed(numbering.data[at : numbering.acked], "acknowledged")
    if max(at, numbering.acked) < len(numbering.data):
        yield Typed(numbering.data[max(at, numbering.acked) :], "forgotten")


@dataclass
class Reads:
    """How what was read covers what was typed."""

    wrong: list[str] = field(default_factory=list)
    read_bytes: int = 0
    unread_bytes: int = 0
    """Handed to terminals whose programs ended before they read it."""


_Place = tuple[int, int]
"""Number of a part, and how much of it is gone."""


def reads(parts: Sequence[Typed], read: Sequence[bytes], *, lives: bool) -> Reads:
    """`read` is what each program of the pane has read of this client, in their order; if it `lives`, the last one has
    read all that is there."""
    result = Reads()
    kept = [part for part in parts if part.fate != "discarded" and part.data]
    place: _Place = (0, 0)
    for number, data in enumerate(read):
        if not data:
            continue
        found = _find(kept, place, data)
        if found is None:
            result.wrong.append(f"Program {number + 1} read {_parting(kept, place, data)}")
            return result
        unread, place = found
        result.read_bytes += len(data)
        _count_unread(unread, result, first=number == 0)
    left = len(_rest(kept, place, sure=True))
    if left and lives:
        result.wrong.append(
            f"{left} acknowledged bytes were never read: {_rest(kept, place)[:_SHOWN_BYTES]!r}."
        )
    elif left:
        _count_unread(left, result, first=False)
    return result


def _parting(parts: Sequence[Typed], place: _Place, data: bytes) -> str:
    """How far what was read is as it was typed, and what comes there."""
    low, high = 0, len(data)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _find(parts, place, data[:middle]) is not None else (low, middle)
    found = _find(parts, place, data[:low]) if low else (0, place)
    wanted = _rest(parts, found[1] if found is not None else place)[:_SHOWN_BYTES]
    return (
        f"{low} bytes as they were typed, behind {data[max(0, low - _SHOWN_BYTES) : low]!r} then "
        f"{data[low : low + _SHOWN_BYTES]!r} instead of {wanted!r}."
    )


def _count_unread(count: int, result: Reads, *, first: bool) -> None:
    result.unread_bytes += count
    if count > (0 if first else UNREAD_BYTES):
        result.wrong.append(f"{count} acknowledged bytes were lost between two programs.")


def _find(parts: Sequence[Typed], place: _Place, data: bytes) -> tuple[int, _Place] | None:
    """Where what a program read begins, the first place that fits: how many acknowledged bytes are passed over for it,
    and where it ends."""
    passed = 0
    number, gone = place
    while number < len(parts):
        part = parts[number]
        at = gone
        while at < len(part.data):
            if part.data[at] == data[0]:
                end = _match(parts, (number, at), data)
                if end is not None:
                    return passed + (at - gone if part.fate == "acknowledged" else 0), end
            at += 1
        if part.fate == "acknowledged":
            passed += len(part.data) - gone
        number, gone = number + 1, 0
    return None


def _match(parts: Sequence[Typed], place: _Place, data: bytes) -> _Place | None:
    """Where `data` ends if it begins here. Of what is not certain, the terminal may have taken some."""
    number, gone = place
    while data:
        if number == len(parts):
            return None
        part = parts[number]
        wanted = part.data[gone:]
        shared = min(len(wanted), len(data))
        at = _parts_at(wanted, data)
        same = shared if at is None else at
        if part.fate != "acknowledged":
            for taken in range(same, -1, -1):
                if taken == len(data):
                    return number, gone + taken
                end = _match(parts, (number + 1, 0), data[taken:])
                if end is not None:
                    return end
            return None
        if same < shared:
            return None
        data = data[same:]
        number, gone = (number, gone + same) if same < len(wanted) else (number + 1, 0)
    return number, gone


def _rest(parts: Sequence[Typed], place: _Place, *, sure: bool = False) -> bytes:
    number, gone = place
    rest = [part.data[gone if index == 0 else 0 :] for index, part in enumerate(parts[number:])]
    fates = [part.fate for part in parts[number:]]
    return b"".join(
        data for data, fate in zip(rest, fates, strict=True) if not sure or fate == "acknowledged"
    )
