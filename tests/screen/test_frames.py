"""Frames come out whole, however they are cut on their way."""

from __future__ import annotations

import random

import pytest

from wormux.limits import KIB, MIB, SCREEN_FRAME_BYTES
from wormux.protocol.screen_link import HEADER
from wormux.screen.frames import FrameBuffer


def framed(payload: bytes) -> bytes:
    return HEADER.pack(len(payload)) + payload


def received(stream: bytes, dice: random.Random, most: int) -> list[bytes]:
    """What comes out if at most `most` bytes arrive at a time."""
    frames = FrameBuffer()
    found = []
    start = 0
    while start < len(stream):
        space = frames.space()
        count = min(dice.randint(1, most), len(space), len(stream) - start)
        space[:count] = stream[start : start + count]
        start += count
        found += [bytes(payload) for payload in frames.took(count)]
    return found


@pytest.mark.parametrize("seed", range(20))
def test_frames_come_out_as_they_went_in(seed: int) -> None:
    dice = random.Random(seed)
    payloads = [dice.randbytes(dice.choice([0, 1, 5, 1000, 70 * KIB, 600 * KIB])) for _ in range(20)]
    stream = b"".join(map(framed, payloads))
    assert received(stream, dice, dice.choice([1000, MIB])) == payloads


def test_small_ones_come_out_a_byte_at_a_time() -> None:
    payloads = [b"", b"one", b"two two"]
    assert received(b"".join(map(framed, payloads)), random.Random(0), 1) == payloads


def test_a_large_frame_costs_nothing_before_it_arrives() -> None:
    frames = FrameBuffer()
    header = HEADER.pack(SCREEN_FRAME_BYTES)
    frames.space()[: len(header)] = header
    assert list(frames.took(len(header))) == []
    assert 0 < len(frames.space()) <= MIB


def test_the_room_for_a_large_frame_is_given_back() -> None:
    frames = FrameBuffer()
    stream = framed(bytes(8 * MIB))
    found: list[int] = []
    while stream:
        space = frames.space()
        count = min(len(space), len(stream))
        space[:count] = stream[:count]
        stream = stream[count:]
        found += [len(payload) for payload in frames.took(count)]
    assert found == [8 * MIB]
    assert len(frames.space()) <= MIB


def test_a_frame_that_is_too_large_is_refused() -> None:
    frames = FrameBuffer()
    header = HEADER.pack(SCREEN_FRAME_BYTES + 1)
    frames.space()[: len(header)] = header
    with pytest.raises(ValueError, match="more than"):
        list(frames.took(len(header)))
