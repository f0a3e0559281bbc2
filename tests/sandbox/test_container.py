"""Containers, with a real Podman of the tests' own. What can go wrong is in test_container_reasons."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.podman import IMAGE, Podman
from wormux.ids import SandboxId
from wormux.limits import MIB
from wormux.protocol.agent_link import Stopped
from wormux.sandbox.container import ContainerProvider
from wormux.sandbox.port import Frozen, Lost, Provider, Sandbox, SandboxEvent
from wormux.sandbox.runtime_dir import default_runtime_dir, socket_path
from wormux.sandbox.settings import Limits, ProviderSettings
from wormux.testing.sandbox_conformance import BOX, Events, SandboxConformance, SandboxKind, ignore

pytestmark = [
    pytest.mark.integration,
    # The loop of the server: a container takes a while, and links are tested on both.
    pytest.mark.asyncio(loop_factories=["uvloop"]),
]


class Containers(SandboxKind):
    """What the tests of this file are made with."""

    @pytest.fixture(autouse=True)
    def _directories(self, tmp_path: Path, podman: Podman) -> Iterator[None]:
        self.data_dir = tmp_path
        self.podman = podman
        self.runtime_dir = default_runtime_dir(tmp_path)
        yield
        podman.clear_if_any()
        shutil.rmtree(self.runtime_dir, ignore_errors=True)

    def make_provider(self, settings: ProviderSettings | None = None, **options: Any) -> ContainerProvider:
        table = {"image": IMAGE, "socket": str(self.podman.socket), "network": "none"} | options
        return ContainerProvider(replace(settings or ProviderSettings(self.data_dir), options=table))

    @asynccontextmanager
    async def made(
        self, settings: ProviderSettings | None = None, **options: Any
    ) -> AsyncIterator[tuple[ContainerProvider, Sandbox, Events[SandboxEvent]]]:
        """A sandbox of a provider with these options, destroyed in the end."""
        provider = self.make_provider(settings, **options)
        try:
            events: Events[SandboxEvent] = Events()
            yield provider, await provider.start(BOX, events), events
        finally:
            await provider.destroy(BOX)
            await provider.aclose()

    def name(self) -> str:
        """The container's."""
        (name,) = self.podman.run("ps", "--all", "--format", "{{.Names}}").split()
        return name

    def main_process(self) -> int:
        pid: int = self.podman.inspect(self.name())["State"]["Pid"]
        return pid

    def kill_agent(self, provider: Provider, sandbox: Sandbox) -> None:
        os.kill(self.agent_of(sandbox), signal.SIGKILL)

    def agent_of(self, sandbox: Sandbox) -> int:
        life = sandbox.life  # type: ignore[attr-defined]  # of every sandbox with an agent of ours
        pid: int = life.pid
        return pid

    def remains(self) -> list[str]:
        files = [*self.runtime_dir.iterdir(), *(self.data_dir / "container").rglob("*")]
        return [*self.podman.names(), *map(str, files)]


class TestContainerProvider(Containers, SandboxConformance):
    """The suite of all providers."""


class TestContainers(Containers):
    async def say(self, sandbox: Sandbox, line: str) -> str:
        """What a fresh shell prints for a line."""
        pane = self.pane(sandbox, self.open_request(f"pane-{os.urandom(4).hex()}"))
        pane.type(b"echo '<<''<'; %s; echo '>>''>'\n" % line.encode())
        await pane.shows(b">>>")
        return pane.output.partition(b"<<<")[2].partition(b">>>")[0].decode().replace("\r\n", "\n").strip()

    async def test_a_stopped_container_is_started_again_with_all_its_files(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            before = self.podman.inspect(self.name())["Id"]
            await self.say(sandbox, "echo one >~/kept; echo two >/opt/kept")
            sandbox.sleep(force=False)
            await events.next(Stopped)
            assert await provider.find(BOX, ignore) is None
            awake = await provider.start(BOX, ignore)
            assert self.podman.inspect(self.name())["Id"] == before
            assert await self.say(awake, "cat ~/kept /opt/kept") == "one\ntwo"

    async def test_a_container_that_was_removed_asleep_is_made_anew_with_its_home(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            await self.say(sandbox, "echo one >~/kept; echo two >/opt/kept")
            sandbox.sleep(force=False)
            await events.next(Stopped)
            self.podman.run("rm", "--force", self.name())
            assert await provider.list() == (BOX,)
            awake = await provider.start(BOX, ignore)
            assert await self.say(awake, "cat ~/kept; test -e /opt/kept || echo gone") == "one\ngone"

    async def test_shells_are_alone_and_may_do_nothing_special(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            status = await self.say(sandbox, "cat /proc/self/status")
            for line in (
                "CapPrm:\t0000000000000000",
                "CapBnd:\t0000000000000000",
                "NoNewPrivs:\t1",
                "Seccomp:\t2",
            ):
                assert line in status
            assert (await self.say(sandbox, "ps -e -o comm=")).split()[0] == "python3"
            assert await self.say(sandbox, "sed -n 's/:.*//p' /proc/net/dev | tr -d ' '") == "lo"
            assert await self.say(sandbox, "hostname; pwd; echo $HOME") == "sandbox\n/root\n/root"

    async def test_the_server_cannot_be_seen_or_misled_from_inside(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            assert await self.say(sandbox, "ls -A /run/wormux") == "agent.pyz"
            said = await self.say(
                sandbox,
                "cd /run/wormux; ln -s /etc/passwd boot.sock; touch x; mv agent.pyz y; rm agent.pyz; chmod 777 .",
            )
            assert said.count("Read-only file system") == 5
            assert await self.say(sandbox, "cat /proc/net/unix | tail -n +2 | grep -c '/' || true") in (
                "0",
                "1",
            )
            sandbox.sleep(force=True)
            await events.next(Stopped)
            assert [path.name for path in (self.data_dir / "container" / BOX / "boot").iterdir()] == [
                "agent.pyz"
            ]
            await self.pane(await provider.start(BOX, ignore)).opened()

    async def test_what_others_have_put_in_the_way_is_replaced(self) -> None:
        boot = self.data_dir / "container" / BOX / "boot"
        boot.mkdir(parents=True)
        (boot / "boot.sock").symlink_to(self.podman.socket)
        (boot / "agent.pyz").symlink_to("/etc/passwd")
        socket_path(self.runtime_dir, BOX).symlink_to(
            self.podman.socket
        ) if self.runtime_dir.is_dir() else None
        async with self.sandbox() as (_, sandbox, _):
            assert not (boot / "agent.pyz").is_symlink()
            assert await self.say(sandbox, "echo $((40+2))") == "42"

    async def test_another_process_in_the_agents_place_is_refused(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            path = socket_path(self.runtime_dir, BOX)
            path.unlink()
            with socket.socket(socket.AF_UNIX) as impostor:
                impostor.bind(str(path))
                impostor.listen()
                lost = await self.pane(sandbox).events.next(Lost)
            assert lost.reason == "Where the container's agent should listen, another process does."

    async def test_the_user_the_environment_and_the_shell_can_be_chosen(self) -> None:
        env = {"COLOUR": "light blue"}
        async with self.made(user="worker", shell="/bin/bash", env=env) as (_, sandbox, _):
            assert await self.say(sandbox, "id -un; pwd; echo $HOME $SHELL [$COLOUR]") == (
                "worker\n/home/worker\n/home/worker /bin/bash [light blue]"
            )
            assert await self.say(sandbox, "echo mine >~/file && cat ~/file") == "mine"

    async def test_capabilities_and_a_network_are_given_where_they_are_asked_for(self) -> None:
        async with self.made(capabilities=["CHOWN"], network="default") as (_, sandbox, _):
            assert await self.say(sandbox, "touch x && chown 1000 x && stat -c %u x") == "1000"
            assert "eth0" in await self.say(sandbox, "cat /proc/net/dev")

    async def test_no_network_for_all_is_none_for_containers(self) -> None:
        settings = ProviderSettings(self.data_dir, network=False)
        async with self.made(settings, network="default") as (_, sandbox, _):
            assert "eth0" not in await self.say(sandbox, "cat /proc/net/dev")

    async def test_limits_hold(self) -> None:
        limits = Limits(memory_bytes=256 * MIB, processes=50, open_files=200)
        async with self.made(ProviderSettings(self.data_dir, limits=limits)) as (_, sandbox, _):
            assert await self.say(sandbox, "ulimit -n") == "200"
            made = self.podman.inspect(self.name())["HostConfig"]
            assert (made["Memory"], made["MemorySwap"], made["PidsLimit"]) == (256 * MIB, 256 * MIB, 50)

    async def test_programs_that_are_named_do_not_keep_it_awake(self) -> None:
        settings = ProviderSettings(self.data_dir, busy_ignore=("sleep",))
        async with self.made(settings) as (_, sandbox, events):
            await self.say(sandbox, "(sleep 1000 &)")
            sandbox.sleep(force=False)
            await events.next(Stopped)

    async def test_who_tidies_up_the_home_ends_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            ProviderSettings, "agent_options", ("--shell-integration=off", "--check-s=0.05"), raising=True
        )
        async with self.sandbox() as (_, sandbox, _):
            assert await self.say(sandbox, "rm -rf ~/.local; ls -A ~; sleep 0.5; echo alive") == "alive"

    async def test_orphans_are_reaped(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            await self.say(sandbox, "for i in 1 2 3; do setsid sh -c 'true &' ; done")
            assert "defunct" not in await self.say(sandbox, "sleep 0.1; ps -e -o comm=")

    async def test_what_lies_on_the_host_is_for_the_server_alone(self) -> None:
        async with self.sandbox():
            for path in (self.data_dir / "container", self.data_dir / "container" / BOX, self.runtime_dir):
                assert stat.S_IMODE(path.stat().st_mode) == 0o700
            assert stat.S_IMODE(socket_path(self.runtime_dir, BOX).stat().st_mode) & 0o177 == 0

    async def test_a_data_directory_of_any_length_will_do(self) -> None:
        long = self.data_dir / ("long-" * 40)
        long.mkdir()
        async with self.made(ProviderSettings(long)) as (_, sandbox, _):
            await self.pane(sandbox).opened()
        shutil.rmtree(default_runtime_dir(long))

    async def test_servers_do_not_see_each_others_sandboxes(self, tmp_path: Path) -> None:
        async with self.sandbox():
            other = self.make_provider(ProviderSettings(tmp_path / "other"))
            assert await other.list() == ()
            assert await other.find(BOX, ignore) is None
            await other.destroy(BOX)
            await other.aclose()
            assert self.main_process() > 0
        shutil.rmtree(default_runtime_dir(tmp_path / "other"))

    async def test_many_containers_start_at_once(self) -> None:
        async with self.provider() as provider:
            names = [SandboxId(f"box-{number}") for number in range(4)]
            sandboxes = await asyncio.gather(*(provider.start(name, ignore) for name in names))
            assert len({self.agent_of(sandbox) for sandbox in sandboxes}) == len(names)
            assert await provider.list() == tuple(sorted(names))

    async def test_what_somebody_else_has_paused_goes_on_with_a_key(self) -> None:
        async with self.sandbox() as (provider, sandbox, _):
            agent = self.agent_of(sandbox)
            self.podman.run("pause", self.name())
            again = await provider.start(BOX, ignore)
            assert self.agent_of(again) == agent
            assert await self.say(again, "echo $((40+2))") == "42"

    async def test_a_frozen_container_is_a_paused_one(self) -> None:
        async with self.sandbox() as (_, sandbox, events):
            sandbox.freeze(force=False)
            await events.next(Frozen)
            assert self.podman.inspect(self.name())["State"]["Status"] == "paused"

    @pytest.mark.asyncio(loop_factories=["asyncio"])
    async def test_it_all_works_on_the_other_loop_as_well(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            assert await self.say(sandbox, "echo $((40+2))") == "42"
            sandbox.freeze(force=False)
            await events.next(Frozen)
            again = await provider.start(BOX, events)
            again.sleep(force=False)
            await events.next(Stopped)
            assert await self.say(await provider.start(BOX, ignore), "echo $((40+2))") == "42"
