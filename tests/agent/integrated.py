"""Shells with integration as a person has them: with start-up files, in a sandbox that sleeps and wakes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from wormux.protocol.agent_link import Stopped

from .harness import Agent, Pane

RC = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}
"""What each shell reads at last of a person's files."""
PLAIN_RC = {
    "bash": "PS1='$ '\nbind 'set enable-bracketed-paste off'\n",
    "zsh": "PS1='$ '\nunsetopt prompt_sp\n",
    "fish": "function fish_prompt; echo '$ '; end\nset -g fish_greeting\nfunction fish_title; end\n",
}
ENDS = b"\x1b]133;B\x07"
_MARK = re.compile(rb"\x1b\]133;([^\x07]*)\x07")


def marks(output: bytes | bytearray) -> list[str]:
    """Those of prompts and commands, in order."""
    return [mark.decode() for mark in _MARK.findall(bytes(output))]


def run(pane: Pane, line: str | bytes) -> int:
    """Type a command line; its exit status, once the next prompt is there."""
    pane.type((line.encode() if isinstance(line, str) else line) + b"\r")
    pane.await_output(b"\x1b]133;C\x07")
    pane.await_output(b"\x1b]133;D;")
    start = pane._seen
    pane.await_output(ENDS)
    return int(bytes(pane.output[start : pane.output.index(b"\x07", start)]))


class Sandbox:
    """One sandbox over the lives of its agents, with a home. A context."""

    def __init__(self, shell: str, rc: str = "", *options: str, plain: bool = True) -> None:
        self.shell = shell
        self.options = options
        self.home = Path(tempfile.mkdtemp(prefix="wx-home-"))
        self.env = {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_DATA_HOME": str(self.home / ".local"),
            "LANG": "C.UTF-8",
            "BEFORE": "before",
        }
        self.write(RC[shell], (PLAIN_RC[shell] if plain else "") + rc)
        (self.home / ".local/fish/generated_completions").mkdir(
            parents=True
        )  # fish would run a program for them
        self._stack = ExitStack()
        self._generation = 0
        self.agent = self._stack.enter_context(Agent(*options))

    def write(self, name: str, text: str | bytes) -> None:
        """A file of the person's."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def open(self, *argv: str, wait: bool = True, **fields: object) -> Pane:
        """The pane with its next shell, at the prompt."""
        self._generation += 1
        given: dict[str, object] = {"cwd": str(self.home), "env": self.env, **fields}
        pane = self.agent.open(argv=argv or (self.shell,), generation=self._generation, **given)  # type: ignore[arg-type]
        pane.await_ready()
        if wait:
            pane.await_output(ENDS)
        return pane

    def sleep(self) -> None:
        """Stop it; the next agent is there at once."""
        assert isinstance(self.agent.control().sleep(force=True), Stopped)
        assert self.agent.wait() == 0
        self.agent = self._stack.enter_context(Agent(*self.options, directory=self.agent.directory))

    def environment(self, pane: Pane) -> dict[bytes, bytes]:
        """What a program of the shell is given."""
        assert run(pane, "env -0 >~/.seen") == 0
        pairs = (self.home / ".seen").read_bytes().split(b"\0")
        return dict(pair.split(b"=", 1) for pair in pairs if pair)

    @property
    def kept_files(self) -> list[Path]:
        """Of panes, directories aside."""
        return [path for path in self.agent.data_dir.glob("panes/*/*") if not path.is_dir()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for (
            pid
        ) in self.agent.descendants():  # bash may miss a hang-up in the moment in which it begins to wait
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._stack.__exit__(kind, error, trace)
        shutil.rmtree(self.home)
