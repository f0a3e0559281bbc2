"""The process that runs emulators for a server: requests in, events out, until its link closes.

It runs C code on what programs wrote, so it has nothing that it does not need, and it may die: before each request it
notes in a page that the server sees as well whose it is. Where it can, it says what went wrong on stderr.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import mmap
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wormux.limits import (
    DEFAULT_COLS,
    DEFAULT_ROWS,
    KIB,
    SCREEN_REQUEST_CPU_S,
    SCREEN_TOLD_BYTES,
    SCREEN_TOLD_WITHIN_S,
    SCREEN_WORKER_SPARE_BYTES,
)
from wormux.protocol.screen_link import Feed, OpenScreen, decode_request, encode
from wormux.screen.frames import FrameBuffer
from wormux.screen.table import Opener, ScreenTable, account

PAGE_BYTES: Final = mmap.PAGESIZE
"""Shared with the server: the number of the screen that is being worked for, 64 bits in the machine's order, or 0."""
_SEND_AT_BYTES = 64 * KIB
"""Events that come together are sent together, up to here."""
_OPEN_FILES = 16
"""Three and the link, and what importing takes at a time."""

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


def main(arguments: Sequence[str]) -> int:
    """Takes the descriptors of the link and of the page, the opener as `module:name`, and how much memory the screens
    may take."""
    link = socket.socket(fileno=int(arguments[0]))
    page = mmap.mmap(int(arguments[1]), PAGE_BYTES)
    os.close(int(arguments[1]))
    module, _, name = arguments[2].partition(":")
    memory_bytes = int(arguments[3])
    _bear_signals()
    opener: Opener = getattr(importlib.import_module(module), name)
    _give_up(memory_bytes)
    opener(OpenScreen(0, DEFAULT_COLS, DEFAULT_ROWS)).close()  # loads what is loaded on first use
    table = ScreenTable(opener, memory_bytes, _report)
    with contextlib.suppress(ConnectionError):  # the server is gone
        serve(link, table, memoryview(page).cast("Q"))
    return 0


def serve(link: socket.socket, table: ScreenTable, working_for: memoryview) -> None:
    """Carry out what comes on the blocking `link` until it ends. Raises `ConnectionError` if it breaks, `ValueError`
    for what no server says."""
    frames = FrameBuffer()
    events: list[bytes] = []
    untold = 0
    """Bytes that screens were fed, and nobody knows yet."""

    def send() -> None:
        link.sendall(b"".join(events))
        events.clear()

    while True:
        if untold and not select.select((link,), (), (), SCREEN_TOLD_WITHIN_S)[0]:
            untold = SCREEN_TOLD_BYTES
        else:
            count = link.recv_into(frames.space())
            if not count:
                return
            size = 0
            for payload in frames.took(count):
                number, request = decode_request(payload)
                # Runs while this process computes; at its end SIGPROF kills, also in the middle of C code.
                signal.setitimer(signal.ITIMER_PROF, SCREEN_REQUEST_CPU_S)
                working_for[0] = number
                for event in table.take(number, request):
                    events.append(encode(number, event))
                    size += len(events[-1])
                working_for[0] = 0
                # Whoever asks for more than to feed it waits for the answer.
                untold += len(request.data) if isinstance(request, Feed) else SCREEN_TOLD_BYTES
                if size >= _SEND_AT_BYTES:
                    send()
                    size = 0
        if untold >= SCREEN_TOLD_BYTES:
            untold = 0
            events += [encode(number, event) for number, event in table.settle()]
        if events:
            send()


def _bear_signals() -> None:
    """What ends a server is sent to all of its service: screens are wanted until the server lets go of them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _give_up(memory_bytes: int) -> None:
    """Drop what it does not need. What cannot be dropped on this system is kept."""
    _limit(resource.RLIMIT_CORE, 0)  # it would hold what was on the screens
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    if sys.platform == "linux":
        _limit(resource.RLIMIT_DATA, 2 * memory_bytes + SCREEN_WORKER_SPARE_BYTES)
        with contextlib.suppress(OSError):
            # It costs redraws, so the kernel takes it before it takes shells and servers.
            Path("/proc/self/oom_score_adj").write_text("500")
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
        prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))
        prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0))  # other processes of this user cannot look into it


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _report(doing: str, error: Exception) -> None:
    with contextlib.suppress(OSError):  # the server's stderr may be a terminal that is closed
        print(f"wormux screens: {account(doing, error)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
