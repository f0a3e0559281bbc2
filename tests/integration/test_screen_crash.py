"""A crash of the emulator costs a redraw at most: its process is started again, and every screen is right."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from wormux.ids import PaneId
from wormux.limits import REDRAW_BYTES
from wormux.protocol.messages import LayoutUpdate
from wormux.screen.answers import Answers
from wormux.screen.ghostty import GhosttyScreen
from wormux.screen.opening import has_emulator
from wormux.testing.client import ScriptedClient

from .kit import MakeServer, eventually, split
from .scribe import Scribes, Typist
from .server_family import kill_screen_workers, screen_workers

PANES = 4
CRASHES = 5
CRASH_AFTER_BYTES = 500_000
"""Written by the first program between two crashes, at most; few as often as many."""
LINES = 100
"""Of scrollback and screen that are compared: as many as a redraw has at least, where every line takes two rows."""

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs Linux"),
    pytest.mark.skipif(not has_emulator(), reason="the emulator has no build for this machine"),
]


async def test_screens_are_right_after_crashes_of_the_emulator(
    make_server: MakeServer, tmp_path: Path
) -> None:
    scribes = Scribes(tmp_path / "scribes", bytes_per_second=200_000)
    server = make_server(shell=scribes.shell)
    dice = random.Random(11)
    async with AsyncExitStack() as clients:

        async def attach() -> ScriptedClient:
            client = ScriptedClient(server.url, server.token, flow=True)
            return await clients.enter_async_context(client)

        client = await attach()
        panes = [client.pane()]
        panes += [await split(client, panes[0]) for _ in range(PANES - 1)]
        writers = [Typist(client, pane, await scribes.behind(client, pane)) for pane in panes]
        for writer in writers:
            await writer.start_lines()
        everybody = [client]
        for _ in range(CRASHES):
            await writers[0].scribe.writes(round(CRASH_AFTER_BYTES ** dice.random()))
            await eventually(lambda: screen_workers(server), "a process for the emulator")
            kill_screen_workers(server)
            late = await attach()  # which needs the screens that were lost
            await redrawn(late, panes)
            everybody.append(late)
        for writer in writers:
            await writer.check()
        everybody.append(await attach())
        for writer in writers:
            for one in everybody:
                await check_screen(one, writer)
        assert all(all(one.model.connected.values()) for one in everybody)
        assert all(
            message.connected.values() for message in client.messages if isinstance(message, LayoutUpdate)
        )


async def redrawn(client: ScriptedClient, panes: Sequence[PaneId]) -> None:
    """The client has a whole screen of each."""
    await client.wait_for(lambda: all(is_whole(client, pane) for pane in panes), "redraws")


async def check_screen(client: ScriptedClient, writer: Typist) -> None:
    """The client shows what an emulator shows that was fed everything."""
    output = writer.client.outputs[writer.pane]
    written = writer.scribe.written

    def has_all() -> bool:
        return is_whole(client, writer.pane) and client.outputs[writer.pane].position == len(written)

    await client.wait_for(has_all, "all that was written")
    shown, expected = GhosttyScreen(*output.size, Answers()), GhosttyScreen(*output.size, Answers())
    shown.feed(bytes(client.outputs[writer.pane].drawn))
    expected.feed(written)
    assert shown.redraw(0, REDRAW_BYTES).data == expected.redraw(0, REDRAW_BYTES).data
    lines, wanted = (one.text(scrollback=True).splitlines()[-LINES:] for one in (shown, expected))
    assert lines == wanted


def is_whole(client: ScriptedClient, pane: PaneId) -> bool:
    return pane in client.outputs and client.outputs[pane].resume is not None
