"""Panes whose shells run in Cloudflare sandboxes: the whole server, and the kit's server in Cloudflare's place."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wormux.ids import PaneId
from wormux.testing.client import ScriptedClient
from wormux.testing.cloudflare_server import CloudflareServer
from wormux.testing.server_process import ServerProcess

from .kit import NEW_SHELL, PROMPT, MakeServer, at_prompt, drawn, eventually, fall_asleep, run, split

SECRET = "Bearer hush-hush"
COUNT = b"i=0; while [ $i -lt 400 ]; do echo nr-$i-; i=$((i+1)); sleep 0.001; done\n"


@pytest.fixture
async def cloud() -> AsyncIterator[CloudflareServer]:
    shell = ("/bin/bash", "--norc", "--noprofile")
    env = {"PS1": PROMPT, "INPUTRC": "/dev/null", "HISTFILE": ""}
    async with CloudflareServer(shell=shell, env=env, headers={"Authorization": SECRET}) as server:
        yield server


@pytest.fixture
def server(make_server: MakeServer, cloud: CloudflareServer, tmp_path: Path) -> ServerProcess:
    """Ended after the cloud, which can answer nobody while that is waited for."""
    config = tmp_path / "wormux.toml"
    config.write_text(
        'provider = ["cloudflare"]\n'
        "[provider_options.cloudflare]\n"
        f'url = "{cloud.url}"\n'
        'headers = { Authorization = "env:CLOUD_SECRET" }\n'
    )
    server = make_server(
        "--config", str(config), "--idle-timeout", "never", "--log-level", "debug", start=False
    )
    server.env["CLOUD_SECRET"] = SECRET
    server.start()
    return server


def sandbox_of(client: ScriptedClient) -> str:
    return client.session().sandbox_id


def numbers(client: ScriptedClient, pane: PaneId) -> list[int]:
    return [int(number) for number in re.findall(rb"nr-(\d+)-\r\n", client.outputs[pane].received)]


async def test_a_sandbox_that_falls_asleep_wakes_with_a_key(
    server: ServerProcess, cloud: CloudflareServer
) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        await at_prompt(client, pane)
        second = await split(client, pane)
        await at_prompt(client, second)
        assert b"a2b" in await run(client, pane, "echo a$((1+1))b")

        await cloud.sleep(sandbox_of(client))
        for each in (pane, second):
            await client.wait_status(each, "asleep")
        assert cloud.wakes == 1  # nobody wakes it but a key

        await client.type(pane, b"echo c$((1+1))d\n")
        await client.wait_output(pane, NEW_SHELL + rb".*[\r\n]c2d\r\n.*" + PROMPT.encode())
        await client.wait_status(pane, "connected")
        await client.wait_acked(pane)
        assert client.outputs[pane].received.count(b"c2d") == 1
        typed = [terminal.typed for terminal in cloud.ptys().values()]
        assert sum(text.count(b"echo c") for text in typed) == 1
        assert cloud.wakes == 2
        assert client.inputs[pane].discards == []
    assert "hush-hush" not in server.stderr
    assert "sessionId" not in server.stderr


async def test_a_connection_that_breaks_goes_on_at_the_byte(
    server: ServerProcess, cloud: CloudflareServer
) -> None:
    async with ScriptedClient(server.url, server.token, flow=True) as client:
        pane = client.pane()
        await at_prompt(client, pane)
        await drawn(client, pane)
        await client.type(pane, COUNT)
        await client.wait_output(pane, rb"nr-100-")
        cloud.drop()
        await client.wait_status(pane, "asleep")
        await client.request("pane_wake", pane_id=pane)
        await client.wait_status(pane, "connected")
        await client.wait_output(pane, rb"nr-399-\r\n")
        assert numbers(client, pane) == list(range(400))
        assert client.outputs[pane].gaps == []
        assert NEW_SHELL not in client.outputs[pane].received
        assert len(cloud.ptys()) == 1


async def test_shells_and_output_outlive_the_server(server: ServerProcess, cloud: CloudflareServer) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        await at_prompt(client, pane)
        pid = await run(client, pane, "echo $$")
        (terminal,) = cloud.ptys().values()
        for how in ("stopped", "killed"):
            connects = len(cloud.connects)
            if how == "stopped":
                await asyncio.to_thread(server.terminate)
            else:
                server.kill()
            await client.wait_closed()
            terminal.write(b"echo %s''-meanwhile\n" % how.encode())
            await eventually_kept(cloud, b"%s-meanwhile\r\n" % how.encode())
            server.start()
            await client.reconnect(server.url)
            if how == "stopped":  # else the store may not know yet that it was ever awake
                await client.wait_status(pane, "asleep")
                assert len(cloud.connects) == connects  # looking for it would wake it
            await client.request("pane_wake", pane_id=pane)
            await client.wait_status(pane, "connected")
            assert await run(client, pane, "echo $$") == pid
        for word in (b"stopped", b"killed"):
            assert len(re.findall(b"[\r\n]%s-meanwhile\r\n" % word, client.outputs[pane].received)) == 1
        assert client.outputs[pane].gaps == []
        assert NEW_SHELL not in client.outputs[pane].drawn
        assert len(cloud.ptys()) == 1


async def test_a_shell_that_exits_in_silence_is_no_zombie(
    server: ServerProcess, cloud: CloudflareServer
) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        await at_prompt(client, pane)
        await client.type(pane, b"exit\n")
        await client.wait_acked(pane)
        (terminal,) = cloud.ptys().values()
        await eventually(lambda: terminal.has_exited, "the end of the shell")
        assert client.info(pane).status == "connected"  # nobody says so

        await client.type(pane, b"x")
        await client.wait_status(pane, "exited")
        assert client.info(pane).reason == "How its process ended is not known."
        await client.wait_acked(pane)
        assert [discard.reason for discard in client.inputs[pane].discards] == ["uncertain"]

        await client.type(pane, b"\n")
        await client.wait_status(pane, "connected")
        assert b"a2b" in await run(client, pane, "echo a$((1+1))b")


@pytest.mark.slow
async def test_a_link_that_went_deaf_is_replaced_unseen(
    server: ServerProcess, cloud: CloudflareServer
) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        await at_prompt(client, pane)
        await drawn(client, pane)
        cloud.deafen()
        (terminal,) = cloud.ptys().values()
        terminal.emit(b"missed\r\n")
        await client.type(pane, b"echo swal''lowed\n")
        await client.wait_output(pane, rb"missed\r\n")
        await client.wait_acked(pane)
        assert [discard.reason for discard in client.inputs[pane].discards] == ["uncertain"]
        assert b"a2b" in await run(client, pane, "echo a$((1+1))b")
        assert b"swal" not in client.outputs[pane].received
        assert client.outputs[pane].received.count(b"missed") == 1


async def test_sleep_that_is_asked_for_lets_go_of_it_and_a_refusal_is_the_panes_reason(
    server: ServerProcess, cloud: CloudflareServer
) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        await at_prompt(client, pane)
        pid = await run(client, pane, "echo $$")
        await fall_asleep(client, client.session().id)
        await eventually_unlinked(cloud)
        assert await run(client, pane, "echo $$") == pid  # it did not fall asleep meanwhile

        await fall_asleep(client, client.session().id)
        cloud.refuse_status = 401
        await client.type(pane, b"\n")
        await client.wait_status(pane, "disconnected")
        assert client.info(pane).reason == "The Cloudflare sandbox refuses our credentials (status 401)."
        cloud.refuse_status = None
        await client.type(pane, b"\n")
        await client.wait_status(pane, "connected")
        assert await run(client, pane, "echo $$") == pid


async def eventually_kept(cloud: CloudflareServer, text: bytes) -> None:
    await eventually(lambda: any(text in terminal.kept for terminal in cloud.ptys().values()), f"{text!r}")


async def eventually_unlinked(cloud: CloudflareServer) -> None:
    await eventually(lambda: not cloud.links(), "closed sockets")
