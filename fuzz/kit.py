"""What a fuzz target is, and what its code under test must not do, whatever the bytes.

A target raises only for a finding. Code under test may refuse bytes by the exceptions that its own documentation
names; the target swallows those. Everything else is found here: other exceptions, bugs that were caught and logged,
terminal bytes in a log, and computing without end.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

SECRET = b"kanarie7"
"""Stands in seeds for what is typed, printed or secret: no line of a log may hold it."""
CPU_S = 10.0
"""Of computing for one input: the largest takes a tenth of it on a slow machine."""
PIECE_END = b"\xfe\xff|"
"""Between the pieces of an input. Rare in real input, and short enough for a fuzzer to move pieces about."""
PIECES = 64
"""The most pieces of an input that are looked at."""


class Finding(Exception):
    """The code under test did what it must not do."""


@dataclass(frozen=True)
class Target:
    """One boundary and what is thrown at it."""

    name: str
    what: str
    """In a few words, for the list of targets."""
    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    """Inputs that the code under test takes for right, from the project's own encoders."""
    words: tuple[bytes, ...] = ()
    """What mutations may insert."""
    examples: int = 100
    """Of Hypothesis, in the tests: what a second or two allow."""
    memory_bytes: int = 64 << 20
    """The most that one input may make Python allocate beyond what there was: a few of the bounds together."""

    def __call__(self, data: bytes) -> None:
        """Throw `data`. Raises `Finding`, or what the code under test should not have raised."""
        with watched():
            self.run(data)


def pieces(data: bytes) -> list[bytes]:
    """The pieces of an input, without empty ones."""
    return [piece for piece in data.split(PIECE_END) if piece][:PIECES]


def joined(*parts: bytes) -> bytes:
    """An input of these pieces."""
    return PIECE_END.join(parts)


def need(condition: object, rule: str) -> None:
    """Raises `Finding` with the rule that was broken."""
    if not condition:
        raise Finding(rule)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """An empty directory, in memory where that can be had: targets do nothing else as often as writing files."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="wormux-fuzz-", dir=shared if os.access(shared, os.W_OK) else None
    ) as name:
        yield Path(name)


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Raises `Finding` for what the code inside logs and prints, and for computing too long."""
    said = io.StringIO()
    handler = _Listener()
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with contextlib.redirect_stderr(said), limited_computing(CPU_S):
            yield
    except BaseException:
        sys.stderr.write(said.getvalue())
        raise
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    for text in (*handler.said, said.getvalue()):
        need(SECRET.decode() not in text, f"A log has what was typed, printed or secret: {text!r}")
        bug = "A bug:" in text or "Traceback" in text
        need(not bug, f"A bug was caught and logged:\n{text}")


class _Listener(logging.Handler):
    """Keeps what is logged, as it would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] not in ("hypothesis", "asyncio") or record.levelno > logging.DEBUG:
            self.said.append(self.format(record))


@contextlib.contextmanager
def limited_computing(seconds: float) -> Iterator[None]:
    """Raises `Finding` inside once so much was computed. A wait is not counted: loops here end by themselves."""

    def too_much(_number: int, _frame: FrameType | None) -> None:
        raise Finding(f"Still computing after {seconds:g} s.")

    began_s = time.process_time()
    before = signal.signal(signal.SIGPROF, too_much)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    need(time.process_time() - began_s < seconds, f"Took more than {seconds:g} s of computing.")
