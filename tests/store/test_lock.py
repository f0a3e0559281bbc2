"""One server for each data directory."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from wormux.errors import SetupError
from wormux.store.data_dir import prepare_data_dir
from wormux.store.lock import DataDirLock, RunningServer, running_server

_HOLDER = """
import sys
from pathlib import Path
from wormux.store.lock import DataDirLock
lock = DataDirLock(Path(sys.argv[1]))
lock.acquire()
lock.set_address("http://127.0.0.1:8022/")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_server_is_told_of_the_first(tmp_path: Path) -> None:
    first = DataDirLock(tmp_path)
    first.acquire()
    with pytest.raises(SetupError, match=rf"still starting \(process {os.getpid()}\)"):
        DataDirLock(tmp_path).acquire()
    first.set_address("http://127.0.0.1:8022/")
    with pytest.raises(SetupError) as refusal:
        DataDirLock(tmp_path).acquire()
    assert str(refusal.value) == (
        f"Another Wormux server uses this data directory: http://127.0.0.1:8022/ (process {os.getpid()}). "
        "Stop it first, or choose another --data-dir."
    )
    first.release()
    second = DataDirLock(tmp_path)
    second.acquire()
    second.release()


def test_a_killed_server_holds_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert running_server(tmp_path) == RunningServer(holder.pid, "http://127.0.0.1:8022/")
    with pytest.raises(SetupError):
        DataDirLock(tmp_path).acquire()
    holder.kill()
    holder.communicate()
    assert running_server(tmp_path) is None
    lock = DataDirLock(tmp_path)
    lock.acquire()
    lock.release()


def test_nobody_runs_where_nothing_is(tmp_path: Path) -> None:
    assert running_server(tmp_path) is None
    lock = DataDirLock(tmp_path)
    lock.acquire()
    lock.release()
    assert running_server(tmp_path) is None


def test_a_lock_file_that_says_nothing_is_still_a_lock(tmp_path: Path) -> None:
    lock = DataDirLock(tmp_path)
    lock.acquire()
    (tmp_path / "wormux.lock").write_bytes(b"[1]")
    with pytest.raises(SetupError, match="still starting"):
        DataDirLock(tmp_path).acquire()
    lock.release()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "wormux.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SetupError, match="cannot be opened"):
        DataDirLock(tmp_path).acquire()
    assert not (tmp_path / "elsewhere").exists()


def test_the_data_directory_is_for_its_owner(tmp_path: Path) -> None:
    made = prepare_data_dir(tmp_path / "a" / "b")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    made.chmod(0o755)
    assert prepare_data_dir(made) == made
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="is a file"):
        prepare_data_dir(tmp_path / "file")
    with pytest.raises(SetupError, match="cannot be made"):
        prepare_data_dir(tmp_path / "file" / "below")
