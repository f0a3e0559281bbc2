"""Wormux itself, as `wormux serve` runs it."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator
from typing import Any

from bench import servers
from bench.peers.port import COLS, READ_WITHIN_S, ROWS, Client, Peer, Server
from bench.ws_client import WebSocket
from wormux.protocol.frames import CONTROL_CHANNEL
from wormux.version import __version__

_ACK_BYTES = 128 * 1024
"""As the page does it."""


class Page(Client):
    """One connection that draws one pane, and leaves the others alone."""

    def __init__(self, url: str, token: str, client_id: str, pane_id: str | None) -> None:
        self._socket = WebSocket(f"{url}ws", {"Authorization": f"Bearer {token}"})
        self.pane_id = ""
        self.channel = -1
        self._seen: dict[int, int] = {}
        """By channel, the position behind all that came."""
        self._acked = 0
        self._early: dict[int, bytearray] = {}
        """What came of panes while something else was waited for."""
        self.skipped = 0
        """Bytes that were never sent, since this client was too slow."""
        size = {"width": 1000, "height": 700}
        self._tell({"type": "connect", **size, "clientId": client_id, "flow": True, "resume": {}})
        self.state: dict[str, Any] = {}
        while not self.state:
            self._control(READ_WITHIN_S)
        if pane_id is not None:
            self._watch(pane_id)

    def _watch(self, pane_id: str) -> None:
        self.pane_id = pane_id
        self.channel = int(self.state["channels"][pane_id])

    def new_pane(self, cols: int, rows: int, *, first: bool) -> None:
        """Make a pane and draw it from now on; the first one is there already."""
        if first:
            self._watch(next(iter(self.state["channels"])))
            self._tell({"type": "pane_resize", "paneId": self.pane_id, "cols": cols, "rows": rows})
        else:
            session = self.state["sessions"][0]["id"]
            known = set(self.state["channels"])
            self._tell({"type": "tab_create", "sessionId": session, "cols": cols, "rows": rows})
            while not (new := set(self.state["channels"]) - known):
                self._control(READ_WITHIN_S)
            self._watch(new.pop())
        while self.state["panes"][self.pane_id]["status"] != "connected":
            self._control(READ_WITHIN_S)

    def send(self, data: bytes) -> None:
        self._socket.send(bytes([self.channel]) + data)

    def read(self, within_s: float = READ_WITHIN_S) -> bytes | memoryview:
        if self._early and (early := self._early.pop(self.channel, None)):
            return bytes(early)
        while True:
            channel, payload = self._receive(within_s)
            if channel == self.channel:
                if self._seen[channel] - self._acked >= _ACK_BYTES:
                    self._acknowledge()
                return payload
            if channel == CONTROL_CHANNEL:
                self._note(json.loads(payload.tobytes()))

    def close(self) -> None:
        self._socket.close()

    def _acknowledge(self) -> None:
        self._acked = self._seen[self.channel]
        self._tell({"type": "output_ack", "paneId": self.pane_id, "position": self._acked})

    def _control(self, within_s: float) -> None:
        channel, payload = self._receive(within_s)
        if channel == CONTROL_CHANNEL:
            self._note(json.loads(payload.tobytes()))
        else:
            self._early.setdefault(channel, bytearray()).extend(payload)

    def _receive(self, within_s: float) -> tuple[int, memoryview]:
        _, payload = self._socket.receive(within_s)
        channel = payload[0]
        if channel != CONTROL_CHANNEL:
            self._seen[channel] = self._seen.get(channel, 0) + len(payload) - 1
        return channel, payload[1:]

    def _note(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "state":
                self.state = message
            case "layout_update":
                panes = {**self.state["panes"], **message["panes"]}
                self.state = {**self.state, **message, "panes": panes}
                self._tell({"type": "layout_ack", "rev": message["rev"]})
            case "replay":
                begin = message["position"] - message["bytes"]
                self._seen[message["channel"]] = begin
                if message["channel"] == self.channel:
                    self.skipped += message["skipped"]
                    self._acked = begin

    def _tell(self, message: dict[str, Any]) -> None:
        self._socket.send(bytes([CONTROL_CHANNEL]) + json.dumps(message).encode())


class _Wormux(Server):
    def __init__(self, server: servers.Server) -> None:
        self._server = server
        self._clients = 0
        self._panes = 0

    @property
    def roots(self) -> list[int]:
        return [self._server.pid]

    def _page(self, pane_id: str | None) -> Page:
        self._clients += 1
        return Page(self._server.url, self._server.token, f"bench-{self._clients}", pane_id)

    def open(self, cols: int = COLS, rows: int = ROWS) -> Client:
        page = self._page(None)
        self._add(page, cols, rows)
        return page

    def _add(self, page: Page, cols: int, rows: int) -> None:
        page.new_pane(cols, rows, first=self._panes == 0)
        self._panes += 1

    def attach(self, terminal: Client, cols: int = COLS, rows: int = ROWS) -> Client:
        assert isinstance(terminal, Page)
        return self._page(terminal.pane_id)

    def open_idle(self, count: int) -> list[Client]:
        """One page shows them all."""
        page = self._page(None)
        for _ in range(count):
            self._add(page, COLS, ROWS)
        return [page]


class Wormux(Peer):
    name = "Wormux"

    def version(self) -> str:
        return __version__

    @contextlib.contextmanager
    def serve(self, argv: list[str]) -> Iterator[Server]:
        with servers.wormux(shlex.join(argv)) as server:
            yield _Wormux(server)
