"""What arrives at the server's port: raw bytes into its HTTP parser, its application, its WebSocket and the hub behind.

The transport is made up, so that bytes come in just these pieces; everything behind it is real but sandboxes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import uvicorn
from uvicorn.server import ServerState

from fuzz.kit import SECRET, Target, joined, need, pieces, scratch
from wormux.config import Config
from wormux.errors import SandboxError
from wormux.ids import SandboxId
from wormux.limits import FRAME_BYTES, REQUEST_HEAD_BYTES
from wormux.sandbox.port import Provider, Sandbox, SandboxEvent
from wormux.screen.in_process import LocalScreens
from wormux.screen.opening import open_log
from wormux.server import app as server_app
from wormux.server.app import Parts, create_app
from wormux.server.bounded import BoundedHttp
from wormux.server.hosting import uvicorn_config
from wormux.server.page import Page, load_page
from wormux.store.memory import MemoryStore

TOKEN = f"{SECRET.decode()}-token"
_HOST = b"127.0.0.1:8022"
_STATUSES = frozenset((101, 200, 303, 304, 308, 400, 401, 403, 404, 405, 411, 413, 426, 429, 431, 503))
_HEAD = re.compile(
    rb"HTTP/1\.1 (\d{3})[^\r\n]*\r\n((?:[!#$%&'*+.^_`|~\w-]+: ?[\x20-\x7e\x80-\xff\t]*\r\n)*)\r\n"
)
_QUIET_WITHIN_S = 5.0
load_page_once: Callable[[], Page] = cache(load_page)


class _NoSandboxes(Provider):
    """None can be started."""

    name = "local"

    @property
    def cannot_freeze(self) -> str | None:
        return "There are none."

    async def start(self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]) -> Sandbox:
        raise SandboxError("There are none.")

    async def find(self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]) -> None:
        return None

    async def destroy(self, sandbox_id: SandboxId) -> None:
        pass

    async def list(self) -> tuple[SandboxId, ...]:
        return ()

    async def aclose(self) -> None:
        pass


class _Transport(asyncio.Transport):
    """Keeps what is written; its other side takes everything."""

    def __init__(self, peer: str) -> None:
        super().__init__({"peername": (peer, 5555), "sockname": ("127.0.0.1", 8022)})
        self.written = bytearray()
        self.over = False
        self._protocol: Any = None

    def write(self, data: Any) -> None:
        if not self.over:
            self.written += data

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return self.over

    def close(self) -> None:
        if not self.over:
            self.over = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_reading(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def receive(self, data: bytes) -> None:
        """Bytes arrive, unless the connection is over."""
        if not self.over:
            self._protocol.data_received(data)


def _providers(_config: Config) -> Mapping[str, Provider]:
    return {"local": _NoSandboxes()}


async def _converse(place: Path, script: list[bytes]) -> list[bytes]:
    """What was answered on each connection. A piece that begins with NUL opens a new one."""
    loop = asyncio.get_running_loop()
    failures: list[object] = []
    loop.set_exception_handler(
        lambda _loop, context: failures.append(context.get("exception") or context["message"])
    )
    config = Config(data_dir=place, token=TOKEN, port=8022)
    parts = Parts(
        store=lambda _dir: MemoryStore(),
        providers=_providers,
        screens=lambda _config, deliver: LocalScreens(deliver, open_log),
    )
    app = create_app(config, parts)
    host = uvicorn_config(app, config)
    host.load()
    state = ServerState()
    transports: list[_Transport] = []
    with patch.object(server_app, "load_page", load_page_once):
        async with app.router.lifespan_context(app):
            for piece in script:
                if piece[:1] == b"\0" or not transports:
                    transports.append(_connect(host, state, f"192.0.2.{len(transports) + 1}"))
                for at in range(0, len(piece), max(1, REQUEST_HEAD_BYTES // 4)):
                    transports[-1].receive(piece.removeprefix(b"\0")[at : at + REQUEST_HEAD_BYTES // 4])
                    await _turns()
            last = _connect(host, state, "192.0.2.250")
            last.receive(b"GET /healthz HTTP/1.1\r\nhost: any\r\nconnection: close\r\n\r\n")
            await _until(lambda: last.over)
            need(b" 200 OK" in last.written, "The server is not healthy any more.")
            await _turns()
            for transport in transports:
                transport.close()
            await _until(lambda: not state.tasks)
    need(not failures, f"Something failed that nobody waits for: {failures}")
    return [bytes(transport.written) for transport in transports]


def _connect(host: uvicorn.Config, state: ServerState, peer: str) -> _Transport:
    protocol = BoundedHttp(config=host, server_state=state, app_state={}, _loop=asyncio.get_running_loop())
    transport = _Transport(peer)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    return transport


async def _turns() -> None:
    """Time for all that follows at once, and for what a thread stores."""
    for _ in range(10):
        await asyncio.sleep(0)
    await asyncio.sleep(0.0005)


async def _until(is_true: Callable[[], object]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_QUIET_WITHIN_S):
            while not is_true():  # noqa: ASYNC110 - asked of uvicorn, which has no event for it
                await asyncio.sleep(0.0005)
    need(is_true(), "A request is still being answered.")


def _check(answer: bytes) -> None:
    """Every answer has a head that is whole, with a status of ours; and nothing has the token."""
    need(TOKEN.encode() not in answer, "An answer has the token.")
    at = 0
    while at < len(answer):
        head = _HEAD.match(answer, at)
        need(head, f"An answer has no head of its own: {answer[at : at + 300]!r}")
        assert head is not None
        status, headers = int(head[1]), head[2].lower()
        need(status in _STATUSES, f"An answer has the status {status}.")
        need(headers.count(b"location:") <= 1 and headers.count(b"set-cookie:") <= 1, "A header was put in.")
        if b"set-cookie:" in headers:
            need(b"httponly" in headers and b"samesite=strict" in headers, "A cookie lacks its flags.")
        if status == 101:
            return
        length = re.search(rb"content-length: (\d+)", headers)
        at = head.end() + (int(length[1]) if length else len(answer))


def run(data: bytes) -> None:
    """Each piece arrives at once; one that begins with NUL on a new connection."""
    with scratch() as place:
        for answer in asyncio.run(_converse(place, pieces(data)[:24])):
            _check(answer)
        for path in place.rglob("*"):
            kept = b"" if "token" in path.name or not path.is_file() else path.read_bytes()
            need(TOKEN.encode() not in kept, f"The token stands in {path.name}.")


def _request(
    target: bytes, *headers: bytes, method: bytes = b"GET", host: bytes = _HOST, body: bytes = b""
) -> bytes:
    lines = (method + b" " + target + b" HTTP/1.1", b"host: " + host, *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


_BEARER = b"authorization: Bearer " + TOKEN.encode()
_UPGRADE = (
    b"upgrade: websocket",
    b"connection: Upgrade",
    b"sec-websocket-version: 13",
    b"sec-websocket-key: " + b64encode(b"0" * 16),
)


def _frame(payload: bytes, opcode: int = 2, *, final: bool = True, masked: bool = True) -> bytes:
    """Of a client, with a mask of zeros so that mutations stay readable."""
    size = len(payload)
    length = (
        bytes((size,))
        if size < 126
        else b"\x7e" + size.to_bytes(2, "big")
        if size < 1 << 16
        else b"\x7f" + size.to_bytes(8, "big")
    )
    head = bytes((opcode | 0x80 * final, length[0] | 0x80 * masked)) + length[1:]
    return head + (bytes(4) if masked else b"") + payload


def seeds() -> Iterable[bytes]:
    for path in (
        b"/",
        b"/healthz",
        b"/metrics",
        b"/assets/x.js",
        b"/assets/../../etc/passwd",
        b"/%2e%2e/",
        b"/nothing",
        b"*",
        b"http://a/",
        b"//",
    ):
        yield joined(_request(path), _request(path, _BEARER), _request(path, b"origin: http://evil.example"))
        yield joined(
            _request(path, method=b"POST", body=b"x=1"), b"\0" + _request(path, host=b"evil.example")
        )
    yield joined(
        _request(b"/?token=" + TOKEN.encode()),
        _request(b"/?token=wrong"),
        _request(b"/?token=%0d%0aset-cookie:x"),
    )
    yield joined(
        _request(b"/", b"x-a: " + b"a" * REQUEST_HEAD_BYTES),
        b"\0GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 20_000,
    )
    yield joined(
        _request(
            b"/",
            b'if-none-match: *, "x"',
            b"accept-encoding: gzip",
            b"cookie: wormux-x=y; a=b;;=",
            b"origin: http://127.0.0.1:8022",
        )
    )
    yield joined(
        _request(b"/metrics", b"authorization: bearer \xff\xfe"),
        _request(b"/", b"transfer-encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
    )
    yield joined(
        _request(b"/", b"content-length: 5\r\ncontent-length: 6"),
        b"\0GET / HTTP/1.0\r\n\r\n",
        b"\0GET / HTTP/9.9\r\n\r\n",
        b"\0\x16\x03\x01\x02",
    )
    yield joined(*[b"\0" + _request(b"/metrics", b"authorization: Bearer wrong")] * 12)
    yield joined(
        _request(b"/", b"expect: 100-continue", method=b"PUT"),
        _request(b"/", b"upgrade: h2c", b"connection: Upgrade"),
    )
    connect = json.dumps({"type": "connect", "width": 800, "height": 600, "clientId": "c"}).encode()
    opened = _request(b"/ws", _BEARER, *_UPGRADE)
    frames = (
        _frame(b"\xff" + connect),
        _frame(b"\xff" + b'{"type":"ping","time":1,"ref":"r"}'),
        _frame(b"\0" + SECRET),
        _frame(b"text", 1),
        _frame(b"", 2),
        _frame(b"\xff", 9),
        _frame(b"\x03\xe8bye", 8),
        _frame(b"\xff{", 2, final=False) + _frame(b"}", 0),
        _frame(b"x", 0),
        _frame(b"x", 3),
        _frame(b"x", masked=False),
        _frame(b"\xff" + bytes(70_000)),
        b"\x82\xff" + (FRAME_BYTES + 1).to_bytes(8, "big") + bytes(4),
        b"\x82\xff" + b"\xff" * 8,
    )
    for frame in frames:
        yield joined(opened, frames[0], frame)
        yield joined(opened + frame)
    yield joined(_request(b"/ws", *_UPGRADE), frames[0])
    yield joined(_request(b"/ws?token=" + TOKEN.encode(), *_UPGRADE), frames[0])
    yield joined(_request(b"/ws", _BEARER, *_UPGRADE, b"origin: http://evil.example"), frames[0])
    yield joined(
        _request(b"/ws", _BEARER, *_UPGRADE[:3]),
        b"\0" + _request(b"/ws", _BEARER),
        b"\0"
        + _request(
            b"/ws",
            _BEARER,
            *_UPGRADE,
            b"sec-websocket-extensions: permessage-deflate; x=\xff",
            b"sec-websocket-protocol: a,b",
        ),
    )
    yield joined(_request(b"/healthz", *_UPGRADE), frames[0])


TARGET = Target(
    "http",
    "raw bytes at the port: HTTP, handshakes, WebSockets, and what is behind",
    run,
    seeds,
    words=(
        b"GET ",
        b" HTTP/1.1\r\n",
        b"\r\n\r\n",
        b"host: 127.0.0.1:8022\r\n",
        _BEARER + b"\r\n",
        b"upgrade: websocket\r\n",
        b"content-length: ",
        b"origin: null\r\n",
    ),
    examples=40,
)
