"""The directory that holds everything of one server: made for its owner alone, or refused with a sentence."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from wormux.errors import SetupError


def prepare_data_dir(path: Path) -> Path:
    """Make the directory if there is none; returns its absolute path. Raises `SetupError`."""
    path = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - a link to the directory stays a link
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise SetupError(f"The data directory {path} is a file. Choose another --data-dir.") from None
    except OSError as error:
        raise SetupError(f"The data directory {path} cannot be made: {error.strerror}.") from error
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise SetupError(f"The data directory {path} cannot be written. Choose another --data-dir.")
    if path.stat().st_uid != os.getuid():
        raise SetupError(f"The data directory {path} belongs to someone else. Choose another --data-dir.")
    if path.stat().st_mode & stat.S_IWOTH and any(path.iterdir()):
        raise SetupError(
            f"Everybody can write to the data directory {path}, and could have put files there: look at what it holds, "
            "then run `chmod 700` on it, or choose another --data-dir."
        )
    path.chmod(0o700)
    return path
