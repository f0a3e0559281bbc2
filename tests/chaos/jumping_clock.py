"""Runs Wormux with a wall clock that jumps when it is told to, and with another monotonic clock than the machine's.

    python jumping_clock.py FILE serve …

The file holds two numbers: nanoseconds that are added to the wall clock, read anew at every look at it, and seconds
that the monotonic clock is ahead from the start on (Linux, where time namespaces can be made). The wall clock jumps
for Python code of the server's own process alone: not for its agents, SQLite or file times.
"""

from __future__ import annotations

import mmap
import os
import runpy
import struct
import sys
import time
from typing import SupportsIndex

FORM = struct.Struct("=qq")
_SET = "WORMUX_CHAOS_CLOCK_SET"


def main() -> None:
    file = os.open(sys.argv[1], os.O_RDONLY | os.O_CLOEXEC)
    page = mmap.mmap(file, FORM.size, access=mmap.ACCESS_READ)
    os.close(file)
    _, ahead_s = FORM.unpack(page[: FORM.size])
    if ahead_s and _SET not in os.environ:
        os.environ[_SET] = "1"
        command = [sys.executable, "-P", *sys.argv]
        os.execvp("unshare", ["unshare", "--time", "--monotonic", str(ahead_s), *command])
    os.environ.pop(_SET, None)
    del sys.argv[1]
    _jump_with(page)
    runpy.run_module("wormux", run_name="__main__", alter_sys=True)


def _jump_with(page: mmap.mmap) -> None:
    real_ns, real_local, real_gm = time.time_ns, time.localtime, time.gmtime

    def time_ns() -> int:
        return real_ns() + int(FORM.unpack(page[: FORM.size])[0])

    def now_s() -> float:
        return time_ns() / 1e9

    def localtime(seconds: float | SupportsIndex | None = None, /) -> time.struct_time:
        return real_local(now_s() if seconds is None else seconds)

    def gmtime(seconds: float | SupportsIndex | None = None, /) -> time.struct_time:
        return real_gm(now_s() if seconds is None else seconds)

    time.time_ns, time.time, time.localtime, time.gmtime = time_ns, now_s, localtime, gmtime


if __name__ == "__main__":
    main()
