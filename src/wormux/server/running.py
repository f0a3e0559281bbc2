"""The parts of an application whose lifespan was entered, as its handlers need them."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass

from starlette.datastructures import Headers

from wormux.server.auth import Gate, Verdict
from wormux.server.driver import Driver
from wormux.server.page import Page
from wormux.server.telemetry import Telemetry
from wormux.store.port import Store

LOGINS_SECRET = "logins"
"""Under which the store keeps who is logged in."""


@dataclass(frozen=True)
class Running:
    driver: Driver
    gate: Gate
    page: Page
    telemetry: Telemetry
    store: Store
    store_thread: Executor

    def judge(self, headers: Headers, peer: str) -> Verdict:
        """As `Gate.judge`, and counted."""
        return self._counted(self.gate.judge(headers, peer))

    def try_token(self, shown: str, peer: str) -> Verdict:
        """As `Gate.try_token`, and counted."""
        return self._counted(self.gate.try_token(shown, peer))

    async def keep_logins(self) -> None:
        """Store who is logged in, so that it outlives the server. Raises `StoreError`."""
        kept = self.gate.logins.to_keep()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.store_thread, self.store.put_secret, LOGINS_SECRET, kept)

    def _counted(self, verdict: Verdict) -> Verdict:
        if verdict is not Verdict.ADMITTED:
            self.telemetry.counts.logins_refused += 1
        return verdict
