"""Both stores do the same, whatever is asked of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wormux.errors import StoreError
from wormux.ids import Channel, ClientId, PaneId, SandboxId, SessionId, TabId
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
    Snapshot,
    TabRecord,
)
from wormux.store.memory import MemoryStore
from wormux.store.port import Store
from wormux.store.sqlite import SqliteStore
from wormux.testing.store_conformance import USER, WHOLE, StoreConformance

_T = TypeVar("_T")


class TestMemoryStore(StoreConformance):
    def open_store(self) -> Store:
        return MemoryStore()

    def test_it_fails_as_told(self) -> None:
        store = MemoryStore()
        store.failure = StoreError("The disk is full.")
        with pytest.raises(StoreError, match=r"The disk is full\."):
            store.apply(USER, WHOLE)
        store.failure = None
        assert store.load(USER) == Snapshot()


class TestSqliteStore(StoreConformance):
    @pytest.fixture(autouse=True)
    def _open(self, tmp_path: Path) -> Iterator[None]:
        self.store = SqliteStore(tmp_path / "wormux.db")
        yield
        self.store.close()

    def open_store(self) -> Store:
        return self.store


def _some(strategy: st.SearchStrategy[_T]) -> st.SearchStrategy[tuple[_T, ...]]:
    return st.lists(strategy, max_size=3).map(tuple)


numbers = st.integers(min_value=0, max_value=2**63 - 1)
names = st.sampled_from("abc")  # few, so that changes meet
texts = st.text(max_size=20)
session_ids, tab_ids, pane_ids, client_ids = (
    names.map(SessionId), names.map(TabId), names.map(PaneId), names.map(ClientId),
)  # fmt: skip
sessions = st.builds(
    SessionRecord, session_ids, texts.map(SandboxId), texts, numbers, texts, st.sampled_from(Intent),
    numbers, numbers, texts,
)  # fmt: skip
tabs = st.builds(TabRecord, tab_ids, session_ids, texts, numbers, st.binary(max_size=50), texts.map(PaneId))
panes = st.builds(
    PaneRecord, pane_ids, tab_ids, st.integers(0, 254).map(Channel), numbers, numbers, numbers, numbers, numbers,
    st.sampled_from(Rest), texts, st.none() | st.integers(-255, 255), st.none() | texts, numbers, texts,
    st.none() | texts,
)  # fmt: skip
clients = st.builds(ClientRecord, client_ids, texts, numbers, st.none() | tab_ids)
inputs = st.builds(InputPosition, client_ids, pane_ids, numbers)
checkpoints = st.builds(
    Checkpoint, pane_ids, numbers, st.binary(max_size=200), _some(st.tuples(numbers, numbers, numbers))
)
metas = st.builds(Meta, numbers, _some(st.integers(0, 254).map(Channel)), st.none() | tab_ids)
changes = st.builds(
    Change, _some(sessions), _some(tabs), _some(panes), _some(sessions), _some(tabs), _some(panes),
    _some(pane_ids), _some(tab_ids), _some(session_ids), _some(clients), _some(client_ids), _some(inputs),
    _some(checkpoints), st.none() | metas,
)  # fmt: skip


@settings(deadline=None, max_examples=75)
@given(st.lists(changes, max_size=12))
def test_random_changes_leave_both_stores_equal(some_changes: list[Change]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "wormux.db")
        memory, sqlite = MemoryStore(), SqliteStore(path)
        for change in some_changes:
            assert _takes(memory, change) == _takes(sqlite, change)
            assert memory.load(USER) == sqlite.load(USER)
        sqlite.close()
        again = SqliteStore(path)
        assert memory.load(USER) == again.load(USER)
        again.close()


def _takes(store: Store, change: Change) -> bool:
    try:
        store.apply(USER, change)
    except StoreError:
        return False
    return True
