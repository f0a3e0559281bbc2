"""The agent's socket: where it lies, that nobody else has it, and who may connect.

A living agent's socket is never taken; one whose agent died is replaced. Only the agent's own user and root are let
in, whatever the permissions of the path say. An inherited socket was made by whoever started the agent, who also says
with its path who may connect.
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
    """A listening unix socket, non-blocking, and whom it lets in."""

    def __init__(self, listening: socket.socket, path: Path | None) -> None:
        """`path` is the agent's to remove; None for a socket that it inherited."""
        self.socket = listening
        self._path = path
        self._file = path.stat() if path else None
        self._allowed = (os.getuid(), 0, None) if path else None

    @classmethod
    def at(cls, path: Path) -> Listener:
        """Make the socket. Raises `CannotListen`."""
        if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
            raise CannotListen(f"The path of the socket is longer than {SOCKET_PATH_BYTES} bytes: {path}")
        try:
            _make_private(path.parent)
            with _locked(path.parent):
                return cls(_bind(path), path)
        except OSError as error:
            raise CannotListen(f"The socket {path} cannot be made: {error.strerror}.") from error

    @classmethod
    def inherited(cls, descriptor: int) -> Listener:
        """Take a socket that listens already. Raises `CannotListen`."""
        try:
            listening = socket.socket(fileno=descriptor)
        except OSError as error:
            raise CannotListen(f"Descriptor {descriptor} is no socket: {error.strerror}.") from error
        listens = listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if listening.family != socket.AF_UNIX or listening.type != socket.SOCK_STREAM or not listens:
            raise CannotListen(f"Descriptor {descriptor} is no unix stream socket that listens.")
        if not os.fsencode(listening.getsockname()).startswith(b"/"):
            # Without permissions of a directory to protect it, anybody could connect.
            raise CannotListen(f"The socket {descriptor} is bound to no absolute path.")
        os.set_inheritable(descriptor, False)
        listening.setblocking(False)
        return cls(listening, None)

    def accept(self) -> socket.socket | None:
        """The next connection of a permitted user; None if there is none. Raises `OSError` for want of resources."""
        try:
            peer, _ = self.socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return None
        # On an inherited socket every peer is let in: its path lies in a directory that only the server can enter and
        # that is not visible from inside the sandbox, so whoever connects is the server. Its uid would say nothing: in
        # a user namespace, everybody from outside is the overflow uid.
        if self._allowed is None or peer_uid(peer) in self._allowed:
            return peer
        peer.close()
        return None

    def remove(self) -> None:
        """Stop listening, and take the socket's file away if it is still ours."""
        self.socket.close()
        if self._path is None or self._file is None:
            return
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
