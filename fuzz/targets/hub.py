"""What clients send: into a whole hub in a simulated world, in sequences, beside a client that behaves.

The other client belongs to the same person, so anything may be closed under its hands; what it is told must make sense
all the same, and when it is alone again it must get a terminal that takes its keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from fuzz.kit import SECRET, Target, joined, need, pieces
from wormux.ids import PaneId
from wormux.limits import (
    CLIENT_ID_CHARS,
    CONNECTION_UNSENT_BYTES,
    CONNECTIONS,
    CONTROL_MESSAGES,
    CWD_CHARS,
    DISCARD_NOTICES,
    INPUT_CLIENT_BYTES,
    INPUT_PANE_BYTES,
    KNOWN_CLIENTS,
    LOG_BYTES,
    MAX_COLS,
    MAX_ROWS,
    MIN_COLS,
    MIN_ROWS,
    NAME_CHARS,
    PANES,
    SESSIONS,
    TITLE_CHARS,
    UNANSWERED_REQUESTS,
)
from wormux.protocol.frames import CONTROL_CHANNEL, encode_frame
from wormux.testing.sim.socket import SimSocket
from wormux.testing.sim.world import HubWorld

SAY, FRAME, KEYS, FLOOD, OPEN, LEAVE, WAIT, DELIVER, PRINT, KILL, CUT, STALL, DISK, SCREENS, RESTART = range(
    15
)
_MOST_PRINTED = 1 << 20


class Hostile:
    """A few connections that send anything, and the world around them."""

    def __init__(self) -> None:
        self.world = HubWorld()
        self.neighbour = self.world.attached("neighbour")
        self.sockets: list[SimSocket | None] = [None, None, None]
        self.open(0)
        self.send(
            0,
            encode_frame(
                CONTROL_CHANNEL, b'{"type":"connect","width":800,"height":600,"clientId":"hostile"}'
            ),
        )
        self.world.run()

    def open(self, which: int) -> SimSocket:
        self.leave(which)
        socket = self.sockets[which] = self.world.dial()
        return socket

    def leave(self, which: int) -> None:
        socket, self.sockets[which] = self.sockets[which], None
        if socket is not None:
            self.world.hang_up(socket)

    def send(self, which: int, frame: bytes) -> None:
        socket = self.sockets[which]
        if socket is None or socket.over:
            socket = self.open(which)
        self.world.to_server(socket, frame)

    def filled(self, payload: bytes) -> bytes:
        """With the ids that there are in place of @p0, @t1, @s0 and the like."""
        found = self.world.hub.world
        for letter, ids in ((b"p", found.panes), (b"t", found.tabs), (b"s", found.sessions)):
            for number, one in enumerate(list(ids)[:4]):
                payload = payload.replace(b"@" + letter + b"%d" % number, one.encode())
        return payload

    def pane(self, number: int) -> PaneId | None:
        panes = list(self.world.hub.world.panes)
        return panes[number % len(panes)] if panes else None

    def do(self, what: int, which: int, rest: bytes) -> None:
        world = self.world
        number = rest[0] if rest else 0
        pane_id = self.pane(number)
        if what == SAY:
            self.send(which, encode_frame(CONTROL_CHANNEL, self.filled(rest)))
        elif what == FRAME:
            self.send(which, rest)
        elif what == KEYS and len(rest) > 2:
            self.send(which, encode_frame(number, rest[2:] * (1 + rest[1] * 16)))
        elif what == FLOOD and rest:
            for _ in range(number * 5):
                self.send(which, encode_frame(CONTROL_CHANNEL, self.filled(rest[1:])))
        elif what == OPEN:
            self.open(which)
        elif what == LEAVE:
            self.leave(which)
        elif what == WAIT:
            world.advance(number * number / 1000)
        elif what == DELIVER:
            world.run()
        elif what == PRINT and len(rest) > 2 and pane_id is not None:
            pty = world.machine.live(pane_id)
            if pty is not None and pty.lives:
                pty.print(rest[2:] * min(1 + rest[1] * 64, 1 + _MOST_PRINTED // len(rest)))
        elif what == KILL and pane_id is not None and world.sandbox_of(pane_id) in world.machine.agents:
            world.kill_agent(pane_id)
        elif what == CUT and pane_id is not None:
            world.cut_sandbox(pane_id)
        elif what == STALL and (socket := self.sockets[which]) is not None:
            socket.stalled = not socket.stalled
        elif what == DISK:
            world.fail_saves(failing=bool(number & 1))
        elif what == SCREENS:
            world.lose_screens()
        elif what == RESTART and world.store.failure is None:
            world.restart()
            self.sockets = [None, None, None]

    def check_bounds(self) -> None:
        found = self.world.hub.world
        need(
            len(found.panes) <= PANES and len(found.sessions) <= SESSIONS,
            "More panes or sessions than there may be.",
        )
        need(len(found.clients) <= KNOWN_CLIENTS + CONNECTIONS, "Clients are remembered without bound.")
        need(
            sum(not one.closing for one in found.connections.values()) <= CONNECTIONS, "Too many connections."
        )
        for connection in found.connections.values():
            need(connection.unsent <= CONNECTION_UNSENT_BYTES, "Unsent bytes have no bound.")
            need(connection.unanswered <= UNANSWERED_REQUESTS + 1, "Unanswered requests have no bound.")
            need(len(connection.message_times) <= CONTROL_MESSAGES + 1, "Times of messages have no bound.")
            need(
                len(connection.views) <= PANES and len(connection.not_found_at) <= 256, "Views have no bound."
            )
        for session in found.sessions.values():
            need(1 <= len(session.name) <= NAME_CHARS and session.name.isprintable(), "A name is none.")
        for client in found.clients.values():
            need(len(client.id) <= max(CLIENT_ID_CHARS, 40), "A client's id has no bound.")
            held = [one.streams[client.id] for one in found.panes.values() if client.id in one.streams]
            ahead = [stream.received - stream.taken for stream in held]
            need(
                all(0 <= bytes_ahead <= INPUT_PANE_BYTES for bytes_ahead in ahead),
                "A pane's input has no bound.",
            )
            need(sum(ahead) <= INPUT_CLIENT_BYTES, "A client's input has no bound.")
            need(all(len(stream.notices) <= DISCARD_NOTICES for stream in held), "Notices have no bound.")
        for pane in found.panes.values():
            need(
                MIN_COLS <= pane.cols <= MAX_COLS and MIN_ROWS <= pane.rows <= MAX_ROWS,
                "A size that no terminal has.",
            )
            need(len(pane.title) <= TITLE_CHARS and len(pane.cwd or "") <= CWD_CHARS, "A title has no bound.")
            need(pane.log.end - pane.log.start <= LOG_BYTES + _MOST_PRINTED, "A log has no bound.")
            need(
                len(pane.wishes) <= len(found.clients) and len(pane.typists) <= len(found.clients),
                "Wishes stay.",
            )

    def end(self) -> None:
        """The hostile ones leave, faults end, and the neighbour gets a terminal that takes its keys."""
        world, neighbour = self.world, self.neighbour
        for which in range(len(self.sockets)):
            self.leave(which)
        world.fail_saves(failing=False)
        world.advance(40.0)
        neighbour.connect()
        world.advance(40.0)
        need(neighbour.attached, f"The neighbour is not let in: {neighbour.code}.")
        neighbour.say("session_create", name="after", cols=80, rows=24)
        world.advance(10.0)
        after = [one.id for one in neighbour.model.sessions.values() if one.name == "after"]
        need(
            after or len(neighbour.model.sessions) >= SESSIONS or len(neighbour.panes) >= PANES,
            "No new session.",
        )
        for pane_id in neighbour.panes[-3:]:
            neighbour.type(pane_id, b"!")
        world.advance(40.0)
        for pane_id in neighbour.panes[-3:]:
            need(
                neighbour.model.connected[pane_id],
                f"A key does not wake a pane: {neighbour.model.panes[pane_id]}.",
            )
            need(world.live(pane_id).typed.endswith(b"!"), "A key did not arrive.")
        self.check_bounds()


def run(data: bytes) -> None:
    """The first byte of a piece says what is done, and by which of three connections."""
    hostile = Hostile()
    for piece in pieces(data)[:40]:
        hostile.do(piece[0] % 16, piece[0] // 16 % 3, piece[1:])
        hostile.check_bounds()
    hostile.world.run()
    hostile.end()


_CONNECT = {"type": "connect", "width": 1024, "height": 768, "clientId": "c", "flow": True}
_SAID: tuple[dict[str, object], ...] = (
    {
        "type": "client_update",
        "width": 1,
        "colors": {"foreground": "#ffffff", "background": "#000000", "cursor": "#010203"},
    },
    {"type": "session_create", "name": "more", "cols": 80, "rows": 24, "provider": "sim"},
    {"type": "session_rename", "sessionId": "@s0", "name": " x "},
    {"type": "session_sleep", "sessionId": "@s0", "force": True},
    {"type": "session_sleep", "sessionId": "@s0", "stop": True},
    {"type": "session_lease", "sessionId": "@s0", "seconds": 60, "reason": "build"},
    {"type": "session_lease", "sessionId": "@s0", "seconds": 0},
    {"type": "session_destroy", "sessionId": "@s0"},
    {"type": "tab_create", "sessionId": "@s0", "name": "x", "cols": 80, "rows": 24},
    {"type": "tab_rename", "tabId": "@t0", "name": "y"},
    {"type": "tab_switch", "tabId": "@t1"},
    {"type": "tab_close", "tabId": "@t0"},
    {"type": "pane_split", "paneId": "@p0", "orientation": "horizontal", "cols": 40, "rows": 24},
    {"type": "pane_split", "paneId": "@p1", "orientation": "vertical", "cols": 40, "rows": 12},
    {"type": "pane_resize", "paneId": "@p0", "cols": 2, "rows": 1000},
    {"type": "pane_focus", "paneId": "@p1"},
    {"type": "pane_focus", "direction": "left"},
    {"type": "pane_wake", "paneId": "@p0"},
    {"type": "pane_redraw", "paneId": "@p0", "lines": 5000},
    {"type": "layout_resize", "tabId": "@t0", "path": [], "ratios": [0.25, 0.75]},
    {"type": "layout_resize", "tabId": "@t0", "path": [1], "ratios": [1e-300, 1.0]},
    {"type": "layout_ack", "rev": 2**53},
    {"type": "output_ack", "paneId": "@p0", "position": 2**53},
    {"type": "input_discard", "paneId": "@p0"},
    {"type": "pane_close", "paneId": "@p1"},
    {"type": "ping", "time": 1.5},
)


def _piece(what: int, rest: bytes = b"", which: int = 0) -> bytes:
    return bytes((what + 16 * which,)) + rest


def _say(message: dict[str, object], which: int = 0) -> bytes:
    return _piece(SAY, json.dumps(message).encode(), which)


def seeds() -> Iterable[bytes]:
    split, wait, ack = _say(_SAID[12]), _piece(WAIT, b"\x40"), _say({"type": "layout_ack", "rev": 2**52})
    for message in _SAID:
        yield joined(
            split, wait, _say({**message, "ref": "r"}), _piece(KEYS, b"\0\0" + SECRET), wait, _say(message)
        )
    for connect in (
        _CONNECT,
        {**_CONNECT, "resume": {"@p0": 3}, "input": {"@p0": 0}, "attempt": 2},
        {**_CONNECT, "clientId": "neighbour", "attempt": 1},
        {
            **_CONNECT,
            "resume": {"@p0": 2**60, "nobody": -1},
            "width": 10**30,
            "colors": {"foreground": "red"},
        },
        {**_CONNECT, "clientId": "", "width": -5},
        {**_CONNECT, "clientId": "x" * 65},
    ):
        yield joined(
            _say(connect, 1),
            wait,
            _piece(PRINT, b"\0\xff" + SECRET * 20),
            _say(_SAID[18], 1),
            _say(connect, 1),
        )
    typed = _piece(KEYS, b"\0\xff" + SECRET * 8)
    yield joined(ack, *[typed] * 12)
    yield joined(ack, typed, _piece(KILL, b"\0"), typed, wait, _say(_SAID[23]), _piece(RESTART), typed, wait)
    yield joined(
        ack,
        _say(_SAID[3]),
        typed,
        wait,
        typed,
        _piece(CUT, b"\0"),
        _piece(DISK, b"\1"),
        split,
        wait,
        _piece(DISK, b"\0"),
    )
    yield joined(
        _piece(STALL),
        *[_piece(PRINT, b"\0\xff" + SECRET * 90)] * 5,
        wait,
        _piece(SCREENS),
        _say(_SAID[18]),
        _piece(STALL),
    )
    yield joined(
        _piece(PRINT, b"\0\0\x1b]2;" + SECRET + b"\n\xff\x07\x1b[c"),
        _piece(FLOOD, b"\xff" + json.dumps(_SAID[-1]).encode()),
    )
    yield joined(
        _piece(FLOOD, b"\x0e" + json.dumps(_SAID[1]).encode()),
        wait,
        _piece(FLOOD, b"\x10" + json.dumps(_SAID[12]).encode()),
    )
    yield joined(
        _piece(FRAME),
        _piece(FRAME, b"\xff"),
        _piece(FRAME, b"\x07x"),
        _piece(OPEN, which=1),
        _piece(FRAME, b"\0x", 1),
        _piece(LEAVE, which=1),
    )
    yield joined(_piece(SAY, b'{"type":"layout_resize","tabId":"@t0","path":' + b"[" * 3000))
    yield joined(
        _piece(SAY, b'{"type":"layout_ack","rev":' + b"9" * 5000 + b"}"),
        _piece(SAY, b'{"type":"ping","time":1e999}'),
    )


TARGET = Target(
    "hub",
    "clients' frames and messages, in sequences, into a whole hub",
    run,
    seeds,
    words=(
        b'"type":"',
        b'"paneId":"@p0"',
        b'"sessionId":"@s0"',
        b'"tabId":"@t0"',
        b'"ref":"r"',
        b"1e999",
        b"null",
        b"-1",
    ),
    examples=40,
)
