"""A program to stand behind panes, which keeps what it reads and what it writes, and a typist who feeds it.

Both streams of a pane can then be compared byte for byte, however long and whatever happened on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from wormux.ids import PaneId
from wormux.testing.client import ScriptedClient
from wormux.testing.errors import ConnectionOver

from .kit import eventually

WRITE = b"\x05"
"""From here on the program writes numbered lines, instead of what it reads."""
FLOOD = b"\x06"
"""It writes as many bytes as it is allowed, as fast as it can, and then what it reads again."""
END = b"\x04"
"""It writes a last line and nothing more."""
_UNACKED_BYTES = 4096
"""How far a typist runs ahead of the acknowledgements: many frames, and little to be sent again."""

_PROGRAM = r"""
import os, select, sys, time, tty

folder, bytes_per_second = f"{sys.argv[1]}/{os.getpid()}", float(sys.argv[2])
os.mkdir(folder)
typed, written = (open(f"{folder}/{name}", "ab", buffering=0) for name in ("typed", "written"))

def write(data, kept=True):
    if kept:
        written.write(data)
    while data:
        data = data[os.write(1, data):]

tty.setraw(0)
write(b"\x1b]133;B\x07scribe %d\r\n" % os.getpid())
number, wrote_at_s, writes = 0, 0.0, False
while True:
    if select.select([0], [], [], 0.02 if writes else None)[0]:
        data = os.read(0, 65536)
        typed.write(data)
        if b"\x04" in data:
            writes = False
            write(b"END\r\n")
            open(f"{folder}/done", "w").close()
        elif b"\x06" in data:
            line = b"%012d of the flood" + b"." * 70 + b"\r\n"
            for first in range(0, int(sys.argv[3]) // 100, 1000):
                write(b"".join(line % number for number in range(first, first + 1000)), kept=False)
            open(f"{folder}/flooded", "w").close()
        elif b"\x05" in data:
            writes, wrote_at_s = True, time.monotonic()
        elif not writes:
            write(data)
    if writes:
        now_s = time.monotonic()
        lines = []
        for _ in range(int(min(0.1, now_s - wrote_at_s) * bytes_per_second / 100)):
            lines.append(b"%012d by %012d%s\r\n" % (number, os.getpid(), b"." * 70))
            number += 1
        if lines:
            wrote_at_s = now_s
            write(b"".join(lines))
"""


@dataclass(frozen=True)
class Scribe:
    """One running program."""

    folder: Path

    @property
    def typed(self) -> bytes:
        """All that it has read."""
        return (self.folder / "typed").read_bytes()

    @property
    def written(self) -> bytes:
        """All that it has written, and is about to; without a flood."""
        return (self.folder / "written").read_bytes()

    @property
    def written_bytes(self) -> int:
        return (self.folder / "written").stat().st_size

    async def writes(self, count: int) -> None:
        """So many bytes more."""
        wanted = self.written_bytes + count
        await eventually(lambda: self.written_bytes >= wanted, f"{count} bytes more")

    @property
    def has_flooded(self) -> bool:
        """Its terminal has taken the whole flood."""
        return (self.folder / "flooded").exists()

    async def ended(self) -> None:
        """It has read `END`."""
        await eventually((self.folder / "done").exists, "the last line")


@dataclass(frozen=True)
class Scribes:
    """The shell of a server's panes: each runs a `Scribe` of its own."""

    folder: Path
    bytes_per_second: int
    flood_bytes: int = 0

    @property
    def shell(self) -> str:
        self.folder.mkdir(exist_ok=True)
        script = self.folder / "scribe.py"
        script.write_text(_PROGRAM)
        arguments = [str(self.folder), str(self.bytes_per_second), str(self.flood_bytes)]
        return shlex.join([sys.executable, "-I", str(script), *arguments])

    async def behind(self, client: ScriptedClient, pane: PaneId) -> Scribe:
        """The one behind a new pane."""
        found = await client.wait_output(pane, rb"scribe (\d+)\D")
        return Scribe(self.folder / found[1].decode())


@dataclass
class Typist:
    """Types numbered pieces into a pane, on whatever connection there is."""

    client: ScriptedClient
    pane: PaneId
    scribe: Scribe
    typed: bytearray = field(default_factory=bytearray)
    """Since the pane was made."""

    async def type(self, data: bytes) -> None:
        self.typed += data
        await self.client.type(self.pane, data)

    async def start_lines(self) -> None:
        """Let the program write its lines from now on."""
        await self.type(WRITE)
        await self.client.wait_acked(self.pane)

    async def type_on(self) -> None:
        """As fast as it is acknowledged; until the connection is over."""
        with contextlib.suppress(ConnectionOver):
            while True:
                await self.client.wait_for(self._has_room, "acknowledgements")
                await self.type(b"%063d;" % len(self.typed))

    def _has_room(self) -> bool:
        stream = self.client.inputs.get(self.pane)
        return stream is None or stream.end - stream.acked < _UNACKED_BYTES

    async def check(self) -> None:
        """End the program: it has read what was typed, and the client has got what was written
        since it first saw the pane, every byte once."""
        await self.type(END)
        await self.scribe.ended()
        stream, output = self.client.inputs[self.pane], self.client.outputs[self.pane]
        assert (stream.discards, stream.left_out) == ([], [])
        expect_same(self.scribe.typed, bytes(self.typed), "read")
        written = self.scribe.written
        await self.client.wait_for(lambda: output.position >= len(written), "all that was written")
        expect_same(output.whole(), written[output.start :], "received")


def expect_same(got: bytes, wanted: bytes, what: str) -> None:
    """Says where they part: an assertion of its own would take minutes to compare so many bytes for its report."""
    if got != wanted:
        at = next(
            (i for i, (a, b) in enumerate(zip(got, wanted, strict=False)) if a != b),
            min(len(got), len(wanted)),
        )
        near = slice(max(0, at - 100), at + 100)
        counts = f"{len(got)} bytes {what} instead of {len(wanted)}"
        raise AssertionError(f"{counts}, different from {at} on:\n{got[near]!r}\n{wanted[near]!r}")


@asynccontextmanager
async def typing(typists: Iterable[Typist]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """All of them type, until this is left or the connection is over."""
    tasks = [asyncio.create_task(typist.type_on()) for typist in typists]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
