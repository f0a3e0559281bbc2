"""Tokens kept in the data directory, readable by its owner alone."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from wormux.errors import SetupError

_TOKEN = "token"
_CONTROL_TOKEN = "control-token"


def kept_token(data_dir: Path) -> str:
    """The token of a server that was given none: made once, the same from then on. Raises `SetupError`."""
    path = data_dir / _TOKEN
    token = _read(path)
    return make_token(data_dir) if token is None else token


def make_token(data_dir: Path) -> str:
    """A new token, kept instead of the one before. Raises `SetupError`, and then that one stays."""
    token = secrets.token_urlsafe(24)
    _write(data_dir / _TOKEN, token)
    return token


def make_control_token(data_dir: Path) -> str:
    """A token of this run of the server, for `wormux ls` and `wormux stop` on the same machine: whoever may read
    the data directory may control its server, also if its own token was never written down. Raises `SetupError`."""
    token = secrets.token_urlsafe(24)
    _write(data_dir / _CONTROL_TOKEN, token)
    return token


def read_control_token(data_dir: Path) -> str | None:
    return _read(data_dir / _CONTROL_TOKEN)


def remove_control_token(data_dir: Path) -> None:
    with contextlib.suppress(OSError):
        (data_dir / _CONTROL_TOKEN).unlink()


def _read(path: Path) -> str | None:
    """None where there is no file. Raises `SetupError` for one that cannot be used."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SetupError(f"The token in {path} cannot be read: {error.strerror}.") from error
    with os.fdopen(fd, "rb") as file:
        os.fchmod(fd, 0o600)
        text = file.read(1024).decode("ascii", "replace").strip()
    if not text or "\ufffd" in text or not text.isprintable() or " " in text:
        raise SetupError(f"The token in {path} is damaged: remove the file, and a new one is made.")
    return text


def _write(path: Path, token: str) -> None:
    """As a whole or not at all, also when the disk is full."""
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(token + "\n")
        fresh.replace(path)
    except OSError as error:
        raise SetupError(f"The token cannot be kept in {path}: {error.strerror}.") from error
