"""Moments follow the machine's clocks, and no two have the same entropy."""

from __future__ import annotations

import time

from wormux.server.moments import Moments


def test_no_entropy_comes_twice() -> None:
    moments = Moments()
    drawn = [moments.now().entropy for _ in range(2000)]
    assert len(set(drawn)) == len(drawn)
    assert max(drawn) > 1 << 60
    assert max(drawn) < 1 << 64


def test_they_follow_the_clocks() -> None:
    moments = Moments()
    before_s, before_ms = time.monotonic(), time.time_ns() // 1_000_000
    first, second = moments.now(), moments.now()
    after_s, after_ms = time.monotonic(), time.time_ns() // 1_000_000
    assert before_s <= first.mono_s <= second.mono_s <= after_s
    assert before_ms <= first.wall_ms <= second.wall_ms <= after_ms
    assert first.utc_offset_s == second.utc_offset_s == time.localtime().tm_gmtoff
