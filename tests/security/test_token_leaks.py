"""The token is in an address once. It must not stay anywhere: not in logs of any level, answers, metrics or `ps`."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from tests.integration.kit import MakeServer
from tests.security.kit import BEARER, UPGRADE, get, head, host_of, knock, login, send
from tests.server.kit import TOKEN, World
from wormux.errors import StoreError
from wormux.testing.client import ScriptedClient

SECRET = "s3cret-token-of-the-test"
ESCAPED = SECRET.replace("-", "%2d")


async def use_everywhere(world: World, token: str) -> list[str]:
    """The token in every place in which people put it, right or wrong; all answers."""
    host = f"Host: {host_of(world)}"
    answers = [
        await get(world, f"/?token={token}"),
        await get(world, f"/?x=1&token={token}&token=again"),
        await get(world, f"/?token={token}", host="evil.example"),
        await get(world, f"/nothing?token={token}"),
        await get(world, f"/metrics?token={token}"),
        await get(world, f"/{token}"),
        await get(world, f"/assets/{token}"),
        await get(world, f"/t?token={token}", host="term.example"),
        await get(world, "/metrics", f"Authorization: Bearer {token}"),
        await get(world, "/metrics", f"Authorization: Basic {token}"),
        await get(world, f"/?token={token}", method="POST"),
        await send(
            world.config.port, f"GET /?token={token}\xe9 HTTP/1.1\r\n{host}\r\n\r\n".encode("latin-1")
        ),
        await send(world.config.port, head(f"//?token={token}", host, "Content-Length: 1, 2")),
        await send(world.config.port, head(f"/?token={token}", host, *["a: b"] * 200)),
    ]
    for lines in ((), (f"Authorization: Bearer {token}",), (f"Sec-WebSocket-Protocol: {token}",)):
        await knock(world, *lines, target=f"/ws?token={token}")
        await knock(world, *lines, target=f"/nothing?token={token}")
    for broken in (UPGRADE[:2], (*UPGRADE, "Content-Length: 9"), UPGRADE[:3]):
        await send(world.config.port, head(f"/ws?token={token}", host, *broken, "Connection: close") + b"1")
    return [repr(answer) for answer in answers]


@pytest.mark.parametrize("way", ["right", "wrong"])
async def test_no_log_of_any_level_has_it(
    world: World, way: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All loggers at their lowest level, but those that `wormux serve` itself holds back."""
    token = TOKEN if way == "right" else SECRET
    caplog.set_level(logging.NOTSET)
    logging.getLogger("wormux").setLevel(logging.DEBUG)
    # What goes wrong inside says so, and nothing of what it was given.
    world.store.failure = StoreError("The disk is full.")
    answers = await use_everywhere(world, token)
    gate = world.application.running().gate
    monkeypatch.setattr(type(gate), "try_token", lambda *_: 1 / 0)
    answers += await use_everywhere(world, token)
    assert "ZeroDivisionError while answering a request" in caplog.text
    said = caplog.text + "".join(str(record.__dict__) for record in caplog.records if record.args)
    assert token not in said
    # Redirects drop it; nothing echoes it but the redirect of a proxy's prefix, to itself.
    told = [answer for answer in answers if token in answer]
    assert all("'location': '/t/?token=" in answer for answer in told), told


async def test_the_address_with_it_is_left_at_once_and_passed_to_nobody(world: World) -> None:
    answer = await get(world, f"/?token={TOKEN}&a=b")
    assert (answer.status, answer.headers["location"], answer.body) == (303, "/", b"")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    for target in ("/", "/nothing", "/t"):
        assert (await get(world, target)).headers["referrer-policy"] == "no-referrer"


async def test_metrics_and_the_audit_log_do_not_have_it(world: World) -> None:
    await use_everywhere(world, TOKEN)
    cookie = (await login(world)).partition("=")[2]
    metrics = await get(world, "/metrics", BEARER)
    assert metrics.status == 200
    assert TOKEN.encode() not in metrics.body
    world.application.running().audit.close()
    log = (world.config.data_dir / "audit.log").read_text()
    assert '"event": "login"' in log
    assert '"event": "login_failed"' in log
    for secret in (TOKEN, cookie, ESCAPED):
        assert secret not in log


def proc(pid: int, name: str) -> bytes:
    """What the kernel shows of a process."""
    return Path(f"/proc/{pid}/{name}").read_bytes()


async def test_a_whole_server_keeps_it_to_itself(make_server: MakeServer) -> None:
    server = make_server("--log-level", "debug")
    async with ScriptedClient(server.url, server.token) as client:
        await client.wait_status(client.pane(), "connected")
        assert server.run("ls").returncode == 0
        processes = [server.pid, *(process.pid for process in server.processes())]
        for pid in processes:
            for name in ("cmdline", "environ"):
                assert server.token.encode() not in proc(pid, name)
        control = (server.data_dir / "control-token").read_text().strip()
    server.terminate()
    holders = [
        path.relative_to(server.data_dir).as_posix()
        for path in server.data_dir.rglob("*")
        if path.is_file()
        and re.search(rb"%s|%s" % (server.token.encode(), control.encode()), path.read_bytes())
    ]
    assert holders == ["token"]
    assert server.token not in server.stderr
    assert server.stdout.count(server.token) == 1  # in the line that says where to go, since it was asked for
