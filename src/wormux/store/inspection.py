"""A look at the store's file before it is opened: whether it is sound and ours, without a byte of it changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from wormux.errors import StoreRefused
from wormux.store.migrations import APPLICATION_ID, MIGRATIONS

_MAGIC = b"SQLite format 3\0"


def inspect(path: Path) -> None:
    """Raises `StoreRefused`, with a sentence for the operator, unless this program can open the file.

    Reads every page (about a second per gigabyte)."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError as error:
        raise StoreRefused(f"The store {path} cannot be read: {error.strerror}.") from error
    if head != _MAGIC:
        raise _damaged(path, "it is not a database")
    try:
        application_id, version, verdict = _query(path)
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error
    if application_id != APPLICATION_ID:
        raise StoreRefused(
            f"{path} is the database of another program. Move it away, or choose another --data-dir."
        )
    if version > len(MIGRATIONS):
        raise StoreRefused(
            f"The store {path} was written by a newer Wormux (its format is {version}, this program knows "
            f"{len(MIGRATIONS)}). Start that Wormux again, or choose another --data-dir."
        )
    if verdict != "ok":
        raise _damaged(path, verdict.splitlines()[0])


def _query(path: Path) -> tuple[int, int, str]:
    """(application_id, user_version, quick_check's verdict).

    A server that was killed leaves its last transactions in the write-ahead log, and perhaps half of them in the
    file: the two are only sound together. Reading them so makes an index file, which is removed again. Without a
    log, `immutable` keeps SQLite from making any file."""
    log, index = path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")
    had_index, has_log = index.exists(), log.exists() and log.stat().st_size > 0
    mode = "mode=ro" if has_log else "immutable=1"
    connection = sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True)
    try:
        application_id, version, pages, page_bytes, verdict = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version", "page_count", "page_size", "quick_check(1)")
        )
    finally:
        connection.close()
        if not had_index:
            index.unlink(missing_ok=True)
    if verdict == "ok" and not has_log and path.stat().st_size < pages * page_bytes:
        verdict = "its end is missing"  # in a page that SQLite takes for empty
    return application_id, version, verdict


def _damaged(path: Path, detail: str) -> StoreRefused:
    return StoreRefused(
        f"The store {path} is damaged ({detail}). Put a backup in its place, or move it away to start empty."
    )
