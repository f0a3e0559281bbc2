"""The daemon that runs containers, Podman's or Docker's, reached by its unix socket.

Whoever listens there sees and decides everything, so the socket is opened without following a link, it must belong to
root or to us, and so must the process that listens. Each operation connects anew: daemons end when idle, and restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import socket
import stat
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiodocker
import aiohttp

from wormux.errors import SandboxError, SetupError
from wormux.limits import DAEMON_WITHIN_S
from wormux.sandbox.container_options import socket_of

_REASON_CHARS = 200
_PATHS = re.compile(r"(?<![\w/])/(?:[^/\s'\",:]+/)+")
_NO_CONNECTION = 900
"""What aiodocker takes for the status of no answer."""
_API_VERSION = re.compile(r"\d{1,3}\.\d{1,3}")
_INFO_WITHIN_S = 5.0
"""A server that starts does not wait longer to hear what the daemon can do."""


class DaemonAway(SandboxError):
    """Nobody can be spoken to: containers may well live."""


class DaemonRefused(SandboxError):
    """It answered that it cannot do what was asked."""

    def __init__(self, status: int, message: str, doing: str) -> None:
        super().__init__(f"{doing}: {presentable(message)}")
        self.status = status
        self.message = message


class Daemon:
    """The daemon behind one socket; the first of `sockets` that is there."""

    def __init__(self, sockets: Sequence[str]) -> None:
        self._sockets = tuple(sockets)

    @asynccontextmanager
    async def ask(self, doing: str) -> AsyncIterator[aiodocker.Docker]:
        """The API, for one operation; `doing` begins the sentence of what fails ("The container cannot be made").

        Raises `DaemonAway` and `DaemonRefused`."""
        with self._opened() as address:
            timeout = aiohttp.ClientTimeout(total=DAEMON_WITHIN_S)
            docker = aiodocker.Docker(url=f"unix://{address}", timeout=timeout)
            try:
                async with asyncio.timeout(DAEMON_WITHIN_S):
                    docker.api_version = await _api_version(docker)
                    yield docker
            except aiodocker.DockerError as error:
                if error.status == _NO_CONNECTION:
                    raise DaemonAway(
                        f"{doing}: the daemon that runs containers broke the connection."
                    ) from error
                raise DaemonRefused(error.status, error.message, doing) from error
            except TimeoutError:
                raise DaemonAway(
                    f"{doing}: the daemon that runs containers did not answer within {DAEMON_WITHIN_S:g} seconds."
                ) from None
            except (aiohttp.ClientError, OSError) as error:
                raise DaemonAway(f"{doing}: the daemon that runs containers broke the connection.") from error
            finally:
                await docker.close()

    def cannot_pause(self) -> str | None:
        """Why it can pause no container; None if it can, or if it does not answer just now."""
        try:
            with self._opened() as address:
                info = _get_info(address)
        except (SandboxError, OSError, http.client.HTTPException, ValueError):
            return None
        options = info.get("SecurityOptions")
        is_rootless = isinstance(options, list) and any("rootless" in str(option) for option in options)
        if str(info.get("CgroupDriver", "")) == "none" or (
            is_rootless and str(info.get("CgroupVersion")) == "1"
        ):
            return (
                "Containers cannot be frozen: the daemon runs without root and cannot write control groups, "
                "which takes version 2 of them."
            )
        return None

    @contextlib.contextmanager
    def _opened(self) -> Iterator[str]:
        """An address of the very socket that was looked at, whatever becomes of its name. Raises `DaemonAway`."""
        path = next((path for path in self._sockets if os.path.lexists(path)), None)
        if path is None:
            names = " or ".join(dict.fromkeys(Path(name).name for name in self._sockets))
            raise DaemonAway(
                f"No daemon that runs containers is there: its socket {names} is missing. Is it running?"
            )
        name = Path(path).name
        try:
            descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise DaemonAway(
                f"The socket {name} of the daemon cannot be opened: {error.strerror}."
            ) from error
        try:
            _check_file(os.fstat(descriptor), Path(path).parent.stat(), name)
            address = f"/proc/self/fd/{descriptor}"
            _check_listener(address, name)
            yield address
        finally:
            os.close(descriptor)


def default_sockets() -> tuple[str, ...]:
    """Where daemons listen, in the order in which they are looked for. Raises `SetupError`."""
    named = os.environ.get("DOCKER_HOST")
    if named:
        return (socket_of(named, "The daemon in DOCKER_HOST"),)
    if os.getuid() == 0:
        return ("/run/podman/podman.sock", "/var/run/docker.sock")
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return (f"{runtime}/podman/podman.sock", f"{runtime}/docker.sock", "/var/run/docker.sock")


def make_daemon(named: str | None) -> Daemon:
    """Raises `SetupError` where there can be none."""
    if not hasattr(os, "O_PATH"):
        raise SetupError("Containers need Linux: elsewhere they run in a virtual machine, out of reach.")
    return Daemon((named,) if named is not None else default_sockets())


def presentable(message: str) -> str:
    """What a daemon says, fit to be shown to clients: one short line without paths of the server."""
    line = " ".join("".join(char if char.isprintable() else " " for char in message).split())
    line = _PATHS.sub("…/", line)
    return line[:_REASON_CHARS].rstrip(".") + "."


async def _api_version(docker: aiodocker.Docker) -> str:
    """The newest that it knows. aiodocker would ask for the versions of all parts, which takes Podman half a second."""
    async with docker.session.get(f"{docker.docker_host}/_ping") as answer:
        version = answer.headers.get("Api-Version", "")
    if not _API_VERSION.fullmatch(version):
        raise DaemonAway("What answers on the daemon's socket is neither Podman nor Docker.")
    return f"v{version}"


def _check_file(found: os.stat_result, folder: os.stat_result, name: str) -> None:
    """Raises `DaemonAway` for what somebody else may have put there."""
    if stat.S_ISLNK(found.st_mode):
        raise DaemonAway(
            f"The socket {name} of the daemon is a link, which is not followed. Name the socket itself."
        )
    if not stat.S_ISSOCK(found.st_mode):
        raise DaemonAway(f"The socket {name} of the daemon is no socket.")
    trusted = (0, os.getuid())
    if found.st_uid not in trusted or folder.st_uid not in trusted:
        raise DaemonAway(f"The socket {name} of the daemon belongs to somebody who is neither root nor you.")
    others_rename = folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX
    if found.st_mode & stat.S_IWOTH or others_rename:
        raise DaemonAway(f"Anybody can use or replace the socket {name} of the daemon. Give it a safe mode.")


def _check_listener(address: str, name: str) -> None:
    """Raises `DaemonAway` if nobody listens, or somebody else."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_INFO_WITHIN_S)
        try:
            probe.connect(address)
        except PermissionError:
            raise DaemonAway(
                f"The server may not use the socket {name} of the daemon. Add its user to the socket's group, "
                "or use a daemon of its own."
            ) from None
        except OSError:
            raise DaemonAway("The daemon that runs containers does not answer. Is it running?") from None
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    if uid not in (0, os.getuid()):
        raise DaemonAway(f"Behind the socket {name} of the daemon is somebody who is neither root nor you.")


def _get_info(address: str) -> dict[str, object]:
    """What the daemon says of itself, asked outside of the event loop."""

    class Connection(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(_INFO_WITHIN_S)
            self.sock.connect(address)

    with contextlib.closing(Connection("localhost")) as connection:
        connection.request("GET", "/info")
        answer = connection.getresponse().read()
    info = json.loads(answer)
    return info if isinstance(info, dict) else {}
