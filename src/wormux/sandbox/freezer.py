"""Has the processes of one sandbox stand still and go on: by its control group, or by signals where there is none.

The port knows nothing of links: what the agent has to say before it stands still, it has said.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

from wormux.errors import SandboxError
from wormux.limits import FREEZE_WITHIN_S
from wormux.sandbox.cgroup import Group
from wormux.sandbox.processes import descendants, parent, start_time, state

_LOOK_S = 0.001
"""A process takes a signal when it next runs."""
_LOOKS_WITHOUT = 2
"""One look at /proc can miss the child of a process that forks meanwhile."""

_STILL = ("T", "t", "Z", "X", None)
"""States in which a process does nothing: stopped, by a debugger too, or ended."""


class Freezer(ABC):
    """Of one sandbox that runs. A later server's freezer of the same sandbox thaws what this one froze."""

    @property
    @abstractmethod
    def is_frozen(self) -> bool:
        """Whether its processes stand still, by this means."""

    @abstractmethod
    async def freeze(self) -> None:
        """Afterwards all stand still. Raises `SandboxError`, and then all go on."""

    @abstractmethod
    def thaw(self) -> None:
        """All go on; nothing to do if they did. Raises `SandboxError`."""


class CgroupFreezer(Freezer):
    """Nothing in the sandbox can notice, but by the clock."""

    def __init__(self, group: Group) -> None:
        self._group = group

    @property
    def is_frozen(self) -> bool:
        return self._group.is_frozen

    async def freeze(self) -> None:
        await self._group.freeze()

    def thaw(self) -> None:
        self._group.thaw()


class SigstopFreezer(Freezer):
    """By SIGSTOP, from the agent downwards, and SIGCONT in the reverse: so no shell sees its program stopped. What was
    stopped before, like a job after Ctrl-Z, stays so. docs/sleep.md says what this cannot do."""

    def __init__(self, pid: int, record: Path) -> None:
        """`pid` is the agent's. `record` is a file in which is written which processes were stopped, before they are:
        a server that is killed leaves it to the next one."""
        self._pid = pid
        self._record = record

    @property
    def is_frozen(self) -> bool:
        return self._record.exists() and state(self._pid) == "T"

    async def freeze(self) -> None:
        try:
            async with asyncio.timeout(FREEZE_WITHIN_S):
                await self._stop_all()
        except BaseException as error:
            self.thaw()
            if isinstance(error, TimeoutError):
                sentence = f"The sandbox did not stand still within {FREEZE_WITHIN_S:g} seconds."
                raise SandboxError(sentence) from None
            if isinstance(error, PermissionError):
                raise SandboxError(
                    "The sandbox cannot be frozen: it runs a program of another user."
                ) from None
            if isinstance(error, OSError):
                raise SandboxError(f"The sandbox cannot be frozen: {error.strerror}.") from error
            raise

    def thaw(self) -> None:
        for pid in reversed(self._recorded()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGCONT)
        with contextlib.suppress(OSError):
            self._record.unlink()

    async def _stop_all(self) -> None:
        """Each once its parent stands still: a shell that still runs would take its program for stopped by Ctrl-Z.
        Raises `OSError`; with what was recorded, it can be undone."""
        self._stop([self._pid])
        seen = {self._pid}
        looks_without = 0
        while looks_without < _LOOKS_WITHOUT:
            await asyncio.sleep(_LOOK_S)
            moving = await asyncio.to_thread(_moving, self._pid)
            looks_without = looks_without + 1 if not moving else 0
            new = [pid for pid in moving if pid not in seen and _has_still_parent(pid)]
            self._stop(new)
            seen.update(new)

    def _stop(self, pids: Iterable[int]) -> None:
        """Raises `OSError`."""
        started = {pid: time for pid in pids if (time := start_time(pid)) is not None}
        if not started:
            return
        descriptor = os.open(self._record, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, "".join(f"{pid} {time}\n" for pid, time in started.items()).encode())
        finally:
            os.close(descriptor)
        for pid in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def _recorded(self) -> list[int]:
        """Those that still run, in the order in which they were stopped."""
        try:
            lines = self._record.read_text().splitlines()
        except OSError:
            return []
        pairs = [line.split() for line in lines]
        return [int(pair[0]) for pair in pairs if len(pair) == 2 and start_time(int(pair[0])) == pair[1]]


def _moving(pid: int) -> list[int]:
    """It and its descendants, as far as they run."""
    return [process for process in (pid, *descendants(pid)) if state(process) not in _STILL]


def _has_still_parent(pid: int) -> bool:
    above = parent(pid)
    return above is not None and state(above) in _STILL
