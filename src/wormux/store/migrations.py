"""The tables of the SQLite store, as the steps that lead to them.

A step is never changed once released: what comes later is a further step. `PRAGMA user_version` counts the steps
that a file has taken. Names of columns are those of the records' fields; `user` stands before each key, so that
what one user's clients choose as ids never meets another's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

APPLICATION_ID = int.from_bytes(b"Wmux")
"""Stands in the header of every file of ours, so that no other program's file is ever taken for one."""

Migration = tuple[str, ...]
"""Statements that are carried out together or not at all."""

MIGRATIONS: tuple[Migration, ...] = (
    (
        """CREATE TABLE users (
            user INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            rev_mark INTEGER NOT NULL DEFAULT 0,
            free_channels TEXT NOT NULL DEFAULT '[]',
            last_tab TEXT
        ) STRICT""",
        """CREATE TABLE sessions (
            user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
            id TEXT NOT NULL,
            sandbox_id TEXT NOT NULL,
            name TEXT NOT NULL,
            created_at_ms INTEGER NOT NULL,
            provider TEXT NOT NULL,
            intent TEXT NOT NULL,
            "order" INTEGER NOT NULL,
            lease_until_ms INTEGER NOT NULL,
            lease_reason TEXT NOT NULL,
            PRIMARY KEY (user, id)
        ) STRICT""",
        """CREATE TABLE tabs (
            user INTEGER NOT NULL,
            id TEXT NOT NULL,
            session_id TEXT NOT NULL,
            name TEXT NOT NULL,
            "order" INTEGER NOT NULL,
            layout BLOB NOT NULL,
            focus TEXT NOT NULL,
            PRIMARY KEY (user, id),
            FOREIGN KEY (user, session_id) REFERENCES sessions ON DELETE CASCADE
        ) STRICT""",
        "CREATE INDEX tabs_of_session ON tabs (user, session_id)",
        """CREATE TABLE panes (
            user INTEGER NOT NULL,
            id TEXT NOT NULL,
            tab_id TEXT NOT NULL,
            channel INTEGER NOT NULL,
            channel_rev INTEGER NOT NULL,
            cols INTEGER NOT NULL,
            rows INTEGER NOT NULL,
            generation INTEGER NOT NULL,
            position_mark INTEGER NOT NULL,
            rest TEXT NOT NULL,
            reason TEXT NOT NULL,
            exit_code INTEGER,
            exit_signal TEXT,
            closed_at_ms INTEGER NOT NULL,
            title TEXT NOT NULL,
            cwd TEXT,
            PRIMARY KEY (user, id),
            FOREIGN KEY (user, tab_id) REFERENCES tabs ON DELETE CASCADE
        ) STRICT""",
        "CREATE INDEX panes_of_tab ON panes (user, tab_id)",
        """CREATE TABLE clients (
            user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
            id TEXT NOT NULL,
            "key" TEXT NOT NULL,
            left_at_ms INTEGER NOT NULL,
            active_tab TEXT,
            PRIMARY KEY (user, id)
        ) STRICT""",
        """CREATE TABLE inputs (
            user INTEGER NOT NULL,
            client_id TEXT NOT NULL,
            pane_id TEXT NOT NULL,
            position INTEGER NOT NULL,
            PRIMARY KEY (user, pane_id, client_id),
            FOREIGN KEY (user, client_id) REFERENCES clients ON DELETE CASCADE,
            FOREIGN KEY (user, pane_id) REFERENCES panes ON DELETE CASCADE
        ) STRICT""",
        "CREATE INDEX inputs_of_client ON inputs (user, client_id)",
        """CREATE TABLE checkpoints (
            user INTEGER NOT NULL,
            pane_id TEXT NOT NULL,
            start INTEGER NOT NULL,
            log BLOB NOT NULL,
            sizes TEXT NOT NULL,
            PRIMARY KEY (user, pane_id),
            FOREIGN KEY (user, pane_id) REFERENCES panes ON DELETE CASCADE
        ) STRICT""",
        "CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT",
    ),
    (
        "ALTER TABLE checkpoints ADD COLUMN screen BLOB",
        "ALTER TABLE checkpoints ADD COLUMN cols INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE checkpoints ADD COLUMN rows INTEGER NOT NULL DEFAULT 0",
    ),
)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Take the steps that the file lacks, each in a transaction of its own. Raises `sqlite3.Error`.

    `connection` is in autocommit mode (`isolation_level=None`)."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, statements in enumerate(migrations[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
