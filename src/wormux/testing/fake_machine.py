"""The machine of sandboxes in memory: the agents on it, their terminals, and what waits to be delivered."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

from wormux.ids import SandboxId
from wormux.limits import AGENT_LOG_BYTES, LINK_OUTPUT_BYTES
from wormux.protocol.agent_link import (
    VERSION,
    Attach,
    Busy,
    Ended,
    Exit,
    Foreground,
    InputAck,
    Open,
    Opened,
    Output,
    Ready,
    Refused,
    SizeMark,
    Stopped,
    TerminalInfo,
    Welcome,
)
from wormux.sandbox.port import Frozen, Lost, SandboxEvent, TerminalEvent
from wormux.testing.fake_shell import FakeShell

_E = TypeVar("_E")


class FakeWorld:
    """The machine: what is awake on it, and what shall go wrong."""

    def __init__(self) -> None:
        self.agents: dict[SandboxId, FakeAgent] = {}
        """Those that are awake."""
        self.frozen: dict[SandboxId, FakeAgent] = {}
        """Those that stand still."""
        self.known: set[SandboxId] = set()
        self.starts = 0
        """How many agents were ever started."""
        self.refuse_starts: str | None = None
        self.refuse_freezes: str | None = None
        self.starts_held = asyncio.Event()
        self.starts_held.set()
        self._last_pid = 1000

    def next_pid(self) -> int:
        self._last_pid += 1
        return self._last_pid

    def thaw(self, sandbox_id: SandboxId) -> None:
        """Have it go on, if it stands still."""
        if sandbox_id in self.frozen:
            self.agents[sandbox_id] = self.frozen.pop(sandbox_id)


class FakeAgent:
    """The terminals of one sandbox that is awake."""

    def __init__(self, world: FakeWorld, sandbox_id: SandboxId) -> None:
        self.pid = world.next_pid()
        self.ptys: dict[str, FakePty] = {}
        self.links: list[Outbox[SandboxEvent]] = []
        self.refuse_opens: str | None = None
        self._world = world
        self._sandbox_id = sandbox_id
        self._told_busy: str | None = None

    @property
    def is_awake(self) -> bool:
        return self._world.agents.get(self._sandbox_id) is self

    @property
    def cannot_freeze(self) -> str | None:
        return self._world.refuse_freezes

    @property
    def busy(self) -> str | None:
        """The first command that runs."""
        return next((pty.running for pty in self.ptys.values() if pty.running), None)

    @property
    def welcome(self) -> Welcome:
        return Welcome(VERSION, self.pid, tuple(pty.info for pty in self.ptys.values()), self.busy)

    def look(self) -> None:
        """Say who is busy, if that changed."""
        if self.busy != self._told_busy:
            self._told_busy = self.busy
            for link in self.links:
                link.post(Busy(self.busy))

    def cut(self, reason: str = "The link to the sandbox broke.", *, dead: bool = False) -> None:
        """Break every link."""
        links, self.links = self.links, []
        for pty in self.ptys.values():
            if dead:
                pty.release()
            pty.lose(Lost(reason, dead))
        for link in links:
            link.post(Lost(reason, dead), last=True)

    def kill(self, reason: str = "The agent was killed by SIGKILL.") -> None:
        """End it, and all its terminals, with no warning."""
        self._world.agents.pop(self._sandbox_id, None)
        self.cut(reason, dead=True)

    def stop(self) -> None:
        """End it as sleep does."""
        self._world.agents.pop(self._sandbox_id, None)
        for pty in self.ptys.values():
            pty.end(Exit(signal="SIGHUP", asleep=True))
            pty.release()
        for link in self.links:
            link.post(Stopped(), last=True)
        self.links.clear()

    def freeze(self) -> None:
        """Have it stand still, with all its terminals."""
        self._world.frozen[self._sandbox_id] = self._world.agents.pop(self._sandbox_id)
        for pty in self.ptys.values():
            pty.let_go()
        for link in self.links:
            link.post(Frozen(), last=True)
        self.links.clear()

    def open(self, request: Open, out: Outbox[TerminalEvent]) -> FakePty | None:
        known = self.ptys.get(request.pane_id)
        if self.refuse_opens is not None:
            out.post(Refused(self.refuse_opens), last=True)
            return None
        if known is not None and known.generation >= request.generation:
            if known.generation > request.generation or known.exit is not None:
                out.post(Refused("This terminal of the pane is over."), last=True)
                return None
            known.attach(request.position, out)
            return known
        if known is not None:
            known.lose(Lost("A newer terminal took its place."))
        beside = self.ptys.get(request.beside or "")
        cwd = beside.cwd if beside is not None and beside.exit is None else request.cwd
        pty = self.ptys[request.pane_id] = FakePty(self, self._world.next_pid(), replace(request, cwd=cwd))
        pty.attach(request.position, out)
        return pty

    def attach(self, request: Attach, out: Outbox[TerminalEvent]) -> FakePty | None:
        pty = self.ptys.get(request.pane_id)
        if pty is None or pty.generation != request.generation:
            out.post(Refused("The terminal is gone.", gone=True), last=True)
            return None
        pty.attach(request.position, out)
        return pty

    def close(self, pane_id: str) -> None:
        pty = self.ptys.pop(pane_id, None)
        if pty is not None:
            pty.lose(Lost("The terminal was closed."))
            self.look()

    def forget(self, pane_id: str) -> None:
        if pane_id in self.ptys and self.ptys[pane_id].exit is not None:
            del self.ptys[pane_id]


class FakePty:
    """One terminal, and the shell behind it."""

    def __init__(self, agent: FakeAgent, pid: int, request: Open) -> None:
        self.generation = request.generation
        self.exit: Exit | None = None
        self._agent = agent
        self._pid = pid
        self._shell = FakeShell(pid, request.env, request.cwd)
        self._pane_id = request.pane_id
        self._out: Outbox[TerminalEvent] | None = None
        self._log = bytearray()
        self._start = request.position
        self._sizes = [SizeMark(request.position, request.cols, request.rows)]
        self._inputs: dict[str, int] = {}
        self._answered = request.position
        self._typed = b""
        self._was_ready = False
        self.emit(request.preamble + self._shell.prompt)

    @property
    def running(self) -> str | None:
        """The command that runs."""
        return self._shell.running

    @property
    def cwd(self) -> str:
        """Of its shell."""
        return self._shell.cwd

    @property
    def info(self) -> TerminalInfo:
        return TerminalInfo(self._pane_id, self.generation, self._start, self._end, self.exit)

    @property
    def _end(self) -> int:
        return self._start + len(self._log)

    def attach(self, position: int, out: Outbox[TerminalEvent]) -> None:
        """Take over from whoever was attached, and send what is kept from `position` on."""
        self.lose(Lost("Another link took the terminal over."))
        self._out = out
        position = min(max(position, self._start), self._end)
        size = next(mark for mark in reversed(self._sizes) if mark.position <= position)
        inputs = dict(self._inputs)
        out.post(
            Opened(self._pid, position, self._end, self._was_ready, inputs, (size,), self._answered)
        )  # fmt: skip
        for mark in self._sizes[self._sizes.index(size) + 1 :]:
            self._post_output(position, mark.position)
            out.post(mark)
            position = mark.position
        self._post_output(position, self._end)
        if not self._was_ready:
            self._was_ready = True
            out.post(Ready())
        if self.exit is not None:
            self._post_end()

    def emit(self, data: bytes) -> None:
        """What its programs write."""
        position = self._end
        self._log += data
        self._post_output(position, self._end)
        excess = max(0, len(self._log) - AGENT_LOG_BYTES)
        del self._log[:excess]
        self._start += excess

    def input(self, client_id: str, position: int, data: bytes) -> None:
        taken = self._inputs.get(client_id, 0)
        if self.exit is not None:
            return
        self._inputs[client_id] = max(taken, position + len(data))
        self._post(InputAck(client_id, self._inputs[client_id]))
        self._type(data[max(0, taken - position) :])

    def answer(self, position: int, data: bytes) -> None:
        if self.exit is None and position > self._answered:
            self._answered = position
            self._type(data)

    def resize(self, cols: int, rows: int) -> None:
        if self.exit is None:
            self._sizes.append(SizeMark(self._end, cols, rows))
            self._post(self._sizes[-1])

    def end(self, exit: Exit) -> None:
        """Its shell ends."""
        if self.exit is None:
            self.exit = exit
            self._shell.running = None
            self._post_end()

    def lose(self, lost: Lost) -> None:
        """Break the link of whoever is attached."""
        if self._out is not None:
            self._out.post(lost, last=True)
            self._out = None

    def let_go(self) -> None:
        """Nobody is attached any more."""
        if self._out is not None:
            self._out.silence()
            self._out = None

    def release(self) -> None:
        """Its agent is gone: whoever is attached hears everything, held or not."""
        if self._out is not None:
            self._out.release()

    def _type(self, data: bytes) -> None:
        self.emit(data.replace(b"\n", b"\r\n"))
        if b"\x03" in data:
            self._shell.running = None
            self._typed = b""
            data = data.rpartition(b"\x03")[2]
            self.emit(b"\r\n" + self._shell.prompt)
        self._typed += data
        while b"\n" in self._typed and self.running is None and self.exit is None:
            line, _, self._typed = self._typed.partition(b"\n")
            self._run(line.decode(errors="replace"))
        self._agent.look()

    def _run(self, line: str) -> None:
        for answer in self._shell.run(line):
            if isinstance(answer, Exit):
                self.end(answer)
            else:
                self.emit(answer)
        if self.running is not None:
            self._post(Foreground(self.running, False, self.cwd))

    def _post(self, event: TerminalEvent) -> None:
        if self._out is not None:
            self._out.post(event)

    def _post_output(self, start: int, end: int) -> None:
        for at in range(start, end, LINK_OUTPUT_BYTES):
            part = self._log[at - self._start : min(end, at + LINK_OUTPUT_BYTES) - self._start]
            self._post(Output(bytes(part)))

    def _post_end(self) -> None:
        if self._out is not None and self.exit is not None:
            self._out.post(Ended(self.exit, self._end, dict(self._inputs)), last=True)


class Outbox(Generic[_E]):
    """Delivers from the event loop, in order, until it is over."""

    def __init__(self, deliver: Callable[[_E], None]) -> None:
        self.deliver = deliver
        self.is_over = False
        self.is_silenced = False
        self._is_held = False
        self._can_be_held = True
        self._has_begun = False
        self._waiting: deque[_E] = deque()

    def post(self, event: _E, *, last: bool = False) -> None:
        if not self.is_over:
            self.is_over = last
            self._waiting.append(event)
            asyncio.get_running_loop().call_soon(self._give)

    def hold(self, held: bool) -> None:
        """While held, only the first event is delivered."""
        self._is_held = held and self._can_be_held
        for _ in self._waiting:
            asyncio.get_running_loop().call_soon(self._give)

    def release(self) -> None:
        """It is held no more, from now on."""
        self._can_be_held = False
        self.hold(False)

    def silence(self) -> None:
        """Nothing more is delivered, not even what was posted."""
        self.is_over = self.is_silenced = True

    def _give(self) -> None:
        if self._waiting and not self.is_silenced and not (self._is_held and self._has_begun):
            self._has_begun = True
            self.deliver(self._waiting.popleft())
