"""Both numbered streams survive a network that fails at any byte, in every way that networks do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import WebSocketException

from wormux.testing.client import WITHIN_S, ScriptedClient
from wormux.testing.errors import ConnectionOver
from wormux.testing.fault_link import Fault, FaultLink, draw_fault

from .kit import MakeServer, split
from .scribe import Scribe, Scribes, Typist, typing

FAULTS = int(os.environ.get("WORMUX_CUTS", "50"))
FAULT_AFTER_BYTES = 10_000
"""At most: about what passes in a tenth of a second. Some strike the handshake, some long after the attach."""
MISSED_BYTES = 20_000
"""Written during a stall, at most: well within what the server holds."""
GIVEN_UP = 0.3
"""The share of stalls in which the client does not wait, but connects anew."""


@pytest.mark.timeout(60 + 3 * FAULTS)
@pytest.mark.parametrize("flow", [False, True], ids=["without flow", "with flow"])
async def test_both_streams_are_whole_after_faults_of_all_kinds(
    make_server: MakeServer, tmp_path: Path, flow: bool
) -> None:
    scribes = Scribes(tmp_path / "scribes", bytes_per_second=100_000)
    dice = random.Random(50)
    async with FaultLink() as link:
        server = make_server("--public-url", link.url, shell=scribes.shell)
        link.server_url = server.url
        async with ScriptedClient(link.url, server.token, flow=flow) as client:
            panes = [client.pane()]
            panes += [await split(client, panes[0]) for _ in range(3)]
            typists = [Typist(client, pane, await scribes.behind(client, pane)) for pane in panes]
            for writer in typists[:2]:
                await writer.start_lines()
            user = User(client, typists)
            for _ in range(FAULTS):
                fault = draw_fault(dice, FAULT_AFTER_BYTES)
                await live_through(fault, link, user, typists[0].scribe, dice)
            await user.attach()
            for typist in typists:
                await typist.check()
                replays = client.outputs[typist.pane].replays
                assert sum(replay.reset for replay in replays) == 1, "Every fault was continued, not redrawn."


@dataclass
class User:
    """Types on whatever happens, and attaches again."""

    client: ScriptedClient
    typists: Sequence[Typist]
    attached: asyncio.Event = field(default_factory=asyncio.Event)

    async def attach(self) -> None:
        """If it is not."""
        if not self.client.is_open:
            await self.client.reconnect()
        self.attached.set()

    async def use(self) -> None:
        """Attach and type until the connection is over."""
        with contextlib.suppress(ConnectionOver, OSError, EOFError, WebSocketException):
            await self.attach()
            async with typing(self.typists) as tasks:
                await asyncio.gather(*tasks)

    async def lose(self) -> None:
        """The connection is of no use any more, whether this side knows it or not."""
        self.attached.clear()
        await self.client.cut()


async def live_through(
    fault: Fault, link: FaultLink, user: User, elsewhere: Scribe, dice: random.Random
) -> None:
    """Work on until the fault strikes and passes. A stall lasts until `elsewhere` has written something."""
    link.arm(fault)
    using = asyncio.create_task(user.use())
    await meanwhile(user, using, link.wait_struck())
    gives_up = fault.kind == "stall" and dice.random() < GIVEN_UP
    if fault.kind == "stall":
        await elsewhere.writes(dice.randrange(1, MISSED_BYTES))
        if gives_up:  # what lies in the stalled connection arrives after the new one has taken over
            await stop(using)
            await user.lose()
            await user.attach()
        link.release()
    if gives_up:
        await link.wait_over()
        await link.wait_carrying(1)
        return
    await meanwhile(user, using, link.wait_over())
    if fault.mends:
        async with asyncio.timeout(WITHIN_S):
            await user.attached.wait()
    elif fault.kind != "client unaware":
        await using
    await stop(using)
    if not fault.mends:
        await user.lose()
        await link.wait_carrying(0)


async def meanwhile(user: User, using: asyncio.Task[None], event: Coroutine[Any, Any, None]) -> None:
    """The event happens, and nothing else ends the connection before."""
    waiting = asyncio.create_task(event)
    await asyncio.wait({using, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        await stop(waiting)
        await using
        raise AssertionError(f"The connection ended without a fault.\n{user.client.describe()}")
    await waiting


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
