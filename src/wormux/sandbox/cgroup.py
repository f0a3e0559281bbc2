"""The control group of one agent and of all that it starts: frozen, limited, counted, killed together.

A group is one directory in each hierarchy that serves: for freezing, for limits, for the count of processes that were
killed for want of memory. What a directory can do is seen from the files in it, so nothing here asks for versions.
What is not awaited takes less than a millisecond, but for `Group.add`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from wormux.errors import SandboxError
from wormux.limits import FREEZE_WITHIN_S, GROUP_EMPTY_WITHIN_S
from wormux.sandbox.processes import descendants
from wormux.sandbox.settings import Limits

Use = Literal["freezer", "memory", "pids"]

_LOOK_FIRST_S = 0.0002
"""A freeze takes a tenth of a millisecond. The kernel would tell of it at most every 10 ms, and with v1 never."""
_LOOK_MOST_S = 0.02
_LOOKS_WITHOUT = 2
"""One look at /proc can miss the child of a process that forks meanwhile."""


def entering(group: Group | None, command: Sequence[str], open_files: int | None) -> list[str]:
    """The command, put into the group before it does anything, with no more than so many open files."""
    steps = [f"echo 0 >{shlex.quote(str(path))}" for path in (group.doors if group is not None else ())]
    if open_files is not None:
        steps.append(f"ulimit -n {open_files}")
    if not steps:
        return list(command)
    return ["/bin/sh", "-c", " && ".join([*steps, 'exec "$@"']), "sh", *command]


class Group:
    """One agent's, with all that it starts: a group follows forks, whatever the processes do."""

    def __init__(self, directories: Mapping[Use, Path]) -> None:
        self._directories = dict(directories)
        self._oom_kills = 0

    @classmethod
    def load(cls, text: str, name: str) -> Group | None:
        """What `dump` gave, if it is still there and below a directory of this name. Raises `ValueError`."""
        directories = {use: Path(path) for use, path in json.loads(text).items()}
        there = {use: path for use, path in directories.items() if path.parent.name == name and path.is_dir()}
        return cls(there) if there else None

    def dump(self) -> str:
        """What `load` finds it again by, in another process too."""
        return json.dumps({use: str(path) for use, path in self._directories.items()})

    @property
    def doors(self) -> list[Path]:
        """The files into which a process writes 0 to enter."""
        return [directory / "cgroup.procs" for directory in self._distinct()]

    # --- Who is in it ------------------------------------------------------------------------------------------

    def add(self, pid: int) -> None:
        """Put a process in, but none of those that it has started; nothing to do if it has ended. Raises
        `SandboxError`. The kernel may take 15 ms for it."""
        try:
            for directory in self._distinct():
                write_file(directory / "cgroup.procs", str(pid))
        except ProcessLookupError:
            return
        except OSError as error:
            raise SandboxError(f"The sandbox's control group takes no process: {error.strerror}.") from error

    def add_all(self, pid: int) -> None:
        """Put a process in with all that it has started, while that goes on forking; none that is in it already.
        Raises `SandboxError`. Not for the event loop's thread."""
        deadline = time.monotonic() + FREEZE_WITHIN_S
        looks_without = 0
        while looks_without < _LOOKS_WITHOUT:
            outside = {pid, *descendants(pid)} - set(self.processes())
            looks_without = 0 if outside else looks_without + 1
            for process in outside:
                self.add(process)
            if time.monotonic() > deadline:
                raise SandboxError("The sandbox starts programs faster than they can be gathered.")

    def processes(self) -> list[int]:
        """All that run in it; not those that have ended and were not waited for."""
        found: set[int] = set()
        for directory in self._distinct():
            with contextlib.suppress(OSError):
                found.update(int(pid) for pid in (directory / "cgroup.procs").read_text().split())
        return sorted(found - {0})  # 0: one of a pid namespace that is not ours

    # --- Freezing ----------------------------------------------------------------------------------------------

    @property
    def can_freeze(self) -> bool:
        """Whether it is in a hierarchy that freezes."""
        return "freezer" in self._directories

    @property
    def is_frozen(self) -> bool:
        """Whether its processes stand still or are told to."""
        directory = self._directories.get("freezer")
        if directory is None:
            return False
        return _read(directory / "cgroup.freeze") == "1" or _read(directory / "freezer.state") not in (
            None,
            "THAWED",
        )

    async def freeze(self) -> None:
        """Afterwards all stand still. Raises `SandboxError`, and then they go on."""
        look_s = _LOOK_FIRST_S
        try:
            async with asyncio.timeout(FREEZE_WITHIN_S):
                while not freeze_group(self._directories["freezer"]):
                    await asyncio.sleep(look_s)
                    look_s = min(2 * look_s, _LOOK_MOST_S)
        except BaseException as error:
            self._thaw_again()
            if isinstance(error, TimeoutError):
                sentence = f"The sandbox did not stand still within {FREEZE_WITHIN_S:g} seconds."
                raise SandboxError(sentence) from None
            if isinstance(error, (OSError, KeyError)):
                raise SandboxError("The sandbox cannot be frozen: its control group is gone.") from error
            raise

    def thaw(self) -> None:
        """All go on. Raises `SandboxError`."""
        try:
            thaw_group(self._directories["freezer"])
        except (OSError, KeyError) as error:
            raise SandboxError("The sandbox cannot go on: its control group is gone.") from error

    def _thaw_again(self) -> None:
        with contextlib.suppress(SandboxError):
            self.thaw()

    # --- Limits ------------------------------------------------------------------------------------------------

    def limit(self, limits: Limits) -> None:
        """All its processes together; memory is what they have in memory and in swap. Raises `SandboxError`."""
        try:
            if limits.memory_bytes is not None:
                _limit_memory(self._directories["memory"], limits.memory_bytes)
            if limits.processes is not None:
                write_file(self._directories["pids"] / "pids.max", str(limits.processes))
        except (OSError, KeyError) as error:
            raise SandboxError("The sandbox's limits cannot be set: its control group is gone.") from error

    @property
    def oom_file(self) -> Path | None:
        """Where the kernel counts what it kills in it for want of memory (`oom_kill N`)."""
        directory = self._directories.get("memory")
        return oom_file(directory) if directory is not None else None

    def oom_kills(self) -> int:
        """How many the kernel has killed in it for want of memory; the last known once it is removed."""
        path = self.oom_file
        if path is not None:
            self._oom_kills = _counted(path, self._oom_kills)
        return self._oom_kills

    # --- Its end -----------------------------------------------------------------------------------------------

    async def kill(self) -> None:
        """End all that is in it, frozen or not. Raises `SandboxError` if something stays."""
        look_s = _LOOK_FIRST_S
        try:
            async with asyncio.timeout(GROUP_EMPTY_WITHIN_S):
                while processes := self.processes():
                    self._kill(processes)
                    await asyncio.sleep(look_s)
                    look_s = min(2 * look_s, _LOOK_MOST_S)
        except TimeoutError:
            raise SandboxError("Processes of the sandbox cannot be killed.") from None

    async def remove(self) -> bool:
        """Remove what is empty now or in a moment; false if something is left."""
        look_s = _LOOK_FIRST_S
        deadline = time.monotonic() + GROUP_EMPTY_WITHIN_S
        self.oom_kills()
        while sum(not remove_group(directory) for directory in self._distinct()):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(look_s)
            look_s = min(2 * look_s, _LOOK_MOST_S)
        for directory in self._distinct():
            remove_group(directory.parent)  # the server's, if this was the last one in it
        return True

    def _kill(self, processes: list[int]) -> None:
        for directory in self._distinct():
            with contextlib.suppress(OSError):
                write_file(directory / "cgroup.kill", "1")
                return
        for pid in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        self._thaw_again()  # where it cannot be killed at once, one that is frozen dies when it goes on

    def _distinct(self) -> list[Path]:
        return list(dict.fromkeys(self._directories.values()))


def freeze_group(directory: Path) -> bool:
    """Tell its processes to stand still; whether all do. Raises `OSError`."""
    try:
        write_file(directory / "cgroup.freeze", "1")
    except FileNotFoundError:
        write_file(directory / "freezer.state", "FROZEN")
        return _read(directory / "freezer.state") == "FROZEN"
    return "frozen 1" in (_read(directory / "cgroup.events") or "")


def thaw_group(directory: Path) -> None:
    """Raises `OSError`."""
    try:
        write_file(directory / "cgroup.freeze", "0")
    except FileNotFoundError:
        write_file(directory / "freezer.state", "THAWED")


def _limit_memory(directory: Path, size: int) -> None:
    """Raises `OSError`. Where the kernel does not count swap, swap is not limited."""
    if (directory / "memory.max").exists():
        write_file(directory / "memory.max", str(size))
        counts_swap, swap = directory / "memory.swap.max", 0
    else:
        write_file(directory / "memory.limit_in_bytes", str(size))
        counts_swap, swap = directory / "memory.memsw.limit_in_bytes", size
    with contextlib.suppress(FileNotFoundError):
        write_file(counts_swap, str(swap))


def oom_file(directory: Path) -> Path:
    events = directory / "memory.events"
    return events if events.exists() else directory / "memory.oom_control"


def _counted(path: Path, otherwise: int) -> int:
    for line in (_read(path) or "").splitlines():
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            return int(count)
    return otherwise


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def write_file(path: Path, text: str) -> None:
    """Raises `OSError`; a file that is not there is not made."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def remove_group(directory: Path) -> bool:
    """Whether it is gone; not while something is in it."""
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
