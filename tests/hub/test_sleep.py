"""A sandbox sleeps when nothing happens in it, and never while something is busy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wormux.errors import ErrorCode
from wormux.hub.effects import OpenTerminal, StopSandbox, WakeSandbox
from wormux.limits import BUSY_AGAIN_S
from wormux.protocol import messages as m
from wormux.protocol.agent_link import Open
from wormux.testing.hub_world import SETTINGS, HubWorld
from wormux.testing.sim_client import SimClient

from .kit import ask, deliver, done, pane_of, refused, session_of, sleep, split, wanted

IDLE_S = 600.0


def begin(idle_timeout_s: float | None = IDLE_S) -> tuple[HubWorld, SimClient]:
    world = HubWorld(replace(SETTINGS, idle_timeout_s=idle_timeout_s))
    client = world.attached()
    world.effects.clear()
    return world, client


def status(client: SimClient) -> str:
    return client.model.sessions[session_of(client)].status


def sleeps_at(client: SimClient) -> int | None:
    return client.model.sessions[session_of(client)].sleeps_at


# --- Idle ----------------------------------------------------------------------------------------------------


def test_an_idle_sandbox_sleeps_and_its_panes_are_asleep() -> None:
    world, client = begin()
    world.advance(IDLE_S - 1)
    assert status(client) == "awake"
    world.advance(2)
    assert status(client) == "asleep"
    assert client.status(client.pane()) == "asleep"
    assert client.model.connected == {client.pane(): False}
    (stop,) = wanted(world, StopSandbox)
    assert not stop.force


def test_without_a_timeout_it_never_sleeps_by_itself() -> None:
    world, client = begin(None)
    world.advance(1_000_000)
    assert status(client) == "awake"


def test_a_client_that_is_only_there_does_not_keep_it_awake() -> None:
    world, client = begin()
    for _ in range(70):
        world.advance(10)
        client.say("ping", time=1)
    world.run()
    assert status(client) == "asleep"


def test_input_keeps_it_awake() -> None:
    world, client = begin()
    for _ in range(5):
        world.advance(IDLE_S - 10)
        client.type(client.pane(), b"x")
    world.advance(IDLE_S - 10)
    assert status(client) == "awake"
    world.advance(20)
    assert status(client) == "asleep"


def test_output_keeps_it_awake() -> None:
    world, client = begin()
    for _ in range(5):
        world.advance(IDLE_S - 10)
        world.live(client.pane()).print(b"tick\r\n")
    world.advance(IDLE_S - 10)
    assert status(client) == "awake"
    world.advance(20)
    assert status(client) == "asleep"


def test_what_is_busy_keeps_it_awake_and_says_why() -> None:
    world, client = begin()
    world.agent_of(client.pane()).busy = "make and 3 more"
    world.advance(10 * IDLE_S)
    assert status(client) == "awake"
    assert client.model.sessions[session_of(client)].busy == "make and 3 more"


def test_when_it_is_busy_no_more_its_idle_time_begins_anew() -> None:
    world, client = begin()
    world.agent_of(client.pane()).busy = "make"
    world.advance(10 * IDLE_S)
    world.agent_of(client.pane()).busy = None
    world.advance(IDLE_S - 1)
    assert status(client) == "awake"
    assert client.model.sessions[session_of(client)].busy is None
    world.advance(2)
    assert status(client) == "asleep"


def test_a_lease_keeps_it_awake_and_says_why() -> None:
    world, client = begin()
    done(world, client, "session_lease", sessionId=session_of(client), seconds=3600, reason="nightly build")
    assert client.model.sessions[session_of(client)].busy == "lease: nightly build"
    world.advance(3590)
    assert status(client) == "awake"
    world.advance(20)
    assert client.model.sessions[session_of(client)].busy is None
    assert status(client) == "asleep"


def test_a_lease_of_0_seconds_ends_it_and_the_idle_time_begins() -> None:
    world, client = begin()
    done(world, client, "session_lease", sessionId=session_of(client), seconds=36_000)
    world.advance(5000)
    done(world, client, "session_lease", sessionId=session_of(client), seconds=0)
    assert client.model.sessions[session_of(client)].busy is None
    world.advance(IDLE_S - 10)
    assert status(client) == "awake"
    world.advance(20)
    assert status(client) == "asleep"


def test_a_lease_holds_through_a_restart() -> None:
    world, client = begin()
    done(world, client, "session_lease", sessionId=session_of(client), seconds=3600, reason="nightly")
    world.restart()
    client.connect()
    world.advance(3000)
    assert status(client) == "awake"
    assert client.model.sessions[session_of(client)].busy == "lease: nightly"


def test_an_agent_that_became_busy_refuses_and_is_asked_again_later() -> None:
    world, client = begin()
    agent = world.agent_of(client.pane())
    agent._busy = "make"  # nobody was told
    world.advance(IDLE_S + 1)
    assert len(wanted(world, StopSandbox)) == 1
    assert status(client) == "awake"
    assert client.model.connected[client.pane()]
    agent.busy = None
    world.advance(BUSY_AGAIN_S)
    assert len(wanted(world, StopSandbox)) == 1
    world.advance(IDLE_S)
    assert status(client) == "asleep"


# --- sleepsAt ------------------------------------------------------------------------------------------------


def test_sleeps_at_is_there_in_the_last_minute_and_true() -> None:
    world, client = begin()
    world.advance(IDLE_S - 62)
    assert sleeps_at(client) is None
    world.advance(3)
    at_ms = sleeps_at(client)
    assert at_ms is not None
    remaining_s = (at_ms - world.moment().wall_ms) / 1000
    assert remaining_s <= 60
    world.advance(remaining_s - 0.01)
    assert status(client) == "awake"
    world.advance(0.5)
    assert status(client) == "asleep"
    assert sleeps_at(client) is None


def test_a_key_in_the_last_minute_takes_sleeps_at_away() -> None:
    world, client = begin()
    world.advance(IDLE_S - 30)
    assert sleeps_at(client) is not None
    client.type(client.pane(), b"x")
    world.settle()
    assert sleeps_at(client) is None
    world.advance(IDLE_S - 30)
    assert sleeps_at(client) is not None


def test_of_a_short_timeout_the_second_half_is_shown() -> None:
    world, client = begin(20.0)
    world.advance(8.5)
    assert sleeps_at(client) is None
    world.advance(2)
    assert sleeps_at(client) is not None


def test_what_is_busy_has_no_sleeps_at() -> None:
    world, client = begin()
    world.agent_of(client.pane()).busy = "make"
    world.advance(IDLE_S - 30)
    assert sleeps_at(client) is None


# --- Asked for -----------------------------------------------------------------------------------------------


def test_session_sleep_is_answered_when_it_sleeps() -> None:
    world, client = begin(None)
    ref = client.ask("session_sleep", sessionId=session_of(client))
    while ref not in client.answers:
        assert status(client) == "awake"
        deliver(world, 1)
        if not world.lanes.ready():
            world.advance(0.02)
    assert isinstance(client.answers[ref], m.Ok)
    assert status(client) == "asleep"


def test_busy_is_refused_unless_forced() -> None:
    world, client = begin(None)
    world.agent_of(client.pane()).busy = "vim"
    world.settle()
    answer = ask(world, client, "session_sleep", sessionId=session_of(client))
    assert isinstance(answer, m.Error)
    assert answer.code == ErrorCode.BUSY
    assert "vim" in answer.message
    assert status(client) == "awake"
    done(world, client, "session_sleep", sessionId=session_of(client), force=True)
    assert status(client) == "asleep"


def test_two_who_ask_are_both_answered_and_it_stops_once() -> None:
    world, client = begin(None)
    other = world.attached("other")
    refs = [(who, who.ask("session_sleep", sessionId=session_of(client))) for who in (client, other, client)]
    world.settle()
    assert all(isinstance(who.answers[ref], m.Ok) for who, ref in refs)
    assert len(wanted(world, StopSandbox)) == 1


def test_who_sleeps_already_is_granted_at_once() -> None:
    world, client = begin(None)
    sleep(world, client)
    sleep(world, client)
    assert len(wanted(world, StopSandbox)) == 1


def test_a_sandbox_out_of_reach_is_not_put_to_sleep() -> None:
    world, client = begin(None)
    world.machine.refuse_finds = "No answer."
    world.cut_sandbox(client.pane())
    world.settle()
    assert refused(world, client, "session_sleep", sessionId=session_of(client)) == ErrorCode.BUSY


def test_a_sandbox_that_is_lost_while_it_stops_is_said_to_have_failed() -> None:
    world, client = begin(None)
    ref = client.ask("session_sleep", sessionId=session_of(client))
    deliver(world, 1)
    world.kill_agent(client.pane())
    world.settle()
    answer = client.answers[ref]
    assert isinstance(answer, m.Error)
    assert answer.code == ErrorCode.SANDBOX_FAILED


# --- A key ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deliveries", range(1, 16))
def test_a_key_while_it_stops_wakes_it_again_and_arrives(deliveries: int) -> None:
    world, client = begin(None)
    client.say("session_sleep", sessionId=session_of(client))
    deliver(world, deliveries)
    client.type(client.pane(), b"key")
    world.advance(3)
    typed = [pty.typed for pty in world.machine.ptys[client.pane()]]
    assert b"".join(typed) == b"key"
    if typed[-1] == b"key" and len(typed) > 1:
        assert client.status(client.pane()) == "connected"
        assert len(wanted(world, WakeSandbox)) == 1


def test_other_panes_stay_asleep_and_then_open_without_a_second_wake() -> None:
    world, client = begin(None)
    first = client.pane()
    second = split(world, client, first)
    sleep(world, client)
    world.effects.clear()
    client.type(first, b"x")
    world.settle()
    assert (client.status(first), client.status(second)) == ("connected", "asleep")
    assert status(client) == "awake"
    client.type(second, b"y")
    world.settle()
    assert client.status(second) == "connected"
    assert len(wanted(world, WakeSandbox)) == 1
    assert len(wanted(world, OpenTerminal)) == 2


# --- Sizes ---------------------------------------------------------------------------------------------------


def test_a_resize_while_asleep_is_kept_told_and_used_at_the_wake() -> None:
    world, client = begin(None)
    sleep(world, client)
    done(world, client, "pane_resize", paneId=client.pane(), cols=77, rows=33)
    assert client.status(client.pane()) == "asleep"
    info = client.model.panes[client.pane()]
    assert (info.cols, info.rows) == (77, 33)
    world.effects.clear()
    client.type(client.pane(), b"x")
    world.settle()
    (opened,) = wanted(world, OpenTerminal)
    assert isinstance(opened.request, Open)
    assert (opened.request.cols, opened.request.rows) == (77, 33)
    assert world.live(client.pane()).size == client.output(client.pane()).size == (77, 33)
    assert world.live(client.pane()).resizes == 0


def test_a_size_from_before_the_sleep_is_used_at_the_wake() -> None:
    world, client = begin(None)
    done(world, client, "pane_resize", paneId=client.pane(), cols=77, rows=33)
    client.cut()
    other = world.attached("other")
    sleep(world, other)
    world.effects.clear()
    other.type(other.pane(), b"x")
    world.settle()
    assert world.live(other.pane()).size == (77, 33)


def test_a_resize_while_asleep_is_the_size_after_a_restart() -> None:
    world, client = begin(None)
    sleep(world, client)
    done(world, client, "pane_resize", paneId=client.pane(), cols=77, rows=33)
    world.advance(1.5)
    world.restart()
    client.connect()
    world.settle()
    client.type(client.pane(), b"x")
    world.settle()
    assert world.live(client.pane()).size == (77, 33)


# --- The end of a terminal -----------------------------------------------------------------------------------


def test_the_pane_says_since_when_it_sleeps_and_runs_nothing() -> None:
    world, client = begin(None)
    world.live(client.pane()).run("vim")
    world.settle()
    assert client.model.panes[client.pane()].command == "vim"
    before_ms = world.moment().wall_ms
    sleep(world, client)
    info = client.model.panes[client.pane()]
    assert info.command is None
    assert info.since is not None
    assert before_ms <= info.since <= world.moment().wall_ms


def test_the_last_words_of_a_terminal_come_before_its_modes_are_switched_off() -> None:
    world, client = begin(None)
    client.say("session_sleep", sessionId=session_of(client))
    deliver(world, 1)
    world.live(client.pane()).print(b"bye")
    world.settle()
    whole = client.output(client.pane()).whole()
    assert whole.startswith(b"bye\x18\x1b[?")
    assert pane_of(world, client.pane()).log.end == len(whole)
