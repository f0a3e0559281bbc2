from __future__ import annotations

import random

import pytest

from wormux.agent.inputs import Inputs
from wormux.limits import AGENT_CLIENTS_PER_PANE, AGENT_UNWRITTEN_BYTES, ANSWERS_UNWRITTEN_BYTES
from wormux.protocol.agent_link import Answer, Input


def write_all(inputs: Inputs) -> bytes:
    written = b""
    while (head := inputs.head) is not None:
        written += bytes(head)
        inputs.wrote(len(head))
    return written


def test_leaves_out_what_was_taken_before() -> None:
    inputs = Inputs(answered=0)
    inputs.take(Input("a", 0, b"hello"))
    inputs.take(Input("a", 0, b"hello"))
    inputs.take(Input("a", 3, b"lo world"))
    assert write_all(inputs) == b"hello world"
    assert inputs.news() == {"a": 11}
    assert inputs.news() == {}


def test_goes_on_past_a_gap() -> None:
    inputs = Inputs(answered=0)
    inputs.take(Input("a", 0, b"one"))
    inputs.take(Input("a", 100, b"two"))
    assert write_all(inputs) == b"onetwo"
    assert inputs.taken == {"a": 103}


def test_clients_have_streams_of_their_own_and_one_queue() -> None:
    inputs = Inputs(answered=0)
    inputs.take(Input("a", 0, b"a1"))
    inputs.take(Input("b", 0, b"b1"))
    inputs.take(Input("a", 2, b"a2"))
    assert write_all(inputs) == b"a1b1a2"
    assert inputs.written == {"a": 4, "b": 2}


def test_tells_what_is_written_from_what_is_only_taken() -> None:
    inputs = Inputs(answered=0)
    inputs.take(Input("a", 50, b"0123456789"))
    assert (inputs.taken, inputs.written, inputs.unwritten) == ({"a": 60}, {"a": 50}, 10)
    inputs.wrote(4)
    assert (inputs.taken, inputs.written, inputs.unwritten) == ({"a": 60}, {"a": 54}, 6)
    assert inputs.news() == {"a": 54}
    assert bytes(inputs.head or b"") == b"456789"
    inputs.drop()
    assert (inputs.head, inputs.written, inputs.unwritten) == (None, {"a": 54}, 0)


def test_acknowledges_again_what_was_sent_again() -> None:
    inputs = Inputs(answered=0)
    inputs.take(Input("a", 0, b"hello"))
    write_all(inputs)
    inputs.news()
    inputs.take(Input("a", 0, b"hello"))
    assert (inputs.head, inputs.news()) == (None, {"a": 5})


def test_does_not_acknowledge_what_is_still_waiting() -> None:
    inputs = Inputs(answered=0)
    inputs.take(Input("a", 0, b"hello"))
    inputs.take(Input("a", 0, b"hello"))
    assert inputs.news() == {}


def test_remembers_the_clients_that_typed_last() -> None:
    inputs = Inputs(answered=0)
    for number in range(AGENT_CLIENTS_PER_PANE):
        inputs.take(Input(f"c{number}", 0, b"x"))
    inputs.take(Input("c0", 1, b"x"))
    inputs.take(Input("new", 0, b"x"))
    assert "c0" in inputs.taken
    assert "c1" not in inputs.taken
    write_all(inputs)
    assert set(inputs.written) == set(inputs.taken)
    assert len(inputs.taken) == AGENT_CLIENTS_PER_PANE
    assert "c1" in inputs.news(), "what was taken is acknowledged, remembered or not"


def test_refuses_more_than_a_server_may_send() -> None:
    inputs = Inputs(answered=0)
    inputs.take(Input("a", 0, bytes(AGENT_UNWRITTEN_BYTES)))
    with pytest.raises(ValueError, match="More input"):
        inputs.take(Input("a", AGENT_UNWRITTEN_BYTES, b"x"))
    assert inputs.taken == {"a": AGENT_UNWRITTEN_BYTES}


def test_answers_go_behind_what_waits_and_are_no_input() -> None:
    inputs = Inputs(answered=10)
    inputs.take(Input("a", 0, b"one"))
    inputs.answer(Answer(11, b"<answer>"))
    inputs.take(Input("a", 3, b"two"))
    inputs.wrote(3)
    inputs.wrote(4)
    assert (inputs.unwritten, inputs.news()) == (3, {"a": 3})
    assert write_all(inputs) == b"wer>two"
    assert (inputs.taken, inputs.written) == ({"a": 6}, {"a": 6})


def test_a_position_is_answered_once() -> None:
    inputs = Inputs(answered=10)
    for position in (9, 10, 12, 12, 11, 13):
        inputs.answer(Answer(position, b"<%d>" % position))
    assert write_all(inputs) == b"<12><13>"
    assert inputs.answered == 13


def test_a_program_that_reads_no_answers_is_not_owed_more_and_more() -> None:
    inputs = Inputs(answered=0)
    inputs.take(Input("a", 0, bytes(AGENT_UNWRITTEN_BYTES)))
    inputs.answer(Answer(1, b"x" * (ANSWERS_UNWRITTEN_BYTES - 2)))
    inputs.answer(Answer(2, b"yyy"))
    inputs.answer(Answer(3, b"zz"))
    assert inputs.answered == 3
    assert write_all(inputs)[AGENT_UNWRITTEN_BYTES:].lstrip(b"x") == b"zz"
    inputs.answer(Answer(4, bytes(ANSWERS_UNWRITTEN_BYTES)))
    inputs.answer(Answer(5, b"x"))
    inputs.drop()
    inputs.answer(Answer(6, bytes(ANSWERS_UNWRITTEN_BYTES)))
    assert len(write_all(inputs)) == ANSWERS_UNWRITTEN_BYTES


def test_every_byte_once_whatever_is_repeated() -> None:
    rng = random.Random(3)
    stream = rng.randbytes(5000)
    inputs, written = Inputs(answered=0), b""
    while len(written) < len(stream):
        taken = inputs.taken.get("a", 0)
        start = rng.randint(max(0, taken - 300), taken)
        inputs.take(Input("a", start, stream[start : start + rng.randrange(400)]))
        if (head := inputs.head) is not None:
            count = rng.randint(1, len(head))
            written += bytes(head[:count])
            inputs.wrote(count)
    assert written == stream
