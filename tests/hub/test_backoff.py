"""How long to wait before the next attempt."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wormux.hub.backoff import retry_delay_s, round_is_over
from wormux.limits import ATTEMPTS, RETRY_CAP_S, RETRY_FLOOR_S, RETRY_JITTER


@settings(deadline=None)
@given(st.integers(1, 10_000), st.integers(0, 2**96))
def test_delays_are_bounded(failures: int, entropy: int) -> None:
    assert RETRY_FLOOR_S <= retry_delay_s(failures, entropy) <= RETRY_CAP_S


def test_delays_double_up_to_the_cap() -> None:
    longest = [retry_delay_s(failures, 0) for failures in range(1, 9)]
    assert longest == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_jitter_shortens() -> None:
    assert retry_delay_s(4, 0xFFFF_FFFF) == 4.0 * (1 - RETRY_JITTER)
    assert len({retry_delay_s(4, entropy << 20) for entropy in range(100)}) == 100


def test_a_round_ends() -> None:
    assert [round_is_over(failures) for failures in (1, ATTEMPTS - 1, ATTEMPTS, ATTEMPTS + 1)] == [
        False,
        False,
        True,
        True,
    ]
