"""Plain numbers that the server's parts count up; cheap enough for every frame. What they mean stands in `metrics`."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

WAKE_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""From a spare agent's start to the bound of any wake, `limits.WAKE_WITHIN_S`."""
SAVE_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""From a commit on a good disk to the time that SQLite waits for a lock."""
LAG_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""From what nobody notices to what takes a server for dead."""


class Histogram:
    """Counts of observations up to each bound, the last one without a bound, and their sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


def _by_outcome(*outcomes: str) -> dict[str, Histogram]:
    return {outcome: Histogram(WAKE_BUCKETS_S) for outcome in outcomes}


@dataclass
class Counts:
    """Since the start, but for what says otherwise."""

    connections: int = 0
    """Open now."""
    connections_opened: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    hub_steps: int = 0
    hub_failures: int = 0
    logins: int = 0
    logins_refused: int = 0
    redraws: int = 0
    screens_lost: int = 0
    wakes: dict[str, Histogram] = field(default_factory=lambda: _by_outcome("awake", "failed"))
    finds: Counter[str] = field(
        default_factory=lambda: Counter({"awake": 0, "frozen": 0, "missing": 0, "failed": 0})
    )
    sleeps: Counter[str] = field(default_factory=lambda: Counter({"stopped": 0, "frozen": 0, "refused": 0}))
    openings: dict[str, Histogram] = field(default_factory=lambda: _by_outcome("opened", "refused", "lost"))
    terminals_ended: int = 0
    terminal_links_lost: int = 0
    sandbox_links_lost: int = 0
    agents_lost: int = 0
    saves: int = 0
    saves_failed: int = 0
    save_times: Histogram = field(default_factory=lambda: Histogram(SAVE_BUCKETS_S))
    saves_under_way: int = 0
    """Now."""
    unsaved_since_s: float | None = None
    """On the monotonic clock: since when a change is with the store that is not stored; None if all are."""
    loop_lag: Histogram = field(default_factory=lambda: Histogram(LAG_BUCKETS_S))
