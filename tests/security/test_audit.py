"""What the audit log of a whole server has, and what it never has."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from typing import Any

from tests.integration.kit import MakeServer, fall_asleep, run
from wormux.hub.effects import Deed
from wormux.server.audit import audit_files
from wormux.testing.client import ScriptedClient
from wormux.testing.server_process import ServerProcess

TYPED = "correct-horse-battery-staple"


def lines(server: ServerProcess) -> list[dict[str, Any]]:
    return [
        json.loads(line) for path in audit_files(server.data_dir) for line in path.read_text().splitlines()
    ]


def log_in(url: str, token: str) -> None:
    urllib.request.urlopen(f"{url}/?token={token}").close()


async def test_who_came_and_what_they_did(make_server: MakeServer) -> None:
    server = make_server()
    async with ScriptedClient(server.url, server.token, client_id="first") as client:
        pane, session = client.pane(), client.session().id
        await run(client, pane, f"echo {TYPED}")
        made = await client.request("session_create", name="second", cols=80, rows=24)
        tab = await client.request("tab_create", session_id=session, name="notes", cols=80, rows=24)
        split = await client.request("pane_split", pane_id=pane, orientation="horizontal", cols=40, rows=20)
        await client.request("pane_close", pane_id=split.pane_id)
        await client.request("tab_close", tab_id=tab.tab_id)
        await client.request("session_destroy", session_id=made.session_id)
        await fall_asleep(client, session)
    async with (
        ScriptedClient(server.url, server.token, client_id="other") as other,
        ScriptedClient(server.url, server.token, client_id="other"),
    ):
        await other.wait_closed()
    for token in ("wrong", server.token):
        await asyncio.to_thread(log_in, server.url, token)
    server.terminate()
    found = lines(server)
    first = {"peer": "127.0.0.1", "connection": 1, "client": "first"}
    other_client = {"peer": "127.0.0.1", "client": "other"}
    ids = {"session": made.session_id, "tab": made.tab_id, "pane": made.pane_id}
    told = [{key: value for key, value in line.items() if key != "time"} for line in found]
    for expected in (
        {"event": "attach", **first},
        {"event": "session_create", **first, **ids, "name": "second"},
        {
            "event": "tab_create",
            **first,
            "session": session,
            "tab": tab.tab_id,
            "pane": tab.pane_id,
            "name": "notes",
        },
        {"event": "tab_close", **first, "session": session, "tab": tab.tab_id, "name": "notes"},
        {"event": "session_destroy", **first, "session": made.session_id, "name": "second"},
        {"event": "session_sleep", **first, "session": session, "name": "main"},
        {"event": "detach", **first},
        {"event": "attach", **other_client, "connection": 2},
        {"event": "take_over", **other_client, "connection": 3},
        {"event": "attach", **other_client, "connection": 3},
        {"event": "detach", **other_client, "connection": 3},
        {"event": "login", "peer": "127.0.0.1"},
        {"event": "login_failed", "peer": "127.0.0.1", "at": "/"},
    ):
        assert told.count(expected) == 1, expected
    events = [line["event"] for line in found]
    assert {deed.value for deed in Deed} <= set(events)
    assert (events[0], events[-1]) == ("server_start", "server_stop")
    assert [line["time"] for line in found] == sorted(line["time"] for line in found)
    text = json.dumps(found)
    assert TYPED not in text
    assert "staple" not in text
    assert server.token not in text
    (log,) = audit_files(server.data_dir)
    assert log.stat().st_mode & 0o777 == 0o600
