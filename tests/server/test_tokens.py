from __future__ import annotations

import stat
from pathlib import Path

import pytest

from wormux.errors import SetupError
from wormux.server.tokens import kept_token, make_control_token, read_control_token, remove_control_token


def test_a_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    token = kept_token(tmp_path)
    assert len(token) >= 32
    assert kept_token(tmp_path) == token
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_a_token_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("chosen\n")
    (tmp_path / "token").chmod(0o644)
    assert kept_token(tmp_path) == "chosen"
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"\xff\xfe"])
def test_a_damaged_token_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(SetupError, match="is damaged"):
        kept_token(tmp_path)
    assert (tmp_path / "token").read_bytes() == content


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("secret")
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SetupError, match="cannot be read"):
        kept_token(tmp_path)


def test_every_run_has_a_control_token_of_its_own(tmp_path: Path) -> None:
    assert read_control_token(tmp_path) is None
    first = make_control_token(tmp_path)
    second = make_control_token(tmp_path)
    assert first != second == read_control_token(tmp_path)
    assert stat.S_IMODE((tmp_path / "control-token").stat().st_mode) == 0o600
    remove_control_token(tmp_path)
    remove_control_token(tmp_path)
    assert read_control_token(tmp_path) is None
