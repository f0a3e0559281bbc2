"""Sandboxes with processes of their own: each agent is the first process of a PID namespace that `unshare` makes.

Programs of one session neither see nor signal those of another, and none outlives its agent: the kernel sees to that.
Files, users and, unless it is switched off, the network are the server's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

from wormux.errors import SandboxError, SetupError
from wormux.ids import SandboxId
from wormux.limits import WAKE_WITHIN_S
from wormux.sandbox.agent_provider import DIES_WITHIN_S, AgentProvider
from wormux.sandbox.freezer import SigstopFreezer
from wormux.sandbox.life import Life
from wormux.sandbox.processes import descendants, start_time
from wormux.sandbox.runtime_dir import default_runtime_dir, prepare_runtime_dir, socket_path
from wormux.sandbox.settings import ProviderSettings
from wormux.sandbox.wire import Dial, dial_path

_READY_FD = 3


class UnshareProvider(AgentProvider):
    """The entry point. Raises `SetupError`."""

    name = "unshare"
    cannot_freeze = None

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__()
        self._boxes = settings.data_dir.absolute() / self.name
        self._sockets = default_runtime_dir(self._boxes)
        self._options = [f"--busy-ignore={name}" for name in settings.busy_ignore]
        self._namespaces = [f"--{name}" for name in _namespaces(settings)]
        prepare_runtime_dir(self._sockets)

    def dial(self, sandbox_id: SandboxId) -> Dial:
        return dial_path(self._socket(sandbox_id))

    async def launch(self, sandbox_id: SandboxId) -> None:
        box = self._box(sandbox_id)
        ready, ready_of_agent = os.pipe()
        try:
            box.mkdir(mode=0o700, parents=True, exist_ok=True)
            pid = self._spawn(sandbox_id, ready_of_agent)
            life = self.watch(sandbox_id, Life(pid))
            (box / "unshare.pid").write_text(f"{pid} {start_time(pid)}\n")
        except OSError as error:
            os.close(ready)
            raise SandboxError(f"The sandbox cannot be made: {error.strerror}.") from error
        finally:
            os.close(ready_of_agent)
        if await _line(ready) != b"ready\n":
            life.send(signal.SIGKILL)
            raise SandboxError("The agent did not start; its sandbox's directory has a log that says why.")

    def _spawn(self, sandbox_id: SandboxId, ready: int) -> int:
        """The pid of an `unshare` with an agent in it, in a process session of its own."""
        box = self._box(sandbox_id)
        unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *self._namespaces, "--"]
        agent = [sys.executable, "-I", "-m", "wormux.agent", f"--ready-fd={_READY_FD}", f"--data-dir={box}"]
        env = {name: value for name, value in os.environ.items() if not name.startswith("WORMUX_")}
        return os.posix_spawnp(
            "unshare",
            [*unshare, *agent, f"--socket={self._socket(sandbox_id)}", *self._options],
            env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, str(box / "log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                (os.POSIX_SPAWN_DUP2, ready, _READY_FD),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )

    def life_of(self, sandbox_id: SandboxId, peer_pid: int) -> Life:
        """Of `unshare`: it ends as the agent does, and last of all."""
        return self._life(sandbox_id) or super().life_of(sandbox_id, peer_pid)

    def _life(self, sandbox_id: SandboxId) -> Life | None:
        """Of the newest `unshare`, whichever server started it; None if there is none."""
        known = self.known_life(sandbox_id)
        if known is not None and known.ended is None:
            return known
        with contextlib.suppress(OSError, ValueError):
            pid, started = (self._box(sandbox_id) / "unshare.pid").read_text().split()
            if start_time(int(pid)) == started:
                return self.watch(sandbox_id, Life(int(pid)))
        return None

    async def freeze(self, sandbox_id: SandboxId) -> None:
        life = self._life(sandbox_id)
        if life is not None:
            await SigstopFreezer(life.pid, self._box(sandbox_id) / "frozen").freeze()

    async def thaw(self, sandbox_id: SandboxId) -> None:
        SigstopFreezer(0, self._box(sandbox_id) / "frozen").thaw()

    async def end(self, sandbox_id: SandboxId) -> None:
        life = self._life(sandbox_id)
        if life is None or await life.wait(DIES_WITHIN_S):
            return
        for pid in descendants(life.pid) or [life.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not await life.wait(DIES_WITHIN_S):
            raise SandboxError("The sandbox cannot be ended: the kernel holds one of its processes.")

    async def remove(self, sandbox_id: SandboxId) -> None:
        self._socket(sandbox_id).unlink(missing_ok=True)
        await asyncio.to_thread(shutil.rmtree, self._box(sandbox_id), ignore_errors=True)

    async def list(self) -> tuple[SandboxId, ...]:
        boxes = sorted(self._boxes.iterdir()) if self._boxes.exists() else []
        return tuple(SandboxId(box.name) for box in boxes)

    def _box(self, sandbox_id: SandboxId) -> Path:
        return self._boxes / sandbox_id

    def _socket(self, sandbox_id: SandboxId) -> Path:
        return socket_path(self._sockets, sandbox_id)


def _namespaces(settings: ProviderSettings) -> list[str]:
    """More of them, from `[provider_options.unshare]`."""
    wanted = settings.options.get("namespaces", [])
    if settings.options.keys() - {"namespaces"} or not isinstance(wanted, list):
        raise SetupError("The provider unshare has one option: namespaces, a list.")
    if wrong := [str(name) for name in wanted if name not in ("cgroup", "ipc", "uts")]:
        raise SetupError(f"The provider unshare makes no namespace {', '.join(wrong)}: cgroup, ipc and uts.")
    return [*wanted, *([] if settings.network else ["net"])]


async def _line(pipe: int) -> bytes:
    """What is written there, at most one line; nothing if that takes too long. Closes it."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    file = os.fdopen(pipe, "rb", 0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    try:
        async with asyncio.timeout(WAKE_WITHIN_S):
            return await reader.readline()
    except TimeoutError:
        return b""
    finally:
        transport.close()
