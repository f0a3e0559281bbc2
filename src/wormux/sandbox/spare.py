"""Agents that have been loaded and wait to be told which sandbox is theirs.

Loading Python and the agent takes some thirty times as long as starting a shell (measured: 110 ms and 4 ms), and a
key waits for it. So one process is kept that has done it: it ends when the server does, or becomes an agent.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from wormux.sandbox.life import Life
from wormux.sandbox.sandbox_groups import SandboxGroups

_READY_FD = 3
_BOOT = (
    "import json, os, sys; sys.path.append(sys.argv[1]); "
    "from wormux.agent.__main__ import main; "
    "order = json.loads(sys.stdin.readline() or 'null') or sys.exit(); "
    "notes = os.open(order['notes'], os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW); "
    "nothing = os.open(os.devnull, os.O_RDONLY); "
    "os.dup2(nothing, 0); os.dup2(notes, 1); os.dup2(notes, 2); os.close(nothing); os.close(notes); "
    "sys.exit(main(order['arguments']))"
)
"""Runs isolated from PYTHON* variables, which stay as they are for the shells."""


class SpareAgent:
    """A process that becomes an agent when it is told, and ends when this process does."""

    def __init__(self, python: str, env: Mapping[str, str], name: str, groups: SandboxGroups) -> None:
        """Start it; `name` is only for people who list processes. Raises `OSError` and `SandboxError`."""
        self.group = groups.new()
        """Which it is in, with all that it will start."""
        command = [python, "-I", "-S", "-c", _BOOT, str(Path(__file__).parents[2]), name]
        command = groups.entering(self.group, command)
        self.ready, ready_of_agent = os.pipe()
        """Says `ready` and a newline, or what is wrong, Python's own words included; whoever takes the agent closes
        it."""
        orders_of_agent, self._orders = os.pipe()
        try:
            self._pid = os.posix_spawn(
                command[0],
                command,
                env,
                file_actions=[
                    *(
                        (os.POSIX_SPAWN_CLOSE, descriptor)
                        for descriptor in inheritable_descriptors(_READY_FD)
                    ),
                    (os.POSIX_SPAWN_DUP2, orders_of_agent, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, ready_of_agent, 2),
                    (os.POSIX_SPAWN_DUP2, ready_of_agent, _READY_FD),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
            )
        except OSError:
            os.close(self.ready)
            os.close(self._orders)
            if self.group is not None:
                groups.left(self.group)
            raise
        finally:
            os.close(ready_of_agent)
            os.close(orders_of_agent)
        self.life = Life(self._pid)
        if self.group is not None:
            self.life.on_end(partial(groups.left, self.group))

    def become(self, arguments: Sequence[str], notes: Path) -> bool:
        """Have it run the agent with these arguments, and write its stderr to `notes`. False if it is dead."""
        order = {"arguments": [*arguments, "--ready-fd", str(_READY_FD)], "notes": str(notes)}
        try:
            os.write(self._orders, json.dumps(order).encode() + b"\n")
        except BrokenPipeError:
            return False
        finally:
            os.close(self._orders)
        return True

    def discard(self) -> None:
        """It is not wanted: it ends by itself."""
        os.close(self._orders)
        os.close(self.ready)


def inheritable_descriptors(above: int) -> Iterator[int]:
    """What this process was started with and did not ask for, like a build tool's pipes."""
    for name in [entry.name for entry in Path("/dev/fd").iterdir()]:
        with contextlib.suppress(OSError):  # the one that this very look had opened
            if int(name) > above and os.get_inheritable(int(name)):
                yield int(name)
