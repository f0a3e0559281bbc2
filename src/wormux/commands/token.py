"""`wormux token rotate`."""

from __future__ import annotations

import os
import sys
from typing import Any
from urllib.parse import quote

from wormux.commands.parser import add_command
from wormux.config import load


def add(commands: Any) -> None:
    parser = add_command(commands, "token", run, "make a new token, which ends every login at once")
    parser.add_argument("action", choices=("rotate",), help="replace the token")
    parser.add_argument(
        "--print-token", action="store_true", help="print the token also where the output is not a terminal"
    )


def run(options: dict[str, Any]) -> int:
    from wormux.server.rotation import rotate_token

    del options["action"]
    config = load(options, os.environ)
    made = rotate_token(config)
    shown = f"?token={quote(made.token, safe='')}" if config.print_token or sys.stdout.isatty() else ""
    if made.running:
        print(f"Everybody was logged out. Wormux has a new token: {made.url}/{shown}")
    else:
        print(f"No server runs; the next one takes a new token and knows no login: {made.url}/{shown}")
    return 0
