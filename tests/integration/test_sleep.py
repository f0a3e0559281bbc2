"""Sandboxes that nobody uses fall asleep; those in which something runs do not."""

from __future__ import annotations

import pytest

from wormux.errors import ErrorCode
from wormux.testing.client import ScriptedClient
from wormux.testing.errors import RequestError
from wormux.testing.server_process import ServerProcess

from .kit import MakeServer, at_prompt, eventually, new_session, run, split


async def test_an_idle_sandbox_sleeps_with_all_its_panes_and_no_other(make_server: MakeServer) -> None:
    server = make_server("--idle-timeout", "1s")
    async with ScriptedClient(server.url, server.token) as client:
        first = client.pane()
        idle = client.session().id
        await at_prompt(client, first)
        assert b"kept-42" in await run(client, first, "echo kept-$((40+2))")
        second = await split(client, first)
        awake, third = await new_session(client, "kept awake")
        await client.request("session_lease", session_id=awake, seconds=600, reason="a test")
        channels = dict(client.model.channels)

        await client.wait_session(idle, "asleep")

        assert client.model.connected == {first: False, second: False, third: True}
        assert [client.info(pane).status for pane in (first, second, third)] == [
            "asleep",
            "asleep",
            "connected",
        ]
        assert client.model.channels == channels
        assert client.model.sessions[awake].busy == "lease: a test"
        left = client.model.sessions[awake].sandbox_id
        await eventually(lambda: [agent.sandbox_id for agent in server.agents()] == [left], "one agent's end")

        async with ScriptedClient(server.url, server.token) as looker:
            await looker.wait_output(first, rb"[\r\n]kept-42")
            await looker.round_trip()
            assert looker.info(first).status == "asleep", "Looking never wakes."
        assert b"kept-42" in client.outputs[first].whole()


@pytest.mark.parametrize(
    ("line", "key", "name"),
    [(b"vim -u NONE -N", b"", "vim"), (b"sleep 1000 &", b"", "sleep"), (b"sleep 1001", b"\x1a", "sleep")],
    ids=["in the foreground", "in the background", "stopped"],
)
async def test_what_runs_keeps_its_sandbox_awake(
    drowsy_server: ServerProcess, line: bytes, key: bytes, name: str
) -> None:
    server = drowsy_server
    async with ScriptedClient(server.url, server.token) as client:
        busy, pane = await new_session(client, f"busy with {line.decode()}")
        await at_prompt(client, pane)
        await client.type(pane, line + b"\n")
        await client.wait_for(lambda: name in (client.model.sessions[busy].busy or ""), f"busy with {name}")
        if key:
            await client.type(pane, key)
            await client.wait_output(pane, rb"Stopped")

        idle, _ = await new_session(client, "idle")
        await client.wait_session(idle, "asleep")  # the clock: this one began later
        assert client.model.sessions[busy].status == "awake"
        assert name in (client.model.sessions[busy].busy or "")

        with pytest.raises(RequestError, match=name) as refused:
            await client.request("session_sleep", session_id=busy)
        assert refused.value.code == ErrorCode.BUSY
        assert client.info(pane).status == "connected"

        await client.request("session_sleep", session_id=busy, force=True)
        await client.wait_session(busy, "asleep")
        assert client.info(pane).status == "asleep"
        await eventually(lambda: not server.agents(), "the end of what ran")


async def test_a_sandbox_sleeps_once_its_work_is_done(drowsy_server: ServerProcess) -> None:
    server = drowsy_server
    async with ScriptedClient(server.url, server.token) as client:
        session, pane = await new_session(client, "at work")
        await at_prompt(client, pane)
        await client.type(pane, b"mkfifo work; cat work >done &\n")
        await client.wait_for(lambda: client.model.sessions[session].busy == "cat", "busy")
        idle, _ = await new_session(client, "idle")
        await client.wait_session(idle, "asleep")
        assert client.model.sessions[session].status == "awake"

        fifo = server.data_dir.parent / "home" / "work"
        await eventually(fifo.exists, "the pipe")
        fifo.write_text("the end\n")
        await client.wait_session(session, "asleep")
        assert (fifo.parent / "done").read_text() == "the end\n"


@pytest.mark.parametrize("force", [False, True])
async def test_a_directory_that_was_entered_just_before_is_kept(
    drowsy_server: ServerProcess, force: bool
) -> None:
    async with ScriptedClient(drowsy_server.url, drowsy_server.token) as client:
        session, pane = await new_session(client, f"just before, {force}")
        await client.request("session_lease", session_id=session, seconds=600)
        await run(client, pane, "cd /var/tmp")
        await client.request("session_sleep", session_id=session, force=force)
        await client.wait_status(pane, "asleep")
        assert await run(client, pane, "pwd") == b"/var/tmp\r\n"
