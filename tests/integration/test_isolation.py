"""A whole server whose sessions are isolated: real bubblewrap, real shells, a real client."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from wormux.testing.client import ScriptedClient
from wormux.testing.server_process import ServerEnded, ServerProcess

from .kit import BASH, PROMPT, MakeServer, at_prompt, eventually, fall_asleep, new_session, run

ISOLATED = ("--isolation", "bubblewrap")
SHELL = f"env PS1='{PROMPT}' HISTFILE= INPUTRC=/dev/null {BASH}"
"""What the server's environment says does not reach isolated shells."""


@pytest.fixture
def isolated_server(make_server: MakeServer) -> ServerProcess:
    return make_server(*ISOLATED, "--idle-timeout", "never", shell=SHELL)


async def test_sessions_are_apart_from_each_other_and_from_the_server(isolated_server: ServerProcess) -> None:
    server = isolated_server
    async with ScriptedClient(server.url, server.token) as client:
        one = client.pane()
        await at_prompt(client, one)
        _, two = await new_session(client, "two")
        assert await run(client, one, "echo mine >~/diary; pwd") == b"/home/user\r\n"
        assert b"No such file" in await run(client, two, "cat ~/diary")
        boxes = sorted((server.data_dir / "sandboxes").iterdir())
        assert len(boxes) == 2
        diary = next(path for path in (box / "home" / "diary" for box in boxes) if path.exists())
        for path in (
            diary,
            server.data_dir / "wormux.db",
            server.data_dir / "control-token",
            server.runtime_dir,
        ):
            assert path.exists()
            assert b"No such file" in await run(client, two, f"ls -d {path}")
        assert b"No such process" in await run(client, two, f"kill -9 {server.pid}")
        assert b"WORMUX" not in await run(
            client, two, "env | grep WORMUX; cat /proc/1/environ 2>&1 | tail -1"
        )
        if os.getuid() == 0:
            assert await run(client, two, "id -un") == b"nobody\r\n"
        assert server.is_running


async def test_isolated_shells_outlive_their_server(isolated_server: ServerProcess) -> None:
    server = isolated_server
    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        await at_prompt(client, pane)
        await run(client, pane, "remembered=42")
        agents = server.agents()
        server.kill()
    server.start()
    async with ScriptedClient(server.url, server.token) as client:
        await client.wait_status(pane, "connected")
        assert server.agents() == agents
        assert await run(client, pane, "echo $remembered") == b"42\r\n"


async def test_sleep_keeps_the_home_and_a_key_wakes(isolated_server: ServerProcess) -> None:
    server = isolated_server
    async with ScriptedClient(server.url, server.token) as client:
        session, pane = client.session().id, client.pane()
        await at_prompt(client, pane)
        await run(client, pane, "mkdir -p ~/src; cd ~/src; echo mine >file; echo mine >/tmp/file")
        await client.wait_for(lambda: client.info(pane).cwd == "/home/user/src", "its directory")
        await fall_asleep(client, session)
        await eventually(lambda: not server.processes(), "the end of all processes")
        await client.type(pane, b"\n")
        await at_prompt(client, pane)
        assert await run(client, pane, "pwd; cat file; ls /tmp") == b"/home/user/src\r\nmine\r\n"


async def test_a_session_that_is_closed_leaves_nothing(isolated_server: ServerProcess) -> None:
    server = isolated_server
    async with ScriptedClient(server.url, server.token) as client:
        session, pane = client.session().id, client.pane()
        await at_prompt(client, pane)
        await run(
            client, pane, "mkdir -p ~/cache/module && touch ~/cache/module/file && chmod -R a-w ~/cache"
        )
        await client.request("session_destroy", session_id=session)
        await eventually(lambda: not server.processes(), "the end of all processes")
        await eventually(lambda: not [*(server.data_dir / "sandboxes").iterdir()], "the removal of its files")


def test_without_bubblewrap_the_server_does_not_start(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(*ISOLATED, start=False)
    server.env["PATH"] = str(tmp_path)
    with pytest.raises(ServerEnded) as failure:
        server.start()
    assert failure.value.status == 1
    assert "install the package bubblewrap" in failure.value.stderr
    assert "Traceback" not in failure.value.stderr


_ROGUE = """
import sys
from wormux.cli import main
from wormux.sandbox import isolation
isolation._BOOT = '''
import json, os, signal, socket, sys
sys.path.append("/run/wormux/code")
from wormux.agent.confine import confine
from wormux.protocol.agent_link import *
order = json.loads(sys.stdin.readline() or "null") or sys.exit()
confine(**order["confine"])
if "arguments" not in order:
    sys.exit()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
options = dict(word[2:].split("=", 1) for word in order["arguments"] if "=" in word)
listening = socket.socket(fileno=int(options["listen-fd"]))
listening.setblocking(True)
os.write(int(options["ready-fd"]), b"ready\\\\n")
links = []
while True:
    link, _ = listening.accept()
    links.append(link)
    hello = link.recv(65536)
    if b"control" in hello:
        link.sendall(encode(Welcome(VERSION, 1, (), None)))
    else:
        try:
            link.sendall(encode(Output(b"x" * 65536)) * 100 + b"\\\\xff" * 100_000)
        except OSError:
            pass
'''
sys.exit(main())
"""


async def test_rubbish_from_a_sandbox_costs_its_own_pane(make_server: MakeServer) -> None:
    rogue = make_server(start=False)
    server = ServerProcess(rogue.data_dir, *ISOLATED, env=rogue.env, command=(sys.executable, "-c", _ROGUE))
    with server:
        async with ScriptedClient(server.url, server.token) as client:
            made = await client.request("session_create", name="rogue", cols=80, rows=24)
            assert made.pane_id is not None
            pane = made.pane_id
            await client.wait_for(lambda: "no sense" in (client.info(pane).reason or ""), "the reason")
            assert (await client.request("session_create", name="another", cols=80, rows=24)).pane_id
            assert server.is_running
