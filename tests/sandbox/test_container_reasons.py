"""What can go wrong with containers and their daemon: each has its own sentence, and a way back."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.podman import IMAGE, WITHOUT_PYTHON
from tests.sandbox.test_container import Containers
from wormux.errors import SandboxError, SetupError
from wormux.limits import MIB
from wormux.protocol.agent_link import Ended, Stopped
from wormux.sandbox import link as link_module
from wormux.sandbox.container import ContainerProvider
from wormux.sandbox.container_daemon import DaemonRefused, make_daemon
from wormux.sandbox.container_states import Seen, ended_sentence, refused_sentence
from wormux.sandbox.port import Lost, Provider
from wormux.sandbox.providers import make_provider
from wormux.sandbox.settings import Limits, ProviderSettings
from wormux.testing.sandbox_conformance import BOX, ignore

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_factories=["uvloop"])]

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be several users")


async def failure(provider: Provider) -> str:
    """Why its sandbox does not start."""
    with pytest.raises(SandboxError) as raised:
        await provider.start(BOX, ignore)
    return str(raised.value)


class TestReasons(Containers):
    @asynccontextmanager
    async def unstarted(
        self, settings: ProviderSettings | None = None, **options: Any
    ) -> AsyncIterator[ContainerProvider]:
        """A provider with these options, closed in the end."""
        provider = self.make_provider(settings, **options)
        try:
            yield provider
        finally:
            await provider.aclose()

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (
                {"image": "localhost/nothing-here"},
                "The image localhost/nothing-here is not here. Build it, or pull it with the daemon ",
            ),
            (
                {"image": WITHOUT_PYTHON},
                f"The image {WITHOUT_PYTHON} has no python3, which the agent needs (3.9 or newer).",
            ),
            ({"env": {"PATH": "/opt/old:/bin"}}, "The image has Python 3.7; the agent needs 3.9 or newer."),
            ({"user": "nobody-here"}, "The container cannot be started: "),
            ({"home": "/proc/home"}, "The container cannot be started: "),
        ],
        ids=["no image", "no python3", "old python3", "no user", "no home"],
    )
    async def test_a_container_that_cannot_start_says_why_and_leaves_no_container(
        self, options: dict[str, Any], reason: str
    ) -> None:
        async with self.unstarted(**options) as provider:
            said = await failure(provider)
            assert said.startswith(reason)
            assert len(said) < 300
            assert "\n" not in said
            assert self.podman.run("ps", "--all", "--quiet") == ""
            await provider.destroy(BOX)
        assert self.remains() == []

    async def test_a_name_that_is_taken_is_left_to_its_owner(self) -> None:
        async with self.unstarted() as provider:
            name = provider._name(BOX)
            self.podman.run("create", "--name", name, IMAGE, "true")
            reason = f"The name {name} belongs to a container that is not of this server. Rename that."
            assert await failure(provider) == reason
            with pytest.raises(SandboxError, match="not of this server"):
                await provider.destroy(BOX)
            assert self.podman.names() == [name]

    async def test_a_container_removed_while_it_runs_is_named_and_made_anew(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            pane = self.pane(sandbox)
            pane.type(b"echo one >~/kept; echo do''ne\n")
            await pane.shows(b"done")
            self.podman.run("rm", "--force", "--time", "0", self.name())
            reason = "The container was removed. The next one gets the same home."
            assert await events.next(Lost) == Lost(reason, dead=True)
            assert await pane.events.next(Lost) == Lost(reason, dead=True)
            again = self.pane(await provider.start(BOX, ignore))
            again.type(b"cat ~/kept\n")
            await again.shows(b"one\r\n")

    async def test_a_container_that_was_killed_says_so(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            self.kill_agent(provider, sandbox)
            assert await events.next(Lost) == Lost("The container was killed.", dead=True)

    async def test_a_container_that_somebody_stopped_says_so(self) -> None:
        async with self.sandbox() as (provider, _, events):
            self.podman.run("stop", self.name())
            assert await events.next(Lost) == Lost("The container was stopped by somebody else.", dead=True)
            await self.pane(await provider.start(BOX, ignore)).opened()

    async def test_a_program_that_uses_up_the_memory_is_named_as_such(self) -> None:
        limits = Limits(memory_bytes=64 * MIB)
        async with self.made(ProviderSettings(self.data_dir, limits=limits)) as (_, sandbox, _):
            pane = self.pane(sandbox)
            await pane.shows(self.prompt)
            pane.type(b"exec python3 -c \"x = b'x' * 10**9\"\n")
            exit = (await pane.events.next(Ended)).exit
            assert (exit.signal, exit.oom) == ("SIGKILL", True)

    async def test_less_memory_than_the_agent_needs_is_a_sentence(self) -> None:
        settings = ProviderSettings(self.data_dir, limits=Limits(memory_bytes=7 * MIB))
        async with self.unstarted(settings) as provider:
            # Not every daemon tells on every machine why something was killed.
            said = await failure(provider)
            assert said.startswith("The agent did not start. The container was killed")

    async def test_a_daemon_that_restarts_costs_nothing(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            agent = self.agent_of(sandbox)
            pane = self.pane(sandbox)
            await pane.opened()
            self.podman.end_service()
            try:
                pane.type(b"echo al''ive\n")
                await pane.shows(b"alive")
                assert self.agent_of(await provider.start(BOX, events)) == agent
                with pytest.raises(SandboxError, match=r"No daemon .* podman.sock is missing"):
                    await provider.list()
            finally:
                self.podman.serve()
            async with self.unstarted() as later:
                found = await later.find(BOX, ignore)
                assert found is not None
                assert self.agent_of(found) == agent
                assert events.of(Lost) == []

    async def test_a_daemon_that_is_away_is_named_and_a_later_key_wakes(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            sandbox.sleep(force=False)
            await events.next(Stopped)
            self.podman.end_service()
            try:
                assert await failure(provider) == (
                    "No daemon that runs containers is there: its socket podman.sock is missing. Is it running?"
                )
            finally:
                self.podman.serve()
            await self.pane(await provider.start(BOX, ignore)).opened()

    async def test_a_container_that_dies_while_the_daemon_is_away_says_both(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            self.podman.end_service()
            try:
                self.kill_agent(provider, sandbox)
                lost = await events.next(Lost)
            finally:
                self.podman.serve()
            assert lost == Lost(
                "The agent ended. The daemon that runs containers does not answer.", dead=True
            )

    async def test_a_mute_agent_is_not_killed_to_wake_it_but_to_destroy_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with self.sandbox() as (first, sandbox, _):
            await first.aclose()
            agent = self.agent_of(sandbox)
            os.kill(agent, signal.SIGSTOP)
            async with self.unstarted() as later:
                monkeypatch.setattr(link_module, "OPEN_WITHIN_S", 0.1)
                monkeypatch.setattr("wormux.sandbox.container.CONTAINER_STOP_S", 0)
                assert "did not answer" in await failure(later)
                assert self.main_process() == agent
                await later.destroy(BOX)
            assert self.remains() == []


class TestDaemonsSocket:
    """Nobody but root and we may stand behind it."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "docker.sock"

    @pytest.fixture
    def listening(self, path: Path) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            path.chmod(0o600)
            listening.listen()
            yield listening

    async def reason(self, path: Path) -> str:
        with pytest.raises(SandboxError) as raised:
            async with make_daemon(str(path)).ask("It cannot be done"):
                raise AssertionError("It was trusted.")
        return str(raised.value)

    async def test_none_is_there(self, path: Path) -> None:
        assert "its socket docker.sock is missing" in await self.reason(path)

    async def test_a_file_is_none(self, path: Path) -> None:
        path.touch()  # noqa: ASYNC240 -- at once
        assert await self.reason(path) == "The socket docker.sock of the daemon is no socket."

    async def test_a_link_is_not_followed(self, path: Path, listening: socket.socket) -> None:
        link = path.with_name("link.sock")
        link.symlink_to(path)
        assert "link.sock of the daemon is a link" in await self.reason(link)

    async def test_one_that_anybody_may_use_is_refused(self, path: Path, listening: socket.socket) -> None:
        path.chmod(0o666)  # noqa: ASYNC240
        assert "Anybody can use or replace" in await self.reason(path)

    async def test_one_that_anybody_may_replace_is_refused(
        self, path: Path, listening: socket.socket
    ) -> None:
        path.parent.chmod(0o777)
        assert "Anybody can use or replace" in await self.reason(path)

    async def test_one_that_nobody_listens_on_any_more(self, path: Path, listening: socket.socket) -> None:
        listening.close()
        assert await self.reason(path) == "The daemon that runs containers does not answer. Is it running?"

    @as_root
    async def test_one_of_somebody_else_is_refused(self, path: Path, listening: socket.socket) -> None:
        os.chown(path, 1000, 1000)
        assert "belongs to somebody who is neither root nor you" in await self.reason(path)

    @as_root
    async def test_somebody_else_behind_it_is_refused(self, path: Path, listening: socket.socket) -> None:
        listen = (
            "import os, socket, sys; os.setuid(1000); "
            "socket.socket(fileno=int(sys.argv[1])).listen(); print(flush=True); input()"
        )
        with subprocess.Popen(  # noqa: ASYNC220 -- at once
            [sys.executable, "-c", listen, str(listening.fileno())],
            pass_fds=[listening.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as other:
            assert other.stdout is not None
            other.stdout.readline()
            assert "is somebody who is neither root nor you" in await self.reason(path)
            other.terminate()

    async def test_something_else_behind_it_is_refused(self, path: Path) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()

        server = await asyncio.start_unix_server(answer, path)
        os.chmod(path, 0o600)  # noqa: PTH101 -- at once
        async with server:
            assert (
                await self.reason(path) == "What answers on the daemon's socket is neither Podman nor Docker."
            )

    async def test_one_that_hangs_up_is_no_daemon(self, path: Path) -> None:
        server = await asyncio.start_unix_server(lambda _, writer: writer.close(), path)
        os.chmod(path, 0o600)  # noqa: PTH101 -- at once
        async with server:
            assert (
                await self.reason(path)
                == "It cannot be done: the daemon that runs containers broke the connection."
            )


@pytest.mark.parametrize(
    ("status", "message", "sentence"),
    [
        (404, "No such image: debian:12", "The image debian:12 is not here."),
        (
            404,
            "no such image: docker.io/library/debian:12: image not known",
            "The image debian:12 is not here.",
        ),
        (
            400,
            'OCI runtime create failed: exec: "python3": executable file not found in $PATH: unknown',
            "The image debian:12 has no python3",
        ),
        (
            500,
            "crun: executable file `python3` not found in $PATH: No such file or directory: OCI runtime not found",
            "The image debian:12 has no python3",
        ),
        (500, "mkdir /var/lib/x: no space left on device", "There is no space left"),
        (409, "Conflict. The container name is already in use", "The container's name is in use"),
        (500, "mkdir /var/lib/x/y: permission denied", "It failed: mkdir …/y: permission denied."),
    ],
)
async def test_what_daemons_refuse_is_said_for_people(status: int, message: str, sentence: str) -> None:
    assert refused_sentence(DaemonRefused(status, message, "It failed"), "debian:12").startswith(sentence)


async def test_how_containers_end_is_said_for_people() -> None:
    assert ended_sentence(Seen("exited", 0, 137, True), None) == (
        "The container was killed because its memory was used up."
    )
    assert ended_sentence(Seen("exited", 0, 137, True), 200 * MIB) == (
        "The container was killed because its memory was used up, which is limited to 200 MB."
    )
    assert ended_sentence(Seen("exited", 0, 3, False), None) == "The container ended with status 3."


async def test_without_the_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("wormux.sandbox.container")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiodocker", None)
    with pytest.raises(SetupError, match=r"package aiodocker.*wormux\[container\]"):
        make_provider("container", ProviderSettings(tmp_path, options={"image": "x"}))
