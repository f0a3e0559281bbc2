"""Runs agents inside of what another program makes, like `unshare`, for providers that need no more than that.

The program and the agent in it outlive this server; the next one knows them by a record in the sandbox's directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from wormux.errors import SandboxError
from wormux.limits import WAKE_WITHIN_S
from wormux.sandbox.life import Life
from wormux.sandbox.local import last_line
from wormux.sandbox.processes import descendants, start_time
from wormux.sandbox.spare import inheritable_descriptors

_RECORD = "agent.pid"
_NOTES = "agent.log"
_LAST_WORDS_BYTES = 4096
_READY_FD = 3


async def run_agent(
    program: Sequence[str], *, socket: Path, data_dir: Path, options: Sequence[str] = ()
) -> Life:
    """Have `program`, with its arguments, run an agent that listens at `socket`, and wait until it does. The life is
    the program's, which must end when the agent does. `data_dir` is made if need be; `options` are
    `ProviderSettings.agent_options`. Raises `SandboxError`."""
    agent = [sys.executable, "-I", "-m", "wormux.agent", f"--socket={socket}", f"--data-dir={data_dir}"]
    agent += [f"--ready-fd={_READY_FD}", *options]
    ready, ready_of_agent = os.pipe()
    try:
        life = Life(_spawn([*program, *agent], data_dir, ready_of_agent))
    except OSError as error:
        os.close(ready)
        raise SandboxError(f"The agent cannot be run by {program[0]}: {error.strerror}.") from error
    finally:
        os.close(ready_of_agent)
    try:
        with contextlib.suppress(OSError):  # a full disk: it is only for the day when the agent is mute
            (data_dir / _RECORD).write_text(f"{life.pid} {start_time(life.pid)}\n")
        await _wait_ready(ready, data_dir)
    except BaseException:
        kill(life)
        raise
    return life


def recorded_life(data_dir: Path) -> Life | None:
    """Of what `run_agent` started there, in whichever server, if that very process still runs."""
    try:
        pid, started = (data_dir / _RECORD).read_text().split()
        return Life(int(pid)) if start_time(int(pid)) == started else None
    except (OSError, ValueError):
        return None


def kill(life: Life) -> None:
    """With all that it started, as far as it can be seen now."""
    for pid in reversed(descendants(life.pid)):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    life.send(signal.SIGKILL)


def _spawn(command: list[str], data_dir: Path, ready: int) -> int:
    """The pid of the command, in a process session of its own. Raises `OSError`."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    notes = str(data_dir / _NOTES)
    env = {name: value for name, value in os.environ.items() if not name.startswith("WORMUX_")}
    return os.posix_spawnp(
        command[0],
        command,
        env,
        file_actions=[
            *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in inheritable_descriptors(_READY_FD)),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (
                os.POSIX_SPAWN_OPEN,
                2,
                str(notes),
                os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW,
                0o600,
            ),
            (os.POSIX_SPAWN_DUP2, ready, _READY_FD),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
    )


async def _wait_ready(pipe: int, data_dir: Path) -> None:
    """Until the agent says there that it listens; closes it. Raises `SandboxError`."""
    reader = asyncio.StreamReader()
    file = os.fdopen(pipe, "rb", 0)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    try:
        async with asyncio.timeout(WAKE_WITHIN_S):
            said = await reader.readline()
    except TimeoutError:
        raise SandboxError(f"The agent did not start within {WAKE_WITHIN_S:g} seconds.") from None
    finally:
        transport.close()
    if said != b"ready\n":
        raise SandboxError(f"The agent did not start. {last_line(said) or _last_words(data_dir)}".rstrip())


def _last_words(data_dir: Path) -> str:
    """The last line on stderr, the program's or the agent's."""
    try:
        return last_line((data_dir / _NOTES).read_bytes()[-_LAST_WORDS_BYTES:])
    except OSError:
        return ""
