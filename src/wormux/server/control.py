"""What `wormux ls` and `wormux stop --all` do: through the server of a data directory, or without one.

With a server, they are a client of its WebSocket like any other. Without one, `ls` reads the store, and `stop` runs
the application itself, without listening, so that what sleep keeps is kept by the same rules.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from wormux.config import Config
from wormux.errors import SandboxError, SetupError
from wormux.hub.inputs import ClientGone, FrameReceived, FramesSent
from wormux.ids import Channel, SandboxId
from wormux.limits import OPEN_WITHIN_S, STOP_WITHIN_S
from wormux.protocol.agent_link import Refused, Stopped
from wormux.protocol.frames import CONTROL_CHANNEL, encode_frame
from wormux.records import Snapshot
from wormux.sandbox.port import Frozen, Lost, Provider, SandboxEvent
from wormux.server.app import STORE_FILE, USER, Application, Parts
from wormux.server.driver import Driver
from wormux.server.tokens import read_control_token
from wormux.store.lock import DataDirLock, RunningServer, running_server

ANSWER_WITHIN_S = 10.0
"""A server that has not answered by then is taken for stuck."""
ALL_STOP_WITHIN_S = OPEN_WITHIN_S + STOP_WITHIN_S + ANSWER_WITHIN_S
"""Sandboxes stop side by side; each may have to be found first."""


@dataclass(frozen=True)
class Listing:
    """All sessions with their tabs and panes, in the shape that `wormux ls --json` prints."""

    server: str | None
    """Its address; None if none runs."""
    sessions: list[dict[str, Any]]


@dataclass
class StopReport:
    stopped: int = 0
    """Sandboxes that were awake and sleep now."""
    failures: list[str] = field(default_factory=list)
    """A sentence for each that may go on running."""


def list_sessions(data_dir: Path, parts: Parts) -> Listing:
    """Raises `SetupError` and `StoreError`."""
    server = running_server(data_dir)
    if server is None:
        with _locked(data_dir):
            return Listing(None, _stored_sessions(_load(data_dir, parts)))
    if not _load(data_dir, parts).sessions:  # looking must not make the first one, as attaching does
        return Listing(server.address, [])
    return asyncio.run(_list_through(data_dir, server))


def stop_all(config: Config, parts: Parts) -> StopReport:
    """End the processes of every sandbox, busy or not. Raises `SetupError` and `StoreError`."""
    server = running_server(config.data_dir)
    if server is None:
        return asyncio.run(_stop_without_server(config, parts))
    if not _load(config.data_dir, parts).sessions:
        return StopReport()
    return asyncio.run(_stop_through(config.data_dir, server))


# --- A client, over a WebSocket or within this process -------------------------------------------------------


class _Client(Protocol):
    """One attached client, as far as it is needed here."""

    async def send(self, frame: bytes, /) -> None: ...

    async def recv(self, decode: bool | None = None) -> Any: ...


@asynccontextmanager
async def _connected(data_dir: Path, server: RunningServer) -> AsyncIterator[_Client]:
    """A client of the running server. Raises `SetupError`."""
    token = read_control_token(data_dir)
    if server.address is None or token is None:
        raise SetupError("The server of this data directory is starting or stopping. Try again in a moment.")
    try:
        async with connect(
            f"ws{server.address.removeprefix('http')}/ws",
            additional_headers={"Authorization": f"Bearer {token}"},
            compression=None,
            proxy=None,
            max_size=None,
            open_timeout=ANSWER_WITHIN_S,
            close_timeout=ANSWER_WITHIN_S,
        ) as client:
            yield client
    except (OSError, WebSocketException) as error:
        why = str(error) or type(error).__name__
        raise SetupError(f"The server at {server} does not answer: {why}.") from error


class _InProcess:
    """A client that is attached to a driver of this process: both ends of a connection."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._frames: asyncio.Queue[tuple[bytes, bool] | None] = asyncio.Queue()
        self._connection_id = driver.connect(_Queued(self._frames))

    async def send(self, frame: bytes, /) -> None:
        self._driver.dispatch(FrameReceived(self._connection_id, frame))

    async def recv(self, decode: bool | None = None) -> bytes:
        taken = await self._frames.get()
        if taken is None:
            raise SetupError("Stopping was itself stopped. Try again.")
        frame, urgent = taken
        if not urgent:
            self._driver.dispatch(FramesSent(self._connection_id, len(frame)))
        return frame

    def gone(self) -> None:
        self._driver.dispatch(ClientGone(self._connection_id))


class _Queued:
    """The sending half of an in-process connection; what the hub sends is bounded by what was taken."""

    def __init__(self, frames: asyncio.Queue[tuple[bytes, bool] | None]) -> None:
        self._frames = frames

    def send(self, frame: bytes, *, urgent: bool) -> None:
        self._frames.put_nowait((frame, urgent))

    def drop(self, channel: Channel) -> None:
        """Nothing is dropped: all that waits is taken at once."""

    def close(self, code: int, reason: str) -> None:
        self._frames.put_nowait(None)


async def _request(client: _Client, message: Mapping[str, Any]) -> None:
    await client.send(encode_frame(CONTROL_CHANNEL, json.dumps(message).encode()))


async def _attach(client: _Client) -> dict[str, Any]:
    """Attach, which wakes nothing; returns the `state`. Raises `SetupError`."""
    await _request(client, {"type": "connect", "width": 1024, "height": 768})
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            while (message := await _next_message(client))["type"] != "state":
                pass
    except TimeoutError:
        raise SetupError("The server does not answer. Look into its log.") from None
    return message


async def _next_message(client: _Client) -> dict[str, Any]:
    """The next control message; terminals' bytes are passed over."""
    while True:
        frame = await client.recv(decode=False)
        if frame[0] == CONTROL_CHANNEL:
            message: dict[str, Any] = json.loads(frame[1:])
            return message


# --- wormux ls -----------------------------------------------------------------------------------------------


async def _list_through(data_dir: Path, server: RunningServer) -> Listing:
    async with _connected(data_dir, server) as client:
        state = await _attach(client)
    tabs: dict[str, list[dict[str, Any]]] = {}
    for tab in state["tabs"]:
        panes = [{"id": pane, **state["panes"][pane]} for pane in _leaves(tab["layout"])]
        tabs.setdefault(tab["sessionId"], []).append({"id": tab["id"], "name": tab["name"], "panes": panes})
    sessions = [{**session, "tabs": tabs.get(session["id"], [])} for session in state["sessions"]]
    return Listing(server.address, sessions)


def _leaves(layout: dict[str, Any]) -> Iterator[str]:
    if layout["type"] == "pane":
        yield layout["paneId"]
    for child in layout.get("children", ()):
        yield from _leaves(child)


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


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """No server starts meanwhile."""
    _check_exists(data_dir)
    lock = DataDirLock(data_dir)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _check_exists(data_dir: Path) -> None:
    if not data_dir.is_dir():
        raise SetupError(f"There is no Wormux data directory {data_dir}.")


def _load(data_dir: Path, parts: Parts) -> Snapshot:
    """Empty where nothing was ever stored; looking makes no file."""
    if not (data_dir / STORE_FILE).exists():
        return Snapshot()
    store = parts.store(data_dir)
    try:
        return store.load(USER)
    finally:
        store.close()


# --- wormux stop --all ---------------------------------------------------------------------------------------


async def _stop_through(data_dir: Path, server: RunningServer) -> StopReport:
    async with _connected(data_dir, server) as client:
        return await _sleep_all(client)


async def _stop_without_server(config: Config, parts: Parts) -> StopReport:
    _check_exists(config.data_dir)
    config = replace(config, token=secrets.token_urlsafe(24), sleep_mode="stop")
    application = Application(config, parts)
    async with application.lifespan(listening=False):
        known = {session.sandbox_id for session in _load(config.data_dir, parts).sessions}
        report = StopReport()
        if known:
            client = _InProcess(application.running().driver)
            try:
                report = await _sleep_all(client)
            finally:
                client.gone()
        for provider in parts.providers(config).values():
            await _sleep_strays(provider, known, report)
        return report


async def _sleep_all(client: _Client) -> StopReport:
    """Ask every session to stop as soon as it can be asked, and wait for all. One that is asleep may be frozen."""
    report = StopReport()
    asked: set[str] = set()
    ran: set[str] = set()
    done: set[str] = set()
    names: dict[str, str] = {}

    def end(session_id: str, failure: str | None = None) -> None:
        if session_id in done:
            return
        done.add(session_id)
        if failure is not None:
            report.failures.append(f"{names[session_id]}: {failure}")
        elif session_id in ran:
            report.stopped += 1

    message = await _attach(client)
    try:
        async with asyncio.timeout(ALL_STOP_WITHIN_S):
            while True:
                for session in message.get("sessions", ()):
                    session_id, status = session["id"], session["status"]
                    names[session_id] = session["name"]
                    if status == "awake" or session.get("frozen"):
                        ran.add(session_id)
                    if status == "failed":
                        end(session_id, "Its sandbox is out of reach.")
                    elif status in ("awake", "asleep") and session_id not in asked:
                        asked.add(session_id)
                        sleep = {
                            "type": "session_sleep",
                            "sessionId": session_id,
                            "force": True,
                            "stop": True,
                        }
                        await _request(client, {**sleep, "ref": session_id})
                if message["type"] == "error" and message.get("ref") in asked:
                    end(message["ref"], message["message"])
                elif message["type"] == "ok" and message.get("ref") in asked:
                    end(message["ref"])
                if done >= names.keys():
                    return report
                message = await _next_message(client)
    except TimeoutError:
        for session_id in names:
            end(session_id, "It did not stop in time.")
        return report


async def _sleep_strays(provider: Provider, known: set[SandboxId], report: StopReport) -> None:
    """Put to sleep what the store does not know: it was moved away, and its sandboxes were not."""
    try:
        for sandbox_id in await provider.list():
            if sandbox_id not in known:
                try:
                    report.stopped += await _sleep_stray(provider, sandbox_id)
                except SandboxError as error:
                    report.failures.append(f"{sandbox_id}: {error}")
    finally:
        await provider.aclose()


async def _sleep_stray(provider: Provider, sandbox_id: SandboxId) -> bool:
    """Whether it was awake. Raises `SandboxError` if it still is."""
    outcome: asyncio.Future[SandboxEvent] = asyncio.get_running_loop().create_future()

    def deliver(event: SandboxEvent) -> None:
        if isinstance(event, Stopped | Frozen | Refused | Lost) and not outcome.done():
            outcome.set_result(event)

    sandbox = await provider.find(sandbox_id, deliver)
    if sandbox is None or isinstance(sandbox, Frozen):
        return False
    sandbox.sleep(force=True)
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            event = await outcome
    except TimeoutError:
        raise SandboxError("It did not stop in time.") from None
    finally:
        sandbox.detach()
    if isinstance(event, Refused) or (isinstance(event, Lost) and not event.dead):
        raise SandboxError(event.reason)
    return True
