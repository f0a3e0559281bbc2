"""Events on their way from a Cloudflare sandbox's terminal to its owner."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from wormux.protocol.agent_link import Output
from wormux.sandbox.port import TerminalEvent


class HeldEvents:
    """Delivers from the event loop, in order. While held, nothing but the first."""

    def __init__(self, deliver: Callable[[TerminalEvent], None]) -> None:
        self.waiting_bytes = 0
        """Of output."""
        self._deliver = deliver
        self._waiting: deque[TerminalEvent] = deque()
        self._is_held = False
        self._has_begun = False
        self._is_scheduled = False
        self._is_silenced = False

    def post(self, event: TerminalEvent) -> None:
        if self._is_silenced:
            return
        self._waiting.append(event)
        self.waiting_bytes += len(event.data) if isinstance(event, Output) else 0
        self._schedule()

    def hold(self, held: bool) -> None:
        self._is_held = held
        self._schedule()

    def silence(self) -> None:
        """For good."""
        self._is_silenced = True
        self._waiting.clear()
        self.waiting_bytes = 0

    def _schedule(self) -> None:
        if self._waiting and not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._give)

    def _give(self) -> None:
        self._is_scheduled = False
        while self._waiting and not (self._is_held and self._has_begun):
            self._has_begun = True
            event = self._waiting.popleft()
            self.waiting_bytes -= len(event.data) if isinstance(event, Output) else 0
            self._deliver(event)
