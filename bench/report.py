"""Figures, and how they are printed."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the report."""

    name: str
    value: float
    unit: str
    aim: str = ""


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def show(figures: Sequence[Figure]) -> None:
    """A table on stdout, and the machine it was measured on."""
    width = max(len(figure.name) for figure in figures)
    for figure in figures:
        aim = f"   aim {figure.aim}" if figure.aim else ""
        print(f"{figure.name:<{width}}  {figure.value:10.2f} {figure.unit:<5}{aim}")
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    print(f"\nMeasured in one run on {machine}. Ratios compare; absolute figures belong to this machine.")
