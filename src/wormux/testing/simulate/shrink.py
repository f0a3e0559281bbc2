"""Makes a story that fails shorter, for as long as it breaks the same rule (delta debugging)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from wormux.testing.simulate.play import Failure, play
from wormux.testing.simulate.story import Event, Story

PLAYS = 1500
"""More are not tried: a story of 300 events takes some hundreds."""

Try = Callable[[Story], Failure | None]


def shrink(
    failure: Failure,
    attempt: Try = lambda story: play(story).failure,
    *,
    plays: int = PLAYS,
    within_s: float = math.inf,
) -> Failure:
    """The shortest that was found, soon after `within_s` at the latest; `attempt` says how a story fails."""
    left = plays
    until_s = time.monotonic() + within_s

    def may() -> bool:
        return left > 0 and time.monotonic() < until_s

    def same(events: Sequence[Event]) -> Failure | None:
        nonlocal left
        left -= 1
        found = attempt(tuple(events))
        return found if found is not None and found.rule == failure.rule else None

    best = same(failure.story[: failure.step + 1]) or failure
    size = len(best.story) // 2
    while size and may():
        shorter = _without(best, size, same, may)
        if len(shorter.story) == len(best.story):
            size //= 2
        best = shorter
    return _fewer_picks(best, same, may)


def _without(
    best: Failure, size: int, same: Callable[[Sequence[Event]], Failure | None], may: Callable[[], bool]
) -> Failure:
    """Leave out pieces of `size` events, from the end on, wherever that changes nothing."""
    end = len(best.story)
    while end > 1 and may():
        start = max(1, end - size)
        best = same([*best.story[:start], *best.story[end:]]) or best
        end = min(start, len(best.story))
    return best


def _fewer_picks(
    best: Failure, same: Callable[[Sequence[Event]], Failure | None], may: Callable[[], bool]
) -> Failure:
    """Leave out single deliveries, likewise."""
    for number in range(1, len(best.story)):
        at = 0
        while number < len(best.story) and may():
            event = best.story[number]
            chosen = event.fields.get("picks", [])
            if at >= len(chosen):
                break
            fewer = Event(event.name, event.fields | {"picks": [*chosen[:at], *chosen[at + 1 :]]})
            found = same([*best.story[:number], fewer, *best.story[number + 1 :]])
            best, at = (found, at) if found is not None else (best, at + 1)
    return best
