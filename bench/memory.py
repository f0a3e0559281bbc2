"""Memory of the server and the agent, per idle pane."""

from __future__ import annotations

from pathlib import Path

from bench.report import Figure
from bench.servers import wormux

PANES = 100


def measure(_: int) -> list[Figure]:
    """Proportional set size with `PANES` panes, less that with one. Linux only: elsewhere there is no figure."""
    if not Path("/proc/self/smaps_rollup").exists():
        return []
    with wormux() as server:
        client = server.client()
        client.wait_status("connected")
        agent, worker = _agent_of(server.pid), _worker_of(server.pid)
        before = _pss(server.pid), _pss(agent), _pss(worker)
        session = client.state["sessions"][0]["id"]
        for _ in range(PANES):
            client.request({"type": "tab_create", "sessionId": session, "cols": 80, "rows": 24})
        while not all(client.state["connected"].values()) or len(client.state["connected"]) <= PANES:
            client.request({"type": "pane_focus", "paneId": client.pane_id})
        after = _pss(server.pid), _pss(agent), _pss(worker)
        client.close()
    return [
        Figure("memory per idle pane, server", (after[0] - before[0]) / PANES, "KiB"),
        Figure("memory per idle pane, agent", (after[1] - before[1]) / PANES, "KiB"),
        Figure("memory per idle pane, worker of screens", (after[2] - before[2]) / PANES, "KiB"),
        Figure("memory of a worker of screens, one pane", before[2] / 1024, "MiB"),
        Figure("memory of the server, one pane", before[0] / 1024, "MiB"),
        Figure("memory of an agent, one pane", before[1] / 1024, "MiB"),
    ]


def _agent_of(server: int) -> int:
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return next(pid for pid, command in commands.items() if b"wormux" in command and b"screen" not in command)


def _worker_of(server: int) -> int:
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return next(int(pid) for pid in children if b"wormux.screen" in Path(f"/proc/{pid}/cmdline").read_bytes())


def _pss(pid: int) -> int:
    """KiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError("The kernel does not say how much memory a process has.")
