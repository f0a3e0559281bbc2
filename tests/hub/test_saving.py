"""What is stored, and when: before it is announced, in order, and whatever the store does (design, "Store")."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from wormux.hub.effects import ForgetTerminal, Save
from wormux.ids import PaneId
from wormux.limits import PANES
from wormux.protocol import messages as m
from wormux.protocol.agent_link import Exit
from wormux.records import Snapshot
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.server import USER
from wormux.testing.sim.world import SETTINGS, HubWorld


@pytest.fixture
def world() -> HubWorld:
    return HubWorld()


@pytest.fixture
def client(world: HubWorld) -> SimClient:
    client = world.attached()
    world.advance(3.0)
    return client


def stored(world: HubWorld) -> Snapshot:
    failure, world.store.failure = world.store.failure, None
    snapshot = world.store.load(USER)
    world.store.failure = failure
    return snapshot


def hear(client: SimClient) -> None:
    while client.socket is not None and len(client.socket.up):
        client.socket.up.deliver()


def test_a_request_is_saved_then_carried_out_then_announced(world: HubWorld, client: SimClient) -> None:
    rev = client.model.rev
    client.say("pane_split", paneId=client.pane(), orientation="vertical", cols=20, rows=20)
    hear(client)
    world.advance(1.0, deliver=False)
    assert len(world.hub.world.panes) == 1
    assert world.hub.world.rev == rev
    world.lanes.lane("store").deliver()
    assert len(stored(world).panes) == 2
    assert len(world.hub.world.panes) == 1
    world.lanes.lane("stored").deliver()
    assert len(world.hub.world.panes) == 2


@pytest.mark.parametrize(
    "request_fields",
    [
        ("session_create", {"name": "x"}),
        ("tab_create", {"sessionId": "session"}),
        ("tab_rename", {"tabId": "tab", "name": "x"}),
        ("tab_close", {"tabId": "tab"}),
        ("pane_split", {"paneId": "pane", "orientation": "vertical", "cols": 20, "rows": 20}),
        ("pane_close", {"paneId": "pane"}),
        ("session_rename", {"sessionId": "session", "name": "x"}),
        ("session_lease", {"sessionId": "session", "seconds": 100}),
        ("session_destroy", {"sessionId": "session"}),
    ],
    ids=lambda request: request[0],
)
def test_while_saving_fails_such_requests_get_storage(
    world: HubWorld, client: SimClient, request_fields: tuple[str, dict[str, object]]
) -> None:
    kind, fields = request_fields
    ids = {
        "session": next(iter(client.model.sessions)),
        "tab": next(iter(client.model.tabs)),
        "pane": client.pane(),
    }
    pane_id = client.pane()
    world.fail_saves()
    before = (world.hub.world.rev, dict(client.model.tabs), dict(client.model.sessions))
    ref = client.ask(
        kind,
        **{key: ids.get(value, value) if isinstance(value, str) else value for key, value in fields.items()},
    )
    world.settle()
    reply = client.answers[ref]
    assert isinstance(reply, m.Error)
    assert reply.code == "storage"
    assert (world.hub.world.rev, client.model.tabs, client.model.sessions) == before
    client.type(pane_id, b"ls\n")
    world.live(pane_id).print(b"file")
    world.settle()
    assert world.live(pane_id).typed == b"ls\n", "The shells go on."
    assert client.output(pane_id).received.endswith(b"file")
    world.fail_saves(failing=False)
    ref = client.ask("tab_rename", tabId=ids["tab"], name="y")
    world.settle()
    assert isinstance(client.answers[ref], m.Ok)


def test_connecting_needs_no_store(world: HubWorld, client: SimClient) -> None:
    world.fail_saves()
    client.connect()
    world.settle()
    assert client.attached
    assert client.errors == []
    world.advance(5.0)
    other = world.attached("other")
    assert other.attached
    assert other.errors == []


def test_the_first_session_is_made_when_the_store_works_again() -> None:
    world = HubWorld()
    world.run()
    world.fail_saves()
    client = world.attached()
    assert client.attached
    assert [error.code for error in client.errors] == ["storage"]
    assert not client.model.sessions
    world.fail_saves(failing=False)
    client.connect()
    world.settle()
    assert len(client.model.sessions) == 1


def test_other_saves_are_once_a_second_at_most(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    times = []
    for number in range(500):
        before = world.server.saves
        world.live(pane_id).print(b"\x1b]0;title %d\x07" % number + b"x" * 3000)
        client.type(pane_id, b"x")
        world.advance(0.01)
        if world.server.saves > before:
            times.append(world.now_s)
    assert 4 <= len(times) <= 6
    assert all(later - earlier >= 0.98 for earlier, later in pairwise(times))
    world.advance(2.0)
    assert stored(world).panes[0].title == "title 499"
    assert stored(world).inputs[0].position == 500


def test_a_failing_store_is_tried_once_a_second(world: HubWorld, client: SimClient) -> None:
    world.fail_saves()
    world.live(client.pane()).print(b"\x1b]0;kept\x07")
    before = world.server.saves
    world.advance(10.0)
    assert 9 <= world.server.saves - before <= 12
    world.fail_saves(failing=False)
    world.advance(2.0)
    assert stored(world).panes[0].title == "kept"
    assert world.hub._saver.idle


def test_nothing_is_saved_at_rest(world: HubWorld, client: SimClient) -> None:
    before = world.server.saves
    world.advance(60.0)
    assert world.server.saves == before


def test_a_late_update_brings_no_closed_pane_back(world: HubWorld, client: SimClient) -> None:
    first = client.pane()
    client.say("pane_split", paneId=first, orientation="vertical", cols=20, rows=20)
    world.settle()
    second = client.panes[1]
    world.advance(3.0)
    world.live(second).print(b"\x1b]0;late\x07")
    client.say("pane_close", paneId=second)
    hear(client)
    world.run()
    world.advance(3.0)
    assert [pane.id for pane in stored(world).panes] == [first]
    assert [one.pane_id for one in stored(world).checkpoints] in ([], [first])


def test_nothing_old_is_saved_between_a_plan_and_its_end(world: HubWorld, client: SimClient) -> None:
    """A drag falls together with a split whose save takes long: the stored layout keeps the new pane."""
    first = client.pane()
    client.say("pane_split", paneId=first, orientation="horizontal", cols=20, rows=20)
    world.advance(3.0)
    client.say("pane_split", paneId=first, orientation="vertical", cols=20, rows=20)
    client.say("layout_resize", tabId=next(iter(client.model.tabs)), path=[], ratios=[0.3, 0.7])
    hear(client)
    world.advance(3.0, deliver=False)
    assert len(world.wanted(Save)) > 0
    world.lanes.lane("store").deliver()
    snapshot = stored(world)
    assert len(snapshot.panes) == 3
    assert all(pane.id.encode() in snapshot.tabs[0].layout for pane in snapshot.panes)
    world.settle()
    world.restart()
    client.connect()
    world.settle()
    assert len(client.panes) == 3


def test_a_channel_is_not_stored_as_free_while_it_is_given_out(world: HubWorld, client: SimClient) -> None:
    first = client.pane()
    client.say("pane_split", paneId=first, orientation="horizontal", cols=20, rows=20)
    world.settle()
    client.say("pane_close", paneId=client.panes[1])
    world.advance(3.0)
    world.hub.world.channels._next = PANES
    client.say("pane_split", paneId=first, orientation="horizontal", cols=20, rows=20)
    client.say("tab_switch", tabId=next(iter(client.model.tabs)))
    world.hub._saver.touch_meta()
    hear(client)
    world.advance(3.0, deliver=False)
    while len(world.lanes.lane("store")):
        world.lanes.lane("store").deliver()
        snapshot = stored(world)
        assert not {pane.channel for pane in snapshot.panes} & set(snapshot.meta.free_channels)


def test_an_ended_pane_is_closed_when_that_is_stored(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.fail_saves()
    world.live(pane_id).end_with(Exit(0, ran_s=10.0))
    world.advance(3.0)
    assert client.status(pane_id) == "exited"
    assert client.model.connected == {pane_id: False}
    world.fail_saves(failing=False)
    world.advance(2.0)
    assert client.panes == []
    assert stored(world).panes == ()


def test_an_agent_forgets_an_end_when_that_is_stored() -> None:
    world = HubWorld(replace(SETTINGS, exit_behavior="hold"))
    client = world.attached()
    pane_id = client.pane()
    client.type(pane_id, b"exit\n")
    world.settle()
    agent = world.agent_of(pane_id)
    world.fail_saves()
    world.live(pane_id).end_with(Exit(0, ran_s=10.0))
    world.advance(3.0)
    assert list(agent.terminals) == [pane_id]
    assert not world.wanted(ForgetTerminal)
    world.fail_saves(failing=False)
    world.advance(2.0)
    assert agent.terminals == {}
    assert stored(world).inputs[0].position == 5
    assert not world.server.terminals


def test_stopping_saves_at_once_and_a_full_store_does_not_spin(world: HubWorld, client: SimClient) -> None:
    from wormux.hub.inputs import ServerStopping

    world.live(client.pane()).print(b"last words")
    world.run()
    world.server.step(ServerStopping())
    world.run()
    assert stored(world).checkpoints[0].log == b"last words"
    assert client.code == 1001
    world.fail_saves()
    before = world.server.saves
    world.live(PaneId(stored(world).panes[0].id)).print(b"\x1b]0;x\x07")
    world.run()
    assert world.server.saves - before <= 2


def test_a_pane_that_waits_to_be_closed_is_not_attached_again(world: HubWorld, client: SimClient) -> None:
    """Its sandbox is found anew meanwhile, with the ended terminal in it."""
    first = client.pane()
    client.say("pane_split", paneId=first, orientation="vertical", cols=20, rows=20)
    world.settle()
    second = client.panes[1]
    world.fail_saves()
    world.live(second).end_with(Exit(0, ran_s=10.0))
    world.run()
    world.cut_sandbox(first)
    world.advance(2.0)
    assert client.status(first) == "connected"
    assert client.status(second) == "exited"
    assert world.hub.world.panes[second].attempt is None
    world.fail_saves(failing=False)
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)))
    world.advance(2.0)
    assert client.panes == [first]
    assert client.status(first) == "asleep"
