"""Any key wakes a pane: once, on its channel, at its size, and what was typed meanwhile arrives."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path

import pytest

from wormux.ids import PaneId
from wormux.limits import KIB
from wormux.testing.client import ScriptedClient
from wormux.testing.server_process import AgentProcess, ServerProcess

from .kit import (
    NEW_SHELL,
    PROMPT,
    MakeServer,
    Recorder,
    at_prompt,
    drawn,
    eventually,
    fall_asleep,
    new_session,
    run,
    split,
)

PASTE = b"\x1b[200~: " + b"long " * (20 * KIB // 5) + b"\x1b[201~\r"


@pytest.mark.parametrize(
    "key", [b"x\x7f", b"\r", b"\x1b[A", PASTE], ids=["a letter", "Enter", "an arrow", "a long paste"]
)
async def test_any_key_wakes(server: ServerProcess, key: bytes, request: pytest.FixtureRequest) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        session, pane = await new_session(client, request.node.name)
        await at_prompt(client, pane)
        channel = client.model.channels[pane]
        await fall_asleep(client, session)

        await client.type(pane, key)
        await client.wait_status(pane, "connected")
        await client.wait_output(pane, NEW_SHELL)
        assert b"a2b" in await run(client, pane, "echo a$((1+1))b")

        await client.wait_acked(pane)
        assert client.model.channels[pane] == channel
        assert client.inputs[pane].discards == []


async def test_pane_wake_wakes_without_a_byte(server: ServerProcess) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        session, pane = await new_session(client, "woken")
        await fall_asleep(client, session)
        await client.request("pane_wake", pane_id=pane)
        await client.wait_status(pane, "connected")
        assert b"a2b" in await run(client, pane, "echo a$((1+1))b")


async def test_other_panes_sleep_until_their_own_key(server: ServerProcess) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        session, first = await new_session(client, "two panes")
        second = await split(client, first)
        await client.wait_status(second, "connected")
        await fall_asleep(client, session)

        await client.type(first, b"\n")
        await at_prompt(client, first)
        await client.round_trip()
        assert client.info(second).status == "asleep"
        agent = _agent(server, client, first)
        assert len(agent.shells()) == 1

        await client.type(second, b"\n")
        await client.wait_status(second, "connected")
        assert _agent(server, client, first) == agent
        assert len(agent.shells()) == 2


@pytest.mark.parametrize("asleep", [True, False], ids=["asleep", "starting"])
async def test_what_is_typed_before_the_shell_reads_arrives_once_behind_the_prompt(
    server: ServerProcess, asleep: bool
) -> None:
    command = b"echo a$((1+1))b"
    async with ScriptedClient(server.url, server.token) as client:
        made = await client.request("session_create", name="typed early")
        assert made.session_id
        assert made.pane_id
        pane = made.pane_id
        if asleep:
            await at_prompt(client, pane)
            await fall_asleep(client, made.session_id)
        since = client.outputs[pane].position if asleep else 0

        for byte in command + b"\n":
            await client.type(pane, bytes([byte]))
        await client.wait_output(pane, rb"[\r\n]a2b\r\n.*" + PROMPT.encode())
        await client.wait_acked(pane)

        output = client.outputs[pane]
        shown = bytes(output.received[since - output.start :] if asleep else output.drawn)
        assert shown.count(command) == 1, shown
        assert shown.count(b"a2b") == 1, shown
        assert shown.index(PROMPT.encode()) < shown.index(command)


async def test_a_thousand_frames_of_five_clients_open_one_terminal(
    make_server: MakeServer, tmp_path: Path
) -> None:
    recorder = Recorder(tmp_path / "recorder")
    server = make_server(shell=recorder.shell)
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(ScriptedClient(server.url, server.token)) for _ in range(5)
        ]
        pane, session = clients[0].pane(), clients[0].session().id
        await clients[0].wait_status(pane, "connected")
        await drawn(clients[0], pane)
        await fall_asleep(clients[0], session)
        await asyncio.gather(*(client.wait_status(pane, "asleep") for client in clients))
        starts = len(recorder.starts)

        async def hammer(number: int, client: ScriptedClient) -> None:
            for count in range(200):
                await client.type(pane, b"%d:%03d;" % (number, count))
            await client.wait_acked(pane)

        await asyncio.gather(*(hammer(number, client) for number, client in enumerate(clients)))

        await eventually(lambda: len(recorder.typed) >= 5 * 200 * 6, "every byte being read")
        await clients[0].wait_status(pane, "connected")
        (agent,) = server.agents()
        assert len(recorder.starts) == starts + 1
        assert [shell.pid for shell in agent.shells()] == recorder.starts[-1:]
        assert clients[0].outputs[pane].whole().count(NEW_SHELL) == 1
        for number in range(5):
            typed = re.findall(rb"%d:(\d{3});" % number, recorder.typed)
            assert typed == [b"%03d" % count for count in range(200)]
        assert len(recorder.typed) == 5 * 200 * 6


async def test_a_size_wished_for_while_asleep_is_the_woken_shells(server: ServerProcess) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        session, pane = await new_session(client, "resized")
        await fall_asleep(client, session)
        await client.request("pane_resize", pane_id=pane, cols=91, rows=33)
        assert (client.info(pane).cols, client.info(pane).rows) == (91, 33)
        assert b"33 91" in await run(client, pane, "stty size")
        assert client.outputs[pane].size == (91, 33)


async def test_panes_open_at_the_size_that_they_were_made_with(server: ServerProcess) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        made = await client.request("session_create", name="sizes", cols=91, rows=31)
        tab = await client.request("tab_create", session_id=made.session_id, cols=92, rows=32)
        right = await client.request(
            "pane_split", pane_id=tab.pane_id, orientation="horizontal", cols=40, rows=33
        )
        below = await client.request(
            "pane_split", pane_id=right.pane_id, orientation="vertical", cols=41, rows=9
        )
        sizes = {
            made.pane_id: (91, 31),
            tab.pane_id: (92, 32),
            right.pane_id: (40, 33),
            below.pane_id: (41, 9),
        }
        for pane, (cols, rows) in sizes.items():
            assert pane is not None
            assert b"%d %d\r\n" % (rows, cols) in await run(client, pane, "stty size")
            assert client.outputs[pane].sizes == [(0, cols, rows)]


def _agent(server: ServerProcess, client: ScriptedClient, pane: PaneId) -> AgentProcess:
    tab = next(tab for tab in client.model.tabs.values() if pane in client.model.panes_of(tab.session_id))
    sandbox = client.model.sessions[tab.session_id].sandbox_id
    (agent,) = [agent for agent in server.agents() if agent.sandbox_id == sandbox]
    return agent
