"""A round: what the clients of one site do all at once. Every round begins and ends with the same panes, as full.

Who does what is drawn anew for each round; no pane has two parts, but for those that are resized while they write.
"""

from __future__ import annotations

import asyncio

from wormux.limits import DEFAULT_COLS, DEFAULT_ROWS, MIB
from wormux.testing.load.client import LoadClient
from wormux.testing.load.plan import FILL_BYTES, FLOOD_BYTES
from wormux.testing.load.site import Session, Site

_SHARE = 10
"""One pane of so many floods, one is replaced."""
_SLEEP_SHARE = 5
"""One session of so many falls asleep."""
_FLOODS_AT_ONCE = 3
_RESIZES = 5
_BIG = (200, 60)
"""The largest size that panes are given."""


async def play_round(site: Site) -> None:
    """All of it, until every part is done."""
    rng = site.rng
    sleeping = rng.sample(site.sessions[1:], max(1, len(site.sessions) // _SLEEP_SHARE))
    asleep = {pane for session in sleeping for pane in session.panes}
    panes = [pane for pane in site.panes if pane not in asleep]
    rng.shuffle(panes)
    count = max(1, len(panes) // _SHARE)
    flooding, replaced, typed = panes[:count], panes[count : 2 * count], panes[2 * count :] or panes[:1]
    clients = site.clients[1:]  # The lead never leaves.
    movers = rng.sample(clients, -(-len(clients) // 2))
    stayers = [client for client in site.clients if client not in movers]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_flood(site, stayers, flooding))
        for pane in replaced:
            tasks.create_task(_replace(site, pane))
        for session in sleeping:
            tasks.create_task(_sleep_and_wake(site, session))
        tasks.create_task(_visit(site))
        for number, client in enumerate(stayers):
            tasks.create_task(_type_and_resize(site, client, typed[number % len(typed)]))
        for number, client in enumerate(movers):
            pane = typed[(len(stayers) + number) % len(typed)]
            tasks.create_task(_come_and_go(site, client, pane, resume=number % 2 == 0))


async def _flood(site: Site, clients: list[LoadClient], panes: list[str]) -> None:
    room = asyncio.Semaphore(_FLOODS_AT_ONCE)

    async def one(client: LoadClient, pane: str) -> None:
        async with room:
            await asyncio.gather(site.flood(client, pane, FLOOD_BYTES), _resize(site, client, pane))

    async with asyncio.TaskGroup() as tasks:
        for number, pane in enumerate(panes):
            tasks.create_task(one(clients[number % len(clients)], pane))


async def _replace(site: Site, pane: str) -> None:
    """Close a pane; another one comes, and writes until it is as full as the old one was."""
    session = next(session for session in site.sessions if pane in session.panes)
    session.panes.remove(pane)
    new = await site.new_pane(session, tab=not session.panes or site.rng.random() < 0.5)
    session.panes.append(new)
    await site.lead.request("pane_close", paneId=pane)
    await _connected(site, [new])
    await site.flood(site.lead, new, FILL_BYTES)


async def _sleep_and_wake(site: Site, session: Session) -> None:
    """By force; a key in each pane wakes it again, and fresh shells fill what kept the old ones' output."""
    lead = site.lead
    await lead.request("session_sleep", sessionId=session.id, force=True)
    await lead.wait_for(lambda: lead.sessions.get(session.id) == "asleep", "a session being asleep")
    for pane in session.panes:
        lead.type(pane, b"\n")
    await _connected(site, session.panes)
    await site.fill(session.panes, at_once=1)


async def _visit(site: Site) -> None:
    """A session of its own, with two panes, used and destroyed."""
    made = await site.lead.request("session_create", name="visit", cols=DEFAULT_COLS, rows=DEFAULT_ROWS)
    session = Session(made.session_id, [made.pane_id])
    session.panes.append(await site.new_pane(session, tab=False))
    await _connected(site, session.panes)
    await site.fill(session.panes, MIB)
    await site.lead.request("session_destroy", sessionId=session.id)


async def _type_and_resize(site: Site, client: LoadClient, pane: str) -> None:
    await _type(site, client, pane)
    await _resize(site, client, pane)


async def _come_and_go(site: Site, client: LoadClient, pane: str, *, resume: bool) -> None:
    """Half of them go on where they stopped; the others come as if for the first time."""
    await _type(site, client, pane)
    await client.cut()
    await client.connect(resume=resume)
    site.reconnects += 1
    await _type(site, client, pane)


async def _type(site: Site, client: LoadClient, pane: str) -> None:
    for number in range(site.plan.lines):
        client.type(pane, b": line %d of a person who types\n" % number)
        await asyncio.sleep(site.plan.pause_s)


async def _resize(site: Site, client: LoadClient, pane: str) -> None:
    """And back to the size that it had."""
    for _ in range(_RESIZES):
        cols, rows = site.rng.randint(DEFAULT_COLS, _BIG[0]), site.rng.randint(DEFAULT_ROWS, _BIG[1])
        client.send("pane_resize", paneId=pane, cols=cols, rows=rows)
        await asyncio.sleep(site.plan.pause_s)
    client.send("pane_resize", paneId=pane, cols=DEFAULT_COLS, rows=DEFAULT_ROWS)


async def _connected(site: Site, panes: list[str]) -> None:
    lead = site.lead
    await lead.wait_for(
        lambda: all(lead.statuses.get(pane) == "connected" for pane in panes), "panes being connected"
    )
