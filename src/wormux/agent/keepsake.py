"""What is kept of a shell's environment, so that the next shell of its pane has it again.

The shell writes its exported variables into a named pipe at each prompt; nothing of that touches the disk before it
has been sifted here. Kept are those that differ from the shell's first prompt, in one file of the pane's directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Optional

from wormux.agent.loop import EVENT_READ, Loop
from wormux.limits import ENVIRONMENT_BYTES, ENVIRONMENT_VARIABLES, LINK_OUTPUT_BYTES

ENV_EXCLUDE = (
    "*TOKEN*", "*_KEY", "*SECRET*", "*PASSW*", "*CREDENTIAL*", "*_PAT", "*_URL", "SSH_AUTH_SOCK",
)  # fmt: skip
"""Never kept, unless the agent is told other patterns."""
OWN = frozenset({
    "COLORTERM", "COLUMNS", "GPG_TTY", "LINES", "OLDPWD", "PPID", "PROMPT_COMMAND", "PS0", "PWD", "SHELLOPTS",
    "BASHOPTS", "SHLVL", "SSH_TTY", "STY", "TERM", "TERMCAP", "TMUX", "TMUX_PANE", "TTY", "WINDOWID", "ZDOTDIR", "_",
})  # fmt: skip
"""Speak of one terminal or one shell, not of the next."""
_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_FILE = "kept"
_FILE_BYTES = 8 * ENVIRONMENT_BYTES
"""JSON writes a byte as six characters at most, and there are names and values."""
_RESTORE = "restore"
_PIPE = "environment."
_VERSION = 1
_READS = 4
"""At a time: more than the pipe holds, and no program can keep the agent at it."""

Environment = Mapping[bytes, bytes]


@dataclass(frozen=True)
class Kept:
    """How a shell's environment differs from what its start-up files made."""

    changed: dict[bytes, bytes] = field(default_factory=dict)
    """Added ones too."""
    removed: frozenset[bytes] = frozenset()

    @classmethod
    def between(cls, before: Environment, after: Environment) -> Kept:
        """What leads from `before` to `after`."""
        changed = {name: value for name, value in after.items() if before.get(name) != value}
        return cls(changed, frozenset(before) - frozenset(after))

    def sifted(self, exclude: Collection[str]) -> Kept:
        """Without names that must not be kept."""

        def may_stay(name: bytes) -> bool:
            text = os.fsdecode(name)
            if not _NAME.fullmatch(name) or text in OWN or text.startswith("WORMUX_"):
                return False
            return not any(fnmatchcase(text, pattern) for pattern in exclude)

        return Kept(
            {name: value for name, value in self.changed.items() if may_stay(name)},
            frozenset(name for name in self.removed if may_stay(name)),
        )

    def to_json(self) -> bytes:
        """For the file: a byte is the character of the same number."""
        content = {
            "version": _VERSION,
            "changed": {
                name.decode("latin-1"): value.decode("latin-1") for name, value in self.changed.items()
            },
            "removed": sorted(name.decode("latin-1") for name in self.removed),
        }
        return json.dumps(content, indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Kept:
        """Raises `ValueError` for what `to_json` does not write."""
        try:
            content = json.loads(text)
            if content["version"] != _VERSION:
                raise ValueError("It was written by another version.")
            changed = {n.encode("latin-1"): v.encode("latin-1") for n, v in content["changed"].items()}
            return cls(changed, frozenset(name.encode("latin-1") for name in content["removed"]))
        except (AttributeError, KeyError, TypeError, UnicodeError, RecursionError) as error:
            raise ValueError("It has not the form of what is kept.") from error


class Blocks:
    """Finds the blocks of variables in what was read from the pipe, whatever else was written there."""

    def __init__(self, on_too_large: Callable[[], None]) -> None:
        self._on_too_large = on_too_large
        self._pending = b""
        self._kind: Optional[bytes] = None
        """Of the block that has begun; None between blocks, and in what is dropped."""
        self._variables: dict[bytes, bytes] = {}
        self._bytes = 0

    def feed(self, data: bytes) -> Iterator[tuple[str, dict[bytes, bytes]]]:
        """The blocks that are whole now, each with its kind: "baseline" or "prompt"."""
        *records, self._pending = (self._pending + data).split(b"\0")
        for record in records:
            if not record:
                if self._kind is not None:
                    yield self._kind.decode(), self._variables
                self._kind, self._variables, self._bytes = None, {}, 0
            elif record in (b"wormux baseline", b"wormux prompt"):
                self._kind, self._variables, self._bytes = record.split()[1], {}, 0
            elif self._kind is not None:
                name, separator, value = record.partition(b"=")
                if separator and _NAME.fullmatch(name):
                    self._variables[name] = value
                self._bytes += len(record)
                self._check(self._bytes)
        self._check(self._bytes + len(self._pending))

    def _check(self, size: int) -> None:
        if size > ENVIRONMENT_BYTES or len(self._variables) > ENVIRONMENT_VARIABLES:
            if self._kind is not None:
                self._on_too_large()
            # A record that goes on is no whole one any more, and no head of a block either.
            self._kind, self._variables, self._bytes = None, {}, 0
            self._pending = self._pending and b"="


class Keepsake:
    """Of one shell. Whoever makes one calls `end` when the shell has ended.

    Raises `OSError` if its directory or pipe cannot be made; then there is none.
    """

    def __init__(
        self,
        loop: Loop,
        directory: Path,
        generation: int,
        exclude: Collection[str],
        complain: Callable[[str], None],
    ) -> None:
        self.pipe = directory / f"{_PIPE}{generation}"
        """Where the shell writes."""
        self.restore = directory / _RESTORE
        """What the shell reads."""
        self._loop = loop
        self._directory = directory
        self._exclude = exclude
        self._complain = complain
        self._blocks = Blocks(
            lambda: self._complain(
                f"A shell has more than {ENVIRONMENT_BYTES} bytes or {ENVIRONMENT_VARIABLES} variables in its "
                "environment; they are not kept over sleep."
            )
        )
        self._baseline: Optional[Environment] = None
        _make_private(directory)
        self.kept = self._load()
        self._reader = self._open_pipe()
        loop.watch(self._reader, EVENT_READ, lambda _events: self.read())

    def write_restore(self, script: bytes) -> None:
        """Have the shell's language say what is to be set again."""
        _write(self.restore, script)

    def read(self) -> None:
        """Take what the shell has written."""
        if self._reader < 0:
            return
        with contextlib.suppress(BlockingIOError):
            for _ in range(_READS):
                for kind, variables in self._blocks.feed(os.read(self._reader, LINK_OUTPUT_BYTES)):
                    self._take(kind, variables)

    def end(self, *, forget: bool = False) -> None:
        """The shell has ended, and need not be remembered if `forget`. May be called again."""
        if self._reader >= 0:
            if not forget:
                self.read()
            self._loop.forget(self._reader)
            os.close(self._reader)
            self._reader = -1
            with contextlib.suppress(OSError):
                self.pipe.unlink()
        if forget:
            forget_directory(self._directory)

    def _take(self, kind: str, variables: Environment) -> None:
        if kind == "baseline":
            if self._baseline is None:
                self._baseline = variables
            return
        if self._baseline is None:
            return  # What differs cannot be known.
        kept = Kept.between(self._baseline, variables).sifted(self._exclude)
        try:
            # The shell has set again what it was to: one copy is enough.
            self.restore.unlink(missing_ok=True)
            if kept != self.kept:
                _write(self._directory / _FILE, kept.to_json())
                self.kept = kept
        except OSError as error:
            self._complain(f"The environment cannot be kept over sleep: {os.strerror(error.errno or 0)}.")

    def _load(self) -> Kept:
        path = self._directory / _FILE
        try:
            return Kept.from_json(_read(path)).sifted(self._exclude)
        except FileNotFoundError:
            return Kept()
        except (OSError, ValueError) as error:
            self._complain(f"What was kept of an environment cannot be read and is left out: {error}")
            return Kept()

    def _open_pipe(self) -> int:
        for left in self._directory.glob(f"{_PIPE}*"):
            left.unlink()
        self.restore.unlink(missing_ok=True)
        os.mkfifo(self.pipe, 0o600)
        # For both directions: it never waits for the shell, nor ends with it.
        reader = os.open(self.pipe, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        if not stat.S_ISFIFO(os.fstat(reader).st_mode):
            os.close(reader)
            raise FileExistsError(f"Something else has the name {self.pipe.name}.")
        return reader


def forget_directory(directory: Path) -> None:
    """Remove what is kept of one pane. It loses its name first: what still writes there makes no new files."""
    gone = directory.with_name(f"{directory.name}.gone")
    with contextlib.suppress(OSError):
        shutil.rmtree(gone, ignore_errors=True)
        directory.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _make_private(directory: Path) -> None:
    for each in (directory.parent, directory):
        each.mkdir(mode=0o700, exist_ok=True)
        each.chmod(0o700)


def _read(path: Path) -> bytes:
    """What stands in the file, which a program of the sandbox may have replaced: never waits, and has a bound. Raises
    `OSError` and `ValueError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("It is no file.")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(_FILE_BYTES + 1)
    if len(content) > _FILE_BYTES:
        raise ValueError("It is too large.")
    return content


def _write(path: Path, content: bytes) -> None:
    """The whole file or none, readable by its owner alone."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    beside.replace(path)
