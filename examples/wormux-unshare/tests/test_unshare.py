"""The provider does what every provider must, and what it is there for."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from wormux_unshare import UnshareProvider

from wormux.errors import SetupError
from wormux.ids import SandboxId
from wormux.protocol.agent_link import Foreground
from wormux.sandbox.port import Provider, Sandbox
from wormux.sandbox.processes import descendants
from wormux.sandbox.runtime_dir import default_runtime_dir
from wormux.sandbox.settings import ProviderSettings
from wormux.testing.sandbox_conformance import BOX, SandboxConformance, ignore


class TestUnshareProvider(SandboxConformance):
    @pytest.fixture(autouse=True)
    def _directories(self, tmp_path: Path) -> Iterator[None]:
        self.data_dir = tmp_path
        yield
        shutil.rmtree(default_runtime_dir(tmp_path / "unshare"), ignore_errors=True)

    def make_provider(self) -> Provider:
        return UnshareProvider(ProviderSettings(self.data_dir))

    def kill_agent(self, provider: Provider, sandbox: Sandbox) -> None:
        os.kill(descendants(sandbox.welcome.pid)[0], signal.SIGKILL)

    def remains(self) -> list[str]:
        sockets = default_runtime_dir(self.data_dir / "unshare").iterdir()
        return [*map(str, sockets), *map(str, (self.data_dir / "unshare").rglob("*")), *self._processes()]

    def _processes(self) -> Iterator[str]:
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = entry.read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(self.data_dir) in command:
                yield command

    async def test_sandboxes_do_not_see_each_others_processes(self) -> None:
        async with self.provider() as provider:
            other = await provider.start(SandboxId("other"), ignore)
            busy = self.pane(other)
            busy.type(b"sleep 1000\n")
            await busy.events.next(Foreground, lambda event: event.command == "sleep")
            for sandbox, sleeps in ((other, b"[1]"), (await provider.start(BOX, ignore), b"[0]")):
                pane = self.pane(sandbox, self.open_request("looks"))
                pane.type(b"echo [$(cat /proc/[0-9]*/comm | grep -c sleep)]\n")
                await pane.shows(sleeps)

    async def test_sandboxes_without_a_network_have_none(self) -> None:
        provider = UnshareProvider(ProviderSettings(self.data_dir, network=False))
        pane = self.pane(await provider.start(BOX, ignore))
        pane.type(b"echo [$(grep -c : /proc/net/dev)]\n")
        await pane.shows(b"[1]")  # lo, and that is down
        await provider.destroy(BOX)
        await provider.aclose()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"namespaces": ["user"]}, "The provider unshare makes no namespace user: cgroup, ipc and uts."),
        ({"namespaces": "ipc"}, "The provider unshare has one option: namespaces, a list."),
        ({"colour": "blue"}, "The provider unshare has one option: namespaces, a list."),
    ],
)
def test_options_that_it_does_not_understand_are_refused(
    tmp_path: Path, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SetupError) as failure:
        UnshareProvider(ProviderSettings(tmp_path, options=options))
    assert str(failure.value) == sentence
