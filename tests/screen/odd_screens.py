"""Emulators for tests, which do what they are told in the output: crash, fail, hang, answer, lie.

Openers are named to workers as `tests.screen.odd_screens:open_odd`, so they run in those.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from wormux.errors import ScreenError
from wormux.limits import SCREEN_FRAME_BYTES
from wormux.protocol.screen_link import HEADER, Fed, OpenScreen, RedrawTaken, encode
from wormux.screen.log_screen import LogScreen
from wormux.screen.port import Redraw, Screen

OPEN_ODD = "tests.screen.odd_screens:open_odd"

CRASH = b"<crash>"
CRASH_IN_REDRAW = b"<crash in redraw>"
EXIT = b"<exit>"
RAISE = b"<raise>"
REFUSE = b"<refuse>"
HANG = b"<hang>"
LOOP = b"<loop>"
QUERY = b"<query>"
ANSWER = b"<answer>"
UNKEEPABLE = b"<unkeepable>"
KEEPABLE = b"<keepable>"
LIES = {
    b"<noise>": HEADER.pack(5) + b"noise",
    b"<long frame>": HEADER.pack(SCREEN_FRAME_BYTES + 1),
    b"<strange type>": HEADER.pack(4) + b"\x92\x01\x91\x01",
    b"<future>": encode(1, Fed(1_000_000)),
    b"<no such screen>": encode(1000, Fed(0)),
    b"<impossible size>": encode(1, RedrawTaken(0, 0, 0, 24, b"", 0)),
}


class OddScreen(LogScreen):
    """Does what it reads."""

    living = 0

    def __init__(self, cols: int, rows: int) -> None:
        super().__init__(cols, rows)
        OddScreen.living += 1

    def feed(self, data: bytes) -> bytes:
        if CRASH in data:
            os.kill(os.getpid(), signal.SIGSEGV)
        elif EXIT in data:
            os._exit(3)
        elif RAISE in data:
            raise ZeroDivisionError("what a program wrote")
        elif REFUSE in data:
            raise ScreenError("The test refuses this.")
        elif HANG in data:
            time.sleep(3600)
        elif LOOP in data:
            while True:
                pass
        for said, lie in LIES.items():
            if said in data:
                os.write(int(sys.argv[1]), lie)
        super().feed(data)
        return ANSWER * data.count(QUERY)

    def redraw(self, lines: int, limit_bytes: int) -> Redraw:
        redraw = super().redraw(lines, limit_bytes)
        if CRASH_IN_REDRAW in redraw.data:
            os.kill(os.getpid(), signal.SIGSEGV)
        return redraw

    def checkpoint(self) -> bytes:
        text = self.text(scrollback=True).encode()
        if text.rfind(UNKEEPABLE) > text.rfind(KEEPABLE):
            raise ScreenError("The test cannot keep this.")
        return super().checkpoint()

    def close(self) -> None:
        super().close()
        OddScreen.living -= 1


class AboutWorker(LogScreen):
    """Shows the process that it runs in."""

    def redraw(self, lines: int, limit_bytes: int) -> Redraw:
        shown = [f"living={OddScreen.living}", *sorted(os.environ)]
        return Redraw("\n".join(shown).encode(), 0)


def open_odd(request: OpenScreen) -> Screen:
    """One that does what it reads; with 100 columns, one that shows its process."""
    if request.cols == 100:
        return AboutWorker(request.cols, request.rows)
    if request.state is not None:
        return OddScreen.opened(request.state)
    return OddScreen(request.cols, request.rows)


def open_impatient(request: OpenScreen) -> Screen:
    """As `open_odd`, in a worker that may not compute for long."""
    vars(sys.modules["__main__"])["SCREEN_REQUEST_CPU_S"] = 0.1
    return open_odd(request)
