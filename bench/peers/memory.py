"""Memory of a server with one terminal, and what each idle one adds."""

from __future__ import annotations

import time

from bench.peers import processes
from bench.peers.port import Server
from bench.peers.table import Cells

TERMINALS = 30
SETTLE_S = 1.0


def measure(server: Server) -> Cells:
    """MiB and KiB, proportional set sizes; clients as a page has them, and not counted."""
    clients = [server.shell()]
    before = _settled(server)
    clients += server.open_idle(TERMINALS)
    after = _settled(server)
    for client in clients:
        client.close()
    return {"memory base": before / 1024, "memory": (after - before) / TERMINALS}


def _settled(server: Server) -> int:
    time.sleep(SETTLE_S)
    return processes.pss_kib(server.roots)
