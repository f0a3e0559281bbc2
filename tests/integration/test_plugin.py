"""A provider of another package serves terminals, as the example of docs/providers.md is installed and used."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from wormux.sandbox.runtime_dir import default_runtime_dir
from wormux.testing.client import ScriptedClient

from .kit import NEW_SHELL, MakeServer, at_prompt, eventually, fall_asleep, run

EXAMPLE = Path(__file__).parents[2] / "examples" / "wormux-unshare"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
OFFLINE = ("--no-index", "--no-deps", "--no-build-isolation")


async def test_a_provider_of_another_package_serves_terminals(
    make_server: MakeServer, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    command = [*PIP, "install", "--quiet", *OFFLINE, "--target", str(site), str(EXAMPLE)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    server = make_server("--idle-timeout", "never", start=False)
    server.env |= {"PYTHONPATH": str(site), "WORMUX_PROVIDER": "unshare"}
    server.start()
    try:
        async with ScriptedClient(server.url, server.token) as client:
            pane, session = client.pane(), client.session()
            await at_prompt(client, pane)
            assert session.provider == "unshare"
            assert b"python" in await run(client, pane, "cat /proc/1/comm")
            await run(client, pane, "cd /usr")
            await client.wait_for(lambda: client.info(pane).cwd == "/usr", "the new directory")
            await fall_asleep(client, session.id)
            await eventually(lambda: not _processes(server.data_dir), "the end of the sandbox")
            await client.type(pane, b"\n")
            await client.wait_status(pane, "connected")
            await client.wait_output(pane, NEW_SHELL)
            assert b"/usr\r\n" in await run(client, pane, "pwd")
        assert server.terminate() == 0
        assert _processes(server.data_dir), "its sandbox ended with the server"
    finally:
        stopped = server.run("stop", "--all")
    assert (stopped.returncode, stopped.stdout) == (0, "1 sandbox was put to sleep.\n"), stopped.stderr
    await eventually(lambda: not _processes(server.data_dir), "the end of the sandbox")
    default_runtime_dir(server.data_dir / "unshare").rmdir()


def _processes(data_dir: Path) -> list[str]:
    """The agents below it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes()
        except OSError:
            continue
        if b"wormux.agent" in command and os.fsencode(data_dir) in command:
            found.append(command.replace(b"\0", b" ").decode())
    return found
