"""The short directory in which agents' sockets lie: ours alone, since who can write there can pose as an agent."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from wormux.errors import SetupError
from wormux.ids import SandboxId
from wormux.limits import SOCKET_PATH_BYTES

_SOCKET_NAME_CHARS = 16


def default_runtime_dir(data_dir: Path) -> Path:
    """One for each data directory."""
    mark = hashlib.sha256(os.fsencode(data_dir.absolute())).hexdigest()[:8]
    xdg = os.environ.get("XDG_RUNTIME_DIR", "")
    if xdg.startswith("/") and os.access(xdg, os.W_OK) and _fits(Path(xdg, f"wormux-{mark}")):
        return Path(xdg, f"wormux-{mark}")
    return Path(f"/tmp/wormux-{os.getuid()}-{mark}")


def prepare_runtime_dir(path: Path) -> None:
    """Make it if there is none. Raises `SetupError` if it cannot be ours alone."""
    if not _fits(path):
        raise SetupError(f"The directory {path} is too long for sockets. Choose a shorter runtime directory.")
    try:
        try:
            path.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            if not path.is_symlink() and not path.is_dir():
                raise
        status = path.lstat()  # a link is not followed: the kernel may forbid it, or it is somebody's trap
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise SetupError(f"The directory {path} is not yours: somebody else made it. Remove it.")
        path.chmod(0o700)
    except OSError as error:
        raise SetupError(f"The directory {path} for sockets cannot be made: {error.strerror}.") from error


def socket_path(runtime_dir: Path, sandbox_id: SandboxId) -> Path:
    """Short, whatever the id."""
    return runtime_dir / hashlib.sha256(sandbox_id.encode()).hexdigest()[:_SOCKET_NAME_CHARS]


def _fits(runtime_dir: Path) -> bool:
    return len(os.fsencode(runtime_dir)) + 1 + _SOCKET_NAME_CHARS <= SOCKET_PATH_BYTES
