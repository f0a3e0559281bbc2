"""The people of a run: each has a client on a link of its own, types numbered input, resizes, leaves and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence

from websockets.exceptions import WebSocketException

from wormux.ids import PaneId
from wormux.testing.client import ScriptedClient
from wormux.testing.errors import ConnectionOver, TooLate
from wormux.testing.fault_link import FaultLink

from .oracle import View, views
from .programs import END, GROUP_BYTES, group, last_written_at_ms

ATTACH_WITHIN_S = 15.0
PONG_WITHIN_S = 4.0
"""A client that hears nothing for so long connects anew."""
PING_EVERY_S = 1.0
ACTS_APART_S = (0.01, 0.06)
ACTS_IN_A_PANE = 20
"""Before somebody goes to another one, on average."""
RESIZING_CLIENTS = 2
"""The others take panes as they are: a pane has the size of who typed last in it, so that every two who type in one
with sizes of their own have it drawn anew at each key."""
RETRY_S = (0.05, 0.4)
VISIT_S = (0.2, 3.0)
UNACKED_BYTES = 4096
"""How far somebody types ahead of the acknowledgements, per pane."""
FEW_GROUPS, MANY_GROUPS = 6, 200
LOST = (ConnectionOver, OSError, EOFError, WebSocketException, TooLate, TimeoutError)
"""What ends a connection without anybody's fault."""


class User:
    """One client for the whole run, whatever happens to its connections."""

    def __init__(self, number: int, link: FaultLink, token: str, seed: int) -> None:
        self.number = number
        self.link = link
        self.client = ScriptedClient(link.url, token, client_id=f"chaos-{number}", flow=number % 2 == 0)
        self.panes: Sequence[PaneId] = ()
        self.attaches = 0
        self.tells: Callable[[str], None] = lambda _text: None
        """What happened to its connection, for the log."""
        self._dice = random.Random(seed)
        self._groups: Counter[PaneId] = Counter()
        self._due: list[PaneId] = []
        self._types = True
        self._pane: PaneId | None = None
        """In which it is just now."""
        self._due_ends: dict[PaneId, int] = {}

    @property
    def name(self) -> str:
        return f"client {self.number}"

    @property
    def typed_bytes(self) -> int:
        return sum(self._groups.values()) * GROUP_BYTES

    async def live(self) -> None:
        """Attach and use it, again and again. Raises `ServerBroke`."""
        while True:
            try:
                if not self.client.is_open:
                    await self._attach()
                await self._use()
            except LOST as lost:
                self.tells(f"{self.name} lost its connection: {str(lost).splitlines()[0:1]}")
            await self.client.cut()
            await asyncio.sleep(self._dice.uniform(*RETRY_S))

    async def _attach(self) -> None:
        async with asyncio.timeout(ATTACH_WITHIN_S):
            await self.client.reconnect(resume=self._dice.random() > 0.2)
        self.attaches += 1

    async def _use(self) -> None:
        """Until the connection is over, or given up."""
        ping_at_s = time.monotonic() + PING_EVERY_S
        while True:
            if time.monotonic() >= ping_at_s:
                await self.client.request("ping", time=self.attaches, within_s=PONG_WITHIN_S)
                ping_at_s = time.monotonic() + PING_EVERY_S
            if not await self._act():
                return
            await asyncio.sleep(self._dice.uniform(*ACTS_APART_S))
            await self.client.wait_for(lambda: True)  # raises what went wrong meanwhile

    async def _act(self) -> bool:
        """One thing that people do. Returns whether it stays."""
        if self._due:
            await self._type(self._due[-1], 1)
            pane = self._due.pop()
            self._due_ends[pane] = self.client.inputs[pane].end
            return True
        if not self._types:
            return True
        if self._pane is None or self._dice.random() < 1 / ACTS_IN_A_PANE:
            self._pane = self._dice.choice(self.panes)
        pane, chance = self._pane, self._dice.random()
        stream = self.client.inputs.get(pane)
        if chance < 0.96:
            if stream is None or stream.end - stream.acked < UNACKED_BYTES:
                few = self._dice.random() < 0.95
                await self._type(pane, self._dice.randint(1, FEW_GROUPS if few else MANY_GROUPS))
        elif chance < 0.975:
            if self.number >= RESIZING_CLIENTS:
                return True
            cols, rows = self._dice.randint(20, 120), self._dice.randint(5, 50)
            await self.client.send("pane_resize", pane_id=pane, cols=cols, rows=rows)
        elif chance < 0.98:
            await self.client.send("pane_redraw", pane_id=pane, lines=self._dice.randrange(2000))
        elif chance < 0.984:
            await self.client.close()
            return False
        elif chance < 0.987:
            return False
        return True

    async def _type(self, pane: PaneId, count: int) -> None:
        first = self._groups[pane]
        self._groups[pane] += count
        await self.client.type(pane, b"".join(group(self.number, first + one) for one in range(count)))

    # --- A calm --------------------------------------------------------------------------------------------------

    def prove(self) -> None:
        """Type into every pane from now on, each once, before anything else."""
        self._due_ends.clear()
        self._due = list(self.panes)

    def unwell(self, since_ms: int) -> list[str]:
        """Why not everything is as it should be: what `prove` typed was taken, and output that was written since then
        has come."""
        if not self.client.is_open or self._due:
            return [f"{self.name} is not attached"]
        wrong = []
        for pane in self.panes:
            info, output, stream = (
                self.client.model.panes.get(pane),
                self.client.outputs.get(pane),
                self.client.inputs.get(pane),
            )
            if info is None or info.status != "connected":
                wrong.append(f"{pane} is {info and info.status} ({info and info.reason}) to {self.name}")
            elif stream is None or stream.acked < min(self._due_ends[pane], stream.end):
                typed = stream and f"{stream.acked} of {stream.end}{' (asked)' if stream.asked else ''}"
                wrong.append(f"{pane} has acknowledged {typed} to {self.name}")
            elif output is None or last_written_at_ms(output.received) < since_ms:
                wrong.append(f"{self.name} gets nothing new of {pane}")
        return wrong

    # --- The end -------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Type nothing more."""
        self._types = False

    async def end(self, pane: PaneId) -> None:
        """Tell the pane's program to end its output."""
        await self.client.type(pane, END)

    @property
    def has_all_acked(self) -> bool:
        return all(stream.acked == stream.end for stream in self.client.inputs.values())

    def position(self, pane: PaneId) -> int:
        output = self.client.outputs.get(pane)
        return output.position if output is not None else 0


class Visitor:
    """Attaches as a new client each time, looks for a while, and goes without a word as often as with one."""

    def __init__(self, link: FaultLink, token: str, seed: int) -> None:
        self.link = link
        self.visits = 0
        self.views: list[tuple[PaneId, View]] = []
        self._token = token
        self._dice = random.Random(seed)

    async def live(self) -> None:
        """Raises `ServerBroke`."""
        while True:
            client = ScriptedClient(self.link.url, self._token, flow=self._dice.random() < 0.5)
            try:
                await self._visit(client)
            except LOST:
                await asyncio.sleep(self._dice.uniform(*RETRY_S))
            finally:
                with contextlib.suppress(*LOST):
                    await client.cut()
                for pane, output in client.outputs.items():
                    self.views += [(pane, view) for view in views(f"visitor {self.visits}", output)]

    async def _visit(self, client: ScriptedClient) -> None:
        async with asyncio.timeout(ATTACH_WITHIN_S):
            await client.connect()
        self.visits += 1
        await asyncio.sleep(self._dice.uniform(*VISIT_S))
        await client.wait_for(lambda: True)
        if self._dice.random() < 0.5:
            async with asyncio.timeout(PONG_WITHIN_S):
                await client.close()
