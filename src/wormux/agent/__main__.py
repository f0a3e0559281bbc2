"""Starts the agent of one sandbox: `python -m wormux.agent --socket PATH --data-dir DIR`.

Who starts it may hand over what it cannot reach from inside: a socket that listens already (`--listen-fd`, instead of
`--socket`) and the kernel's counter of kills for want of memory (`--oom-fd`).

Writes `ready` and a newline to the descriptor `--ready-fd` once the socket can be connected to. A start that fails
writes one sentence there and to stderr instead, and exits with 1.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

from wormux.agent.agent import Agent, Options, names_to_ignore
from wormux.agent.keepsake import ENV_EXCLUDE
from wormux.agent.listener import CannotListen, Listener
from wormux.agent.loop import Loop
from wormux.agent.oom import open_counter
from wormux.limits import AGENT_CHECK_S, AGENT_GAP_S, AGENT_LINGER_S, ORPHAN_S, SERVER_GONE_WAIT_S

_TIMES = {
    "gap-s": AGENT_GAP_S,
    "linger-s": AGENT_LINGER_S,
    "orphan-s": ORPHAN_S,
    "check-s": AGENT_CHECK_S,
    "server-wait-s": SERVER_GONE_WAIT_S,
}
"""Options that shorten what tests would wait for."""
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str] | None = None) -> int:
    """Run an agent to its end; the exit status."""
    options = make_parser().parse_args(arguments)
    _keep_descriptors_from_shells()
    try:
        agent = _start(options)
    except (OSError, CannotListen) as error:
        _tell(options.ready_fd, f"{error}")
        print(f"wormux agent: {error}", file=sys.stderr)
        return 1
    _tell(options.ready_fd, "ready")
    agent.run()
    # The interpreter gives signals their old meaning before it exits: none must turn a clean end into another.
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    return 0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wormux-agent", description="Keeps the terminals of one sandbox.")
    listener = parser.add_mutually_exclusive_group(required=True)
    listener.add_argument("--socket", type=Path, help="where to listen")
    listener.add_argument(
        "--listen-fd", type=int, help="a unix socket that listens already, to be taken over"
    )
    parser.add_argument(
        "--data-dir", type=Path, required=True, help="the agent ends when this directory is gone"
    )
    parser.add_argument(
        "--outlives-data-dir", action="store_true", help="it goes on when the data directory is gone"
    )
    parser.add_argument("--ready-fd", type=int, help="a descriptor that is told when the agent listens")
    parser.add_argument(
        "--oom-fd", type=int, help="memory.events or memory.oom_control of the sandbox, to be read"
    )
    parser.add_argument(
        "--busy-ignore",
        action="append",
        default=[],
        metavar="NAME",
        help="a process that never counts as busy",
    )
    parser.add_argument(
        "--shell-integration",
        choices=("on", "off"),
        default="on",
        help="mark prompts of bash, zsh and fish, and keep their environment over sleep",
    )
    parser.add_argument(
        "--env-exclude",
        action="append",
        metavar="PATTERN",
        help="a variable that is never kept over sleep; in place of the usual ones",
    )
    for name, default in _TIMES.items():
        parser.add_argument(f"--{name}", type=float, default=default, help=argparse.SUPPRESS)
    return parser


def _start(options: argparse.Namespace) -> Agent:
    """An agent that listens. Raises `CannotListen` or `OSError`."""
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    _become_subreaper()
    data_dir = options.data_dir.absolute()
    if not data_dir.is_dir():
        raise CannotListen(f"There is no data directory: {data_dir}")
    if options.listen_fd is None:
        listener = Listener.at(options.socket.absolute())
    else:
        listener = Listener.inherited(options.listen_fd)
    os.chdir("/")  # Keeps no file system busy.
    settings = Options(
        data_dir,
        names_to_ignore(options.busy_ignore),
        shell_integration=options.shell_integration == "on",
        env_exclude=ENV_EXCLUDE if options.env_exclude is None else tuple(options.env_exclude),
        linger_s=options.linger_s,
        orphan_s=options.orphan_s,
        check_s=options.check_s,
        server_wait_s=options.server_wait_s,
        oom_counter=open_counter() if options.oom_fd is None else options.oom_fd,
        outlives_data_dir=options.outlives_data_dir,
    )
    return Agent(Loop(options.gap_s), listener, settings)


def _become_subreaper() -> None:
    """Inherit every orphan of the sandbox, and keep our memory from other programs of the same user."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _keep_descriptors_from_shells() -> None:
    """What we were started with stays with us; all that is opened later does so by itself."""
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 -- names are all that is wanted
        if int(name) > 2:
            with contextlib.suppress(OSError):
                os.set_inheritable(int(name), False)


def _tell(ready_fd: int | None, line: str) -> None:
    if ready_fd is not None:
        with contextlib.suppress(OSError):
            os.write(ready_fd, line.encode() + b"\n")
            os.close(ready_fd)


if __name__ == "__main__":
    sys.exit(main())
