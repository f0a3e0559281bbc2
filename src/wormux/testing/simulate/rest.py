"""How a story ends: all faults end, time passes, somebody types in every pane, and everything must be as it should."""

from __future__ import annotations

from wormux.hub.lifecycle import PanePhase
from wormux.testing.sim.invariants import AT_REST, WHEN_QUIET, check
from wormux.testing.sim.rules import rule
from wormux.testing.simulate.stage import Stage

IDLE = rule("idle", "A hub at rest does next to nothing.")
STORED = rule("stored", "At rest everything is stored.")
RESTORED = rule("restored", "A restarted server has the same tabs, panes and channels.")
COMES_BACK = rule("comes back", "A pane that lost its terminal gets one by itself, while its sandbox runs.")
ARRIVES = rule("arrives", "What is typed when all faults have ended arrives, in every pane.")

_ON_THEIR_WAY = (PanePhase.STARTING, PanePhase.WAKING, PanePhase.DISCONNECTED)
_SETTLED_S = 45.0
"""Longer than any attempt waits for the next one, and than input waits for a terminal."""
_STEPS_AT_REST = 20


def be_quiet(stage: Stage) -> None:
    """Everything arrives, and every client that listens has heard it."""
    world = stage.world
    world.settle()
    for _ in range(40):
        if not world.up or not any(one.dirty for one in world.hub.world.connections.values()):
            break
        world.advance(0.07)
    if world.up:
        check(world, WHEN_QUIET)


def come_to_rest(stage: Stage) -> None:
    """See the module."""
    _end_faults(stage)
    world = stage.world
    for client in stage.clients:
        client.acks_output = True
        client.connect()
    world.advance(_SETTLED_S)
    be_quiet(stage)
    for pane in world.hub.world.panes.values():
        runs = (
            world.machine.awake(world.sandbox_of(pane.id)) is not None
        )  # what does not is for a key to wake
        on_its_way = pane.phase in _ON_THEIR_WAY and runs
        COMES_BACK.expect(not on_its_way, f"{pane.id} is {pane.phase}: {pane.reason}")
    typist = stage.clients[0]
    for pane_id in typist.panes:
        typist.type(pane_id, b"!")
    world.advance(4.0)
    be_quiet(stage)
    for pane_id in typist.panes:
        live = world.machine.live(pane_id)
        ARRIVES.expect(live is not None and live.typed.endswith(b"!"), f"{pane_id} got nothing.")
    world.advance(2.5)
    check(world, AT_REST)
    steps = world.steps
    world.advance(3.0)
    IDLE.expect(world.steps - steps < _STEPS_AT_REST, f"It took {world.steps - steps} steps in 3 seconds.")
    if not world.hub._saver.idle:  # a sandbox has just come to sleep more deeply
        world.advance(2.0)
    STORED.expect(world.hub._saver.idle, "Something is not saved.")
    _restart(stage)


def _end_faults(stage: Stage) -> None:
    world = stage.world
    world.server.fuse = None
    if not world.up:
        world.fail_saves(failing=False)
        world.start_server()
    machine = world.machine
    machine.refuse_starts = machine.refuse_finds = None
    machine.start_s, machine.finds_frozen = 0.0, False
    world.fail_saves(failing=False)
    world.heal()
    for agent in machine.agents.values():
        agent.refuse_opens = None
        for pty in agent.terminals.values():
            pty.takes = True
            pty.read()
        agent.busy = None


def _restart(stage: Stage) -> None:
    before = stage.world.hub.world
    stage.world.restart()
    after = stage.world.hub.world
    RESTORED.expect(after.tabs.keys() == before.tabs.keys(), f"Its tabs are {list(after.tabs)}.")
    channels = [{pane.id: pane.channel for pane in hub.panes.values()} for hub in (before, after)]
    RESTORED.expect(channels[0] == channels[1], f"Its channels are {channels[1]}, and were {channels[0]}.")
