"""How the agent starts as the main process of a container: `python3 -I -S agent.pyz SOCKET`.

Through that socket, which only the server can have put there, comes what to do: one line of JSON, and with it the
socket that the agent shall listen on. So nothing of it is visible inside. The same connection is told that it listens,
or what is wrong.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
from pathlib import Path
from typing import Any

from wormux.agent.__main__ import main as run
from wormux.limits import BOOT_ORDER_BYTES, LINK_CONNECTIONS


def main() -> int:
    """The exit status."""
    boot = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    boot.connect(sys.argv[1])
    try:
        order, listening = _receive(boot)
        data_dir = Path(order["data_dir"])
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _limit_files(order["open_files"])
        # From now on the kernel names this process, and not the server, as the one that listens.
        listening.listen(LINK_CONNECTIONS)
    except (OSError, ValueError, KeyError) as error:
        boot.sendall(f"The agent cannot start in this container: {_reason(error)}.\n".encode())
        return 1
    inherited = ["--listen-fd", str(listening.detach()), "--ready-fd", str(boot.detach())]
    # The directory lies in the home, where a person may tidy up; the container ends the agent when it is removed.
    return run([*order["arguments"], "--data-dir", str(data_dir), "--outlives-data-dir", *inherited])


def _receive(boot: socket.socket) -> tuple[dict[str, Any], socket.socket]:
    """What to do, and the socket to listen on. Raises `OSError` and `ValueError`."""
    line, descriptors, _, _ = socket.recv_fds(boot, BOOT_ORDER_BYTES, 1)
    while not line.endswith(b"\n"):
        more = boot.recv(BOOT_ORDER_BYTES)
        if not more or len(line) > BOOT_ORDER_BYTES:
            raise ValueError("The server did not say what to do")
        line += more
    if len(descriptors) != 1:
        raise ValueError("The server gave no socket")
    os.set_inheritable(descriptors[0], False)
    order: dict[str, Any] = json.loads(line)
    return order, socket.socket(fileno=descriptors[0])


def _limit_files(most: int | None) -> None:
    """Of this process and of all that it starts."""
    if most is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
