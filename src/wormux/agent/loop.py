"""The event loop: descriptors, timers and signals of one thread. Knows nothing of terminals.

A callback that fails is a bug of ours: it is reported on stderr and costs its descriptor, never the agent.

The clock stands still while the process does: whoever is frozen, stopped or paused with its whole machine finds every
timer as far away as before, instead of all of them due at once.
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

from wormux.limits import AGENT_GAP_S

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
    """Waits for what is watched and calls back, one at a time.

    A delay of more than `gap_s` that nothing here explains is a gap: the process stood still. `on_gap` is called after
    each one.
    """

    def __init__(self, gap_s: float = AGENT_GAP_S) -> None:
        self.on_gap: Callable[[], None] = lambda: None
        self._gap_s = gap_s
        self._gaps_s = 0.0
        """All gaps together."""
        self._seen_at = time.monotonic()
        """When the process was last known to run."""
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
        """Seconds on the clock that timers run by, gaps left out."""
        return time.monotonic() - self._gaps_s

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
        self._seen_at = time.monotonic()
        while self._running:
            for key, events in self._wait():
                # A callback before this one may have ended the interest, or given the number to another file.
                wanted, ready = self._watched.get(key.fd, _NOTHING)
                if wanted & events and ready == key.data:
                    try:
                        ready(wanted & events)
                    except Exception:
                        traceback.print_exc()
                        self.forget(key.fd)
            self._call_due()

    def _wait(self) -> list[tuple[selectors.SelectorKey, int]]:
        """What has become ready, at the latest when a timer is due."""
        self._look_for_gap(0)
        timeout = self._until_next_timer()
        ready = self._selector.select(timeout)
        self._look_for_gap(timeout)
        return ready

    def _look_for_gap(self, expected_s: float | None) -> None:
        """Since the last look no more than `expected_s` should have passed; None if nobody can say."""
        now = time.monotonic()
        late_s = 0.0 if expected_s is None else now - self._seen_at - expected_s
        self._seen_at = now
        if late_s > self._gap_s:
            self._gaps_s += late_s
            self.on_gap()

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
