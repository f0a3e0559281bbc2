"""The process that a terminal was opened with: what it is, what it waits for, and how it is ended.

Does not read or write the terminal.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping

from wormux.agent import prompt
from wormux.agent.processes import Process, ShellState, command_name, readable
from wormux.limits import CWD_CHARS
from wormux.protocol.agent_link import Foreground

_REMOVED = " (deleted)"
"""What the kernel adds to the path of a directory that is gone."""


class Shell:
    """Leads the session of the PTY whose other side is `master`, which the caller keeps open meanwhile."""

    def __init__(self, pane_id: str, pid: int, master: int, *, is_login_shell: bool) -> None:
        self.pid = pid
        self.is_reaped = False
        """Its pid may belong to another process by now."""
        self._pane_id = pane_id
        self._master = master
        self._is_login_shell = is_login_shell
        self._program: prompt.Program | None = None
        """What it was when it was ready; None before."""
        self._editor: prompt.Program | None = None
        """The program that was seen to edit lines itself."""

    def waits(self) -> bool:
        """It is seen to be at its prompt."""
        return prompt.waits(self._master, self.pid, unknown=False)

    def settle(self) -> None:
        """It has started up: what it runs now is what it is."""
        self._program = prompt.program(self.pid)
        if prompt.edits_lines(self._master):
            self._editor = self._program

    def state(self) -> ShellState:
        """For the question who is busy.

        `read` in a shell that edits lines at its prompt is work: a function that waits for a person, as vim does. In
        one that does not edit them (dash), or where `read` edits as well (fish, `read -e`), the two look the same.
        """
        now = prompt.program(self.pid)
        is_shell = now.is_a_shell or (self._is_login_shell and now == self._program)
        has_foreground = prompt.foreground_group(self._master) == self.pid
        waits = prompt.waits(self._master, self.pid, unknown=True)
        if waits and prompt.edits_lines(self._master):
            self._editor = now
        elif now == self._editor:
            waits = False
        works = has_foreground and not waits
        return ShellState(self._pane_id, self.pid, is_shell, works)

    def foreground(self, processes: Mapping[int, Process]) -> Foreground:
        """What has the terminal."""
        group = prompt.foreground_group(self._master)
        leader = processes.get(group or -1)
        if leader is None:  # The first of a pipeline has ended.
            leader = next((process for process in processes.values() if process.group == group), None)
        if leader is None:
            return Foreground(None, False, None)
        is_shell = leader.pid == self.pid and self._is_itself()
        return Foreground(command_name(leader), is_shell, _directory(leader.pid))

    def directory(self) -> str | None:
        """Where its foreground is, as `foreground` tells it, but now; None if that is unknown."""
        group = prompt.foreground_group(self._master)
        return _directory(group if group is not None else self.pid)

    def hang_up(self) -> None:
        """Tell it and its foreground that the terminal is gone, as closing a window does."""
        for number in (signal.SIGHUP, signal.SIGCONT):
            self.signal_foreground(number)
            self._signal(number)

    def kill(self) -> None:
        """End it and its foreground."""
        self.signal_foreground(signal.SIGKILL)
        self._signal(signal.SIGKILL)

    def signal_foreground(self, number: signal.Signals) -> None:
        """To every process of the group that has the terminal."""
        group = prompt.foreground_group(self._master)
        if group is not None:
            with contextlib.suppress(OSError):
                os.killpg(group, number)

    def _signal(self, number: signal.Signals) -> None:
        if not self.is_reaped:
            with contextlib.suppress(OSError):
                os.kill(self.pid, number)

    def _is_itself(self) -> bool:
        """It has not become another program by `exec`."""
        if self._program is None:
            return True
        now = prompt.program(self.pid)
        return now == self._program or now.is_a_shell


def _directory(pid: int) -> str | None:
    """Where the process is; None if that is unknown, or too long to be told whole."""
    link = f"/proc/{pid}/cwd"
    try:
        path = readable(os.readlink(link))  # noqa: PTH115
        if path.endswith(_REMOVED) and os.stat(link).st_nlink == 0:  # noqa: PTH116
            path = path[: -len(_REMOVED)]
    except OSError:
        return None
    return path if len(path) <= CWD_CHARS else None
