"""Where control groups can be made: what hierarchies this system has, and in which directory of each ours may lie.

A system has one unified hierarchy (v2), several of one or a few controllers each (v1), or both kinds side by side.
/proc tells where they are and where this process stands in them. Whether we may do there what we want is not asked of
permission bits, which know nothing of mounts, delegation and containers: it is tried with a process.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wormux.errors import SandboxError
from wormux.limits import GROUP_ABANDONED_S
from wormux.sandbox.cgroup import Group, Use, freeze_group, remove_group, thaw_group, write_file

_PROC_SELF = Path("/proc/self")
_PREFIX = "wormux-"
_TRIAL_WITHIN_S = 1.0
_LOOK_S = 0.0005


@dataclass(frozen=True)
class Hierarchy:
    top: Path
    """Where it is mounted."""
    own: Path | None
    """The group of this process; None if that is outside of what is mounted."""
    is_unified: bool
    """v2: its groups can be frozen without any controller, since Linux 5.2."""
    controllers: frozenset[str]


class Groups:
    """Those of the sandboxes of one data directory, whichever server of it made them."""

    def __init__(self, data_dir: Path, found: tuple[Hierarchy, ...] | None = None) -> None:
        """`found` are the hierarchies, by default those of this system."""
        self.name = _PREFIX + hashlib.sha256(os.fsencode(data_dir.absolute())).hexdigest()[:8]
        """Of the directories in which they lie."""
        self._hierarchies = hierarchies() if found is None else found
        self._bases: dict[Hierarchy, Path] = {}
        self._served: dict[Use, Path] = {}
        self._unified: set[Path] = set()

    @property
    def uses(self) -> frozenset[Use]:
        """What its groups are for: what `cannot` was asked for and can be had."""
        return frozenset(self._served)

    def cannot(self, use: Use) -> str | None:
        """Why groups cannot be had for this, as half a sentence; None if they can, and all that are made from now on
        are for it. Tries it, which may take a twentieth of a second."""
        if use in self._served:
            return None
        reasons = []
        for hierarchy in self._hierarchies:
            if use in hierarchy.controllers or (use == "freezer" and hierarchy.is_unified):
                reason = self._settle(hierarchy, use)
                if reason is None:
                    return None
                reasons.append(reason)
        return reasons[0] if reasons else f"this system has no control groups with a {use} controller"

    def make(self) -> Group:
        """A new one. Raises `SandboxError`."""
        name = secrets.token_hex(6)
        try:
            for use, base in self._served.items():
                _prepare(base, use, is_unified=base in self._unified)
                (base / name).mkdir(exist_ok=True)
        except OSError as error:
            raise SandboxError(f"The sandbox's control group cannot be made: {error.strerror}.") from error
        return Group({use: base / name for use, base in self._served.items()})

    def find(self, text: str) -> Group | None:
        """The one of which this is the `dump`, also of an earlier server's; None if it is gone."""
        try:
            return Group.load(text, self.name)
        except (ValueError, AttributeError, TypeError):
            return None

    def sweep(self) -> None:
        """Remove the empty groups of all servers that ended without doing it."""
        now = time.time()
        for base in set(self._served.values()):
            for other in base.parent.glob(f"{_PREFIX}*"):
                for group in (*other.glob("*/"), other):
                    with contextlib.suppress(OSError):
                        if now - group.stat().st_mtime > GROUP_ABANDONED_S:
                            group.rmdir()

    def _settle(self, hierarchy: Hierarchy, use: Use) -> str | None:
        """Find where in this hierarchy groups can be for this. The reason if nowhere.

        A process is in one group of a hierarchy: what was found for one use, holds for the next."""
        settled = self._bases.get(hierarchy)
        reasons = []
        for parent in [settled.parent] if settled is not None else _candidates(hierarchy):
            base = parent / self.name
            try:
                _try(hierarchy, base, use)
            except OSError as error:
                reasons.append(_reason(parent, error))
            else:
                self._bases[hierarchy] = self._served[use] = base
                if hierarchy.is_unified:
                    self._unified.add(base)
                return None
            finally:
                remove_group(base)  # it is made again for the first group in it
        return reasons[0]


# --- What the system has ---------------------------------------------------------------------------------------


def hierarchies(proc_self: Path = _PROC_SELF) -> tuple[Hierarchy, ...]:
    """All that are mounted, the unified one first; none on other systems than Linux."""
    try:
        mounts = (proc_self / "mountinfo").read_text(errors="surrogateescape")
        groups = (proc_self / "cgroup").read_text(errors="surrogateescape")
    except OSError:
        return ()
    own: dict[str, str] = {}
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))  # the unified one has none: ""
    found = [_hierarchy(root, top, options, own) for root, top, options in _mounts(mounts)]
    return tuple(sorted(found, key=lambda hierarchy: not hierarchy.is_unified))


def _mounts(mountinfo: str) -> Iterator[tuple[str, Path, str | None]]:
    """Which part of a hierarchy is mounted where, and with what options if it is one of v1."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, top = (_plain(field) for field in before.split(" ")[3:5])
        kind, _, rest = after.partition(" ")
        if kind == "cgroup2":
            yield root, Path(top), None
        elif kind == "cgroup":
            yield root, Path(top), rest.rpartition(" ")[2]


def _hierarchy(root: str, top: Path, options: str | None, own: dict[str, str]) -> Hierarchy:
    if options is None:
        place = _below(top, root, own.get(""))
        with contextlib.suppress(OSError):
            controllers = (place or top).joinpath("cgroup.controllers").read_text().split()
            return Hierarchy(top, place, True, frozenset(controllers))
        return Hierarchy(top, place, True, frozenset())
    names = frozenset(name for name in options.split(",") if name in own)
    path = next((own[name] for name in names), None)
    return Hierarchy(top, _below(top, root, path), False, names)


def _below(top: Path, root: str, path: str | None) -> Path | None:
    """Where the group `path` of a hierarchy is found, if its group `root` is mounted at `top`."""
    root = root.rstrip("/")
    if path is None or path.startswith("/..") or not f"{path}/".startswith(f"{root}/"):
        return None
    return top / path[len(root) :].strip("/")


def _plain(field: str) -> str:
    """Without the kernel's octal escapes for spaces and the like."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


# --- What we may do there --------------------------------------------------------------------------------------


def _candidates(hierarchy: Hierarchy) -> list[Path]:
    """The directories in which ours may lie, the best first. The superuser could write anywhere, also where a service
    manager wants to be alone; another user only where that was delegated."""
    own, top = hierarchy.own, hierarchy.top
    found = [own] if own is not None else []
    if own is not None and own != top and os.geteuid() != 0:
        found.append(own.parent)
    return list(dict.fromkeys([*found, top]))


def _try(hierarchy: Hierarchy, base: Path, use: Use) -> None:
    """Do with one process what groups below `base` are for. Raises `OSError`."""
    _prepare(base, use, is_unified=hierarchy.is_unified)
    group = base / f"trial-{os.getpid()}"
    group.mkdir(exist_ok=True)
    waiting, ending = os.pipe()
    try:
        actions = [(os.POSIX_SPAWN_DUP2, waiting, 0)]
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", "read wait"], {}, file_actions=actions)
        try:
            write_file(group / "cgroup.procs", str(pid))
            _try_use(group, use)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    finally:
        os.close(waiting)
        os.close(ending)
        remove_group(group)


def _prepare(base: Path, use: Use, *, is_unified: bool) -> None:
    """Make the directory for a server's groups. Raises `OSError`."""
    base.mkdir(exist_ok=True)
    if is_unified and use != "freezer":
        for directory in (base.parent, base):
            enable_controller(directory, use)


def _try_use(group: Path, use: Use) -> None:
    if use == "freezer":
        deadline = time.monotonic() + _TRIAL_WITHIN_S
        try:
            while not freeze_group(group):
                if time.monotonic() > deadline:
                    raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
                time.sleep(_LOOK_S)
        finally:
            thaw_group(group)
    else:
        files = ("pids.max",) if use == "pids" else ("memory.max", "memory.limit_in_bytes")
        if not any(os.access(group / file, os.W_OK) for file in files):
            raise FileNotFoundError(errno.ENOENT, f"{files[0]} is missing")


def enable_controller(directory: Path, controller: str) -> None:
    """For the groups below this directory of the unified hierarchy. Raises `OSError`: EBUSY if processes are in it."""
    path = directory / "cgroup.subtree_control"
    if controller not in path.read_text().split():
        write_file(path, f"+{controller}")


def _reason(parent: Path, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{parent} is not writable for this user"
    if error.errno == errno.EBUSY:
        return f"{parent} has processes of its own, so that nothing below it can be limited"
    return f"trying it in {parent} failed ({error.strerror})"
