"""The whole server with containers: a real Podman, real agents in it, and a client that types."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.podman import IMAGE, Podman, own_podman
from wormux.testing.client import ScriptedClient
from wormux.testing.server_process import ServerProcess

from .kit import PROMPT, at_prompt, eventually, fall_asleep, run

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    with own_podman(IMAGE) as podman:
        yield podman


@pytest.fixture
def server(tmp_path: Path, podman: Podman) -> Iterator[ServerProcess]:
    """Its sessions are containers."""
    file = tmp_path / "wormux.toml"
    file.write_text(
        f"""\
provider = "container"
idle_timeout = "never"
shell = "/bin/bash --norc --noprofile"

[provider_options.container]
image = "{IMAGE}"
socket = "{podman.socket}"
network = "none"
env = {{ PS1 = "{PROMPT}" }}
"""
    )
    server = ServerProcess(tmp_path / "data", "--config", str(file))
    yield server
    server.stop_all()
    podman.clear_if_any()
    shutil.rmtree(server.runtime_dir, ignore_errors=True)
    assert "Traceback" not in server.stderr


def status(podman: Podman) -> str:
    """Of the only container, as its daemon calls it."""
    (name,) = podman.run("ps", "--all", "--format", "{{.Names}}").split()
    found: str = podman.inspect(name)["State"]["Status"]
    return found


async def test_a_key_wakes_a_stopped_container_and_its_files_are_there(
    server: ServerProcess, podman: Podman
) -> None:
    server.start()
    async with ScriptedClient(server.url, server.token) as client:
        pane, session = client.pane(), client.session().id
        await at_prompt(client, pane)
        assert b"sandbox /root" in await run(client, pane, "hostname | tr '\\n' ' '; pwd")
        await run(client, pane, "mkdir project; cd project; echo kept-$((40+2)) >file")
        await fall_asleep(client, session)
        await eventually(lambda: status(podman) == "exited", "the container's end")

        await client.type(pane, b"\r")
        await client.wait_status(pane, "connected")
        assert b"kept-42" in await run(client, pane, "cat ~/project/file")


async def test_a_key_wakes_a_frozen_container_and_its_programs_go_on(
    server: ServerProcess, podman: Podman
) -> None:
    server.start("--sleep-mode", "freeze")
    async with ScriptedClient(server.url, server.token) as client:
        pane, session = client.pane(), client.session().id
        await at_prompt(client, pane)
        await run(client, pane, "kept=$((40+2))")
        await fall_asleep(client, session)
        assert status(podman) == "paused"

        await client.type(pane, b"echo still-$kept\r")
        await client.wait_output(pane, rb"[\r\n]still-42")
        assert status(podman) == "running"


async def test_a_killed_server_finds_its_containers_again(server: ServerProcess) -> None:
    server.start()
    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        await at_prompt(client, pane)
        await run(client, pane, "kept=$((40+2))")
    server.kill()
    server.start()
    async with ScriptedClient(server.url, server.token) as client:
        await client.wait_status(pane, "connected")
        assert b"still-42" in await run(client, pane, "echo still-$kept")


async def test_a_container_that_was_removed_is_named_in_the_pane_and_a_key_makes_another(
    server: ServerProcess, podman: Podman
) -> None:
    server.start()
    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        await at_prompt(client, pane)
        podman.run("rm", "--all", "--force", "--time", "0")
        await client.wait_for(lambda: client.info(pane).status != "connected", "the end of the container")
        assert "The container was removed." in (client.info(pane).reason or "")
        await client.type(pane, b"\r")
        await client.wait_status(pane, "connected")
        assert b"a2b" in await run(client, pane, "echo a$((1+1))b")


async def test_closing_a_session_removes_its_container(server: ServerProcess, podman: Podman) -> None:
    server.start()
    async with ScriptedClient(server.url, server.token) as client:
        made = await client.request("session_create", name="second", cols=80, rows=24)
        assert made.session_id is not None
        assert made.pane_id is not None
        await client.wait_status(made.pane_id, "connected")
        assert len(podman.names()) == 4
        await client.request("session_destroy", session_id=made.session_id)
        await eventually(lambda: len(podman.names()) == 2, "the end of one container and its volume")
