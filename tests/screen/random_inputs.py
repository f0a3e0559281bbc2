"""Feeds a screen with random inputs, for as long as it is told to; `test_random` runs it in a process of its own.

Each round is one screen and some inputs, all drawn from the round's seed. The seed is written before the round
begins, so that the last one written is the one that crashed.
"""

from __future__ import annotations

import os
import random
import sys

from tests.screen.programs import Program
from wormux.limits import REDRAW_BYTES, REDRAW_LINES
from wormux.screen.answers import Answers
from wormux.screen.ghostty import GhosttyScreen
from wormux.screen.port import Screen

INPUTS_PER_ROUND = 100
SIZES = ((80, 24), (20, 5), (2, 2), (3, 7), (132, 40), (5, 2))


def round_of(seed: int) -> None:
    pick = random.Random(seed)
    cols, rows = pick.choice(SIZES)
    screen: Screen = GhosttyScreen(cols, rows, Answers())
    program = Program(seed, cols, rows)
    for _ in range(INPUTS_PER_ROUND):
        screen.feed(_input(pick, program))
        if pick.random() < 0.05:
            screen.resize(pick.randint(2, 140), pick.randint(2, 50))
        if pick.random() < 0.01:
            screen.redraw(REDRAW_LINES, REDRAW_BYTES)
    screen.skip()
    again = GhosttyScreen.opened(screen.checkpoint(), Answers())
    assert (again.cols, again.rows) == (screen.cols, screen.rows)
    again.close()
    screen.close()


def _input(pick: random.Random, program: Program) -> bytes:
    kind = pick.random()
    if kind < 0.4:
        return program.output(3)
    if kind < 0.6:
        parameters = ";".join(
            str(pick.choice((0, 1, 2, 9, 255, 65535, 2**32))) for _ in range(pick.randint(0, 5))
        )
        final = pick.choice("@ABCDEFGHIJKLMPSTXZ`abcdefghlmnpqrstuvwxyz{|}~")
        prefix, intermediate = pick.choice(("", "?", ">", "=", "<")), pick.choice(("", " ", "!", "$"))
        return f"\x1b[{prefix}{parameters}{intermediate}{final}".encode()
    if kind < 0.7:
        return (
            b"\x1b"
            + pick.choice((b"]", b"P", b"_", b"^", b"X"))
            + pick.randbytes(pick.randint(0, 40))
            + b"\x1b\\"
        )
    if kind < 0.85:
        damaged = bytearray(program.output(3))
        for _ in range(min(len(damaged), 3)):
            damaged[pick.randrange(len(damaged))] = pick.randrange(256)
        return bytes(damaged)
    return pick.randbytes(pick.randint(1, 60))


def main() -> None:
    first, inputs = int(sys.argv[1]), int(sys.argv[2])
    for seed in range(first, first + inputs // INPUTS_PER_ROUND):
        os.write(sys.stdout.fileno(), b"%d\n" % seed)
        round_of(seed)


if __name__ == "__main__":
    main()
