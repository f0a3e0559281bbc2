"""Is a terminal's own shell waiting for a person? Asked while a shell starts, and before a sandbox sleeps.

A shell waits at its prompt when it is in the foreground and has either switched the terminal's line discipline off
to edit the line itself (ICANON: readline, zle, fish) or is blocked in reading the terminal (dash, `cat`). What is
typed before that would be echoed twice, or thrown away.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
from dataclasses import dataclass


@dataclass(frozen=True)
class _Calls:
    """Numbers of system calls."""

    read: int
    wait: frozenset[int]
    """wait4, waitid, rt_sigsuspend: a shell in one of them waits for a program. write, writev: it has yet to write what
    it does next."""
    lock: int
    """futex: one thread waits for another."""


_GENERIC = _Calls(63, frozenset({260, 95, 133, 64, 66}), 98)
_CALLS = {
    "x86_64": _Calls(0, frozenset({61, 247, 130, 1, 20}), 202),
    "aarch64": _GENERIC,
    "riscv64": _GENERIC,
    "loongarch64": _GENERIC,
}
_TIOCGPTPEER = 0x5441
"""Linux: opens the other side of a PTY, whatever names it has here; `termios` lacks it."""
PROMPT_END = b"\x1b]133;B"
"""Written by shells with integration after their prompt: what follows is the person's."""
SHELLS = frozenset({
    "ash", "bash", "csh", "dash", "elvish", "fish", "ksh", "mksh", "nu", "osh", "pwsh", "rbash", "sh", "tcsh",
    "xonsh", "yash", "zsh",
})  # fmt: skip


_KEYS_READ_ELSEWHERE = frozenset({"elvish", "pwsh"})
"""Their first thread waits for another one at the prompt as well."""


class PromptMark:
    """Finds the mark in output that comes in pieces."""

    def __init__(self) -> None:
        self._tail = b""

    def found(self, data: bytes | memoryview) -> bool:
        """Is the mark in the output up to the end of `data`, which follows what was given before?"""
        text = self._tail + data
        self._tail = text[-(len(PROMPT_END) - 1) :]
        return PROMPT_END in text


@dataclass(frozen=True)
class Program:
    """What a process runs, to notice an `exec`."""

    path: str | None
    """None if it cannot be read."""
    name: str | None
    """As the kernel has it, cut after 15 bytes."""

    @property
    def is_a_shell(self) -> bool:
        """By its name: `exec zsh` leaves a shell behind, `exec vim` does not."""
        return self.name in SHELLS


def program(pid: int) -> Program:
    """What the process runs now."""
    try:
        path = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 -- bytes of a path, not a path to walk
    except OSError:
        path = None
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:  # noqa: PTH123
            name = os.fsdecode(file.read().rstrip(b"\n"))
    except OSError:
        name = None
    return Program(path, name)


def foreground_group(master: int) -> int | None:
    """The process group that has the terminal; None if there is none."""
    try:
        return os.tcgetpgrp(master) or None
    except OSError:
        return None


def edits_lines(master: int) -> bool:
    """Is the terminal's line discipline switched off, as by a shell that edits lines itself?"""
    try:
        return not termios.tcgetattr(master)[3] & termios.ICANON
    except termios.error:
        return False


def waits(master: int, pid: int, unknown: bool) -> bool:
    """Is the process, which leads the terminal's session, at its prompt? `unknown` if that cannot be seen."""
    if foreground_group(master) != pid:
        return False
    is_edited = edits_lines(master)
    calls = _CALLS.get(os.uname().machine)
    words = _system_call(pid)
    if calls is None or words is None:
        return is_edited or unknown
    call = int(words[0]) if len(words) > 1 else None
    if is_edited:
        if call == calls.lock:
            return program(pid).name in _KEYS_READ_ELSEWHERE
        return call not in calls.wait  # A program of the start-up files may share the shell's group.
    return call == calls.read and int(words[1], 16) == 0


def unread(master: int) -> bool:
    """Has the terminal input that its programs could read and have not? False if that cannot be asked."""
    try:
        slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # What was written may still be on its way to the line discipline: `poll` waits for that, FIONREAD does not.
        poll = select.poll()
        poll.register(slave, select.POLLIN)
        if any(events & select.POLLIN for _, events in poll.poll(0)):
            return True
        (count,) = struct.unpack("i", fcntl.ioctl(slave, termios.FIONREAD, bytes(struct.calcsize("i"))))
        return bool(count)
    except OSError:
        return False
    finally:
        os.close(slave)


def _system_call(pid: int) -> list[bytes] | None:
    """Number and arguments of the call that the process is in, one word if it is in none; None if unreadable."""
    try:
        with open(f"/proc/{pid}/syscall", "rb") as file:  # noqa: PTH123
            return file.read().split()
    except OSError:
        return None
