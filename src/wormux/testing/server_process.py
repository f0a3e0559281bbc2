"""A real `wormux serve` in a process of its own, with its own data directory, for tests and scripts.

It only ever touches what it started: its own server, and the agents that stand in the records of its data directory.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import parse_qs, urlsplit

from wormux.errors import WormuxError
from wormux.sandbox.processes import descendants, start_time
from wormux.sandbox.runtime_dir import default_runtime_dir
from wormux.testing.errors import TooLate

WITHIN_S = 30.0
"""The deadline of everything that is waited for."""
_LEAVES_WITHIN_S = 5.0
"""What was asked to end has so long before it is killed."""
_LOOK_EVERY_S = 0.02
_READY = re.compile(r"Wormux is ready: (\S+)\n")
"""With the line's end, which a server that is killed may never write."""


class ServerEnded(WormuxError):
    """The server ended instead of getting ready. What it wrote to stderr stands in the sentence."""

    def __init__(self, status: int, stderr: str) -> None:
        super().__init__(f"The server ended with status {status}: {stderr.strip()}")
        self.status = status
        self.stderr = stderr


@dataclass(frozen=True)
class Process:
    """One process for ever: a pid may be given to another one, but not with the same start."""

    pid: int
    started: str

    @property
    def is_alive(self) -> bool:
        return start_time(self.pid) == self.started and not _is_zombie(self.pid)

    def terminate(self) -> None:
        """With SIGTERM: an agent then ends its shells and itself."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """With SIGKILL, as the kernel does when memory is short."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass(frozen=True)
class AgentProcess(Process):
    """An agent, and what runs in its sandbox."""

    sandbox_id: str

    def shells(self) -> list[Process]:
        """All that runs in the sandbox: shells and their programs."""
        return [*filter(None, map(_process, descendants(self.pid)))] if self.is_alive else []


class ServerProcess:
    """See the module. `options` are those of `wormux serve`, without `--data-dir`.

        with ServerProcess(tmp_path, "--idle-timeout", "2s") as server:
            async with ScriptedClient(server.url, server.token) as client:
                ...

    Leaving the block ends the server, its agents and their shells.
    """

    def __init__(
        self,
        data_dir: Path,
        *options: str,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "wormux"),
    ) -> None:
        """`env` is added to the environment, which is passed on without any `WORMUX_*`."""
        self.data_dir = data_dir
        self.runtime_dir = default_runtime_dir(data_dir)
        self.options = options
        self.url = ""
        """`http://…`, of the server that runs or ran last."""
        self.token = ""
        """Empty if the ready line does not say it."""
        self._command = tuple(command)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WORMUX_")}
        self.env = environment | dict(env or {})
        """Of the next process that is started."""
        self._process: subprocess.Popen[bytes] | None = None
        self._texts: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._readers: list[threading.Thread] = []
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_all()

    # --- The server --------------------------------------------------------------------------------------

    def start(self, *more_options: str) -> None:
        """Run the server on a free port and wait until it is ready. Raises `ServerEnded` and `TooLate`."""
        assert not self.is_running, "It runs already."
        said_before = len(self.stdout)
        arguments = ["serve", "--port", "0", "--data-dir", str(self.data_dir), "--print-token"]
        self._process = subprocess.Popen(
            [*self._command, *arguments, *self.options, *more_options],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            self._collect("stdout", self._process.stdout),
            self._collect("stderr", self._process.stderr),
        ]
        ready = None
        deadline_s = time.monotonic() + WITHIN_S
        with self._changed:
            while (ready := _READY.search(self.stdout, said_before)) is None:
                if not any(reader.is_alive() for reader in self._readers):
                    break
                if time.monotonic() > deadline_s:
                    self.kill()
                    raise TooLate(f"The server is not ready after {WITHIN_S:g} s: {self.stderr}")
                self._changed.wait(0.1)
        if ready is None:
            raise ServerEnded(self.wait(), self.stderr)
        address = urlsplit(ready[1])
        self.url = f"{address.scheme}://{address.netloc}"
        self.token = next(iter(parse_qs(address.query).get("token", [])), self.token)

    @property
    def pid(self) -> int:
        assert self._process is not None, "It was never started."
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def terminate(self) -> int:
        """Stop as Ctrl-C or a service manager does; shells go on running. Returns the exit status."""
        assert self._process is not None, "It was never started."
        self._process.terminate()
        return self.wait()

    def kill(self) -> None:
        """With SIGKILL; shells go on running."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def wait(self, *, within_s: float = WITHIN_S) -> int:
        """Until the server has ended; returns its exit status. Raises `TooLate`."""
        assert self._process is not None, "It was never started."
        try:
            status = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise TooLate(f"The server still runs after {within_s:g} s.") from None
        for reader in self._readers:
            reader.join(within_s)
        return status

    @property
    def stdout(self) -> str:
        """All that its servers have written."""
        return self._texts["stdout"].decode(errors="replace")

    @property
    def stderr(self) -> str:
        """All that its servers have written."""
        return self._texts["stderr"].decode(errors="replace")

    def _collect(self, name: str, pipe: IO[bytes]) -> threading.Thread:
        def read() -> None:
            with pipe:
                while chunk := os.read(pipe.fileno(), 65536):
                    with self._changed:
                        self._texts[name] += chunk
                        self._changed.notify_all()
            with self._changed:
                self._changed.notify_all()

        reader = threading.Thread(target=read, name=f"server's {name}", daemon=True)
        reader.start()
        return reader

    # --- What belongs to it ------------------------------------------------------------------------------

    def run(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Another command on the same data directory, as `run("ls", "--json")`."""
        return subprocess.run(
            [*self._command, command, "--data-dir", str(self.data_dir), *options],
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * WITHIN_S,
            check=False,
        )

    def agents(self) -> list[AgentProcess]:
        """Those that run, one for each sandbox that is awake."""
        found = []
        for record in sorted(self.data_dir.glob("sandboxes/*/agent.pid")):
            try:
                pid, started = record.read_text().split()
            except (OSError, ValueError):
                continue  # Just being written, or removed.
            agent = AgentProcess(int(pid), started, record.parent.name)
            if agent.is_alive:
                found.append(agent)
        return found

    def sockets(self) -> list[str]:
        """The names of the agents' sockets."""
        return sorted(path.name for path in self.runtime_dir.iterdir()) if self.runtime_dir.is_dir() else []

    def processes(self) -> list[Process]:
        """The agents, and everything that runs in their sandboxes."""
        return [process for agent in self.agents() for process in (agent, *agent.shells())]

    def stop_all(self) -> None:
        """End the server, its agents and their shells, whatever state they are in. Raises `TooLate`."""
        if self.is_running:
            self.terminate()
        processes = self.processes()
        for agent in self.agents():
            agent.terminate()
        with contextlib.suppress(TooLate):
            wait_until(lambda: not any(one.is_alive for one in processes), "", within_s=_LEAVES_WITHIN_S)
        for process in processes:
            process.kill()  # Only what did not listen.
        wait_until(lambda: not any(one.is_alive for one in processes), "the end of agents and shells")
        for socket in self.sockets():
            (self.runtime_dir / socket).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.runtime_dir.rmdir()


def wait_until(predicate: Callable[[], object], what: str, *, within_s: float = WITHIN_S) -> None:
    """For what the kernel knows and tells nobody, such as the end of processes. Raises `TooLate`."""
    deadline_s = time.monotonic() + within_s
    while not predicate():
        if time.monotonic() > deadline_s:
            raise TooLate(f"Waited {within_s:g} s for {what}.")
        time.sleep(_LOOK_EVERY_S)


def _process(pid: int) -> Process | None:
    started = start_time(pid)
    return Process(pid, started) if started is not None else None


def _is_zombie(pid: int) -> bool:
    """It has ended, and its parent has not asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except (OSError, IndexError):
        return True
