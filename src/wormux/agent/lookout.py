"""Decides when to look at the processes, and remembers what was seen. Quiet terminals are not looked at.

A look follows input and output after a moment, then one more a second later, since programs start late; while
something is busy they go on. The rarer the dearer, so that looking never takes more than its share of a core.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable

from wormux.agent.loop import Loop, Timer
from wormux.agent.processes import ShellState, busy, family
from wormux.agent.terminal import Terminal
from wormux.limits import BUSY_LOOK_AFTER_S, BUSY_LOOK_SHARE, BUSY_POLL_S
from wormux.protocol.agent_link import Busy


class Lookout:
    """Who is busy, and what is in the foreground."""

    def __init__(
        self,
        loop: Loop,
        living: Callable[[], Collection[Terminal]],
        ending: Callable[[], Collection[Terminal]],
        ignore: Iterable[str],
        on_busy: Callable[[Busy], None],
        on_look: Callable[[], None] = lambda: None,
    ) -> None:
        self.busy = Busy(None)
        self.active_at = loop.time()
        """When there was input or output last."""
        self._loop = loop
        self._living = living
        self._ending = ending
        self._ignore = tuple(ignore)
        self._on_busy = on_busy
        self._on_look = on_look
        self._timer: Timer | None = None
        self._earliest = 0.0
        self._looked_at = 0.0

    def activity(self) -> None:
        """Something was typed or written, or a process ended: look soon."""
        self.active_at = self._loop.time()
        self._look_after(BUSY_LOOK_AFTER_S)

    def look(self) -> Busy:
        """Look now: tell the terminals about their foreground, and all who listen who is busy."""
        started = self._loop.time()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._on_look()
        processes = family(os.getpid())
        for terminal in self._living():
            terminal.look(processes)
        shells = [terminal.shell.state() for terminal in self._living()]
        shells += [
            ShellState(terminal.pane_id, terminal.shell.pid, is_shell=True, works=False)
            for terminal in self._ending()
        ]
        seen = busy(processes, shells, self._ignore)
        ended = self._loop.time()
        # No longer than that: the process may have stood still in the middle.
        self._earliest = ended + min(ended - started, BUSY_POLL_S) / BUSY_LOOK_SHARE
        if seen.sentence is not None or self.active_at > self._looked_at:
            self._look_after(BUSY_POLL_S)
        self._looked_at = started
        if seen != self.busy:
            self.busy = seen
            self._on_busy(seen)
        return seen

    def postpone(self) -> None:
        """It has just looked, and is about to be frozen: whoever thaws it waits for an answer, and not for a look."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._look_after(BUSY_POLL_S)

    def _look_after(self, delay_s: float) -> None:
        at = max(self._loop.time() + delay_s, self._earliest)
        if self._timer is None or self._timer.at > at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        self.look()
