"""The embedded provider, with real agents and real shells."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from wormux.sandbox.local import LocalProvider
from wormux.sandbox.port import Provider, Sandbox
from wormux.sandbox.runtime_dir import default_runtime_dir
from wormux.testing.sandbox_conformance import SandboxConformance


@pytest.mark.integration
class TestLocalProvider(SandboxConformance):
    @pytest.fixture(autouse=True)
    def _directories(self, tmp_path: Path) -> Iterator[None]:
        self.data_dir = tmp_path
        yield
        shutil.rmtree(default_runtime_dir(tmp_path), ignore_errors=True)

    def make_provider(self) -> Provider:
        return LocalProvider(self.data_dir)

    def kill_agent(self, provider: Provider, sandbox: Sandbox) -> None:
        os.kill(sandbox.welcome.pid, signal.SIGKILL)

    def remains(self) -> list[str]:
        sockets = default_runtime_dir(self.data_dir).iterdir()
        files = (self.data_dir / "sandboxes").rglob("*")
        return [str(path) for path in (*sockets, *files)] + _processes_that_mention(self.data_dir)


def _processes_that_mention(path: Path) -> list[str]:
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command = (directory / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(path) in command:
            found.append(f"{directory.name}: {command!r}")
    return found
