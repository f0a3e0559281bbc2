"""The library's snapshots: what they say, that they are of the form known here, and that garbage is refused."""

from __future__ import annotations

import base64
import contextlib
import random
import zlib

import pytest

from wormux.errors import ScreenError
from wormux.screen import library
from wormux.screen.snapshot import PRIMARY, Link, Snapshot, read

PROGRAM = (
    b"\x1b]2;golden\x07\x1b]7;file://host/dir\x07one\r\n"
    b"\x1b[1;31mtwo\x1b[m \x1b]8;id=a;http://x\x07link\x1b]8;;\x07\r\n"
    b"\xe4\xb8\xade\xcc\x81 wraps round\x1b7\x1b[?2004h\x1b]4;1;#010203\x07\x1b["
)
"""For 12 columns and 3 rows."""
GOLDEN = zlib.decompress(
    base64.b64decode("""
    eNp9VE1IlGEQnm9Xaymh8pqRdfCY2y08eBKMoC2wgxD0kqyrwqJSJtFpg2Bgb4HRTegHMRAmrahoEyFcJDzsJSaWjkJgYEG3CKZnXr/K
    whrYb97Zd+aZZ57Zb/tPnxu4MFA4n1BCj7JEtScLD9oIh1+WwWe/HxIq+hPmUY5ajlPxIE7uaYf/t1Xi01Kj5MjRY+ul0rPXo1/qUzfv
    Ly/NvKouP19dq5dKpXeFgZdvz3xc7b8x13xz9/3kyuLm5mYsD0RMJEQKKI9CoMAUhIJSML/kQMzEQqzE5rkSSJhESJTEvFQDKZMKqZIa
    kMgCGZMJmYKjAzs0sFCMbPM+bhyChKAhmLdFxBxYAmtgcxa4FA4iQTSIOSnkKgeVoBrUwBGlwTiYBNNg5pR9BpAGS9Ayn8A7ARpYKDYf
    yGOYMCuz+Xxoi0iERVnMxwULXKqwKqthepBCLpuwKZu5GC4WqiEH5jfXxkcCGEiDpblU3hjYgAaWuXJ+jRimIuZCYj60RaQqatAV44IF
    LsVUzFxm3wp7rgttrrprx17qcpgvwSdkR3LS5jtxHuzADm2+Is9m7+Nm2BiExHxoi0j95+S/Bov7trhRizuzuBWLultU1qJ2FtWxOL/F
    CS3OYJGlRR4WO1nEsphtMc7lcu3t7R0dHV1dXfl8vqenp6+vr1AoDA4ODg0Nlcvl6enpSqVSrVZnZmZmZ2fn5+eXlpZqtVq9Xm80Gs1m
    c2NjY2trK/P/14WSTPYAXGmsPNzT3T06cXWquzh2ZQ++GpkoF4fHM3QW5/xtOuFvZ5JWZfHKJrsD5v5Az1Jm15wsfYNvLpbn2qglAldo
    hahzGwDxDvQkfjLuLjv66NTUJLheB8jE+HA+R40EGLAPqa+lvpICPPbSzoQepv5F6hdSf7KNnp7CueX3CHeSnX8nETraWupvpX4l9et/
    5f/Mq6U+k6Vr48Uk/te5dBCG9kZtWr+PfD18sTVmbXR+3tdCLv69Q9VL25V74rP300DvD7227MI=
    """)
)
"""What the library made of it."""


def read_all(data: bytes) -> Snapshot:
    """With every row and cell."""
    found = read(data)
    for screen in found.screens.values():
        for row in screen.rows(1_000_000):
            row.plain()
            row.cells()
    return found


def test_reads_what_is_there() -> None:
    found = read_all(GOLDEN)
    assert (found.cols, found.rows, found.region, found.active) == (12, 3, (0, 2, 0, 11), PRIMARY)
    assert (found.title, found.cwd, found.continuation) == (b"golden", b"file://host/dir", b"\x1b[")
    assert found.palette == {1: (1, 2, 3)}
    assert found.tabs == [8]
    screen = found.screens[PRIMARY]
    assert (screen.x, screen.y, screen.history_rows) == (3, 2, 1)
    assert screen.saved is not None
    assert (screen.saved.x, screen.saved.y) == (3, 2)
    rows = screen.rows(10)
    assert [(row.wraps, row.continues) for row in rows] == [(False, False)] * 2 + [
        (True, False),
        (False, True),
    ]
    assert rows[0].plain() == "one"
    assert rows[1].plain() is None
    assert [chr(cell >> 2 & 0xFFFFFF) for cell in rows[1].cells()] == list("two link")
    assert rows[1].page.links == {rows[1].cell(4) >> 48: Link(b"a", b"http://x")}
    assert rows[2].page.clusters == {(2, 2): "\u0301"}
    assert [row.plain() for row in screen.rows(1)] == ["und"]


@pytest.mark.skipif(not library.available(), reason="the emulator has no build for this machine")
def test_the_library_writes_as_it_did() -> None:
    """If not, its format has changed: read it anew, count up the version of checkpoints, and make this one anew."""
    terminal = library.Terminal(12, 3, lambda _reply: None)
    terminal.feed(PROGRAM)
    assert terminal.snapshot() == GOLDEN
    terminal.close()


@pytest.mark.parametrize("data", [b"", b"GHOSTSNP", b"GHOSTSNP\2\0" + GOLDEN[10:], b"x" * 2000, GOLDEN[:-1]])
def test_refuses_what_is_no_snapshot(data: bytes) -> None:
    with pytest.raises(ScreenError):
        read(data)


def test_refuses_every_part() -> None:
    for length in range(len(GOLDEN)):
        with pytest.raises(ScreenError):
            read_all(GOLDEN[:length])


def test_garbage_is_read_or_refused() -> None:
    pick = random.Random(1)
    for _ in range(5000):
        damaged = bytearray(GOLDEN)
        for _ in range(pick.randint(1, 4)):
            damaged[pick.randrange(len(damaged))] = pick.choice((0, 1, 0x7F, 0xFF, pick.randrange(256)))
        with contextlib.suppress(ScreenError):
            read_all(bytes(damaged))
