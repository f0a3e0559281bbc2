"""Where the hub's moments come from. There is one for every step, and so for every key: what changes seldom, or costs
a call of the kernel, is not asked for each time."""

from __future__ import annotations

import os
import time

from wormux.hub.inputs import Moment

_ENTROPY_BYTES = 8
_DRAWN_BYTES = 512 * _ENTROPY_BYTES
_MINUTE_MS = 60_000
"""Time zones change between minutes."""


class Moments:
    """The clocks and the randomness of this machine."""

    def __init__(self) -> None:
        self._minute = -1
        self._utc_offset_s = 0
        self._random = b""
        self._used = 0

    def now(self) -> Moment:
        """A new one."""
        wall_ms = time.time_ns() // 1_000_000
        if wall_ms // _MINUTE_MS != self._minute:
            self._minute = wall_ms // _MINUTE_MS
            self._utc_offset_s = time.localtime().tm_gmtoff
        if self._used == len(self._random):
            self._random, self._used = os.urandom(_DRAWN_BYTES), 0
        entropy = int.from_bytes(self._random[self._used : self._used + _ENTROPY_BYTES])
        self._used += _ENTROPY_BYTES
        return Moment(time.monotonic(), wall_ms, self._utc_offset_s, entropy)
