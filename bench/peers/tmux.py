"""tmux in control mode, as programs that draw its panes themselves use it: a client process on two pipes.

Attaching asks for what such programs ask for: the pane's text with its colours, the screen behind an alternate one,
the cursor and the modes.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.peers.port import COLS, READ_WITHIN_S, ROWS, Client, Peer, Server

_READ_BYTES = 256 * 1024
_FLAGS = (
    "alternate_on", "cursor_x", "cursor_y", "cursor_flag", "keypad_cursor_flag", "keypad_flag", "insert_flag",
    "origin_flag", "wrap_flag", "mouse_standard_flag", "mouse_button_flag", "mouse_all_flag", "mouse_sgr_flag",
    "scroll_region_upper", "scroll_region_lower",
)  # fmt: skip
_MODES = {
    "keypad_cursor_flag": b"?1",
    "insert_flag": b"4",
    "origin_flag": b"?6",
    "mouse_standard_flag": b"?1000",
    "mouse_button_flag": b"?1002",
    "mouse_all_flag": b"?1003",
    "mouse_sgr_flag": b"?1006",
}


class _Pane(Client):
    """A client in control mode that is attached to a session of one pane."""

    def __init__(self, tmux: list[str], session: str, pane: str, cols: int, rows: int) -> None:
        self.session = session
        self.pane = pane
        self._output = f"%output {pane} ".encode()
        self._unread = b""
        self._drawn = b""
        """What is to be read before anything else."""
        self._process = subprocess.Popen(
            [*tmux, "-C", "attach", "-t", session],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._ask(f"refresh-client -C {cols}x{rows}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, data: bytes) -> None:
        self._tell(f"send-keys -t {self.pane} -H {data.hex(' ')}")

    def read(self, within_s: float = READ_WITHIN_S) -> bytes:
        if self._drawn:
            drawn, self._drawn = self._drawn, b""
            return drawn
        while True:
            output = [
                line[len(self._output) :] for line in self._lines(within_s) if line.startswith(self._output)
            ]
            if output:
                return unescaped(b"".join(output))

    def redraw(self) -> None:
        """Have what was there before drawn first."""
        said = self._ask(f"display-message -p -t {self.pane} '{' '.join(f'#{{{flag}}}' for flag in _FLAGS)}'")
        flags = dict(zip(_FLAGS, (int(value or 0) for value in said[0].split(b" ")), strict=True))
        drawn = b"\x1b)0"
        if flags["alternate_on"]:
            drawn += b"\r\n".join(self._ask(f"capture-pane -peqJN -a -t {self.pane}")) + b"\x1b[?1049h\x1b[H"
        drawn += b"\r\n".join(self._ask(f"capture-pane -peqJN -S - -t {self.pane}")) + b"\x0f\x1b[m\x1b)B"
        upper, lower = flags["scroll_region_upper"], flags["scroll_region_lower"]
        drawn += b"\x1b[%d;%dr" % (upper + 1, lower + 1)
        drawn += b"".join(b"\x1b[%sh" % mode for flag, mode in _MODES.items() if flags[flag])
        drawn += b"" if flags["wrap_flag"] else b"\x1b[?7l"
        drawn += b"\x1b=" if flags["keypad_flag"] else b""
        drawn += b"" if flags["cursor_flag"] else b"\x1b[?25l"
        drawn += b"\x1b[%d;%dH" % (flags["cursor_y"] + 1, flags["cursor_x"] + 1)
        self._drawn = drawn

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, command: str) -> list[bytes]:
        """The lines of its answer. Output that comes before is dropped: the answer has it."""
        self._tell(command)
        answer: list[bytes] | None = None
        ends_s = time.monotonic() + READ_WITHIN_S
        while True:
            lines = self._lines(ends_s - time.monotonic())
            for at, line in enumerate(lines):
                if line.startswith(b"%begin ") and line.endswith(b" 1"):  # 0: of the attaching itself
                    answer = []
                elif answer is not None and line.startswith((b"%end ", b"%error ")):
                    self._unread = b"".join(rest + b"\n" for rest in lines[at + 1 :]) + self._unread
                    return answer
                elif answer is not None:
                    answer.append(line)

    def _lines(self, within_s: float) -> list[bytes]:
        """Whole lines, as they have come."""
        assert self._process.stdout is not None
        while b"\n" not in self._unread:
            if not select.select([self._process.stdout], [], [], max(0.0, within_s))[0]:
                raise TimeoutError
            data = os.read(self._process.stdout.fileno(), _READ_BYTES)
            if not data:
                raise EOFError("tmux ended its client.")
            self._unread += data
        *lines, self._unread = self._unread.split(b"\n")
        return lines

    def _tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()


class _Tmux(Server):
    def __init__(self, tmux: list[str], argv: list[str]) -> None:
        self._tmux = tmux
        self._argv = argv
        self._pid = int(self._said("display-message", "-p", "#{pid}"))
        self._clients: list[_Pane] = []
        self._sessions = 0

    @property
    def roots(self) -> list[int]:
        return [self._pid, *(client.pid for client in self._clients)]

    def open(self, cols: int = COLS, rows: int = ROWS) -> Client:
        self._sessions += 1
        session = f"bench-{self._sessions}"
        size = ["-x", str(cols), "-y", str(rows)]
        pane = self._said("new-session", "-d", "-P", "-F", "#{pane_id}", *size, "-s", session, *self._argv)
        return self._client(session, pane, cols, rows)

    def attach(self, terminal: Client, cols: int = COLS, rows: int = ROWS) -> Client:
        assert isinstance(terminal, _Pane)
        return self._client(terminal.session, terminal.pane, cols, rows)

    def _client(self, session: str, pane: str, cols: int, rows: int) -> _Pane:
        client = _Pane(self._tmux, session, pane, cols, rows)
        client.redraw()
        self._clients.append(client)
        return client

    def _said(self, *command: str) -> str:
        return subprocess.run(
            [*self._tmux, *command], check=True, capture_output=True, text=True
        ).stdout.strip()


class Tmux(Peer):
    name = "tmux (control mode)"

    def missing(self) -> str | None:
        return None if shutil.which("tmux") else "not on the PATH: Debian's package tmux"

    def version(self) -> str:
        return subprocess.run(["tmux", "-V"], check=True, capture_output=True, text=True).stdout.split()[-1]

    @contextlib.contextmanager
    def serve(self, argv: list[str]) -> Iterator[Server]:
        with tempfile.TemporaryDirectory(prefix="wormux-bench-") as folder:
            tmux = ["tmux", "-S", str(Path(folder, "socket")), "-f", "/dev/null"]
            first = [*tmux, "new-session", "-d", "-s", "first", "sleep", "1000000"]
            environment = {name: value for name, value in os.environ.items() if not name.startswith("TMUX")}
            subprocess.run(first, check=True, env=environment)
            try:
                yield _Tmux(tmux, argv)
            finally:
                subprocess.run([*tmux, "kill-server"], check=False, capture_output=True)


def unescaped(value: bytes) -> bytes:
    """What the pane wrote: tmux gives control characters and backslashes as three octal digits."""
    return codecs.escape_decode(value)[0]
