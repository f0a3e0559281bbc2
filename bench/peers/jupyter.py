"""terminado, by its own way to serve terminals that have names, and the Jupyter server's terminals on top of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from typing import Any

from bench.peers.port import (
    COLS,
    HERE,
    READ_WITHIN_S,
    ROOT,
    ROWS,
    Client,
    Peer,
    Server,
    free_port,
    process,
    wait_for_port,
)
from bench.ws_client import TEXT, WebSocket

PYTHON = ROOT / ".venv-peers" / "bin" / "python"
_TOKEN = "bench"


class _Page(Client):
    def __init__(self, url: str, headers: dict[str, str], cols: int, rows: int) -> None:
        self.url = url
        self._socket = WebSocket(url, headers)
        self._tell("set_size", rows, cols)

    def send(self, data: bytes) -> None:
        self._tell("stdin", data.decode())

    def read(self, within_s: float = READ_WITHIN_S) -> bytes:
        while True:
            _, payload = self._socket.receive(within_s)
            message = json.loads(payload.tobytes())
            if message[0] == "stdout":
                return str(message[1]).encode()

    def close(self) -> None:
        self._socket.close()

    def _tell(self, *message: Any) -> None:
        self._socket.send(json.dumps(message).encode(), opcode=TEXT)


class _Server(Server):
    def __init__(self, pid: int, url: str, headers: dict[str, str]) -> None:
        self._pid = pid
        self._url = url
        self._headers = headers
        self._opened = 0

    @property
    def roots(self) -> list[int]:
        return [self._pid]

    def open(self, cols: int = COLS, rows: int = ROWS) -> Client:
        self._opened += 1
        return self._page(f"{self._url}/{self._opened}", cols, rows)

    def attach(self, terminal: Client, cols: int = COLS, rows: int = ROWS) -> Client:
        assert isinstance(terminal, _Page)
        return self._page(terminal.url, cols, rows)

    def _page(self, url: str, cols: int, rows: int) -> _Page:
        return _Page(url, self._headers, cols, rows)


class _JupyterServer(_Server):
    """Makes a terminal by a request of its own, before it is attached to."""

    def open(self, cols: int = COLS, rows: int = ROWS) -> Client:
        url = self._url.replace("ws://", "http://").replace("/terminals/websocket", "/api/terminals")
        request = urllib.request.Request(url, b"{}", self._headers, method="POST")
        with urllib.request.urlopen(request) as answer:
            name = json.load(answer)["name"]
        return self._page(f"{self._url}/{name}", cols, rows)


class _Tornado(Peer):
    package: str

    def missing(self) -> str | None:
        if not PYTHON.exists():
            return "not installed: `make bench-peers` does that"
        return None if self.version() else "not in .venv-peers"

    def version(self) -> str:
        script = f"import importlib.metadata as m; print(m.version({self.package!r}))"
        done = subprocess.run([PYTHON, "-c", script], capture_output=True, text=True, check=False)
        return done.stdout.strip()


class Terminado(_Tornado):
    name = package = "terminado"

    @contextlib.contextmanager
    def serve(self, argv: list[str]) -> Iterator[Server]:
        command = [str(PYTHON), str(HERE / "terminado_server.py"), *argv]
        with process(command, stdout=subprocess.PIPE) as running:
            assert running.stdout is not None
            port = int(running.stdout.readline())
            yield _Server(running.pid, f"ws://127.0.0.1:{port}/ws", {})


class Jupyter(_Tornado):
    name = package = "jupyter_server_terminals"

    @contextlib.contextmanager
    def serve(self, argv: list[str]) -> Iterator[Server]:
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="wormux-bench-") as folder:
            options = {
                "ip": "127.0.0.1",
                "port": port,
                "port_retries": 0,
                "open_browser": False,
                "allow_root": True,
                "root_dir": folder,
                "terminado_settings": json.dumps({"shell_command": argv}),
            }
            command = [str(PYTHON), "-m", "jupyter_server", f"--IdentityProvider.token={_TOKEN}"]
            command += [f"--ServerApp.{name}={value}" for name, value in options.items()]
            places = dict.fromkeys(("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"), folder)
            with process(command, env={**os.environ, **places}) as running:
                wait_for_port(port, running)
                headers = {"Authorization": f"token {_TOKEN}"}
                yield _JupyterServer(running.pid, f"ws://127.0.0.1:{port}/terminals/websocket", headers)
