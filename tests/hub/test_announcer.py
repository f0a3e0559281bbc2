"""What changed is told in as few updates as can be, and always at last (protocol §4)."""

from __future__ import annotations

import pytest

from wormux.hub.effects import SendFrame
from wormux.protocol import messages as m
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.world import HubWorld


@pytest.fixture
def world() -> HubWorld:
    return HubWorld()


@pytest.fixture
def client(world: HubWorld) -> SimClient:
    return world.attached()


def updates(client: SimClient) -> list[m.LayoutUpdate]:
    return client.said(m.LayoutUpdate)


def test_at_most_one_update_in_16_ms(world: HubWorld, client: SimClient) -> None:
    tab_id = next(iter(client.model.tabs))
    client.messages.clear()
    for number in range(200):
        client.say("tab_rename", tabId=tab_id, name=f"n{number}")
        world.advance(0.001)
    world.settle()
    assert 12 <= len(updates(client)) <= 14
    assert updates(client)[-1].tabs[0].name == "n199", "Always a last one."


def test_quiet_changes_wait_for_250_ms(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    client.messages.clear()
    for number in range(100):
        world.live(pane_id).print(b"\x1b]0;title %d\x07" % number)
        world.advance(0.01)
    world.settle()
    assert 4 <= len(updates(client)) <= 6
    assert client.model.panes[pane_id].title == "title 99"


def test_a_loud_change_takes_the_quiet_ones_with_it(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.live(pane_id).print(b"\x1b]0;one\x07")
    world.settle()
    world.live(pane_id).print(b"\x1b]0;at once\x07")
    world.run()
    client.messages.clear()
    world.live(pane_id).print(b"\x1b]0;two\x07")
    world.run()
    client.say("tab_rename", tabId=next(iter(client.model.tabs)), name="loud")
    world.advance(0.05)
    (update,) = updates(client)
    assert update.panes[pane_id].title == "two"


def test_the_first_quiet_change_after_a_pause_goes_at_once(world: HubWorld, client: SimClient) -> None:
    world.advance(1.0)
    client.messages.clear()
    world.live(client.pane()).print(b"\x1b]0;one\x07")
    world.run()
    assert len(updates(client)) == 1


def test_only_changed_panes_are_in_an_update(world: HubWorld, client: SimClient) -> None:
    first = client.pane()
    client.say("pane_split", paneId=first, orientation="vertical", cols=20, rows=20)
    world.settle()
    world.advance(1.0)
    client.messages.clear()
    world.live(first).print(b"\x1b]0;one\x07")
    world.settle()
    (update,) = updates(client)
    assert list(update.panes) == [first]
    assert len(update.connected) == len(update.channels) == 2


def test_an_ok_comes_behind_the_update(world: HubWorld, client: SimClient) -> None:
    tab_id = next(iter(client.model.tabs))
    for number in range(5):
        client.messages.clear()
        client.ask("tab_rename", tabId=tab_id, name=f"n{number}")
        world.advance(0.05)
        kinds = [type(message) for message in client.messages]
        assert kinds == [m.LayoutUpdate, m.Ok]


def test_an_ok_is_not_kept_waiting_by_quiet_changes(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.live(pane_id).print(b"\x1b]0;one\x07")
    world.settle()
    world.live(pane_id).print(b"\x1b]0;two\x07")
    world.run()
    world.live(pane_id).print(b"\x1b]0;three\x07")
    world.run()
    ref = client.ask("ping", time=1.0)
    world.advance(0.05)
    assert ref in client.answers


def test_a_hundred_panes_that_fall_asleep_cost_a_handful(world: HubWorld, client: SimClient) -> None:
    first = client.pane()
    for _ in range(99):
        client.say("pane_split", paneId=first, orientation="horizontal", cols=20, rows=20)
        world.run()
    world.advance(3.0)
    client.messages.clear()
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)))
    world.settle()
    assert all(client.status(pane_id) == "asleep" for pane_id in client.panes)
    assert len(updates(client)) <= 4


def test_the_revision_rises_with_every_announced_change(world: HubWorld, client: SimClient) -> None:
    """`Model` holds it to that with every update; here, that a new client's is not older."""
    client.say("tab_rename", tabId=next(iter(client.model.tabs)), name="x")
    world.settle()
    assert world.attached("other").model.rev == client.model.rev


def test_sessions_are_told_only_when_they_changed(world: HubWorld, client: SimClient) -> None:
    client.messages.clear()
    client.say("tab_rename", tabId=next(iter(client.model.tabs)), name="x")
    world.settle()
    assert [isinstance(update.sessions, tuple) for update in updates(client)] == [False]
    client.say("session_rename", sessionId=next(iter(client.model.sessions)), name="x")
    world.settle()
    assert isinstance(updates(client)[-1].sessions, tuple)


def test_busy_names_the_pane_where_there_are_several(world: HubWorld, client: SimClient) -> None:
    from wormux.hub.inputs import SandboxInput
    from wormux.protocol.agent_link import Busy

    first = client.pane()
    sandbox_id = world.sandbox_of(first)
    world.server.step(SandboxInput(sandbox_id, Busy("vim", first)))
    world.settle()
    assert next(iter(client.model.sessions.values())).busy == "vim"
    client.say("pane_split", paneId=first, orientation="vertical", cols=20, rows=20)
    world.settle()
    second = client.panes[1]
    world.server.step(SandboxInput(sandbox_id, Busy("make", second)))
    world.settle()
    assert next(iter(client.model.sessions.values())).busy == "make in pane 2"


def test_who_saw_no_tabs_looks_at_the_first_that_is_made(world: HubWorld, client: SimClient) -> None:
    other = world.attached("other")
    session_id = next(iter(client.model.sessions))
    client.say("tab_close", tabId=next(iter(client.model.tabs)))
    world.settle()
    assert other.model.active_tab is None
    client.say("tab_create", sessionId=session_id)
    world.settle()
    assert other.model.active_tab == next(iter(other.model.tabs))


def test_an_ok_waits_with_the_update_that_is_not_due(world: HubWorld, client: SimClient) -> None:
    tab_id = next(iter(client.model.tabs))
    client.messages.clear()
    refs = [client.ask("tab_rename", tabId=tab_id, name=f"n{number}") for number in range(2)]
    world.run()
    assert [ref in client.answers for ref in refs] == [True, False]
    world.advance(0.02)
    kinds = [type(message) for message in client.messages]
    assert kinds == [m.LayoutUpdate, m.Ok, m.LayoutUpdate, m.Ok]


def test_an_update_is_written_once_for_all_who_see_the_same(world: HubWorld, client: SimClient) -> None:
    other, elsewhere = world.attached("other"), world.attached("elsewhere")
    old_tab = next(iter(client.model.tabs))
    elsewhere.say("tab_create", sessionId=next(iter(client.model.sessions)))
    world.settle()
    (new_tab,) = elsewhere.model.tabs.keys() - {old_tab}
    assert (client.model.active_tab, other.model.active_tab, elsewhere.model.active_tab) == (
        old_tab,
        old_tab,
        new_tab,
    )
    world.effects.clear()
    client.say("tab_rename", tabId=new_tab, name="seen by all")
    world.settle()
    sent = [effect.frame for effect in world.effects if isinstance(effect, SendFrame)]
    updates = [frame for frame in sent if b'"layout_update"' in frame]
    assert len(updates) == 3
    assert len({id(frame) for frame in updates}) == 2
    assert {one.model.tabs[new_tab].name for one in (client, other, elsewhere)} == {"seen by all"}
    assert (client.model.active_tab, elsewhere.model.active_tab) == (old_tab, new_tab)
