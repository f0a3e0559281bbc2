"""What a subclass of the suite says of its kind of sandboxes: how they are made, and what no sandbox of this kind can.

Everything is demanded unless an ability is taken back, in the open: its checks are then skipped, and the reason names
the ability.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import pytest

from wormux.protocol.agent_link import Attach, Open, Stopped, TerminalInfo
from wormux.sandbox.port import Frozen, Provider, Sandbox, SandboxEvent

from .kit import BOX, WITHIN_S, Events, Pane, ignore, open_request

_T = TypeVar("_T")

WITHOUT = {
    "acknowledges": "that what was typed into a cut link arrived is not known",
    "answers_queries": "nobody can answer the queries of programs",
    "chooses_directory": "where a shell starts cannot be chosen",
    "interrupts": "Ctrl-C ends no program",
    "keeps_agents": "a later run of the server finds nothing of an earlier one",
    "keeps_output": "output that was delivered cannot be asked for again",
    "keeps_terminals": "terminals end with their links",
    "knows_busy": "what is busy is not known",
    "knows_deaths": "the death of what runs the terminals is not told apart from a cut",
    "knows_exits": "how a shell ended is not known",
    "knows_foreground": "what runs in a terminal is not known",
    "sets_environment": "the environment of a shell cannot be chosen",
}
"""Every ability that may be taken back, and what is so where it is."""


class SandboxKind:
    """The part of `SandboxConformance` that its subclasses write."""

    # --- Must be written ---------------------------------------------------------------------------------

    def make_provider(self) -> Provider:
        """Each call gives a provider that stands for another run of the same server."""
        raise NotImplementedError

    def kill_agent(self, provider: Provider, sandbox: Sandbox) -> Awaitable[None] | None:
        """Kill what runs the terminals, all of it, with no warning. May be an `async def`."""
        raise NotImplementedError

    def remains(self) -> list[str] | Awaitable[list[str]]:
        """Processes, sockets, containers and files of sandboxes that are still there. May be an `async def`."""
        raise NotImplementedError

    # --- May be written ----------------------------------------------------------------------------------

    def agent_of(self, sandbox: Sandbox) -> object:
        """What tells this run of the sandbox from every other: equal exactly as long as the processes in it live. To
        be written where process ids are numbered anew inside. May be an `async def`."""
        return sandbox.welcome.pid

    shell_argv: ClassVar[tuple[str, ...]] = ("/bin/sh",)
    """A shell that knows `echo`, which leaves out quotes, `cd`, `exit`, `kill`, `pwd`, `sleep` and `while` as /bin/sh
    does."""
    prompt: ClassVar[bytes] = b"$ "
    """What that shell writes when it waits for a command; set as PS1 where `sets_environment`."""
    within_s: ClassVar[float] = WITHIN_S
    """How long anything may take."""
    sleep_answer: ClassVar[type[Stopped] | type[Frozen]] = Stopped
    """The last event of a sandbox that was put to sleep: `Frozen` where others than this server end the processes."""

    # --- May be taken back, and nothing else -------------------------------------------------------------

    acknowledges: ClassVar[bool] = True
    """Input arrives exactly once, and it is known how far it came, however often the link is cut."""
    answers_queries: ClassVar[bool] = True
    """`Opened.answered` is known, and `Terminal.answer` answers."""
    chooses_directory: ClassVar[bool] = True
    """`Open.cwd` and `Open.beside` say where a shell starts."""
    interrupts: ClassVar[bool] = True
    """Shells have job control: Ctrl-C ends the program in front."""
    keeps_agents: ClassVar[bool] = True
    """Awake sandboxes outlast the server, and a later one finds them with all their terminals."""
    keeps_output: ClassVar[bool] = True
    """Positions below the newest can be asked for: what is kept comes again."""
    keeps_terminals: ClassVar[bool] = True
    """A terminal that was let go of runs on, and the welcome names it."""
    knows_busy: ClassVar[bool] = True
    """What runs is told, and keeps its sandbox from sleeping and freezing."""
    knows_deaths: ClassVar[bool] = True
    """`Lost.dead` is told where no process is left."""
    knows_exits: ClassVar[bool] = True
    """`Ended` comes by itself when a shell ends, with its code or signal."""
    knows_foreground: ClassVar[bool] = True
    """`Foreground` tells what runs in a terminal, and in which directory."""
    sets_environment: ClassVar[bool] = True
    """`Open.env` reaches the shell."""

    # --- What the checks are written with ----------------------------------------------------------------

    @asynccontextmanager
    async def provider(self) -> AsyncIterator[Provider]:
        """A provider whose sandboxes are destroyed in the end."""
        provider = self.make_provider()
        try:
            yield provider
        finally:
            for sandbox_id in await provider.list():
                await provider.destroy(sandbox_id)
            await provider.aclose()

    @asynccontextmanager
    async def sandbox(self) -> AsyncIterator[tuple[Provider, Sandbox, Events[SandboxEvent]]]:
        async with self.provider() as provider:
            events: Events[SandboxEvent] = Events(self.within_s)
            yield provider, await provider.start(BOX, events), events

    def open_request(
        self, pane: str = "pane-1", generation: int = 1, position: int = 0, **fields: Any
    ) -> Open:
        """For a shell of this kind; `fields` are those of `Open` that matter to the check."""
        plain = replace(open_request(pane, generation, position), argv=self.shell_argv)
        plain.env["PS1"] = self.prompt.decode()
        return replace(plain, **fields)

    def pane(self, sandbox: Sandbox, request: Open | Attach | None = None, typed: int = 0) -> Pane:
        """A terminal that was asked for; a plain shell unless the check wants another."""
        return Pane(sandbox, request or self.open_request(), typed, self.within_s)

    async def agent(self, sandbox: Sandbox) -> object:
        return await _settled(self.agent_of(sandbox))

    async def kill(self, provider: Provider, sandbox: Sandbox) -> None:
        await _settled(self.kill_agent(provider, sandbox))

    async def assert_nothing_remains(self) -> None:
        assert await _settled(self.remains()) == []

    async def until_terminals(
        self, provider: Provider, are_so: Callable[[tuple[TerminalInfo, ...]], bool]
    ) -> None:
        """Until the sandbox's own list of its terminals is right. It sends the list only to those who look, so it is
        looked at again and again."""
        async with asyncio.timeout(self.within_s):
            while True:
                sandbox = await provider.find(BOX, ignore)
                assert isinstance(sandbox, Sandbox)
                if are_so(sandbox.welcome.terminals):
                    return
                await asyncio.sleep(0.01)


_K = TypeVar("_K", bound=SandboxKind)
Check = Callable[[_K], Coroutine[Any, Any, None]]


def needs(*abilities: str) -> Callable[[Check[_K]], Check[_K]]:
    """A check that is skipped for kinds of sandboxes that lack one of these."""
    assert set(abilities) <= WITHOUT.keys()

    def decorate(check: Check[_K]) -> Check[_K]:
        @functools.wraps(check)
        async def checked(self: _K) -> None:
            for ability in abilities:
                if not getattr(self, ability):
                    pytest.skip(f"without `{ability}`: {WITHOUT[ability]}")
            await check(self)

        return checked

    return decorate


async def _settled(value: object) -> Any:
    return await value if isinstance(value, Awaitable) else value
