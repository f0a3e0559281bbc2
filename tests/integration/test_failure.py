"""What breaks is said at once, with its cause, and a key brings it back."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from pathlib import Path
from typing import Self

import pytest

from wormux.ids import PaneId, SessionId
from wormux.limits import ATTEMPTS, RETRY_FLOOR_S
from wormux.protocol import messages as m
from wormux.sandbox.runtime_dir import socket_path
from wormux.testing.client import ScriptedClient
from wormux.testing.server_process import ServerProcess

from .kit import NEW_SHELL, PROMPT, MakeServer, Recorder, at_prompt, eventually, fall_asleep, new_session, run


class Broken:
    """A session whose sandbox sleeps and cannot be started: a file stands where its directory was."""

    def __init__(self, server: ServerProcess, client: ScriptedClient, session: SessionId) -> None:
        self._directory = server.data_dir / "sandboxes" / client.model.sessions[session].sandbox_id
        self._aside = self._directory.with_name("aside")
        self._directory.rename(self._aside)
        self._directory.write_text("")

    def mend(self) -> None:
        self._directory.unlink()
        self._aside.rename(self._directory)


def retries(client: ScriptedClient, pane: PaneId) -> list[int]:
    """When the server said that it would try again, one for each failed attempt but the last of a round."""
    records = [
        message.panes[pane]
        for message in client.messages
        if isinstance(message, m.State | m.LayoutUpdate) and pane in message.panes
    ]
    return list(dict.fromkeys(record.retry_at for record in records if record.retry_at is not None))


async def asleep_and_broken(
    server: ServerProcess, client: ScriptedClient, name: str
) -> tuple[SessionId, PaneId, Broken]:
    session, pane = await new_session(client, name)
    await fall_asleep(client, session)
    gone = {agent.pid for agent in server.agents()}
    sandbox = client.model.sessions[session].sandbox_id
    await eventually(
        lambda: sandbox not in [one.sandbox_id for one in server.agents()], f"the end of one of {gone}"
    )
    return session, pane, Broken(server, client, session)


async def test_a_sandbox_that_cannot_start_is_tried_again_at_growing_intervals(server: ServerProcess) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        _, pane, broken = await asleep_and_broken(server, client, "backing off")
        await client.type(pane, b"echo a$((1+1))b\n")
        info = await client.wait_status(pane, "disconnected")
        assert info.reason == "The sandbox's directory cannot be made: File exists."
        assert info.retry_at is not None
        assert info.queued == 16

        await client.wait_for(lambda: len(retries(client, pane)) >= 4, "four attempts")
        first, second, third, fourth = retries(client, pane)[:4]
        assert second - first >= 1000 * RETRY_FLOOR_S
        assert third - second > second - first
        assert fourth - third > third - second

        broken.mend()
        await client.wait_output(pane, rb"[\r\n]a2b\r\n")
        await client.wait_acked(pane)
        assert client.inputs[pane].discards == []
        assert client.outputs[pane].whole().count(b"echo a$((1+1))b") == 1


class Babbler:
    """Stands where a sandbox's agent would listen and talks nonsense to the server: counts its attempts."""

    def __init__(self, server: ServerProcess, client: ScriptedClient, session: SessionId) -> None:
        self._path = socket_path(server.runtime_dir, client.model.sessions[session].sandbox_id)
        self.attempts = 0

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_unix_server(self._babble, self._path)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._listener.close()
        self._path.unlink()

    def _babble(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.attempts += 1
        writer.write(b"\xff" * 64)
        writer.close()


async def test_a_sandbox_that_cannot_start_fails_after_a_round_and_typing_starts_no_storm(
    make_server: MakeServer, tmp_path: Path
) -> None:
    recorder = Recorder(tmp_path / "recorder")
    server = make_server(shell=recorder.shell)
    async with ScriptedClient(server.url, server.token) as client:
        pane, session = client.pane(), client.session().id
        await client.wait_status(pane, "connected")
        await fall_asleep(client, session)
        await eventually(lambda: not server.agents(), "the agent's end")
        typed = bytearray()

        async def type_a_key() -> None:
            key = b"%05d;" % (len(typed) // 6)
            typed.extend(key)
            await client.type(pane, key)

        async with Babbler(server, client, session) as agent:
            began_s = time.monotonic()
            while agent.attempts < 4:
                for _ in range(20):
                    await type_a_key()
                await client.round_trip()
            assert time.monotonic() - began_s >= 3 * RETRY_FLOOR_S
            assert len(typed) > 6 * 100

            while (await client.wait_status(pane, "disconnected", "failed")).status != "failed":
                await type_a_key()
                await client.wait_status(pane, "waking")
            assert agent.attempts == ATTEMPTS
            assert "more than a peer may send" in (client.info(pane).reason or "")

            await type_a_key()
            await client.wait_status(pane, "waking")
            await client.wait_status(pane, "disconnected")
            assert agent.attempts == ATTEMPTS + 1

        await client.wait_status(pane, "connected")
        await eventually(lambda: len(recorder.typed) >= len(typed), "every byte being read")
        assert recorder.typed == bytes(typed)
        assert client.inputs[pane].discards == []


async def test_what_waits_for_a_broken_sandbox_is_named_when_its_pane_is_closed(
    server: ServerProcess,
) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        session, pane, broken = await asleep_and_broken(server, client, "closed")
        await client.type(pane, b"never run\n")
        await client.wait_status(pane, "disconnected")
        await client.type(pane, b"nor this\n")
        await client.request("pane_close", pane_id=pane)
        named = [(one.start, one.end, one.reason) for one in client.inputs[pane].discards]
        assert named == [(0, 19, "closed")]
        broken.mend()
        await client.request("session_destroy", session_id=session)


async def test_input_discard_takes_back_what_waits(server: ServerProcess) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        _, pane, broken = await asleep_and_broken(server, client, "taken back")
        await client.type(pane, b"rm -rf everything\n")
        await client.wait_status(pane, "disconnected")
        await client.request("input_discard", pane_id=pane)
        await client.wait_acked(pane)
        assert [one.reason for one in client.inputs[pane].discards] == ["asked"]
        broken.mend()
        assert b"a2b" in await run(client, pane, "echo a$((1+1))b")
        assert b"rm -rf" not in client.outputs[pane].whole()


async def test_the_shell_that_cannot_be_run_is_named(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(shell=str(tmp_path / "no" / "such"))
    async with ScriptedClient(server.url, server.token) as client:
        info = await client.wait_status(client.pane(), "disconnected")
        assert info.reason is not None
        assert re.search(r"such cannot be run: No such file or directory\.$", info.reason)


async def test_a_killed_agent_is_said_at_once_and_a_key_brings_the_panes_back(server: ServerProcess) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        session, pane = await new_session(client, "agent killed")
        assert b"a2b" in await run(client, pane, "echo a$((1+1))b")
        channel = client.model.channels[pane]
        sandbox = client.model.sessions[session].sandbox_id
        (agent,) = [agent for agent in server.agents() if agent.sandbox_id == sandbox]
        shells = agent.shells()

        agent.kill()
        info = await client.wait_status(pane, "disconnected", within_s=5)
        assert info.reason == "The agent was killed by SIGKILL."
        assert client.model.connected[pane] is False
        assert client.model.channels[pane] == channel
        assert client.outputs[pane].whole().count(b"\ra2b") == 1
        await eventually(lambda: not any(shell.is_alive for shell in shells), "the end of the shells")

        assert b"c4d" in await run(client, pane, "echo c$((2+2))d")
        await client.wait_status(pane, "connected")
        assert client.outputs[pane].whole().count(NEW_SHELL) == 1
        assert client.outputs[pane].whole().count(b"\ra2b") == 1


async def test_a_killed_shell_is_held_with_its_signal_and_a_key_starts_a_fresh_one(
    server: ServerProcess,
) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        _, pane = await new_session(client, "shell killed")
        shell = int(await run(client, pane, "echo $$"))
        os.kill(shell, signal.SIGKILL)
        info = await client.wait_status(pane, "exited")
        assert info.exit == m.ExitInfo(signal="SIGKILL")
        assert int(await run(client, pane, "echo $$")) != shell
        await client.wait_status(pane, "connected")
        assert client.outputs[pane].whole().count(NEW_SHELL) == 1


async def test_a_program_that_dies_with_its_agent_keeps_its_keys_from_the_next_shell(
    server: ServerProcess,
) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        session, pane = await new_session(client, "keys for vim")
        await at_prompt(client, pane)
        await client.type(pane, b"vim -u NONE -N\n")
        await client.wait_for(lambda: client.info(pane).command == "vim", "vim")
        client.acks_layout = False  # a client that has not seen yet that vim is gone
        sandbox = client.model.sessions[session].sandbox_id
        (agent,) = [agent for agent in server.agents() if agent.sandbox_id == sandbox]
        agent.kill()
        await client.wait_status(pane, "disconnected")

        await client.type(pane, b":!rm -rf everything\r")
        await client.wait_acked(pane)
        assert [one.reason for one in client.inputs[pane].discards] == ["program_gone"]
        await client.wait_status(pane, "connected")
        client.acks_layout = True
        await client.send("layout_ack", rev=client.model.rev)
        assert b"a2b" in await run(client, pane, "echo a$((1+1))b")
        assert b"rm -rf" not in client.outputs[pane].whole()


@pytest.mark.parametrize("behavior", ["close", "hold"])
async def test_a_shell_that_ends_after_a_while_closes_its_pane_unless_held(
    make_server: MakeServer, behavior: str
) -> None:
    server = make_server("--exit-behavior", behavior)
    async with ScriptedClient(server.url, server.token) as client:
        first, session = client.pane(), client.session().id
        tab = client.model.tabs_of(session)[0].id
        await at_prompt(client, first)
        made = await client.request("pane_split", pane_id=first, orientation="vertical", cols=80, rows=10)
        second = made.pane_id
        assert second is not None
        await at_prompt(client, second)
        await client.type(second, b"cd /var; sleep 2; exit 3\n")
        await client.type(first, b"sleep 2.5; exit 0\n")
        if behavior == "hold":
            assert (await client.wait_status(second, "exited")).exit == m.ExitInfo(code=3)
            assert (await client.wait_status(first, "exited")).exit == m.ExitInfo(code=0)
            assert tab in client.model.tabs
            await client.type(second, b"pwd\n")
            await client.wait_output(second, rb"\r/var\r\n.*" + PROMPT.encode())
            await client.wait_status(second, "connected")
            await client.type(second, b"\x04")
            await client.wait_status(second, "exited")
        else:
            await client.wait_gone(second)
            assert client.model.panes_of(session) == [first]
            await client.wait_gone(first)
            assert client.model.tabs == {}
            assert session in client.model.sessions
        await eventually(
            lambda: not [one for agent in server.agents() for one in agent.shells()], "the shells' end"
        )


async def test_a_shell_that_ends_early_is_held_with_its_code(make_server: MakeServer) -> None:
    server = make_server(shell="bash -c 'echo too bad; exit 3'")
    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        info = await client.wait_status(pane, "exited")
        assert info.exit == m.ExitInfo(code=3)
        await client.wait_output(pane, rb"too bad")
