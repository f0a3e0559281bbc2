"""Real isolated sandboxes for tests that look at them from inside, as root's server and as anybody's makes them."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import wormux
from wormux.sandbox.isolated import IsolatedProvider
from wormux.sandbox.life import Life
from wormux.sandbox.link import ControlLink, Outside
from wormux.sandbox.port import Sandbox
from wormux.sandbox.runtime_dir import socket_path
from wormux.sandbox.settings import Limits, ProviderSettings
from wormux.sandbox.wire import dial_path
from wormux.testing.sandbox_conformance import BOX, Pane, ignore, open_request

_OWN_PYTHON = str(Path(sys.executable).resolve())
SOMEBODY = 54321
"""The uid of a user without privileges, of whom this machine knows nothing else."""
WITHIN_S = 60
_START = """
import asyncio, sys
from pathlib import Path
from wormux.ids import SandboxId
from wormux.sandbox.isolated import IsolatedProvider
from wormux.sandbox.settings import Limits, ProviderSettings

async def main(data_dir, box, network, processes):
    settings = ProviderSettings(data_dir, network=network, limits=Limits(processes=processes))
    provider = IsolatedProvider(settings, runtime_dir=data_dir / "run")
    sandbox = await provider.start(SandboxId(box), lambda event: None)
    print(sandbox.welcome.pid)
    await provider.aclose()

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "on", int(sys.argv[4]) or None))
"""
"""A server of a user's own that starts a sandbox and ends."""


@dataclass
class Inside:
    """A sandbox, and a shell in it."""

    data_dir: Path
    runtime_dir: Path
    sandbox: Sandbox
    pane: Pane
    python: str
    """An interpreter that can be run inside."""
    uid: int
    """Whom its processes belong to, as the machine sees it."""
    commands: int = 0

    @property
    def home(self) -> Path:
        return self.data_dir / "sandboxes" / BOX / "home"

    async def run(self, script: str) -> str:
        """What a shell script writes, errors included, and `status N` as its last line."""
        (self.home / "script").write_text(script)
        self.commands += 1
        mark = b"done %d." % self.commands
        self.pane.type(
            b"sh ~/script >~/said 2>&1 </dev/null; echo status $? >>~/said; echo do''%s\n" % mark[2:]
        )
        await self.pane.shows(mark)
        return (self.home / "said").read_text(errors="replace")

    async def python_says(self, program: str) -> str:
        """What a Python program writes."""
        (self.home / "program.py").write_text(program)
        said = await self.run(f"{self.python} -I -S ~/program.py")
        assert said.endswith("status 0\n"), said
        return said.removesuffix("status 0\n")

    @property
    def agent(self) -> int:
        """Its process, as the machine numbers it."""
        return self.sandbox.welcome.pid


MODES = ("by root", "by a user")


@asynccontextmanager
async def inside(mode: str, *, network: bool = True, processes: int | None = None) -> AsyncIterator[Inside]:
    """A sandbox that a server of root or of an ordinary user has started."""
    if mode == "by root" and os.getuid() != 0:
        pytest.skip("only root can start sandboxes as root does")
    folder = Path(tempfile.mkdtemp(prefix="wormux-isolated-"))
    try:
        data_dir = folder / "data"
        data_dir.mkdir()
        if mode == "by a user" and os.getuid() == 0:
            async with _started_by_somebody(folder, data_dir, network, processes) as found:
                yield found
        else:
            async with _started_here(data_dir, network, processes) as found:
                yield found
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def _started_here(data_dir: Path, network: bool, processes: int | None) -> AsyncIterator[Inside]:
    settings = ProviderSettings(data_dir, network=network, limits=Limits(processes=processes))
    provider = IsolatedProvider(settings, runtime_dir=data_dir / "run")
    try:
        sandbox = await provider.start(BOX, ignore)
        pane = Pane(sandbox, open_request())
        uid = provider._isolation.user.uid
        yield Inside(data_dir, data_dir / "run", sandbox, pane, _OWN_PYTHON, uid)
    finally:
        await provider.destroy(BOX)
        await provider.aclose()


@asynccontextmanager
async def _started_by_somebody(
    folder: Path, data_dir: Path, network: bool, processes: int | None
) -> AsyncIterator[Inside]:
    _give_away(folder, data_dir)
    python = somebodys_python()
    server = await asyncio.to_thread(
        subprocess.run,
        [python, "-c", _START, str(data_dir), BOX, "on" if network else "off", str(processes or 0)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder / "code"), "SECRET": "hunter2"},
        stdout=subprocess.PIPE,
        user=SOMEBODY,
        group=SOMEBODY,
        extra_groups=[],
        timeout=WITHIN_S,
        check=True,
    )
    life = Life(int(server.stdout))
    try:
        runtime_dir = data_dir / "run"
        outside = Outside(dial_path(socket_path(runtime_dir, BOX)), lambda _: life)
        link = await ControlLink.connect(outside, ignore, ignore)
        yield Inside(data_dir, runtime_dir, link, Pane(link, open_request()), python, SOMEBODY)
        link.detach()
    finally:
        life.send(signal.SIGKILL)
        assert await life.wait(WITHIN_S)


def _give_away(folder: Path, data_dir: Path) -> None:
    """Let the user in, to a copy of the sources: these may lie in a home that is shut."""
    sources = Path(wormux.__file__).parent
    shutil.copytree(sources, folder / "code" / "wormux", ignore=shutil.ignore_patterns("page"))
    folder.chmod(0o755)
    os.chown(data_dir, SOMEBODY, SOMEBODY)


def status(pid: int) -> dict[str, str]:
    """What the machine says of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def is_dumpable(pid: int) -> bool:
    """Whether other processes of its user may look into it."""
    return Path(f"/proc/{pid}/environ").stat().st_uid != 0


@functools.cache
def somebodys_python() -> str:
    """An interpreter that users without privileges can run: this one may lie in a home that is shut."""
    for python in (_OWN_PYTHON, "/usr/bin/python3"):
        check = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            if (
                subprocess.run(check, user=SOMEBODY, group=SOMEBODY, extra_groups=[], check=False).returncode
                == 0
            ):
                return python
        except OSError:
            continue
    pytest.fail("There is no Python 3.11 or later here that an ordinary user can run: install python3.")
