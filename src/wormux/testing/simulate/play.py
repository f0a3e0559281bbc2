"""Plays a story, and says where and how it failed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wormux.testing.errors import ServerBroke
from wormux.testing.sim.invariants import AT_EVERY_STEP, check
from wormux.testing.sim.rules import Broken, rule
from wormux.testing.sim.world import Watch
from wormux.testing.simulate.kinds import KINDS
from wormux.testing.simulate.rest import come_to_rest
from wormux.testing.simulate.stage import Stage
from wormux.testing.simulate.story import Event, Story, write_story

PROTOCOL = rule("protocol", "What a client is told keeps the rules of the protocol.")
NO_FAULT = rule("no fault", "Nothing that can happen makes the hub, or what stands around it, raise.")


@dataclass(frozen=True)
class Failure:
    """A story that breaks a rule."""

    seed: int
    rule: str
    """Its name."""
    sentence: str
    """What should hold, and what was seen."""
    step: int
    """Number of the event in which it was seen; one more than there are for the end, when all comes to rest."""
    story: Story

    def __str__(self) -> str:
        at = "at rest" if self.step == len(self.story) else f"at event {self.step}, {self.story[self.step]}"
        return (
            f"Seed {self.seed} failed {at}:\n  {self.sentence}\n"
            f"The story of {len(self.story) - 1} events, for --story FILE:\n{write_story(self.story)}"
        )


@dataclass(frozen=True)
class Outcome:
    """How a story went."""

    failure: Failure | None
    hub_steps: int
    """How often the hub was asked."""
    stage: Stage | None
    """As it was at the end; None if there was none to begin with."""


def play(
    story: Story,
    watch: Watch | None = None,
    on_event: Callable[[int, Event, Stage | None], None] = lambda *_: None,
) -> Outcome:
    """Play all of it, and come to rest; `on_event` is told before each event (number, event, stage)."""
    stage: Stage | None = None
    step = 0
    seed = int(story[0].fields["seed"])
    try:
        with _named():
            on_event(0, story[0], None)
            stage = Stage(**story[0].fields, watch=watch)
            for step, event in enumerate(story[1:], 1):
                on_event(step, event, stage)
                _happen(stage, event)
            step = len(story)
            come_to_rest(stage)
    except Broken as broken:
        failure = Failure(seed, broken.rule.name, str(broken), step, story)
        return Outcome(failure, stage.world.steps if stage else 0, stage)
    return Outcome(None, stage.world.steps, stage)


def _happen(stage: Stage, event: Event) -> None:
    kind = KINDS[event.name]
    if kind.when == "always" or (kind.when == "up") == stage.world.up:
        kind.act(stage, **event.fields)
        check(stage.world, AT_EVERY_STEP)
        stage.world.truth.check_accounts(stage.world.machine.ptys)


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Whatever goes wrong breaks a rule."""
    try:
        yield
    except Broken:
        raise
    except ServerBroke as error:
        raise Broken(PROTOCOL, str(error)) from error
    except Exception as error:
        raise Broken(NO_FAULT, f"{type(error).__name__}: {error}") from error
