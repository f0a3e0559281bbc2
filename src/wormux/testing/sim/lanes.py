"""Deliveries that wait, in the order of each lane; which lane goes next is the caller's choice.

A lane is one party's queue: one direction of one link, one socket, the store. Within a lane nothing overtakes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable


class Lane:
    """What is under way to one party."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.held = False
        """Nothing arrives until it is released: the receiver does not read."""
        self.stuck = False
        """Nothing arrives until that ends: the network lets nothing through."""
        self._deliveries: deque[Callable[[], None]] = deque()

    def __len__(self) -> int:
        """How many deliveries can arrive."""
        return 0 if self.held or self.stuck else len(self._deliveries)

    @property
    def under_way(self) -> int:
        """How many deliveries are posted and have not arrived."""
        return len(self._deliveries)

    def post(self, delivery: Callable[[], None]) -> None:
        self._deliveries.append(delivery)

    def deliver(self) -> None:
        """The oldest delivery arrives."""
        self._deliveries.popleft()()

    def clear(self) -> None:
        """What is under way never arrives."""
        self._deliveries.clear()


class Lanes:
    """All lanes, in the order in which they were first used."""

    def __init__(self) -> None:
        self._lanes: dict[Hashable, Lane] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def lane(self, *key: Hashable) -> Lane:
        """The lane of this key, which reads as its name."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(" ".join(map(str, key)))
        return lane

    def add(self, lane: Lane, *key: Hashable) -> None:
        """Let `lane` take part under this key."""
        self._lanes[key] = lane

    def drop(self, *key: Hashable) -> None:
        """Nothing is posted there any more; what is under way never arrives."""
        lane = self._lanes.pop(key, None)
        if lane is not None:
            lane.clear()

    def free(self) -> None:
        """The network lets everything through again."""
        for lane in self._lanes.values():
            lane.stuck = False

    def ready(self) -> list[Lane]:
        """Lanes with something to deliver."""
        return [lane for lane in self._lanes.values() if len(lane)]
