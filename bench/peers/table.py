"""Figures of all systems, what is made of them, and the tables in docs/benchmarks.md."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.report import percentile

Cells = dict[str, float | str]
"""By row; a word where there is no figure."""
Samples = dict[str, list[float]]
"""By row, all that were taken: they become percentiles."""

BEGIN, END = "<!-- written by `make bench-peers` -->", "<!-- end of what is written -->"
EVEN = 0.95
"""From here on two figures are as good as each other: no run is nearer to the next."""


@dataclass(frozen=True)
class Row:
    """What is measured, and what is known of a row that Wormux may lose."""

    key: str
    title: str
    unit: str
    high_is_good: bool = False
    digits: int = 1
    least: float = 0.1
    """Figures below this are not told apart, in ratios."""
    compared: bool = True
    limit: str = ""
    """Why Wormux loses it, where it does."""


class Results:
    """What every system was measured to do, over all rounds."""

    def __init__(self) -> None:
        self._cells: dict[str, dict[str, list[float | str]]] = {}
        self._samples: dict[str, Samples] = {}

    def add(self, system: str, cells: Cells) -> None:
        """Of one round."""
        for key, value in cells.items():
            self._cells.setdefault(system, {}).setdefault(key, []).append(value)

    def pool(self, system: str, samples: Samples) -> None:
        """Of one round, to be looked at with those of the others."""
        for key, values in samples.items():
            self._samples.setdefault(system, {}).setdefault(key, []).extend(values)

    def of(self, system: str) -> Cells:
        """Medians and percentiles; a word counts if there is no figure in any round."""
        cells: Cells = {}
        for key, values in self._cells.get(system, {}).items():
            figures = [value for value in values if not isinstance(value, str)]
            cells[key] = statistics.median(figures) if figures else values[0]
        for key, samples in self._samples.get(system, {}).items():
            for percent in (50, 99):
                cells[f"{key} p{percent}"] = percentile(samples, percent) if samples else "none came"
        return cells


@dataclass(frozen=True)
class Standing:
    """How a system stands in a row."""

    rival: str
    """The best of the others."""
    ratio: float
    """Above 1 the system is better, whichever way figures of the row are good."""


def standing(row: Row, system: str, figures: dict[str, Cells], limits: Sequence[str]) -> Standing | None:
    """Against the best of the other systems, limits aside; None where there is nothing to compare."""
    own = figures[system].get(row.key)
    others = {
        name: value
        for name, cells in figures.items()
        if name != system and name not in limits and not isinstance(value := cells.get(row.key, ""), str)
    }
    if own is None or isinstance(own, str) or not others or not row.compared:
        return None
    rival = (max if row.high_is_good else min)(others, key=lambda name: others[name])
    ours, theirs = max(own, row.least), max(others[rival], row.least)
    return Standing(rival, ours / theirs if row.high_is_good else theirs / ours)


def tables(rows: Sequence[Row], figures: dict[str, Cells], system: str, limits: Sequence[str]) -> str:
    """The figures, the ratios, and what is to be said of the rows that are lost."""
    head = ["", *figures]
    lines = [_line(head), _line(["---", *("---:" for _ in figures)])]
    for row in rows:
        shown = [_shown(row, cells.get(row.key)) for cells in figures.values()]
        lines.append(_line([f"{row.title}, {row.unit}", *shown]))
    lines += ["", _line(["", f"{system} / best other", "which"]), _line(["---", "---:", "---"])]
    lost = []
    for row in rows:
        place = standing(row, system, figures, limits)
        if place is None:
            continue
        lines.append(_line([row.title, f"{_ratio(place.ratio)}{_verdict(place.ratio)}", place.rival]))
        if place.ratio < EVEN:
            lost.append(f"- **{row.title}**: {row.limit or 'not explained yet.'}")
    lines += ["", f"Above 1 {system} is better; from {EVEN:g} on it counts as even."]
    lines += ["", "Lost, and why:", "", *lost] if lost else ["", "No row is lost."]
    return "\n".join(lines)


def written_between(page: str, text: str) -> str:
    """The page with `text` between its markers. Raises `ValueError` for a page without them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page has no place for the tables: {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _shown(row: Row, value: float | str | None) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:,.{row.digits}f}"


def _ratio(ratio: float) -> str:
    return f"{ratio:.0f} ×" if ratio >= 20 else f"{ratio:.1f} ×" if ratio >= 2 else f"{ratio:.2f} ×"


def _verdict(ratio: float) -> str:
    return " (lost)" if ratio < EVEN else " (even)" if ratio <= 1 / EVEN else ""


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
