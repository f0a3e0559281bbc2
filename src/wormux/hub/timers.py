"""What the hub waits for. The driver owns the one real timer; this says when it is due and for whom."""

from __future__ import annotations

import heapq
from enum import StrEnum


class Wait(StrEnum):
    """What a deadline is for; with the id it concerns, its key."""

    CONNECT = "connect"
    UPDATE = "update"
    REDRAW = "redraw"
    RETRY = "retry"
    FIND = "find"
    EXPIRE = "expire"
    IDLE = "idle"
    SLEEPS_AT = "sleeps at"
    LEASE = "lease"
    DEEPEN = "deepen"
    DESTROY = "destroy"
    SAVE = "save"
    SCREEN = "screen"
    FORGET = "forget"


Key = tuple[Wait, object]

_OUTDATED = 64
"""So many entries may be outdated, besides as many as there are deadlines, before they are thrown out."""


class Timers:
    """Deadlines by key, on the monotonic clock in seconds."""

    def __init__(self) -> None:
        self._at: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._at)

    def set(self, wait: Wait, subject: object, at_s: float) -> None:
        """The deadline of this key is `at_s` from now on."""
        key = (wait, subject)
        if self._at.get(key) == at_s:
            return
        self._at[key] = at_s
        if len(self._heap) > 2 * len(self._at) + _OUTDATED:
            self._heap = [entry for entry in self._heap if self._at.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)
        self._count += 1  # keys need not be comparable
        heapq.heappush(self._heap, (at_s, self._count, key))

    def cancel(self, wait: Wait, subject: object) -> None:
        """Nothing is waited for under this key."""
        self._at.pop((wait, subject), None)

    def is_set(self, wait: Wait, subject: object) -> bool:
        """Something is waited for under this key."""
        return (wait, subject) in self._at

    def due(self, now_s: float) -> list[Key]:
        """Keys whose deadline has come, in its order; they are no longer set."""
        keys: list[Key] = []
        while self._heap and self._heap[0][0] <= now_s:
            at_s, _, key = heapq.heappop(self._heap)
            if self._at.get(key) == at_s:
                del self._at[key]
                keys.append(key)
        return keys

    def next_at(self) -> float | None:
        """The earliest deadline, or None."""
        while self._heap:
            at_s, _, key = self._heap[0]
            if self._at.get(key) == at_s:
                return at_s
            heapq.heappop(self._heap)
        return None
