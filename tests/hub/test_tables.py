"""Nothing piles up: after 10,000 panes every table of the hub, and of the server around it, is as it was."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import pytest

from wormux.protocol.agent_link import Exit
from wormux.testing.sim.server import USER
from wormux.testing.sim.world import HubWorld

PANES = 25
"""In a round."""


def sizes(root: object) -> dict[str, int]:
    """How many entries every container that `root` reaches has, by its path."""
    found: dict[str, int] = {}
    seen: set[int] = set()
    todo = deque([("hub", root)])
    while todo:
        path, thing = todo.popleft()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, dict | list | set | frozenset | deque | tuple):
            found[path] = max(len(thing), found.get(path, 0))
        todo.extend(_inside(path, thing))
    return found


def _inside(path: str, thing: Any) -> Iterator[tuple[str, object]]:
    if isinstance(thing, str | bytes | int | float | Enum | type | types.FunctionType | types.MethodType):
        return
    if isinstance(thing, dict):
        yield from ((f"{path}[]", value) for value in thing.values())
    elif isinstance(thing, list | set | frozenset | deque | tuple):
        yield from ((f"{path}[]", value) for value in thing)
    elif is_dataclass(thing):
        yield from ((f"{path}.{field.name}", getattr(thing, field.name)) for field in fields(thing))
    elif hasattr(thing, "__dict__"):
        yield from ((f"{path}.{name}", value) for name, value in vars(thing).items())


@pytest.mark.parametrize("rounds", [8, pytest.param(400, marks=pytest.mark.slow)])
def test_ten_thousand_panes_leave_no_trace(rounds: int) -> None:
    world = HubWorld()
    client = world.attached()
    first = client.pane()

    def one_round() -> None:
        for number in range(PANES):
            client.say(
                "pane_split",
                paneId=first,
                orientation=("horizontal", "vertical")[number % 2],
                cols=20,
                rows=20,
            )
        world.run()
        world.advance(0.02)
        new = [pane_id for pane_id in client.panes if pane_id != first]
        assert len(new) == PANES
        for number, pane_id in enumerate(new):
            client.say("pane_resize", paneId=pane_id, cols=30 + number, rows=20)
            client.type(pane_id, b"x")
            world.live(pane_id).print(b"\x1b]0;title\x07")
        world.run()
        world.live(new[0]).end_with(Exit(0, ran_s=9.0))
        for pane_id in new[1:]:
            client.say("pane_close", paneId=pane_id)
        world.advance(2.0)  # no more control messages at a time than a client may send
        assert client.panes == [first]

    def measured() -> dict[str, int]:
        world.advance(60.0)
        client.say("ping", time=1)  # the times of older messages go with the next one
        world.run()
        world.effects.clear()
        client.messages.clear()
        return sizes(world.hub) | {
            "links": len(world.server.terminals),
            "lanes": len(world.lanes),
            "agent": len(world.agent_of(first).terminals),
        }

    for _ in range(11):  # until every channel was used once
        one_round()
    before = measured()
    for _ in range(rounds):
        one_round()
        world.machine.ptys.clear()
        world.truth._outputs.clear()
        world.truth._streams.clear()
        client.past_inputs.clear()
        client.model._closed.clear()
    assert measured() == before
    snapshot = world.store.load(USER)
    assert [pane.id for pane in snapshot.panes] == [first]
    assert len(snapshot.inputs) <= 1
    assert len(snapshot.checkpoints) <= 1
