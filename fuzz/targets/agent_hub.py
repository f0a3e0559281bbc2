"""What a hostile agent says, carried through the server's links into a hub with a store and a client.

One sandbox that lies must not keep the others from being stored, nor send clients what they must not be told.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import msgspec

from fuzz.kit import SECRET, Target, joined, need, pieces
from fuzz.loop import run as run_jumping
from fuzz.targets.links import MESSAGES
from fuzz.targets.server_link import _WELCOME, _Life, _Peers, _turns
from wormux.errors import SandboxError
from wormux.hub import effects as e
from wormux.hub import inputs as i
from wormux.hub.hub import Hub
from wormux.hub.settings import HubSettings
from wormux.ids import ConnectionId, PaneId, UserId
from wormux.limits import (
    CHECKPOINT_LOG_BYTES,
    COMMAND_CHARS,
    CWD_CHARS,
    FRAME_BYTES,
    LINK_OUTPUT_BYTES,
    LOG_BYTES,
    REASON_CHARS,
    TITLE_CHARS,
)
from wormux.protocol import agent_link as link
from wormux.protocol.frames import CONTROL_CHANNEL, encode_frame
from wormux.protocol.messages import AnyServerMessage, LayoutUpdate, State
from wormux.protocol.screen_link import ScreenEvent
from wormux.sandbox.link import ControlLink, Outside
from wormux.sandbox.port import Frozen, Lost, SandboxEvent, Terminal, TerminalEvent, Uncertain
from wormux.screen.in_process import LocalScreens
from wormux.screen.opening import open_log
from wormux.store.sqlite import SqliteStore

_SETTINGS = HubSettings(
    idle_timeout_s=None, shell=(), default_provider="one", providers=frozenset({"one"}), exit_behavior="close"
)
_CLIENT = ConnectionId(1)
_decoder: msgspec.json.Decoder[AnyServerMessage] = msgspec.json.Decoder(AnyServerMessage)
_numbers = itertools.count()


@cache
def _store() -> SqliteStore:
    """One for all inputs, each of which has a user of its own."""
    directory = tempfile.TemporaryDirectory(prefix="wormux-fuzz-")
    store = SqliteStore(Path(directory.name) / "wormux.db")
    store.directory = directory  # type: ignore[attr-defined]  # kept as long as the store
    return store


class _Server:
    """As little of a driver as that takes: everything is carried out at once."""

    def __init__(self, peers: _Peers) -> None:
        self.user = UserId(f"user-{next(_numbers)}")
        self.hub = Hub(_SETTINGS, _store().load(self.user))
        self.peers = peers
        self.control: ControlLink | None = None
        self.terminals: dict[tuple[PaneId, int], Terminal] = {}
        self.sent = 0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: list[i.Input] = []
        self._working = False
        self.screens = LocalScreens(self._screen, open_log, later=self._loop.call_soon)
        self._carry_out_all(self.hub.start(self._moment()))

    def step(self, event: i.Input) -> None:
        self._waiting.append(event)
        if self._working:
            return
        self._working = True
        while self._waiting:
            self._carry_out_all(self.hub.step(self._moment(), self._waiting.pop(0)))
        self._working = False

    def say(self, **message: object) -> None:
        self.step(i.FrameReceived(_CLIENT, encode_frame(CONTROL_CHANNEL, json.dumps(message).encode())))

    def _moment(self) -> i.Moment:
        now_s = self._loop.time()
        return i.Moment(
            now_s, 1_700_000_000_000 + round(1000 * now_s), 0, next(_numbers) * 0x9E3779B97F4A7C15 % 2**64
        )

    def _screen(self, pane_id: PaneId, epoch: int, event: ScreenEvent) -> None:
        self.step(i.ScreenInput(pane_id, epoch, event))

    def _carry_out_all(self, effects: list[e.Effect]) -> None:
        for effect in effects:
            self._carry_out(effect)

    def _carry_out(self, effect: e.Effect) -> None:
        match effect:
            case e.SendFrame(_, frame, urgent):
                self._check_frame(frame)
                if not urgent:
                    self._loop.call_soon(self.step, i.FramesSent(_CLIENT, len(frame)))
            case e.Save(save_id, change):
                _store().apply(self.user, change)  # a StoreError is a finding
                self._waiting.append(i.Saved(save_id))
            case e.SetTimer(at_s):
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
                if at_s is not None:
                    self._timer = self._loop.call_at(at_s, self.step, i.TimerFired())
            case e.WakeSandbox(sandbox_id) | e.FindSandbox(sandbox_id):
                if self.control is None or self.control.is_over:
                    self._waiting.append(
                        i.SandboxInput(sandbox_id, i.SandboxFailed("There is none any more."))
                    )
                else:
                    self.control.deliver_to(self._sandbox_hears(sandbox_id))
                    self._waiting.append(i.SandboxInput(sandbox_id, i.SandboxAwake(self.control.welcome)))
            case e.OpenTerminal(_, request) if self.control is not None:
                key = (PaneId(request.pane_id), request.generation)
                self.terminals[key] = self.control.terminal(request, self._terminal_hears(*key))
            case e.StopSandbox(_, force) if self.control is not None:
                self.control.sleep(force=force)
            case e.WriteTerminal(pane_id, generation, data) if (pane_id, generation) in self.terminals:
                self.terminals[pane_id, generation].write(data.client_id, data.position, data.data)
            case e.HoldTerminal(pane_id, generation, held) if (pane_id, generation) in self.terminals:
                self.terminals[pane_id, generation].hold(held)
            case e.CloseTerminal(_, pane_id, generation) if (pane_id, generation) in self.terminals:
                self.terminals.pop((pane_id, generation)).close()
            case e.ForgetTerminal(pane_id, generation) if (pane_id, generation) in self.terminals:
                self.terminals.pop((pane_id, generation)).forget()
            case e.TellScreen(pane_id, epoch, request):
                self.screens.tell(pane_id, epoch, request)
            case _:
                pass

    def _sandbox_hears(self, sandbox_id: object) -> Callable[[SandboxEvent], None]:
        def hear(event: SandboxEvent) -> None:
            told = event
            if isinstance(event, Lost):
                told = i.SandboxLost(event.reason)  # type: ignore[assignment]
            elif isinstance(event, Frozen):
                told = i.SandboxFrozen()  # type: ignore[assignment]
            self.step(i.SandboxInput(sandbox_id, told))  # type: ignore[arg-type]

        return hear

    def _terminal_hears(self, pane_id: PaneId, generation: int) -> Callable[[TerminalEvent], None]:
        def hear(event: TerminalEvent) -> None:
            if isinstance(event, Lost):
                self.step(i.TerminalInput(pane_id, generation, i.TerminalLost(event.reason, dead=event.dead)))
            elif not isinstance(event, Uncertain):
                self.step(i.TerminalInput(pane_id, generation, event))

        return hear

    def _check_frame(self, frame: bytes) -> None:
        need(len(frame) <= FRAME_BYTES, "A frame is longer than any may be.")
        if frame[0] != CONTROL_CHANNEL:
            return
        message = _decoder.decode(frame[1:])
        if not isinstance(message, State | LayoutUpdate):
            return
        for pane in message.panes.values():
            need(len(pane.title) <= TITLE_CHARS, "A title has no bound.")
            need(len(pane.cwd or "") <= CWD_CHARS, "A directory has no bound.")
            need(len(pane.command or "") <= COMMAND_CHARS, "A command has no bound.")
            need(len(pane.reason or "") <= REASON_CHARS, "A reason has no bound.")
            clean = (
                f"{pane.title}{pane.command or ''}{pane.reason or ''}"  # a directory may be called anything
            )
            need(clean.isprintable(), "A control character is told to clients.")
        for session in message.sessions if isinstance(message.sessions, tuple) else ():
            need(len(session.busy or "") <= REASON_CHARS, "What is busy has no bound.")
            need((session.busy or "").isprintable(), "A control character is told to clients.")

    def check(self) -> None:
        for pane in self.hub.world.panes.values():
            need(pane.log.end - pane.log.start <= LOG_BYTES + LINK_OUTPUT_BYTES, "A log has no bound.")
        for checkpoint in _store().load(self.user).checkpoints:
            need(len(checkpoint.log) <= CHECKPOINT_LOG_BYTES, "A checkpoint has no bound.")


async def _converse(script: list[bytes]) -> None:
    peers = _Peers()
    life = _Life()
    outside = Outside(peers.dial, lambda _pid: life)  # type: ignore[arg-type,return-value]
    connecting = asyncio.create_task(ControlLink.connect(outside, lambda _: None, lambda _: None))
    await _turns(3)
    first, rest = (script[0], script[1:]) if script else (b"", [])
    peers.say(0, _WELCOME if first[:1] == b"\0" else first)
    try:
        control = await connecting
    except SandboxError:
        peers.close_all()
        await asyncio.sleep(60)
        return
    server = _Server(peers)
    server.control = control
    server.step(i.ClientConnected(_CLIENT))
    server.say(type="connect", width=800, height=600, clientId="client")
    await _turns(6)
    for piece in rest:
        what, which = piece[0] % 8, piece[0] // 8 % 3
        if what == 0:
            server.say(type="layout_ack", rev=2**52)
            server.step(i.FrameReceived(_CLIENT, encode_frame(which, SECRET)))
        elif what == 1:
            peers.close(which)
        elif what == 2:
            pane_id = next(iter(server.hub.world.panes), None)
            server.say(type="pane_split", paneId=pane_id, orientation="vertical", cols=80, rows=12)
        elif what == 3:
            session_id = next(iter(server.hub.world.sessions), None)
            server.say(type="session_sleep", sessionId=session_id, force=bool(which))
        elif what == 4:
            await asyncio.sleep(1 + which)
        else:
            peers.say(which, piece[1:])
        peers.hear()
        await _turns(6)
        server.check()
    await asyncio.sleep(5)
    peers.close_all()
    await asyncio.sleep(60)
    server.check()
    server.step(i.ServerStopping())
    control.detach()
    await server.screens.aclose()


def run(data: bytes) -> None:
    """The first piece is the welcome (a right one, if it begins with NUL). In the others, the first byte says what
    happens, and on which link: that of the sandbox, or of a terminal."""
    run_jumping(_converse(pieces(data)[:24]))


def _say(which: int, *messages: link.Message) -> bytes:
    return bytes((5 + 8 * which,)) + b"".join(map(link.encode, messages))


def seeds() -> Iterable[bytes]:
    sizes = (link.SizeMark(0, 80, 24),)
    opened = link.Opened(4321, 0, 0, True, {}, sizes, answered=0)
    output = link.Output(b"\x1b]2;title\x07$ " + SECRET)
    end = len(output.data)
    for message in MESSAGES:
        yield joined(
            b"\0", _say(1, opened, message), b"\0", _say(1, output, message), b"\4", _say(0, message), b"\4"
        )
    yield joined(
        b"\0",
        _say(1, opened, output),
        b"\0",
        _say(1, link.InputAck("client", 8)),
        b"\2",
        _say(2, opened),
        b"\x13",
    )
    yield joined(
        b"\0",
        _say(1, opened, output, link.Ended(link.Exit(1, ran_s=0.5), end, {"x": 5})),
        b"\4",
        b"\0",
        b"\4",
    )
    most = 2**53 - 1
    far = link.Opened(most, most, most, False, {"x": most}, (link.SizeMark(0, 80, 24),), answered=most)
    yield joined(
        b"\0",
        _say(1, far, link.Output(b"x" * 60000)),
        b"\4",
        b"\0",
        _say(1, link.InputAck("x", most)),
        b"\1",
        b"\x0c",
    )
    long = "x\n\x1b" * 9_000
    yield joined(
        b"\0",
        _say(1, opened, link.Foreground(long, False, "/" + long)),
        _say(0, link.Busy(long, "p")),
        b"\4",
        b"\4",
    )
    yield joined(b"\0", _say(1, link.Refused(long)), b"\4", _say(0, link.Refused(long)), b"\4")
    yield joined(b"\0", _say(1, opened, output, link.Ended(link.Exit(signal=long), end, {})), b"\4")
    yield joined(
        link.encode(
            link.Welcome(1, 1, (link.TerminalInfo("p", most, most, most, link.Exit(-1 % 256)),), long)
        ),
        b"\4",
    )


TARGET = Target(
    "agent_hub",
    "a hostile agent's words, through the links, to hub, store and client",
    run,
    seeds,
    words=(
        *(bytes((kind, 0, 0, 0)) for kind in link.Kind),
        b"9007199254740991",
        b'"position":',
        b"\\n",
        b"\\u001b",
    ),
    examples=50,
)
