"""ttyd, where it is on the PATH: no registry that is used here has it."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator

from bench.peers.port import (
    COLS,
    READ_WITHIN_S,
    ROWS,
    Client,
    Peer,
    Server,
    free_port,
    process,
    wait_for_port,
)
from bench.ws_client import WebSocket

_TERMINAL = ord("0")
"""Begins what the terminal wrote, and what was typed."""


class _Page(Client):
    def __init__(self, url: str, cols: int, rows: int) -> None:
        self._socket = WebSocket(url, {"Sec-WebSocket-Protocol": "tty"})
        self._socket.send(json.dumps({"AuthToken": "", "columns": cols, "rows": rows}).encode())

    def send(self, data: bytes) -> None:
        self._socket.send(bytes([_TERMINAL]) + data)

    def read(self, within_s: float = READ_WITHIN_S) -> memoryview:
        while True:
            _, payload = self._socket.receive(within_s)
            if payload[0] == _TERMINAL:
                return payload[1:]

    def close(self) -> None:
        self._socket.close()


class _Server(Server):
    def __init__(self, pid: int, url: str) -> None:
        self._pid = pid
        self._url = url

    @property
    def roots(self) -> list[int]:
        return [self._pid]

    def open(self, cols: int = COLS, rows: int = ROWS) -> Client:
        return _Page(self._url, cols, rows)


class Ttyd(Peer):
    name = "ttyd"

    def missing(self) -> str | None:
        return None if shutil.which("ttyd") else "not on the PATH"

    def version(self) -> str:
        said = subprocess.run(["ttyd", "--version"], capture_output=True, text=True, check=False)
        return (said.stdout + said.stderr).split()[-1]

    @contextlib.contextmanager
    def serve(self, argv: list[str]) -> Iterator[Server]:
        port = free_port()
        told = subprocess.run(["ttyd", "--help"], capture_output=True, text=True, check=False)
        writable = ["--writable"] if "--writable" in told.stdout + told.stderr else []
        options = ["--interface", "127.0.0.1", "--port", str(port), *writable]
        with process(["ttyd", *options, *argv]) as running:
            wait_for_port(port, running)
            yield _Server(running.pid, f"ws://127.0.0.1:{port}/ws")
