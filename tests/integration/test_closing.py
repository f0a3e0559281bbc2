"""Closing in the middle of a wake leaves nothing behind."""

from __future__ import annotations

import pytest

from wormux.sandbox.runtime_dir import socket_path
from wormux.testing.client import ScriptedClient
from wormux.testing.server_process import ServerProcess

from .kit import eventually, fall_asleep, new_session


@pytest.mark.parametrize("moment", ["at once", "while it wakes", "when it is connected"])
@pytest.mark.parametrize("what", ["pane", "tab", "session"])
async def test_closing_during_a_wake_leaves_no_process_socket_or_channel(
    server: ServerProcess, what: str, moment: str
) -> None:
    async with ScriptedClient(server.url, server.token) as client:
        channels = dict(client.model.channels)
        session, pane = await new_session(client, f"{what} closed {moment}")
        sandbox = client.model.sessions[session].sandbox_id
        tab = client.model.tabs_of(session)[0].id
        await fall_asleep(client, session)

        await client.type(pane, b"echo too late\n")
        if moment == "while it wakes":
            await client.wait_status(pane, "waking", "connected")
        elif moment == "when it is connected":
            await client.wait_status(pane, "connected")
        if what == "session":
            await client.request("session_destroy", session_id=session)
        elif what == "tab":
            await client.request("tab_close", tab_id=tab)
        else:
            await client.request("pane_close", pane_id=pane)

        assert client.model.channels == channels
        assert tab not in client.model.tabs
        assert (session in client.model.sessions) == (what != "session")
        if what != "session":  # its sandbox stays, without shells
            status = client.model.sessions[session]
            await client.wait_for(
                lambda: client.model.sessions[session].status in ("awake", "asleep"), f"{status}"
            )
            await eventually(lambda: not _shells(server, sandbox), "the end of the shell")
            await client.request("session_destroy", session_id=session)
        await eventually(
            lambda: sandbox not in [one.sandbox_id for one in server.agents()], "the agent's end"
        )
        await eventually(lambda: not (server.data_dir / "sandboxes" / sandbox).exists(), "the files' end")
        assert not socket_path(server.runtime_dir, sandbox).exists()


def _shells(server: ServerProcess, sandbox: str) -> list[int]:
    return [shell.pid for agent in server.agents() if agent.sandbox_id == sandbox for shell in agent.shells()]
