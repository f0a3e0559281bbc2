from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from wormux.server.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(10)
        yield listening


def test_says_how_the_server_stands(manager: socket.socket) -> None:
    environ = {
        "NOTIFY_SOCKET": manager.getsockname(),
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/",
    }
    notifier = Notifier.from_environ(environ)
    assert environ == {"HOME": "/"}
    notifier.ready("Serving.")
    notifier.alive()
    notifier.stopping()
    said = [manager.recv(1000).decode().splitlines() for _ in range(3)]
    assert said[0] == ["READY=1", "STATUS=Serving.", f"MAINPID={os.getpid()}"]
    assert said[1] == ["WATCHDOG=1"]
    assert said[2][0] == "STOPPING=1"


@pytest.mark.parametrize("watchdog", [{}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}])
def test_says_that_it_is_alive_only_to_who_asked(manager: socket.socket, watchdog: dict[str, str]) -> None:
    notifier = Notifier.from_environ({"NOTIFY_SOCKET": manager.getsockname(), **watchdog})
    notifier.alive()
    notifier.stopping()
    assert manager.recv(1000).startswith(b"STOPPING=1")


def test_knows_abstract_sockets() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")  # the kernel chooses a name
        name = listening.getsockname()
        listening.settimeout(10)
        Notifier("@" + name[1:].decode()).stopping()
        assert listening.recv(1000).startswith(b"STOPPING=1")


@pytest.mark.parametrize("address", [None, "/no/such/socket", "@wormux-no-such", "x" * 300])
def test_a_manager_that_is_not_there_harms_nothing(address: str | None) -> None:
    Notifier(address).ready("Serving.")
