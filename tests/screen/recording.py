"""Sessions of real programs: what each wrote to its terminal, and where in that the terminal was resized.

A file is one header line of ASCII, `wormux-recording 1 <cols> <rows> plain|zlib`, and then the records, compressed as
a whole or not: `o`, a 32-bit length and so many bytes of output, or `r` and two 16-bit numbers, the columns and rows
that the terminal has from here on. Numbers are big-endian. `scripts/record_terminals.py` writes them.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "recordings"

_MAGIC = "wormux-recording 1"
_OUTPUT = struct.Struct("!cI")
_RESIZE = struct.Struct("!cHH")
_COMPRESS_BYTES = 20 * 1024
"""Shorter ones stay readable in the repository."""


@dataclass(frozen=True)
class Resize:
    cols: int
    rows: int


@dataclass(frozen=True)
class Recording:
    """A whole session."""

    cols: int
    rows: int
    """The size that it began with."""
    records: tuple[bytes | Resize, ...]
    """Output as it was read, and resizes at their place in it."""

    @property
    def output(self) -> bytes:
        return b"".join(record for record in self.records if isinstance(record, bytes))


def names() -> list[str]:
    """Of all recordings there are."""
    return sorted(path.stem for path in FOLDER.glob("*.rec"))


def load(name: str) -> Recording:
    header, _, body = (FOLDER / f"{name}.rec").read_bytes().partition(b"\n")
    magic, cols, rows, form = header.decode().rsplit(" ", 3)
    if magic != _MAGIC:
        raise ValueError(f"{name} is no recording of a form that is known here.")
    if form == "zlib":
        body = zlib.decompress(body)
    records: list[bytes | Resize] = []
    at = 0
    while at < len(body):
        if body[at : at + 1] == b"r":
            _, new_cols, new_rows = _RESIZE.unpack_from(body, at)
            records.append(Resize(new_cols, new_rows))
            at += _RESIZE.size
        else:
            _, length = _OUTPUT.unpack_from(body, at)
            at += _OUTPUT.size
            records.append(body[at : at + length])
            at += length
    return Recording(int(cols), int(rows), tuple(records))


def dump(name: str, recording: Recording) -> int:
    """Returns the size of the file."""
    body = bytearray()
    for record in recording.records:
        if isinstance(record, Resize):
            body += _RESIZE.pack(b"r", record.cols, record.rows)
        else:
            body += _OUTPUT.pack(b"o", len(record)) + record
    form = "plain"
    if len(body) > _COMPRESS_BYTES:
        form, body = "zlib", bytearray(zlib.compress(bytes(body), 9))
    content = f"{_MAGIC} {recording.cols} {recording.rows} {form}\n".encode() + body
    FOLDER.mkdir(exist_ok=True)
    return (FOLDER / f"{name}.rec").write_bytes(content)
