"""Screens in the server's own process: for emulators that cannot crash it, and for simulations."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from wormux.ids import PaneId
from wormux.limits import SCREENS_MEMORY_BYTES
from wormux.protocol.screen_link import (
    CloseScreen,
    OpenScreen,
    ScreenEvent,
    ScreenGone,
    ScreenRequest,
    Unreadable,
)
from wormux.screen.port import Deliver, Screens
from wormux.screen.table import Opener, ScreenTable, account

logger = logging.getLogger(__name__)

Later = Callable[[Callable[[], None]], Any]
"""Calls what it is given once, after the step in which it was called."""


class LocalScreens(Screens):
    """The requests of one step are taken together in the next one."""

    def __init__(
        self,
        deliver: Deliver,
        opener: Opener,
        *,
        memory_bytes: int = SCREENS_MEMORY_BYTES,
        later: Later | None = None,
    ) -> None:
        """`later` stands in for the running event loop."""
        self._deliver: Deliver | None = deliver
        self._later = later or asyncio.get_running_loop().call_soon
        self._table = ScreenTable(opener, memory_bytes, _report)
        self._numbers: dict[tuple[PaneId, int], int] = {}
        self._keys: dict[int, tuple[PaneId, int]] = {}
        self._last_number = 0
        self._requests: list[tuple[int, ScreenRequest]] = []

    def __len__(self) -> int:
        """How many screens are open."""
        return len(self._keys)

    def tell(self, pane_id: PaneId, epoch: int, request: ScreenRequest) -> None:
        key = (pane_id, epoch)
        number = self._numbers.get(key)
        if self._deliver is None:
            return
        if number is None:
            if not isinstance(request, OpenScreen):
                return
            self._last_number += 1
            number = self._last_number
            self._numbers[key], self._keys[number] = number, key
        if not self._requests:
            self._later(self._run)
        self._requests.append((number, request))
        if isinstance(request, CloseScreen):
            self._forget(number)

    async def aclose(self) -> None:
        self._deliver = None
        self._requests.clear()
        self._numbers.clear()
        self._keys.clear()
        self._table.close()

    def _run(self) -> None:
        requests, self._requests = self._requests, []
        for number, request in requests:
            for event in self._table.take(number, request):
                self._give(number, event)
        for number, event in self._table.settle():
            self._give(number, event)

    def _give(self, number: int, event: ScreenEvent) -> None:
        key = self._keys.get(number)
        if key is None or self._deliver is None:
            return
        if isinstance(event, (ScreenGone, Unreadable)):
            self._forget(number)
        self._deliver(*key, event)

    def _forget(self, number: int) -> None:
        key = self._keys.pop(number, None)
        if key is not None:
            del self._numbers[key]


def _report(doing: str, error: Exception) -> None:
    logger.warning("%s", account(doing, error))
