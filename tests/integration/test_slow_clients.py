"""Clients that read or draw nothing cost nobody anything, and floods of any kind neither lives nor memory."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from wormux.ids import PaneId
from wormux.limits import MIB, REDRAW_BYTES
from wormux.screen.answers import Answers
from wormux.screen.ghostty import GhosttyScreen
from wormux.screen.opening import has_emulator
from wormux.testing.client import ScriptedClient
from wormux.testing.fault_link import Fault, FaultLink
from wormux.testing.server_process import ServerProcess

from .kit import PROMPT, MakeServer, at_prompt, new_session, run, split
from .scribe import FLOOD, Scribes, Typist
from .server_family import peak_bytes, restart_peaks, screen_workers

STALL_BYTES = int(os.environ.get("WORMUX_STALL_BYTES", str(100 * 10**6)))
SLOWEST_BYTES_PER_S = 10**6
"""A flood that is slower than this has stopped."""
SERVER_BYTES = 32 * MIB
"""What the server may grow by: logs and unsent bytes of a few panes and connections, and what the allocator keeps."""
STORM_BYTES = 64 * MIB
"""The same with the screens: scrollback and an unfinished sequence, as bytes to be told and as kept."""
KEY_ROUNDS = 10

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux"),
    pytest.mark.skipif(not has_emulator(), reason="the emulator has no build for this machine"),
]


@pytest.mark.timeout(120 + STALL_BYTES // SLOWEST_BYTES_PER_S)
@pytest.mark.parametrize(
    ("flow", "reads"),
    [(True, True), (True, False), (False, False)],
    ids=["draws nothing", "reads nothing", "reads nothing, without flow"],
)
async def test_a_stalled_client_costs_nobody_anything(
    make_server: MakeServer, tmp_path: Path, flow: bool, reads: bool
) -> None:
    scribes = Scribes(tmp_path / "scribes", bytes_per_second=100_000, flood_bytes=STALL_BYTES)
    async with FaultLink() as link:
        server = make_server("--public-url", link.url, shell=scribes.shell)
        link.server_url = server.url
        async with (
            ScriptedClient(server.url, server.token, flow=True) as neighbour,
            ScriptedClient(link.url, server.token, flow=flow) as stalled,
        ):
            flooded = neighbour.pane()
            flood = await scribes.behind(neighbour, flooded)
            own = await split(neighbour, flooded)
            writer = Typist(neighbour, own, await scribes.behind(neighbour, own))
            await stalled.wait_status(own, "connected")
            await stalled.round_trip()
            restart_peaks(server.pid)
            before = peak_bytes(server.pid)

            await writer.start_lines()
            if reads:
                stalled.draws.clear()
            else:
                link.arm(Fault("stall", "down", 1, ends=False))
                await link.wait_struck()
            await neighbour.type(flooded, FLOOD)
            tab = neighbour.model.tabs[next(iter(neighbour.model.tabs))].id
            renamed = 0
            while not flood.has_flooded:
                renamed += 1
                await neighbour.request("tab_rename", tab_id=tab, name=f"name {renamed}")
                await writer.type(b"%d;" % renamed)
                await neighbour.wait_acked(own)
            late = await split(neighbour, own)
            await writer.check()
            assert peak_bytes(server.pid) - before < SERVER_BYTES

            stalled.draws.set()
            link.release()
            await stalled.wait_for(lambda: late in stalled.outputs, "the pane that was made meanwhile")
            assert stalled.model.tabs[tab].name == f"name {renamed}"
            await check_screen(stalled, flooded, server)
            await stalled.request("tab_rename", tab_id=tab, name="well again")


async def test_ctrl_c_ends_a_flood_at_once(make_server: MakeServer) -> None:
    server = make_server()
    async with ScriptedClient(server.url, server.token, flow=True) as client:
        pane = client.pane()
        await at_prompt(client, pane)
        for _ in range(KEY_ROUNDS):
            await client.type(pane, b"yes\n")
            await client.wait_output(pane, rb"y\r\ny\r\ny\r\n")
            await client.type(pane, b"\x03")
            await client.wait_output(pane, rb"\^C\r\n.*" + PROMPT.encode())
            assert await run(client, pane, "echo back") == b"back\r\n"


_STORMS = {
    "titles": ("for number in range({count}): write(b'\\x1b]2;title %d\\x07' % number)", 30_000),
    "OSC without end": ("write(b'\\x1b]2;'); flood({count}, b'x'); write(b'\\x1b\\\\')", 20 * 10**6),
    "DCS bomb": ("write(b'\\x1bP+q'); flood({count}, b'41;'); write(b'\\x1b\\\\')", 20 * 10**6),
    "one line": ("flood({count}, b'the one line '); write(b'\\n')", 100 * 10**6),
}
"""What a program does, and how much of it."""
_STORM = """
import os
def write(data):
    while data:
        data = data[os.write(1, data):]
def flood(count, piece):
    piece *= 65536 // len(piece)
    for _ in range(count // len(piece)):
        write(piece)
{storm}
write(b"the storm is over\\n")
"""


@pytest.mark.parametrize("kind", _STORMS)
async def test_a_storm_hurts_nobody(make_server: MakeServer, tmp_path: Path, kind: str) -> None:
    storm, count = _STORMS[kind]
    script = tmp_path / "storm.py"
    script.write_text(_STORM.format(storm=storm.format(count=count)))
    server = make_server()
    async with ScriptedClient(server.url, server.token, flow=True) as client:
        pane = client.pane()
        await at_prompt(client, pane)
        _, other = await new_session(client, "other")
        await at_prompt(client, other)
        family = [server.pid, *screen_workers(server)]
        restart_peaks(*family)
        before = peak_bytes(*family)

        await client.type(pane, shlex.join([sys.executable, "-I", str(script)]).encode() + b"\n")
        await client.wait_output(pane, rb"\r\n")
        for number in range(KEY_ROUNDS):
            assert await run(client, other, f"echo {number}") == b"%d\r\n" % number
        await client.wait_for(lambda: b"the storm is over" in tail(client, pane), "the end of the storm")
        assert await run(client, pane, "echo back") == b"back\r\n"
        if kind == "titles":
            await client.wait_for(lambda: client.info(pane).title == f"title {count - 1}", "the last title")
        assert [server.pid, *screen_workers(server)] == family
        assert peak_bytes(*family) - before < STORM_BYTES
        await check_screen(client, pane, server)


async def check_screen(client: ScriptedClient, pane: PaneId, server: ServerProcess) -> None:
    """What a client shows of a pane that is quiet is what one that comes now is shown."""
    async with ScriptedClient(server.url, server.token) as fresh:
        await fresh.wait_for(lambda: is_whole(fresh, pane), "a redraw")
        end = fresh.outputs[pane].position
        await client.wait_for(
            lambda: is_whole(client, pane) and client.outputs[pane].position == end, "the end"
        )
        shown, expected = screen(client, pane), screen(fresh, pane)
        assert shown.text() == expected.text()
        assert shown.redraw(0, REDRAW_BYTES).data == expected.redraw(0, REDRAW_BYTES).data


def tail(client: ScriptedClient, pane: PaneId) -> bytes:
    """The end of what the pane shows; `wait_output` goes on there."""
    output = client.outputs[pane]
    output.cursor = max(0, len(output.drawn) - 1000)
    return bytes(output.drawn[output.cursor :])


def is_whole(client: ScriptedClient, pane: PaneId) -> bool:
    return pane in client.outputs and client.outputs[pane].resume is not None


def screen(client: ScriptedClient, pane: PaneId) -> GhosttyScreen:
    """As the client's terminal is now."""
    output = client.outputs[pane]
    emulator = GhosttyScreen(*output.size, Answers())
    emulator.feed(bytes(output.drawn))
    return emulator
