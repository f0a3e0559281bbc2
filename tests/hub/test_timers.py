"""Deadlines by key."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wormux.hub.timers import Timers, Wait


def test_the_newest_deadline_of_a_key_counts() -> None:
    timers = Timers()
    timers.set(Wait.RETRY, "a", 5.0)
    timers.set(Wait.RETRY, "a", 3.0)
    timers.set(Wait.RETRY, "a", 7.0)
    assert timers.due(6.0) == []
    assert timers.next_at() == 7.0
    assert timers.due(7.0) == [(Wait.RETRY, "a")]
    assert timers.next_at() is None
    assert not len(timers)


def test_a_deadline_that_was_set_back_and_forth_is_due_once() -> None:
    timers = Timers()
    for at_s in (5.0, 6.0, 5.0):
        timers.set(Wait.IDLE, "a", at_s)
    assert timers.due(9.0) == [(Wait.IDLE, "a")]


def test_cancelled_ones_are_not_due() -> None:
    timers = Timers()
    timers.set(Wait.SAVE, None, 1.0)
    timers.set(Wait.EXPIRE, "a", 2.0)
    timers.cancel(Wait.SAVE, None)
    timers.cancel(Wait.SAVE, "never set")
    assert timers.next_at() == 2.0
    assert timers.due(3.0) == [(Wait.EXPIRE, "a")]


OPERATIONS = st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 9))), max_size=60)


@settings(deadline=None)
@given(OPERATIONS, st.integers(0, 9))
def test_it_behaves_like_a_dictionary(operations: list[tuple[int, int | None]], now: int) -> None:
    timers, model = Timers(), dict[int, int]()
    for key, at in operations:
        if at is None:
            timers.cancel(Wait.RETRY, key)
            model.pop(key, None)
        else:
            timers.set(Wait.RETRY, key, float(at))
            model[key] = at
    assert timers.next_at() == min(model.values(), default=None)
    due = timers.due(float(now))
    assert sorted(due) == sorted((Wait.RETRY, key) for key, at in model.items() if at <= now)
    assert [model[key] for _, key in due if isinstance(key, int)] == sorted(
        at for at in model.values() if at <= now
    )


def test_outdated_deadlines_do_not_pile_up() -> None:
    timers = Timers()
    for number in range(10_000):
        timers.set(Wait.FORGET, "c", 86400.0 + number)
    assert len(timers._heap) < 200
    assert timers.next_at() == 86400.0 + 9999
