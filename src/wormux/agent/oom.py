"""Does the kernel say that it killed something here for want of memory? It counts that per control group.

The counter is opened when the agent starts, since a sandbox may hide it later. Knows no processes: a shell that died by
SIGKILL soon after the counter rose is taken for what was killed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from wormux.limits import OOM_KNOWN_WITHIN_S

_COUNTER_BYTES = 4096
"""Ten times as long as the files are."""


class OomCounter:
    """`descriptor` is of `memory.events` (version 2) or `memory.oom_control` (version 1); None if there is none."""

    def __init__(self, descriptor: int | None, clock: Callable[[], float]) -> None:
        self._descriptor = descriptor
        self._clock = clock
        self._count = self._read()
        self._rose_at: float | None = None

    def look(self) -> None:
        """Notice whether it rose. Called often enough, it says when."""
        count = self._read()
        if count > self._count:
            self._rose_at = self._clock()
        self._count = count

    def rose(self) -> bool:
        """Has something been killed just now? The kernel counts first; the process takes a while to end."""
        self.look()
        return self._rose_at is not None and self._clock() - self._rose_at <= OOM_KNOWN_WITHIN_S

    def _read(self) -> int:
        if self._descriptor is None:
            return 0
        try:
            return parse(os.pread(self._descriptor, _COUNTER_BYTES, 0))
        except OSError:  # The group is gone, or this is no such file.
            return 0


def parse(counters: bytes) -> int:
    """Kills for want of memory, single ones and those of whole groups; 0 if the file does not count them."""
    rows = (line.split() for line in counters.splitlines())
    return sum(
        int(row[1])
        for row in rows
        if len(row) == 2 and row[0] in (b"oom_kill", b"oom_group_kill") and row[1].isdigit()
    )


def open_counter(proc: Path = Path("/proc/self")) -> int | None:
    """A descriptor of the counter of the process's own group; None where there is none to be seen."""
    for path in candidates(proc):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        if b"oom_kill " in os.pread(descriptor, _COUNTER_BYTES, 0):
            return descriptor
        os.close(descriptor)
    return None


def candidates(proc: Path) -> Iterator[Path]:
    """Where the counter may lie: version 1 before version 2, which counts no memory where version 1 does."""
    try:
        groups = list(_groups((proc / "cgroup").read_text("utf-8", "surrogateescape").splitlines()))
        mounts = (proc / "mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return
    for is_v1, root, point in sorted(_mounts(mounts), key=lambda mount: not mount[0]):
        for group_is_v1, group in groups:
            if group_is_v1 == is_v1 and (below := _below(root, group)) is not None:
                yield Path(point, below, "memory.oom_control" if is_v1 else "memory.events")


def _groups(lines: Iterable[str]) -> Iterator[tuple[bool, str]]:
    """Version 1 or not, and path, of the groups that count memory."""
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield True, path
        elif number == "0" and not controllers:
            yield False, path


def _mounts(lines: Iterable[str]) -> Iterator[tuple[bool, str, str]]:
    """Version 1 or not, the group that is shown as the root, and where, of the mounts that may count memory."""
    for line in lines:
        fields, _, kind = line.partition(" - ")
        words, kinds = fields.split(), kind.split()
        if len(words) > 4 and len(kinds) > 2:
            is_v1 = kinds[0] == "cgroup" and "memory" in kinds[2].split(",")
            if is_v1 or kinds[0] == "cgroup2":
                yield is_v1, words[3], words[4]


def _below(root: str, group: str) -> str | None:
    """The path of the group under a mount that shows `root`; None if it does not show it."""
    if root == "/":
        return group.lstrip("/")
    if group == root or group.startswith(root + "/"):
        return group[len(root) :].lstrip("/")
    return None
