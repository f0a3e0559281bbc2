"""A driver on its own: a scripted hub above it, fakes below."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.server.kit import FakeProvider, FakeSandbox, FakeScreens, ScriptedHub
from wormux.hub.effects import Effect, OpenTerminal, WakeSandbox
from wormux.hub.inputs import ClientGone, Input, SandboxInput, ScreenInput, TerminalInput
from wormux.ids import Channel, ConnectionId, PaneId, SandboxId, UserId
from wormux.protocol.agent_link import Attach, Ended, Exit, Opened
from wormux.screen.port import Deliver
from wormux.server.counts import Counts
from wormux.server.driver import Driver
from wormux.server.journal import Journal
from wormux.store.memory import MemoryStore

USER = UserId("someone")
BOX = SandboxId("box")
PANE = PaneId("pane")
OPENED = Opened(7, 0, 0, False, {}, ())
ENDED = Ended(Exit(code=0), 9, {})


@dataclass
class Sink:
    """A connection that remembers what it was told."""

    calls: list[tuple[object, ...]] = field(default_factory=list)

    def send(self, frame: bytes, *, urgent: bool) -> None:
        self.calls.append(("send", frame, urgent))

    def drop(self, channel: Channel) -> None:
        self.calls.append(("drop", channel))

    def close(self, code: int, reason: str) -> None:
        self.calls.append(("close", code))


@dataclass
class Bench:
    hub: ScriptedHub
    store: MemoryStore
    provider: FakeProvider
    screens: FakeScreens
    driver: Driver

    def do(self, *effects: Effect) -> None:
        """Let the hub want these effects now."""
        react = self.hub.react

        def react_once(_: Input) -> list[Effect]:
            self.hub.react = react
            return list(effects)

        self.hub.react = react_once
        self.driver.dispatch(ClientGone(ConnectionId(0)))

    async def awake(self) -> FakeSandbox:
        self.do(WakeSandbox(BOX, "local"))
        await self.hub.got(SandboxInput)
        return self.provider.sandboxes[BOX]

    def sandbox_events(self) -> list[object]:
        return [one.event for one in self.hub.all(SandboxInput)]

    def terminal_events(self) -> list[object]:
        return [one.event for one in self.hub.all(TerminalInput)]

    def screen_events(self) -> list[object]:
        return [one.event for one in self.hub.all(ScreenInput)]


@asynccontextmanager
async def make_bench() -> AsyncIterator[Bench]:
    hub, store, provider = ScriptedHub(), MemoryStore(), FakeProvider()
    screens: list[FakeScreens] = []

    def make_screens(deliver: Deliver) -> FakeScreens:
        screens.append(FakeScreens(deliver))
        return screens[0]

    with ThreadPoolExecutor(max_workers=1) as thread:
        driver = Driver(
            hub,
            user_id=USER,
            store=store,
            store_thread=thread,
            providers={"local": provider},
            screens=make_screens,
            journal=Journal(Counts()),
        )
        yield Bench(hub, store, provider, screens[0], driver)
        await driver.aclose()


def open_terminal(generation: int = 1) -> OpenTerminal:
    return OpenTerminal(BOX, Attach(PANE, generation, 0))
