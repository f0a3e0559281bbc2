"""What the shells of sandboxes in memory know of /bin/sh: a few commands, and some directories for a file system."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from wormux.limits import LINK_OUTPUT_BYTES
from wormux.protocol.agent_link import Exit

DIRECTORIES = ("/", "/usr", "/tmp")
_FLOOD_BYTES = 4 * LINK_OUTPUT_BYTES
_EXPANSION = re.compile(r"\$(\(pwd\)|\$|\w+)")


class FakeShell:
    """Carries out lines. Knows `cd`, `echo`, `exit`, `kill`, and `sleep` and `while`, which never end by themselves; a
    `while` writes a flood of what its `echo` says, with `$i` counted."""

    def __init__(self, pid: int, env: Mapping[str, str], cwd: str | None) -> None:
        self.running: str | None = None
        """The command that runs."""
        self.cwd = cwd or "/"
        self._pid = pid
        self._env = dict(env)
        while self.cwd not in DIRECTORIES:
            self.cwd = self.cwd.rpartition("/")[0] or "/"

    @property
    def prompt(self) -> bytes:
        return self._env.get("PS1", "$ ").encode()

    def run(self, line: str) -> Iterator[bytes | Exit]:
        """What it writes; an `Exit` is the last."""
        rest = line.strip()
        while rest:
            if rest.startswith("while "):
                self.running = "while"
                yield _flood(rest)
                return
            command, _, rest = rest.partition(";")
            rest = rest.strip()
            name, _, argument = command.strip().partition(" ")
            if name == "sleep":
                self.running = name
                return
            answer = self._carry_out(name, argument)
            if answer is not None:
                yield answer
            if isinstance(answer, Exit):
                return
        yield self.prompt

    def _carry_out(self, name: str, argument: str) -> bytes | Exit | None:
        argument = _EXPANSION.sub(self._value, argument.replace("'", ""))
        if name == "echo":
            return argument.encode() + b"\r\n"
        if name == "exit":
            return Exit(code=int(argument or 0))
        if name == "kill" and argument == f"-KILL {self._pid}":
            return Exit(signal="SIGKILL")
        if name == "cd" and argument in DIRECTORIES:
            self.cwd = argument
        return None

    def _value(self, expansion: re.Match[str]) -> str:
        name = expansion[1]
        return {"(pwd)": self.cwd, "$": str(self._pid)}.get(name, self._env.get(name, ""))


def _flood(line: str) -> bytes:
    said = line.partition("echo ")[2].partition(";")[0].encode() + b"\r\n"
    count = _FLOOD_BYTES // len(said)
    return b"".join(said.replace(b"$i", b"%d" % number) for number in range(1, count + 1))
