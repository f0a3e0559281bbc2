"""What the hub says for the audit log: who did what, and that it says no more."""

from __future__ import annotations

import pytest

from wormux.hub.effects import Deed, Note
from wormux.protocol.agent_link import Exit
from wormux.testing.sim.world import HubWorld


def notes(world: HubWorld) -> list[Note]:
    return [effect for effect in world.effects if isinstance(effect, Note)]


def deeds(world: HubWorld) -> list[Deed]:
    return [note.deed for note in notes(world)]


@pytest.fixture
def world() -> HubWorld:
    return HubWorld()


def test_a_client_that_comes_and_goes_is_noted_with_its_name(world: HubWorld) -> None:
    client = world.attached("me")
    first, attached = notes(world)
    assert (first.deed, first.name) == (Deed.SESSION_CREATE, "main")
    assert (attached.deed, attached.client_id) == (Deed.ATTACH, "me")
    assert attached.connection_id == first.connection_id is not None
    client.cut()
    world.settle()
    assert (notes(world)[-1].deed, notes(world)[-1].client_id) == (Deed.DETACH, "me")


def test_what_is_refused_and_what_is_looked_at_is_not_noted(world: HubWorld) -> None:
    client = world.attached("me")
    before = deeds(world)
    client.ask("tab_close", tabId="t_none")
    client.ask("pane_split", paneId="p_none", orientation="horizontal", cols=10, rows=10)
    client.ask("session_create", name="")
    client.ask("ping", time=1)
    world.settle()
    assert deeds(world) == before


def test_what_comes_about_by_itself_has_no_client(world: HubWorld) -> None:
    client = world.attached("me")
    world.live(client.pane()).end_with(Exit(0, ran_s=10.0))
    world.settle()
    closed = notes(world)[-1]
    assert (closed.deed, closed.connection_id, closed.client_id) == (Deed.TAB_CLOSE, None, None)
