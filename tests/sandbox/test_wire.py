"""One connection to an agent's socket, at the moments when it breaks."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from pathlib import Path

from wormux.protocol.agent_link import Hello
from wormux.sandbox.wire import Wire, dial_path
from wormux.testing.sandbox_conformance import ignore


async def test_a_listener_that_dies_at_once_costs_no_other_files_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    for steps in range(1, 8):
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(100)
        broken: list[str | None] = []
        wires = [Wire(dial_path(path), ignore, broken.append) for _ in range(20)]
        for wire in wires:
            wire.send(Hello("pane"))
        for _ in range(steps):
            await asyncio.sleep(0)
        listener.close()
        async with asyncio.timeout(10):
            while len(broken) < len(wires):  # noqa: ASYNC110 -- each round is one of the loop's
                await asyncio.sleep(0)
        others = [os.open(os.devnull, os.O_RDONLY) for _ in range(40)]
        del wires, wire
        gc.collect()  # what would still own one of these numbers closes it now
        for descriptor in others:
            os.close(descriptor)
