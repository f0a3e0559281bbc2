"""The store that forgets: for tests, and for trying out Wormux without a trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from wormux.errors import StoreError
from wormux.ids import ClientId, PaneId, SessionId, TabId, UserId
from wormux.records import (
    Change,
    Checkpoint,
    ClientRecord,
    InputPosition,
    Meta,
    PaneRecord,
    SessionRecord,
    Snapshot,
    TabRecord,
)
from wormux.store.port import Store


class MemoryStore(Store):
    """Does what `SqliteStore` does, in dictionaries."""

    def __init__(self) -> None:
        self.failure: StoreError | None = None
        """Raised by every operation while it is set: a test's full disk."""
        self._users: dict[UserId, _User] = {}
        self._secrets: dict[str, bytes] = {}

    def load(self, user_id: UserId) -> Snapshot:
        self._check()
        user = self._users.get(user_id)
        return user.snapshot() if user is not None else Snapshot()

    def apply(self, user_id: UserId, change: Change) -> None:
        self._check()
        user = self._users.get(user_id, _User()).copy()
        user.apply(change)
        self._users[user_id] = user

    def get_secret(self, name: str) -> bytes | None:
        self._check()
        return self._secrets.get(name)

    def put_secret(self, name: str, value: bytes | None) -> None:
        self._check()
        if value is None:
            self._secrets.pop(name, None)
        else:
            self._secrets[name] = value

    def close(self) -> None:
        self.failure = StoreError("The store is closed.")

    def _check(self) -> None:
        if self.failure is not None:
            raise StoreError(str(self.failure))


_K = TypeVar("_K")
_R = TypeVar("_R")


@dataclass
class _User:
    sessions: dict[SessionId, SessionRecord] = field(default_factory=dict)
    tabs: dict[TabId, TabRecord] = field(default_factory=dict)
    panes: dict[PaneId, PaneRecord] = field(default_factory=dict)
    clients: dict[ClientId, ClientRecord] = field(default_factory=dict)
    inputs: dict[tuple[PaneId, ClientId], InputPosition] = field(default_factory=dict)
    checkpoints: dict[PaneId, Checkpoint] = field(default_factory=dict)
    meta: Meta = field(default_factory=lambda: Snapshot().meta)

    def copy(self) -> _User:
        return _User(
            dict(self.sessions),
            dict(self.tabs),
            dict(self.panes),
            dict(self.clients),
            dict(self.inputs),
            dict(self.checkpoints),
            self.meta,
        )

    def snapshot(self) -> Snapshot:
        return Snapshot(
            sessions=tuple(sorted(self.sessions.values(), key=lambda record: (record.order, record.id))),
            tabs=tuple(sorted(self.tabs.values(), key=lambda record: (record.order, record.id))),
            panes=tuple(sorted(self.panes.values(), key=lambda record: (record.channel, record.id))),
            clients=_by_key(self.clients),
            inputs=_by_key(self.inputs),
            checkpoints=_by_key(self.checkpoints),
            meta=self.meta,
        )

    def apply(self, change: Change) -> None:
        for session in change.insert_sessions:
            _insert(self.sessions, session.id, session)
        for tab in change.insert_tabs:
            _require(self.sessions, tab.session_id)
            _insert(self.tabs, tab.id, tab)
        for pane in change.insert_panes:
            _require(self.tabs, pane.tab_id)
            _insert(self.panes, pane.id, pane)
        for session in change.update_sessions:
            if session.id in self.sessions:
                self.sessions[session.id] = session
        for tab in change.update_tabs:
            if tab.id in self.tabs:
                _require(self.sessions, tab.session_id)
                self.tabs[tab.id] = tab
        for pane in change.update_panes:
            if pane.id in self.panes:
                _require(self.tabs, pane.tab_id)
                self.panes[pane.id] = pane
        self._delete_panes(change.delete_panes)
        self._delete_tabs(change.delete_tabs)
        self._delete_sessions(change.delete_sessions)
        for client in change.put_clients:
            self.clients[client.id] = client
        for client_id in change.delete_clients:
            self.clients.pop(client_id, None)
            self.inputs = {key: value for key, value in self.inputs.items() if key[1] != client_id}
        for input_position in change.put_inputs:
            if input_position.pane_id in self.panes and input_position.client_id in self.clients:
                self.inputs[input_position.pane_id, input_position.client_id] = input_position
        for checkpoint in change.put_checkpoints:
            if checkpoint.pane_id in self.panes:
                self.checkpoints[checkpoint.pane_id] = checkpoint
        if change.meta is not None:
            self.meta = change.meta

    def _delete_panes(self, ids: Iterable[PaneId]) -> None:
        for pane_id in ids:
            self.panes.pop(pane_id, None)
            self.checkpoints.pop(pane_id, None)
            self.inputs = {key: value for key, value in self.inputs.items() if key[0] != pane_id}

    def _delete_tabs(self, ids: Iterable[TabId]) -> None:
        for tab_id in ids:
            self.tabs.pop(tab_id, None)
            self._delete_panes([pane.id for pane in self.panes.values() if pane.tab_id == tab_id])

    def _delete_sessions(self, ids: Iterable[SessionId]) -> None:
        for session_id in ids:
            self.sessions.pop(session_id, None)
            self._delete_tabs([tab.id for tab in self.tabs.values() if tab.session_id == session_id])


def _insert(records: dict[_K, _R], record_id: _K, record: _R) -> None:
    if record_id in records:
        raise StoreError("The change contradicts what is stored.")
    records[record_id] = record


def _require(records: Mapping[_K, _R], record_id: _K) -> None:
    if record_id not in records:
        raise StoreError("The change contradicts what is stored.")


def _by_key(records: dict[Any, _R]) -> tuple[_R, ...]:
    return tuple(records[key] for key in sorted(records))
