"""What belongs to the file: refusals that leave it alone, recovery after kill -9, failures as sentences."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wormux.errors import StoreError, StoreRefused
from wormux.ids import PaneId
from wormux.records import (
    Change,
    Checkpoint,
    ClientRecord,
    InputPosition,
    PaneRecord,
    SessionRecord,
    TabRecord,
)
from wormux.store.migrations import APPLICATION_ID, MIGRATIONS, migrate
from wormux.store.sqlite import SqliteStore
from wormux.testing.store_conformance import USER, WHOLE, checkpoint, pane


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wormux.db"


def _contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


def _fill(path: Path) -> None:
    store = SqliteStore(path)
    store.apply(USER, WHOLE)
    store.close()


# --- The file ----------------------------------------------------------------------------------------------------


def test_only_the_owner_can_read_the_files(path: Path) -> None:
    store = SqliteStore(path)
    store.apply(USER, WHOLE)
    assert {file.name for file in path.parent.iterdir()} == {"wormux.db", "wormux.db-wal", "wormux.db-shm"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    store.close()


def test_a_closed_store_is_one_file(path: Path) -> None:
    _fill(path)
    assert list(_contents(path)) == ["wormux.db"]


def test_columns_are_the_fields_of_the_records(path: Path) -> None:
    _fill(path)
    connection = sqlite3.connect(path)
    for table, record in {
        "sessions": SessionRecord,
        "tabs": TabRecord,
        "panes": PaneRecord,
        "clients": ClientRecord,
        "inputs": InputPosition,
        "checkpoints": Checkpoint,
    }.items():
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        assert columns == ["user", *(field.name for field in dataclasses.fields(record))]
    connection.close()


def test_checkpoints_are_compressed(path: Path) -> None:
    store = SqliteStore(path)
    store.apply(USER, WHOLE)
    store.apply(USER, Change(put_checkpoints=(checkpoint(log=b"the same line\r\n" * 100_000),)))
    store.close()
    assert path.stat().st_size < 200_000


# --- Refusals ----------------------------------------------------------------------------------------------------


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _cut_in_a_page(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _scribble(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(4096))


def _replace_by_text(path: Path) -> None:
    path.write_text("This is no database.\n" * 100)


def _pragma(statement: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute(statement)
        connection.close()

    return spoil


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_truncate, "is damaged"),
        (_cut_in_a_page, "is damaged"),
        (_empty, "is damaged"),
        (_scribble, "is damaged"),
        (_replace_by_text, "is damaged"),
        (_pragma("PRAGMA application_id = 1"), "of another program"),
        (_pragma(f"PRAGMA user_version = {len(MIGRATIONS) + 1}"), "by a newer Wormux"),
    ],
)
def test_a_file_that_is_not_right_is_refused_and_left_alone(
    path: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    _fill(path)
    spoil(path)
    before = _contents(path)
    with pytest.raises(StoreRefused, match=sentence) as refusal:
        SqliteStore(path)
    assert str(path) in str(refusal.value)
    assert _contents(path) == before


def test_a_newer_version_is_seen_in_the_log_of_a_killed_server_too(path: Path) -> None:
    _fill(path)
    newer = f"PRAGMA user_version = {len(MIGRATIONS) + 1}"
    _run_and_kill(
        f"import sqlite3; c = sqlite3.connect({str(path)!r}, isolation_level=None); c.execute({newer!r})"
    )
    before = _contents(path)
    assert len(before["wormux.db-wal"]) > 0
    with pytest.raises(StoreRefused, match="by a newer Wormux"):
        SqliteStore(path)
    after = _contents(path)
    del before["wormux.db-shm"], after["wormux.db-shm"]  # an index, made anew whenever the log is read
    assert after == before


def test_a_log_without_its_store_is_refused(path: Path) -> None:
    path.with_name("wormux.db-wal").write_bytes(b"log")
    before = _contents(path)
    with pytest.raises(StoreRefused, match="without its store"):
        SqliteStore(path)
    assert _contents(path) == before


def test_a_directory_in_its_place_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreRefused, match="cannot be read"):
        SqliteStore(path)


def test_a_store_cannot_be_made_where_nothing_is(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="cannot be made"):
        SqliteStore(tmp_path / "missing" / "wormux.db")


# --- Migrations --------------------------------------------------------------------------------------------------


def test_migrations_take_the_steps_that_are_missing(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "db", isolation_level=None)
    steps = [("CREATE TABLE a (x)",), ("CREATE TABLE b (x)", "INSERT INTO a VALUES (1)")]
    migrate(connection, steps[:1])
    migrate(connection, steps)
    migrate(connection, steps)
    assert connection.execute("SELECT x FROM a").fetchall() == [(1,)]
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


def test_a_step_that_fails_leaves_nothing_of_itself(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "db", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [("CREATE TABLE a (x)",), ("CREATE TABLE b (x)", "CREATE TABLE a (x)")])
    assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("a",)]
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()


def test_every_file_says_whose_it_is(path: Path) -> None:
    _fill(path)
    assert path.read_bytes()[68:72] == APPLICATION_ID.to_bytes(4, "big")


# --- Failures ----------------------------------------------------------------------------------------------------


def test_a_full_disk_is_a_sentence_and_changes_nothing(path: Path) -> None:
    store = SqliteStore(path)
    store.apply(USER, WHOLE)
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    before = store.load(USER)
    large = Change(put_checkpoints=(checkpoint(log=random.Random(1).randbytes(1_000_000)),))
    with pytest.raises(StoreError, match="The disk is full") as failure:
        store.apply(USER, large)
    assert str(path) not in str(failure.value)
    assert store.load(USER) == before
    store._db.execute("PRAGMA max_page_count = 1000000")
    store.apply(USER, large)
    assert store.load(USER).checkpoints == large.put_checkpoints
    store.close()


def test_a_locked_file_is_a_sentence(path: Path) -> None:
    store = SqliteStore(path, busy_timeout_s=0.01)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="keeps the store locked"):
        store.apply(USER, WHOLE)
    other.execute("ROLLBACK")
    store.apply(USER, WHOLE)
    other.close()
    store.close()


def test_a_read_only_file_is_a_sentence(path: Path) -> None:
    store = SqliteStore(path)
    store._db.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="read-only"):
        store.put_secret("token", b"x")
    store.close()


@pytest.mark.parametrize(
    "record", [dataclasses.replace(pane(), position_mark=2**63), dataclasses.replace(pane(), title="\ud800")]
)
def test_what_cannot_be_stored_is_refused_whole(path: Path, record: PaneRecord) -> None:
    store = SqliteStore(path)
    store.apply(USER, WHOLE)
    before = store.load(USER)
    with pytest.raises(StoreError, match="cannot be stored"):
        store.apply(USER, Change(delete_panes=(PaneId("pane-1"),), update_panes=(record,)))
    assert store.load(USER) == before
    store.close()


# --- kill -9 -----------------------------------------------------------------------------------------------------

_WRITER = """
import dataclasses, itertools, sys
from pathlib import Path
from wormux.ids import ClientId
from wormux.records import Change, ClientRecord, Meta
from wormux.store.sqlite import SqliteStore
from wormux.testing.store_conformance import USER, WHOLE, checkpoint

store = SqliteStore(Path(sys.argv[1]))
first = store.load(USER).meta.rev_mark
if not store.load(USER).sessions:
    store.apply(USER, WHOLE)
for number in itertools.count(first + 1):
    log = number.to_bytes(4, "big") * 2000
    client = ClientRecord(ClientId("client-1"), str(number), number)
    store.apply(USER, Change(
        put_clients=(client,), put_checkpoints=(checkpoint(log=log),), meta=Meta(number, (), None)
    ))
    print(number, flush=True)
"""


def test_kill_9_loses_nothing_that_was_acknowledged_and_halves_nothing(path: Path) -> None:
    rng = random.Random(9)
    acknowledged = 0
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(rng.randrange(1, 40)):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        store = SqliteStore(path)
        snapshot = store.load(USER)
        number = snapshot.meta.rev_mark
        assert acknowledged <= number <= acknowledged + 1
        assert snapshot.clients[0].left_at_ms == number
        assert snapshot.checkpoints[0].log == number.to_bytes(4, "big") * 2000
        store.close()


def test_kill_9_while_the_file_is_made_leaves_none_or_a_whole_one(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from wormux.store.sqlite import SqliteStore;"
        "print('go', flush=True); SqliteStore(Path(sys.argv[1])); print('made', flush=True); sys.stdin.read()"
    )
    rng = random.Random(3)
    for _ in range(15):
        path.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(rng.randrange(200)):
            path.exists()  # spends a little time, a different one in each round
        process.kill()
        process.communicate()
        SqliteStore(path).close()


def _run_and_kill(script: str) -> None:
    subprocess.run(
        [sys.executable, "-c", f"{script}; import os; os.kill(os.getpid(), 9)"], check=False, timeout=30
    )
