"""Isolated sandboxes, with real bubblewrap: as providers they are like all others."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sandbox.isolated_kit import SOMEBODY
from wormux.errors import SandboxError, SetupError
from wormux.ids import SandboxId
from wormux.limits import ISOLATED_OPEN_FILES
from wormux.protocol.agent_link import Stopped
from wormux.sandbox import isolated, local
from wormux.sandbox.isolated import IsolatedProvider
from wormux.sandbox.local import LocalProvider
from wormux.sandbox.port import Lost, Provider, Sandbox, SandboxEvent
from wormux.sandbox.providers import make_provider
from wormux.sandbox.runtime_dir import default_runtime_dir
from wormux.sandbox.settings import Limits, ProviderSettings
from wormux.testing.sandbox_conformance import (
    BOX,
    Events,
    Pane,
    SandboxConformance,
    ignore,
    open_request,
)

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_factories=["uvloop"])]
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root's shells run as somebody else")


class TestIsolatedProvider(SandboxConformance):
    @pytest.fixture(autouse=True)
    def _directories(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(isolated, "_try_out", _take_for_granted)
        self.data_dir = tmp_path
        self.box_dir = tmp_path / "sandboxes" / BOX
        yield
        shutil.rmtree(default_runtime_dir(tmp_path), ignore_errors=True)

    def make_provider(self) -> Provider:
        return make_provider("local", ProviderSettings(self.data_dir, isolation="bubblewrap"))

    def kill_agent(self, provider: Provider, sandbox: Sandbox) -> None:
        os.kill(sandbox.welcome.pid, signal.SIGKILL)

    def remains(self) -> list[str]:
        sockets = default_runtime_dir(self.data_dir).iterdir()
        files = (self.data_dir / "sandboxes").rglob("*")
        return [str(path) for path in (*sockets, *files)] + _processes_that_mention(self.data_dir)

    # --- Beyond what all must do -------------------------------------------------------------------------------

    async def test_a_killed_agent_is_named_with_its_signal(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            self.kill_agent(provider, sandbox)
            assert await events.next(Lost) == Lost("The agent was killed by SIGKILL.", dead=True)

    async def test_what_is_not_the_sandboxs_is_for_the_server_alone(self) -> None:
        async with self.sandbox():
            assert {path.name for path in self.box_dir.iterdir()} >= {
                "home",
                "state",
                "agent.log",
                "agent.pid",
            }
            for path in (self.box_dir.parent, self.box_dir, *self.box_dir.iterdir()):
                found = path.stat()
                assert stat.S_IMODE(found.st_mode) & 0o077 == 0, path
                is_inside = path.name in ("home", "state")
                assert is_inside or found.st_uid == os.getuid(), path
                assert not is_inside or found.st_uid != 0, path

    async def test_a_home_outlives_sleep_and_is_its_sessions_alone(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            pane = Pane(sandbox, open_request())
            pane.type(b"echo mine >~/kept; echo mine >/tmp/lost; pwd; echo do''ne\n")
            await pane.shows(b"done")
            assert b"/home/user\r\n" in pane.output
            sandbox.sleep(force=True)
            await events.next(Stopped)
            again = Pane(await provider.start(BOX, ignore), open_request())
            other = Pane(await provider.start(SandboxId("box-2"), ignore), open_request())
            for shell in (again, other):
                shell.type(b"cat ~/kept; ls /tmp | wc -l; echo do''ne\n")
                await shell.shows(b"done")
            assert b"mine\r\n0\r\n" in again.output
            assert b"mine" not in other.output

    async def test_a_new_home_has_what_a_new_users_has(self) -> None:
        async with self.sandbox():
            names = {path.name for path in (self.box_dir / "home").iterdir()}
            assert names == set(os.listdir("/etc/skel"))  # noqa: PTH208

    async def test_every_process_has_its_limits(self) -> None:
        settings = ProviderSettings(self.data_dir, isolation="bubblewrap")
        for limits, most in ((Limits(), ISOLATED_OPEN_FILES), (Limits(open_files=199), 199)):
            provider = IsolatedProvider(replace(settings, limits=limits))
            pane = Pane(await provider.start(BOX, ignore), open_request())
            pane.type(b"echo $(ulimit -Hn).\n")
            await pane.shows(b"\n%d." % most)
            await provider.destroy(BOX)
            await provider.aclose()

    async def test_whoever_keeps_the_agent_may_be_killed(self) -> None:
        async with self.sandbox() as (_, sandbox, events):
            status = Path(f"/proc/{sandbox.welcome.pid}/status").read_text()  # noqa: ASYNC240
            keeper = int(status.partition("PPid:\t")[2].split()[0])
            os.kill(keeper, signal.SIGKILL)
            pane = Pane(sandbox, open_request())
            pane.type(b"echo al''ive\n")
            await pane.shows(b"alive")
            os.kill(sandbox.welcome.pid, signal.SIGKILL)
            assert await events.next(Lost) == Lost("The agent ended.", dead=True)

    async def test_shells_that_are_not_isolated_are_not_taken_for_isolated_ones(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(local, "_LEAVES_WITHIN_S", 0.05)
        before = LocalProvider(ProviderSettings(self.data_dir))
        await before.start(BOX, ignore)
        await before.aclose()
        after = self.make_provider()
        for look in (after.start, after.find):
            with pytest.raises(SandboxError, match=r"without isolation, and still run\. Stop the server"):
                await look(BOX, ignore)
        await after.destroy(BOX)
        await after.aclose()
        assert self.remains() == []

    async def test_isolated_shells_are_found_by_a_server_that_isolates_no_more(self) -> None:
        before = self.make_provider()
        started = await before.start(BOX, ignore)
        await before.aclose()
        after = LocalProvider(ProviderSettings(self.data_dir))
        events: Events[SandboxEvent] = Events()
        found = await after.find(BOX, events)
        assert found is not None
        assert found.welcome.pid == started.welcome.pid
        found.sleep(force=True)
        await events.next(Stopped)
        await after.destroy(BOX)
        await after.aclose()

    async def test_many_sandboxes_start_at_once(self) -> None:
        async with self.provider() as provider:
            names = [SandboxId(f"box-{number}") for number in range(8)]
            sandboxes = await asyncio.gather(*(provider.start(name, ignore) for name in names))
            assert len({sandbox.welcome.pid for sandbox in sandboxes}) == len(names)

    async def test_a_start_that_is_called_off_leaves_nothing(self) -> None:
        async with self.provider() as provider:
            for count in range(5):
                start = asyncio.create_task(provider.start(BOX, ignore))
                for _ in range(count * 3):
                    await asyncio.sleep(0)
                start.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await start
        assert self.remains() == []

    @as_root
    async def test_a_home_of_another_user_is_left_alone(self) -> None:
        async with self.sandbox() as (provider, _, _):
            await provider.destroy(BOX)
            home = self.box_dir / "home"
            home.mkdir(parents=True)
            os.chown(home, SOMEBODY, SOMEBODY)
            with pytest.raises(SandboxError, match="belong to another user than nobody"):
                await provider.start(BOX, ignore)

    async def test_what_cannot_be_started_is_a_sentence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with self.provider() as provider:
            assert isinstance(provider, IsolatedProvider)
            broken = self.data_dir / "bwrap"
            broken.write_text("#!/bin/sh\necho bwrap: cannot see /a/file >&2; exit 1\n")
            broken.chmod(0o755)
            monkeypatch.setattr(provider, "_isolation", replace(provider._isolation, bwrap=str(broken)))
            with pytest.raises(SandboxError) as failure:
                await provider.start(BOX, ignore)
            assert str(failure.value) == "The agent did not start. bwrap: cannot see …/file"
            monkeypatch.setattr(provider, "_isolation", replace(provider._isolation, bwrap="/nowhere"))
            with pytest.raises(SandboxError, match=r"Bubblewrap cannot be run|did not start"):
                await provider.start(BOX, ignore)


# --- Without bubblewrap, and where it does not work ----------------------------------------------------------


async def test_without_bubblewrap_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="install the package bubblewrap"):
        _provider(tmp_path)


@pytest.mark.parametrize("script", ["echo bwrap: No permissions >&2; exit 1", "exit 3", "kill -9 $$"])
async def test_where_bubblewrap_does_not_work_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    (tmp_path / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(SetupError, match="Isolation does not work here: bwrap"):
        _provider(tmp_path)
    assert set(os.listdir(tmp_path)) <= {"bwrap", "run"}  # noqa: PTH208


async def test_one_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\nexec sleep 1000\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(isolated, "ISOLATION_TRIED_WITHIN_S", 0.1)
    with pytest.raises(SetupError, match="Isolation does not work here"):
        _provider(tmp_path)


@as_root
@pytest.mark.parametrize(
    ("user", "sentence"), [("nobody-at-all", "There is no user nobody-at-all"), ("root", "never run as root")]
)
async def test_shells_run_as_a_user_that_there_is_and_never_as_root(
    tmp_path: Path, user: str, sentence: str
) -> None:
    with pytest.raises(SetupError, match=sentence):
        _provider(tmp_path, user=user)


@as_root
async def test_the_user_can_be_chosen(tmp_path: Path) -> None:
    provider = _provider(tmp_path, user="daemon")
    pane = Pane(await provider.start(BOX, ignore), open_request())
    pane.type(b"echo $(id -un) $(id -u).\n")
    await pane.shows(b"daemon 1.")
    await provider.destroy(BOX)
    await provider.aclose()


@as_root
async def test_directories_that_their_owner_has_shut_can_be_removed(tmp_path: Path) -> None:
    await asyncio.to_thread(_remove_as_somebody, tmp_path)


def _remove_as_somebody(tmp_path: Path) -> None:
    """Who is not root: a cache of modules shuts its directories."""
    home = tmp_path / "home"
    (home / "a" / "b").mkdir(parents=True)
    (home / "a" / "b" / "file").touch()
    (home / "link").symlink_to("/etc")
    for path in (home / "a" / "b" / "file", home / "a" / "b", home / "a", home):
        os.chown(path, SOMEBODY, SOMEBODY)
        path.chmod(0o500)
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    os.chown(tmp_path, SOMEBODY, SOMEBODY)
    program = (
        "import os, shutil, sys\n"
        f"os.setgid({SOMEBODY}); os.setuid({SOMEBODY})\n"
        "from pathlib import Path\n"
        "isolated._make_removable(Path(sys.argv[1])); shutil.rmtree(sys.argv[1])\n"
    )
    load = "import wormux.sandbox.isolated as isolated\n"
    subprocess.run([sys.executable, "-c", load + program, str(home)], check=True)
    assert not home.exists()
    assert Path("/etc").stat().st_mode & 0o777 == 0o755


def _provider(data_dir: Path, user: str | None = None) -> IsolatedProvider:
    settings = ProviderSettings(data_dir, isolation="bubblewrap", user=user)
    return IsolatedProvider(settings, runtime_dir=data_dir / "run")


def _take_for_granted(*_: object) -> None:
    """In place of the trial, which every new provider makes."""


def _processes_that_mention(path: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(path) in command:
            found.append(str(command))
    return found
