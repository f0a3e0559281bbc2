"""The server is killed again and again, at any moment: no byte of any pane is lost, and none comes twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from wormux.limits import AGENT_LOG_BYTES
from wormux.testing.client import ScriptedClient
from wormux.testing.server_process import ServerEnded, ServerProcess

from .kit import MakeServer, eventually, split
from .scribe import Scribes, Typist, typing

KILLS = int(os.environ.get("WORMUX_KILLS", "20"))
WRITERS = 10
TYPISTS = 2
BYTES_PER_SECOND = 200_000
"""Of each writer."""
MOMENTS = ("starting", "ready", "attached", "in use", "in use", "in use")
START_S = 0.5
"""About as long as a start takes: nothing tells how far it is, so a kill may come at any time in it."""
USED_BYTES = 500_000
"""Received between an attach and a kill, all panes together, at most; few as often as many."""
BEHIND_BYTES = AGENT_LOG_BYTES // 2
"""A client that is so far behind is let go on: more than an agent keeps would be lost rightly."""


@pytest.mark.timeout(60 + 5 * KILLS)
async def test_both_streams_are_whole_after_kill_9_at_any_moment(
    make_server: MakeServer, tmp_path: Path
) -> None:
    scribes = Scribes(tmp_path / "scribes", BYTES_PER_SECOND)
    server = make_server(shell=scribes.shell)
    dice = random.Random(9)
    async with ScriptedClient(server.url, server.token, flow=True) as client:
        panes = [client.pane()]
        panes += [await split(client, panes[0]) for _ in range(WRITERS + TYPISTS - 1)]
        everybody = [Typist(client, pane, await scribes.behind(client, pane)) for pane in panes]
        typists, writers = everybody[:TYPISTS], everybody[TYPISTS:]
        for writer in writers:
            await writer.start_lines()
        agents = server.agents()

        await use_and_kill(client, server, typists, dice)
        for _ in range(KILLS - 1):
            if max(map(behind, writers)) < BEHIND_BYTES:
                await start_and_kill(client, server, typists, dice)
            else:
                await start_and_attach(client, server)
                await client.wait_for(
                    lambda: max(map(behind, writers)) < BEHIND_BYTES // 2, "what was missed"
                )
                await use_and_kill(client, server, typists, dice)
        await start_and_attach(client, server)
        for one in everybody:
            await one.check()
            resets = sum(replay.reset for replay in client.outputs[one.pane].replays)
            assert resets == 1, "Every kill was continued, not redrawn."
        assert server.agents() == agents


def behind(writer: Typist) -> int:
    """How much of what the program wrote the client has not got."""
    return writer.scribe.written_bytes - writer.client.outputs[writer.pane].position


async def start_and_kill(
    client: ScriptedClient, server: ServerProcess, typists: Sequence[Typist], dice: random.Random
) -> None:
    """At a moment between its start and its use."""
    match dice.choice(MOMENTS):
        case "starting":
            starting = asyncio.create_task(asyncio.to_thread(server.start))
            await eventually(lambda: server.is_running, "the process")
            await asyncio.sleep(dice.uniform(0, START_S))
            server.kill()
            with contextlib.suppress(ServerEnded):
                await starting
        case "ready":
            server.start()
            server.kill()
        case "attached":
            server.start()
            await client.reconnect(server.url)
            server.kill()
            await client.wait_closed()
        case _:
            await start_and_attach(client, server)
            await use_and_kill(client, server, typists, dice)


async def start_and_attach(client: ScriptedClient, server: ServerProcess) -> None:
    """Every pane is connected again."""
    server.start()
    await client.reconnect(server.url)
    for pane in client.model.panes:
        await client.wait_status(pane, "connected")


async def use_and_kill(
    client: ScriptedClient, server: ServerProcess, typists: Sequence[Typist], dice: random.Random
) -> None:
    """While the typists type and output comes."""

    def received() -> int:
        return sum(output.position for output in client.outputs.values())

    wanted = received() + round(USED_BYTES ** dice.random())
    async with typing(typists):
        await client.wait_for(lambda: received() >= wanted, "output")
        server.kill()
        await client.wait_closed()
