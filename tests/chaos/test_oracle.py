"""What compares the bytes of a run: finds whatever is wrong, and nothing else."""

from __future__ import annotations

import itertools

import pytest

from wormux.protocol.messages import DiscardReason, InputDiscarded
from wormux.testing.streams import InputStream

from .oracle import UNREAD_BYTES, Typed, View, merge, reads, shown, told, typed
from .programs import END, LINE, LINE_BYTES, group, last_written_at_ms, typed_by

BETWEEN = (
    b"\x18\x1b[?1000;2004l\x1b>\x1b[!p\x1b[m\r\n\x1b[2m"
    + "── lost 12:31, new shell ──".encode()
    + b"\x1b[m\r\n"
)


def program(pid: int, lines: int) -> bytes:
    """What a program of this pid writes."""
    header = b"\x1b]133;B\x07scribe %09d\r\n" % pid
    return header + b"".join(
        b"%012d by %09d at %015d%s\r\n" % (number, pid, 7000 + number, b"." * 54) for number in range(lines)
    )


WRITTEN = {1: program(1, 50), 2: program(2, 40)}
WHOLE = WRITTEN[1] + BETWEEN + WRITTEN[2]


def wrong_with(*views: View) -> list[str]:
    runs, wrong = merge(views)
    return wrong + told(runs, WRITTEN, 2).wrong


def test_the_lines_of_programs_are_as_long_as_they_say() -> None:
    lines = list(LINE.finditer(WRITTEN[1]))
    assert len(lines) == 50
    assert {len(line[0]) for line in lines} == {LINE_BYTES}
    assert last_written_at_ms(WRITTEN[1]) == 7049
    assert last_written_at_ms(WRITTEN[1][:-1]) == 7048


def test_all_that_was_written_is_right_from_wherever_it_was_seen() -> None:
    runs, wrong = merge([View("a", 0, WHOLE), View("b", 333, WHOLE[333:3000]), View("b", 3500, WHOLE[3500:])])
    result = told(runs, WRITTEN, 2)
    assert wrong == result.wrong == []
    assert result.pids == [1, 2]
    assert result.origins == {1: 0, 2: len(WRITTEN[1] + BETWEEN)}
    assert result.compared_bytes == len(WRITTEN[1] + WRITTEN[2])


@pytest.mark.parametrize(
    "gap", [(10, 40), (150, 1234), (4900, 5300), (5000, 5200), (len(WHOLE) - 500, len(WHOLE) - 50)]
)
def test_a_gap_may_be_anywhere(gap: tuple[int, int]) -> None:
    before, after = gap
    assert wrong_with(View("a", 0, WHOLE[:before]), View("a", after, WHOLE[after:])) == []


def test_a_gap_that_hides_another_number_of_bytes_than_it_says_is_found() -> None:
    assert wrong_with(View("a", 0, WHOLE[:150]), View("a", 1234, WHOLE[1235:])) != []


def test_a_program_that_ended_in_the_middle_of_a_line_is_followed_by_the_next() -> None:
    cut = WRITTEN[1][:-133]
    assert wrong_with(View("a", 0, cut + BETWEEN + WRITTEN[2])) == []
    assert wrong_with(View("a", 0, cut + b"nonsense" + BETWEEN + WRITTEN[2])) != []


@pytest.mark.parametrize("at", [40, 1500, len(WRITTEN[1]) + 3, len(WRITTEN[1]) + 200, len(WHOLE) - 2])
def test_a_byte_that_is_lost_doubled_or_changed_is_found(at: int) -> None:
    for broken in (
        WHOLE[:at] + WHOLE[at + 1 :],
        WHOLE[:at] + WHOLE[at : at + 1] + WHOLE[at:],
        WHOLE[:at] + b"#" + WHOLE[at + 1 :],
    ):
        in_between = len(WRITTEN[1]) <= at < len(WRITTEN[1] + BETWEEN)
        if broken != WHOLE and not in_between:
            assert wrong_with(View("a", 0, broken)) != [], broken[at - 5 : at + 5]
        if broken != WHOLE:
            assert wrong_with(View("a", 0, WHOLE), View("b", 0, broken)) != []


def test_output_of_a_program_that_comes_again_is_found() -> None:
    assert wrong_with(View("a", 0, WRITTEN[2] + BETWEEN + WRITTEN[1] + BETWEEN + WRITTEN[2])) != []


def test_a_screen_shows_the_end_of_what_was_written() -> None:
    rows = WRITTEN[1].decode().split("\r\n")[-11:-1]
    assert shown("\n".join(rows) + "\n\n", WRITTEN[1]) == []
    assert shown("\n".join([rows[0][40:], *rows[1:]]), WRITTEN[1]) == []
    assert shown("\n".join(rows[:-1]), WRITTEN[1]) != []
    assert shown("\n".join([*rows[:3], *rows[4:]]), WRITTEN[1]) != []


def acknowledged(*groups: int) -> Typed:
    return Typed(b"".join(group(1, number) for number in groups), "acknowledged")


def of(*groups: int) -> bytes:
    return acknowledged(*groups).data


def test_everything_that_was_read_was_typed_once_and_in_order() -> None:
    parts = [acknowledged(0, 1, 2), acknowledged(3, 4)]
    assert reads(parts, [of(0, 1), of(2, 3, 4)], lives=True).wrong == []
    assert reads(parts, [b"", of(0, 1, 2, 3, 4), b""], lives=True).wrong == []
    for read in (
        [of(0, 1, 2, 3)],
        [of(0, 1, 1, 2, 3, 4)],
        [of(1, 2, 3, 4)],
        [of(0, 2, 1, 3, 4)],
        [of(0, 1, 2, 4)],
    ):
        assert reads(parts, read, lives=True).wrong != []


def test_it_is_said_where_what_was_read_is_wrong() -> None:
    (sentence,) = reads([acknowledged(0, 1, 2, 3)], [of(0, 1, 1, 2, 3)], lives=True).wrong
    assert sentence.startswith("Program 1 read 23 bytes as they were typed")
    assert sentence.endswith(f"instead of {of(2)[-1:] + of(3)!r}.")


def test_what_a_terminal_held_for_a_program_that_ended_may_be_lost() -> None:
    result = reads([acknowledged(0, 1, 2, 3)], [of(0)[:5], of(2, 3)], lives=True)
    assert (result.wrong, result.unread_bytes) == ([], 11)
    many = range(UNREAD_BYTES // 8 + 3)
    assert reads([acknowledged(*many)], [of(0), of(many[-1])], lives=True).wrong != []


def test_what_was_discarded_was_not_read() -> None:
    parts = [acknowledged(0), Typed(of(1), "discarded"), acknowledged(2)]
    assert reads(parts, [of(0, 2)], lives=True).wrong == []
    assert reads(parts, [of(0, 1, 2)], lives=True).wrong != []


def test_of_what_is_uncertain_the_program_has_read_the_beginning_or_nothing() -> None:
    parts = [acknowledged(0), Typed(of(1), "uncertain"), acknowledged(2)]
    for count in range(9):
        assert reads(parts, [of(0) + of(1)[:count] + of(2)], lives=True).wrong == []
    assert reads(parts, [of(0) + of(1)[1:] + of(2)], lives=True).wrong != []


def test_a_stream_says_what_became_of_each_byte() -> None:
    stream = InputStream()
    for number in range(4):
        stream.add(of(number))
    discards: tuple[DiscardReason, DiscardReason] = ("expired", "uncertain")
    for (start, end), reason in zip(itertools.pairwise((8, 12, 16)), discards, strict=True):
        stream.take_discard(InputDiscarded(pane_id="p", from_=start, to=end, reason=reason))  # type: ignore[arg-type]
    stream.take_ack(24)
    stream.unknown()
    stream.add(of(4))
    stream.take_ack(8)
    assert typed(stream) == [
        Typed(of(0), "acknowledged"),
        Typed(of(1)[:4], "discarded"),
        Typed(of(1)[4:], "uncertain"),
        Typed(of(2), "acknowledged"),
        Typed(of(3), "forgotten"),
        Typed(of(4), "acknowledged"),
    ]


def test_what_was_typed_is_known_by_position_after_what_was_left_out() -> None:
    stream = InputStream()
    stream.add(b"one")
    stream.reconnected(1)
    stream.add(b"two")
    assert bytes(stream.numbered) == b"onetwo"
    stream.reconnected(4)
    assert bytes(stream.numbered) == b"onetwo"
    assert stream.end == len(stream.numbered)


def test_what_two_clients_typed_can_be_told_apart() -> None:
    mixed = group(0, 7)[:3] + group(2, 9)[:5] + group(0, 7)[3:] + END + group(2, 9)[5:]
    assert typed_by(0, mixed) == group(0, 7) + END
    assert typed_by(2, mixed) == group(2, 9)
    assert typed_by(1, mixed) == b""
