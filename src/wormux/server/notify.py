"""Tells a service manager how the server stands: systemd's protocol, datagrams to the socket that it named.

Where no service manager asked, nothing happens.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Sends states to `address`; never raises, since a manager that went away is no reason to fail."""

    def __init__(self, address: str | None, *, watched: bool = False) -> None:
        self._address = address
        self._watched = watched

    @classmethod
    def from_environ(cls, environ: MutableMapping[str, str]) -> Notifier:
        """Takes its variables away: shells are not to speak for the server."""
        address, watchdog_us, watchdog_pid = (environ.pop(name, None) for name in _VARIABLES)
        watched = watchdog_us is not None and watchdog_pid in (None, str(os.getpid()))
        return cls(address, watched=watched)

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}\nMAINPID={os.getpid()}")

    def stopping(self) -> None:
        self._send("STOPPING=1\nSTATUS=Telling clients, saving.")

    def alive(self) -> None:
        """The event loop runs; the manager restarts a server that does not say so in time."""
        if self._watched:
            self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if self._address is None:
            return
        abstract = self._address.startswith("@")
        address = "\0" + self._address[1:] if abstract else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(state.encode(), address)
