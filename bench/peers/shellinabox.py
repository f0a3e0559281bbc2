"""Shell In A Box, which Debian has: no WebSocket, but a request for what comes next, and one for each key."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import select
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from bench.peers.port import (
    COLS,
    READ_WITHIN_S,
    ROWS,
    Client,
    Peer,
    Server,
    free_port,
    process,
    wait_for_port,
)


class _Http:
    """One connection that stays open, for one request after the other."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._port = port
        self._unread = b""
        self.is_asked = False

    def ask(self, **fields: object) -> None:
        body = urlencode(fields).encode()
        head = (
            f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body)
        self.is_asked = True

    def answer(self, within_s: float) -> bytes:
        while True:
            head, found, body = self._unread.partition(b"\r\n\r\n")
            if found:
                lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
                length = int(lines.get(b"content-length", b"0"))
                if len(body) >= length:
                    self._unread = body[length:]
                    self.is_asked = False
                    return body[:length]
            if not select.select([self._socket], [], [], within_s)[0]:
                raise TimeoutError
            data = self._socket.recv(1 << 18)
            if not data:
                raise EOFError("The server closed the connection.")
            self._unread += data

    def close(self) -> None:
        self._socket.close()


class _Page(Client):
    def __init__(self, port: int, cols: int, rows: int) -> None:
        self._output, self._keys = _Http(port), _Http(port)
        self._size = {"width": cols, "height": rows}
        self._output.ask(**self._size, rooturl=f"http://127.0.0.1:{port}/")
        self._session: str = json.loads(self._output.answer(READ_WITHIN_S))["session"]

    def send(self, data: bytes) -> None:
        self._poll()
        self._keys.ask(**self._size, session=self._session, keys=data.hex().upper())
        self._keys.answer(READ_WITHIN_S)

    def read(self, within_s: float = READ_WITHIN_S) -> bytes:
        while True:
            self._poll()
            answer: dict[str, Any] = json.loads(self._output.answer(within_s))
            if answer["data"]:
                return str(answer["data"]).encode()

    def close(self) -> None:
        self._output.close()
        self._keys.close()

    def _poll(self) -> None:
        if not self._output.is_asked:
            self._output.ask(**self._size, session=self._session)


class _Server(Server):
    def __init__(self, pid: int, port: int) -> None:
        self._pid = pid
        self._port = port

    @property
    def roots(self) -> list[int]:
        return [self._pid]

    def open(self, cols: int = COLS, rows: int = ROWS) -> Client:
        return _Page(self._port, cols, rows)


class ShellInABox(Peer):
    name = "shellinabox"

    def missing(self) -> str | None:
        return None if shutil.which("shellinaboxd") else "not on the PATH: Debian's package shellinabox"

    def version(self) -> str:
        said = subprocess.run(["shellinaboxd", "--version"], capture_output=True, text=True, check=False)
        return (said.stdout + said.stderr).split()[2]

    @contextlib.contextmanager
    def serve(self, argv: list[str]) -> Iterator[Server]:
        port = free_port()
        user = pwd.getpwuid(os.getuid()).pw_name
        group = grp.getgrgid(os.getgid()).gr_name
        service = f"/:{user}:{group}:/:{shlex.join(argv)}"
        command = [
            "shellinaboxd",
            "--disable-ssl",
            "--localhost-only",
            "--port",
            str(port),
            "--service",
            service,
        ]
        with process(command) as running:
            wait_for_port(port, running)
            yield _Server(running.pid, port)
