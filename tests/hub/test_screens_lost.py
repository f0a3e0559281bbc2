"""Losing screens costs a redraw at most, and those that nobody needs are put away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.hub.screens_kit import FLOOD, LINE, fed, hold_screens, late_redraw, sleep, told
from wormux.hub.effects import ForgetTerminal, Save
from wormux.hub.inputs import ScreenInput
from wormux.hub.notices import MODES_OFF
from wormux.limits import (
    CHECKPOINT_AFTER_BYTES,
    LOG_BYTES,
    SCREEN_BACKLOG_BYTES,
    SCREEN_EVERY_S,
    SCREENS_AT_ONCE,
)
from wormux.protocol.agent_link import Exit
from wormux.protocol.messages import Replay
from wormux.protocol.screen_link import (
    CloseScreen,
    OpenScreen,
    Skip,
    TakeCheckpoint,
    Unreadable,
)
from wormux.records import Change
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.server import USER
from wormux.testing.sim.world import SETTINGS, HubWorld


@pytest.fixture
def world() -> HubWorld:
    return HubWorld()


@pytest.fixture
def client(world: HubWorld) -> SimClient:
    return world.attached()


class TestLosing:
    def test_the_next_one_begins_where_the_last_checkpoint_was(
        self, world: HubWorld, client: SimClient
    ) -> None:
        pane_id = client.pane()
        pty = world.live(pane_id)
        for _ in range(2 * CHECKPOINT_AFTER_BYTES // len(FLOOD)):
            pty.print(FLOOD)
        world.advance(2.0)
        pane = world.hub.world.panes[pane_id]
        kept = pane.kept
        assert kept is not None
        pty.print(b"after the checkpoint")
        world.settle()
        world.effects.clear()
        world.lose_screens()
        world.settle()
        (begin,) = told(world, OpenScreen)
        assert (begin.position, begin.state) == (kept.position, kept.state)
        assert fed(world) == pty.history[kept.position :]
        assert client.model.connected[pane_id]
        assert late_redraw(world, pane_id).endswith(LINE + b"after the checkpoint")

    def test_what_the_log_does_not_reach_is_skipped_and_repainted(
        self, world: HubWorld, client: SimClient
    ) -> None:
        pane_id = client.pane()
        pty = world.live(pane_id)
        pty.print(b"x" * CHECKPOINT_AFTER_BYTES)
        world.advance(2.0)
        for _ in range(2 * LOG_BYTES // len(FLOOD)):
            pty.print(FLOOD)
            world.run()
        resizes = pty.resizes
        world.effects.clear()
        world.lose_screens()
        world.settle()
        (skip,) = told(world, Skip)
        assert skip.position == world.hub.world.panes[pane_id].log.start
        assert pty.resizes == resizes + 1
        assert late_redraw(world, pane_id).endswith(LINE)

    def test_clients_that_wait_for_a_redraw_get_it_from_the_next(
        self, world: HubWorld, client: SimClient
    ) -> None:
        pane_id = client.pane()
        world.live(pane_id).print(b"text")
        world.settle()
        hold_screens(world, held=True)
        late = world.client("late")
        late.connect()
        client.say("pane_redraw", paneId=pane_id, lines=7)
        world.settle()
        world.lose_screens()
        hold_screens(world, held=False)
        world.settle()
        assert late.output(pane_id).drawn == b"text"
        assert len(client.output(pane_id).replays) == 2

    def test_a_terminal_does_not_wait_for_a_screen_that_is_gone(
        self, world: HubWorld, client: SimClient
    ) -> None:
        pane_id = client.pane()
        hold_screens(world, held=True)
        for _ in range(2 * SCREEN_BACKLOG_BYTES // len(FLOOD)):
            world.live(pane_id).print(FLOOD)
            world.run()
        for _ in range(SCREENS_AT_ONCE + 1):
            world.lose_screens()
        hold_screens(world, held=False)
        assert world.hub.world.panes[pane_id].screen is None
        world.run()
        assert client.output(pane_id).whole() == world.live(pane_id).history

    def test_the_next_ones_wait_a_second(self, world: HubWorld, client: SimClient) -> None:
        pane_id = client.pane()
        pane = world.hub.world.panes[pane_id]
        hold_screens(world, held=True)
        world.effects.clear()
        for _ in range(SCREENS_AT_ONCE + 1):
            world.lose_screens()
        assert len(told(world, OpenScreen)) == SCREENS_AT_ONCE
        for _ in range(20):
            world.advance(SCREEN_EVERY_S / 2)
            world.lose_screens()
        assert len(told(world, OpenScreen)) == SCREENS_AT_ONCE + 10
        late = world.client("late")
        late.connect()
        world.advance(SCREEN_EVERY_S / 4)
        hold_screens(world, held=False)
        world.advance(SCREEN_EVERY_S)
        assert pane.screens_lost == 0
        assert len(late.output(pane_id).replays) == 1, "Who waited for a redraw has it."

    def test_a_stored_one_that_cannot_be_read_is_drawn_from_the_log(
        self, world: HubWorld, client: SimClient
    ) -> None:
        pane_id = client.pane()
        world.live(pane_id).print(b"shown\r\n" * 100)
        sleep(world, client)
        world.kill_server()
        (checkpoint,) = world.store.load(USER).checkpoints
        world.store.apply(USER, Change(put_checkpoints=(replace(checkpoint, screen=b"garbage"),)))
        world.start_server()
        world.effects.clear()
        drawn = late_redraw(world, pane_id)
        assert drawn == b"shown\r\n" * 100 + MODES_OFF
        assert [one.state for one in told(world, OpenScreen)] == [b"garbage", None]

    def test_that_it_is_unreadable_is_forgotten(self, world: HubWorld, client: SimClient) -> None:
        pane_id = client.pane()
        pane = world.hub.world.panes[pane_id]
        world.server.step(ScreenInput(pane_id, pane.screen_epoch, Unreadable("It cannot be read.")))
        world.settle()
        assert pane.kept is None
        assert pane.screen is not None


class TestResting:
    def test_the_screen_of_a_sleeping_pane_is_put_away(self, world: HubWorld, client: SimClient) -> None:
        pane_id = client.pane()
        world.live(pane_id).print(b"text")
        sleep(world, client)
        pane = world.hub.world.panes[pane_id]
        assert pane.screen is None
        assert told(world, CloseScreen) == [CloseScreen()]
        assert pane.kept is not None
        assert pane.kept.position == pane.log.end
        world.effects.clear()
        assert late_redraw(world, pane_id) == b"text" + MODES_OFF
        assert pane.screen is None, "It was there for the redraw alone."
        assert not told(world, TakeCheckpoint)

    def test_a_size_while_it_rests_is_known_to_the_next(self, world: HubWorld, client: SimClient) -> None:
        pane_id = client.pane()
        sleep(world, client)
        client.say("pane_resize", paneId=pane_id, cols=44, rows=11)
        world.settle()
        late = world.attached("late")
        assert late.output(pane_id).size == (44, 11)

    def test_a_woken_pane_goes_on_with_its_screen(self, world: HubWorld, client: SimClient) -> None:
        pane_id = client.pane()
        world.live(pane_id).print(b"before")
        sleep(world, client)
        client.type(pane_id, b"x")
        world.advance(3.0)
        world.live(pane_id).print(b"after")
        world.settle()
        drawn = late_redraw(world, pane_id)
        assert drawn.startswith(b"before")
        assert drawn.endswith(b"after")

    def test_an_agent_forgets_a_terminal_when_its_end_is_stored(self) -> None:
        """Not when an older checkpoint is, which was on its way when the terminal ended."""
        world = HubWorld(replace(SETTINGS, exit_behavior="hold"))
        client = world.attached()
        pane_id = client.pane()
        pty = world.live(pane_id)
        world.advance(2.0)
        hold_screens(world, held=True)
        pty.print(b"x" * CHECKPOINT_AFTER_BYTES)
        world.run()
        assert len(told(world, TakeCheckpoint)) == 1
        pty.print(b"last words")
        pty.end_with(Exit(0, ran_s=5.0))
        world.run()
        assert len(told(world, TakeCheckpoint)) == 2
        world.advance(2.0)
        hold_screens(world, held=False)
        world.advance(3.0)
        kinds = [type(effect) for effect in world.effects]
        before = world.effects[: kinds.index(ForgetTerminal)]
        stored = [one for e in before if isinstance(e, Save) for one in e.change.put_checkpoints]
        assert stored[-1].end == world.hub.world.panes[pane_id].log.end

    def test_closing_a_pane_frees_what_its_redraw_would_have_taken(
        self, world: HubWorld, client: SimClient
    ) -> None:
        first = client.pane()
        client.say("pane_split", paneId=first, orientation="horizontal", cols=20, rows=20)
        world.settle()
        (connection,) = world.hub.world.connections.values()
        hold_screens(world, held=True)
        client.say("pane_redraw", paneId=first, lines=5)
        world.settle()
        assert connection.reserved > 0
        client.say("pane_close", paneId=first)
        world.settle()
        assert connection.reserved == 0

    def test_closing_a_pane_closes_its_screen(self, world: HubWorld, client: SimClient) -> None:
        client.say("pane_close", paneId=client.pane())
        world.settle()
        assert told(world, CloseScreen) == [CloseScreen()]

    def test_a_restarted_server_asks_for_all_that_the_agent_keeps(
        self, world: HubWorld, client: SimClient
    ) -> None:
        """A client may be further behind than what the store has."""
        pane_id = client.pane()
        pty = world.live(pane_id)
        pty.print(FLOOD)
        world.settle()
        client.cut()
        for _ in range(2 * CHECKPOINT_AFTER_BYTES // len(FLOOD)):
            pty.print(FLOOD)
        world.advance(3.0)
        kept = world.hub.world.panes[pane_id].kept
        assert kept is not None
        world.kill_server()
        world.effects.clear()
        pty.print(b"meanwhile")
        world.start_server()
        client.connect()
        world.settle()
        (replay,) = client.said(Replay)
        assert (replay.position, replay.reset) == (len(FLOOD), False)
        assert client.output(pane_id).whole() == pty.history
        assert fed(world) == pty.history[kept.position :]
