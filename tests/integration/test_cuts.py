"""Both numbered streams survive a network that breaks at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest

from wormux.testing.client import ScriptedClient
from wormux.testing.errors import ConnectionOver
from wormux.testing.streams import OutputStream

from .kit import MakeServer, Recorder, eventually, lines

CUTS = 50


@pytest.mark.parametrize("flow", [False, True], ids=["without flow", "with flow"])
async def test_both_streams_are_whole_after_cuts_at_any_moment(
    make_server: MakeServer, tmp_path: Path, flow: bool
) -> None:
    recorder = Recorder(tmp_path / "recorder", lines_a_second=2000)
    server = make_server(shell=recorder.shell)
    dice = random.Random(50)
    typed = bytearray()
    async with ScriptedClient(server.url, server.token, flow=flow) as client:
        pane = client.pane()
        await client.wait_status(pane, "connected")
        output = client.outputs[pane]

        async def type_on() -> None:
            while True:
                piece = b"%06d;" % (len(typed) // 7)
                typed.extend(piece)
                await client.type(pane, piece)
                await asyncio.sleep(0)

        for _ in range(CUTS):
            typist = asyncio.create_task(type_on())
            if dice.random() < 0.8:
                await received(client, output, dice.randrange(1, 2000))
            await client.cut()
            typist.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionOver):
                await typist
            await client.reconnect()
        await client.wait_acked(pane)
        typed += b"\x04"
        await client.type(pane, b"\x04")
        found = await client.wait_output(pane, rb"END (\d+)\r\n")

        expected = lines(int(found[1]))
        assert expected.endswith(output.whole())
        assert output.position == len(expected)
        assert sum(replay.reset for replay in output.replays) == 1, "Every cut was continued, not redrawn."
        await eventually(lambda: len(recorder.typed) >= len(typed), "every byte being read")
        assert recorder.typed == bytes(typed)
        assert client.inputs[pane].discards == []


async def received(client: ScriptedClient, output: OutputStream, count: int) -> None:
    """So many bytes more."""
    wanted = output.position + count
    await client.wait_for(lambda: output.position >= wanted, "output")
