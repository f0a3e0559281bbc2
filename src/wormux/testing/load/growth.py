"""Did anything grow? Judges the figures that were taken whenever everything was quiet. Pure.

A leak grows with every round, so it is looked at how steeply the figures rise from round to round: the median of the
slopes between all pairs of them, which one odd figure does not move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median


@dataclass(frozen=True)
class Bound:
    """How much a figure may rise from the end of the warm-up to the end of the last round."""

    share: float
    """Of what it was after the warm-up."""
    more: float
    """Beside that, in the figure's own unit: what a process takes or gives back by chance."""

    def of(self, first: float) -> float:
        return self.share * first + self.more


@dataclass(frozen=True)
class Judgement:
    """One figure over all rounds."""

    name: str
    unit: str
    values: tuple[float, ...]
    """The first is that after the warm-up."""
    slope: float
    """A round."""
    allowed: float
    """In all."""

    @property
    def grown(self) -> float:
        """By the slope, from the first figure to the last."""
        return self.slope * (len(self.values) - 1)

    @property
    def is_flat(self) -> bool:
        return self.grown <= self.allowed

    def __str__(self) -> str:
        """A sentence."""
        verb = "stayed flat" if self.is_flat else "grew"
        return (
            f"{self.name} {verb}: {self.values[0]:.1f} {self.unit} after the warm-up, {self.values[-1]:.1f} at the"
            f" end, {self.slope:+.2f} a round over {len(self.values) - 1} rounds (at most {self.allowed:.1f} in all)."
        )


def slope(values: Sequence[float]) -> float:
    """The median of the slopes between all pairs, per step."""
    pairs = combinations(enumerate(values), 2)
    return median((later - earlier) / (at - before) for (before, earlier), (at, later) in pairs)


def judge(name: str, unit: str, values: Sequence[float], bound: Bound) -> Judgement:
    """`values` are at least two: after the warm-up, and after each round."""
    return Judgement(name, unit, tuple(values), slope(values), bound.of(values[0]))
