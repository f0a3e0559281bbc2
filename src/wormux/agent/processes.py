"""The processes of the sandbox: the agent's descendants, and which of them sleep would break.

The agent is a subreaper, so nothing leaves its family by `setsid` or a double fork. The table is one scan of
/proc (the kernel's `children` files are quicker, but may leave some out while others end); where there is no
/proc, `ps` is asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from wormux.limits import COMMAND_CHARS
from wormux.protocol.agent_link import Busy

BUSY_IGNORE = (
    "at-spi*", "dbus-daemon", "dbus-launch", "dconf-service", "gitstatusd*", "gnome-keyring-d*", "gpg-agent",
    "gvfsd*", "keyboxd", "scdaemon", "ssh-agent", "watchman",
)  # fmt: skip
"""Helpers that stay in the background and hold no work: patterns of names."""
_STAT_BYTES = 4096
"""More than a line of /proc/PID/stat has."""
COMM_BYTES = 15
"""The kernel cuts the names of processes here."""


@dataclass(frozen=True)
class Process:
    """One row of the table."""

    pid: int
    parent: int
    group: int
    tty: str
    """Its controlling terminal; the text means nothing but equality."""
    state: str
    """R, S, D, T, Z, ..."""
    started: int
    """Clock ticks after boot; 0 where that is unknown."""
    name: str


@dataclass(frozen=True)
class ShellState:
    """The process that a living terminal was opened with."""

    pane_id: str
    pid: int
    is_shell: bool
    """It has not become another program by `exec`."""
    works: bool
    """It runs something by itself: it has the foreground and is not at its prompt."""


def family(agent_pid: int) -> dict[int, Process]:
    """All living descendants of the agent, by pid."""
    candidates = _from_proc(agent_pid) if sys.platform == "linux" else _from_ps()
    return descendants(agent_pid, candidates)


def threads(pid: int) -> list[tuple[str, ...]]:
    """Of each living thread of a process, its state, as in `Process.state`, and what changes whenever it runs."""
    if sys.platform != "linux":
        return [(row.state,) for row in _from_ps() if row.pid == pid and row.state not in "ZX"]
    try:
        names = sorted(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208
    except OSError:
        return []  # It ended meanwhile.
    return [thread for name in names if (thread := _thread(pid, name))[0] not in "ZX"]


def _thread(pid: int, name: str) -> tuple[str, ...]:
    try:
        with open(f"/proc/{pid}/task/{name}/status", "rb", buffering=0) as file:  # noqa: PTH123
            rows = dict(line.split(b":\t", 1) for line in file.read().splitlines() if b":\t" in line)
    except OSError:
        return ("X",)
    switches = (rows[b"voluntary_ctxt_switches"], rows[b"nonvoluntary_ctxt_switches"])
    return (rows[b"State"][:1].decode(), name, *(count.decode() for count in switches))


def descendants(root: int, processes: Iterable[Process]) -> dict[int, Process]:
    """The children of `root`, theirs, and so on, without the dead that nobody has reaped yet."""
    children: dict[int, list[Process]] = {}
    for process in processes:
        children.setdefault(process.parent, []).append(process)
    found: dict[int, Process] = {}
    generation = [root]
    while generation:
        born = [child for parent in generation for child in children.pop(parent, ())]
        found.update((child.pid, child) for child in born)
        generation = [child.pid for child in born]
    return {pid: process for pid, process in found.items() if process.state not in "ZX"}


def busy(processes: Mapping[int, Process], shells: Collection[ShellState], ignore: Iterable[str]) -> Busy:
    """What sleep would break: every process but shells at their prompt and names that match `ignore`.

    A shell that works is named only if it does so alone, as in a loop without programs.
    """
    patterns = tuple(ignore)
    own_shells = {shell.pid for shell in shells if shell.is_shell}
    at_work = [
        process
        for process in processes.values()
        if process.pid not in own_shells
        and not any(fnmatchcase(process.name, pattern) for pattern in patterns)
    ]
    if not at_work:
        at_work = [processes[shell.pid] for shell in shells if shell.works and shell.pid in processes]
    if not at_work:
        return Busy(None)
    first = min(at_work, key=lambda process: (process.started, process.pid))
    sentence = command_name(first)
    if len(at_work) > 1:
        sentence += f" and {len(at_work) - 1} more"
    panes = {processes[shell.pid].tty: shell.pane_id for shell in shells if shell.pid in processes}
    return Busy(sentence, panes.get(first.tty))


def command_name(process: Process) -> str:
    """Its name as a person knows it, if the kernel cut or never knew it."""
    name = process.name
    if len(os.fsencode(name)) == COMM_BYTES or name == "MainThread":  # what Node.js calls itself
        called = _program(process.pid)
        if called.startswith(name) or name == "MainThread":
            name = called or name
    return readable(name)[:COMMAND_CHARS]


def readable(text: str) -> str:
    """`text` from the system as UTF-8 can carry it, without control characters."""
    text = os.fsencode(text).decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def parse_stat(stat: bytes) -> Process:
    """The line of /proc/PID/stat. Raises `ValueError` if it is none."""
    head, _, tail = stat.rpartition(b")")
    pid, _, name = head.partition(b" (")
    state, parent, group, _session, tty, *rest = tail.split()
    return Process(
        pid=int(pid),
        parent=int(parent),
        group=int(group),
        tty=tty.decode(),
        state=state.decode(),
        started=int(rest[14]),
        name=os.fsdecode(name),
    )


def _from_proc(root: int) -> list[Process]:
    """The dead and living descendants of `root`. Of all other processes of the machine no more is read than whose
    children they are: this is most of what an agent computes."""
    children: dict[int, list[bytes]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 -- a thousand Path objects a second would be felt
        if entry.isdigit():
            try:
                file = os.open(f"/proc/{entry}/stat", os.O_RDONLY)
                try:
                    stat = os.read(file, _STAT_BYTES)
                finally:
                    os.close(file)
            except OSError:
                continue  # It ended meanwhile.
            children.setdefault(_parent(stat), []).append(stat)
    found: list[Process] = []
    parents = [root]
    for parent in parents:
        born = [parse_stat(stat) for stat in children.get(parent, ())]
        found += born
        parents += [process.pid for process in born]
    return found


def _parent(stat: bytes) -> int:
    return int(stat[stat.rindex(b")") + len(b") S ") :].split(b" ", 1)[0])


def _from_ps() -> list[Process]:
    """The table of `ps`, without `ps`."""
    command = ["ps", "-axo", "pid=,ppid=,pgid=,tty=,state=,comm="]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as ps:
        output, _ = ps.communicate()
    rows = [os.fsdecode(line).split(None, 5) for line in output.splitlines()]
    return [
        Process(int(pid), int(parent), int(group), tty, state[0], 0, name.rpartition("/")[2].lstrip("-"))
        for pid, parent, group, tty, state, name in rows
        if int(pid) != ps.pid
    ]


def _program(pid: int) -> str:
    """The base name of what the process was called as; empty if unknown."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
            called = file.read(4096).partition(b"\0")[0]
    except OSError:
        return ""
    return os.fsdecode(called.rpartition(b"/")[2])
