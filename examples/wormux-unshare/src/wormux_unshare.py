"""Sandboxes with processes of their own: each agent is the first process of a PID namespace that `unshare` makes.

Programs of one session neither see nor signal those of another, and none outlives its agent: the kernel sees to that.
Files, users and, unless it is switched off, the network are the server's.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from wormux.errors import SandboxError, SetupError
from wormux.ids import SandboxId
from wormux.sandbox.agent_provider import DIES_WITHIN_S, AgentProvider
from wormux.sandbox.detached import kill, recorded_life, run_agent
from wormux.sandbox.freezer import SigstopFreezer
from wormux.sandbox.life import Life
from wormux.sandbox.runtime_dir import default_runtime_dir, prepare_runtime_dir, socket_path
from wormux.sandbox.settings import ProviderSettings
from wormux.sandbox.wire import Dial, dial_path


class UnshareProvider(AgentProvider):
    """The entry point. Raises `SetupError`."""

    name = "unshare"
    cannot_freeze = None

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__()
        self._boxes = settings.data_dir.absolute() / self.name
        self._sockets = default_runtime_dir(self._boxes)
        self._agent_options = settings.agent_options
        namespaces = ("pid", *_namespaces(settings))
        self._unshare = ["unshare", "--fork", "--kill-child", "--mount-proc", *(f"--{n}" for n in namespaces)]
        prepare_runtime_dir(self._sockets)

    def dial(self, sandbox_id: SandboxId) -> Dial:
        return dial_path(self._socket(sandbox_id))

    async def launch(self, sandbox_id: SandboxId) -> None:
        life = await run_agent(
            self._unshare,
            socket=self._socket(sandbox_id),
            data_dir=self._box(sandbox_id),
            options=self._agent_options,
        )
        self.watch(sandbox_id, life)

    def life_of(self, sandbox_id: SandboxId, peer_pid: int) -> Life:
        """Of `unshare`: it ends as the agent does, and last of all."""
        return self._life(sandbox_id) or super().life_of(sandbox_id, peer_pid)

    async def end(self, sandbox_id: SandboxId) -> None:
        life = self._life(sandbox_id)
        if life is not None and not await life.wait(DIES_WITHIN_S):
            kill(life)
            if not await life.wait(DIES_WITHIN_S):
                raise SandboxError("The sandbox cannot be ended: the kernel holds one of its processes.")

    async def remove(self, sandbox_id: SandboxId) -> None:
        self._socket(sandbox_id).unlink(missing_ok=True)
        await asyncio.to_thread(shutil.rmtree, self._box(sandbox_id), ignore_errors=True)

    async def list(self) -> tuple[SandboxId, ...]:
        boxes = sorted(self._boxes.iterdir()) if self._boxes.exists() else []
        return tuple(SandboxId(box.name) for box in boxes)

    async def freeze(self, sandbox_id: SandboxId) -> None:
        life = self._life(sandbox_id)
        if life is not None:
            await SigstopFreezer(life.pid, self._box(sandbox_id) / "frozen").freeze()

    async def thaw(self, sandbox_id: SandboxId) -> None:
        SigstopFreezer(0, self._box(sandbox_id) / "frozen").thaw()

    def _life(self, sandbox_id: SandboxId) -> Life | None:
        """Of the newest `unshare`, whichever server started it; None if it has ended."""
        life = self.known_life(sandbox_id)
        if life is not None and life.ended is None:
            return life
        life = recorded_life(self._box(sandbox_id))
        return self.watch(sandbox_id, life) if life is not None else None

    def _box(self, sandbox_id: SandboxId) -> Path:
        return self._boxes / sandbox_id

    def _socket(self, sandbox_id: SandboxId) -> Path:
        return socket_path(self._sockets, sandbox_id)


def _namespaces(settings: ProviderSettings) -> list[str]:
    """More of them: what `[provider_options.unshare]` names, and what those need who are not root."""
    wanted = settings.options.get("namespaces", [])
    if settings.options.keys() - {"namespaces"} or not isinstance(wanted, list):
        raise SetupError("The provider unshare has one option: namespaces, a list.")
    if wrong := [str(name) for name in wanted if name not in ("cgroup", "ipc", "uts")]:
        raise SetupError(f"The provider unshare makes no namespace {', '.join(wrong)}: cgroup, ipc and uts.")
    users = [] if os.getuid() == 0 else ["user", "map-current-user"]
    return [*wanted, *users, *([] if settings.network else ["net"])]
