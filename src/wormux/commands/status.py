"""`wormux status`: how the server is, or what is stored where none runs."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any

from wormux.commands.parser import add_command
from wormux.config import load
from wormux.limits import MIB


def add(commands: Any) -> None:
    parser = add_command(commands, "status", run, "say how the server is; what is stored, if none runs")
    parser.add_argument("--json", action="store_true", default=False, help="for programs")


def run(options: dict[str, Any]) -> int:
    from wormux.server.app import Parts
    from wormux.server.status import look

    as_json = options.pop("json")
    status = look(load(options, os.environ).data_dir, Parts())
    server = status.server
    failed = server is not None and not server.ready
    if as_json:
        print(json.dumps(asdict(status), indent=2))
        return int(failed)
    if server is None:
        print("No server is running.")
    else:
        process = "" if server.pid is None else f", process {server.pid}"
        since = "" if server.uptime_s is None else f", up {_duration(server.uptime_s)}"
        print(f"Server: {server.address} (Wormux {server.version}{process}{since})")
        print(f"Health: {server.health}")
        print(f"Connections: {server.connections}")
    print(f"Sessions: {_counted(status.sessions)}")
    print(f"Panes: {_counted(status.panes)}")
    print(f"Store: {status.store_bytes / MIB:.1f} MiB")
    for warning in status.warnings:
        print(f"Warning: {warning.removeprefix('warning: ')}")
    return int(failed)


def _counted(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in numbers.items()) or "none"


def _duration(seconds: float) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"
