"""Time, deliveries, and everything that goes wrong in a story but for clients' networks. See `kinds`."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from wormux.testing.simulate.clients import type_keys
from wormux.testing.simulate.kinds import chance, client, index, kind, one_of, picks, up_to
from wormux.testing.simulate.rest import be_quiet
from wormux.testing.simulate.stage import Stage

# --- The scheduler and the clock -----------------------------------------------------------------------


@kind(9, picks=picks)
def deliver(stage: Stage, picks: Sequence[int]) -> None:
    """Some deliveries arrive, in this order."""
    for pick in picks:
        ready = stage.world.lanes.ready()
        if ready:
            ready[pick % len(ready)].deliver()


@kind(9, order=up_to(2**32), limit=up_to(200, 1))
def deliver_shuffled(stage: Stage, order: int, limit: int) -> None:
    """Everything that is under way arrives, up to a limit, in this order."""
    random = Random(order)
    for _ in range(limit):
        ready = stage.world.lanes.ready()
        if not ready:
            return
        ready[int(random.random() * len(ready))].deliver()


@kind(12, seconds=one_of(0.005, 0.02, 0.3, 0.6, 1.1, 3.0, 12.0, 31.0), deliver=chance(0.6))
def advance(stage: Stage, seconds: float, deliver: bool) -> None:
    """Time passes, with or without deliveries."""
    stage.world.advance(seconds, deliver=deliver)


@kind(0.5, seconds=one_of(-5.0, 40.0, 4000.0))
def suspend(stage: Stage, seconds: float) -> None:
    """The machine was suspended, or its clock was set back: wall time jumps. A clock that is set back and a store that
    fails do not come together: see docs/simulator.md, "What is excused"."""
    if seconds < 0 and stage.world.store.failure is not None:
        return
    stage.set_back |= seconds < 0
    stage.world.suspended_s += seconds


@kind(3, when="up")
def quiet(stage: Stage) -> None:
    """Everything arrives, and is looked at."""
    be_quiet(stage)


# --- Links and agents ----------------------------------------------------------------------------------


@kind(
    4, when="up", index=index, keep_words=chance(0.5), what=one_of("sandbox", "terminal", "agent", "vanish")
)
def break_links(stage: Stage, index: int, keep_words: bool, what: str) -> None:
    """Links break; "agent": since the agent died, "vanish": since the sandbox is gone, without a word."""
    pane_id = stage.pane(index)
    if pane_id is None:
        return
    if what == "sandbox":
        stage.world.cut_sandbox(pane_id, keep_words=keep_words)
    elif what == "terminal":
        stage.world.cut_terminal(pane_id, keep_words=keep_words)
    else:
        stage.world.kill_agent(pane_id, keep_words=keep_words, unseen=what == "vanish")


@kind(1, when="up", number=client, index=index, keep_words=chance(0.3), unseen=chance(0.3))
def die_while_typed_to(stage: Stage, number: int, index: int, keep_words: bool, unseen: bool) -> None:
    """An agent dies when its terminals have read what was typed, and nobody has heard that."""
    type_keys(stage, number, index, size=10)
    stage.hear_clients()
    stage.reach_terminals()
    pane_id = stage.known_pane(stage.clients[number], index)
    if pane_id is not None and pane_id in stage.world.hub.world.panes:
        stage.world.kill_agent(pane_id, keep_words=keep_words, unseen=unseen)


@kind(1.5, when="up", index=index, notices_s=one_of(0.1, 5.0, 15.0))
def part_sandbox(stage: Stage, index: int, notices_s: float) -> None:
    """A sandbox freezes, or its network lets nothing through, and the server finds out."""
    pane_id = stage.pane(index)
    if pane_id is not None:
        stage.world.part_sandbox(pane_id, notices_s)


@kind(0.7, index=index)
def sleeps_by_itself(stage: Stage, index: int) -> None:
    """Somebody else than the server puts a sandbox to sleep."""
    agent = stage.agent(index)
    if agent is not None and not agent.stopped:
        agent.sleep_by_itself()


@kind(1, when="down", index=index)
def agent_dies_meanwhile(stage: Stage, index: int) -> None:
    agent = stage.agent(index)
    if agent is not None:
        agent.die()


@kind(1, failing=chance(0.3))
def fail_starts(stage: Stage, failing: bool) -> None:
    stage.world.machine.refuse_starts = "No space left." if failing else None


@kind(1, seconds=one_of(0.0, 0.0, 2.0, 20.0))
def slow_starts(stage: Stage, seconds: float) -> None:
    stage.world.machine.start_s = seconds


@kind(1, failing=chance(0.3))
def fail_finds(stage: Stage, failing: bool) -> None:
    stage.world.machine.refuse_finds = "No answer." if failing else None


@kind(0.5, frozen=chance(0.3))
def find_frozen(stage: Stage, frozen: bool) -> None:
    """Whether terminals live on is known only when their sandbox is started."""
    stage.world.machine.finds_frozen = frozen


@kind(1, failing=chance(0.3))
def fail_opens(stage: Stage, failing: bool) -> None:
    for agent in stage.world.machine.agents.values():
        agent.refuse_opens = "No more terminals." if failing else None


# --- The server and its store --------------------------------------------------------------------------


@kind(2, failing=chance(0.4))
def fail_saves(stage: Stage, failing: bool) -> None:
    stage.world.fail_saves(failing=failing and stage.world.up and not stage.set_back)


@kind(2.5, when="up", how=one_of("kill", "kill", "stop", "stop and kill"))
def end_server(stage: Stage, how: str) -> None:
    """The server is killed, stops, or is killed as it stops; what was not stored is lost."""
    world = stage.world
    if how != "kill":
        world.say_goodbye()
    if how == "stop":
        world.run()
    if world.up:
        world.kill_server()
    world.fail_saves(failing=False)


@kind(1.5, when="up", effects=up_to(12))
def kill_soon(stage: Stage, effects: int) -> None:
    """The server is killed in the middle of what it does, when it has carried out so much more."""
    stage.world.server.fuse = effects


@kind(4, when="down")
def start_server(stage: Stage) -> None:
    stage.world.fail_saves(failing=False)
    stage.world.start_server()


@kind(1, when="up")
def lose_screens(stage: Stage) -> None:
    stage.world.lose_screens()
