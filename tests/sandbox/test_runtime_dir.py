"""The directory of the sockets is ours alone, or it is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wormux.errors import SetupError
from wormux.ids import SandboxId
from wormux.limits import SOCKET_PATH_BYTES
from wormux.sandbox.runtime_dir import default_runtime_dir, prepare_runtime_dir, socket_path


def test_each_data_directory_has_its_own(tmp_path: Path) -> None:
    assert default_runtime_dir(tmp_path / "a") != default_runtime_dir(tmp_path / "b")
    assert default_runtime_dir(tmp_path / "a") == default_runtime_dir(tmp_path / "a")


def test_it_lies_in_the_users_own_directory_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert default_runtime_dir(tmp_path / "data").parent == tmp_path
    for useless in ("relative", str(tmp_path / "missing"), ""):
        monkeypatch.setenv("XDG_RUNTIME_DIR", useless)
        assert default_runtime_dir(tmp_path / "data").name.startswith(f"wormux-{os.getuid()}-")


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    prepare_runtime_dir(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    (tmp_path / "a" / "b").chmod(0o755)
    prepare_runtime_dir(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(SetupError, match="not yours"):
        prepare_runtime_dir(tmp_path / "link")


def test_another_owners_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(SetupError, match="not yours"):
        prepare_runtime_dir(tmp_path)


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="cannot be made"):
        prepare_runtime_dir(tmp_path / "file")


def test_one_that_is_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="too long"):
        prepare_runtime_dir(tmp_path / ("x" * 100))


def test_every_socket_has_room(tmp_path: Path) -> None:
    longest = Path("/" + "x" * (SOCKET_PATH_BYTES - 18))
    assert len(os.fsencode(socket_path(longest, SandboxId("y" * 64)))) == SOCKET_PATH_BYTES
