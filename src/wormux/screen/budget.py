"""How much memory the screens of one worker take together, and which of them gives some back.

The screen that was used longest ago gives its oldest scrollback first: whoever looks at it again misses it least.
"""

from __future__ import annotations

from collections.abc import Callable

from wormux.limits import MIB

_LOOK_AFTER_BYTES = MIB
"""Of what was fed to all screens. None takes much more than a few times what it was fed, and a look is cheap."""
_MARGIN = 8
"""Shrinking goes on to this part below the bound, so that it is not due again at once."""


class Budget:
    """Knows the screens by number, in the order of their last use; never touches one itself."""

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._margin = memory_bytes // _MARGIN
        self._at = memory_bytes
        """Shrink beyond this: more than the bound while the visible screens alone take more."""
        self._sizes: dict[int, int] = {}
        self._changed: set[int] = set()
        self._unseen = 0
        self._total = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def use(self, number: int, fed_bytes: int) -> None:
        """The screen was fed so much, and may take more or less now."""
        self._sizes[number] = self._sizes.pop(number, 0)
        self._changed.add(number)
        self._unseen += fed_bytes

    def forget(self, number: int) -> None:
        """The screen is closed."""
        self._total -= self._sizes.pop(number, 0)
        self._changed.discard(number)

    @property
    def is_due(self) -> bool:
        """Whether enough was fed for `keep`."""
        return self._unseen >= _LOOK_AFTER_BYTES

    def keep(self, size: Callable[[int], int], shrink: Callable[[int, int], None]) -> None:
        """Keep to the bound: `size` says what a screen takes, `shrink` makes one take about so much, if it can. Both
        may `forget` the screen that they are called with."""
        self._unseen = 0
        for number in tuple(self._changed):
            self._measure(number, size)
        self._changed.clear()
        if self._total > self._at:
            goal = self._memory_bytes - self._margin
            for number in tuple(self._sizes):
                if self._total <= goal:
                    break
                shrink(number, max(0, self._sizes[number] - (self._total - goal)))
                self._measure(number, size)
            self._at = self._total + self._margin
        self._at = max(self._memory_bytes, min(self._at, self._total + self._margin))

    def _measure(self, number: int, size: Callable[[int], int]) -> None:
        taken = size(number) if number in self._sizes else 0
        if number in self._sizes:
            self._total += taken - self._sizes[number]
            self._sizes[number] = taken
