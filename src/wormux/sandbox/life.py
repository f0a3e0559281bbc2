"""Whether an agent's process lives, and how it ended: told by the kernel, never guessed from a silent link."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from wormux.limits import DEATH_KNOWN_WITHIN_S
from wormux.sandbox.port import Lost
from wormux.sandbox.processes import start_time, state

_LOOK_EVERY_S = 0.1
"""At a process that is not watched by the kernel for us: well within the time that it is given to end."""


class Life:
    """The life of one process, from when it is watched. Reaps it if it is a child of this process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._ended: asyncio.Future[str] = loop.create_future()
        self._pidfd: int | None = None
        self._unwatched = False
        if sys.platform == "linux":
            with contextlib.suppress(
                OSError
            ):  # an old kernel, one that does not allow it, or no descriptor left
                self._pidfd = os.pidfd_open(pid)
        if self._pidfd is not None:
            loop.add_reader(self._pidfd, self._exited)
        elif is_alive(pid):
            threading.Thread(target=self._wait_without_pidfd, daemon=True).start()
        else:
            self._ended.set_result("The agent ended.")

    @property
    def ended(self) -> str | None:
        """How it ended, as a sentence; None while it lives."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self, timeout_s: float) -> bool:
        """Whether it ended within this time."""
        await asyncio.wait({self._ended}, timeout=timeout_s)
        return self._ended.done()

    def on_end(self, action: Callable[[], None]) -> Callable[[], None]:
        """Have `action` called from the event loop once its end is known. Returns what calls that off."""

        def act(_: asyncio.Future[str]) -> None:
            action()

        def call_off() -> None:
            self._ended.remove_done_callback(act)

        self._ended.add_done_callback(act)
        return call_off

    async def explain(self) -> Lost:
        """Why a link to it broke. The link's end may be seen a moment before the process's."""
        if not await self.wait(DEATH_KNOWN_WITHIN_S) and not is_alive(self.pid):
            self._end(None)  # there was nobody to tell
        if self.ended is not None:
            return Lost(self.ended, dead=True)
        return Lost("The link to the sandbox broke.")

    def send(self, signal_number: signal.Signals) -> None:
        """To this very process: with a pidfd, its number cannot have passed to another one."""
        if self._ended.done():
            return
        with contextlib.suppress(ProcessLookupError):
            if sys.platform == "linux" and self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, signal_number)
            else:
                os.kill(self.pid, signal_number)

    def unwatch(self) -> None:
        """Let go of it; what is not known yet will not be."""
        self._unwatched = True
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def _exited(self) -> None:
        self.unwatch()
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = 0, 0
        self._end(status if pid else None)

    def _wait_without_pidfd(self) -> None:
        status = None
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:  # another server's child, whose end nobody tells us
            started = start_time(self.pid)
            while is_alive(self.pid) and state(self.pid) != "Z" and start_time(self.pid) == started:
                if self._unwatched:
                    return
                time.sleep(_LOOK_EVERY_S)
        with contextlib.suppress(RuntimeError):  # the loop is closed, nobody asks any more
            self._loop.call_soon_threadsafe(self._end, status)

    def _end(self, status: int | None) -> None:
        if not self._ended.done():
            self._ended.set_result(_sentence(status))


def _sentence(status: int | None) -> str:
    if status is None:
        return "The agent ended."
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return "The agent ended." if code == 0 else f"The agent ended with status {code}."
    try:
        return f"The agent was killed by {signal.Signals(-code).name}."
    except ValueError:
        return f"The agent was killed by signal {-code}."


def is_alive(pid: int) -> bool:
    """There is such a process, of whomever, if only until somebody has asked how it ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
