"""The page's terminal as a test drives it: xterm.js without a browser, in a process of Node.js."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

ORACLE = Path(__file__).parent / "oracle" / "oracle.mjs"
PACKAGE = Path(__file__).parents[2] / "web" / "node_modules" / "@xterm" / "headless"

_HEADER = struct.Struct("!II")


@dataclass(frozen=True)
class Comparison:
    """What differs between two terminals."""

    cells: int
    """Compared: those of both screens and of the scrollback that both have."""
    differing: int
    kinds: dict[str, int]
    """How many cells or rows differ in which of their parts."""
    examples: list[dict[str, Any]]
    """The first of them."""
    state: list[list[Any]]
    """What differs beside cells: its name, and both values."""


@dataclass
class Xterm:
    """Terminals by number, all in one process; a context."""

    _process: subprocess.Popen[bytes] = field(init=False)
    _last: int = 0

    def __enter__(self) -> Xterm:
        self._process = subprocess.Popen(["node", str(ORACLE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=30)
        assert kind is not None or self._process.returncode == 0

    def open(self, cols: int, rows: int, scrollback: int = 10_000) -> int:
        self._last += 1
        self._tell({"do": "open", "id": self._last, "cols": cols, "rows": rows, "scrollback": scrollback})
        return self._last

    def write(self, terminals: list[int], data: bytes) -> None:
        self._tell({"do": "write", "ids": terminals}, data)

    def resize(self, terminals: list[int], cols: int, rows: int) -> None:
        self._tell({"do": "resize", "ids": terminals, "cols": cols, "rows": rows})

    def close(self, terminals: list[int]) -> None:
        self._tell({"do": "close", "ids": terminals})

    def compare(self, left: int, rights: list[int]) -> list[Comparison]:
        return [Comparison(**answer) for answer in self._ask({"do": "compare", "with": left, "ids": rights})]

    def state(self, terminal: int) -> dict[str, Any]:
        """Everything beside the cells. `threw` is the error that ended its reading, or None."""
        [answer] = self._ask({"do": "state", "ids": [terminal]})
        return answer

    def screen(self, terminal: int) -> tuple[list[list[list[Any]]], str]:
        """The cells of each visible row, blank ones at its end left out, and the cursor's place."""
        [answer] = self._ask({"do": "screen", "ids": [terminal]})
        return answer["rows"], answer["cursor"]

    def _tell(self, command: dict[str, Any], data: bytes = b"") -> None:
        assert self._process.stdin is not None
        head = json.dumps(command).encode()
        self._process.stdin.write(_HEADER.pack(len(head), len(data)) + head + data)

    def _ask(self, command: dict[str, Any]) -> list[dict[str, Any]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tell(command)
        self._process.stdin.flush()
        answer: list[dict[str, Any]] = json.loads(self._process.stdout.readline())
        return answer


def oracle() -> Xterm:
    """Where it is not installed the test is skipped; in CI it fails."""
    reason = None
    if shutil.which("node") is None:
        reason = "Node.js is not on PATH."
    elif not PACKAGE.is_dir():
        reason = "@xterm/headless is not installed in web/: run `make setup`."
    if reason is not None:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return Xterm()
