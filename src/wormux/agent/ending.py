"""The end of the agent: every process of the sandbox is ended, every connection gets what it is owed, then it stops.

Three stages, one after the other, each with a limit in time: the processes end (by SIGHUP, then by SIGKILL), the
connections of the panes take their last output and ENDED, those who asked take STOPPED.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection
from enum import Enum

from wormux.agent.connection import Connection
from wormux.agent.loop import Loop
from wormux.agent.processes import family
from wormux.agent.terminal import Terminal
from wormux.limits import AGENT_FLUSH_S, STOP_GRACE_S
from wormux.protocol.agent_link import Stopped

_KILL_EVERY_S = 0.02
"""Programs that fork while they are killed need more than one round."""


class Stage(Enum):
    """What is waited for."""

    PROCESSES = "processes"
    OUTPUT = "output"
    ANSWER = "answer"


class Ending:
    """Created when the decision has fallen; `step` is to be called whenever something has moved."""

    def __init__(
        self,
        loop: Loop,
        terminals: Collection[Terminal],
        connections: Callable[[], Collection[Connection]],
        childless: Callable[[], bool],
        *,
        asleep: bool,
        grace_s: float = STOP_GRACE_S,
    ) -> None:
        self.askers: list[Connection] = []
        """Are told when it is done."""
        self._loop = loop
        self._terminals = terminals
        self._connections = connections
        self._childless = childless
        self._stage = Stage.PROCESSES
        for terminal in terminals:
            terminal.asleep = asleep
            terminal.refuse_input()
        if grace_s:
            _signal_all(signal.SIGHUP)
            _signal_all(signal.SIGCONT)
        loop.call_after(grace_s, self._kill)
        loop.call_after(grace_s + AGENT_FLUSH_S, self._hurry)
        loop.call_after(0, self.step)

    def step(self) -> None:
        """Go on if what is waited for has come."""
        if self._stage is Stage.PROCESSES and self._is_alone():
            self._stage = Stage.OUTPUT
        if self._stage is Stage.OUTPUT and not any(
            connection.has_unsent for connection in self._connections()
        ):
            self._answer()
        if self._stage is Stage.ANSWER and not any(connection.has_unsent for connection in self.askers):
            self._loop.stop()

    def _is_alone(self) -> bool:
        """Every process has ended; since orphans become the agent's children, none is left elsewhere."""
        is_over = all(terminal.exit is not None for terminal in self._terminals)
        return is_over and self._childless() and not family(os.getpid())

    def _answer(self) -> None:
        self._stage = Stage.ANSWER
        for connection in self.askers:
            if not connection.closed:
                connection.note(Stopped())
                connection.flush()

    def _hurry(self) -> None:
        """What has not come by now is not waited for any more."""
        if self._stage is not Stage.ANSWER:
            self._answer()
        self._loop.stop()

    def _kill(self) -> None:
        if self._stage is Stage.PROCESSES:
            _signal_all(signal.SIGKILL)
            self._loop.call_after(_KILL_EVERY_S, self._kill)


def _signal_all(number: signal.Signals) -> None:
    for pid in family(os.getpid()):
        with contextlib.suppress(OSError):
            os.kill(pid, number)
