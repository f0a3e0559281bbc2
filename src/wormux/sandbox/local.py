"""The embedded default provider: the agent is a detached process of the server's own user.

It isolates nothing. The agent outlives the server, which finds it again by its socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from wormux.errors import SandboxError
from wormux.ids import SandboxId
from wormux.limits import AGENT_NOTES_BYTES, SPARE_AGENT_AFTER_S, WAKE_WITHIN_S
from wormux.sandbox.agent_provider import DIES_WITHIN_S, SANDBOX_ID, AgentProvider
from wormux.sandbox.life import Life
from wormux.sandbox.port import Lost
from wormux.sandbox.processes import descendants, start_time
from wormux.sandbox.runtime_dir import default_runtime_dir, prepare_runtime_dir, socket_path
from wormux.sandbox.sandbox_groups import SandboxGroups
from wormux.sandbox.settings import ProviderSettings
from wormux.sandbox.spare import SpareAgent
from wormux.sandbox.wire import Dial, dial_path

_LEAVES_WITHIN_S = 5.0
"""An agent that answers no more has this long to end before it is killed."""
_KILL_AGAIN_S = 0.01
_RECORD = "agent.pid"
NOTES = "agent.log"
_LAST_WORDS_BYTES = 4096
_LAST_WORDS_CHARS = 200


class LocalProvider(AgentProvider):
    """Keeps each sandbox in a directory of its own below `data_dir`. Raises `SetupError`."""

    name = "local"

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        runtime_dir: Path | None = None,
        python: str = sys.executable,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """`runtime_dir` is where sockets lie. `python` runs the agents. `env` is the agents' environment, the server's
        own by default; `WORMUX_*` is left out of it."""
        super().__init__()
        data_dir = settings.data_dir
        self._sandboxes_dir = data_dir.absolute() / "sandboxes"
        self._runtime_dir = runtime_dir or default_runtime_dir(data_dir)
        self._python = python
        self._agent_options = settings.agent_options
        environment = os.environ if env is None else env
        self._env = {name: value for name, value in environment.items() if not name.startswith("WORMUX_")}
        self._spare: SpareAgent | None = None
        self._spare_timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        prepare_runtime_dir(self._runtime_dir)
        self._groups = SandboxGroups(settings)

    @property
    def cannot_freeze(self) -> str | None:
        return self._groups.cannot_freeze

    async def freeze(self, sandbox_id: SandboxId) -> None:
        life = self.known_life(sandbox_id)
        if life is None or life.ended is not None:
            raise SandboxError("The sandbox ended meanwhile.")
        await self._groups.freeze(self._directory(sandbox_id), life.pid)

    async def thaw(self, sandbox_id: SandboxId) -> None:
        self._groups.thaw(self._directory(sandbox_id))

    async def explain(self, sandbox_id: SandboxId, lost: Lost) -> Lost:
        return self._groups.explain(self._directory(sandbox_id), lost)

    def dial(self, sandbox_id: SandboxId) -> Dial:
        return dial_path(self._socket(sandbox_id))

    def life_of(self, sandbox_id: SandboxId, peer_pid: int) -> Life:
        """A socket that an agent inherited names the server which made it: the record knows the agent."""
        life = self.known_life(sandbox_id)
        if life is None or life.ended is not None:
            life = self._recorded_life(sandbox_id)
        return life or super().life_of(sandbox_id, peer_pid)

    async def remove(self, sandbox_id: SandboxId) -> None:
        try:
            self._socket(sandbox_id).unlink(missing_ok=True)
            await asyncio.to_thread(_remove, self._directory(sandbox_id))
        except OSError as error:
            raise SandboxError(f"The sandbox's files cannot be removed: {error.strerror}.") from error

    async def list(self) -> tuple[SandboxId, ...]:
        try:
            names = sorted(entry.name for entry in self._sandboxes_dir.iterdir())
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise SandboxError(f"The sandboxes cannot be listed: {error.strerror}.") from error
        return tuple(SandboxId(name) for name in names if SANDBOX_ID.fullmatch(name))

    async def aclose(self) -> None:
        self._is_closed = True
        if self._spare_timer is not None:
            self._spare_timer.cancel()
        if self._spare is not None:
            self._spare.discard()
            await self._spare.life.wait(DIES_WITHIN_S)
            self._spare.life.unwatch()
        await super().aclose()
        await self._groups.aclose()

    def _directory(self, sandbox_id: SandboxId) -> Path:
        return self._sandboxes_dir / sandbox_id

    def _socket(self, sandbox_id: SandboxId) -> Path:
        return socket_path(self._runtime_dir, sandbox_id)

    async def launch(self, sandbox_id: SandboxId) -> None:
        directory = self._directory(sandbox_id)
        try:
            self._sandboxes_dir.mkdir(mode=0o700, exist_ok=True)
            directory.mkdir(mode=0o700, exist_ok=True)
            _prepare_notes(directory)
        except OSError as error:
            raise SandboxError(f"The sandbox's directory cannot be made: {error.strerror}.") from error
        life, ready = await self._run_agent(sandbox_id, directory)
        self.watch(sandbox_id, life)
        try:
            with contextlib.suppress(OSError):  # a full disk: it is only for the day when the agent is mute
                record(directory, life.pid)
            await self._wait_ready(ready, life, directory)
        except BaseException:
            life.send(signal.SIGKILL)
            raise
        finally:
            os.close(ready)
            self._prepare_spare()

    async def _run_agent(self, sandbox_id: SandboxId, directory: Path) -> tuple[Life, int]:
        """A new agent, and the descriptor on which it says `ready` or what is wrong. Raises `SandboxError`."""
        socket = ("--socket", str(self._socket(sandbox_id)))
        agent = self._assign([*socket, *self._options(str(directory))], directory / NOTES)
        self._groups.started(directory, agent.group)
        return agent.life, agent.ready

    def _options(self, data_dir: str) -> tuple[str, ...]:
        """The agent's, but for where it listens."""
        return ("--data-dir", data_dir, *self._agent_options)

    def _assign(self, arguments: Sequence[str], notes: Path) -> SpareAgent:
        """The spare agent if it lives, else a new one. Raises `SandboxError`."""
        spare, self._spare = self._spare, None
        if spare is not None:
            if spare.become(arguments, notes):
                return spare
            os.close(spare.ready)  # something ended it while it waited
        try:
            agent = self._new_agent()
        except OSError as error:
            name = Path(self._python).name
            raise SandboxError(f"The agent cannot be run with {name}: {error.strerror}.") from error
        agent.become(arguments, notes)  # if it is dead already, its life and its silence say so
        return agent

    def _prepare_spare(self) -> None:
        """Have an agent at hand for the next key, once those that wait now are served."""
        if self._spare_timer is None and self._spare is None and not self._is_closed:
            self._spare_timer = asyncio.get_running_loop().call_later(SPARE_AGENT_AFTER_S, self._make_spare)

    def _make_spare(self) -> None:
        self._spare_timer = None
        if not self._is_closed:
            with contextlib.suppress(OSError, SandboxError):  # whoever needs one tries again, and says why
                self._spare = self._new_agent()

    def _new_agent(self) -> SpareAgent:
        """Raises `OSError` and `SandboxError`."""
        return SpareAgent(self._python, self._env, str(self._sandboxes_dir), self._groups)

    async def _wait_ready(self, ready: int, life: Life, directory: Path) -> None:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(ready, readable.set)
        try:
            async with asyncio.timeout(WAKE_WITHIN_S):
                await readable.wait()
        except TimeoutError:
            raise SandboxError(f"The agent did not start within {WAKE_WITHIN_S:g} seconds.") from None
        finally:
            loop.remove_reader(ready)
        answer = os.read(ready, _LAST_WORDS_BYTES)
        if answer != b"ready\n":
            await life.wait(DIES_WITHIN_S)
            reason = last_line(answer) or _last_words(directory) or life.ended or ""
            raise SandboxError(f"The agent did not start. {reason}".strip())

    async def end(self, sandbox_id: SandboxId) -> None:
        """An agent that is just ending may end; any other is killed with all that it started, and so is all that an
        agent left in its group."""
        await self._end_agent(sandbox_id)
        await self._groups.end(self._directory(sandbox_id))

    async def _end_agent(self, sandbox_id: SandboxId) -> None:
        life = self.known_life(sandbox_id)
        if life is None or life.ended is not None:
            life = self._recorded_life(sandbox_id)
        if life is None or await life.wait(_LEAVES_WITHIN_S):
            return
        life.send(signal.SIGSTOP)  # so that it starts nothing more, and inherits its children's orphans
        with contextlib.suppress(
            TimeoutError
        ):  # what the kernel holds in a call of its own ends when that returns
            async with asyncio.timeout(DIES_WITHIN_S):
                await _kill_descendants(life.pid)
        life.send(signal.SIGKILL)
        if not await life.wait(DIES_WITHIN_S):
            raise SandboxError("The agent does not answer and cannot be killed.")

    def _recorded_life(self, sandbox_id: SandboxId) -> Life | None:
        """Of the agent that an earlier server started, if that very process still runs."""
        try:
            pid_text, started = (self._directory(sandbox_id) / _RECORD).read_text().split()
            pid = int(pid_text)
        except (OSError, ValueError):
            return None
        if start_time(pid) != started:
            return None
        life = self.watch(sandbox_id, Life(pid))
        return life if start_time(pid) == started else None


async def _kill_descendants(pid: int) -> None:
    """Kill what it started until nothing is seen, twice in a row: a look at /proc can miss what forks meanwhile."""
    looks_without = 0
    while looks_without < 2:
        processes = descendants(pid)
        looks_without = 0 if processes else looks_without + 1
        for process in processes:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        await asyncio.sleep(_KILL_AGAIN_S)


def record(directory: Path, pid: int) -> None:
    """Write down which process the agent is, for a later server. Raises `OSError`."""
    started = start_time(pid)
    if started is not None:
        path = directory / _RECORD
        path.touch(0o600)
        path.write_text(f"{pid} {started}\n")


def _prepare_notes(directory: Path) -> None:
    """Make the file for what the agent writes to stderr; an overlong one is set aside."""
    path = directory / NOTES
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > AGENT_NOTES_BYTES:
            path.replace(path.with_suffix(".old"))
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def _last_words(directory: Path) -> str:
    """The last line that the agent wrote to stderr."""
    try:
        with (directory / NOTES).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST_WORDS_BYTES))
            return last_line(file.read())
    except OSError:
        return ""


def last_line(text: bytes) -> str:
    """Of what was written to stderr, fit to be shown to clients: short, printable, with the names of files but not
    their paths."""
    lines = text.decode(errors="replace").split("\n")
    line = next((line.strip() for line in reversed(lines) if line.strip()), "")
    line = "".join(char for char in line if char.isprintable())
    return re.sub(r"/(?:[^/\s'\"]+/)+", "…/", line)[:_LAST_WORDS_CHARS]


def _remove(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
