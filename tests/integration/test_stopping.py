"""A server that is told to stop: in which order, within which time, and what its log says of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from websockets.sync.client import ClientConnection, connect

from wormux.limits import DRAIN_S
from wormux.protocol.close_codes import CloseCode
from wormux.testing.client import ScriptedClient
from wormux.testing.server_process import WITHIN_S, ServerProcess, wait_until

from .kit import MakeServer, drawn

FLOOD = "sh -c 'while :; do echo flood; done'"


def asked(server: ServerProcess, path: str) -> tuple[int, str]:
    """Status and text, also of an error."""
    request = Request(server.url + path, headers={"Authorization": f"Bearer {server.token}"})
    try:
        with urlopen(request, timeout=WITHIN_S) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def metric(server: ServerProcess, name: str) -> float:
    _, text = asked(server, "/metrics")
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


@contextlib.contextmanager
def mute_client(server: ServerProcess) -> Iterator[ClientConnection]:
    """Attached, and it reads nothing but the handshake."""
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = server.url.removeprefix("http://").split(":")
        plain.connect((host, int(port)))
        with connect(
            f"ws://{host}:{port}/ws",
            sock=plain,
            additional_headers={"Authorization": f"Bearer {server.token}"},
            compression=None,
            proxy=None,
            max_queue=1,
            close_timeout=0.1,
        ) as client:
            client.send(b'\xff{"type": "connect", "width": 800, "height": 600}')
            yield client
            plain.shutdown(socket.SHUT_RDWR)


def wait_behind(server: ServerProcess) -> None:
    wait_until(lambda: metric(server, "wormux_connections_behind") >= 1, "the client to be behind")


@pytest.mark.integration
class TestDrain:
    async def test_the_order_and_a_second_signal(self, make_server: MakeServer) -> None:
        server = make_server(shell=FLOOD)
        with mute_client(server):
            await asyncio.to_thread(wait_behind, server)
            assert asked(server, "/healthz") == (200, "ok\n")
            async with ScriptedClient(server.url, server.token) as client:
                os.kill(server.pid, signal.SIGTERM)
                assert (await client.wait_closed()).code == CloseCode.GOING_AWAY
            # The mute one is waited for: until then the server says to everybody that it goes.
            assert asked(server, "/healthz") == (503, "The server is stopping.\n")
            assert asked(server, "/healthz/live") == (200, "ok\n")
            late = ScriptedClient(server.url, server.token)
            await late.open()
            assert (await late.wait_closed()).code == CloseCode.SERVICE_RESTART
            await late.close()
            began_s = time.monotonic()
            os.kill(server.pid, signal.SIGTERM)
            assert server.wait() == 0
        assert time.monotonic() - began_s < DRAIN_S
        assert "Stopping without waiting for clients and saves. signal=SIGTERM" in server.stderr
        assert " ERROR " not in server.stderr


@pytest.mark.integration
async def test_the_log_tells_the_day_of_a_server(make_server: MakeServer) -> None:
    server = make_server("--log-format", "json")
    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        await client.wait_status(pane, "connected")
        await drawn(client, pane)
        await client.type(pane, b"echo hush-$((20+1))\r")
        await client.wait_output(pane, b"hush-21")
        for name, least in {
            'wormux_wake_seconds_count{outcome="awake"}': 1,
            'wormux_terminal_open_seconds_count{outcome="opened"}': 1,
            'wormux_panes{status="connected"}': 1,
            "wormux_connections": 1,
            "wormux_log_bytes": 10,
            "wormux_received_bytes_total": 10,
            "wormux_screens": 1,
            "wormux_screen_workers_memory_bytes": 1024,
            "process_open_fds": 10,
        }.items():
            assert metric(server, name) >= least, name
        assert server.terminate() == 0
    told = [json.loads(line) for line in server.stderr.splitlines()]
    for line in told:
        assert line.keys() >= {"time", "level", "logger", "message"}
        assert line["level"] == "info", line
    messages = [line["message"] for line in told]
    day = ["Serving.", "A client came.", "A sandbox woke.", "Stopping.", "A client went.", "Stopped."]
    assert [message for message in messages if message in day] == day
    by_message = {line["message"]: line for line in told}
    assert by_message["Serving."]["address"] == server.url
    assert by_message["A sandbox woke."]["session"] == client.session().id
    assert 0 < by_message["A sandbox woke."]["took_s"] < WITHIN_S
    assert by_message["Stopped."]["shells"] == 1
    for secret in (server.token, "hush"):
        assert secret not in server.stderr


@pytest.mark.integration
def test_a_service_manager_is_told(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(start=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(WITHIN_S)
        server.env |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"}
        server.start()
        first = manager.recv(1000).decode().splitlines()
        assert first == ["READY=1", "STATUS=Serving.", f"MAINPID={server.pid}"]
        assert manager.recv(1000) == b"WATCHDOG=1"
        assert server.terminate() == 0
        said = [manager.recv(1000)]
        while said[-1] == b"WATCHDOG=1":
            said.append(manager.recv(1000))
        assert said[-1].startswith(b"STOPPING=1\n")
