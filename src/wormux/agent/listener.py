"""The agent's socket: where it lies, that nobody else has it, and who may connect.

A living agent's socket is never taken; one whose agent died is replaced. Only the agent's own user and root are let
in, whatever the permissions of the path say.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from wormux.limits import LINK_CONNECTIONS, SOCKET_PATH_BYTES

_LOCAL_PEERCRED = 1
"""macOS: the option, at level 0, that gives a `struct xucred`."""


class CannotListen(Exception):
    """There is no socket to be had. `str(error)` is a sentence."""


class Listener:
    """A listening unix socket, non-blocking. Creating one raises `CannotListen`."""

    def __init__(self, path: Path) -> None:
        if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
            raise CannotListen(f"The path of the socket is longer than {SOCKET_PATH_BYTES} bytes: {path}")
        self._path = path
        try:
            _make_private(path.parent)
            with _locked(path.parent):
                self.socket = _bind(path)
            self._file = path.stat()
        except OSError as error:
            raise CannotListen(f"The socket {path} cannot be made: {error.strerror}.") from error

    def accept(self) -> socket.socket | None:
        """The next connection of a permitted user; None if there is none. Raises `OSError` for want of resources."""
        try:
            peer, _ = self.socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return None
        if peer_uid(peer) in (os.getuid(), 0, None):
            return peer
        peer.close()
        return None

    def remove(self) -> None:
        """Stop listening, and take the socket's file away if it is still ours."""
        self.socket.close()
        with contextlib.suppress(OSError):
            if os.path.samestat(self._path.stat(), self._file):
                self._path.unlink()


def peer_uid(peer: socket.socket) -> int | None:
    """Whose process is at the other end; None where that cannot be asked, and only the directory protects."""
    if hasattr(socket, "SO_PEERCRED"):
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _pid, uid, _gid = struct.unpack("3i", credentials)
        return int(uid)
    if sys.platform == "darwin":
        _version, uid = struct.unpack_from("2I", peer.getsockopt(0, _LOCAL_PEERCRED, 76))
        return int(uid)
    return None


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.stat()
    if found.st_uid not in (os.getuid(), 0) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CannotListen(
            f"Others could replace the socket: {directory} must be the user's own, with mode 0700."
        )


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Only one agent at a time looks for a stale socket and replaces it."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _bind(path: Path) -> socket.socket:
    """Listen at `path`, replacing a socket there that nobody listens on."""
    if _is_stale(path):
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        listening.bind(os.fsencode(path))
        listening.listen(LINK_CONNECTIONS)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    finally:
        os.umask(umask)
    return listening


def _is_stale(path: Path) -> bool:
    """Is there a socket without an agent? Raises `CannotListen` if there is one with it, or another file."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(mode):
        raise CannotListen(f"There is a file that is not a socket: {path}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.setblocking(False)
            probe.connect(os.fsencode(path))
        except ConnectionRefusedError:
            return True
        except BlockingIOError:
            pass  # Its queue is full: somebody listens.
    raise CannotListen(f"An agent listens there already: {path}")
