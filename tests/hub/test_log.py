"""The newest output of a pane, by position."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wormux.hub.log import OutputLog
from wormux.ids import PaneId
from wormux.limits import CHECKPOINT_LOG_BYTES, LOG_BYTES, LOG_SIZE_MARKS, OUTPUT_FRAME_BYTES
from wormux.protocol.screen_link import CheckpointTaken

PANE = PaneId("p")


def contents(log: OutputLog) -> bytes:
    data, at = bytearray(), log.start
    while at < log.end:
        piece = log.read(at, 7)
        assert 0 < len(piece) <= 7
        data += piece
        at += len(piece)
    return bytes(data)


@settings(deadline=None)
@given(st.integers(0, 2**40), st.lists(st.binary(min_size=1, max_size=50), max_size=20))
def test_it_keeps_bytes_by_position(start: int, pieces: list[bytes]) -> None:
    log = OutputLog(start, 80, 24)
    for piece in pieces:
        log.append(piece)
    assert (log.start, log.end) == (start, start + len(b"".join(pieces)))
    assert contents(log) == b"".join(pieces)


def test_it_forgets_the_oldest() -> None:
    log = OutputLog(100, 80, 24)
    for _ in range(100):
        log.append(b"x" * OUTPUT_FRAME_BYTES)
    assert log.end == 100 + 100 * OUTPUT_FRAME_BYTES
    assert LOG_BYTES - OUTPUT_FRAME_BYTES <= log.end - log.start <= LOG_BYTES


def test_sizes_hold_from_their_position_on() -> None:
    log = OutputLog(0, 80, 24)
    log.append(b"aaaa")
    log.mark_size(100, 30)
    log.mark_size(90, 20)
    log.append(b"bb")
    log.mark_size(90, 20)
    log.mark_size(70, 20)
    assert [log.size_at(at).cols for at in (0, 3, 4, 5, 6)] == [80, 80, 90, 90, 70]
    change = log.next_size_after(0)
    assert change is not None
    assert (change.position, change.cols) == (4, 90)
    assert log.next_size_after(6) is None


def test_sizes_are_bounded() -> None:
    log = OutputLog(0, 80, 24)
    for number in range(3 * LOG_SIZE_MARKS):
        log.append(b"x" * 5000)
        log.mark_size(10 + number % 900, 24)
    assert len(log._sizes) <= LOG_SIZE_MARKS + 1
    assert log.size_at(log.start).position <= log.start


def taken(position: int) -> CheckpointTaken:
    return CheckpointTaken(position, 80, 24, b"screen")


def test_a_checkpoint_restores_bytes_and_sizes() -> None:
    log = OutputLog(500, 80, 24)
    log.append(b"before\n")
    log.mark_size(100, 30)
    log.append(b"after\n")
    checkpoint = log.checkpoint(taken(log.end), PANE)
    restored = OutputLog.restored(checkpoint, 1, 1)
    assert (restored.start, restored.end) == (log.start, log.end)
    assert contents(restored) == contents(log)
    assert [restored.size_at(at) for at in (500, 507)] == [log.size_at(at) for at in (500, 507)]
    assert (checkpoint.screen, checkpoint.cols, checkpoint.rows) == (b"screen", 80, 24)


def test_a_checkpoint_holds_what_led_to_its_screen() -> None:
    log = OutputLog(0, 80, 24)
    log.append(b"in the screen")
    log.append(b" and not yet")
    checkpoint = log.checkpoint(taken(13), PANE)
    assert (checkpoint.log, checkpoint.end) == (b"in the screen", 13)


def test_a_checkpoint_is_bounded() -> None:
    log = OutputLog(0, 80, 24)
    for _ in range(30_000):
        log.append(b"\x1b[1mbold\x1b[m text of a line\r\n")
    checkpoint = log.checkpoint(taken(log.end), PANE)
    assert len(checkpoint.log) == CHECKPOINT_LOG_BYTES
    assert checkpoint.end == log.end


@pytest.mark.parametrize("position", [900, 1007])
def test_a_checkpoint_of_a_screen_that_the_log_does_not_reach(position: int) -> None:
    log = OutputLog(1000, 80, 24)
    log.append(b"output")
    checkpoint = log.checkpoint(taken(position), PANE)
    assert (checkpoint.start, checkpoint.log, checkpoint.end) == (position, b"", position)


def test_after_a_jump_it_begins_anew() -> None:
    log = OutputLog(0, 80, 24)
    log.append(b"old\r\n")
    log.mark_size(90, 20)
    log.jump(1000)
    assert (log.start, log.end, log.size_at(1000).cols) == (1000, 1000, 90)
    log.append(b"new\r\n")
    assert contents(log) == b"new\r\n"


def test_the_checkpoint_of_a_screen_that_the_log_has_jumped_past_has_the_size_of_the_screen() -> None:
    log = OutputLog(0, 80, 24)
    log.append(b"output")
    log.jump(100)
    log.mark_size(50, 20)
    checkpoint = log.checkpoint(CheckpointTaken(6, 80, 24, b"screen"), PaneId("p"))
    assert (checkpoint.start, checkpoint.end, checkpoint.log) == (6, 6, b"")
    assert checkpoint.sizes == ((6, 80, 24),)
