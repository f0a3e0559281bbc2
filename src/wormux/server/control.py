"""What `wormux ls` and `wormux stop --all` do: through the server of a data directory, or without one.

With a server, they are a client of its WebSocket like any other. Without one, they take the data directory's lock
themselves, so that no server starts meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from wormux.errors import SandboxError, SetupError
from wormux.ids import SandboxId
from wormux.limits import STOP_WITHIN_S
from wormux.protocol.agent_link import Refused, Stopped
from wormux.protocol.frames import CONTROL_CHANNEL, encode_frame
from wormux.records import Change, Intent, Rest, SessionRecord, Snapshot
from wormux.sandbox.port import Lost, Provider, SandboxEvent
from wormux.server.app import STORE_FILE, USER, Parts
from wormux.server.tokens import read_control_token
from wormux.store.lock import DataDirLock, RunningServer, running_server
from wormux.store.port import Store

ANSWER_WITHIN_S = 10.0
"""A server that has not answered by then is taken for stuck."""


@dataclass(frozen=True)
class Listing:
    """All sessions with their tabs and panes, in the shape that `wormux ls --json` prints."""

    server: str | None
    """Its address; None if none runs."""
    sessions: list[dict[str, Any]]


@dataclass(frozen=True)
class StopReport:
    stopped: int
    """Sandboxes that were awake and sleep now."""
    failures: list[str]
    """A sentence for each that goes on running."""


# --- With or without a server --------------------------------------------------------------------------------


def list_sessions(data_dir: Path, parts: Parts) -> Listing:
    """Raises `SetupError` and `StoreError`."""
    server = running_server(data_dir)
    if server is None:
        with _locked(data_dir):
            return Listing(None, _stored_sessions(_load(data_dir, parts)))
    if not _load(data_dir, parts).sessions:  # looking must not make the first one, as attaching does
        return Listing(server.address, [])
    with _connected(data_dir, server) as connection:
        return Listing(server.address, _served_sessions(_state(connection)))


def stop_all(data_dir: Path, parts: Parts) -> StopReport:
    """Put every sandbox to sleep, busy or not. Raises `SetupError` and `StoreError`."""
    server = running_server(data_dir)
    if server is None:
        with _locked(data_dir):
            return asyncio.run(_stop_without_server(data_dir, parts))
    if not _load(data_dir, parts).sessions:
        return StopReport(0, [])
    with _connected(data_dir, server) as connection:
        return _stop_through_server(connection)


# --- Through the server --------------------------------------------------------------------------------------


@contextmanager
def _connected(data_dir: Path, server: RunningServer) -> Iterator[ClientConnection]:
    token = read_control_token(data_dir)
    if server.address is None or token is None:
        raise SetupError("The server of this data directory is starting or stopping. Try again in a moment.")
    headers = {"Authorization": f"Bearer {token}"}
    address = f"ws{server.address.removeprefix('http')}/ws"
    try:
        with connect(
            address,
            additional_headers=headers,
            compression=None,
            proxy=None,
            max_size=None,
            open_timeout=ANSWER_WITHIN_S,
        ) as connection:
            yield connection
    except (OSError, WebSocketException) as error:
        raise SetupError(
            f"The server at {server} does not answer: {str(error) or type(error).__name__}."
        ) from error


def _send(connection: ClientConnection, message: Mapping[str, Any]) -> None:
    connection.send(encode_frame(CONTROL_CHANNEL, json.dumps(message).encode()))


def _messages(connection: ClientConnection, within_s: float) -> Iterator[dict[str, Any]]:
    """Control messages as they come; terminals' bytes are passed over. Ends when the time is over."""
    deadline_s = time.monotonic() + within_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        try:
            frame = connection.recv(timeout=left_s, decode=False)
        except TimeoutError:
            return
        if frame[0] == CONTROL_CHANNEL:
            yield json.loads(frame[1:])


def _state(connection: ClientConnection) -> dict[str, Any]:
    _send(connection, {"type": "connect", "width": 800, "height": 600})
    for message in _messages(connection, ANSWER_WITHIN_S):
        if message["type"] == "state":
            return message
    raise SetupError("The server does not answer. Look into its log.")


def _served_sessions(state: dict[str, Any]) -> list[dict[str, Any]]:
    tabs: dict[str, list[dict[str, Any]]] = {}
    for tab in state["tabs"]:
        panes = [{"id": pane, **state["panes"][pane]} for pane in _leaves(tab["layout"])]
        tabs.setdefault(tab["sessionId"], []).append({"id": tab["id"], "name": tab["name"], "panes": panes})
    return [{**session, "tabs": tabs.get(session["id"], [])} for session in state["sessions"]]


def _leaves(layout: dict[str, Any]) -> Iterator[str]:
    if layout["type"] == "pane":
        yield layout["paneId"]
    for child in layout.get("children", ()):
        yield from _leaves(child)


def _stop_through_server(connection: ClientConnection) -> StopReport:
    names = {session["id"]: session["name"] for session in _awake(_state(connection))}
    for session_id in names:
        _send(
            connection, {"type": "session_sleep", "sessionId": session_id, "force": True, "ref": session_id}
        )
    waiting, failures = set(names), []
    for message in _messages(connection, STOP_WITHIN_S + ANSWER_WITHIN_S) if names else ():
        if message["type"] == "error" and message.get("ref") in waiting:
            waiting.remove(message["ref"])
            failures.append(f"{names[message['ref']]}: {message['message']}")
        if "sessions" in message:
            waiting &= {session["id"] for session in _awake(message)}
        if not waiting:
            break
    failures += [f"{names[session_id]}: it did not stop in time." for session_id in sorted(waiting)]
    return StopReport(len(names) - len(failures), failures)


def _awake(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [session for session in message["sessions"] if session["status"] != "asleep"]


# --- Without a server ----------------------------------------------------------------------------------------


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    if not data_dir.is_dir():
        raise SetupError(f"There is no Wormux data directory {data_dir}.")
    lock = DataDirLock(data_dir)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _opened_store(data_dir: Path, parts: Parts) -> Iterator[Store | None]:
    """None where nothing was ever stored; looking makes no file."""
    if not (data_dir / STORE_FILE).exists():
        yield None
        return
    store = parts.store(data_dir)
    try:
        yield store
    finally:
        store.close()


def _load(data_dir: Path, parts: Parts) -> Snapshot:
    with _opened_store(data_dir, parts) as store:
        return store.load(USER) if store is not None else Snapshot()


def _stored_sessions(snapshot: Snapshot) -> list[dict[str, Any]]:
    panes: dict[str, list[dict[str, Any]]] = {}
    for pane in snapshot.panes:
        shown = {"id": pane.id, "status": str(pane.rest), "cols": pane.cols, "rows": pane.rows}
        shown |= {"title": pane.title} | ({"cwd": pane.cwd} if pane.cwd else {})
        panes.setdefault(pane.tab_id, []).append(shown)
    tabs: dict[str, list[dict[str, Any]]] = {}
    for tab in sorted(snapshot.tabs, key=lambda tab: tab.order):
        shown = {"id": tab.id, "name": tab.name, "panes": panes.get(tab.id, [])}
        tabs.setdefault(tab.session_id, []).append(shown)
    return [
        {
            "id": session.id,
            "sandboxId": session.sandbox_id,
            "name": session.name,
            "createdAt": session.created_at_ms,
            "provider": session.provider,
            "status": str(session.intent),
            "tabs": tabs.get(session.id, []),
        }
        for session in sorted(snapshot.sessions, key=lambda session: session.order)
    ]


async def _stop_without_server(data_dir: Path, parts: Parts) -> StopReport:
    with _opened_store(data_dir, parts) as store:
        snapshot = store.load(USER) if store is not None else Snapshot()
        known = {session.sandbox_id: session for session in snapshot.sessions}
        stopped, failures = 0, []
        asleep: list[SessionRecord] = []
        providers = parts.providers(data_dir)
        try:
            for provider in providers.values():
                for sandbox_id in await provider.list():
                    session = known.get(sandbox_id)
                    try:
                        stopped += await _sleep(provider, sandbox_id)
                    except SandboxError as error:
                        failures.append(f"{session.name if session else sandbox_id}: {error}")
                    else:
                        asleep += [session] if session is not None else []
        finally:
            for provider in providers.values():
                await provider.aclose()
        if store is not None:
            store.apply(USER, _slept(snapshot, asleep))
        return StopReport(stopped, failures)


async def _sleep(provider: Provider, sandbox_id: SandboxId) -> bool:
    """Whether it was awake. Raises `SandboxError` if it still is."""
    outcome: asyncio.Future[SandboxEvent] = asyncio.get_running_loop().create_future()

    def deliver(event: SandboxEvent) -> None:
        if isinstance(event, Stopped | Refused | Lost) and not outcome.done():
            outcome.set_result(event)

    sandbox = await provider.find(sandbox_id, deliver)
    if sandbox is None:
        return False
    sandbox.sleep(force=True)
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            event = await outcome
    except TimeoutError:
        raise SandboxError("it did not stop in time.") from None
    finally:
        sandbox.detach()
    if isinstance(event, Refused) or (isinstance(event, Lost) and not event.dead):
        raise SandboxError(event.reason)
    return True


def _slept(snapshot: Snapshot, sessions: list[SessionRecord]) -> Change:
    """What the store must say of sessions whose sandboxes sleep; what was being destroyed still is."""
    now_ms = time.time_ns() // 1_000_000
    awake = [session for session in sessions if session.intent in (Intent.AWAKE, Intent.CREATING)]
    ids = {session.id for session in awake}
    tabs = {tab.id for tab in snapshot.tabs if tab.session_id in ids}
    return Change(
        update_sessions=tuple(replace(session, intent=Intent.ASLEEP) for session in awake),
        update_panes=tuple(
            replace(pane, rest=Rest.ASLEEP, closed_at_ms=now_ms)
            for pane in snapshot.panes
            if pane.tab_id in tabs and pane.rest is Rest.LIVE
        ),
    )
