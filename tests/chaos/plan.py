"""What goes wrong in a run, drawn from its seed: storms of faults, with a calm between any two.

Pure: the same seed, count and kinds give the same plan. Who is struck is a number here; `faults.py` takes the one of
that number among those that live then.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "kill server",
    "restart server",
    "kill agent",
    "kill worker",
    "kill shell",
    "stop server",
    "stop agent",
    "stop worker",
    "stop shell",
    "suspend machine",
    "cut agent link",
    "disk full",
    "no descriptors",
    "wall clock",
    "other clock",
    "link down",
    "network",
    "sleep",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

SHORTEST_S, LONGEST_S = 0.2, 4.0
"""Of what lasts: some is over before anybody notices, some is longer than clients wait for a pong."""
APART_S = 1.5
"""Between the beginnings of a storm's faults, at most."""
MOST_AT_ONCE = 4
JUMP_S = 30 * 24 * 3600
"""The wall clock jumps at most so far, either way: past every bound that is kept by it."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong."""

    kind: Kind
    after_s: float
    """Since the one before in its storm began."""
    lasts_s: float
    target: int
    """Who is struck, by a number among those that live."""
    seed: int
    """For whatever else is to be drawn for it."""

    def __str__(self) -> str:
        return f"{self.kind} (target {self.target}, {self.lasts_s:.1f} s, seed {self.seed})"


@dataclass(frozen=True)
class Storm:
    """Faults that overlap. The calm after it begins when all of them are over."""

    faults: tuple[Fault, ...]


def storms(
    seed: int, kinds: Sequence[Kind], *, at_once: int = MOST_AT_ONCE, longest_s: float = LONGEST_S
) -> Iterator[Storm]:
    """Without end. Every kind comes once before any comes again."""
    dice = random.Random(seed)
    stock: list[Kind] = []
    while True:
        faults: list[Fault] = []
        for _ in range(dice.randint(1, at_once)):
            if not stock:
                stock = list(kinds)
                dice.shuffle(stock)
            faults.append(_fault(stock.pop(), dice, longest_s, first=not faults))
        yield Storm(tuple(faults))


def _fault(kind: Kind, dice: random.Random, longest_s: float, *, first: bool) -> Fault:
    return Fault(
        kind,
        after_s=0.0 if first else round(dice.uniform(0, min(APART_S, longest_s)), 2),
        lasts_s=round(SHORTEST_S * (longest_s / SHORTEST_S) ** dice.random(), 2),
        target=dice.randrange(1000),
        seed=dice.randrange(10**6),
    )
