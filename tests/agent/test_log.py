from __future__ import annotations

import random

from wormux.agent.log import Log
from wormux.limits import AGENT_SIZE_MARKS
from wormux.protocol.agent_link import SizeMark


def kept(log: Log) -> bytes:
    return b"".join(log.parts(log.start, log.end))


def test_keeps_the_last_bytes_under_their_positions() -> None:
    log = Log(1000, 80, 24, capacity=8)
    log.append(b"abcdef")
    assert (log.start, log.end, kept(log)) == (1000, 1006, b"abcdef")
    log.append(b"ghijk")
    assert (log.start, log.end, kept(log)) == (1003, 1011, b"defghijk")
    assert b"".join(log.parts(1005, 1009)) == b"fghi"
    assert log.parts(1005, 1005) == []


def test_is_a_suffix_of_all_that_was_written_however_it_was_written() -> None:
    rng = random.Random(7)
    log = Log(5, 80, 24, capacity=64)
    written = b""
    for _ in range(500):
        data = rng.randbytes(rng.randrange(0, 100))
        log.append(data)
        written += data
        assert kept(log) == written[-64:]
        assert log.end == 5 + len(written)
        start = rng.randint(log.start, log.end)
        assert b"".join(log.parts(start, log.end)) == written[start - 5 :]


def test_gives_the_size_in_force_then_the_later_ones() -> None:
    log = Log(0, 80, 24, capacity=100)
    log.append(b"x" * 10)
    log.resize(90, 24)
    log.append(b"x" * 10)
    log.resize(100, 30)
    assert log.sizes(0) == [SizeMark(0, 80, 24), SizeMark(10, 90, 24), SizeMark(20, 100, 30)]
    assert log.sizes(9)[0] == SizeMark(0, 80, 24)
    assert log.sizes(10) == [SizeMark(10, 90, 24), SizeMark(20, 100, 30)]
    assert log.sizes(20) == [SizeMark(20, 100, 30)]
    assert log.size == SizeMark(20, 100, 30)


def test_a_size_that_no_byte_was_written_for_is_replaced() -> None:
    log = Log(0, 80, 24)
    log.resize(90, 24)
    log.resize(91, 24)
    assert log.sizes(0) == [SizeMark(0, 91, 24)]


def test_forgets_sizes_with_their_bytes() -> None:
    log = Log(0, 80, 24, capacity=10)
    for cols in range(81, 91):
        log.append(b"x" * 4)
        log.resize(cols, 24)
    expected = [(28, 87), (32, 88), (36, 89), (40, 90)]
    assert log.sizes(log.start) == [SizeMark(position, cols, 24) for position, cols in expected]


def test_remembers_a_bounded_number_of_sizes() -> None:
    log = Log(0, 80, 24)
    for number in range(AGENT_SIZE_MARKS + 50):
        log.append(b"x")
        log.resize(100 + number % 2, 24)
    marks = log.sizes(0)
    assert len(marks) == AGENT_SIZE_MARKS
    assert marks[0].position == 0
