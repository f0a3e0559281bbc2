"""A real server behind the real nginx and the real Caddy, configured by the files in `deploy/`, with TLS."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from wormux.limits import LOGIN_ATTEMPTS, PING_EVERY_S, PONG_WITHIN_S
from wormux.protocol.close_codes import CloseCode
from wormux.testing.server_process import WITHIN_S, ServerProcess, wait_until

from .kit import MakeServer

pytestmark = pytest.mark.integration

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = "terminals.example.org"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def replaced(text: str, changes: dict[str, str]) -> str:
    """Each of these must be there: what is tried is the file that people use."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@dataclass
class Proxy:
    """One that runs, in front of the server's port."""

    kind: str
    folder: Path
    prefix: str
    server_port: int = field(default_factory=free_port)
    port: int = field(default_factory=free_port)
    plain_port: int = field(default_factory=free_port)

    @property
    def origin(self) -> str:
        return f"https://{NAME}:{self.port}"

    @property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.folder / "cert.pem")

    def command(self) -> list[str]:
        program = shutil.which(self.kind, path=PATH)
        assert program is not None, f"Install {self.kind} for this test."
        if self.kind == "nginx":
            return [program, "-p", str(self.folder), "-c", str(self._nginx()), "-e", str(self.folder / "log")]
        return [program, "run", "--adapter", "caddyfile", "--config", str(self._caddy())]

    def _nginx(self) -> Path:
        changes = {
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            "    listen [::]:443 ssl;\n": "",
            "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
            "    listen [::]:80;\n": "",
            f"/etc/letsencrypt/live/{NAME}/fullchain.pem": f"{self.folder}/cert.pem",
            f"/etc/letsencrypt/live/{NAME}/privkey.pem": f"{self.folder}/key.pem",
            "/var/log/nginx": str(self.folder),
            "server 127.0.0.1:8022;": f"server 127.0.0.1:{self.server_port};",
        }
        if self.prefix:
            changes["    location / {\n"] = f"    location {self.prefix}/ {{\n"
        text = replaced((DEPLOY / "nginx.conf").read_text(), changes)
        temporary = "".join(
            f"{kind}_temp_path {self.folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        path = self.folder / "nginx.conf"
        path.write_text(f"daemon off; pid {self.folder}/pid; events {{}}\nhttp {{\n{temporary}{text}}}\n")
        return path

    def _caddy(self) -> Path:
        global_options = (
            f"{{\n\tadmin off\n\tstorage file_system {self.folder}\n\thttp_port {self.plain_port}\n"
            f"\thttps_port {self.port}\n"
        )
        changes = {
            "{\n\t# The link": f"{global_options}\t# The link",
            f"{NAME} {{\n": f"{NAME}:{self.port} {{\n\ttls {self.folder}/cert.pem {self.folder}/key.pem\n",
            "127.0.0.1:8022": f"127.0.0.1:{self.server_port}",
        }
        if self.prefix:
            changes["\thandle {\n"] = f"\thandle {self.prefix}* {{\n"
        path = self.folder / "Caddyfile"
        path.write_text(replaced((DEPLOY / "Caddyfile").read_text(), changes))
        return path

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        certificate = [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-days", "1", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"),
            *("-keyout", str(self.folder / "key.pem"), "-out", str(self.folder / "cert.pem")),
        ]
        subprocess.run(certificate, check=True, capture_output=True)
        with (
            (self.folder / "log").open("wb") as log,
            subprocess.Popen(
                self.command(), stdout=log, stderr=log, env={"HOME": str(self.folder)}
            ) as process,
        ):
            try:
                wait_until(lambda: process.poll() is not None or self._listens(), f"{self.kind} to listen")
                assert process.poll() is None, (self.folder / "log").read_text()
                yield
            finally:
                process.terminate()
                process.wait(WITHIN_S)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def ask(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], str]:
        """Status, headers and text of an answer over TLS."""
        with socket.create_connection(("127.0.0.1", self.port), WITHIN_S) as plain:
            connection = http.client.HTTPConnection(NAME, self.port)
            connection.sock = self.tls.wrap_socket(plain, server_hostname=NAME)
            connection.request("GET", self.prefix + path, headers={"Connection": "close", **(headers or {})})
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text

    def plain(self) -> int:
        """The status of an answer without TLS, which must be a redirect to TLS."""
        connection = http.client.HTTPConnection("127.0.0.1", self.plain_port, timeout=WITHIN_S)
        with contextlib.closing(connection):
            connection.request("GET", "/x", headers={"Host": NAME})
            answer = connection.getresponse()
            assert (answer.getheader("location") or "").startswith(f"https://{NAME}")
            return answer.status

    def logs(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*log"))

    @contextlib.asynccontextmanager
    async def socket(self, cookie: str, origin: str | None = None) -> AsyncIterator[ClientConnection]:
        """As a browser opens it."""
        async with connect(
            f"wss://{NAME}:{self.port}{self.prefix}/ws",
            host="127.0.0.1",
            port=self.port,
            ssl=self.tls,
            server_hostname=NAME,
            origin=origin or self.origin,  # type: ignore[arg-type]
            additional_headers={"Cookie": cookie},
            compression=None,
            proxy=None,
        ) as client:
            yield client


@pytest.fixture(params=["nginx", "caddy"])
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Proxy]:
    folder = tmp_path / "proxy"
    folder.mkdir()
    # One of the two lies below a path: all that is different there is text.
    made = Proxy(request.param, folder, "/terminals" if request.param == "nginx" else "")
    with made.running():
        yield made


def start(make_server: MakeServer, proxy: Proxy) -> ServerProcess:
    server = make_server("--public-url", proxy.origin + proxy.prefix, "--log-level", "debug", start=False)
    server.start("--port", str(proxy.server_port))
    return server


def log_in(proxy: Proxy, token: str) -> str:
    """As the link of the ready line does; returns the cookie."""
    status, headers, _ = proxy.ask(f"/?token={token}")
    assert (status, headers["location"]) == (303, f"{proxy.prefix}/")
    cookie, *flags = headers["set-cookie"].split("; ")
    assert {flag.lower() for flag in flags} >= {
        "secure",
        "httponly",
        "samesite=strict",
        f"path={proxy.prefix}/",
    }
    return cookie


async def attached(client: ClientConnection) -> None:
    """It has a connected pane."""
    await client.send(b'\xff{"type": "connect", "width": 800, "height": 600}')
    async with asyncio.timeout(WITHIN_S):
        async for frame in client:
            assert isinstance(frame, bytes)
            message: dict[str, Any] = json.loads(frame[1:]) if frame[0] == 255 else {}
            if any(message.get("connected", {}).values()):
                return


async def test_the_page_the_login_and_a_terminal_come_through(make_server: MakeServer, proxy: Proxy) -> None:
    server = start(make_server, proxy)
    ask = proxy.ask
    assert await asyncio.to_thread(proxy.plain) in (301, 308)
    status, headers, text = await asyncio.to_thread(ask, "/")
    assert status == 200
    assert "<title>" in text
    assert f"wss://{NAME}:{proxy.port}" in headers["content-security-policy"]
    cookie = await asyncio.to_thread(log_in, proxy, server.token)

    with pytest.raises(InvalidStatus) as refused:
        async with proxy.socket(cookie, origin="https://evil.example"):
            pass
    assert refused.value.response.status_code == 403

    async with proxy.socket(cookie) as client:
        await attached(client)
        # A restart behind the proxy: the page hears of it, and comes back with the cookie that it has.
        assert await asyncio.to_thread(server.terminate) == 0
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.wait_for(client.recv(), WITHIN_S)
        assert client.close_code == CloseCode.GOING_AWAY
    status, _, _ = await asyncio.to_thread(ask, f"/?token={server.token}")
    assert status == 502
    await asyncio.to_thread(server.start, "--port", str(proxy.server_port))
    async with proxy.socket(cookie) as client:
        await attached(client)
    # Nobody looks like another one by what he says of himself.
    guesses = [(f"/?token=wrong-{n}", {"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(LOGIN_ATTEMPTS + 1)]
    answers = [(await asyncio.to_thread(ask, *guess))[0] for guess in guesses]
    assert answers == [303] * LOGIN_ATTEMPTS + [429]
    assert server.token not in proxy.logs()
    assert server.token not in server.stderr


def test_nginx_waits_longer_than_the_server() -> None:
    """So an idle terminal is never cut, and who is gone is noticed by the server first."""
    text = (DEPLOY / "nginx.conf").read_text()
    for name in ("proxy_read_timeout", "proxy_send_timeout"):
        (seconds,) = re.findall(rf"^\s*{name} (\d+)s;", text, re.MULTILINE)
        assert int(seconds) > PING_EVERY_S + PONG_WITHIN_S
