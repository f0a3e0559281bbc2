from __future__ import annotations

import contextlib
import json
import random

import pytest

from wormux.limits import (
    ANSWERS_UNWRITTEN_BYTES,
    LINK_FRAME_BYTES,
    LINK_INPUT_BYTES,
    LINK_OUTPUT_BYTES,
)
from wormux.protocol.agent_link import (
    HEADER,
    Answer,
    Attach,
    Busy,
    Close,
    Ended,
    Exit,
    Foreground,
    Forget,
    FrameReader,
    Freezable,
    Freeze,
    Hello,
    Input,
    InputAck,
    Kind,
    Message,
    Open,
    Opened,
    Output,
    Ready,
    Refused,
    Resize,
    SizeMark,
    Sleep,
    Stopped,
    TerminalInfo,
    Welcome,
    decode,
    encode,
)

ALL: list[Message] = [
    Hello("pane"),
    Hello("control", version=7),
    Open("p1", 3, 80, 24, 9, b"\x1b[0m\xff", ("bash", "-l"), "/tmp/é", {"A": "b", "Ü": ""}),
    Open("p1", 3, 80, 24, 9, b"", ()),
    Attach("p1", 3, 2**53 - 1),
    Input("client", 12, b"\x00\xff\n"),
    Input("é" * 64, 0, b""),
    Answer(2**53 - 1, b"\x1b[?62;22c\x00\xff"),
    Answer(0, b""),
    Resize(100, 30),
    Close(),
    Close("p1"),
    Sleep(True),
    Forget("p1"),
    Welcome(1, 42, (TerminalInfo("p1", 3, 0, 10, None), TerminalInfo("p2", 1, 5, 5, Exit(0))), "vim"),
    Opened(42, 5, 10, True, {"a": 1}, (SizeMark(0, 80, 24),)),
    Opened(42, 5, 10, True, {}, (SizeMark(0, 80, 24),), answered=7),
    Refused("No.", gone=True),
    Output(bytes(range(256))),
    SizeMark(10, 80, 24),
    Ready(),
    InputAck("a", 5),
    Foreground("vim", False, "/tmp"),
    Foreground(None, False, None),
    Ended(Exit(signal="SIGKILL", asleep=True, ran_s=1.5), 10, {"a": 5}),
    Busy("make", "p1"),
    Stopped(),
    Freeze(force=True),
    Freezable(),
]


@pytest.mark.parametrize("message", ALL, ids=repr)
def test_comes_out_as_it_went_in(message: Message) -> None:
    assert list(FrameReader().feed(encode(message))) == [message]


def test_every_kind_is_tried() -> None:
    assert {encode(message)[0] for message in ALL} == {int(kind) for kind in Kind}


def test_arrives_in_any_pieces() -> None:
    rng = random.Random(1)
    stream = b"".join(encode(message) for message in ALL)
    for _ in range(100):
        received: list[Message] = []
        reader, at = FrameReader(), 0
        while at < len(stream):
            piece = stream[at : at + rng.choice((1, 2, 7, 50, 1000))]
            received += reader.feed(memoryview(piece))
            at += len(piece)
        assert received == ALL


def frame(kind: int, payload: bytes) -> bytes:
    return HEADER.pack(kind, len(payload)) + payload


def as_json(**fields: object) -> bytes:
    return json.dumps(fields).encode()


BROKEN = {
    "unknown kind": frame(99, b"{}"),
    "too long": HEADER.pack(Kind.OUTPUT, LINK_FRAME_BYTES + 1),
    "too much output": frame(Kind.OUTPUT, bytes(LINK_OUTPUT_BYTES + 1)),
    "no JSON": frame(Kind.HELLO, b"{"),
    "no UTF-8": frame(Kind.HELLO, b'{"role": "\xff"}'),
    "UTF-16": frame(Kind.HELLO, '{"role": "pane"}'.encode("utf-16")),
    "deep": frame(Kind.HELLO, b"[" * 100_000),
    "no object": frame(Kind.HELLO, b"[]"),
    "null": frame(Kind.HELLO, b"null"),
    "missing field": frame(Kind.ATTACH, as_json(pane_id="p", generation=1)),
    "bool for a number": frame(Kind.RESIZE, as_json(cols=True, rows=1)),
    "number for a bool": frame(Kind.SLEEP, as_json(force=1)),
    "float for a number": frame(Kind.RESIZE, as_json(cols=1.0, rows=1)),
    "negative": frame(Kind.ATTACH, as_json(pane_id="p", generation=1, position=-1)),
    "beyond 53 bits": frame(Kind.ATTACH, as_json(pane_id="p", generation=1, position=2**53)),
    "endless number": frame(Kind.ATTACH, b'{"pane_id":"p","generation":1,"position":' + b"9" * 10_000 + b"}"),
    "not a number": frame(Kind.ENDED, b'{"exit":{"ran_s":NaN},"position":1,"inputs":{}}'),
    "endless": frame(Kind.ENDED, b'{"exit":{"ran_s":Infinity},"position":1,"inputs":{}}'),
    "no base64": frame(Kind.OPEN, as_json(pane_id="p", preamble="é")),
    "half a character": frame(Kind.FORGET, b'{"pane_id":"\\ud800"}'),
    "half a character as a key": frame(Kind.ENDED, b'{"exit":{},"position":1,"inputs":{"\\udfff":1}}'),
    "input without a head": frame(Kind.INPUT, b"123"),
    "input without its client": frame(Kind.INPUT, bytes(8) + b"\x09abc"),
    "input of no UTF-8 client": frame(Kind.INPUT, bytes(8) + b"\x01\xff"),
    "input beyond 53 bits": frame(Kind.INPUT, b"\xff" * 8 + b"\x01a"),
    "answer without a head": frame(Kind.ANSWER, bytes(7)),
    "answer beyond 53 bits": frame(Kind.ANSWER, b"\xff" * 8),
    "too much of an answer": frame(Kind.ANSWER, bytes(8 + ANSWERS_UNWRITTEN_BYTES + 1)),
    "too much input": frame(Kind.INPUT, bytes(8) + b"\x01a" + bytes(LINK_INPUT_BYTES + 1)),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_broken_peer_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        list(FrameReader().feed(data))


def test_noise_never_raises_anything_else() -> None:
    rng = random.Random(5)
    for _ in range(3000):
        kind = rng.choice([int(kind) for kind in Kind])
        payload = bytearray(encode(rng.choice(ALL))[HEADER.size :])
        for _ in range(rng.randrange(4)):
            if payload:
                payload[rng.randrange(len(payload))] = rng.randrange(256)
        with contextlib.suppress(ValueError):
            decode(kind, bytes(payload))


def test_unknown_fields_are_ignored() -> None:
    assert decode(Kind.FORGET, as_json(pane_id="p", later="x")) == Forget("p")


def test_an_agent_that_knows_no_answers_says_nothing_of_them() -> None:
    opened = decode(Kind.OPENED, as_json(pid=1, position=0, end=0, ready=True, inputs={}, sizes=[]))
    assert opened == Opened(1, 0, 0, True, {}, (), answered=None)


@pytest.mark.parametrize(
    "message",
    [
        Input("x" * 256, 0, b""),
        Input("x", -1, b""),
        Input("x", 0, bytes(LINK_INPUT_BYTES + 1)),
        Answer(-1, b""),
        Answer(0, bytes(ANSWERS_UNWRITTEN_BYTES + 1)),
        Refused("x" * LINK_FRAME_BYTES),
    ],
    ids=["client id", "position", "data", "answer's position", "answer", "frame"],
)
def test_what_a_peer_would_not_accept_is_not_sent(message: Message) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        encode(message)
