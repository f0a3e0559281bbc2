"""The token and what people type stay where they belong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wormux.testing.client import ScriptedClient
from wormux.testing.server_process import ServerProcess

from .kit import BASH, PROMPT, MakeServer, fall_asleep, run

TOKEN = "a-token-for-the-test-of-secrets"
TYPED = "correct horse battery staple"


def proc(pid: int, name: str) -> bytes:
    """What the kernel shows of a process."""
    return Path(f"/proc/{pid}/{name}").read_bytes()


@pytest.mark.parametrize("how", ["environment", "file"])
async def test_shells_and_command_lines_do_not_show_the_token(tmp_path: Path, how: str) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    server = ServerProcess(tmp_path / "data", "--shell", BASH, env={"PS1": PROMPT, "HISTFILE": ""})
    # ServerProcess passes no WORMUX_* on by itself; here they are the point.
    given = (
        {"WORMUX_TOKEN": TOKEN} if how == "environment" else {"WORMUX_TOKEN_FILE": str(tmp_path / "token")}
    )
    server.env.update(given, WORMUX_LOG_LEVEL="debug")
    with server:
        assert server.token == TOKEN
        async with ScriptedClient(server.url, TOKEN) as client:
            pane, session = client.pane(), client.session().id
            for _ in range(2):  # the first shell, and one of a woken sandbox
                said = await run(client, pane, "env | grep -c WORMUX_")
                assert said.strip() == b"0"
                processes = [server.pid, *(process.pid for process in server.processes())]
                assert len(processes) >= 3
                for pid in processes:
                    assert TOKEN.encode() not in proc(pid, "cmdline")
                agents = [agent.pid for agent in server.agents()]
                for pid in processes[1:]:
                    environment = proc(pid, "environ")
                    assert b"WORMUX_" not in environment, "an agent" if pid in agents else "a shell"
                await fall_asleep(client, session)


@pytest.mark.parametrize("level", ["debug", "info"])
async def test_logs_hold_neither_the_token_nor_what_is_typed(make_server: MakeServer, level: str) -> None:
    server = make_server("--log-level", level, "--token", TOKEN)
    async with ScriptedClient(server.url, TOKEN) as client:
        pane, session = client.pane(), client.session().id
        await run(client, pane, f"echo {TYPED}")
        await client.cut()
        await client.reconnect()
        await fall_asleep(client, session)
        await client.type(pane, f": {TYPED}\n".encode())
        await client.wait_acked(pane)
        await client.send_frame(b'\xff{"type": "' + TYPED.encode())
        await client.wait_error()
        for agent in server.agents():
            agent.kill()
        await client.wait_status(pane, "disconnected")
    server.terminate()
    logs = [path for path in server.data_dir.rglob("*") if path.is_file() and "log" in path.suffix]
    assert any(path.name == "agent.log" for path in logs)
    for text in (server.stderr, *(path.read_text() for path in logs)):
        assert TOKEN not in text
        assert TYPED not in text
        assert "staple" not in text


async def test_what_is_kept_is_the_owners_alone(make_server: MakeServer) -> None:
    server = make_server()
    async with ScriptedClient(server.url, server.token) as client:
        await client.wait_status(client.pane(), "connected")
        for path in (server.data_dir, server.runtime_dir, *server.data_dir.rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path
            assert path.stat().st_uid == os.getuid()
        assert (server.data_dir / "token").read_text().strip() == server.token
