"""The newest output of a pane, by position."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wormux.hub.log import LARGEST_REDRAW_BYTES, OutputLog
from wormux.hub.safe_cut import ParserState
from wormux.ids import PaneId
from wormux.limits import LOG_BYTES, LOG_SIZE_MARKS, OUTPUT_FRAME_BYTES, REDRAW_LOG_BYTES

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


def test_a_redraw_is_the_newest_output_from_a_safe_place_on() -> None:
    log = OutputLog(0, 80, 24)
    line = b"\x1b[31mred and long enough to be cut somewhere\x1b[m\r\n"
    for _ in range(20_000):
        log.append(line)
    redraw = log.redraw()
    assert REDRAW_LOG_BYTES - 2000 < len(redraw) <= REDRAW_LOG_BYTES
    assert redraw.startswith(line)
    assert redraw == (line * 20_000)[-len(redraw) :]


def test_a_redraw_with_lines() -> None:
    log = OutputLog(0, 80, 24)
    for number in range(1000):
        log.append(b"line %d\n" % number)
    assert log.redraw(3).count(b"\n") == 3
    assert log.redraw(3).endswith(b"line 999\n")
    log.append(b"x" * (2 * LARGEST_REDRAW_BYTES))
    assert len(log.redraw(10_000)) <= LARGEST_REDRAW_BYTES


def test_a_checkpoint_restores_bytes_and_sizes() -> None:
    log = OutputLog(500, 80, 24)
    log.append(b"before\n")
    log.mark_size(100, 30)
    log.append(b"after\n")
    restored = OutputLog.restored(log.checkpoint(PANE), 1, 1)
    assert (restored.start, restored.end) == (log.start, log.end)
    assert contents(restored) == contents(log)
    assert [restored.size_at(at) for at in (500, 507)] == [log.size_at(at) for at in (500, 507)]


def test_a_checkpoint_is_bounded_and_begins_at_a_safe_place() -> None:
    log = OutputLog(0, 80, 24)
    line = b"\x1b[1mbold\x1b[m text of a line\r\n"
    for _ in range(30_000):
        log.append(line)
    checkpoint = log.checkpoint(PANE)
    assert len(checkpoint.log) <= REDRAW_LOG_BYTES
    assert checkpoint.end == log.end
    assert checkpoint.log.startswith(line)


def test_after_a_jump_old_output_is_shown_and_has_no_numbers() -> None:
    log = OutputLog(0, 80, 24)
    log.append(b"old\r\n")
    log.jump(1000, ParserState.GROUND)
    assert (log.start, log.end) == (1000, 1000)
    log.append(b"new\r\n")
    assert log.redraw() == b"old\r\nnew\r\n"
    assert contents(log) == b"new\r\n"
    assert log.checkpoint(PANE).start == 1000


def test_after_a_jump_into_the_unknown_a_redraw_begins_with_a_line() -> None:
    log = OutputLog(0, 80, 24)
    log.jump(1000, ParserState.UNKNOWN)
    log.append(b"1;31mhalf a sequence\r\nwhole\r\n")
    assert log.redraw() == b"whole\r\n"
