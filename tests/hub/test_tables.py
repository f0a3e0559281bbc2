"""What was closed is gone: no table of the hub keeps anything of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sized
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from wormux.hub.inputs import FramesSent
from wormux.limits import CONTROL_MESSAGES_WITHIN_S, PANES
from wormux.testing.hub_world import HubWorld
from wormux.testing.sim_client import SimClient
from wormux.testing.sim_truth import SimTruth

from .kit import session_of, sleep, split

PANES_IN_ALL = 10_000
AT_A_TIME = 20
IGNORED = {"_snapshot", "effects", "_heap", "_shared_frame", "message_times"}
"""Of one step alone, or bounded by themselves."""


def containers(thing: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Sized]]:
    """Every container that can be reached from `thing`, with the way there."""
    if id(thing) in seen or isinstance(thing, str | bytes | int | float | type | None):
        return
    seen.add(id(thing))
    if isinstance(thing, dict | list | set | frozenset | tuple | deque | bytearray):
        yield path, thing
    if isinstance(thing, dict):
        for key, value in thing.items():
            yield from containers(value, f"{path}[{key}]", seen)
    elif isinstance(thing, list | set | frozenset | tuple | deque):
        for item in thing:
            yield from containers(item, f"{path}[]", seen)
    elif type(thing).__module__.startswith("wormux"):
        for name in attributes(thing):
            if name not in IGNORED:
                yield from containers(getattr(thing, name), f"{path}.{name}", seen)


def attributes(thing: Any) -> Iterable[str]:
    """Names of what belongs to a dataclass, a message or a plain object."""
    if is_dataclass(thing):
        return (field.name for field in fields(thing))
    return getattr(thing, "__struct_fields__", None) or getattr(thing, "__dict__", {})


def sizes(world: HubWorld) -> dict[str, int]:
    """The sizes of all containers of the hub, those at one path together."""
    found: dict[str, int] = {}
    for path, container in containers(world.hub, "hub", set()):
        found[path] = found.get(path, 0) + len(container)
    return found


def open_and_close(world: HubWorld, client: SimClient, count: int) -> None:
    """Split off so many panes, type in each, close them again."""
    first = client.panes[0]
    before = set(client.panes)
    for _ in range(count):
        client.ask("pane_split", paneId=first, orientation="vertical", cols=20, rows=5)
    world.advance(CONTROL_MESSAGES_WITHIN_S)
    fresh = [pane for pane in client.panes if pane not in before]
    assert len(fresh) == count
    for pane_id in fresh:
        client.type(pane_id, b"x")
        client.say("pane_resize", paneId=pane_id, cols=30, rows=6)
        world.live(pane_id).print(b"\x1b]0;title\x07out")
    world.advance(CONTROL_MESSAGES_WITHIN_S)
    for pane_id in fresh:
        client.ask("pane_close", paneId=pane_id)
    world.advance(CONTROL_MESSAGES_WITHIN_S)
    assert set(client.panes) == before
    client.answers.clear()
    client.messages.clear()
    client.past_inputs.clear()
    world.effects.clear()
    world.truth = SimTruth()  # its books would be the largest by far
    for pane_id in fresh:
        del world.machine.ptys[pane_id]


def test_the_search_finds_what_it_has_to() -> None:
    world = HubWorld()
    world.attached()
    found = sizes(world)
    for name in ("_world.panes", "_world.timers._at", "_saver._dirty.panes", "_world.channels._freed"):
        assert any(path == f"hub.{name}" for path in found), name
    before = len(found)
    split(world, world.clients[0], world.clients[0].pane())
    assert len(sizes(world)) > before


@pytest.mark.slow
def test_ten_thousand_panes_leave_nothing() -> None:
    world = HubWorld()
    client = world.attached()
    for _ in range(PANES // AT_A_TIME + 1):  # until every channel was used
        open_and_close(world, client, AT_A_TIME)
    before = sizes(world)
    for _ in range(PANES_IN_ALL // AT_A_TIME):
        open_and_close(world, client, AT_A_TIME)
    assert sizes(world) == before


def test_panes_closed_in_their_sleep_leave_nothing() -> None:
    world = HubWorld()
    client = world.attached()
    first = client.pane()

    def come_and_go() -> None:
        client.type(first, b"x")
        world.settle()
        pane_id = split(world, client, first)
        client.type(pane_id, b"x")
        sleep(world, client)
        client.type(pane_id, b"x")
        client.ask("pane_close", paneId=pane_id)
        world.advance(CONTROL_MESSAGES_WITHIN_S)

    for _ in range(PANES):
        come_and_go()
    before = sizes(world)
    for _ in range(20):
        come_and_go()
    output = ("._chunks", "._starts")
    grown = {path for path, size in sizes(world).items() if size > before.get(path, 0)}
    assert all(path.endswith(output) for path in grown), grown


def test_sessions_that_are_destroyed_leave_nothing() -> None:
    world = HubWorld()
    client = world.attached()

    def come_and_go() -> None:
        for number in range(10):
            client.ask("session_create", name=f"s{number}")
        world.settle()
        for session_id in list(client.model.sessions)[1:]:
            client.ask("session_lease", sessionId=session_id, seconds=1000, reason="x")
            client.ask("session_destroy", sessionId=session_id)
        world.advance(CONTROL_MESSAGES_WITHIN_S)
        assert len(client.model.sessions) == 1

    for _ in range(PANES // 10 + 1):
        come_and_go()
    before = sizes(world)
    for _ in range(10):
        come_and_go()
    assert sizes(world) == before
    assert list(world.machine.agents) == [world.sandbox_of(client.pane())]
    assert session_of(client) in world.hub.world.sessions


def test_clients_that_come_and_go_leave_nothing() -> None:
    world = HubWorld()
    client = world.attached()
    client.type(client.pane(), b"x")
    world.advance(1.5)
    before = sizes(world)
    for number in range(200):
        other = world.attached(None)
        other.type(client.pane(), b"x")
        other.say("pane_resize", paneId=client.pane(), cols=20 + number % 7, rows=9)
        world.run()
        other.cut()
        world.run()
    world.advance(1.5)
    after = {path: size for path, size in sizes(world).items() if "_sizes" not in path}
    assert after == {path: size for path, size in before.items() if "_sizes" not in path}


def test_news_of_connections_that_are_gone_makes_nothing() -> None:
    world = HubWorld()
    client = world.attached()
    assert client.socket is not None
    gone = client.socket.connection_id
    client.cut()
    world.advance(2)
    before = sizes(world)
    world.server.step(FramesSent(gone, 10))
    assert sizes(world) == before
