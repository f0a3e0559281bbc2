"""Whether a screen is right: compared cell by cell with that of a terminal which read the whole stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BLANK = [" ", 1, "default", "default", ""]
"""A cell as it is after a reset: text, width, foreground, background, attributes."""
REST = ("buffer", "cursor", "cursor hidden", "mouse encoding")
"""What else is to be seen, or shapes what a key sends, with all modes."""


@dataclass(frozen=True)
class Screen:
    """What a terminal shows."""

    rows: list[list[list[Any]]]
    """Cells as `BLANK` is."""
    state: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """On one screen."""

    cells: int
    """That show something on the one screen or the other."""
    wrong: int
    """Of these."""
    rest: tuple[str, ...]
    """What else is wrong, by name."""

    @property
    def is_all_right(self) -> bool:
        """Every cell, the cursor and the modes are."""
        return self.wrong == 0 and not self.rest


def judge(whole: Screen, shown: Screen) -> Verdict:
    """How far `shown` is what it ought to be."""
    cells = wrong = 0
    for y in range(max(len(whole.rows), len(shown.rows))):
        left, right = _row(whole, y), _row(shown, y)
        for x in range(max(len(left), len(right))):
            one, other = _cell(left, x), _cell(right, x)
            if one == BLANK and other == BLANK:
                continue
            cells += 1
            wrong += one != other
    names = sorted({*whole.state, *shown.state})
    rest = (name for name in names if name in REST or name.startswith("mode "))
    return Verdict(cells, wrong, tuple(n for n in rest if whole.state.get(n) != shown.state.get(n)))


def _row(screen: Screen, y: int) -> list[list[Any]]:
    return screen.rows[y] if y < len(screen.rows) else []


def _cell(row: list[list[Any]], x: int) -> list[Any]:
    return row[x] if x < len(row) else BLANK
