"""The screens behind the panes: what they are fed and asked, and that losing one costs a redraw at most."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from wormux.hub.effects import AnswerTerminal, ForgetTerminal, HoldTerminal, Save, TellScreen
from wormux.hub.inputs import ScreenInput
from wormux.hub.notices import MODES_OFF
from wormux.ids import PaneId
from wormux.limits import (
    CHECKPOINT_AFTER_BYTES,
    FLOW_WINDOW_BYTES,
    LOG_BYTES,
    OUTPUT_FRAME_BYTES,
    REDRAW_LINES,
    SCREEN_BACKLOG_BYTES,
    SCREEN_EVERY_S,
    SCREENS_AT_ONCE,
)
from wormux.protocol.agent_link import Exit
from wormux.protocol.messages import Replay
from wormux.protocol.screen_link import (
    Answered,
    CheckpointTaken,
    CloseScreen,
    Fed,
    Feed,
    OpenScreen,
    ResizeScreen,
    ScreenGone,
    SetColors,
    Skip,
    TakeCheckpoint,
    TakeRedraw,
    Unreadable,
)
from wormux.records import Change
from wormux.testing.hub_world import SETTINGS, HubWorld
from wormux.testing.sim_client import SimClient
from wormux.testing.sim_screens import ANSWER, QUERY
from wormux.testing.sim_server import USER

LINE = b"0123456789abcdef" * 4 + b"\r\n"
FLOOD = LINE * (OUTPUT_FRAME_BYTES // len(LINE))
DARK = {"foreground": "#ffffff", "background": "#000000", "cursor": "#00ff00"}
LIGHT = {"foreground": "#101010", "background": "#ffffff", "cursor": "#0000ff"}


@pytest.fixture
def world() -> HubWorld:
    return HubWorld()


@pytest.fixture
def client(world: HubWorld) -> SimClient:
    return world.attached()


def told(world: HubWorld, kind: type[Any], pane_id: PaneId | None = None) -> list[Any]:
    """Requests of one kind since `effects` was cleared."""
    requests = [e for e in world.wanted(TellScreen) if isinstance(e, TellScreen)]
    return [
        e.request
        for e in requests
        if isinstance(e.request, kind) and (pane_id is None or e.pane_id == pane_id)
    ]


def fed(world: HubWorld) -> bytes:
    return b"".join(feed.data for feed in told(world, Feed))


def hold_screens(world: HubWorld, *, held: bool) -> None:
    """While held, they neither read nor answer."""
    world.lanes.lane("screens").held = held


def sleep(world: HubWorld, client: SimClient) -> None:
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)), force=True)
    world.advance(3.0)


def late_redraw(world: HubWorld, pane_id: PaneId, name: str = "late") -> bytes:
    """What somebody sees who attaches now."""
    return bytes(world.attached(name).output(pane_id).drawn)


class TestFeeding:
    def test_everything_that_is_printed_is_fed_in_order(self, world: HubWorld, client: SimClient) -> None:
        pty = world.live(client.pane())
        pty.print(b"wide")
        pty.resize(50, 20)
        pty.print(b"narrow")
        world.settle()
        requests = [e.request for e in world.wanted(TellScreen) if isinstance(e, TellScreen)]
        assert [one for one in requests if isinstance(one, Feed | ResizeScreen)] == [
            Feed(b"wide"),
            ResizeScreen(50, 20),
            Feed(b"narrow"),
        ]

    def test_a_terminal_waits_for_a_screen_that_does_not_keep_up(
        self, world: HubWorld, client: SimClient
    ) -> None:
        pane_id = client.pane()
        hold_screens(world, held=True)
        for _ in range(3 * SCREEN_BACKLOG_BYTES // len(FLOOD)):
            world.live(pane_id).print(FLOOD)
            world.run()
        pane = world.hub.world.panes[pane_id]
        assert world.wanted(HoldTerminal) == [HoldTerminal(pane_id, 1, held=True)]
        assert SCREEN_BACKLOG_BYTES < pane.log.end < SCREEN_BACKLOG_BYTES + 2 * OUTPUT_FRAME_BYTES
        hold_screens(world, held=False)
        world.advance(2.0)
        assert pane.log.end == world.live(pane_id).end
        assert fed(world) == world.live(pane_id).history
        assert world.wanted(HoldTerminal)[-1] == HoldTerminal(pane_id, 1, held=False)

    def test_a_late_event_of_an_old_epoch_changes_nothing(self, world: HubWorld, client: SimClient) -> None:
        pane_id = client.pane()
        world.live(pane_id).print(b"text")
        world.lose_screens()
        world.settle()
        pane = world.hub.world.panes[pane_id]
        screen = pane.screen
        assert screen is not None
        for event in (Fed(4000), ScreenGone("late"), CheckpointTaken(1, 2, 3, b""), Answered(900, b"late")):
            world.server.step(ScreenInput(pane_id, screen.epoch - 1, event))
        assert pane.screen is screen
        assert screen.done == 4
        assert pane.kept is None


class TestRedraws:
    def test_those_who_ask_together_share_one(self, world: HubWorld, client: SimClient) -> None:
        pane_id = client.pane()
        world.live(pane_id).print(b"text")
        world.settle()
        world.effects.clear()
        hold_screens(world, held=True)
        others = [world.client(f"other-{number}") for number in range(5)]
        for other in others:
            other.connect()
        world.settle()
        hold_screens(world, held=False)
        world.settle()
        assert len(told(world, TakeRedraw)) == 1
        assert all(other.output(pane_id).drawn == b"text" for other in others)

    def test_what_is_printed_meanwhile_follows_once(self, world: HubWorld, client: SimClient) -> None:
        pane_id = client.pane()
        world.live(pane_id).print(b"before ")
        world.settle()
        hold_screens(world, held=True)
        late = world.client("late")
        late.connect()
        world.settle()
        world.live(pane_id).print(b"meanwhile ")
        world.settle()
        later = world.client("later")
        later.connect()
        world.settle()
        hold_screens(world, held=False)
        world.live(pane_id).print(b"after")
        world.settle()
        assert late.output(pane_id).drawn == later.output(pane_id).drawn == b"before meanwhile after"
        assert late.output(pane_id).received == b"meanwhile after"

    def test_an_older_one_is_not_for_a_client_that_is_further(
        self, world: HubWorld, client: SimClient
    ) -> None:
        pane_id = client.pane()
        hold_screens(world, held=True)
        world.client("late").connect()
        world.settle()
        world.live(pane_id).print(b"meanwhile")
        world.settle()
        assert client.output(pane_id).position == 9
        client.say("pane_redraw", paneId=pane_id, lines=REDRAW_LINES)
        world.settle()
        hold_screens(world, held=False)
        world.settle()
        assert client.output(pane_id).replays[-1].position == 9

    def test_a_redraw_on_its_way_keeps_the_bounds(self, world: HubWorld, client: SimClient) -> None:
        first = client.pane()
        for _ in range(7):
            client.say("pane_split", paneId=first, orientation="horizontal", cols=20, rows=20)
            world.settle()
        hold_screens(world, held=True)
        for pane_id in client.panes:
            client.say("pane_redraw", paneId=pane_id, lines=10_000)
        world.settle()
        (connection,) = world.hub.world.connections.values()
        assert connection.reserved > 0
        assert len(told(world, TakeRedraw)) < 2 * 8, "Not all of them find room at once."
        hold_screens(world, held=False)
        world.advance(3.0)
        assert connection.reserved == 0
        assert all(len(client.output(pane_id).replays) == 2 for pane_id in client.panes)

    def test_output_leaves_room_for_a_redraw_on_its_way(self, world: HubWorld, client: SimClient) -> None:
        first = client.pane()
        for _ in range(2):
            client.say("pane_split", paneId=first, orientation="horizontal", cols=20, rows=20)
            world.settle()
        for _ in range(4):
            world.live(first).print(FLOOD)
            world.settle()
        hold_screens(world, held=True)
        client.say("pane_redraw", paneId=first, lines=10_000)
        world.settle()
        assert client.socket is not None
        client.socket.stalled = True
        for _ in range(FLOW_WINDOW_BYTES // len(FLOOD)):
            for pane_id in client.panes[1:]:
                world.live(pane_id).print(FLOOD)
            world.run()
        hold_screens(world, held=False)
        world.run()  # `sim_truth` checks the bound after every step
        client.socket.stalled = False
        world.advance(3.0)
        assert all(client.output(pane_id).position == world.live(pane_id).end for pane_id in client.panes)

    def test_a_client_that_leaves_is_not_waited_for(self, world: HubWorld, client: SimClient) -> None:
        hold_screens(world, held=True)
        late = world.client("late")
        late.connect()
        world.settle()
        late.cut()
        world.run()
        hold_screens(world, held=False)
        world.settle()
        assert client.attached
        assert late.output(client.pane()).drawn == b""


class TestAnswers:
    def test_a_query_is_answered_once_however_many_look_on(self, world: HubWorld, client: SimClient) -> None:
        for number in range(3):
            world.attached(f"other-{number}")
        world.live(client.pane()).print(b"ab" + QUERY + b"c")
        world.settle()
        world.attached("late")
        client.connect(resume=False)
        world.settle()
        assert world.live(client.pane()).answers == [(4, ANSWER)]

    def test_and_with_nobody_there(self, world: HubWorld, client: SimClient) -> None:
        pty = world.live(client.pane())
        client.cut()
        pty.print(QUERY)
        world.settle()
        assert pty.answers == [(1, ANSWER)]

    @pytest.mark.parametrize("fault", ["screens", "server", "both"])
    def test_a_lost_screen_or_server_answers_nothing_twice(
        self, world: HubWorld, client: SimClient, fault: str
    ) -> None:
        pty = world.live(client.pane())
        pty.print(b"one " + QUERY)
        world.settle()
        if fault != "server":
            world.lose_screens()
        if fault != "screens":
            world.kill_server()
            pty.print(b"two " + QUERY)
            world.start_server()
        pty.print(b"three " + QUERY)
        world.settle()
        assert sum(len(data) for _, data in pty.answers) == pty.history.count(QUERY)

    def test_an_answer_that_was_lost_with_its_screen_is_given_by_the_next(
        self, world: HubWorld, client: SimClient
    ) -> None:
        pty = world.live(client.pane())
        hold_screens(world, held=True)
        pty.print(QUERY)
        world.settle()
        world.lose_screens()
        hold_screens(world, held=False)
        world.settle()
        assert pty.answers == [(1, ANSWER)]

    def test_a_fresh_shell_gets_no_answer_to_what_the_old_one_asked(
        self, world: HubWorld, client: SimClient
    ) -> None:
        pane_id = client.pane()
        hold_screens(world, held=True)
        world.live(pane_id).print(QUERY)
        world.settle()
        world.kill_agent(pane_id)
        world.settle()
        client.type(pane_id, b"x")
        world.advance(3.0)
        hold_screens(world, held=False)
        world.settle()
        assert world.live(pane_id).generation == 2
        assert world.live(pane_id).answers == []
        assert not world.wanted(AnswerTerminal)


class TestColors:
    def test_those_of_the_client_that_typed_last(self, world: HubWorld) -> None:
        dark, light = world.client("dark"), world.client("light")
        dark.connect(colors=DARK)
        world.settle()
        light.connect(colors=LIGHT)
        world.settle()
        pane_id = dark.pane()
        pane = world.hub.world.panes[pane_id]
        assert pane.colors == (0x101010, 0xFFFFFF, 0x0000FF), "Before any typing, the newest."
        dark.type(pane_id, b"x")
        world.settle()
        assert told(world, SetColors)[-1] == SetColors(0xFFFFFF, 0x000000, 0x00FF00)
        light.say("client_update", colors=DARK | {"cursor": "#123456"})
        world.settle()
        assert pane.colors == (0xFFFFFF, 0x000000, 0x00FF00)
        dark.say("client_update", colors=LIGHT)
        world.settle()
        assert told(world, SetColors)[-1] == SetColors(0x101010, 0xFFFFFF, 0x0000FF)
        dark.cut()
        light.cut()
        world.settle()
        assert pane.colors == (0x101010, 0xFFFFFF, 0x0000FF), "They stay when all have left."

    def test_a_new_screen_hears_of_them(self, world: HubWorld) -> None:
        client = world.client("dark")
        client.connect(colors=DARK)
        world.settle()
        world.effects.clear()
        world.lose_screens()
        assert told(world, SetColors) == [SetColors(0xFFFFFF, 0x000000, 0x00FF00)]


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
