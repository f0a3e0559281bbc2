"""What a hostile server, or another local process, says to an agent: into the real one, over real sockets.

Its terminals are real PTYs with nobody's shell behind them, so that no order can start a program.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from unittest.mock import patch

from fuzz.kit import SECRET, Target, joined, need, pieces, scratch
from fuzz.targets.links import MESSAGES
from wormux.agent import ending, lookout, spawn
from wormux.agent.agent import Agent, Options
from wormux.agent.connection import _RECEIVE_BYTES, Connection
from wormux.agent.integration import Integration
from wormux.agent.listener import Listener
from wormux.agent.loop import Loop
from wormux.limits import (
    AGENT_CLIENTS_PER_PANE,
    AGENT_LOG_BYTES,
    AGENT_SIZE_MARKS,
    AGENT_UNWRITTEN_BYTES,
    ANSWERS_UNWRITTEN_BYTES,
    KIB,
    LINK_FRAME_BYTES,
    LINK_NOTES_BYTES,
)
from wormux.protocol import agent_link as link

_NOBODY = 1 << 30
"""No process has such a number."""
_CONNECTIONS = 4
_TERMINALS = 20


class _Loop(Loop):
    """Leaves the signals of its process alone."""

    def on_signal(self, number: int, action: Callable[[], None]) -> None:
        pass

    def turn(self) -> None:
        """Call back for what is ready, once, waiting for nothing."""
        self._running = True
        self.call_after(0, self.stop)
        self.run()

    def close(self) -> None:
        self._selector.close()
        os.close(self._signal_reader)
        os.close(self._signal_writer)


class _World:
    """The agent, its terminals' other sides, and the ends of its connections."""

    def __init__(self, place: Path) -> None:
        self.loop = _Loop()
        self.slaves: list[int] = []
        self.masters: list[int] = []
        self.listener = Listener.at(place / "agent.sock")
        self.path = str(place / "agent.sock")
        self.agent = Agent(self.loop, self.listener, Options(place, shell_integration=False))
        self.agent._listen()
        self.peers: list[socket.socket | None] = [None] * _CONNECTIONS

    def start(self, request: link.Open, _integration: Integration | None = None) -> spawn.Started:
        """Stands in for starting a shell."""
        spawn.make_plan(request, {"HOME": "/", "PATH": "/bin"})
        if len(self.masters) >= _TERMINALS:
            raise spawn.CannotStart("No terminal can be opened: too many open files.")
        master, slave = os.openpty()
        os.set_blocking(master, False)
        os.set_blocking(slave, False)
        spawn.set_size(slave, request.cols, request.rows)
        self.masters.append(master)
        self.slaves.append(slave)
        return spawn.Started(_NOBODY, master)

    def connect(self, which: int) -> socket.socket:
        peer = self.peers[which]
        if peer is None:
            peer = self.peers[which] = socket.socket(socket.AF_UNIX)
            peer.connect(self.path)
            peer.setblocking(False)
            self.loop.turn()
        return peer

    def say(self, which: int, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.connect(which).send(data)

    def hear(self, which: int) -> bytes | None:
        """What the agent said on a connection; None once it has closed it."""
        peer, heard = self.peers[which], b""
        if peer is None:
            return None
        try:
            while data := peer.recv(1 << 18):
                heard += data
                self.loop.turn()
        except BlockingIOError:
            return heard
        except OSError:
            pass
        self.leave(which)
        return heard or None

    def leave(self, which: int) -> None:
        peer, self.peers[which] = self.peers[which], None
        if peer is not None:
            peer.close()

    def check(self) -> None:
        agent = self.agent
        for connection in (*agent._strangers, *agent._panes, *agent._controls):
            _check_connection(connection)
        for terminal in agent._terminals.values():
            inputs, log = terminal._inputs, terminal._log
            need(inputs.unwritten <= AGENT_UNWRITTEN_BYTES, "Input that waits has no bound.")
            need(
                0 <= inputs._unwritten_answers <= ANSWERS_UNWRITTEN_BYTES, "Answers that wait have no bound."
            )
            need(
                len(inputs._taken) <= AGENT_CLIENTS_PER_PANE >= len(inputs._written), "Clients have no bound."
            )
            need(
                log.end - log.start <= AGENT_LOG_BYTES and len(log._sizes) <= AGENT_SIZE_MARKS,
                "The log has none.",
            )

    def close(self) -> None:
        for which in range(_CONNECTIONS):
            self.leave(which)
        for connection in (*self.agent._strangers, *self.agent._panes, *self.agent._controls):
            connection.close()
        for terminal in (*self.agent._terminals.values(), *self.agent._leaving):
            if terminal.exit is None:
                terminal.reaped(0)
                terminal.pump()
        for descriptor in (*self.slaves, self.agent._data_dir):
            os.close(descriptor)
        for master in self.masters:  # of terminals that are not over, and of those that are forgotten
            with contextlib.suppress(OSError):
                os.close(master)
        self.listener.remove()
        self.loop.close()


def _check_connection(connection: Connection) -> None:
    held = len(connection._frames._buffer)
    need(held <= LINK_FRAME_BYTES + _RECEIVE_BYTES, "A frame that was begun has no bound.")
    # One request may be answered past the bound; then nothing more is read.
    need(connection._notes_bytes <= LINK_NOTES_BYTES + LINK_FRAME_BYTES + 64 * KIB, "Answers have no bound.")


@contextlib.contextmanager
def _world() -> Iterator[_World]:
    with scratch() as place:
        world = _World(place)
        with contextlib.ExitStack() as patched:
            patched.enter_context(patch.object(spawn, "start", world.start))
            for module in (lookout, ending):  # which would signal what this process has started
                patched.enter_context(patch.object(module, "family", lambda _pid: {}))
            try:
                yield world
            finally:
                world.close()


SAY, LEAVE, PRINT, READ, HEAR, TURN = 0, 1, 2, 3, 4, 5


def run(data: bytes) -> None:
    """The first byte of a piece says what is done, and on which of four connections."""
    with _world() as world:
        for piece in pieces(data)[:40]:
            what, which, rest = piece[0] % 8, piece[0] // 8 % _CONNECTIONS, piece[1:]
            slave = world.slaves[which % len(world.slaves)] if world.slaves else None
            if what == LEAVE:
                world.leave(which)
            elif what == PRINT and slave is not None:
                with contextlib.suppress(OSError):
                    os.write(slave, rest * 50)
            elif what == READ and slave is not None:
                with contextlib.suppress(OSError):
                    os.read(slave, 4096)
            elif what == HEAR:
                world.hear(which)
            elif what != TURN:
                world.say(which, rest)
            world.loop.turn()
            world.check()
        _serves_a_newcomer(world)


def _serves_a_newcomer(world: _World) -> None:
    """Whoever was there before, a server that keeps the rules is welcome. One that ends, or whose `Welcome` would hold
    what no frame can, is none."""
    if world.agent._ending is not None:
        return
    world.leave(0)
    world.loop.turn()
    world.say(0, link.encode(link.Hello("control")))
    heard = b""
    for _ in range(3):
        world.loop.turn()
        heard += world.hear(0) or b""
    welcome = next(iter(link.FrameReader().feed(heard)), None)
    need(
        isinstance(welcome, link.Welcome), f"A new server is not welcome, but hears {type(welcome).__name__}."
    )


def _say(which: int, *messages: link.Message) -> bytes:
    return bytes((SAY + 8 * which,)) + b"".join(map(link.encode, messages))


def seeds() -> Iterable[bytes]:
    pane, control = link.Hello("pane"), link.Hello("control")
    opening = link.Open("p1", 1, 80, 24, 0, b"before", ("cat",))
    for message in MESSAGES:
        yield joined(_say(0, pane, message), _say(1, control, message))
        yield joined(
            _say(0, pane, opening),
            b"\2" + SECRET,
            _say(0, message),
            b"\3",
            _say(1, control, message),
            b"\4",
            b"\x0c",
        )
    typed = link.Input("client", 0, SECRET * 2000)
    yield joined(
        _say(0, pane, opening, typed),
        b"\1",
        _say(1, pane, link.Attach("p1", 1, 3), typed),
        b"\2x",
        b"\3",
        b"\x0c",
    )
    yield joined(
        _say(0, pane, opening), *[b"\2" + SECRET * 9] * 9, b"\4", _say(0, link.Resize(100, 30)), b"\2x", b"\1"
    )
    yield joined(
        _say(0, pane, opening),
        _say(1, pane, link.Open("p1", 2, 80, 24, 9, b"", ())),
        b"\4",
        b"\x0c",
        _say(1, link.Close()),
    )
    yield joined(
        _say(0, pane, opening),
        _say(1, control, link.Sleep(False), link.Freeze(True), link.Sleep(True)),
        b"\x0c",
        b"\5",
    )
    yield joined(_say(0, control, *[link.Freeze(True)] * 500), b"\5", b"\5", b"\4")
    yield joined(
        *[
            _say(0, pane, link.Open("p" * 200_000 + str(n), 1, 80, 24, 0, b"", ())) + b"\xfe\xff|\1"
            for n in range(6)
        ]
    )
    yield joined(_say(0, pane, link.Open("p1", 1, 80, 24, 0, b"", ("a\0b",), "/\0", {"A\0=": "\0"})), b"\5")
    yield joined(_say(0, pane, link.Open("p1", 1, 80, 24, 2**63 - 1, b"before", ())), b"\2x", b"\4")


TARGET = Target(
    "agent",
    "a hostile server's, or another process's, words to an agent",
    run,
    seeds,
    words=(
        *(bytes((kind, 0, 0, 0)) for kind in link.Kind),
        b'"position":',
        b'"generation":2',
        b'"pane_id":"p2"',
    ),
    examples=60,
)
