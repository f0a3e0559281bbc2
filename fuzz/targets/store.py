"""The store's file, damaged: cut off, overwritten, with rows that contradict each other.

It is opened, or refused with a sentence and left as it was. What is opened makes a hub that starts and keeps the
protocol towards a client.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

from fuzz.kit import SECRET, Target, joined, need, pieces, scratch
from wormux.errors import StoreError, StoreRefused
from wormux.hub import effects as e
from wormux.hub import inputs as i
from wormux.hub.hub import Hub
from wormux.hub.settings import HubSettings
from wormux.ids import Channel, ClientId, ConnectionId, PaneId, SandboxId, SessionId, TabId, UserId
from wormux.protocol.frames import CONTROL_CHANNEL, encode_frame
from wormux.protocol.messages import AnyServerMessage, LayoutUpdate, State
from wormux.records import (
    Change,
    Checkpoint,
    ClientRecord,
    InputPosition,
    Intent,
    Meta,
    PaneRecord,
    Rest,
    SessionRecord,
    TabRecord,
)
from wormux.store.sqlite import SqliteStore
from wormux.testing.model import Model

ROW, BYTES, CUT, LOG, FILE = range(5)
_USER = UserId("owner")
_SETTINGS = HubSettings(
    idle_timeout_s=600.0,
    shell=(),
    default_provider="one",
    providers=frozenset({"one"}),
    exit_behavior="close",
)
_SESSION, _TAB, _OTHER_TAB = SessionId("s"), TabId("t"), TabId("u")
_PANES = tuple(PaneId(name) for name in ("p", "q", "r"))
_COLUMNS = (
    "users.rev_mark", "users.free_channels", "users.last_tab", "sessions.sandbox_id", "sessions.name",
    "sessions.created_at_ms", "sessions.provider", "sessions.intent", "sessions.order", "sessions.lease_until_ms",
    "sessions.lease_reason", "tabs.name", "tabs.order", "tabs.layout", "tabs.focus", "panes.channel",
    "panes.channel_rev", "panes.cols", "panes.rows", "panes.generation", "panes.position_mark", "panes.rest",
    "panes.reason", "panes.exit_code", "panes.exit_signal", "panes.closed_at_ms", "panes.title", "panes.cwd",
    "clients.key", "clients.left_at_ms", "clients.active_tab", "inputs.position", "checkpoints.start",
    "checkpoints.log", "checkpoints.sizes", "checkpoints.screen", "checkpoints.cols", "checkpoints.rows",
    "secrets.value", "panes.id", "tabs.id", "sessions.id", "clients.id", "panes.tab_id", "tabs.session_id",
)  # fmt: skip
_decoder: msgspec.json.Decoder[AnyServerMessage] = msgspec.json.Decoder(AnyServerMessage)


@cache
def _sound() -> bytes:
    """The file of a store with something in every table."""
    split = {
        "type": "split", "orientation": "horizontal", "ratios": [0.5, 0.5],
        "children": [{"type": "pane", "paneId": "p"}, {"type": "pane", "paneId": "q"}],
    }  # fmt: skip
    leaf = {"type": "pane", "paneId": "r"}
    change = Change(
        insert_sessions=(SessionRecord(_SESSION, SandboxId("b"), "main", 1, "one", Intent.AWAKE, 0),),
        insert_tabs=(
            TabRecord(_TAB, _SESSION, "one", 0, json.dumps(split).encode(), _PANES[0]),
            TabRecord(_OTHER_TAB, _SESSION, "two", 1, json.dumps(leaf).encode(), _PANES[2]),
        ),
        insert_panes=(
            PaneRecord(_PANES[0], _TAB, Channel(0), 0, 80, 24, 1, 1 << 26, title="a", cwd="/tmp"),
            PaneRecord(
                _PANES[1], _TAB, Channel(1), 0, 80, 24, 2, 1 << 26, Rest.EXITED, "x", 1, closed_at_ms=5
            ),
            PaneRecord(_PANES[2], _OTHER_TAB, Channel(3), 9, 80, 24, 1, 1 << 26, Rest.ASLEEP),
        ),
        put_clients=(ClientRecord(ClientId("c"), "key", 0, _TAB), ClientRecord(ClientId("d"), "yek", 5)),
        put_inputs=(InputPosition(ClientId("c"), _PANES[0], 3),),
        put_checkpoints=(
            Checkpoint(_PANES[0], 4, SECRET * 9, ((4, 80, 24), (20, 90, 24)), b"state", 90, 24),
        ),
        meta=Meta(100, (Channel(2),), _TAB),
    )
    with scratch() as place:
        path = place / "wormux.db"
        store = SqliteStore(path)
        store.apply(_USER, change)
        store.put_secret("logins", b"{}")
        store.close()
        return path.read_bytes()


def _value(text: bytes) -> object:
    """A number, a text, a blob or nothing, by its first byte."""
    kind, rest = text[:1], text[1:]
    if kind == b"i":
        digits = rest.lstrip(b"-")[:19]
        return (
            max(-(2**63), min(2**63 - 1, int(digits or b"0") * (-1 if rest[:1] == b"-" else 1)))
            if digits.isdigit()
            else 0
        )
    if kind == b"t":
        return rest.decode("utf-8", "replace")
    return None if kind == b"n" else rest


def _damage(path: Path, piece: bytes) -> None:
    what, rest = piece[0] % 5, piece[1:]
    size = path.stat().st_size
    at = int.from_bytes(rest[:3], "big") % (size + 1)
    if what == ROW and rest:
        table, _, column = _COLUMNS[rest[0] % len(_COLUMNS)].partition(".")
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as db:
            db.execute(f'UPDATE {table} SET "{column}" = ?', (_value(rest[1:]),))
            db.commit()
    elif what == BYTES:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(rest[3:])
    elif what == CUT:
        with path.open("r+b") as file:
            file.truncate(at)
    elif what == LOG:
        path.with_name("wormux.db-wal").write_bytes(rest)
    elif what == FILE:
        path.write_bytes(rest)


def _use(path: Path) -> None:
    before = path.read_bytes()
    try:
        store = SqliteStore(path, busy_timeout_s=0.1)
    except StoreRefused as error:
        need(SECRET.decode() not in str(error), "A sentence quotes what is in the store.")
        need(path.read_bytes() == before, "A store that was refused was changed.")
        return
    try:
        with contextlib.suppress(StoreError):
            store.get_secret("logins")
        try:
            snapshot = store.load(_USER)
            hub = Hub(_SETTINGS, snapshot)
            effects = hub.start(_moment(0))
        except StoreError as error:
            need(SECRET.decode() not in str(error), "A sentence quotes what is in the store.")
            return
        _serve(hub, effects, store)
    finally:
        store.close()


def _moment(at_s: float) -> i.Moment:
    return i.Moment(
        1000 + at_s, 1_700_000_000_000 + round(1000 * at_s), 0, int(at_s * 1000) * 0x9E3779B97F4A7C15 % 2**64
    )


def _serve(hub: Hub, effects: list[e.Effect], store: SqliteStore) -> None:
    """Two clients come, one that was known; time passes; sandboxes are not found."""
    model, waiting, now_s = Model(), list[i.Input](), 0.0
    connect = {
        "type": "connect",
        "width": 800,
        "height": 600,
        "clientId": "c",
        "resume": {"p": 4},
        "input": {"p": 3},
    }
    waiting += [
        i.ClientConnected(ConnectionId(1)),
        i.FrameReceived(ConnectionId(1), encode_frame(CONTROL_CHANNEL, json.dumps(connect).encode())),
        *(i.FrameReceived(ConnectionId(1), encode_frame(channel, b"x")) for channel in range(4)),
        *(i.TimerFired() for _ in range(3)),
        i.ServerStopping(),
    ]
    for _ in range(60):
        for effect in effects:
            if isinstance(effect, e.Save):
                try:
                    store.apply(_USER, effect.change)
                except StoreError:
                    waiting.append(i.SaveFailed(effect.save_id))
                else:
                    waiting.insert(0, i.Saved(effect.save_id))
            elif isinstance(effect, e.FindSandbox | e.WakeSandbox):
                waiting.insert(0, i.SandboxInput(effect.sandbox_id, i.SandboxMissing()))
            elif isinstance(effect, e.SendFrame) and effect.frame[0] == CONTROL_CHANNEL:
                message = _decoder.decode(effect.frame[1:])
                if isinstance(message, State | LayoutUpdate):
                    model.apply(message)
        if not waiting:
            break
        now_s += 1.0
        effects = hub.step(_moment(now_s), waiting.pop(0))


def run(data: bytes) -> None:
    """The first byte of a piece says how the file is damaged; then it is opened and used."""
    with scratch() as place:
        path = place / "wormux.db"
        path.write_bytes(_sound())
        for piece in pieces(data)[:8]:
            _damage(path, piece)
        _use(path)


_ODD: tuple[bytes, ...] = (
    b"i-1",
    b"i0",
    b"i255",
    b"i1001",
    b"i9223372036854775807",
    b"t",
    b"tx",
    b"n",
    b"b\xff",
    b"t[]",
    b"t[[4,0,0]]",
)


def seeds() -> Iterable[bytes]:
    yield b"\0"
    for column in range(len(_COLUMNS)):
        for odd in _ODD[column % 4 :: 4]:
            yield b"\0" + bytes((column,)) + odd
    layouts = (
        {"type": "pane", "paneId": "p"},
        {"type": "split", "orientation": "vertical", "children": [], "ratios": []},
        {
            "type": "split",
            "orientation": "vertical",
            "children": [{"type": "pane", "paneId": "p"}] * 2,
            "ratios": [1],
        },
    )
    for layout in layouts:
        yield b"\0" + bytes((_COLUMNS.index("tabs.layout"),)) + b"b" + json.dumps(layout).encode()
    yield b"\0" + bytes((_COLUMNS.index("tabs.layout"),)) + b"b" + b'{"type":"split","children":[' * 2000
    yield b"\0" + bytes((_COLUMNS.index("users.free_channels"),)) + b"t" + b"[" * 2000
    for free in (b"[0]", b"[2,2]", b"[-1]", b"[255]", b'["x"]', b"{}"):
        yield b"\0" + bytes((_COLUMNS.index("users.free_channels"),)) + b"t" + free
    for at in range(0, len(_sound()), 3 * 4096):
        yield joined(
            b"\1" + at.to_bytes(3, "big") + b"\xff\xff\0\x01\x02",
            b"\1" + (at + 100).to_bytes(3, "big") + bytes(90),
        )
        yield b"\2" + at.to_bytes(3, "big")
    yield joined(b"\3" + bytes(100), b"\0")
    yield b"\3\x37\x7f\x06\x82" + bytes(4096)
    yield b"\4SQLite format 3\0" + bytes(200)
    yield b"\4"


TARGET = Target(
    "store",
    "the store's file and rows, damaged",
    run,
    seeds,
    words=tuple(column.partition(".")[2].encode() for column in _COLUMNS[:12]),
    examples=60,
)
