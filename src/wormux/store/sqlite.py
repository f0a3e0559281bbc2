"""The store in one SQLite file, `wormux.db` in the data directory.

Safe against kill -9 at any moment: an `apply` that returned is kept, one that did not return is kept whole or not
at all. A loss of power may take the last moments' transactions, whole ones (WAL with synchronous=NORMAL).
"""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wormux.errors import StoreError, StoreRefused
from wormux.ids import Channel, UserId
from wormux.limits import BUSY_TIMEOUT_S
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
from wormux.store.inspection import inspect
from wormux.store.migrations import APPLICATION_ID, migrate
from wormux.store.port import Store

_COMPRESSION = 1
"""Of checkpoints: terminal output shrinks to about a sixth, at a hundred megabytes a second."""
_WAL_KEPT_BYTES = 16 << 20
"""What the write-ahead log is cut down to after a burst."""


class SqliteStore(Store):
    """Opens the file, or makes it. Raises `StoreRefused` if it must be left alone."""

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        if not os.path.lexists(path):
            _create(path)
        inspect(path)
        try:
            path.chmod(0o600)
            self._db = _connect(path, busy_timeout_s)
        except OSError as error:
            raise StoreRefused(f"The store {path} cannot be opened: {error.strerror}.") from error
        except sqlite3.Error as error:
            raise StoreRefused(f"The store {path} cannot be opened: {_sentence(error)}") from error

    def load(self, user_id: UserId) -> Snapshot:
        with _sentences(), self._transaction("BEGIN"):
            row = self._db.execute(
                "SELECT user, rev_mark, free_channels, last_tab FROM users WHERE name = ?", (user_id,)
            ).fetchone()
            if row is None:
                return Snapshot()
            user, rev_mark, free_channels, last_tab = row
            return Snapshot(
                sessions=tuple(_session(row) for row in self._select(_SESSIONS, user)),
                tabs=tuple(TabRecord(*row) for row in self._select(_TABS, user)),
                panes=tuple(_pane(row) for row in self._select(_PANES, user)),
                clients=tuple(ClientRecord(*row) for row in self._select(_CLIENTS, user)),
                inputs=tuple(InputPosition(*row) for row in self._select(_INPUTS, user)),
                checkpoints=tuple(_checkpoint(row) for row in self._select(_CHECKPOINTS, user)),
                meta=Meta(rev_mark, tuple(map(Channel, json.loads(free_channels))), last_tab),
            )

    def apply(self, user_id: UserId, change: Change) -> None:
        checkpoints = [_checkpoint_row(checkpoint) for checkpoint in change.put_checkpoints]
        with _sentences(), self._transaction("BEGIN IMMEDIATE"):
            self._db.execute("INSERT OR IGNORE INTO users (name) VALUES (?)", (user_id,))
            (user,) = self._db.execute("SELECT user FROM users WHERE name = ?", (user_id,)).fetchone()
            self._write(_SESSIONS.insert, user, map(_row, change.insert_sessions))
            self._write(_TABS.insert, user, map(_row, change.insert_tabs))
            self._write(_PANES.insert, user, map(_row, change.insert_panes))
            self._write(_SESSIONS.update, user, map(_row, change.update_sessions))
            self._write(_TABS.update, user, map(_row, change.update_tabs))
            self._write(_PANES.update, user, map(_row, change.update_panes))
            self._write(_PANES.delete, user, ((pane_id,) for pane_id in change.delete_panes))
            self._write(_TABS.delete, user, ((tab_id,) for tab_id in change.delete_tabs))
            self._write(_SESSIONS.delete, user, ((session_id,) for session_id in change.delete_sessions))
            self._write(_CLIENTS.put, user, map(_row, change.put_clients))
            self._write(_CLIENTS.delete, user, ((client_id,) for client_id in change.delete_clients))
            self._write(_INPUTS.put, user, map(_row, change.put_inputs))
            self._write(_CHECKPOINTS.put, user, checkpoints)
            if change.meta is not None:
                self._db.execute(
                    "UPDATE users SET rev_mark = ?, free_channels = ?, last_tab = ? WHERE user = ?",
                    (change.meta.rev_mark, json.dumps(change.meta.free_channels), change.meta.last_tab, user),
                )

    def get_secret(self, name: str) -> bytes | None:
        with _sentences():
            row = self._db.execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchone()
            return None if row is None else row[0]

    def put_secret(self, name: str, value: bytes | None) -> None:
        with _sentences():
            if value is None:
                self._db.execute("DELETE FROM secrets WHERE name = ?", (name,))
            else:
                self._db.execute("INSERT OR REPLACE INTO secrets VALUES (?, ?)", (name, value))

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self._db.execute(begin)
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _select(self, table: _Table, user: int) -> Iterator[tuple[Any, ...]]:
        return self._db.execute(table.select, (user,))

    def _write(self, statement: str, user: int, rows: Iterable[tuple[Any, ...]]) -> None:
        self._db.executemany(statement, ((user, *row) for row in rows))


class _Table:
    """The statements for one kind of record. Parameters are the user, then all of the record's fields in order;
    for `delete` the user and the first field."""

    def __init__(
        self, name: str, record: type[Any], *, key: str, order: str, parents: tuple[tuple[str, str], ...] = ()
    ) -> None:
        columns = [field.name for field in dataclasses.fields(record)]
        listed = ", ".join(f'"{column}"' for column in columns)
        parameters = ", ".join(f"?{number}" for number in range(1, len(columns) + 2))
        assignments = ", ".join(f'"{column}" = ?{number}' for number, column in enumerate(columns, start=2))
        living = "".join(
            f" AND EXISTS (SELECT 1 FROM {parent} WHERE user = ?1 AND id = ?{columns.index(column) + 2})"
            for column, parent in parents
        )
        self.select = f"SELECT {listed} FROM {name} WHERE user = ? ORDER BY {order}"
        self.insert = f"INSERT INTO {name} (user, {listed}) VALUES ({parameters})"
        self.update = f"UPDATE {name} SET {assignments} WHERE user = ?1 AND {columns[0]} = ?2"
        self.delete = f"DELETE FROM {name} WHERE user = ? AND {columns[0]} = ?"
        self.put = (
            f"INSERT INTO {name} (user, {listed}) SELECT {parameters} WHERE true{living} "
            f"ON CONFLICT (user, {key}) DO UPDATE SET {assignments}"
        )


_SESSIONS = _Table("sessions", SessionRecord, key="id", order='"order", id')
_TABS = _Table("tabs", TabRecord, key="id", order='"order", id')
_PANES = _Table("panes", PaneRecord, key="id", order="channel, id")
_CLIENTS = _Table("clients", ClientRecord, key="id", order="id")
_INPUTS = _Table(
    "inputs",
    InputPosition,
    key="pane_id, client_id",
    order="pane_id, client_id",
    parents=(("pane_id", "panes"), ("client_id", "clients")),
)
_CHECKPOINTS = _Table(
    "checkpoints", Checkpoint, key="pane_id", order="pane_id", parents=(("pane_id", "panes"),)
)


def _row(record: Any) -> tuple[Any, ...]:
    return tuple(getattr(record, field.name) for field in dataclasses.fields(record))


def _session(row: tuple[Any, ...]) -> SessionRecord:
    record = SessionRecord(*row)
    return dataclasses.replace(record, intent=Intent(record.intent))


def _pane(row: tuple[Any, ...]) -> PaneRecord:
    record = PaneRecord(*row)
    return dataclasses.replace(record, rest=Rest(record.rest))


def _checkpoint_row(checkpoint: Checkpoint) -> tuple[Any, ...]:
    log = zlib.compress(checkpoint.log, _COMPRESSION)
    sizes = json.dumps(checkpoint.sizes)
    return (
        checkpoint.pane_id,
        checkpoint.start,
        log,
        sizes,
        checkpoint.screen,
        checkpoint.cols,
        checkpoint.rows,
    )


def _checkpoint(row: tuple[Any, ...]) -> Checkpoint:
    pane_id, start, log, sizes, *screen = row
    return Checkpoint(pane_id, start, zlib.decompress(log), tuple(map(tuple, json.loads(sizes))), *screen)


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    try:
        _set_up(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreRefused(f"The store {path} cannot be used on its file system. Use a local disk.")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
    migrate(connection)


def _create(path: Path) -> None:
    """Make an empty store under another name first: at its own, there is never half of one."""
    draft, log = path.with_name(path.name + ".new"), path.with_name(path.name + "-wal")
    if log.exists():
        raise StoreRefused(
            f"{log} lies there without its store {path}. Put the store back, or move both away."
        )
    try:
        draft.unlink(missing_ok=True)
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            migrate(connection)
        finally:
            connection.close()
        draft.rename(path)
    except OSError as error:
        raise StoreRefused(f"The store {path} cannot be made: {error.strerror}.") from error
    except sqlite3.Error as error:
        raise StoreRefused(f"The store {path} cannot be made: {_sentence(error)}") from error


@contextmanager
def _sentences() -> Iterator[None]:
    """Every failure of SQLite as a `StoreError` that says what can be done."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(_sentence(error)) from error
    except (OverflowError, UnicodeEncodeError) as error:
        raise StoreError("The change holds a value that cannot be stored.") from error
    except (ValueError, TypeError, RecursionError, zlib.error) as error:
        raise StoreError("The store's file is damaged.") from error


def _sentence(error: sqlite3.Error) -> str:
    """For clients as well: no path, no statement."""
    if not hasattr(error, "sqlite_errorcode"):
        return "The store is closed."
    primary_code = error.sqlite_errorcode & 0xFF
    return _SENTENCES.get(primary_code, f"The store failed ({error.sqlite_errorname}).")


_SENTENCES = {
    sqlite3.SQLITE_FULL: "The disk is full. Make room, and the changes will be saved.",
    sqlite3.SQLITE_BUSY: "Another program keeps the store locked.",
    sqlite3.SQLITE_LOCKED: "Another program keeps the store locked.",
    sqlite3.SQLITE_READONLY: "The store cannot be written: it is read-only.",
    sqlite3.SQLITE_IOERR: "The disk failed while the store was used.",
    sqlite3.SQLITE_CANTOPEN: "The store's file cannot be opened.",
    sqlite3.SQLITE_CORRUPT: "The store's file is damaged.",
    sqlite3.SQLITE_NOTADB: "The store's file is damaged.",
    sqlite3.SQLITE_CONSTRAINT: "The change contradicts what is stored.",
}
