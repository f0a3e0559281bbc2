"""What a provider whose agents run on this machine does with control groups: one for each, found by later servers.

Groups are made only if somebody wants them: for limits, or for freezing once it was asked whether that can be had. A
sandbox is given here by its directory, in which its group is written down. Named is a group by chance rather than by
its sandbox: to put a process into a group takes the kernel up to 15 ms, so an agent enters it before it is known whose
it will be.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from wormux.errors import SandboxError, SetupError
from wormux.limits import SANDBOX_FILES_LEAST, SANDBOX_MEMORY_LEAST_BYTES, SANDBOX_PROCESSES_LEAST
from wormux.sandbox.cgroup import Group, Use, entering
from wormux.sandbox.cgroup_place import Groups
from wormux.sandbox.freezer import CgroupFreezer, Freezer, SigstopFreezer
from wormux.sandbox.port import Lost
from wormux.sandbox.settings import ProviderSettings

_GROUP = "agent.group"
_STOPPED = "agent.stopped"


class SandboxGroups:
    """Of one provider. Raises `SetupError` if the limits that it is to keep cannot be kept here."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._limits = settings.limits
        self._freeze_with = settings.freeze_with
        self._groups = Groups(settings.data_dir)
        self._seen: dict[Path, tuple[Group, int]] = {}
        """The group of each sandbox, and how many had been killed there for want of memory when it was first seen."""
        self._removals: set[asyncio.Task[object]] = set()
        self._open_files = _open_files(self._limits.open_files)
        self._check_limits()

    @cached_property
    def cannot_freeze(self) -> str | None:
        """Why none of the sandboxes can be frozen, as a sentence. Tries it, the first time."""
        if self._freeze_with == "sigstop":
            return (
                None if Path("/proc/self/stat").exists() else "Sandboxes cannot be frozen: there is no /proc."
            )
        reason = self._groups.cannot("freezer")
        if reason is not None:
            return (
                f"Sandboxes cannot be frozen: {reason}. "
                "Run Wormux as a service with Delegate=yes, or choose --sleep-mode sigstop."
            )
        self._groups.cannot("memory")  # only so that it can be said of what is killed for want of it
        self._groups.sweep()
        return None

    # --- A sandbox's life ----------------------------------------------------------------------------------------

    def new(self) -> Group | None:
        """For an agent that is about to start; None if nobody wants groups. Raises `SandboxError`."""
        if not self._groups.uses:
            return None
        group = self._groups.make()
        try:
            group.limit(self._limits)
        except SandboxError:
            self.left(group)
            raise
        return group

    def entering(self, group: Group | None, command: Sequence[str]) -> list[str]:
        """The command, limited and in this group from its first step on."""
        return entering(group, command, self._open_files)

    def started(self, directory: Path, group: Group | None) -> None:
        """The sandbox's agent runs, in this group."""
        self._seen.pop(directory, None)
        with contextlib.suppress(OSError, SandboxError):  # it is for a later server: `freeze` insists
            (directory / _GROUP).unlink(missing_ok=True)
            if group is not None:
                self._seen[directory] = (group, group.oom_kills())
                _write_down(directory, group)

    def left(self, group: Group) -> None:
        """Its processes ended or are about to: remove it."""
        task = asyncio.get_running_loop().create_task(group.remove())
        self._removals.add(task)
        task.add_done_callback(self._removals.discard)

    async def end(self, directory: Path) -> None:
        """End all that is left in the sandbox's group, and the group. Raises `SandboxError`."""
        self._continue_stopped(directory)
        group = self._group(directory)
        if group is not None:
            await group.kill()
            await group.remove()
        self._seen.pop(directory, None)
        with contextlib.suppress(OSError):
            (directory / _GROUP).unlink()

    async def aclose(self) -> None:
        """Let removals end; what still runs keeps its group."""
        await asyncio.gather(*self._removals, return_exceptions=True)

    # --- Freezing ------------------------------------------------------------------------------------------------

    async def freeze(self, directory: Path, agent_pid: int) -> None:
        """Raises `SandboxError`, and then everything goes on."""
        if self.cannot_freeze is not None:
            raise SandboxError(self.cannot_freeze)
        freezer: Freezer
        if self._freeze_with == "sigstop":
            freezer = SigstopFreezer(agent_pid, directory / _STOPPED)
        else:
            freezer = CgroupFreezer(await self._group_that_freezes(directory, agent_pid))
        await freezer.freeze()

    def thaw(self, directory: Path) -> None:
        """Whoever froze it, and by whichever means. Raises `SandboxError`."""
        self._continue_stopped(directory)
        group = self._group(directory)
        if group is not None and group.is_frozen:
            group.thaw()

    async def _group_that_freezes(self, directory: Path, agent_pid: int) -> Group:
        """The one it has; or a new one, for an agent that was started without. All its processes are in it then."""
        group = old = self._group(directory)
        if group is None or not group.can_freeze:
            group = self.new()
            assert group is not None, "freezing was tried, so that groups are for it"
            self.started(directory, group)
        _write_down(directory, group)
        await asyncio.to_thread(group.add_all, agent_pid)
        if old is not None and old is not group:
            self.left(old)
        return group

    def _continue_stopped(self, directory: Path) -> None:
        record = directory / _STOPPED
        if record.exists():
            SigstopFreezer(os.getpid(), record).thaw()

    def _group(self, directory: Path) -> Group | None:
        if directory not in self._seen:
            try:
                group = self._groups.find((directory / _GROUP).read_text())
            except (OSError, UnicodeDecodeError):
                return None
            if group is None:
                return None
            self._seen[directory] = (group, group.oom_kills())
        return self._seen[directory][0]

    # --- Limits --------------------------------------------------------------------------------------------------

    def explain(self, directory: Path, lost: Lost) -> Lost:
        """The agent itself was killed for want of memory, as it seems. What was killed there without it, it has told
        of; the kernel does not say whom it killed."""
        group, kills = self._seen.get(directory, (None, 0))
        if lost.dead and group is not None and group.oom_kills() > kills:
            return Lost("The sandbox ran out of memory.", dead=True)
        return lost

    def _check_limits(self) -> None:
        uses: list[tuple[Use, str, str, int | None, int]] = [
            (
                "memory",
                "The memory",
                "--sandbox-memory",
                self._limits.memory_bytes,
                SANDBOX_MEMORY_LEAST_BYTES,
            ),
            ("pids", "The processes", "--sandbox-processes", self._limits.processes, SANDBOX_PROCESSES_LEAST),
        ]
        for use, what, option, limit, least in uses:
            if limit is None:
                continue
            if limit < least:
                raise SetupError(f"{what} of a sandbox cannot be limited to less than {least} ({option}).")
            reason = self._groups.cannot(use)
            if reason is not None:
                raise SetupError(
                    f"{what} of sandboxes cannot be limited: {reason}. Run Wormux as a service with Delegate=yes "
                    f"and DelegateSubgroup=server, or leave {option} out."
                )
        if self._groups.uses:
            self._groups.sweep()


def _write_down(directory: Path, group: Group) -> None:
    """So that a later server finds it, which has to thaw what is frozen. Raises `SandboxError`."""
    path = directory / _GROUP
    try:
        path.touch(0o600)
        path.write_text(group.dump())
    except OSError as error:
        raise SandboxError(f"The sandbox's group cannot be written down: {error.strerror}.") from error


def _open_files(limit: int | None) -> int | None:
    """Raises `SetupError`. What is limited to less already, cannot be raised and need not be."""
    if limit is None:
        return None
    if limit < SANDBOX_FILES_LEAST:
        raise SetupError(
            f"The open files of a program cannot be limited to less than {SANDBOX_FILES_LEAST} (--sandbox-files)."
        )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit if hard == resource.RLIM_INFINITY else min(limit, hard)
