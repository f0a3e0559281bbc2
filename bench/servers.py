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
    with tempfile.TemporaryDirectory(prefix="wormux-bench-") as data_dir, sandboxes(data_dir):
        process, server = start(data_dir, shell, *more)
        try:
            yield server
        finally:
            process.terminate()
            process.communicate()


def start(data_dir: str, shell: str, *more: str) -> tuple[subprocess.Popen[str], Server]:
    """`wormux serve`, ready, with `more` options. Whoever calls this ends it."""
    options = ["--data-dir", data_dir, "--port", "0", "--print-token", "--log-level", "warning"]
    command = [str(WORMUX), "serve", *options, "--idle-timeout", "never", "--shell", shell, *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    ready = process.stdout.readline()
    parts = urlsplit(ready.split()[-1])
    token = parse_qs(parts.query)["token"][0]
    return process, Server(f"ws://{parts.netloc}{parts.path}", token, process.pid)


@contextlib.contextmanager
def sandboxes(data_dir: str) -> Iterator[None]:
    """Those of the servers that run meanwhile are put to sleep afterwards."""
    try:
        yield
    finally:
        command = [str(WORMUX), "stop", "--all", "--data-dir", data_dir]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
