"""Whatever a program writes, its redraw is bounded, and the page's terminal reads it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from tests.screen.programs import Program
from tests.screen.xterm import Xterm, oracle
from wormux.limits import DEEP_REDRAW_BYTES, REDRAW_BYTES, REDRAW_LINES
from wormux.screen.answers import Answers
from wormux.screen.ghostty import GhosttyScreen

ROUNDS = 60
INPUTS = 40
SIZES = ((80, 24), (20, 5), (2, 2), (3, 7), (132, 40), (1000, 2), (2, 1000))
RESET = b"\x18\x1bc"

BOMBS = {
    "repeated": b"\xe6\xbc\xa2" + b"\x1b[65535b" * 40,
    "marks": b"a" + "\u0301".encode() * 100_000,
    "marks everywhere": ("a" + "\u0301" * 50).encode() * 3000,
    "joined": "👩\u200d".encode() * 20_000,
    "unfinished string": b"\x1b]2;" + b"x" * 3_000_000,
    "unfinished parameters": b"\x1b[" + b"1;" * 500_000,
    "unfinished image": b"\x1b_Gf=32,s=1,v=1;" + b"A" * 2_000_000,
    "unfinished sixel": b"\x1bPq" + b"~" * 2_000_000,
    "long title": b"\x1b]2;" + b"t" * 1_000_000 + b"\x1b\\",
    "long link": b"\x1b]8;;http://" + b"a" * 200_000 + b"\x1b\\x" + b"y" * 5000,
    "many links": b"".join(b"\x1b]8;id=%d;http://a/%d\x07x" % (n, n) for n in range(30_000)),
    "every style": b"".join(b"\x1b[38;2;%d;%d;1mx" % (n >> 8, n & 255) for n in range(40_000)),
    "palette": b"".join(b"\x1b]4;%d;#%06x\x07" % (n & 255, n) for n in range(20_000)),
    "pushed keyboards": b"\x1b[>31u" * 10_000,
    "pushed titles": b"\x1b]2;t\x07\x1b[22t" * 10_000,
    "saved modes": b"\x1b[?1;6;7;25;1000;1006;2004s" * 10_000,
    "long move": b"\x1b[99999999999;99999999999H\x1b[4294967295C\x1b[999999999L\x1b[999999999@x",
    "alternating": b"\x1b[?1049h\x1b[?47h\x1b[?1047l\x1b7\x1b8" * 10_000,
    "132 columns": b"\x1b[?40h\x1b[?3h" + b"x" * 1000 + b"\x1b[?3l",
    "raw": bytes(range(256)) * 400,
    "not UTF-8": b"\xf0\x9f\xe2\x80\xc3\xff\xfe\xed\xa0\x80" * 5000,
    "erased from its end": b"\x1b[24;80H\x1b[1J",
}


@pytest.fixture(scope="module")
def xterm() -> Iterator[Xterm]:
    with oracle() as running:
        yield running


@pytest.fixture
def shown(xterm: Xterm) -> Callable[[GhosttyScreen, int], None]:
    """Holds that a redraw is no more than so many bytes, and is read to its end."""

    def show(screen: GhosttyScreen, limit_bytes: int) -> None:
        data = screen.redraw(REDRAW_LINES, limit_bytes).data
        assert len(data) <= limit_bytes
        terminal = xterm.open(screen.cols, screen.rows)
        # The page writes a redraw in frames. What follows shows that the terminal still reads.
        for at in range(0, len(data), 4096):
            xterm.write([terminal], data[at : at + 4096])
        xterm.write([terminal], RESET + b"still here")
        state = xterm.state(terminal)
        assert state["threw"] is None
        assert state["normal cursor"] != "0,0"
        xterm.close([terminal])

    return show


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(shown: Callable[[GhosttyScreen, int], None], name: str) -> None:
    screen = GhosttyScreen(80, 24, Answers())
    screen.feed(BOMBS[name])
    shown(screen, REDRAW_BYTES)
    shown(screen, DEEP_REDRAW_BYTES)
    screen.feed(b"\x18on it goes")
    shown(screen, REDRAW_BYTES)
    screen.close()


def test_that_an_error_would_be_seen(xterm: Xterm) -> None:
    terminal = xterm.open(80, 24)
    xterm.write([terminal], BOMBS["erased from its end"])
    assert "TypeError" in xterm.state(terminal)["threw"]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_random_input(shown: Callable[[GhosttyScreen, int], None], size: tuple[int, int]) -> None:
    for seed in range(ROUNDS // len(SIZES)):
        pick = random.Random(seed)
        program = Program(seed, *size)
        screen = GhosttyScreen(*size, Answers())
        for _ in range(INPUTS):
            screen.feed(damaged(pick, program.output(8)))
            if pick.random() < 0.1:
                screen.resize(pick.randint(2, 140), pick.randint(2, 50))
            if pick.random() < 0.2:
                shown(screen, REDRAW_BYTES)
        shown(screen, REDRAW_BYTES)
        screen.close()


def damaged(pick: random.Random, data: bytes) -> bytes:
    """As a program writes it, cut off, with wrong bytes in it, or nothing but those."""
    match pick.randrange(4):
        case 0:
            return data
        case 1:
            return data[: pick.randint(0, len(data))]
        case 2:
            changed = bytearray(data)
            for _ in range(min(len(changed), 4)):
                changed[pick.randrange(len(changed))] = pick.randrange(256)
            return bytes(changed)
        case _:
            return pick.randbytes(pick.randint(1, 80))
