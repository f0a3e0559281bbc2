"""A story: a list of named events with plain fields, drawn from a seed before anything happens.

Any part of a story that keeps its beginning is a story too. As text it has one JSON object a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Any

from wormux.testing.simulate import clients, faults, terminals
from wormux.testing.simulate.kinds import KINDS, Kind
from wormux.testing.simulate.stage import SLEEP_MODES

_TOLD_BY = (clients, faults, terminals)
"""They register the kinds of events."""

_MOODS = (0.0, 0.3, 1.0, 1.0, 3.0)
"""A story has its own weights: in many stories of the same mixture everything meets everything, and nothing happens
often enough."""
_NEVER_LEFT_OUT = frozenset(
    {"deliver", "deliver_shuffled", "advance", "connect", "start_server", "type_keys"}
)


@dataclass(frozen=True)
class Event:
    """Something that happens."""

    name: str
    fields: dict[str, Any]

    def __str__(self) -> str:
        return json.dumps({"event": self.name, **self.fields})


Story = tuple[Event, ...]
"""The first event is always "begin"."""


class UnreadableStory(ValueError):
    """A story that cannot be read; the sentence says where."""


def read_story(text: str) -> Story:
    """Raises `UnreadableStory`."""
    events = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            fields = json.loads(line)
            name = fields.pop("event")
        except (ValueError, KeyError, AttributeError, TypeError):
            raise UnreadableStory(f'Line {number} is not a JSON object with an "event".') from None
        if name != "begin" and (name not in KINDS or fields.keys() != KINDS[name].fields.keys()):
            raise UnreadableStory(f"Line {number}: there is no event {name!r} with such fields.")
        events.append(Event(name, fields))
    if not events or events[0].name != "begin" or any(event.name == "begin" for event in events[1:]):
        raise UnreadableStory('A story starts with "begin", and has it once.')
    return tuple(events)


def write_story(story: Iterable[Event]) -> str:
    return "".join(f"{event}\n" for event in story)


def draw_story(seed: int, steps: int) -> Story:
    """The story of this seed."""
    random = Random(seed)
    begin = {
        "seed": seed,
        "hold": random.random() < 0.5,
        "ready_after_s": random.choice((0.0, 0.3)),
        "sleep_mode": random.choice(SLEEP_MODES),
    }
    moods = {} if random.random() < 0.25 else {name: random.choice(_MOODS) for name in KINDS}
    weights = {
        kind.name: kind.weight * (1.0 if kind.name in _NEVER_LEFT_OUT else moods.get(kind.name, 1.0))
        for kind in KINDS.values()
    }
    events = [Event("begin", begin)]
    possible = {up: _possible(weights, up=up) for up in (True, False)}
    up = True
    for _ in range(steps):
        kinds, summed = possible[up]
        kind = random.choices(kinds, cum_weights=summed)[0]
        events.append(Event(kind.name, {name: draw(random) for name, draw in kind.fields.items()}))
        if kind.name in ("end_server", "start_server"):
            up = kind.name == "start_server"
    return tuple(events)


def _possible(weights: dict[str, float], *, up: bool) -> tuple[list[Kind], list[float]]:
    """What may happen with or without a server, and its weights, summed up. Without one little does, so that it is soon
    started again."""
    wrong = "down" if up else "up"
    kinds = [kind for kind in KINDS.values() if kind.when != wrong]
    return kinds, list(accumulate(weights[kind.name] * (8 if kind.when == "down" else 1) for kind in kinds))
