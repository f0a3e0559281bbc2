"""One server with its sessions, panes and clients: making them, filling them, and knowing when all is quiet."""

from __future__ import annotations

import asyncio
import http.client
import random
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from wormux.errors import WormuxError
from wormux.limits import DEFAULT_COLS, DEFAULT_ROWS
from wormux.testing.errors import TooLate
from wormux.testing.load.client import WITHIN_S, LoadClient
from wormux.testing.load.meter import Meter
from wormux.testing.load.plan import FILL_BYTES, PANES_A_SESSION, PANES_A_TAB, Plan
from wormux.testing.server_process import ServerProcess

_LINE = "0123456789" * 7
"""Shorter than a row, so that a pane's scrollback has as many rows as lines."""
_SIZE = {"cols": DEFAULT_COLS, "rows": DEFAULT_ROWS}
_FILL_AT_ONCE = 4
_LOOK_EVERY_S = 0.05


Metrics = dict[tuple[str, str], float]


class LoadFailed(WormuxError):
    """What was asked for under load did not come to be, or came out wrong."""


@dataclass
class Session:
    """A session and the panes that it always has."""

    id: str
    panes: list[str]


class Site:
    """See the module. `clients` is without the one that measures echo, which types into `probe_pane` alone."""

    def __init__(self, server: ServerProcess, plan: Plan, seed: int) -> None:
        self.server = server
        self.plan = plan
        self.meter = Meter(server)
        self.rng = random.Random(seed)
        self.clients = [self._client(flow=True)]
        self.sessions: list[Session] = []
        self.flooded_bytes = 0
        """Written by programs on our word."""
        self.reconnects = 0

    @property
    def lead(self) -> LoadClient:
        """A client that never leaves."""
        return self.clients[0]

    @property
    def probe_pane(self) -> str:
        return self.sessions[0].panes[0]

    @property
    def panes(self) -> list[str]:
        """All but the probe's."""
        return [pane for session in self.sessions for pane in session.panes if pane != self.probe_pane]

    @property
    def data_dir(self) -> Path:
        return self.server.data_dir

    async def begin(self) -> None:
        """One client, one session, one pane, at its prompt."""
        await self.lead.connect()
        await self.lead.wait_for(lambda: self.lead.channels and self.lead.sessions, "the first pane")
        self.sessions = [Session(next(iter(self.lead.sessions)), list(self.lead.channels))]
        await self._at_prompts()

    async def open_panes(self, count: int) -> None:
        """So many in all, spread over sessions."""
        number = max(min(3, count), -(-count // PANES_A_SESSION))
        sizes = [count // number + (index < count % number) for index in range(number)]
        for index in range(1, number):
            made = await self.lead.request("session_create", name=f"load {index}", **_SIZE)
            self.sessions.append(Session(made.session_id, [made.pane_id]))
        for session, size in zip(self.sessions, sizes, strict=True):
            while len(session.panes) < size:
                session.panes.append(await self.new_pane(session, tab=len(session.panes) % PANES_A_TAB == 0))
        await self._at_prompts()

    async def new_pane(self, session: Session, *, tab: bool) -> str:
        """In a tab of its own, or beside the session's newest."""
        if tab:
            return (await self.lead.request("tab_create", sessionId=session.id, **_SIZE)).pane_id
        beside = {"paneId": session.panes[-1], "orientation": "vertical"}
        return (await self.lead.request("pane_split", **beside, **_SIZE)).pane_id

    async def attach(self, count: int) -> None:
        """So many clients in all, the lead included: half of them acknowledge what they draw, as pages do."""
        while len(self.clients) < count:
            self.clients.append(self._client(flow=len(self.clients) % 2 == 0))
            await self.clients[-1].connect()

    async def fill(self, panes: list[str], count: int = FILL_BYTES, *, at_once: int = _FILL_AT_ONCE) -> None:
        """Every pane writes so much; a few at a time."""
        room = asyncio.Semaphore(at_once)

        async def one(pane: str) -> None:
            async with room:
                await self.flood(self.lead, pane, count)

        async with asyncio.TaskGroup() as tasks:
            for pane in panes:
                tasks.create_task(one(pane))

    async def flood(self, client: LoadClient, pane: str, count: int) -> None:
        """A program writes so much as fast as it can; returns when the client is past it."""
        end = client.position(pane) + count
        client.type(pane, f" yes {_LINE} | head -c {count}; echo\n".encode())
        await client.wait_for(lambda: client.position(pane) >= end, f"{count} bytes of output")
        self.flooded_bytes += count

    async def quiet(self) -> None:
        """Until everything typed has arrived, every pane is connected, nothing is written any more, and all clients
        are equally far in every pane. Raises `LoadFailed`."""
        deadline_s = time.monotonic() + WITHIN_S
        since_s, known = time.monotonic(), -1
        while time.monotonic() - since_s < self.plan.quiet_s:
            await asyncio.sleep(_LOOK_EVERY_S)
            for client in self.clients:
                client.check()
            written = sum(client.output_bytes for client in self.clients)
            unrest = self._unrest()
            if written != known or unrest:
                since_s, known = time.monotonic(), written
            if time.monotonic() > deadline_s:
                raise LoadFailed(
                    f"After {WITHIN_S:g} s it is not quiet: {unrest or 'a pane goes on writing'}."
                )
        for client in self.clients:
            await client.wait_acked()

    def _unrest(self) -> str | None:
        wanted = {pane for session in self.sessions for pane in session.panes}
        for client in self.clients:
            if client.statuses.keys() != wanted:
                return "a client knows of other panes than there are"
            away = {status for status in client.statuses.values() if status != "connected"}
            if away:
                return f"panes are {', '.join(sorted(away))}"
            if client.positions != self.lead.positions:
                return "clients are not equally far in the output"
        return None

    async def metrics(self) -> Metrics:
        """What the server says of itself, by the name of each sample and the bound of its bucket, if it is of one."""
        return await asyncio.to_thread(self._metrics)

    def close(self) -> None:
        for client in self.clients:
            client.close()

    async def _at_prompts(self) -> None:
        lead = self.lead
        panes = [pane for session in self.sessions for pane in session.panes]
        await lead.wait_for(
            lambda: all(lead.statuses.get(pane) == "connected" and lead.position(pane) for pane in panes),
            "shells at their prompts",
        )

    def _metrics(self) -> Metrics:
        address = urlsplit(self.server.url)
        connection = http.client.HTTPConnection(address.netloc, timeout=WITHIN_S)
        try:
            connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {self.server.token}"})
            answer = connection.getresponse()
            text = answer.read().decode()
        except OSError as error:
            raise TooLate(f"The server's metrics cannot be read: {error.strerror or error}.") from None
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise LoadFailed(f"The server answers {answer.status} for its metrics.")
        found: Metrics = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.labels.keys() <= {"le"}:
                    found[sample.name, sample.labels.get("le", "")] = sample.value
        return found

    def _client(self, *, flow: bool) -> LoadClient:
        return LoadClient(self.server.url, self.server.token, flow=flow)
