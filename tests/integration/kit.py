"""What the integration tests share: shells that can be checked byte for byte, and small steps that many tests take."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wormux.ids import PaneId, SessionId
from wormux.testing.client import ScriptedClient
from wormux.testing.server_process import ServerProcess, wait_until

BASH = "bash --norc --noprofile"
"""A real shell with job control and readline, without the files of whoever runs the tests."""
PROMPT = "ready> "
NEW_SHELL = b"new shell"
"""A part of the line that a fresh shell's pane shows."""

_RECORDER = """
import itertools, os, select, sys, termios, tty

folder, lines_a_second = sys.argv[1], float(sys.argv[2])
pid = os.getpid()
with open(f"{folder}/starts", "a") as starts:
    starts.write(f"{pid}\\n")
tty.setraw(0)
typed = open(f"{folder}/typed", "ab", buffering=0)
written = open(f"{folder}/written", "w")
os.write(1, b"\\x1b]133;B\\x07")
pause_s = 1 / lines_a_second if lines_a_second else None
for number in itertools.count():
    if pause_s is not None:
        os.write(1, b"%d\\r\\n" % number)
        if number % 50 == 0:
            written.seek(0)
            written.write(f"{number:9}")
            written.flush()
    while select.select([0], [], [], pause_s)[0]:
        data = os.read(0, 65536)
        typed.write(data)
        if not data or data.endswith(b"\\x04"):
            os.write(1, b"END %d\\r\\n" % number)
            pause_s = None
"""


class MakeServer(Protocol):
    """The fixture `make_server`: a running server of the test's own, ended with it."""

    def __call__(
        self, *options: str, shell: str = BASH, name: str = "data", start: bool = True
    ) -> ServerProcess: ...


@dataclass(frozen=True)
class Recorder:
    """A program to be a pane's shell: raw, it keeps every byte that it reads, and may write numbered lines.

    It announces that it is ready as a shell with integration does. The byte 4 at the end of a read stops the lines,
    with a last one that says how many there were.
    """

    folder: Path
    lines_a_second: float = 0

    @property
    def shell(self) -> str:
        script = self.folder / "recorder.py"
        self.folder.mkdir(exist_ok=True)
        script.write_text(_RECORDER)
        return shlex.join([sys.executable, "-I", str(script), str(self.folder), str(self.lines_a_second)])

    @property
    def typed(self) -> bytes:
        path = self.folder / "typed"
        return path.read_bytes() if path.exists() else b""

    @property
    def written(self) -> int:
        """How many lines about."""
        return int((self.folder / "written").read_text() or 0)

    async def writes(self, count: int) -> None:
        """So many lines more."""
        wanted = self.written + count
        await eventually(lambda: self.written >= wanted, f"{count} lines more")

    @property
    def starts(self) -> list[int]:
        """The pids of all that ran."""
        path = self.folder / "starts"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def lines(count: int) -> bytes:
    """All that a recorder writes until its `END` with this number."""
    numbered = b"".join(b"%d\r\n" % number for number in range(count + 1))
    return b"\x1b]133;B\x07" + numbered + b"END %d\r\n" % count


async def eventually(predicate: Callable[[], object], what: str) -> None:
    """As `wait_until`, while the clients go on."""
    await asyncio.to_thread(wait_until, predicate, what)


async def drawn(client: ScriptedClient, pane: PaneId) -> None:
    """The client has the pane's first drawing: what the pane writes from here on comes as it is written."""

    def is_drawn() -> bool:
        output = client.outputs.get(pane)
        return output is not None and output.resume is not None

    await client.wait_for(is_drawn, f"the drawing of {pane}")


async def run(client: ScriptedClient, pane: PaneId, command: str) -> bytes:
    """Type a short command line; what it writes until the next prompt. Looks at the numbered bytes: a redraw, as after
    a resize, may come in between."""
    await drawn(client, pane)
    output = client.outputs[pane]
    line = command.encode()
    echo = re.escape(line) + rb"\r\n\x1b\[\?2004l\r"
    whole = re.compile(echo + rb"(.*?)\x1b\[\?2004h" + PROMPT.encode(), re.DOTALL)
    since = output.position
    await client.type(pane, line + b"\n")

    def look() -> re.Match[bytes] | None:
        return whole.search(output.received, max(0, since - output.start))

    await client.wait_for(look, f"what {command!r} writes")
    found = look()
    assert found is not None
    return found[1]


async def at_prompt(client: ScriptedClient, pane: PaneId) -> None:
    """A shell stands behind the pane and has written its prompt."""
    await client.wait_status(pane, "connected")
    await client.wait_output(pane, PROMPT.encode())


async def fall_asleep(client: ScriptedClient, session: SessionId) -> None:
    """Put a session's sandbox to sleep at once."""
    await client.request("session_sleep", session_id=session, force=True)
    for pane in client.model.panes_of(session):
        await client.wait_status(pane, "asleep")


async def split(client: ScriptedClient, pane: PaneId) -> PaneId:
    """A pane beside another."""
    made = await client.request("pane_split", pane_id=pane, orientation="horizontal", cols=60, rows=20)
    assert made.pane_id is not None
    return made.pane_id


async def new_session(client: ScriptedClient, name: str) -> tuple[SessionId, PaneId]:
    """A session and its pane, at the prompt."""
    made = await client.request("session_create", name=name, cols=80, rows=24)
    assert made.session_id is not None
    assert made.pane_id is not None
    await client.wait_status(made.pane_id, "connected")
    return made.session_id, made.pane_id
