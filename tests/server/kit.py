"""What the server's tests stand on: a hub that does what a test says, fake sandboxes, and requests without a host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.types import Message

from wormux.config import Config
from wormux.errors import SandboxError
from wormux.hub.effects import CloseClient, Effect
from wormux.hub.inputs import ClientConnected, Input, Moment, ServerStopping
from wormux.hub.settings import HubSettings
from wormux.ids import ConnectionId, PaneId, SandboxId
from wormux.protocol.agent_link import Attach, Open, Welcome
from wormux.protocol.screen_link import ScreenRequest
from wormux.sandbox.port import Provider, Sandbox, SandboxEvent, Terminal, TerminalEvent
from wormux.screen.port import Deliver, Screens
from wormux.server.app import Application, Parts, create_app
from wormux.server.hosting import Server, listen, uvicorn_config
from wormux.store.memory import MemoryStore

WITHIN_S = 10.0
"""The deadline of everything that a test waits for."""
TOKEN = "right-token"
Kind = TypeVar("Kind")


class ScriptedHub:
    """Remembers every input, and answers with the effects that the test has chosen for it."""

    def __init__(self, react: Callable[[Input], list[Effect]] = lambda _: []) -> None:
        self.react = react
        self.first: list[Effect] = []
        self.steps: list[tuple[Moment, Input]] = []
        self.settings: HubSettings | None = None
        self.awaits_screens = False
        self._news = asyncio.Event()

    def start(self, moment: Moment) -> list[Effect]:
        return self.first

    def step(self, moment: Moment, input: Input) -> list[Effect]:
        self.steps.append((moment, input))
        self._news.set()
        effects = self.react(input)
        if isinstance(input, ServerStopping):
            effects = [*effects, *(CloseClient(one, 1001, "stopping") for one in self.connections())]
        return effects

    @property
    def inputs(self) -> list[Input]:
        return [event for _, event in self.steps]

    def all(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.inputs if isinstance(event, kind)]

    def connections(self) -> list[ConnectionId]:
        return [event.connection_id for event in self.all(ClientConnected)]

    async def got(self, kind: type[Kind], count: int = 1) -> Kind:
        """The `count`th input of a kind, as soon as it is there."""
        async with asyncio.timeout(WITHIN_S):
            while len(found := self.all(kind)) < count:
                self._news.clear()
                await self._news.wait()
        return found[count - 1]


class FakeScreens(Screens):
    """Remembers what it is told."""

    def __init__(self, deliver: Deliver) -> None:
        self.deliver = deliver
        self.told: list[tuple[PaneId, int, ScreenRequest]] = []
        self.closed = False

    def tell(self, pane_id: PaneId, epoch: int, request: ScreenRequest) -> None:
        self.told.append((pane_id, epoch, request))

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class FakeTerminal(Terminal):
    request: Open | Attach
    deliver: Callable[[TerminalEvent], None]
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def write(self, client_id: str, position: int, data: bytes) -> None:
        self.calls.append(("write", client_id, position, data))

    def answer(self, position: int, data: bytes) -> None:
        self.calls.append(("answer", position, data))

    def hold(self, held: bool) -> None:
        self.calls.append(("hold", held))

    def resize(self, cols: int, rows: int) -> None:
        self.calls.append(("resize", cols, rows))

    def close(self) -> None:
        self.calls.append(("close",))

    def forget(self) -> None:
        self.calls.append(("forget",))

    def detach(self) -> None:
        self.calls.append(("detach",))


@dataclass
class FakeSandbox(Sandbox):
    deliver: Callable[[SandboxEvent], None]
    at_once: list[TerminalEvent] = field(default_factory=list)
    """Delivered by a terminal before `terminal` returns."""
    terminals: list[FakeTerminal] = field(default_factory=list)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    on_sleep: SandboxEvent | None = None
    welcome: Welcome = field(default_factory=lambda: Welcome(1, 4321, (), None))

    def terminal(self, request: Open | Attach, deliver: Callable[[TerminalEvent], None]) -> FakeTerminal:
        terminal = FakeTerminal(request, deliver)
        self.terminals.append(terminal)
        for event in self.at_once:
            deliver(event)
        return terminal

    def sleep(self, *, force: bool) -> None:
        self.calls.append(("sleep", force))
        if self.on_sleep is not None:
            self.deliver(self.on_sleep)

    def freeze(self, *, force: bool) -> None:
        self.calls.append(("freeze", force))

    def close_terminal(self, pane_id: PaneId) -> None:
        self.calls.append(("close_terminal", pane_id))

    def detach(self) -> None:
        self.calls.append(("detach",))


class FakeProvider(Provider):
    """Sandboxes exist from the first `start` on; those in `asleep` are not found."""

    name = "local"

    def __init__(self) -> None:
        self.sandboxes: dict[SandboxId, FakeSandbox] = {}
        self.asleep: set[SandboxId] = set()
        self.failure: Exception | None = None
        self.early: list[SandboxEvent] = []
        """Delivered before `start` returns."""
        self.on_sleep: SandboxEvent | None = None
        self.destroyed: list[SandboxId] = []
        self.closed = False
        self.cannot: str | None = None

    @property
    def cannot_freeze(self) -> str | None:
        return self.cannot

    async def start(self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]) -> FakeSandbox:
        if self.failure is not None:
            raise self.failure
        for event in self.early:
            deliver(event)
        sandbox = self.sandboxes[sandbox_id] = FakeSandbox(deliver, on_sleep=self.on_sleep)
        return sandbox

    async def find(
        self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]
    ) -> FakeSandbox | None:
        if self.failure is not None:
            raise self.failure
        if sandbox_id not in self.sandboxes or sandbox_id in self.asleep:
            return None
        return await self.start(sandbox_id, deliver)

    async def destroy(self, sandbox_id: SandboxId) -> None:
        if self.failure is not None:
            raise self.failure
        self.destroyed.append(sandbox_id)

    async def list(self) -> tuple[SandboxId, ...]:
        return tuple(self.sandboxes)

    async def aclose(self) -> None:
        self.closed = True


REFUSES = SandboxError("The disk is full.")


@dataclass
class World:
    """An application of fakes, and what stands behind it."""

    hub: ScriptedHub
    store: MemoryStore
    provider: FakeProvider
    config: Config
    app: Starlette = field(init=False)

    def __post_init__(self) -> None:
        self.app = create_app(self.config, self.parts())

    def parts(self) -> Parts:
        def make_hub(settings: HubSettings, _snapshot: object) -> ScriptedHub:
            self.hub.settings = settings
            return self.hub

        return Parts(
            hub=make_hub,
            store=lambda _dir: self.store,
            providers=lambda _dir: {"local": self.provider},
            screens=lambda _config, deliver: FakeScreens(deliver),
        )

    @property
    def application(self) -> Application:
        application: Application = self.app.state.wormux
        return application

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[World]:
        """With its lifespan, and no host."""
        async with self.app.router.lifespan_context(self.app):
            yield self

    @asynccontextmanager
    async def served(self) -> AsyncIterator[World]:
        """On a real port of this machine, as `wormux serve` does it."""
        with listen(self.config.host, self.config.port) as listener:
            self.config = replace(self.config, port=listener.getsockname()[1])
            self.app = create_app(self.config, self.parts())
            ready = asyncio.Event()
            async with self.entered():
                server = Server(uvicorn_config(self.app, self.config), self.application, ready.set)
                serving = asyncio.create_task(server.serve(sockets=[listener]))
                async with asyncio.timeout(WITHIN_S):
                    await ready.wait()
                try:
                    yield self
                finally:
                    server.should_exit = True
                    async with asyncio.timeout(WITHIN_S):
                        await serving


def make_world(data_dir: Path, **settings: Any) -> World:
    config = Config(data_dir=data_dir, **{"token": TOKEN, **settings})
    return World(ScriptedHub(), MemoryStore(), FakeProvider(), config)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


async def ask(
    app: Starlette,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    root_path: str = "",
    peer: str = "192.0.2.1",
) -> Answer:
    """One HTTP request, straight into the application."""
    path, _, query = path.partition("?")
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    given = {"host": "127.0.0.1:8022"} | {name.lower(): value for name, value in (headers or {}).items()}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": root_path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": (peer, 5555),
        "server": ("127.0.0.1", 8022),
    }
    await app(scope, receive, send)
    start = sent[0]
    return Answer(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(message.get("body", b"") for message in sent[1:]),
    )
