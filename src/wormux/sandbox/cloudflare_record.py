"""What is remembered of one terminal of a Cloudflare sandbox, and what of that is stored.

A Cloudflare sandbox numbers nothing and acknowledges nothing, so this side counts. It is stored so that a later server
recognises the output that comes again, and knows which input went out: a small file with every input, before it goes
out, and the end of the output once a second and when the terminal is let go of. Nothing is synced to the disk: it
outlives the server, not the machine, and then only recognises less.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from wormux.ids import PaneId
from wormux.limits import (
    AGENT_CLIENTS_PER_PANE,
    CLOUDFLARE_KEPT_BYTES,
    CLOUDFLARE_SAVE_EVERY_S,
    POSITION_MARK_BYTES,
)
from wormux.protocol.agent_link import Exit, TerminalInfo
from wormux.sandbox.cloudflare_overlap import Tail

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What may be the name of a sandbox or pane: it becomes one of a file, and part of an address."""
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,96}")

_TAIL_HEAD = struct.Struct("!QQQ")
"""Position behind the last byte, how much the terminal had written by then, and the generation."""


@dataclass
class Record:
    """One terminal. All that is here is of the terminal of `generation`."""

    pane_id: PaneId
    generation: int
    session: str
    """By which the sandbox knows its terminal; never used for another one."""
    position: int
    """Of the next byte of output."""
    cols: int
    rows: int
    shell: str | None = None
    """That it was started with, for the next one; None: the container's own."""
    mark: int = 0
    """Stored: nothing at or past it was ever delivered."""
    tail: Tail = field(default_factory=Tail)
    written: dict[str, int] = field(default_factory=dict)
    """Client id to the position before which its input went out, or was about to."""
    proven: dict[str, int] = field(default_factory=dict)
    """Client id to the position before which its input is known to have been taken."""
    answered: int = 0
    has_ended: bool = False
    saved_at_s: float = float("-inf")

    @property
    def info(self) -> TerminalInfo:
        start = self.position - len(self.tail)
        return TerminalInfo(
            self.pane_id, self.generation, start, self.position, Exit() if self.has_ended else None
        )

    def note_written(self, client_id: str, position: int) -> None:
        """The newest client is the last; of too many, the one that typed longest ago is forgotten."""
        self.written.pop(client_id, None)
        self.written[client_id] = position
        while len(self.written) > AGENT_CLIENTS_PER_PANE:
            oldest = next(iter(self.written))
            del self.written[oldest]
            self.proven.pop(oldest, None)

    def note_output(self, data: bytes) -> None:
        self.tail.append(data)
        self.position += len(data)


class Records:
    """The records of one sandbox: those in use, and those that lie in its directory."""

    def __init__(self, directory: Path, complain: Callable[[str], None]) -> None:
        """`complain` gets a sentence for the log where something cannot be stored or read."""
        self._directory = directory
        self._complain = complain
        self._has_complained = False
        self._records = self._load_all()

    @property
    def all(self) -> tuple[Record, ...]:
        return tuple(self._records.values())

    def get(self, pane_id: str, generation: int) -> Record | None:
        record = self._records.get(PaneId(pane_id))
        return record if record is not None and record.generation == generation else None

    def newest(self, pane_id: str) -> Record | None:
        return self._records.get(PaneId(pane_id))

    def add(self, record: Record) -> None:
        """In place of an older one of its pane."""
        self._records[record.pane_id] = record
        self.save(record)

    def remove(self, record: Record) -> None:
        if self._records.get(record.pane_id) is record:
            del self._records[record.pane_id]
            for suffix in (".json", ".tail"):
                try:
                    (self._directory / f"{record.pane_id}{suffix}").unlink(missing_ok=True)
                except OSError as error:
                    self._failed(error)

    def output(self, record: Record, data: bytes) -> None:
        """The terminal wrote; called before that is delivered."""
        record.note_output(data)
        is_due = time.monotonic() - record.saved_at_s >= CLOUDFLARE_SAVE_EVERY_S
        if is_due or record.position > record.mark - POSITION_MARK_BYTES // 2:  # the mark stays ahead
            self.save(record)

    def save(self, record: Record) -> None:
        if record.position > record.mark - POSITION_MARK_BYTES // 2:
            record.mark = record.position + POSITION_MARK_BYTES
        self.save_state(record)
        self._save_tail(record)

    def save_state(self, record: Record) -> None:
        """All but the output."""
        if self._records.get(record.pane_id) is not record:
            return
        state = {
            "generation": record.generation,
            "session": record.session,
            "shell": record.shell,
            "start": record.position - record.tail.seen,
            "mark": record.mark,
            "cols": record.cols,
            "rows": record.rows,
            "written": record.written,
            "proven": record.proven,
            "answered": record.answered,
            "has_ended": record.has_ended,
        }
        self._write(record, ".json", json.dumps(state).encode())

    def _save_tail(self, record: Record) -> None:
        if self._records.get(record.pane_id) is record:
            record.saved_at_s = time.monotonic()
            head = _TAIL_HEAD.pack(record.position, record.tail.seen, record.generation)
            self._write(record, ".tail", head + bytes(record.tail))

    def _write(self, record: Record, suffix: str, data: bytes) -> None:
        path = self._directory / f"{record.pane_id}{suffix}"
        new = path.with_suffix(suffix + ".new")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(new, flags, 0o600)
            try:
                if os.write(file, data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(file)
            new.replace(path)
        except OSError as error:  # what was stored before stays
            self._failed(error)
            with contextlib.suppress(OSError):
                new.unlink()

    def _failed(self, error: OSError) -> None:
        if not self._has_complained:
            self._has_complained = True
            self._complain(
                f"What a terminal of a Cloudflare sandbox showed cannot be stored: {error.strerror}."
            )

    def _load_all(self) -> dict[PaneId, Record]:
        records = {}
        for path in sorted(self._directory.glob("*.json")):
            if NAME.fullmatch(path.stem):
                try:
                    record = _load(path)
                except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
                    self._complain(
                        "What was stored of a terminal of a Cloudflare sandbox cannot be read; it is left out."
                    )
                else:
                    records[record.pane_id] = record
        return records


def _load(path: Path) -> Record:
    state = json.loads(path.read_bytes())
    numbers = [state[name] for name in ("generation", "start", "mark", "cols", "rows", "answered")]
    positions = [*state["written"].values(), *state["proven"].values()]
    if not all(isinstance(number, int) and number >= 0 for number in numbers + positions):
        raise ValueError("A number is none.")
    if not _SESSION.fullmatch(state["session"]):
        raise ValueError("The name of the terminal is none.")
    if not isinstance(state["shell"], str | None):
        raise ValueError("The shell is none.")  # noqa: TRY004 - of what was read, like the others
    position, seen, data = state["start"], 0, b""
    try:
        stored = path.with_suffix(".tail").read_bytes()
    except FileNotFoundError:
        stored = b""
    if stored:
        stored_position, stored_seen, generation = _TAIL_HEAD.unpack_from(stored)
        if generation == state["generation"]:
            position, seen, data = stored_position, stored_seen, stored[_TAIL_HEAD.size :]
    if len(data) > min(seen, CLOUDFLARE_KEPT_BYTES) or position > state["mark"]:
        raise ValueError("The stored output is not what it says.")
    return Record(
        pane_id=PaneId(path.stem),
        generation=state["generation"],
        session=state["session"],
        shell=state["shell"],
        position=position,
        cols=state["cols"],
        rows=state["rows"],
        mark=state["mark"],
        tail=Tail(data, seen),
        written=dict(state["written"]),
        proven=dict(state["proven"]),
        answered=state["answered"],
        has_ended=state["has_ended"] is True,
    )
