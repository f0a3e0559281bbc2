"""An asyncio event loop whose clock jumps to the next timer as soon as nothing else is to be done.

So deadlines of seconds pass at once, and a wait that nothing would ever end is found rather than waited for. For code
that waits for sockets of this process and for timers, not for threads.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from fuzz.kit import Finding

Result = TypeVar("Result")
_LONG_S = 24 * 3600.0
"""No deadline of the code under test is longer."""


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.jumped_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise Finding("Something is waited for that will never happen.")
        if not ready and timeout:
            self.jumped_s += timeout
            if self.jumped_s > _LONG_S:
                raise Finding("Timers follow timers for ever.")
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self.set_exception_handler(_raise)
        self.failures: list[BaseException] = []

    def time(self) -> float:
        return 1000.0 + self._jumping.jumped_s


def _raise(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    assert isinstance(loop, JumpingLoop)
    error = context.get("exception") or Finding(str(context.get("message")))
    loop.failures.append(error)


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """As `asyncio.run`, on a jumping loop. Raises also what a callback or a forgotten task raised."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, JumpingLoop)
        result = runner.run(main)
    for error in loop.failures:
        raise error
    return result
