"""How the server of a data directory is, asked over HTTP as any monitor would; what is stored, where none runs."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from shutil import disk_usage
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from prometheus_client.parser import text_string_to_metric_families

from wormux.errors import SetupError
from wormux.limits import FREE_DISK_BYTES, MIB
from wormux.server.app import STORE_FILE, Parts
from wormux.server.control import ANSWER_WITHIN_S, list_sessions
from wormux.server.metrics import BUILD_INFO
from wormux.server.readings import store_size
from wormux.server.tokens import read_control_token
from wormux.store.lock import RunningServer, running_server


@dataclass(frozen=True)
class ServerStatus:
    """Of a server that runs."""

    address: str
    pid: int | None
    version: str
    uptime_s: float | None
    """None where the system does not say when processes started."""
    ready: bool
    health: str
    """As `/healthz` says it."""
    connections: int


@dataclass(frozen=True)
class Status:
    """In the shape that `wormux status --json` prints."""

    server: ServerStatus | None
    sessions: dict[str, int]
    """By state."""
    panes: dict[str, int]
    """By status."""
    store_bytes: int
    warnings: list[str] = field(default_factory=list)


def look(data_dir: Path, parts: Parts) -> Status:
    """Raises `SetupError` and `StoreError`."""
    server = running_server(data_dir)
    status = _stored(data_dir, parts) if server is None else _asked(data_dir, server)
    free = disk_usage(data_dir).free
    if free < FREE_DISK_BYTES:
        status.warnings.append(f"Only {free // MIB} MiB are free where the data is kept.")
    return status


def _stored(data_dir: Path, parts: Parts) -> Status:
    sessions = list_sessions(data_dir, parts).sessions
    panes = [pane for session in sessions for tab in session["tabs"] for pane in tab["panes"]]
    return Status(
        server=None,
        sessions=dict(Counter(session["status"] for session in sessions)),
        panes=dict(Counter(pane["status"] for pane in panes)),
        store_bytes=store_size(data_dir / STORE_FILE),
    )


def _asked(data_dir: Path, server: RunningServer) -> Status:
    token = read_control_token(data_dir)
    if server.address is None or token is None:
        raise SetupError("The server of this data directory is starting or stopping. Try again in a moment.")
    try:
        code, health = _get(f"{server.address}/healthz")
        metrics_code, text = _get(f"{server.address}/metrics", token)
    except OSError as error:
        raise SetupError(f"The server at {server} does not answer: {error}.") from error
    if metrics_code != 200:
        raise SetupError(f"The server at {server} does not tell its metrics: it answers {metrics_code}.")
    told = _Told(text)
    started_s = told.one("process_start_time_seconds")
    lines = health.splitlines()
    warnings = [line for line in lines if line != "ok"] if code == 200 else lines
    return Status(
        server=ServerStatus(
            address=server.address,
            pid=server.pid,
            version=told.labels(BUILD_INFO).get("version", "unknown"),
            uptime_s=None if started_s is None else round(time.time() - started_s, 1),
            ready=code == 200,
            health=lines[0] if lines else "",
            connections=int(told.one("wormux_connections") or 0),
        ),
        sessions=told.by("wormux_sessions", "state"),
        panes=told.by("wormux_panes", "status"),
        store_bytes=int(told.one("wormux_store_bytes") or 0),
        warnings=[*warnings, *told.warnings()],
    )


_WARNED_OF = {
    "wormux_hub_failures_total": "failures that are bugs: look into the log for them",
    "wormux_saves_failed_total": "changes could not be stored at once",
    "wormux_screen_workers_died_total": "workers of screens died",
    "wormux_agents_lost_total": "agents ended without being asked to",
    "wormux_connections_behind": "clients do not keep up with their output",
}


class _Told:
    """The metrics of a server."""

    def __init__(self, text: str) -> None:
        families = text_string_to_metric_families(text)
        self._samples = [sample for family in families for sample in family.samples]

    def one(self, name: str) -> float | None:
        return next((sample.value for sample in self._samples if sample.name == name), None)

    def labels(self, name: str) -> dict[str, str]:
        return next((sample.labels for sample in self._samples if sample.name == name), {})

    def by(self, name: str, label: str) -> dict[str, int]:
        """Those that are not zero."""
        return {
            sample.labels[label]: int(sample.value)
            for sample in self._samples
            if sample.name == name and sample.value
        }

    def warnings(self) -> list[str]:
        return [
            f"{int(number)} {text}."
            for name, text in _WARNED_OF.items()
            if (number := self.one(name) or 0) > 0
        ]


def _get(url: str, token: str | None = None) -> tuple[int, str]:
    """Status and text, also of an error; by no proxy. Raises `OSError`."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with build_opener(ProxyHandler({})).open(
            Request(url, headers=headers), timeout=ANSWER_WITHIN_S
        ) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")
