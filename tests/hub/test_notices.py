"""What the server itself writes into a pane's output."""

from __future__ import annotations

import pytest

from wormux.hub.inputs import Moment
from wormux.hub.log import OutputLog
from wormux.hub.notices import MODES_OFF, fresh_shell_preamble
from wormux.hub.pane import Pane
from wormux.ids import Channel, PaneId, SessionId, TabId
from wormux.protocol.agent_link import Exit

NOON_MS = 1_700_000_000_000 - 1_700_000_000_000 % 86_400_000 + 12 * 3_600_000
MINUTE_MS = 60_000
NOW = Moment(0.0, NOON_MS + 5 * MINUTE_MS, 0, 0)


def preamble(closed_at_ms: int = NOON_MS, now: Moment = NOW, **state: object) -> str:
    pane = Pane(PaneId("p"), TabId("t"), SessionId("s"), Channel(0), 0, 80, 24, OutputLog(0, 80, 24))
    pane.closed_at_ms = closed_at_ms
    for name, value in state.items():
        setattr(pane, name, value)
    return fresh_shell_preamble(pane, now).decode()


@pytest.mark.parametrize("mode", [b"1000", b"1002", b"1003", b"1004", b"1006", b"2004", b"1"])
def test_the_end_of_a_terminal_switches_off_mouse_focus_paste_and_cursor_keys(mode: bytes) -> None:
    modes = MODES_OFF[MODES_OFF.index(b"[?") + 2 : MODES_OFF.index(b"l")]
    assert mode in modes.split(b";")


def test_the_end_of_a_terminal_switches_the_keypad_back() -> None:
    assert MODES_OFF.endswith(b"\x1b>")


def test_a_sequence_that_was_left_unfinished_is_ended_first() -> None:
    assert MODES_OFF.startswith(b"\x18")
    assert preamble().startswith("\x18")


def test_a_fresh_shell_says_how_long_the_pane_slept() -> None:
    assert "── slept 12:00–12:05, new shell ──" in preamble(slept=True)


def test_a_fresh_shell_says_when_the_last_one_ended() -> None:
    assert "── ended 12:00, new shell ──" in preamble(exit=Exit(code=1))


def test_a_fresh_shell_says_when_the_last_one_was_lost() -> None:
    assert "── lost 12:00, new shell ──" in preamble()


def test_where_nothing_is_known_of_the_last_one_the_time_is_said() -> None:
    assert "── 12:05, new shell ──" in preamble(0)


def test_a_sleep_that_began_on_another_day_names_it() -> None:
    now = Moment(0.0, NOON_MS + 24 * 60 * MINUTE_MS, 0, 0)
    assert "slept 2023-11-14 12:00–12:00, new shell" in preamble(now=now, slept=True)


def test_times_are_of_the_servers_time_zone() -> None:
    now = Moment(0.0, NOW.wall_ms, 2 * 3600, 0)
    assert "slept 14:00–14:05, new shell" in preamble(now=now, slept=True)


def test_a_fresh_shell_begins_on_the_normal_screen_with_a_visible_cursor() -> None:
    text = preamble()
    assert "\x1b[?1047l" in text
    assert "\x1b[?25h" in text
    assert text.endswith("\x1b[m\r\n")


def test_a_fresh_shell_has_no_query_and_does_not_move_the_cursor_home() -> None:
    text = preamble()
    assert "\x1b[?1049" not in text
    assert all(query not in text for query in ("\x1b[c", "\x1b[6n", "\x1bc"))
