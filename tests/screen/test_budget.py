"""All screens of a worker keep to its memory; those used longest ago give first."""

from __future__ import annotations

import random

from wormux.limits import MIB
from wormux.screen.budget import Budget


class Sizes:
    """Screens of which nothing but the size is known."""

    def __init__(self, memory_bytes: int) -> None:
        self.budget = Budget(memory_bytes)
        self.taken: dict[int, int] = {}
        self.least = 10
        self.shrunk: list[int] = []
        self.asked: list[int] = []

    def feed(self, number: int, size: int) -> None:
        self.taken[number] = size
        self.budget.use(number, MIB)

    def keep(self) -> None:
        assert self.budget.is_due
        self.budget.keep(self._size, self._shrink)
        assert not self.budget.is_due

    def _size(self, number: int) -> int:
        self.asked.append(number)
        return self.taken[number]

    def _shrink(self, number: int, size: int) -> None:
        self.shrunk.append(number)
        self.taken[number] = min(self.taken[number], max(size, self.least))

    @property
    def total(self) -> int:
        return sum(self.taken.values())


def test_it_looks_only_when_much_was_fed() -> None:
    budget = Budget(1000)
    budget.use(1, MIB - 1)
    assert not budget.is_due
    budget.use(2, 1)
    assert budget.is_due


def test_below_the_bound_nothing_is_shrunk() -> None:
    sizes = Sizes(800)
    for number in range(8):
        sizes.feed(number, 100)
    sizes.keep()
    assert sizes.shrunk == []


def test_the_one_used_longest_ago_gives_first() -> None:
    sizes = Sizes(800)
    for number in (3, 1, 2, 3):
        sizes.feed(number, 300)
    sizes.keep()
    assert sizes.shrunk == [1]
    assert sizes.taken == {3: 300, 1: 100, 2: 300}


def test_shrinking_goes_on_until_it_is_enough() -> None:
    sizes = Sizes(800)
    for number in range(20):
        sizes.feed(number, 100)
    sizes.keep()
    assert sizes.shrunk == list(range(15))
    assert sizes.total <= 700
    assert sizes.taken[19] == 100


def test_only_what_changed_is_measured() -> None:
    sizes = Sizes(800)
    for number in range(5):
        sizes.feed(number, 100)
    sizes.keep()
    sizes.asked.clear()
    sizes.feed(3, 200)
    sizes.keep()
    assert sizes.asked == [3]


def test_what_cannot_shrink_is_not_asked_each_time() -> None:
    sizes = Sizes(800)
    sizes.least = 100
    for number in range(20):
        sizes.feed(number, 100)
    sizes.keep()
    sizes.shrunk.clear()
    sizes.feed(3, 150)
    sizes.keep()
    assert sizes.shrunk == []
    sizes.feed(3, 250)
    sizes.keep()
    assert sizes.taken[3] == 100


def test_after_screens_are_closed_the_bound_is_the_old_one() -> None:
    sizes = Sizes(800)
    sizes.least = 100
    for number in range(20):
        sizes.feed(number, 100)
    sizes.keep()
    for number in range(2, 20):
        sizes.budget.forget(number)
        del sizes.taken[number]
    sizes.least = 10
    sizes.feed(0, 100)
    sizes.keep()
    sizes.feed(0, 750)
    sizes.keep()
    assert sizes.total <= 700


def test_closed_screens_leave_nothing_behind() -> None:
    budget = Budget(1000)
    for number in range(100):
        budget.use(number, 1)
    for number in range(200):
        budget.forget(number)
    assert len(budget) == 0


def test_whatever_happens_the_bound_holds() -> None:
    for seed in range(50):
        dice = random.Random(seed)
        sizes = Sizes(1000)
        for _ in range(200):
            number = dice.randrange(20)
            if dice.random() < 0.2:
                sizes.budget.forget(number)
                sizes.taken.pop(number, None)
            else:
                sizes.feed(number, dice.randrange(10, 300))
            if sizes.budget.is_due:
                sizes.keep()
                assert sizes.total <= 1000
        assert len(sizes.budget) == len(sizes.taken)
