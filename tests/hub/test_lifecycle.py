"""The life cycles: every state and event is either in its table or a bug of ours."""

from __future__ import annotations

import pytest

from wormux.errors import InternalError
from wormux.hub.lifecycle import (
    PANE_TABLE,
    SANDBOX_TABLE,
    PaneEvent,
    PanePhase,
    SandboxEvent,
    SandboxPhase,
    next_pane_phase,
    next_sandbox_phase,
)
from wormux.hub.log import OutputLog
from wormux.hub.pane import Pane, Terminal
from wormux.ids import Channel, PaneId, SessionId, TabId


def pane_in(phase: PanePhase) -> Pane:
    log = OutputLog(0, 80, 24)
    pane = Pane(PaneId("p"), TabId("t"), SessionId("s"), Channel(0), 0, 80, 24, log)
    pane.phase = phase
    pane.terminal = Terminal(1, ready=True) if phase == PanePhase.CONNECTED else None
    return pane


@pytest.mark.parametrize("phase", PanePhase)
@pytest.mark.parametrize("event", PaneEvent)
def test_every_pane_phase_and_event(phase: PanePhase, event: PaneEvent) -> None:
    pane = pane_in(phase)
    terminal = Terminal(2, ready=True) if event == PaneEvent.OPENED else None
    if event not in PANE_TABLE[phase]:
        with pytest.raises(InternalError):
            pane.move(event, terminal)
        assert pane.phase == phase
        return
    pane.move(event, terminal)
    assert pane.phase == next_pane_phase(phase, event) == PANE_TABLE[phase][event]
    assert pane.connected == (pane.phase == PanePhase.CONNECTED), "connected if and only if a live terminal"


@pytest.mark.parametrize("phase", SandboxPhase)
@pytest.mark.parametrize("event", SandboxEvent)
def test_every_sandbox_phase_and_event(phase: SandboxPhase, event: SandboxEvent) -> None:
    if event in SANDBOX_TABLE[phase]:
        assert next_sandbox_phase(phase, event) == SANDBOX_TABLE[phase][event]
    else:
        with pytest.raises(InternalError):
            next_sandbox_phase(phase, event)


def test_the_tables_are_complete() -> None:
    assert set(PANE_TABLE) == set(PanePhase)
    assert set(SANDBOX_TABLE) == set(SandboxPhase)
    assert {event for row in PANE_TABLE.values() for event in row} == set(PaneEvent)
    assert {event for row in SANDBOX_TABLE.values() for event in row} == set(SandboxEvent)


def test_every_phase_can_be_reached_and_left() -> None:
    pane_reached = {PanePhase.STARTING} | {to for row in PANE_TABLE.values() for to in row.values()}
    assert pane_reached == set(PanePhase)
    sandbox_reached = {SandboxPhase.NEW} | {to for row in SANDBOX_TABLE.values() for to in row.values()}
    assert sandbox_reached == set(SandboxPhase)
    assert all(any(to != phase for to in row.values()) for phase, row in PANE_TABLE.items())
    assert all(any(to != phase for to in row.values()) for phase, row in SANDBOX_TABLE.items())


def test_a_key_wakes_every_pane_that_has_no_terminal() -> None:
    for phase in PanePhase:
        if phase != PanePhase.CONNECTED:
            assert next_pane_phase(phase, PaneEvent.WOKEN) in (PanePhase.STARTING, PanePhase.WAKING)


def test_only_opening_connects() -> None:
    for row in PANE_TABLE.values():
        for event, to in row.items():
            assert (to == PanePhase.CONNECTED) == (event == PaneEvent.OPENED)
