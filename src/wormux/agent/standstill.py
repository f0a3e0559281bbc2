"""Is the sandbox at rest? Asked and answered in one step of the agent, so that nothing starts between answer and end.

The agent is one thread and the only one that writes to its terminals: while it decides, no input comes. What came
before lies unread in a terminal, or the shell that read it is awake until it has started what was typed, which is a
process. So shells that are asleep at their prompts, with nothing to read and no process beside them, stay so, but for
timers of their own. SIGSTOP, which only their parent, the agent, can see, keeps these from starting anything while the
processes are looked at once more.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection

from wormux.agent import processes
from wormux.agent.lookout import Lookout
from wormux.agent.terminal import Terminal
from wormux.limits import PROGRAM_STARTS_WITHIN_S, SHELLS_SETTLE_WITHIN_S, SHELLS_STOP_WITHIN_S

_LOOK_EVERY_S = 0.001
_ASLEEP = "SI"
"""States of a process that waits; macOS tells those apart that have waited for long."""


def hindrance(lookout: Lookout, terminals: Collection[Terminal]) -> str | None:
    """What sleep would break now; None if nothing. News may take `SHELLS_SETTLE_WITHIN_S`: shells that write their
    prompts are awake for a moment, and a program that is to be ignored has its shell's name until it is executed."""
    known, seen = lookout.busy, lookout.look()
    if (
        seen.sentence is not None
        and seen == known
        and not any(terminal.shell.state().works for terminal in terminals)
    ):
        return seen.sentence
    shells = _shells(terminals)
    sentence = _wait(lambda: _unrest(shells, _ASLEEP), SHELLS_SETTLE_WITHIN_S)
    seen = lookout.look()
    if seen.sentence is not None and seen != known:
        sentence = _wait(lambda: _unrest(shells, _ASLEEP) or lookout.look().sentence, PROGRAM_STARTS_WITHIN_S)
        return sentence and (lookout.busy.sentence or sentence)
    return seen.sentence or sentence


def stop(lookout: Lookout, terminals: Collection[Terminal]) -> str | None:
    """As `hindrance`; if there is none, the shells have been stopped by SIGSTOP, and are the caller's to end."""
    sentence = hindrance(lookout, terminals)
    if sentence is not None:
        return sentence
    shells = _shells(terminals)
    _signal(shells, signal.SIGSTOP)
    try:
        sentence = _wait(lambda: _unrest(shells, "T"), SHELLS_STOP_WITHIN_S)
        # Only a look that begins now cannot have missed what a shell started just before it stood still.
        sentence = lookout.look().sentence or sentence
    except BaseException:
        _signal(shells, signal.SIGCONT)
        raise
    if sentence is not None:
        _signal(shells, signal.SIGCONT)
    return sentence


def _shells(terminals: Collection[Terminal]) -> list[Terminal]:
    """Those whose own program is a shell. Another one is busy, or is to be ignored."""
    return [terminal for terminal in terminals if terminal.shell.state().is_shell]


def _unrest(terminals: Collection[Terminal], states: str) -> str | None:
    """A sentence about the first shell that is not in one of `states`, or does not just wait for input."""
    for terminal in terminals:
        # Unread input first: a shell that wakes to read it is seen awake afterwards.
        is_unread = terminal.has_unread_input
        threads = processes.threads(terminal.shell.pid)
        if not threads:
            continue  # It is over.
        if is_unread:
            return "a shell has not read yet what was typed"
        # The same twice: at some moment in between all its threads were asleep at once, none to be woken by another.
        is_still = all(state in states for state, *_ in threads) and threads == processes.threads(
            terminal.shell.pid
        )
        if not is_still or terminal.shell.state().works:
            return "a shell is at work"
    return None


def _wait(look: Callable[[], str | None], within_s: float) -> str | None:
    """Until there is nothing to be said, or the time is over; what was said last."""
    deadline = time.monotonic() + within_s
    while (sentence := look()) is not None and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)  # Nothing else is to be done meanwhile: that is the point of it.
    return sentence


def _signal(terminals: Collection[Terminal], number: signal.Signals) -> None:
    for terminal in terminals:
        if not terminal.shell.is_reaped:
            with contextlib.suppress(OSError):
                os.kill(terminal.shell.pid, number)
