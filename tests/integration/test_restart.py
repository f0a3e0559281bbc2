"""The server may stop or be killed: shells go on, and clients continue at the byte."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from wormux.ids import PaneId, TabId
from wormux.protocol import messages as m
from wormux.testing.client import ScriptedClient
from wormux.testing.errors import ConnectionOver
from wormux.testing.server_process import ServerProcess

from .kit import MakeServer, Recorder, eventually, lines, new_session, run


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
async def test_shells_and_panes_outlive_the_server(make_server: MakeServer, how: str) -> None:
    server = make_server()
    async with ScriptedClient(server.url, server.token) as client:
        panes = [client.pane()]
        panes += [(await new_session(client, f"more {number}"))[1] for number in range(2)]
        panes.append(await _split(client, panes[1]))
        pids = {pane: int(await run(client, pane, "echo $$")) for pane in panes}
        rev, channels = client.model.rev, dict(client.model.channels)
        agents = server.agents()

        await end(server, how)
        over = await client.wait_closed()
        assert over.code == (1001 if how == "SIGTERM" else 1006)
        server.start()
        await client.reconnect(server.url)

        assert client.model.rev > rev
        assert client.model.channels == channels
        for pane in panes:
            await client.wait_status(pane, "connected")
            assert int(await run(client, pane, "echo $$")) == pids[pane]
            assert client.outputs[pane].gaps == []
        assert server.agents() == agents


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
async def test_output_of_the_meantime_is_there_byte_for_byte(
    make_server: MakeServer, tmp_path: Path, how: str
) -> None:
    recorder = Recorder(tmp_path / "recorder", lines_a_second=2000)
    server = make_server(shell=recorder.shell)
    async with ScriptedClient(server.url, server.token, flow=True) as client:
        pane = client.pane()
        for _ in range(3):
            await client.wait_output(pane, rb"00\r\n.*00\r\n")
            await end(server, how)
            await client.wait_closed()
            await recorder.writes(300)
            server.start()
            await client.reconnect(server.url)
            await client.wait_status(pane, "connected")
        await client.type(pane, b"\x04")
        found = await client.wait_output(pane, rb"END (\d+)\r\n")
        expected = lines(int(found[1]))
        assert expected.endswith(client.outputs[pane].whole())
        assert client.outputs[pane].position == len(expected)
        assert len(recorder.starts) == 1


async def test_what_was_typed_while_the_server_was_killed_arrives_once(
    make_server: MakeServer, tmp_path: Path
) -> None:
    recorder = Recorder(tmp_path / "recorder")
    server = make_server(shell=recorder.shell)
    typed = bytearray()
    dice = random.Random(7)
    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        await client.wait_status(pane, "connected")

        async def type_on() -> None:
            while True:
                piece = b"%06d;" % (len(typed) // 7)
                typed.extend(piece)
                await client.type(pane, piece)
                await asyncio.sleep(0)

        for _ in range(8):
            typist = asyncio.create_task(type_on())
            await acknowledged(client, pane, 7 * dice.randrange(1, 200))
            server.kill()
            await client.wait_closed()
            typist.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionOver):
                await typist
            server.start()
            await client.reconnect(server.url)
            await client.wait_status(pane, "connected")
            await client.wait_acked(pane)
        stream = client.inputs[pane]
        await eventually(
            lambda: len(recorder.typed) >= len(stream.kept(bytes(typed))), "every byte being read"
        )
        assert recorder.typed == bytes(typed)
        assert stream.discards == []
        assert stream.left_out == []


async def acknowledged(client: ScriptedClient, pane: PaneId, count: int) -> None:
    """So many bytes more."""

    def acked() -> int:
        return client.inputs[pane].acked if pane in client.inputs else 0

    wanted = acked() + count
    await client.wait_for(lambda: acked() >= wanted, "acknowledgements")


@dataclass
class Asked:
    """What was asked of a server that will be killed, and how each request ended."""

    ok: dict[str, m.Made] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)


async def test_what_was_answered_survives_kill_9_at_any_moment(make_server: MakeServer) -> None:
    server = make_server("--idle-timeout", "never", shell="cat")
    dice = random.Random(20)
    names: dict[TabId, str] = {}
    async with ScriptedClient(server.url, server.token) as client:
        await client.request("tab_close", tab_id=client.model.active_tab)
        session = client.session().id
        for number in range(20):
            asked = await _ask_and_kill(client, server, dice, number, names)
            server.start()
            await client.reconnect(server.url)

            there = client.model.tabs
            for name, made in asked.ok.items():
                if name.startswith("create "):
                    assert made.tab_id in there, f"Round {number}: {name} was answered and is gone."
                    names[made.tab_id] = name
            for name in asked.ok:
                verb, _, of = name.partition(" ")
                if verb == "rename":
                    names[TabId(of)] = f"{of} renamed in {number}"
                elif verb == "close":
                    del names[TabId(of)]
            for name in asked.unknown:
                verb, _, of = name.partition(" ")
                tab = TabId(of)
                if verb == "rename" and tab in there and there[tab].name == f"{of} renamed in {number}":
                    names[tab] = there[tab].name
                elif verb == "close" and tab not in there:
                    del names[tab]
            assert {tab: there[tab].name for tab in names if tab in there} == names
            names |= {tab.id: tab.name for tab in there.values()}  # created, and never answered
        for pane in client.model.panes_of(session):
            await client.wait_status(pane, "connected")
        await eventually(
            lambda: (
                len([one for agent in server.agents() for one in agent.shells()]) == len(client.model.panes)
            ),
            "one shell for each pane",
        )


async def _ask_and_kill(
    client: ScriptedClient, server: ServerProcess, dice: random.Random, number: int, names: dict[TabId, str]
) -> Asked:
    """A burst of requests, each about another tab, and a kill after some of the answers."""
    session = client.session().id
    answers: dict[str, asyncio.Future[m.Made]] = {}
    for tab in list(names):
        if dice.random() < 0.4:
            answers[f"close {tab}"] = await client.ask("tab_close", tab_id=tab)
        elif dice.random() < 0.7:
            new_name = f"{tab} renamed in {number}"
            answers[f"rename {tab}"] = await client.ask("tab_rename", tab_id=tab, name=new_name)
    for count in range(6):
        name = f"create {number}-{count}"
        answers[name] = await client.ask("tab_create", session_id=session, name=name)
    wanted = dice.randrange(len(answers) + 1)
    await client.wait_for(lambda: sum(answer.done() for answer in answers.values()) >= wanted, "answers")
    server.kill()
    await client.wait_closed()
    asked = Asked()
    for name, answer in answers.items():
        try:
            asked.ok[name] = await answer
        except ConnectionOver:
            asked.unknown.add(name)
    return asked


async def end(server: ServerProcess, how: str) -> None:
    """While the clients go on, which have to answer when the server says goodbye."""
    if how == "SIGTERM":
        assert await asyncio.to_thread(server.terminate) == 0
    else:
        server.kill()


async def _split(client: ScriptedClient, pane: PaneId) -> PaneId:
    made = await client.request("pane_split", pane_id=pane, orientation="horizontal", cols=60, rows=20)
    assert made.pane_id is not None
    await client.wait_status(made.pane_id, "connected")
    return made.pane_id
