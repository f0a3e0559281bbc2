"""Sleep that keeps the processes, through the whole server with real shells."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from wormux.ids import PaneId, SessionId
from wormux.sandbox.cgroup_place import Groups
from wormux.testing.client import ScriptedClient
from wormux.testing.errors import RequestError
from wormux.testing.server_process import AgentProcess, ServerProcess

from .conftest import servers
from .kit import NEW_SHELL, MakeServer, at_prompt, eventually, fall_asleep, new_session, run, split

MODES = ("freeze", "sigstop")
COUNTER = "for ((i=0;;i++)); do echo count-$i; read -t 0.01; done"


def need(mode: str, folder: Path) -> str:
    """The mode, or a skip where it cannot be had."""
    reason = Groups(folder).cannot("freezer") if mode.startswith("freeze") else None
    if reason is not None:
        pytest.skip(f"NO CONTROL GROUPS HERE, so nothing is known of freezing by them: {reason}")
    return mode


@pytest.fixture(params=MODES, scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp(request.param)
    for make in servers(folder):
        yield make("--idle-timeout", "never", "--sleep-mode", need(request.param, folder))


def agent_of(server: ServerProcess, client: ScriptedClient, session: SessionId) -> AgentProcess:
    sandbox = client.model.sessions[session].sandbox_id
    return next(agent for agent in server.agents() if agent.sandbox_id == sandbox)


def numbers(client: ScriptedClient, pane: PaneId) -> list[int]:
    return [int(number) for number in re.findall(rb"count-(\d+)\r\n", client.outputs[pane].whole())]


async def test_a_key_finds_the_same_shells(server: ServerProcess) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        session, first = await new_session(client, "same shells")
        await run(client, first, "kept=variable")
        second = await split(client, first)
        await at_prompt(client, second)
        agent = agent_of(server, client, session)
        shells = [shell.pid for shell in agent.shells()]

        await fall_asleep(client, session)
        assert client.model.sessions[session].status == "asleep"
        assert [shell.pid for shell in agent.shells()] == shells, "They are kept."

        assert await run(client, first, "echo $kept") == b"variable\r\n"
        await client.wait_status(second, "connected")
        assert [shell.pid for shell in agent.shells()] == shells
        assert NEW_SHELL not in client.outputs[first].whole()


async def test_programs_go_on_where_they_stood(server: ServerProcess) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        session, pane = await new_session(client, "counter")
        await at_prompt(client, pane)
        await client.type(pane, COUNTER.encode() + b"\n")
        await client.wait_output(pane, rb"count-20\r\n")
        with pytest.raises(RequestError, match="still runs"):
            await client.request("session_sleep", session_id=session)
        for _ in range(5):
            await fall_asleep(client, session)
            stood = client.outputs[pane].position
            await client.round_trip()
            assert client.outputs[pane].position == stood, "Nothing runs."
            await client.request("pane_wake", pane_id=pane)
            await client.wait_status(pane, "connected")
            last = numbers(client, pane)[-1]
            await client.wait_for(lambda last=last: numbers(client, pane)[-1] > last + 5, "the next numbers")  # type: ignore[misc]
        found = numbers(client, pane)
        assert found == list(range(len(found)))
        await client.type(pane, b"\x03")
        await client.wait_output(pane, rb"\^C")


async def test_looking_does_not_thaw(server: ServerProcess) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        session, pane = await new_session(client, "looked at")
        await at_prompt(client, pane)
        await fall_asleep(client, session)
        async with ScriptedClient(server.url, server.token) as looker:
            await looker.wait_output(pane, rb"ready> ")
            await looker.round_trip()
            assert looker.info(pane).status == "asleep"


async def test_a_frozen_session_can_be_destroyed(server: ServerProcess) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        session, pane = await new_session(client, "destroyed")
        await at_prompt(client, pane)
        agent = agent_of(server, client, session)
        await fall_asleep(client, session)
        await client.request("session_destroy", session_id=session)
        await eventually(lambda: not agent.is_alive, "its end")


@pytest.mark.parametrize("mode", MODES)
async def test_a_killed_server_finds_what_it_froze(
    make_server: MakeServer, tmp_path: Path, mode: str
) -> None:
    server = make_server("--idle-timeout", "never", "--sleep-mode", need(mode, tmp_path))
    async with ScriptedClient(server.url, server.token) as client:
        pane, session = client.pane(), client.session().id
        await run(client, pane, "kept=variable")
        await fall_asleep(client, session)
        server.kill()
        server.start()
        await client.reconnect(server.url)
        assert await run(client, pane, "echo $kept") == b"variable\r\n"


@pytest.mark.parametrize("with_server", [True, False])
async def test_stop_all_ends_what_is_frozen(make_server: MakeServer, with_server: bool) -> None:
    server = make_server("--idle-timeout", "never", "--sleep-mode", "sigstop")
    async with ScriptedClient(server.url, server.token) as client:
        await at_prompt(client, client.pane())
        await fall_asleep(client, client.session().id)
        assert server.agents()
    if not with_server:
        server.terminate()
    said = await asyncio.to_thread(server.run, "stop", "--all")
    assert said.stdout == "1 sandbox was put to sleep.\n"
    assert not server.agents()


async def test_it_gives_its_memory_back_in_the_end(make_server: MakeServer, tmp_path: Path) -> None:
    mode = need("freeze-then-stop", tmp_path)
    server = make_server("--idle-timeout", "1s", "--sleep-mode", mode, "--stop-after", "1s")
    async with ScriptedClient(server.url, server.token) as client:
        pane, session = client.pane(), client.session().id
        await run(client, pane, "cd /tmp")
        await client.wait_for(lambda: client.info(pane).cwd == "/tmp", "the directory")
        await client.wait_session(session, "asleep")
        await eventually(lambda: not server.agents(), "the end of its processes")
        await client.wait_status(pane, "asleep")
        assert await run(client, pane, "pwd") == b"/tmp\r\n"
        assert client.outputs[pane].whole().count(NEW_SHELL) == 1


def test_where_nothing_can_be_frozen_the_server_does_not_start(tmp_path: Path) -> None:
    config = tmp_path / "wormux.toml"
    config.write_text(
        'provider = "cloudflare"\n[provider_options.cloudflare]\n'
        'url = "ws://127.0.0.1:9/{sandbox}?sessionId={pane}"\n'
    )
    server = ServerProcess(tmp_path / "data")
    said = server.run("serve", "--sleep-mode", "freeze", "--port", "0", "--config", str(config))
    assert said.returncode == 1
    assert said.stderr.startswith("wormux: The sleep mode freeze is not to be had.")
    assert "Cloudflare" in said.stderr
