"""wetty and gritty: terminals of node-pty behind Socket.IO."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from collections.abc import Iterator
from typing import Any

from bench.peers.port import (
    COLS,
    HERE,
    READ_WITHIN_S,
    ROWS,
    Client,
    Peer,
    Server,
    free_port,
    process,
    wait_for_port,
)
from bench.ws_client import TEXT, WebSocket

MODULES = HERE / "node_modules"
_COMMIT_CHARS = 256 * 1024
"""wetty's page says how much it has drawn each time that it has drawn so much."""


class _Page(Client):
    """Socket.IO over one WebSocket: `0{…}` opens, `40` joins, `42[…]` is an event, `2` is answered by `3`."""

    def __init__(self, url: str, namespace: str = "") -> None:
        self._socket = WebSocket(f"{url}/socket.io/?EIO=4&transport=websocket", {})
        self._prefix = f"{namespace}," if namespace else ""
        self._say(f"40{self._prefix}")
        self._next_text(f"40{self._prefix}")
        self._drawn = 0
        self._commits = False

    def send(self, data: bytes) -> None:
        self.emit("input" if self._commits else "data", data.decode())

    def read(self, within_s: float = READ_WITHIN_S) -> bytes:
        while True:
            name, *values = json.loads(self._next_text(f"42{self._prefix}", within_s))
            if name == "data":
                text = str(values[0])
                self._draw(len(text))
                return text.encode()

    def close(self) -> None:
        self._socket.close()

    def emit(self, name: str, *values: Any) -> None:
        self._say(f"42{self._prefix}{json.dumps([name, *values])}")

    def wait(self, event: str) -> None:
        """Until the server has sent this one."""
        while json.loads(self._next_text(f"42{self._prefix}"))[0] != event:
            pass

    def _draw(self, chars: int) -> None:
        self._drawn += chars
        if self._commits and self._drawn >= _COMMIT_CHARS:
            self.emit("commit", _COMMIT_CHARS)
            self._drawn -= _COMMIT_CHARS

    def _next_text(self, prefix: str, within_s: float = READ_WITHIN_S) -> str:
        """What stands behind `prefix` in the next message that begins with it."""
        while True:
            _, payload = self._socket.receive(within_s)
            text = payload.tobytes().decode()
            if text == "2":
                self._say("3")
            elif text.startswith(prefix):
                return text[len(prefix) :]

    def _say(self, text: str) -> None:
        self._socket.send(text.encode(), opcode=TEXT)


class _WettyPage(_Page):
    def __init__(self, url: str, cols: int, rows: int) -> None:
        super().__init__(url)
        self._commits = True
        self.wait("login")
        self.emit("resize", {"cols": cols, "rows": rows})


class _GrittyPage(_Page):
    def __init__(self, url: str, cols: int, rows: int) -> None:
        super().__init__(url, "/gritty")
        self.emit("terminal", {"cols": cols, "rows": rows, "autoRestart": False})


class _Server(Server):
    def __init__(self, pid: int, url: str, page: type[_WettyPage | _GrittyPage]) -> None:
        self._pid = pid
        self._url = url
        self._page = page

    @property
    def roots(self) -> list[int]:
        return [self._pid]

    def open(self, cols: int = COLS, rows: int = ROWS) -> Client:
        return self._page(self._url, cols, rows)


class _Node(Peer):
    def missing(self) -> str | None:
        return (
            None
            if (MODULES / self.name).is_dir()
            else "not installed: `make bench-peers` does that, with npm"
        )

    def version(self) -> str:
        return str(json.loads((MODULES / self.name / "package.json").read_text())["version"])


class Wetty(_Node):
    name = "wetty"

    @contextlib.contextmanager
    def serve(self, argv: list[str]) -> Iterator[Server]:
        port = free_port()
        main = MODULES / "wetty" / "build" / "main.js"
        options = ["--host", "127.0.0.1", "--port", str(port), "--base", "/", "--log-level", "error"]
        with process(["node", str(main), *options, "--command", shlex.join(argv)]) as running:
            wait_for_port(port, running)
            yield _Server(running.pid, f"ws://127.0.0.1:{port}", _WettyPage)


class Gritty(_Node):
    name = "gritty"

    @contextlib.contextmanager
    def serve(self, argv: list[str]) -> Iterator[Server]:
        port = free_port()
        main = MODULES / "gritty" / "bin" / "gritty.js"
        command = ["node", str(main), "--port", str(port), "--command", shlex.join(argv)]
        with process(command, env={**os.environ, "IP": "127.0.0.1"}) as running:
            wait_for_port(port, running)
            yield _Server(running.pid, f"ws://127.0.0.1:{port}", _GrittyPage)
