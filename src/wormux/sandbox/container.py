"""Sandboxes that are containers of Podman or Docker, one for each session, with our agent as their main process.

The container outlives the server, which finds it again by its labels and its agent by its socket. Its home is a volume:
that is kept even if the container goes. Reading order: `container_options` is what the operator chose,
`container_daemon` the way to the daemon, `container_boot` how an agent starts, `container_states` what can be learnt of
a container.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import weakref
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import aiodocker
from aiodocker.docker import DockerVolume

from wormux.errors import SandboxError
from wormux.ids import SandboxId
from wormux.limits import (
    CONTAINER_ENDED_WITHIN_S,
    CONTAINER_ENDING_S,
    CONTAINER_LOOK_EVERY_S,
    CONTAINER_REMOVED_WITHIN_S,
    CONTAINER_STOP_S,
)
from wormux.sandbox.agent_provider import SANDBOX_ID, AgentProvider
from wormux.sandbox.container_boot import CODE, SOCKET, Boot, listen_at, peer_pid
from wormux.sandbox.container_daemon import DaemonAway, DaemonRefused, make_daemon, presentable
from wormux.sandbox.container_options import read_options
from wormux.sandbox.container_states import Seen, ended_sentence, refused_sentence
from wormux.sandbox.life import Life
from wormux.sandbox.port import Lost
from wormux.sandbox.runtime_dir import default_runtime_dir, prepare_runtime_dir, socket_path
from wormux.sandbox.settings import ProviderSettings
from wormux.sandbox.wire import Dial
from wormux.sandbox.zipapp import build

MARK_LABEL = "wormux.data-dir"
"""Which server's it is: a mark of its data directory."""
SANDBOX_LABEL = "wormux.sandbox"
_INSIDE = "/run/wormux"
"""Where the container sees the directory of its agent's code."""
_STATE = ".local/state/wormux"
"""Below the home."""
_HOSTNAME = "sandbox"


class ContainerProvider(AgentProvider):
    """Raises `SetupError` for options that cannot be. The daemon is first asked when a sandbox is."""

    name = "container"

    def __init__(self, settings: ProviderSettings, *, runtime_dir: Path | None = None) -> None:
        """`runtime_dir` is where sockets lie."""
        super().__init__()
        self.options = read_options(settings.options, network=settings.network)
        self._daemon = make_daemon(self.options.socket)
        self._limits = settings.limits
        self._agent_options = settings.agent_options
        data_dir = settings.data_dir.absolute()
        self._folders = data_dir / "container"
        self._runtime_dir = runtime_dir or default_runtime_dir(data_dir)
        self._mark = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
        self._pids: dict[SandboxId, int] = {}
        """The main process of each container that was seen to run."""
        self._reasons: weakref.WeakKeyDictionary[Life, asyncio.Task[Lost]] = weakref.WeakKeyDictionary()
        prepare_runtime_dir(self._runtime_dir)

    @cached_property
    def cannot_freeze(self) -> str | None:
        return self._daemon.cannot_pause()

    async def list(self) -> tuple[SandboxId, ...]:
        label = f"{MARK_LABEL}={self._mark}"
        names: set[str] = set()
        async with self._daemon.ask("The containers cannot be listed") as docker:
            for container in await docker.containers.list(all=True, filters=json.dumps({"label": [label]})):
                names.add(container["Labels"].get(SANDBOX_LABEL, ""))
            volumes = await _volumes(docker).list(filters={"label": [label]})
            names.update(
                (volume.get("Labels") or {}).get(SANDBOX_LABEL, "") for volume in volumes["Volumes"] or ()
            )
        with contextlib.suppress(FileNotFoundError):
            names.update(entry.name for entry in self._folders.iterdir())
        return tuple(SandboxId(name) for name in sorted(names) if SANDBOX_ID.fullmatch(name))

    async def aclose(self) -> None:
        await super().aclose()
        for task in tuple(self._reasons.values()):
            task.cancel()
            await asyncio.wait({task})

    # --- For the base ------------------------------------------------------------------------------------

    def dial(self, sandbox_id: SandboxId) -> Dial:
        def connect(connection: socket.socket) -> None:
            connection.connect(os.fsencode(self._socket(sandbox_id)))
            pid = peer_pid(connection)
            if pid == 0:
                raise SandboxError(
                    "The processes of containers cannot be seen from here: the server must run on the machine itself."
                )
            if pid != self._pids.get(sandbox_id, pid):
                raise SandboxError("Where the container's agent should listen, another process does.")

        return connect

    async def launch(self, sandbox_id: SandboxId) -> None:
        await asyncio.to_thread(build)
        order = {
            "arguments": [*self._agent_options],
            "data_dir": f"{self.options.home}/{_STATE}",
            "open_files": self._limits.open_files,
        }
        try:
            self._folders.mkdir(mode=0o700, exist_ok=True)
            self._folder(sandbox_id).mkdir(mode=0o700, exist_ok=True)
            with (
                Boot(self._folder(sandbox_id) / "boot") as boot,
                listen_at(self._socket(sandbox_id)) as listening,
            ):
                is_new = await self._run(sandbox_id)
                try:
                    life = await self._main_process(sandbox_id)
                    answer = await boot.tell(life, order, listening)
                    await self._check_ready(sandbox_id, life, answer)
                except BaseException:
                    if is_new:  # Its image may be mended: then it has to be made anew.
                        await self._discard(sandbox_id)
                    raise
        except OSError as error:
            raise SandboxError(f"The container's directory cannot be made: {error.strerror}.") from error

    async def end(self, sandbox_id: SandboxId) -> None:
        """The container is stopped, politely and then by force, unless its agent is known to have ended: then it is
        ending too, and whoever starts or removes it next waits for that."""
        life = self.known_life(sandbox_id)
        if life is not None and await life.wait(CONTAINER_ENDING_S):
            return
        async with self._daemon.ask("The container cannot be stopped") as docker:
            await self._stop(docker, sandbox_id, await self._look(docker, sandbox_id))

    async def remove(self, sandbox_id: SandboxId) -> None:
        name = self._name(sandbox_id)
        async with self._daemon.ask("The container cannot be removed") as docker:
            if await self._look(docker, sandbox_id) is not None:
                with _unless_missing():
                    await docker.containers.container(name).delete(force=True, v=True)
            with _unless_missing():
                await _volume(docker, self._volume(sandbox_id)).delete()
        self._pids.pop(sandbox_id, None)
        try:
            self._socket(sandbox_id).unlink(missing_ok=True)
            folder = self._folder(sandbox_id)
            if folder.exists():
                await asyncio.to_thread(shutil.rmtree, folder)
        except OSError as error:
            raise SandboxError(f"The sandbox's files cannot be removed: {error.strerror}.") from error

    async def freeze(self, sandbox_id: SandboxId) -> None:
        try:
            async with self._daemon.ask("The container cannot be frozen") as docker:
                await docker.containers.container(self._name(sandbox_id)).pause()
        except SandboxError:
            with contextlib.suppress(SandboxError):
                await self.thaw(sandbox_id)
            raise

    async def thaw(self, sandbox_id: SandboxId) -> None:
        """Also learns which process is the container's; a daemon that is away keeps nobody from an agent that lives."""
        try:
            async with self._daemon.ask("The container cannot go on") as docker:
                seen = await self._look(docker, sandbox_id)
                if seen is not None and seen.is_paused:
                    await docker.containers.container(self._name(sandbox_id)).unpause()
        except DaemonAway:
            return
        self._pids.pop(sandbox_id, None)
        if seen is not None and seen.pid:
            self._pids[sandbox_id] = seen.pid

    async def explain(self, sandbox_id: SandboxId, lost: Lost) -> Lost:
        """All links to one agent hear the same."""
        life = self.known_life(sandbox_id)
        if life is None or not lost.dead:
            return lost
        task = self._reasons.get(life)
        if task is None:
            task = self._reasons[life] = asyncio.create_task(self._reason(sandbox_id, lost))
        return await asyncio.shield(task)

    # --- Containers --------------------------------------------------------------------------------------

    def _name(self, sandbox_id: SandboxId) -> str:
        return f"wormux-{self._mark[:8]}-{sandbox_id}"

    def _volume(self, sandbox_id: SandboxId) -> str:
        return f"{self._name(sandbox_id)}-home"

    def _folder(self, sandbox_id: SandboxId) -> Path:
        return self._folders / sandbox_id

    def _socket(self, sandbox_id: SandboxId) -> Path:
        return socket_path(self._runtime_dir, sandbox_id)

    def _labels(self, sandbox_id: SandboxId) -> dict[str, str]:
        return {MARK_LABEL: self._mark, SANDBOX_LABEL: sandbox_id}

    async def _look(self, docker: aiodocker.Docker, sandbox_id: SandboxId) -> Seen | None:
        """The container, if there is one. Raises `SandboxError` if its name is taken by somebody else's."""
        try:
            shown = await docker.containers.container(self._name(sandbox_id)).show()
        except aiodocker.DockerError as error:
            if error.status == 404:
                return None
            raise
        labels = shown["Config"].get("Labels") or {}
        if any(labels.get(key) != value for key, value in self._labels(sandbox_id).items()):
            raise SandboxError(
                f"The name {self._name(sandbox_id)} belongs to a container that is not of this server. Rename that."
            )
        return Seen.of(shown["State"])

    async def _stop(self, docker: aiodocker.Docker, sandbox_id: SandboxId, seen: Seen | None) -> None:
        """Until it has ended, if it runs."""
        if seen is not None and seen.runs:
            container = docker.containers.container(self._name(sandbox_id))
            if seen.is_paused:
                await container.unpause()
            await container.stop(t=CONTAINER_STOP_S)

    async def _run(self, sandbox_id: SandboxId) -> bool:
        """Start the container, making it if there is none; whether it is new."""
        is_new = False
        try:
            async with self._daemon.ask("The container cannot be started") as docker:
                seen = await self._look(docker, sandbox_id)
                await self._stop(docker, sandbox_id, seen)
                if seen is None:
                    labels = self._labels(sandbox_id)
                    await _volumes(docker).create({"Name": self._volume(sandbox_id), "Labels": labels})
                    await docker.containers.create(self._config(sandbox_id), name=self._name(sandbox_id))
                    is_new = True
                await docker.containers.container(self._name(sandbox_id)).start()
        except DaemonRefused as error:
            if is_new:
                await self._discard(sandbox_id)
            raise SandboxError(refused_sentence(error, self.options.image)) from error
        return is_new

    async def _main_process(self, sandbox_id: SandboxId) -> Life:
        """Raises `SandboxError` if it has ended already."""
        async with self._daemon.ask("The container cannot be looked at") as docker:
            seen = await self._look(docker, sandbox_id)
        if seen is None or not seen.pid:
            raise SandboxError(await self._why_not(sandbox_id, ""))
        self._pids[sandbox_id] = seen.pid
        return self.watch(sandbox_id, Life(seen.pid))

    async def _check_ready(self, sandbox_id: SandboxId, life: Life, answer: str) -> None:
        if answer != "ready":
            life.send(signal.SIGKILL)
            raise SandboxError(await self._why_not(sandbox_id, answer))

    async def _why_not(self, sandbox_id: SandboxId, answer: str) -> str:
        """Why the agent did not start: what it said, or the last that was heard from the container."""
        if answer:
            return presentable(answer)
        lost = await self._reason(sandbox_id, Lost("The container ended.", dead=True))
        words = ""
        with contextlib.suppress(SandboxError, KeyError, TypeError, ValueError):
            async with self._daemon.ask("The container's words cannot be read") as docker:
                container = docker.containers.container(self._name(sandbox_id))
                lines = await container.log(stdout=True, stderr=True, tail=1)
                words = "".join(lines[-1:]).strip()
        return f"The agent did not start. {lost.reason} {presentable(words) if words else ''}".strip()

    async def _discard(self, sandbox_id: SandboxId) -> None:
        """Remove a container that never ran, but not its volume."""
        with contextlib.suppress(SandboxError):
            async with self._daemon.ask("The container cannot be removed") as docker:
                await docker.containers.container(self._name(sandbox_id)).delete(force=True, v=True)

    async def _reason(self, sandbox_id: SandboxId, lost: Lost) -> Lost:
        """Why its main process ended, as the daemon tells it; it hears of that a moment later than we do."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (passed_s := loop.time() - began) < CONTAINER_ENDED_WITHIN_S:
            try:
                async with self._daemon.ask("The container cannot be looked at") as docker:
                    seen = await self._look(docker, sandbox_id)
            except DaemonAway:
                return Lost(f"{lost.reason} The daemon that runs containers does not answer.", dead=True)
            except SandboxError:  # It is between two states.
                seen = None
            else:
                if seen is None:
                    return Lost("The container was removed. The next one gets the same home.", dead=True)
            is_sure = passed_s > CONTAINER_REMOVED_WITHIN_S
            if seen is not None and not seen.runs and (is_sure or not seen.may_be_going):
                return Lost(ended_sentence(seen, self._limits.memory_bytes), dead=True)
            await asyncio.sleep(CONTAINER_LOOK_EVERY_S)
        return lost

    def _config(self, sandbox_id: SandboxId) -> dict[str, Any]:
        """What the container is made from."""
        options, limits = self.options, self._limits
        env = {"HOME": options.home} | ({"SHELL": options.shell} if options.shell else {}) | dict(options.env)
        host: dict[str, Any] = {
            "Binds": [
                f"{self._folder(sandbox_id) / 'boot'}:{_INSIDE}:ro",
                f"{self._volume(sandbox_id)}:{options.home}",
            ],
            "CapAdd": list(options.capabilities),
            "CapDrop": ["ALL"],
            "Init": False,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            "NetworkMode": options.network,
            "Privileged": False,
            "RestartPolicy": {"Name": "no"},
            # SELinux would keep the agent from the server's socket.
            "SecurityOpt": ["no-new-privileges", "label=disable"],
        }
        if limits.memory_bytes is not None:
            host |= {"Memory": limits.memory_bytes, "MemorySwap": limits.memory_bytes}
        if limits.processes is not None:
            host["PidsLimit"] = limits.processes
        return {
            "Image": options.image,
            "Entrypoint": ["python3", "-I", "-S", f"{_INSIDE}/{CODE}", f"{_INSIDE}/{SOCKET}"],
            "Cmd": [],
            "Env": [f"{name}={value}" for name, value in env.items()],
            "Hostname": _HOSTNAME,
            "HostConfig": host,
            "Labels": self._labels(sandbox_id),
            "StopSignal": "SIGTERM",
            "StopTimeout": CONTAINER_STOP_S,
            "WorkingDir": "/",
        } | ({"User": options.user} if options.user else {})


@contextlib.contextmanager
def _unless_missing() -> Iterator[None]:
    try:
        yield
    except aiodocker.DockerError as error:
        if error.status != 404:
            raise


def _volumes(docker: aiodocker.Docker) -> Any:
    """Without types in the library."""
    return docker.volumes


def _volume(docker: aiodocker.Docker, name: str) -> Any:
    kind: Any = DockerVolume
    return kind(docker, name)
