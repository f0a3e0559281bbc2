"""`wormux stop --all`."""

from __future__ import annotations

import os
import sys
from typing import Any

from wormux.commands.parser import add_command
from wormux.config import load


def add(commands: Any) -> None:
    parser = add_command(commands, "stop", run, "end all shells and put every sandbox to sleep")
    parser.add_argument("--all", action="store_true", required=True, help="say that you mean it")


def run(options: dict[str, Any]) -> int:
    from wormux.server.app import Parts
    from wormux.server.control import stop_all

    del options["all"]
    report = stop_all(load(options, os.environ), Parts())
    for failure in report.failures:
        print(f"wormux: {failure}", file=sys.stderr)
    print(f"{report.stopped} {'sandbox was' if report.stopped == 1 else 'sandboxes were'} put to sleep.")
    return 1 if report.failures else 0
