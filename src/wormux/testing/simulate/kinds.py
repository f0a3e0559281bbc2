"""The kinds of events that a story is made of: how often each is drawn, with which fields, and what it does.

An event names things by index ("the third pane"), never by id, so that it means something in every story that it is
left in. What it names may not be there: then nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec

if TYPE_CHECKING:
    from wormux.testing.simulate.stage import Stage

Draw = Callable[[Random], Any]
When = Literal["always", "up", "down"]
P = ParamSpec("P")


@dataclass(frozen=True)
class Kind:
    """One kind of event."""

    name: str
    weight: float
    """How often it is drawn, beside the others."""
    when: When
    """Whether it needs a server that runs, or one that does not."""
    fields: dict[str, Draw]
    act: Callable[..., None]


KINDS: dict[str, Kind] = {}


def kind(
    weight: float, *, when: When = "always", **fields: Draw
) -> Callable[[Callable[Concatenate[Stage, P], None]], Callable[Concatenate[Stage, P], None]]:
    """Register a function as what an event of its name does; `fields` are drawn for it."""

    def register(act: Callable[Concatenate[Stage, P], None]) -> Callable[Concatenate[Stage, P], None]:
        name = act.__name__
        assert name not in KINDS, f"There are two kinds of events called {name}."
        KINDS[name] = Kind(name, weight, when, fields, act)
        return act

    return register


# --- What fields are drawn from ------------------------------------------------------------------------


def one_of(*choices: Any) -> Draw:
    return lambda random: random.choice(choices)


def chance(share: float) -> Draw:
    """True with this probability."""
    return lambda random: random.random() < share


def up_to(most: int, least: int = 0) -> Draw:
    return lambda random: random.randint(least, most)


def share(random: Random) -> float:
    """Of a split, in hundredths."""
    return random.randint(10, 90) / 100


def picks(random: Random) -> Sequence[int]:
    """Which lanes deliver next."""
    return [random.randrange(31) for _ in range(random.randrange(1, 30))]


CLIENTS = 4


def client(random: Random) -> int:
    """The first is the busiest."""
    numbers: list[int] = [0, 0, *range(CLIENTS)]
    return numbers[random.randrange(len(numbers))]


def index(random: Random) -> int:
    """Of whatever there is: taken modulo how many there are."""
    return random.randrange(8)
