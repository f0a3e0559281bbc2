"""Cloudflare sandboxes do what every provider's must, as far as that can be known of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from wormux.protocol.agent_link import TerminalInfo
from wormux.sandbox.cloudflare import CloudflareProvider
from wormux.sandbox.port import Frozen, Provider, Sandbox
from wormux.sandbox.settings import ProviderSettings
from wormux.testing.cloudflare_server import CloudflareServer
from wormux.testing.sandbox_conformance import BOX, SandboxConformance, ignore


class TestCloudflareProvider(SandboxConformance):
    acknowledges = False
    chooses_directory = False
    keeps_agents = False
    knows_busy = False
    knows_deaths = False
    knows_exits = False
    knows_foreground = False
    sets_environment = False
    sleep_answer = Frozen

    @pytest.fixture(autouse=True)
    async def _server(self, tmp_path: Path) -> AsyncIterator[None]:
        self.data_dir = tmp_path
        async with CloudflareServer() as self.server:
            yield

    def make_provider(self) -> Provider:
        return CloudflareProvider(ProviderSettings(self.data_dir, options={"url": self.server.url}), env={})

    async def kill_agent(self, provider: Provider, sandbox: Sandbox) -> None:
        await self.server.sleep(BOX)

    def remains(self) -> list[str]:
        """The sandbox itself cannot be ended from here: its sockets are closed, and it falls asleep."""
        folder = self.data_dir / "cloudflare"
        files = [str(path) for path in folder.iterdir()] if folder.exists() else []
        return files + [session for session in self.server.ptys() if self.server.links(session)]

    async def test_starting_right_after_a_kill_ends_in_a_new_agent(self) -> None:
        """There is no link to the sandbox itself: that it slept shows where somebody opens a terminal."""
        async with self.sandbox() as (provider, sandbox, _):
            await self.pane(sandbox).opened()
            wakes = self.server.wakes
            await self.kill(provider, sandbox)
            again = await provider.start(BOX, ignore)
            await self.pane(again, self.open_request("pane-2")).opened()
            assert self.server.wakes == wakes + 1

    async def until_terminals(
        self, provider: Provider, are_so: Callable[[tuple[TerminalInfo, ...]], bool]
    ) -> None:
        """Nobody says whether a sandbox is awake to which nobody is linked."""
        async with asyncio.timeout(self.within_s):
            while True:
                if are_so((await provider.start(BOX, ignore)).welcome.terminals):
                    return
                await asyncio.sleep(0.01)
