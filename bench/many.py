"""Many sessions: falling asleep and waking together, and what a server takes while nobody uses them.

A user has at most 64 sessions, so that they are spread over several servers, which all run at once.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from bench.report import Figure
from bench.servers import Server, wormux
from wormux.ids import PaneId, SessionId
from wormux.testing.client import ScriptedClient

SERVERS = 4
SESSIONS = 50
"""Of each server."""
WATCHED_S = 20.0
WITHIN_S = 300.0
Made = list[tuple[SessionId, PaneId]]
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def measure(rounds: int) -> list[Figure]:
    """Once, whatever the rounds: it takes two minutes and a few GB."""
    return [figure for mode in ("stop", "freeze") for figure in asyncio.run(_measure(mode))]


async def _measure(mode: str) -> list[Figure]:
    with ExitStack() as stack:
        servers = [
            stack.enter_context(wormux("bash --norc --noprofile", "--sleep-mode", mode))
            for _ in range(SERVERS)
        ]
        async with _clients(servers) as clients:
            panes = await asyncio.gather(*(_fill(client) for client in clients))
            count = sum(len(one) for one in panes)
            idle = await _cpu_share(servers)
            agents = await _agents_share(servers)
            asleep_s = await _timed(_sleep_all, clients, panes)
            sleeping = await _cpu_share(servers)
            awake_s = await _timed(_wake_all, clients, panes)
            generations = await asyncio.gather(
                *(_fresh_shells(client, one) for client, one in zip(clients, panes, strict=True))
            )
    fresh = sum(generations)
    expected = count if mode == "stop" else 0
    assert fresh == expected, f"{fresh} fresh shells after waking {count} sessions, {expected} were to be."
    name = f"{count} sessions ({mode})"
    return [
        Figure(f"{name}: all asleep after", asleep_s, "s"),
        Figure(f"{name}: all awake again, each with one attempt, after", awake_s, "s"),
        Figure(f"{name}: CPU of {SERVERS} servers, sessions idle", 100 * idle, "%", aim="< 1"),
        Figure(f"{name}: CPU of their agents, idle", 100 * agents, "%"),
        Figure(f"{name}: CPU of {SERVERS} servers, sessions asleep", 100 * sleeping, "%", aim="< 1"),
    ]


@asynccontextmanager
async def _clients(servers: list[Server]) -> AsyncIterator[list[ScriptedClient]]:
    clients = [ScriptedClient(server.url.replace("ws://", "http://", 1), server.token) for server in servers]
    for client in clients:
        await client.connect()
    try:
        yield clients
    finally:
        for client in clients:
            await client.close()


async def _fill(client: ScriptedClient) -> Made:
    """Sessions with a shell at its prompt."""
    made: Made = []
    for number in range(SESSIONS):
        answer = await client.request("session_create", name=f"session {number}")
        assert answer.session_id is not None
        assert answer.pane_id is not None
        made.append((answer.session_id, answer.pane_id))
    for _, pane in made:
        await client.wait_status(pane, "connected", within_s=WITHIN_S)
        await client.wait_output(pane, rb"[$#] ", within_s=WITHIN_S)
    return made


async def _sleep_all(client: ScriptedClient, made: Made) -> None:
    await asyncio.gather(
        *(
            client.request("session_sleep", session_id=session, force=True, within_s=WITHIN_S)
            for session, _ in made
        )
    )
    for session, pane in made:
        await client.wait_session(session, "asleep", within_s=WITHIN_S)
        await client.wait_status(pane, "asleep", within_s=WITHIN_S)


async def _wake_all(client: ScriptedClient, made: Made) -> None:
    """A command in each, until its output is there."""
    for _, pane in made:
        await client.type(pane, b"echo a$((1+1))b\n")
    for _, pane in made:
        await client.wait_output(pane, rb"a2b\r\n", within_s=WITHIN_S)


async def _fresh_shells(client: ScriptedClient, made: Made) -> int:
    return sum(bytes(client.outputs[pane].drawn).count(b"new shell") for _, pane in made)


async def _timed(
    step: Callable[[ScriptedClient, Made], Awaitable[None]], clients: list[ScriptedClient], panes: list[Made]
) -> float:
    started = time.perf_counter()
    await asyncio.gather(*(step(client, one) for client, one in zip(clients, panes, strict=True)))
    return time.perf_counter() - started


async def _cpu_share(servers: list[Server]) -> float:
    """Cores that the servers and their workers take, on average over a while."""
    return await _share(lambda: [pid for server in servers for pid in (server.pid, *_workers(server.pid))])


async def _agents_share(servers: list[Server]) -> float:
    workers = {pid for server in servers for pid in _workers(server.pid)}
    return await _share(
        lambda: [pid for server in servers for pid in _children(server.pid) if pid not in workers]
    )


async def _share(pids: Callable[[], list[int]]) -> float:
    before = sum(_cpu_s(pid) for pid in pids())
    started = time.perf_counter()
    await asyncio.sleep(WATCHED_S)
    return float(sum(_cpu_s(pid) for pid in pids()) - before) / (time.perf_counter() - started)


def _workers(server: int) -> list[int]:
    """Those that keep the screens."""
    return [pid for pid in _children(server) if b"wormux.screen" in _command(pid)]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def _cpu_s(pid: int) -> float:
    """User and system time so far; 0 of a process that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
