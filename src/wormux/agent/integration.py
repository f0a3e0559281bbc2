"""What bash, zsh and fish are started with, so that they mark their prompts and come back as they were.

The person's own files are read as usual and never changed. The scripts lie in `shells/`; a copy goes where the shell
can read it, since the agent itself may be one file.
"""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Optional

from wormux.agent.keepsake import ENV_EXCLUDE, Keepsake, Kept, forget_directory
from wormux.agent.loop import Loop
from wormux.limits import PANES

_SCRIPTS = {
    "bash": ("bash.bash", "bash.bash"),
    "zsh": ("zshenv.zsh", "zsh/.zshenv"),
    "fish": ("init.fish", "init.fish"),
}
"""By shell: the name among the sources, and in the data directory."""
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./:,+-_@")


@dataclass(frozen=True)
class Start:
    """How a shell is started with integration."""

    argv: list[str]
    environment: dict[str, str]
    keepsake: Optional[Keepsake]
    """None if its environment cannot be kept."""


class Integration:
    """Of all shells of an agent. `complain` is told what a person could mend, as a sentence."""

    def __init__(
        self,
        loop: Loop,
        data_dir: Path,
        complain: Callable[[str], None],
        exclude: Collection[str] = ENV_EXCLUDE,
    ) -> None:
        self._loop = loop
        self._exclude = tuple(exclude)
        self._scripts = data_dir / "shells"
        self._panes = data_dir / "panes"
        self._history = data_dir / "zsh_history"
        self._complain = complain
        self._said: set[str] = set()
        self._keepsakes: dict[str, Keepsake] = {}
        """Of panes whose shell runs, or ended last."""

    def start(
        self, argv: list[str], file: str, environment: Mapping[str, str], pane_id: str, generation: int
    ) -> Optional[Start]:
        """For the program `file` called as `argv`; None if that is no shell to be integrated."""
        shell = file.rpartition("/")[2]
        if shell not in _SCRIPTS or len(argv) != 1:
            return None
        try:
            script = self._script(shell)
        except OSError as error:
            self._say(f"Shells start without integration: {os.strerror(error.errno or 0)}.")
            return None
        keepsake = self._keepsake(pane_id, generation)
        more = {}
        if keepsake is not None:
            more["WORMUX_KEEP"] = str(keepsake.pipe)
            if restore := restoring(keepsake.kept, shell):
                try:
                    keepsake.write_restore(restore)
                    more["WORMUX_RESTORE"] = str(keepsake.restore)
                except OSError as error:
                    self._say(f"The environment cannot be set again: {os.strerror(error.errno or 0)}.")
        called = list(argv)
        if shell == "bash":
            if called[0].startswith("-"):
                # A login shell would not read our file, which reads what a login shell does.
                called[0] = called[0][1:]
                more["WORMUX_LOGIN"] = "yes"
            called += ["--rcfile", str(script)]
        elif shell == "zsh":
            if "ZDOTDIR" in environment:
                more["WORMUX_ZDOTDIR"] = environment["ZDOTDIR"]
            more["ZDOTDIR"] = str(script.parent)
            more["WORMUX_HISTORY"] = str(self._history)
        else:
            called += ["--init-command", f"source {_quoted_for_fish(os.fsencode(script)).decode('ascii')}"]
        return Start(called, {**environment, **more}, keepsake)

    def forget(self, pane_id: str) -> None:
        """The pane is closed: nothing of its shells is kept."""
        keepsake = self._keepsakes.pop(pane_id, None)
        if keepsake is not None:
            keepsake.end(forget=True)
        else:
            forget_directory(self._directory(pane_id))

    def _keepsake(self, pane_id: str, generation: int) -> Optional[Keepsake]:
        old = self._keepsakes.pop(pane_id, None)
        if old is not None:
            old.end()
        directory = self._directory(pane_id)
        try:
            keepsake = Keepsake(self._loop, directory, generation, self._exclude, self._say)
        except OSError as error:
            self._say(f"Environments are not kept over sleep: {os.strerror(error.errno or 0)}.")
            return None
        self._keepsakes[pane_id] = keepsake
        self._forget_oldest()
        return keepsake

    def _forget_oldest(self) -> None:
        """A pane that was closed while the sandbox slept has left its directory."""
        try:
            by_age = sorted((path.stat().st_mtime, path) for path in self._panes.iterdir())
        except OSError:
            return  # The data directory is being removed.
        for _, path in by_age[: max(0, len(by_age) - PANES)]:
            forget_directory(path)

    def _directory(self, pane_id: str) -> Path:
        return self._panes / sha256(pane_id.encode()).hexdigest()[:32]

    def _script(self, shell: str) -> Path:
        """Where the script of `shell` lies, as it is in this version. Raises `OSError`."""
        source, name = _SCRIPTS[shell]
        content = pkgutil.get_data("wormux.agent", f"shells/{source}")
        if content is None:
            raise FileNotFoundError(2, f"shells/{source}")
        path = self._scripts / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            if path.read_bytes() == content:
                return path
        except OSError:
            pass  # Written now.
        beside = path.with_name(f"{path.name}.new")
        beside.write_bytes(content)
        beside.replace(path)
        return path

    def _say(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._complain(sentence)


def restoring(kept: Kept, shell: str) -> bytes:
    """A script that sets again what is kept. Every value is one word that expands to nothing but itself."""
    quoted = _quoted_for_fish if shell == "fish" else _quoted
    lines = [b"__wormux_drop %s\n" % name for name in sorted(kept.removed)]
    lines += [b"__wormux_put %s %s\n" % (name, quoted(value)) for name, value in sorted(kept.changed.items())]
    return b"".join(lines)


def _quoted(value: bytes) -> bytes:
    """One word for bash and zsh."""
    return b"$'%s'" % b"".join(b"%c" % byte if byte in _PLAIN else b"\\%03o" % byte for byte in value)


def _quoted_for_fish(value: bytes) -> bytes:
    """One word for fish, which knows bytes outside of quotes only."""
    return b"".join(b"%c" % byte if byte in _PLAIN else b"\\X%02x" % byte for byte in value) or b"''"
