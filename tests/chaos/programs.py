"""The programs behind the panes: each numbers what it writes, and keeps what it reads and what it writes.

What clients type is numbered as well, in an alphabet of each client's own, so that every byte that a program has read
says who typed it, however the clients' frames were mixed or cut.
"""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

END = b"\x04"
"""Typed by the first client: the program writes a last line and nothing more."""
LINE_BYTES = 100
LINE = re.compile(rb"(\d{12}) by (\d{9}) at (\d{15})\.{54}\r\n")
"""Number of the line, pid of its program, and when it was written: milliseconds since boot."""
HEADER = re.compile(rb"\x1b\]133;B\x07scribe (\d{9})\r\n")
GROUP_BYTES = 8
"""Of what is typed: the group's number in sixteen letters of its client."""

_LETTERS = tuple(bytes(range(16 * high, 16 * high + 16)) for high in (4, 5, 6, 7, 10, 11, 12, 13, 14, 15))
MOST_CLIENTS = len(_LETTERS)

_PROGRAM = r"""
import os, select, sys, time, tty

pid, bytes_per_second = os.getpid(), float(sys.argv[2])
folder = f"{sys.argv[1]}/{pid:09}"
os.mkdir(folder)
typed, written = (open(f"{folder}/{name}", "ab", buffering=0) for name in ("typed", "written"))

def write(data):
    written.write(data)
    while data:
        data = data[os.write(1, data):]

tty.setraw(0)
write(b"\x1b]133;B\x07scribe %09d\r\n" % pid)
number, wrote_at_s, writes = 0, time.monotonic(), True
while True:
    if select.select([0], [], [], 0.1 if writes else None)[0]:
        data = os.read(0, 65536)
        typed.write(data)
        if b"\x04" in data and writes:
            writes = False
            write(b"END\r\n")
            open(f"{folder}/done", "w").close()
    if writes:
        now_s = time.monotonic()
        count = int(min(1.0, now_s - wrote_at_s) * bytes_per_second / 100)
        if count:
            wrote_at_s, at_ms = now_s, int(1000 * time.clock_gettime(time.CLOCK_BOOTTIME))
            lines = [b"%012d by %09d at %015d%s\r\n" % (number + one, pid, at_ms, b"." * 54) for one in range(count)]
            number += count
            write(b"".join(lines))
"""


@dataclass(frozen=True)
class Scribe:
    """One program that ran or runs."""

    folder: Path

    @property
    def pid(self) -> int:
        return int(self.folder.name)

    @property
    def typed(self) -> bytes:
        """All that it has read."""
        return (self.folder / "typed").read_bytes()

    @property
    def written(self) -> bytes:
        """All that it has written, and was about to when it ended."""
        return (self.folder / "written").read_bytes()

    @property
    def is_done(self) -> bool:
        """It has read `END`, and written its last line."""
        return (self.folder / "done").exists()


@dataclass(frozen=True)
class Scribes:
    """All programs of a server: each pane's shell is one."""

    folder: Path
    bytes_per_second: int

    @property
    def shell(self) -> str:
        """The command line of `--shell`."""
        self.folder.mkdir(exist_ok=True)
        script = self.folder / "scribe.py"
        script.write_text(_PROGRAM)
        arguments = [str(self.folder), str(self.bytes_per_second)]
        return shlex.join([sys.executable, "-I", "-S", str(script), *arguments])

    def all(self) -> dict[int, Scribe]:
        """Every one that has started, by its pid."""
        found = [Scribe(path) for path in self.folder.iterdir() if path.is_dir()]
        return {one.pid: one for one in found if (one.folder / "written").exists()}


def group(client: int, number: int) -> bytes:
    """What this client types as its group of this number."""
    letters = _LETTERS[client]
    return bytes(letters[int(digit, 16)] for digit in f"{number:08x}")


def typed_by(client: int, data: bytes) -> bytes:
    """The part of what was read that this client typed; `END` is the first one's."""
    letters = _LETTERS[client] + (END if client == 0 else b"")
    return data.translate(None, bytes(set(range(256)) - set(letters)))


def last_written_at_ms(output: bytes | bytearray) -> int:
    """When the last whole line at the end of some output was written; 0 if there is none."""
    lines = LINE.findall(bytes(output[-4 * LINE_BYTES :]))
    return int(lines[-1][2]) if lines else 0
