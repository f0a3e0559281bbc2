"""The servers that are measured, each in a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from bench.ws_client import WormuxClient

SHELL = "bash --norc --noprofile"
PROMPT = b"bench$ "
WORMUX = Path(sys.executable).with_name("wormux")


@dataclass(frozen=True)
class Server:
    """A running Wormux."""

    url: str
    token: str
    pid: int

    def client(self, client_id: str = "bench", resume: dict[str, int] | None = None) -> WormuxClient:
        """Attached."""
        return WormuxClient(f"{self.url}ws", self.token, client_id, resume)


@contextlib.contextmanager
def wormux(shell: str = SHELL, *more: str) -> Iterator[Server]:
    """`wormux serve`, with `more` options, on a data directory of its own; all of it is ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="wormux-bench-") as data_dir:
        options = ["--data-dir", data_dir]
        command = [
            str(WORMUX),
            "serve",
            "--port",
            "0",
            "--print-token",
            "--idle-timeout",
            "never",
            "--shell",
            shell,
            *more,
        ]
        with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            ready = process.stdout.readline()
            parts = urlsplit(ready.split()[-1])
            token = parse_qs(parts.query)["token"][0]
            try:
                yield Server(f"ws://{parts.netloc}{parts.path}", token, process.pid)
            finally:
                process.terminate()
                process.wait()
                subprocess.run(
                    [str(WORMUX), "stop", "--all", *options], check=True, stdout=subprocess.DEVNULL
                )


@contextlib.contextmanager
def terminado(argv: list[str]) -> Iterator[str]:
    """terminado with one new terminal per connection; gives its WebSocket's address."""
    command = [sys.executable, "-m", "bench.terminado_server", *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            yield f"ws://127.0.0.1:{port}/ws"
        finally:
            process.terminate()
            process.wait()
