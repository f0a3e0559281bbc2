"""`wormux ls` and `wormux stop --all`, with and without a server."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess

import pytest

from wormux.testing.client import ScriptedClient
from wormux.testing.server_process import ServerProcess

from .kit import MakeServer, at_prompt, eventually, new_session, run


async def command(server: ServerProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    """While the clients go on."""
    return await asyncio.to_thread(server.run, *arguments)


@pytest.mark.parametrize("running", [True, False], ids=["with a server", "without a server"])
async def test_ls_lists_sessions_and_panes(make_server: MakeServer, running: bool) -> None:
    server = make_server()
    async with ScriptedClient(server.url, server.token) as client:
        await at_prompt(client, client.pane())
        await client.request("session_rename", session_id=client.session().id, name="first")
        _, pane = await new_session(client, "second")
        await client.request("pane_split", pane_id=pane, orientation="vertical", cols=71, rows=17)
        await client.wait_for(lambda: all(client.model.connected.values()), "all panes")
        if not running:
            await asyncio.to_thread(server.terminate)

        said = await command(server, "ls")
        assert (said.returncode, said.stderr) == (0, "")
        assert said.stdout.startswith(f"Server: {server.url}\n" if running else "No server is running.\n")
        assert re.findall(r"^(first|second) ", said.stdout, re.MULTILINE) == ["first", "second"]
        assert "71×17" in said.stdout
        assert server.token not in said.stdout

        told = await command(server, "ls", "--json")
        sessions = json.loads(told.stdout)["sessions"]
        assert [session["name"] for session in sessions] == ["first", "second"]
        panes = [pane for session in sessions for tab in session["tabs"] for pane in tab["panes"]]
        assert {pane["id"] for pane in panes} == set(client.model.channels)
        if running:
            assert [pane["status"] for pane in panes] == ["connected"] * 3


@pytest.mark.parametrize("running", [True, False], ids=["with a server", "without a server"])
async def test_stop_all_ends_the_shells_and_keeps_the_rest(make_server: MakeServer, running: bool) -> None:
    server = make_server()
    async with ScriptedClient(server.url, server.token) as client:
        first = client.pane()
        assert b"kept-42" in await run(client, first, "echo kept-$((40+2))")
        _, second = await new_session(client, "busy")
        await client.type(second, b"sleep 1000\n")
        await client.wait_for(lambda: client.info(second).command == "sleep", "the busy one")
        processes = server.processes()
        assert len(processes) == 5
        if not running:
            await asyncio.to_thread(server.terminate)

        said = await command(server, "stop", "--all")
        assert (said.returncode, said.stdout, said.stderr) == (0, "2 sandboxes were put to sleep.\n", "")
        await eventually(lambda: not any(process.is_alive for process in processes), "their end")

        if not running:
            server.start()
            await client.reconnect(server.url)
        for pane in (first, second):
            await client.wait_status(pane, "asleep")
        assert b"c4d" in await run(client, first, "echo c$((2+2))d")
        assert client.info(second).status == "asleep"
        assert b"kept-42" in bytes(client.outputs[first].drawn)

        again = await command(server, "stop", "--all")
        assert again.stdout == "1 sandbox was put to sleep.\n"


async def test_commands_on_a_fresh_directory(make_server: MakeServer) -> None:
    server = make_server(start=False)
    for arguments in (("ls",), ("stop", "--all")):
        said = await command(server, *arguments)
        assert said.returncode == 1
        assert said.stderr == f"wormux: There is no Wormux data directory {server.data_dir}.\n"
    assert not server.data_dir.exists()
