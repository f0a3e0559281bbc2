"""Kept output is recognised: what is known of it, what is new, and whether it is another shell's."""

from __future__ import annotations

import functools
import random
import time

import pytest

from wormux.limits import CLOUDFLARE_KEPT_BYTES, CLOUDFLARE_OVERLAP_BYTES
from wormux.sandbox.cloudflare_overlap import NewPart, Tail, Verdict, new_part, overlap

KEPT = CLOUDFLARE_KEPT_BYTES


@functools.cache
def numbers(start: int, end: int) -> bytes:
    return b"".join(b"%d\r\n" % number for number in range(start, end))


def tail_of(stream: bytes) -> Tail:
    tail = Tail()
    for start in range(0, len(stream), 50_000):
        tail.append(stream[start : start + 50_000])
    return tail


def ring(stream: bytes) -> bytes:
    """What a sandbox keeps of it."""
    return stream[-KEPT:]


def test_a_tail_remembers_the_end_and_counts_all() -> None:
    stream = numbers(0, 200_000)
    tail = tail_of(stream)
    assert bytes(tail) == stream[-KEPT:]
    assert tail.seen == len(stream)
    assert not tail.is_whole
    assert tail_of(b"ab").is_whole
    assert tail_of(stream[:KEPT]).is_whole
    assert not tail_of(stream[: KEPT + 1]).is_whole


@pytest.mark.parametrize("length", [0, 1, 2, 63, 64, 65, 1000, KEPT - 1, KEPT, KEPT + 1, 3 * KEPT])
@pytest.mark.parametrize("more", [0, 1, 5, 70, 100_000, KEPT - 100])
def test_what_is_known_is_left_out_and_what_is_new_is_not(length: int, more: int) -> None:
    stream = numbers(0, 200_000)
    part = new_part(tail_of(stream[:length]), ring(stream[: length + more]))
    kept = ring(stream[: length + more])
    if length < CLOUDFLARE_OVERLAP_BYTES and length + more > KEPT:
        assert part.verdict is Verdict.MOVED_ON
    else:
        assert part == NewPart(Verdict.CONTINUES, len(kept) - more)


@pytest.mark.parametrize("length", [0, 1, 1000, KEPT, 2 * KEPT])
def test_a_ring_that_has_moved_past_what_was_seen_is_known_as_such(length: int) -> None:
    stream = numbers(0, 400_000)
    for more in (KEPT + 1, 2 * KEPT):
        part = new_part(tail_of(stream[:length]), ring(stream[: length + more]))
        assert part == NewPart(Verdict.MOVED_ON, 0)


@pytest.mark.parametrize(
    ("seen", "kept"),
    [
        (b"$ echo a\r\na\r\n$ ", b""),
        (b"$ echo a\r\na\r\n$ ", b"$ "),
        (b"$ echo a\r\na\r\n$ ", b"$ echo b\r\nb\r\n$ "),
        (numbers(0, 200_000) + b"$ ", b"$ "),
        (numbers(0, 200_000) + b"$ ", b""),
        (numbers(0, 200_000), numbers(0, 1000)),
    ],
)
def test_a_fresh_shell_is_no_old_one(seen: bytes, kept: bytes) -> None:
    assert new_part(tail_of(seen), kept) == NewPart(Verdict.FRESH, 0)


def test_of_a_shell_that_has_shown_no_more_than_its_prompt_a_fresh_one_is_no_other() -> None:
    assert new_part(tail_of(b"$ "), b"$ ") == NewPart(Verdict.CONTINUES, 2)


def test_where_several_places_fit_the_longest_overlap_counts() -> None:
    """What may be missed looks like what is shown, and nothing is shown twice."""
    flood = b"y\r\n" * KEPT
    assert new_part(tail_of(flood), ring(flood)) == NewPart(Verdict.CONTINUES, KEPT)
    for more in range(1, 7):
        part = new_part(tail_of(flood), ring(flood + flood[:more]))
        assert part == NewPart(Verdict.CONTINUES, KEPT - more % 3)
    part = new_part(tail_of(flood), ring(flood + b"$ "))
    assert part == NewPart(Verdict.CONTINUES, KEPT - 2)


def test_a_short_flood_that_goes_on_is_counted_exactly() -> None:
    """As long as everything is kept, only one place fits."""
    flood = b"y" * 5000
    assert new_part(tail_of(flood[:3000]), flood) == NewPart(Verdict.CONTINUES, 3000)


def test_a_few_bytes_that_are_alike_are_no_overlap() -> None:
    seen, kept = numbers(0, 200_000) + b"-" * 63, b"-" * 63 + numbers(300_000, 400_000)
    assert new_part(tail_of(seen), kept[:KEPT]) == NewPart(Verdict.MOVED_ON, 0)
    seen, kept = seen + b"-", b"-" + kept
    assert new_part(tail_of(seen), kept[:KEPT]) == NewPart(Verdict.CONTINUES, 64)


def test_a_tail_that_was_stored_a_moment_ago_is_enough() -> None:
    stream = numbers(0, 200_000)
    stored = Tail(stream[: 2 * KEPT][-KEPT:], 2 * KEPT)
    part = new_part(stored, ring(stream[: 2 * KEPT + 50_000]))
    assert part == NewPart(Verdict.CONTINUES, KEPT - 50_000)


@pytest.mark.parametrize("letters", [1, 2, 3, 200])
def test_the_longest_overlap_is_found(letters: int) -> None:
    dice = random.Random(letters)

    def draw(count: int) -> bytes:
        return bytes(dice.randrange(letters) for _ in range(count))

    for _ in range(300):
        tail = draw(dice.randrange(400))
        kept = tail[dice.randrange(len(tail) + 1) :] * dice.randrange(3) + draw(dice.randrange(200))
        longest = max(n for n in range(min(len(tail), len(kept)) + 1) if tail.endswith(kept[:n]))
        assert overlap(tail, kept) == longest


def test_no_output_makes_it_slow() -> None:
    """Repetition is the worst case: thousands of places fit almost."""
    repeated = b"y" * (KEPT - 1)
    began_s = time.process_time()
    assert overlap(b"x" + repeated, repeated + b"x") == KEPT - 1
    assert overlap(repeated + b"x", b"y" * KEPT) == 0
    assert overlap(b"y" * 1000 + b"z" + repeated[1001:], repeated[:2000] + b"x" + repeated) == 2000
    assert time.process_time() - began_s < 3.0
