"""The event loop: descriptors, timers and signals of one thread. Knows nothing of terminals.

A callback that fails is a bug of ours: it is reported on stderr and costs its descriptor, never the agent.
"""

from __future__ import annotations

import heapq
import os
import selectors
import signal
import time
import traceback
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE

__all__ = ["EVENT_READ", "EVENT_WRITE", "Loop", "Timer"]

Ready = Callable[[int], None]
"""Called with the events that a descriptor is ready for."""


_NOTHING: tuple[int, Ready] = (0, lambda _events: None)


class Timer:
    """Calls `action` once, at `at` at the earliest, unless it is cancelled."""

    def __init__(self, at: float, action: Callable[[], None]) -> None:
        self.at = at
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """It will not be called; harmless if it was."""
        self.action = None

    def __lt__(self, other: Timer) -> bool:
        return self.at < other.at


class Loop:
    """Waits for what is watched and calls back, one at a time."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._watched: dict[int, tuple[int, Ready]] = {}
        self._timers: list[Timer] = []
        self._signals: dict[int, Callable[[], None]] = {}
        self._running = True
        self._signal_reader, self._signal_writer = os.pipe()
        os.set_blocking(self._signal_reader, False)
        os.set_blocking(self._signal_writer, False)
        self.watch(self._signal_reader, EVENT_READ, self._on_signals)

    def time(self) -> float:
        """Seconds on the clock that timers run by."""
        return time.monotonic()

    def watch(self, descriptor: int, events: int, ready: Ready) -> None:
        """Call `ready` whenever one of `events` holds; with no events, stop."""
        known, _ = self._watched.get(descriptor, _NOTHING)
        if events == known:
            return
        if not events:
            self.forget(descriptor)
            return
        self._watched[descriptor] = (events, ready)
        if known:
            self._selector.modify(descriptor, events, ready)
        else:
            self._selector.register(descriptor, events, ready)

    def forget(self, descriptor: int) -> None:
        """Watch it no more; to be called before it is closed."""
        if self._watched.pop(descriptor, None):
            self._selector.unregister(descriptor)

    def call_at(self, at: float, action: Callable[[], None]) -> Timer:
        """Call `action` once that time has come."""
        timer = Timer(at, action)
        heapq.heappush(self._timers, timer)
        return timer

    def call_after(self, delay_s: float, action: Callable[[], None]) -> Timer:
        """Call `action` after so many seconds."""
        return self.call_at(self.time() + delay_s, action)

    def on_signal(self, number: int, action: Callable[[], None]) -> None:
        """Call `action` after each (burst) of that signal."""
        self._signals[number] = action
        signal.set_wakeup_fd(self._signal_writer, warn_on_full_buffer=False)
        signal.signal(number, lambda _number, _frame: None)  # The byte in the pipe is all that is needed.

    def stop(self) -> None:
        """Let `run` return after the callback that asks for it."""
        self._running = False

    def run(self) -> None:
        """Wait and call back until `stop`."""
        while self._running:
            for key, events in self._selector.select(self._until_next_timer()):
                # A callback before this one may have ended the interest, or given the number to another file.
                wanted, ready = self._watched.get(key.fd, _NOTHING)
                if wanted & events and ready == key.data:
                    try:
                        ready(wanted & events)
                    except Exception:
                        traceback.print_exc()
                        self.forget(key.fd)
            self._call_due()

    def _call_due(self) -> None:
        now = self.time()
        while self._timers and self._timers[0].at <= now:
            action = heapq.heappop(self._timers).action
            try:
                if action is not None:
                    action()
            except Exception:
                traceback.print_exc()

    def _until_next_timer(self) -> float | None:
        while self._timers and self._timers[0].action is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0].at - self.time())

    def _on_signals(self, _events: int) -> None:
        numbers = os.read(self._signal_reader, 4096)
        for number in set(numbers):
            if number in self._signals:
                self._signals[number]()
