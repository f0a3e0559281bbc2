"""What the checks are written with: events that can be waited on, and a pane that types and remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from wormux.ids import PaneId, SandboxId
from wormux.protocol.agent_link import Attach, Open, Opened, Output
from wormux.sandbox.port import Sandbox, Terminal, TerminalEvent

WITHIN_S = 20.0
"""Far more than anything here takes on a busy machine."""
BOX = SandboxId("box-1")
CLIENT = "client"

_E = TypeVar("_E")
_T = TypeVar("_T")


class Events(Generic[_E]):
    """A `deliver` that remembers, and that can be waited on."""

    def __init__(self, within_s: float = WITHIN_S) -> None:
        self.all: list[_E] = []
        self._within_s = within_s
        self._arrived = asyncio.Event()

    def __call__(self, event: _E) -> None:
        self.all.append(event)
        self._arrived.set()

    def of(self, kind: type[_T]) -> list[_T]:
        """Those of one kind."""
        return [event for event in self.all if isinstance(event, kind)]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Until the events so far make it true."""
        try:
            async with asyncio.timeout(self._within_s):
                while not is_so():
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise AssertionError(f"It did not come about. There was: {self.all[-20:]}") from None

    async def next(self, kind: type[_T], is_it: Callable[[_T], bool] = lambda _: True) -> _T:
        """The first of its kind that `is_it`, as soon as it is there."""
        await self.until(lambda: any(is_it(event) for event in self.of(kind)))
        return next(event for event in self.of(kind) if is_it(event))


def ignore(_event: object) -> None:
    """A `deliver` for what a check does not look at."""


class Pane:
    """A terminal, what it delivered, and the input stream of one client to it."""

    def __init__(
        self, sandbox: Sandbox, request: Open | Attach, typed: int = 0, within_s: float = WITHIN_S
    ) -> None:
        self.events: Events[TerminalEvent] = Events(within_s)
        self.typed = typed
        self.terminal: Terminal = sandbox.terminal(request, self.events)

    @property
    def output(self) -> bytes:
        return b"".join(event.data for event in self.events.of(Output))

    def type(self, text: bytes) -> None:
        """Write it as the client's next bytes."""
        self.terminal.write(CLIENT, self.typed, text)
        self.typed += len(text)

    async def opened(self) -> Opened:
        return await self.events.next(Opened)

    async def shows(self, text: bytes) -> None:
        await self.events.until(lambda: text in self.output)

    async def position(self) -> int:
        """Of the next byte that it will deliver."""
        return (await self.opened()).position + len(self.output)


def open_request(pane: str = "pane-1", generation: int = 1, position: int = 0) -> Open:
    """A plain shell."""
    return Open(PaneId(pane), generation, 80, 24, position, b"", ("/bin/sh",), env={"PS1": "$ "})
