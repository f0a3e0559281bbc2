"""The least that a WebSocket client can do: it costs the server's machine as little as possible.

Blocking, one connection, no checks of what a server of ours never gets wrong.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

TEXT = 1
BINARY = 2
CLOSE = 8
PING = 9
PONG = 10
_BUFFER_BYTES = 1 << 18


class WebSocket:
    """One connection, from the handshake on. What comes is read into one buffer and looked at where it lies."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._socket = socket.create_connection((parts.hostname, parts.port or 80))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {parts.path}{'?' if parts.query else ''}{parts.query} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
        ]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        """What has come and was not given yet."""
        while (at := self._buffer.find(b"\r\n\r\n", 0, self._end)) < 0:
            self._fill()
        head = bytes(self._view[:at])
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise RuntimeError(head.decode("latin1"))
        self._start = at + 4

    def send(self, payload: bytes, opcode: int = BINARY) -> None:
        """One masked message (the mask is zero: nothing of this leaves the machine)."""
        head = struct.pack("!B", 0x80 | opcode)
        if len(payload) < 126:
            head += struct.pack("!B", 0x80 | len(payload))
        else:
            head += struct.pack("!BQ", 0x80 | 127, len(payload))
        self._socket.sendall(head + bytes(4) + payload)

    def receive(self, within_s: float | None = None) -> tuple[int, memoryview]:
        """The next message: opcode, and a payload that is valid until the next call. Raises `TimeoutError`."""
        while True:
            frame = self._next_frame()
            if frame is None:
                self._fill(within_s)
                continue
            opcode, payload = frame
            if opcode == PING:
                self.send(payload.tobytes(), opcode=PONG)
            elif opcode == CLOSE:
                raise EOFError(f"The server closed: {payload.tobytes()!r}.")
            else:
                return opcode, payload

    def close(self) -> None:
        """Without a farewell."""
        self._socket.close()

    def _next_frame(self) -> tuple[int, memoryview] | None:
        start, held = self._start, self._end - self._start
        if held < 2:
            return None
        head, length = 2, self._buffer[start + 1]
        if length == 126:
            head = 4
            if held >= head:
                (length,) = struct.unpack_from("!H", self._buffer, start + 2)
        elif length == 127:
            head = 10
            if held >= head:
                (length,) = struct.unpack_from("!Q", self._buffer, start + 2)
        if held < head:
            return None
        if held < head + length:
            self._make_room(head + length)
            return None
        self._start = start + head + length
        return self._buffer[start] & 0x0F, self._view[start + head : self._start]

    def _make_room(self, count: int) -> None:
        """So that a frame of `count` bytes fits in one piece."""
        rest = self._end - self._start
        if count > len(self._buffer):
            larger = bytearray(2 * count)
            larger[:rest] = self._view[self._start : self._end]
            self._buffer, self._view = larger, memoryview(larger)
        elif self._start + count > len(self._buffer):
            self._view[:rest] = self._view[self._start : self._end]
        else:
            return
        self._start, self._end = 0, rest

    def _fill(self, within_s: float | None = None) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._buffer):
            self._make_room(self._end - self._start + 1)
        if within_s is not None and not select.select([self._socket], [], [], within_s)[0]:
            raise TimeoutError(f"Nothing came within {within_s:g} seconds.")
        count = self._socket.recv_into(self._view[self._end :])
        if count == 0:
            raise EOFError("The server closed the connection.")
        self._end += count


class WormuxClient:
    """A client of Wormux that knows one pane."""

    def __init__(self, url: str, token: str, client_id: str, resume: dict[str, int] | None = None) -> None:
        self._socket = WebSocket(url, {"Authorization": f"Bearer {token}"})
        self.state: dict[str, Any] = {}
        page = {"width": 1000, "height": 700, "clientId": client_id, "flow": True, "resume": resume or {}}
        self._control({"type": "connect", **page})
        while not self.state:
            self._note(next(self._messages()))
        self.received = 0
        self.skipped = 0
        """Bytes of output that were never sent, since this client was too slow."""
        self._acked = 0
        self.positions: dict[int, int] = {}
        """By channel, of the next byte; kept while messages and `frames` are read."""

    @property
    def pane_id(self) -> str:
        """The first pane."""
        return str(next(iter(self.state["channels"])))

    @property
    def channel(self) -> int:
        """Of the first pane."""
        return int(self.state["channels"][self.pane_id])

    @property
    def status(self) -> str:
        """Of the first pane."""
        return str(self.state["panes"][self.pane_id]["status"])

    def wait_status(self, status: str) -> None:
        """Until the first pane is `status`."""
        messages = self._messages()
        while self.status != status:
            self._note(next(messages))

    def wait_connected(self) -> None:
        """Until every pane is connected."""
        messages = self._messages()
        while not all(self.state["connected"].values()):
            self._note(next(messages))

    def type(self, data: bytes, channel: int | None = None) -> None:
        """Into the first pane, or that of the channel."""
        self._socket.send(bytes([self.channel if channel is None else channel]) + data)

    def request(self, message: dict[str, Any]) -> None:
        """Send and wait for its `ok`."""
        self._control({**message, "ref": "r"})
        for payload in self._messages():
            self._note(payload)
            if payload.get("type") in ("ok", "error") and payload.get("ref") == "r":
                if payload["type"] == "error":
                    raise RuntimeError(payload["message"])
                return

    def output(self) -> Iterator[memoryview]:
        """Terminal bytes as they come, acknowledged as a page does."""
        while True:
            _, payload = self._socket.receive()
            if payload[0] == 255:
                self._note(json.loads(payload[1:].tobytes()))
                continue
            self.received += len(payload) - 1
            if self.received - self._acked >= 128 * 1024:
                self.acknowledge()
            yield payload[1:]

    def frames(self) -> Iterator[tuple[int, memoryview]]:
        """Terminal bytes of all panes as they come, by channel. Nothing is acknowledged."""
        while True:
            _, payload = self._socket.receive()
            channel = payload[0]
            if channel != 255:
                self.positions[channel] = self.positions.get(channel, 0) + len(payload) - 1
                yield channel, payload[1:]
                continue
            self._note(json.loads(payload[1:].tobytes()))

    def flood(self, end: bytes) -> tuple[int, float]:
        """Give the program its line, and read until it has written `end`: bytes of output, and seconds."""
        started = time.perf_counter()
        self.type(b"\n")
        total, tail = 0, b""
        for piece in self.output():
            total += len(piece)
            tail = (tail + piece[-64:].tobytes())[-64:]
            if end in tail:
                break
        return total, time.perf_counter() - started

    def acknowledge(self) -> None:
        """All that came has been drawn."""
        self._acked = self.received
        self._control({"type": "output_ack", "paneId": self.pane_id, "position": self.received})

    def redraws(self, count: int) -> bytes:
        """Wait for so many whole redraws, of any panes: their bytes."""
        drawn = bytearray()
        done = left = 0
        while done < count:
            _, payload = self._socket.receive()
            if payload[0] != 255:
                drawn += payload[1:]
                left -= len(payload) - 1
                done += left == 0
                continue
            message = json.loads(payload[1:].tobytes())
            self._note(message)
            if message["type"] == "replay" and message["reset"]:
                left = message["bytes"]
                done += left == 0
        return bytes(drawn)

    def ask(self, message: dict[str, Any]) -> None:
        """Send, and wait for nothing."""
        self._control(message)

    def close(self) -> None:
        """Without a farewell."""
        self._socket.close()

    def _control(self, message: dict[str, Any]) -> None:
        self._socket.send(b"\xff" + json.dumps(message).encode())

    def _messages(self) -> Iterator[dict[str, Any]]:
        """Control messages; bytes between them are counted and dropped."""
        while True:
            _, payload = self._socket.receive()
            if payload[0] == 255:
                yield json.loads(payload[1:].tobytes())
            else:
                self.received += len(payload) - 1
                self.positions[payload[0]] = self.positions.get(payload[0], 0) + len(payload) - 1

    def _note(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "state":
                self.state = message
            case "layout_update":
                panes = {**self.state["panes"], **message["panes"]}
                self.state = {**self.state, **message, "panes": panes}
                self._control({"type": "layout_ack", "rev": message["rev"]})
            case "replay":
                self.skipped += message["skipped"]
                self.received = self._acked = message["position"] - message["bytes"]
                self.positions[message["channel"]] = message["position"] - message["bytes"]
