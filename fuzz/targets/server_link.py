"""What a hostile agent says to the server: into the links of a sandbox and of its terminals, over real sockets.

An agent may run beside programs that took it over. Whatever it says, each link ends by one last event, in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any

from fuzz.kit import SECRET, Target, joined, need, pieces
from fuzz.loop import run as run_jumping
from fuzz.targets.links import MESSAGES
from wormux.errors import SandboxError
from wormux.ids import PaneId
from wormux.limits import CLIENT_ID_CHARS, LINK_OUTPUT_BYTES, MAX_COLS, MIN_COLS
from wormux.protocol import agent_link as link
from wormux.sandbox.link import ControlLink, Outside
from wormux.sandbox.port import Frozen, Lost, SandboxEvent, Terminal, TerminalEvent

_PANES = 3
_LAST = (link.Refused, link.Ended, Lost)
_SANDBOX_LAST = (link.Stopped, Frozen, Lost)
_WELCOME = link.encode(link.Welcome(link.VERSION, 4321, (), None, freezes=True))


class _Life:
    """Of an agent that lives on."""

    pid = 4321
    ended: str | None = None

    def on_end(self, _action: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    async def explain(self) -> Lost:
        await asyncio.sleep(0.1)
        return Lost("The link to the sandbox broke.")


class _Peers:
    """The agent's ends of the connections, in the order in which the server made them."""

    def __init__(self) -> None:
        self.ends: list[socket.socket] = []

    def dial(self, connection: socket.socket) -> None:
        """Puts a connected socket where the server has made a fresh one."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        os.dup2(theirs.fileno(), connection.fileno())
        connection.setblocking(False)
        theirs.close()
        self.ends.append(ours)

    def say(self, which: int, data: bytes) -> None:
        if self.ends:
            with contextlib.suppress(OSError):
                self.ends[which % len(self.ends)].send(data)

    def hear(self) -> None:
        """Read what the server says, or it would stop when the kernel holds no more."""
        for end in self.ends:
            with contextlib.suppress(OSError):
                while end.recv(1 << 16):
                    pass

    def close(self, which: int) -> None:
        if self.ends:
            self.ends[which % len(self.ends)].close()

    def close_all(self) -> None:
        for end in self.ends:
            end.close()


class _Pane:
    """One terminal, as the server's other parts see it."""

    def __init__(self, control: ControlLink, number: int) -> None:
        self.events: list[TerminalEvent] = []
        self.let_go = False
        opening = link.Open(f"p{number}", 1, 80, 24, 0, b"", ())
        request = link.Attach(f"p{number}", 1, 3) if number % 2 else opening
        self.terminal: Terminal = control.terminal(request, self.deliver)

    def deliver(self, event: TerminalEvent) -> None:
        need(not self.let_go, "An event came after the terminal was let go of.")
        need(not (self.events and isinstance(self.events[-1], _LAST)), "An event came after the last one.")
        first = not self.events
        need(
            not first or isinstance(event, (link.Opened, link.Refused, Lost)),
            "Something came before the opening.",
        )
        if isinstance(event, link.SizeMark):
            need(MIN_COLS <= event.cols <= MAX_COLS, "A size that no terminal has was let through.")
        if isinstance(event, link.Output):
            need(len(event.data) <= LINK_OUTPUT_BYTES, "More output than there may be at once.")
        if isinstance(event, link.InputAck):
            need(len(event.client_id) <= CLIENT_ID_CHARS, "A client that cannot be was let through.")
        self.events.append(event)

    def do(self, what: int, rest: bytes) -> None:
        calls: dict[int, Callable[[], object]] = {
            0: lambda: self.terminal.write("client", len(rest), SECRET * (1 + len(rest) * 999)),
            1: lambda: self.terminal.resize(100, 30),
            2: lambda: self.terminal.answer(5, rest * 999),
            3: lambda: self.terminal.hold(True),
            4: lambda: self.terminal.hold(False),
            5: self.terminal.forget,
            6: self._close,
            7: self._detach,
        }
        calls[what]()

    def _close(self) -> None:
        self.terminal.close()
        self.let_go = True

    def _detach(self) -> None:
        self.terminal.detach()
        self.let_go = True

    @property
    def is_settled(self) -> bool:
        return self.let_go or bool(self.events and isinstance(self.events[-1], _LAST))


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _converse(script: list[bytes]) -> None:
    peers, events = _Peers(), list[SandboxEvent]()

    async def freeze() -> None:
        await asyncio.sleep(0)
        if len(script) % 2:
            raise SandboxError("It cannot be frozen.")

    def deliver(event: SandboxEvent) -> None:
        need(
            not (events and isinstance(events[-1], _SANDBOX_LAST)),
            "An event came after the sandbox's last one.",
        )
        events.append(event)

    life: Any = _Life()
    outside = Outside(peers.dial, lambda _pid: life, freeze)
    connecting = asyncio.create_task(ControlLink.connect(outside, deliver, lambda _: None))
    await _turns(3)
    first, rest = (script[0], script[1:]) if script else (b"", [])
    peers.say(0, _WELCOME if first[:1] == b"\0" else first)
    if first[:1] == b"\xff":
        peers.close(0)
    try:
        control = await connecting
    except SandboxError as error:
        need(str(error).endswith("."), "An end without a sentence.")
        peers.close_all()
        await asyncio.sleep(60)
        return
    panes = [_Pane(control, number) for number in range(_PANES)]
    await _turns(5)
    for piece in rest:
        what, which = piece[0] % 16, piece[0] // 16 % (1 + _PANES)
        if what < 8:
            panes[which % _PANES].do(what, piece[1:])
        elif what == 8:
            peers.close(which)
        elif what == 9:
            control.sleep(force=bool(which))
        elif what == 10:
            control.freeze(force=bool(which))
        elif what == 11:
            control.close_terminal(PaneId("p1"))
        else:
            peers.say(which, piece[1:])
        peers.hear()
        await _turns(4)
    for pane in panes:
        pane.terminal.hold(False)
    peers.close_all()
    await asyncio.sleep(60)
    frozen = bool(events) and isinstance(events[-1], Frozen)  # then its terminals deliver nothing more
    need(frozen or all(pane.is_settled for pane in panes), "A terminal's link has no last event.")
    need(events and isinstance(events[-1], _SANDBOX_LAST), "A sandbox's link has no last event.")
    control.detach()
    await _turns(3)


def run(data: bytes) -> None:
    """The first piece is the welcome (a right one, if it begins with NUL). In the others, the first byte says what is
    done, and at which link: that of the sandbox, or of one of three terminals."""
    run_jumping(_converse(pieces(data)[:32]))


def _say(which: int, *messages: link.Message) -> bytes:
    return bytes((12 + 16 * which,)) + b"".join(map(link.encode, messages))


def seeds() -> Iterable[bytes]:
    opened = link.Opened(4321, 0, 10, True, {"client": 3}, (link.SizeMark(0, 80, 24),), answered=0)
    attached = link.Opened(4321, 3, 10, False, {}, (link.SizeMark(0, 80, 24), link.SizeMark(5, 90, 24)))
    for message in MESSAGES:
        said = link.encode(message)
        yield joined(said, _say(1, message))
        yield joined(
            b"\0", _say(0, message), _say(1, opened, message), _say(2, message), _say(2, attached, message)
        )
    output = link.Output(SECRET + b"x\x0b")
    yield joined(
        b"\0", _say(1, opened), b"\0", _say(1, output, link.SizeMark(10, 100, 30), link.InputAck("client", 3)), b"\3",
        _say(1, output), b"\4", b"\1", b"\2x", _say(1, link.Ended(link.Exit(0), 20, {})), b"\5", b"\x18",
    )  # fmt: skip
    yield joined(
        b"\0",
        b"\x09",
        _say(0, link.Busy("vim"), link.Refused("Busy.")),
        b"\x19",
        _say(0, link.Stopped()),
        b"\x16",
    )
    yield joined(b"\0", b"\x0a", _say(0, link.Freezable()), b"\x27", b"\x06", b"\x0b", b"\x17")
    yield joined(b"\0", b"\x0a", b"\x09", _say(0, link.Freezable(), link.Stopped()), _say(1, opened))
    yield joined(b"\0", b"\x06", b"\x1b", b"\x08", b"\x18", b"\x28", b"\x00xx")
    yield b"\xff"


TARGET = Target(
    "server_link",
    "a hostile agent's words to the server",
    run,
    seeds,
    words=tuple(bytes((kind, 0, 0, 0)) for kind in link.Kind),
    examples=80,
)
