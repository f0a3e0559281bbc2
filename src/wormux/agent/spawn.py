"""Opens a PTY and starts a shell on it, as a terminal emulator does.

Everything that can be decided is decided before the fork; the child only sets itself up and executes, and tells
through a pipe why it could not. Nothing is left behind by a start that failed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import signal
import struct
import sys
import termios
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

from wormux.agent.integration import Integration
from wormux.agent.keepsake import Keepsake
from wormux.agent.processes import readable
from wormux.limits import CWD_CHARS
from wormux.protocol.agent_link import Open

_IUTF8 = 0x4000
"""Linux and macOS agree on it; `termios` lacks it."""
_OUTER_TERMINAL = frozenset({
    "COLUMNS", "LINES", "OLDPWD", "PYTHONPATH", "SHLVL", "STY", "TERMCAP", "TERM_PROGRAM", "TERM_PROGRAM_VERSION",
    "TMUX", "TMUX_PANE", "VTE_VERSION", "WINDOWID",
})  # fmt: skip
"""What the environment says about the terminal and shell that the server was started in, not about this one."""
_FALLBACK_PATH = "/usr/local/bin:/usr/bin:/bin"


class CannotStart(Exception):
    """The shell does not run. `str(error)` is a sentence for the person at the pane."""


@dataclass(frozen=True)
class Started:
    """A running shell. The caller owns both."""

    pid: int
    master: int
    """The PTY's other side, non-blocking and close-on-exec."""
    keepsake: Optional[Keepsake] = None
    """Of its environment, if that is kept; the caller's to end."""
    notice: bytes = b""
    """What the person must know before the shell's own output."""


@dataclass(frozen=True)
class Plan:
    """All that the child needs."""

    argv: list[str]
    files: list[str]
    """To be executed: the first one that exists."""
    environment: dict[str, str]
    directories: list[str]
    """To start in: the first one that can be entered."""


def start(request: Open, integration: Optional[Integration] = None) -> Started:
    """Run the shell that is asked for. Raises `CannotStart`."""
    plan = make_plan(request, os.environ)
    keepsake = None
    if integration is not None:
        start = integration.start(
            plan.argv, plan.files[0], plan.environment, request.pane_id, request.generation
        )
        if start is not None:
            plan = replace(plan, argv=start.argv, environment=start.environment)
            keepsake = start.keepsake
    try:
        pid, master = _start(plan, request)
    except BaseException:
        if keepsake is not None:
            keepsake.end()
        raise
    return Started(pid, master, keepsake, _elsewhere(request.cwd, plan.directories[0]))


def _start(plan: Plan, request: Open) -> tuple[int, int]:
    """The shell's pid, and the PTY's other side."""
    try:
        master, slave = os.openpty()
    except OSError as error:
        raise CannotStart(f"No terminal can be opened: {os.strerror(error.errno or 0)}.") from error
    try:
        _set_up(slave, request.cols, request.rows)
        os.set_blocking(master, False)
        return _fork(plan, slave), master
    except OSError as error:
        os.close(master)
        raise CannotStart(f"No process can be started: {os.strerror(error.errno or 0)}.") from error
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)


def set_size(terminal: int, cols: int, rows: int) -> None:
    """Set the size of a PTY by either of its sides; the kernel tells the foreground if it changed."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def make_plan(request: Open, environ: Mapping[str, str]) -> Plan:
    """What to execute, where, and with which environment."""
    environment = {
        name: value
        for name, value in environ.items()
        if not name.startswith("WORMUX_") and name not in _OUTER_TERMINAL
    }
    if python_path := _python_path(environ.get("PYTHONPATH", "")):
        environment["PYTHONPATH"] = python_path
    environment.update(TERM="xterm-256color", COLORTERM="truecolor")
    environment.update(request.env)

    home = environment.get("HOME") or "~"
    home = os.path.expanduser(home)  # noqa: PTH111 -- from the user database, if the environment has none
    directories = [*_with_parents(request.cwd), home, "/"]
    here = next((path for path in directories if os.access(path, os.X_OK) and Path(path).is_dir()), "/")
    environment["PWD"] = here  # as it was asked for, symbolic links and all

    if request.argv:
        argv = list(request.argv)
        files = _candidates(argv[0], environment.get("PATH") or _FALLBACK_PATH)
    else:
        shell = _users_shell(environment)
        name = shell.rpartition("/")[2]
        # On macOS every terminal starts login shells: /etc/zprofile sets the path there.
        argv = ["-" + name if sys.platform == "darwin" else name]
        files = [shell]
    environment.setdefault("SHELL", _users_shell(environment))
    return Plan(argv, files, environment, [here, *directories])


def _python_path(value: str) -> str:
    """`value` without the place from which the agent itself was loaded."""
    ours = Path(__file__).parents[2]
    return os.pathsep.join(entry for entry in value.split(os.pathsep) if entry and Path(entry) != ours)


def _users_shell(environment: Mapping[str, str]) -> str:
    """$SHELL, or what the user database says."""
    for shell in (environment.get("SHELL"), _database_shell()):
        if shell and os.access(shell, os.X_OK):
            return shell
    return "/bin/sh"


def _database_shell() -> str | None:
    try:
        return pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:
        return None  # The user ids of containers often have no entry.


def _with_parents(cwd: str | None) -> Iterator[str]:
    """The directory, then those that contain it, but not the root."""
    if not cwd or not cwd.startswith("/") or "\0" in cwd:
        return
    path = Path(cwd)
    yield cwd
    for parent in path.parents:
        if parent != Path("/"):
            yield str(parent)


def _elsewhere(wanted: str | None, directory: str) -> bytes:
    """A line that says that the shell starts in another directory than it should; empty if it does not."""
    if not wanted or wanted == directory:
        return b""
    lost = "cannot be entered" if Path(wanted).is_dir() else "is gone"
    text = f"{readable(wanted)[:CWD_CHARS]} {lost}: starting in {readable(directory)[:CWD_CHARS]}"
    return f"\x1b[2m── {text} ──\x1b[m\r\n".encode()


def _candidates(program: str, search_path: str) -> list[str]:
    """The files that `program` may mean."""
    if "/" in program:
        return [program]
    return [f"{directory or '.'}/{program}" for directory in search_path.split(os.pathsep)]


def _set_up(terminal: int, cols: int, rows: int) -> None:
    """The line discipline that every emulator sets: the kernel's, and characters of several bytes erased whole."""
    modes = termios.tcgetattr(terminal)
    modes[0] |= termios.BRKINT | termios.ICRNL | termios.IXON | termios.IMAXBEL | _IUTF8
    termios.tcsetattr(terminal, termios.TCSANOW, modes)
    set_size(terminal, cols, rows)


def _fork(plan: Plan, slave: int) -> int:
    """The pid of the shell, which runs. Raises `CannotStart`, or `OSError` if there is no process to be had."""
    report_reader, report_writer = os.pipe()
    try:
        before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                _become(plan, slave, report_writer)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    except BaseException:
        os.close(report_reader)
        raise
    finally:
        os.close(report_writer)
    with open(report_reader, "rb") as report:  # noqa: PTH123 -- a descriptor
        failure = report.read()  # Ends when the program runs: the pipe is close-on-exec.
    if failure:
        os.waitpid(pid, 0)
        raise CannotStart(f"The shell {plan.argv[0]} cannot be run: {failure.decode()}.")
    return pid


def _become(plan: Plan, slave: int, report: int) -> None:
    """In the child: lead a session on the terminal and execute. Never returns."""
    reason = "it is not there"
    try:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for descriptor in (0, 1, 2):
            os.dup2(slave, descriptor)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for directory in plan.directories:
            try:
                os.chdir(directory)
                break
            except OSError:
                continue
        denied = missing = None
        for file in plan.files:
            try:
                os.execve(file, plan.argv, plan.environment)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR):
                    missing = error
                else:
                    denied = denied or error
        if failure := denied or missing:
            reason = os.strerror(failure.errno or 0)
    except (OSError, ValueError) as error:
        reason = str(error)
    finally:
        os.write(report, reason.encode("utf-8", "replace"))
        os._exit(127)
