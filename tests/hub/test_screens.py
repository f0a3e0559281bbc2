"""The screens behind the panes: what they are fed, and what is asked of them."""

from __future__ import annotations

import pytest

from tests.hub.screens_kit import DARK, FLOOD, LIGHT, fed, hold_screens, told
from wormux.hub.effects import AnswerTerminal, HoldTerminal, TellScreen
from wormux.hub.inputs import ScreenInput
from wormux.limits import (
    FLOW_WINDOW_BYTES,
    OUTPUT_FRAME_BYTES,
    REDRAW_LINES,
    SCREEN_BACKLOG_BYTES,
)
from wormux.protocol.screen_link import (
    Answered,
    CheckpointTaken,
    Fed,
    Feed,
    ResizeScreen,
    ScreenGone,
    SetColors,
    TakeRedraw,
)
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.screens import ANSWER, QUERY
from wormux.testing.sim.world import HubWorld


@pytest.fixture
def world() -> HubWorld:
    return HubWorld()


@pytest.fixture
def client(world: HubWorld) -> SimClient:
    return world.attached()


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
        world.run()  # `truth` checks the bound after every step
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
