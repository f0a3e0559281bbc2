"""Freezing over a control link, and agents that say what they were not asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from wormux.errors import SandboxError
from wormux.protocol.agent_link import (
    VERSION,
    Freezable,
    Freeze,
    Message,
    Opened,
    Output,
    Refused,
    SizeMark,
    Sleep,
    Stopped,
    Welcome,
)
from wormux.sandbox.life import Life
from wormux.sandbox.link import ControlLink, Outside
from wormux.sandbox.port import Frozen, Lost, SandboxEvent
from wormux.sandbox.wire import dial_path
from wormux.testing.sandbox_conformance import Events, Pane, ignore, open_request

from .scripted_agent import Peer, ScriptedAgent

OPENED = Opened(1, 0, 0, True, {}, (SizeMark(0, 80, 24),))


@dataclass
class Rig:
    agent: ScriptedAgent
    control: ControlLink
    peer: Peer
    events: Events[SandboxEvent]


@asynccontextmanager
async def rigged(
    path: Path, *, knows_freeze: bool = True, error: SandboxError | None = None
) -> AsyncIterator[Rig]:
    """The provider's freezing succeeds, or fails with `error`."""
    lives: list[Life] = []

    def life_of(pid: int) -> Life:
        lives.append(Life(pid))
        return lives[-1]

    async def freeze() -> None:
        if error is not None:
            raise error

    async with ScriptedAgent.at(path / "socket") as agent:
        events: Events[SandboxEvent] = Events()
        outside = Outside(dial_path(path / "socket"), life_of, freeze)
        connecting = asyncio.create_task(ControlLink.connect(outside, events, ignore))
        peer = await agent.accept("control")
        peer.send(Welcome(VERSION, 1, (), None, freezes=knows_freeze))
        control = await connecting
        try:
            yield Rig(agent, control, peer, events)
        finally:
            control.detach()
            for life in lives:
                life.unwatch()


async def test_frozen_is_the_last_event_and_terminals_are_silent(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        pane = Pane(rig.control, open_request())
        peer = await rig.agent.accept("pane")
        peer.send(OPENED)
        await pane.opened()
        rig.control.freeze(force=False)
        assert await rig.peer.next(Freeze) == Freeze(force=False)
        rig.peer.send(Freezable())
        await rig.events.next(Frozen)
        peer.send(Output(b"late"))
        rig.control.freeze(force=True)
        rig.control.sleep(force=True)
        await asyncio.sleep(0)
        assert rig.events.all == [Frozen()]
        assert pane.output == b""


async def test_what_cannot_be_frozen_goes_on(tmp_path: Path) -> None:
    async with rigged(tmp_path, error=SandboxError("The group is read-only.")) as rig:
        rig.control.freeze(force=False)
        await rig.peer.next(Freeze)
        rig.peer.send(Freezable())
        assert await rig.events.next(Refused) == Refused("The group is read-only.")
        rig.control.sleep(force=False)
        await rig.peer.next(Sleep)
        rig.peer.send(Stopped())
        await rig.events.next(Stopped)


async def test_an_older_agent_is_not_asked(tmp_path: Path) -> None:
    async with rigged(tmp_path, knows_freeze=False) as rig:
        rig.control.freeze(force=True)
        assert "older version" in (await rig.events.next(Refused)).reason


@pytest.mark.parametrize(
    ("asks", "answer"),
    [
        (Sleep, Freezable()),
        (Freeze, Stopped()),
        (None, Freezable()),
        (None, Stopped()),
        (None, Refused("No.")),
    ],
)
async def test_an_answer_to_what_was_not_asked_ends_the_link(
    tmp_path: Path, asks: type[Sleep | Freeze] | None, answer: Message
) -> None:
    async with rigged(tmp_path) as rig:
        if asks is Sleep:
            rig.control.sleep(force=True)
        elif asks is Freeze:
            rig.control.freeze(force=True)
        if asks is not None:
            await rig.peer.next(asks)
        rig.peer.send(answer)
        assert "makes no sense" in (await rig.events.next(Lost)).reason


async def test_answers_may_come_in_another_order(tmp_path: Path) -> None:
    """An agent that is ending refuses to be frozen before it says that it stopped."""
    async with rigged(tmp_path) as rig:
        rig.control.sleep(force=True)
        rig.control.freeze(force=True)
        await rig.peer.next(Sleep)
        await rig.peer.next(Freeze)
        rig.peer.send(Refused("The sandbox is going to sleep."), Stopped())
        await rig.events.next(Refused)
        await rig.events.next(Stopped)
