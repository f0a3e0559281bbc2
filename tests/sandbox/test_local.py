"""The embedded provider, with real agents and real shells."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from wormux.errors import SandboxError
from wormux.ids import SandboxId
from wormux.limits import AGENT_NOTES_BYTES
from wormux.protocol.agent_link import Stopped
from wormux.sandbox import agent_provider as agent_provider_module
from wormux.sandbox import link as link_module
from wormux.sandbox import local as local_module
from wormux.sandbox.local import LocalProvider
from wormux.sandbox.port import Lost, Provider, Sandbox, SandboxEvent
from wormux.sandbox.processes import descendants
from wormux.sandbox.runtime_dir import default_runtime_dir
from wormux.sandbox.settings import ProviderSettings
from wormux.testing.sandbox_conformance import (
    BOX,
    Events,
    Pane,
    SandboxConformance,
    ignore,
    open_request,
)

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may look at the files of an agent")


@pytest.mark.integration
class TestLocalProvider(SandboxConformance):
    @pytest.fixture(autouse=True)
    def _directories(self, tmp_path: Path) -> Iterator[None]:
        self.data_dir = tmp_path
        self.box_dir = tmp_path / "sandboxes" / BOX
        self.providers: list[LocalProvider] = []
        yield
        shutil.rmtree(default_runtime_dir(tmp_path), ignore_errors=True)

    def make_provider(self) -> Provider:
        self.providers.append(LocalProvider(ProviderSettings(self.data_dir)))
        return self.providers[-1]

    def kill_agent(self, provider: Provider, sandbox: Sandbox) -> None:
        os.kill(sandbox.welcome.pid, signal.SIGKILL)

    def remains(self) -> list[str]:
        sockets = default_runtime_dir(self.data_dir).iterdir()
        files = (self.data_dir / "sandboxes").rglob("*")
        spares = [provider._spare for provider in self.providers]  # of no sandbox yet
        processes = _processes_that_mention(self.data_dir) - {spare.life.pid for spare in spares if spare}
        return [str(path) for path in (*sockets, *files)] + [str(_command(pid)) for pid in processes]

    async def test_a_killed_agent_is_named_with_its_signal(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            self.kill_agent(provider, sandbox)
            assert await events.next(Lost) == Lost("The agent was killed by SIGKILL.", dead=True)

    async def test_everything_is_for_the_owner_alone(self) -> None:
        async with self.sandbox():
            runtime_dir = default_runtime_dir(self.data_dir)
            paths = [
                self.box_dir.parent,
                *self.box_dir.parent.rglob("*"),
                runtime_dir,
                *runtime_dir.iterdir(),
            ]
            assert len(paths) == 6
            for path in paths:
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path

    @as_root
    async def test_the_agent_is_detached_from_the_server(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pid = sandbox.welcome.pid
            assert os.getsid(pid) == pid
            files = _open_files(pid)
            assert files["0"] == "/dev/null"
            assert files["1"] == files["2"] == str(self.box_dir / "agent.log")

    @as_root
    async def test_what_the_server_has_open_is_not_inherited(self) -> None:
        with (self.data_dir / "secret").open("w") as file:
            os.set_inheritable(file.fileno(), True)
            async with self.sandbox() as (_, sandbox, _):
                assert file.name not in _open_files(sandbox.welcome.pid).values()

    async def test_shells_get_the_servers_environment_without_its_own_variables(self) -> None:
        env = {**os.environ, "WORMUX_TOKEN": "secret", "PYTHONPATH": "/nowhere", "COLOUR": "blue"}
        provider = LocalProvider(ProviderSettings(self.data_dir), env=env)
        sandbox = await provider.start(BOX, ignore)
        pane = Pane(sandbox, open_request())
        pane.type(b"echo [$COLOUR] [$WORMUX_TOKEN]\n")
        await pane.shows(b"[blue] []")
        await provider.destroy(BOX)
        await provider.aclose()

    async def test_programs_that_are_named_do_not_keep_it_awake(self) -> None:
        provider = LocalProvider(ProviderSettings(self.data_dir, busy_ignore=("tail", "sleep")))
        events: Events[SandboxEvent] = Events()
        sandbox = await provider.start(BOX, events)
        pane = Pane(sandbox, open_request())
        pane.type(b"sleep 1000 & echo it $((40+2))\n")
        await pane.shows(b"it 42")
        sandbox.sleep(force=False)
        await events.next(Stopped)
        await provider.destroy(BOX)
        await provider.aclose()

    async def test_many_sandboxes_start_at_once(self) -> None:
        async with self.provider() as provider:
            names = [SandboxId(f"box-{number}") for number in range(10)]
            sandboxes = await asyncio.gather(*(provider.start(name, ignore) for name in names))
            assert len({sandbox.welcome.pid for sandbox in sandboxes}) == len(names)
            assert await provider.list() == tuple(sorted(names))

    async def test_a_python_that_is_not_there_is_a_sentence(self) -> None:
        provider = LocalProvider(ProviderSettings(self.data_dir), python="/nowhere/python3")
        with pytest.raises(SandboxError) as failure:
            await provider.start(BOX, ignore)
        assert str(failure.value) == "The agent cannot be run with python3: No such file or directory."
        await provider.destroy(BOX)
        assert self.remains() == []

    async def test_an_agent_that_fails_says_why_without_paths(self) -> None:
        broken = self.data_dir / "python"
        broken.write_text(f"#!/bin/sh\necho cannot read {self.data_dir}/file >&2; exit 3\n")
        broken.chmod(0o700)
        provider = LocalProvider(ProviderSettings(self.data_dir), python=str(broken))
        with pytest.raises(SandboxError) as failure:
            await provider.start(BOX, ignore)
        assert str(failure.value) == "The agent did not start. cannot read …/file"
        await provider.destroy(BOX)

    async def test_an_agent_that_is_never_ready_is_killed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(local_module, "WAKE_WITHIN_S", 0.05)
        mute = self.data_dir / "python"
        mute.write_text("#!/bin/sh\nexec sleep 1000\n")
        mute.chmod(0o700)
        provider = LocalProvider(ProviderSettings(self.data_dir), python=str(mute))
        with pytest.raises(SandboxError, match="did not start within"):
            await provider.start(BOX, ignore)
        await provider.destroy(BOX)
        assert self.remains() == []

    async def test_a_directory_that_cannot_be_made_is_a_sentence(self) -> None:
        (self.data_dir / "sandboxes").touch()
        with pytest.raises(SandboxError, match="directory cannot be made") as failure:
            await LocalProvider(ProviderSettings(self.data_dir)).start(BOX, ignore)
        assert str(self.data_dir) not in str(failure.value)

    async def test_a_long_log_is_set_aside(self) -> None:
        self.box_dir.mkdir(parents=True)
        (self.box_dir / "agent.log").write_bytes(b"x" * (AGENT_NOTES_BYTES + 1))
        async with self.sandbox():
            assert (self.box_dir / "agent.log").stat().st_size == 0
            assert (self.box_dir / "agent.old").stat().st_size == AGENT_NOTES_BYTES + 1

    async def test_a_mute_agent_of_an_earlier_server_is_killed_with_all_that_it_started(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with self.sandbox() as (provider, sandbox, _):
            pid = sandbox.welcome.pid
            pane = Pane(sandbox, open_request())
            pane.type(b"setsid sh -c 'echo [$((1))]; exec sleep 1000' &\n")
            pane.type(b"setsid sh -c 'echo [$((2))]; exec sleep 1000' &\n")
            await pane.shows(b"[1]")
            await pane.shows(b"[2]")
            processes = descendants(pid)
            assert len(processes) == 3
            await provider.aclose()
            os.kill(pid, signal.SIGSTOP)
            monkeypatch.setattr(link_module, "OPEN_WITHIN_S", 0.05)
            monkeypatch.setattr(local_module, "_LEAVES_WITHIN_S", 0.05)
            later = self.make_provider()
            await later.destroy(BOX)
            await later.aclose()
            assert self.remains() == []
            assert [number for number in processes if _runs(number)] == []

    async def test_a_mute_agent_is_not_killed_to_wake_its_sandbox(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with self.sandbox() as (_, sandbox, _):
            os.kill(sandbox.welcome.pid, signal.SIGSTOP)
            later = self.make_provider()
            with monkeypatch.context() as patch:
                patch.setattr(link_module, "OPEN_WITHIN_S", 0.05)
                with pytest.raises(SandboxError, match="did not answer within"):
                    await later.start(BOX, ignore)
            os.kill(sandbox.welcome.pid, signal.SIGCONT)
            assert (await later.start(BOX, ignore)).welcome.pid == sandbox.welcome.pid
            await later.aclose()

    async def test_another_process_with_the_recorded_number_is_left_alone(self) -> None:
        self.box_dir.mkdir(parents=True)
        (self.box_dir / "agent.pid").write_text(f"{os.getpid()} 1\n")
        async with self.sandbox() as (_, sandbox, _):
            assert sandbox.welcome.pid != os.getpid()

    async def test_an_agent_whose_socket_is_gone_is_not_killed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(local_module, "_LEAVES_WITHIN_S", 0.05)
        async with self.sandbox() as (provider, sandbox, _):
            for path in default_runtime_dir(self.data_dir).iterdir():
                path.unlink()
            with monkeypatch.context() as patch:
                patch.setattr(agent_provider_module, "DIES_WITHIN_S", 0.05)
                with pytest.raises(SandboxError, match="its socket is gone"):
                    await provider.start(BOX, ignore)
            assert _runs(sandbox.welcome.pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except FileNotFoundError:
        return False


def _open_files(pid: int) -> dict[str, str]:
    return {path.name: str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _processes_that_mention(path: Path) -> set[int]:
    pids = {int(entry.name) for entry in Path("/proc").glob("[0-9]*")}
    return {pid for pid in pids if os.fsencode(path) in _command(pid)}
