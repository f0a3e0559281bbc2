"""A sandbox that runs out of the memory it may have: what is ended by the kernel is named as that."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from wormux.sandbox.cgroup_place import Groups
from wormux.testing.client import ScriptedClient

from .kit import MakeServer, at_prompt, run


async def test_a_shell_that_wants_too_much_is_named_and_a_key_starts_the_next(
    make_server: MakeServer, tmp_path: Path
) -> None:
    reason = Groups(tmp_path).cannot("memory")
    if reason is not None:
        pytest.skip(f"NO CONTROL GROUPS HERE, so nothing is known of memory: {reason}")
    server = make_server("--sandbox-memory", "128M")
    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        await at_prompt(client, pane)
        await client.type(pane, f"exec {sys.executable} -c 'x = bytearray(10**9)'\n".encode())
        info = await client.wait_status(pane, "exited")
        assert info.exit is not None
        assert info.exit.signal == "SIGKILL"
        assert (info.reason or "").startswith("Out of memory")
        assert await run(client, pane, "echo $((40+2))") == b"42\r\n"
