"""Somebody has taken over the agent of an isolated sandbox and speaks on its links: real processes, real links."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from wormux.errors import SandboxError
from wormux.protocol.agent_link import Busy, Output
from wormux.sandbox import agent_provider, isolated, isolation, link, local
from wormux.sandbox.isolated import IsolatedProvider
from wormux.sandbox.port import Lost, SandboxEvent, TerminalEvent
from wormux.sandbox.settings import ProviderSettings
from wormux.testing.sandbox_conformance import BOX, Events, Pane, ignore, open_request

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_factories=["uvloop"])]

_MIB = 1 << 20
_ROGUE = """
import json, os, socket, sys, threading
sys.path.append('/run/wormux/code')
from wormux.agent.confine import confine
from wormux.protocol.agent_link import *
order = json.loads(sys.stdin.readline() or 'null') or sys.exit()
confine(**order['confine'])
options = dict(word[2:].split('=', 1) for word in order['arguments'] if '=' in word)
listening = socket.socket(fileno=int(options['listen-fd']))
listening.setblocking(True)
WELCOME = encode(Welcome(VERSION, 1, (), None))
OPENED = encode(Opened(7, 0, 0, True, {}, (SizeMark(0, 80, 24),)))
def serve(peer):
    frames, heard = FrameReader(), []
    while len(heard) < 1 or (heard[0].role == 'pane' and len(heard) < 2):
        heard.extend(frames.feed(peer.recv(65536)))
    def say(*parts):
        for part in parts:
            peer.sendall(part if isinstance(part, bytes) else encode(part))
    try:
        control(say) if heard[0].role == 'control' else pane(say)
        while peer.recv(65536):
            pass
    except OSError:
        pass
def control(say):
    say(WELCOME)
def pane(say):
    say(OPENED)
# WHAT
os.write(int(options['ready-fd']), b'ready\\n')
os.close(int(options['ready-fd']))
while True:
    threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()
"""


@asynccontextmanager
async def rogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> AsyncIterator[IsolatedProvider]:
    """A provider whose agents are not ours. In the end the sandbox is destroyed, whatever its agent thinks of that."""
    for module, name in (
        (agent_provider, "DIES_WITHIN_S"),
        (link, "STOP_WITHIN_S"),
        (local, "_LEAVES_WITHIN_S"),
    ):
        monkeypatch.setattr(module, name, 0.1)
    monkeypatch.setattr(isolation, "_BOOT", _ROGUE.replace("# WHAT", behaviour))
    monkeypatch.setattr(isolated, "_try_out", ignore_all)
    provider = IsolatedProvider(ProviderSettings(tmp_path), runtime_dir=tmp_path / "run")
    try:
        yield provider
    finally:
        await provider.destroy(BOX)
        await provider.aclose()
    assert list((tmp_path / "sandboxes").iterdir()) == []


def ignore_all(*_: object) -> None:
    """In place of a trial, which has no agent."""


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        ("b'\\xff' * 100_000", "more than a peer may send"),
        ("b'\\x20\\xff\\xff\\xff\\xff' + b'x' * 100_000", "more than a peer may send"),
        ("Welcome(VERSION + 1, 1, (), None)", "another version"),
        ("Output(b'early')", "Output where it makes no sense"),
        ("Stopped()", "Stopped where it makes no sense"),
        ("Refused('Never.')", "Never."),
        ("b'\\x20\\x00\\x00\\x00\\x04' + b'[' * 4", r"\."),
        ("b'\\x20\\x00\\x01\\x00\\x00' + b'[' * 65536", r"\."),
    ],
)
async def test_rubbish_instead_of_a_welcome_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, sentence: str
) -> None:
    behaviour = f"def control(say): say({says})"
    async with rogue(tmp_path, monkeypatch, behaviour) as provider:
        with pytest.raises(SandboxError, match=sentence):
            await provider.start(BOX, ignore)


async def test_an_agent_that_never_speaks_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "OPEN_WITHIN_S", 0.2)
    async with rogue(tmp_path, monkeypatch, "def control(say): pass") as provider:
        with pytest.raises(SandboxError, match="did not answer within"):
            await provider.start(BOX, ignore)


@pytest.mark.parametrize(
    "says",
    [
        "Stopped()",
        "Welcome(VERSION, 1, (), None)",
        "Freezable()",
        "Opened(7, 0, 0, True, {}, ())",
        "b'\\xff' * 9",
    ],
)
async def test_words_at_the_wrong_time_end_the_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    behaviour = f"def control(say): say(WELCOME, {says})"
    async with rogue(tmp_path, monkeypatch, behaviour) as provider:
        events: Events[SandboxEvent] = Events()
        await provider.start(BOX, events)
        lost = await events.next(Lost)
        assert lost.reason.endswith(".")
        assert lost.reason != "The link to the sandbox broke."
        assert events.all[-1] is lost


@pytest.mark.parametrize(
    "says",
    [
        "Output(b'early')",
        "OPENED, OPENED",
        "Opened(7, 5, 0, True, {}, (SizeMark(0, 80, 24),))",
        "Opened(7, 0, 0, True, {}, (SizeMark(0, 0, 0),))",
        "OPENED, SizeMark(2**62, 80, 24)",
        "OPENED, Stopped()",
        "OPENED, Ended(Exit(code=0), 2**62, {})",
        "OPENED, b'\\xff' * 100",
        "OPENED, HEADER.pack(35, 2**32 - 1)",
    ],
)
async def test_wrong_positions_and_orders_cost_the_pane_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    async with rogue(tmp_path, monkeypatch, f"def pane(say): say({says})") as provider:
        events: Events[SandboxEvent] = Events()
        pane = Pane(await provider.start(BOX, events), open_request())
        pane.type(b"hunter2")
        lost = await pane.events.next(Lost)
        assert lost.reason.endswith(".")
        assert lost.reason != "The link to the sandbox broke."
        assert not lost.dead
        assert events.of(Lost) == [], "the sandbox's own link goes on"


async def test_endless_words_cost_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    behaviour = """
def control(say):
    say(WELCOME, *[encode(Busy('x' * 200, None)) * 200 for _ in range(100)])
    say(Busy('the end', None))
def pane(say):
    say(OPENED, *[encode(Output(b'x' * 65536))] * 512)
"""
    async with rogue(tmp_path, monkeypatch, behaviour) as provider:
        before = _memory_bytes()
        events = Count()
        sandbox = await provider.start(BOX, events)
        output, held = Count(), Count()
        sandbox.terminal(open_request("pane-1"), output)
        sandbox.terminal(open_request("pane-2"), held).hold(True)
        await events.next(Busy, lambda busy: busy.sentence == "the end")
        await output.until(lambda: output.bytes >= 32 * _MIB)
        assert held.bytes < 4 * _MIB, "what is not read waits in the sandbox"
        assert _memory_bytes() - before < 16 * _MIB


class Count(Events[SandboxEvent | TerminalEvent]):
    """A `deliver` that counts, and keeps the last event alone."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __call__(self, event: SandboxEvent | TerminalEvent) -> None:
        self.all.clear()
        self.bytes += len(event.data) if isinstance(event, Output) else 0
        super().__call__(event)


def _memory_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
