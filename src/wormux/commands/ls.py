"""`wormux ls`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any

from wormux.commands.parser import add_command
from wormux.config import load


def add(commands: Any) -> None:
    parser = add_command(commands, "ls", run, "list sessions and panes")
    parser.add_argument("--json", action="store_true", default=False, help="for programs")


def run(options: dict[str, Any]) -> int:
    from wormux.server.app import Parts
    from wormux.server.control import list_sessions

    as_json = options.pop("json")
    listing = list_sessions(load(options, os.environ).data_dir, Parts())
    if as_json:
        print(json.dumps(asdict(listing), indent=2))
        return 0
    print(f"Server: {listing.server}" if listing.server else "No server is running.")
    for session in listing.sessions:
        busy = f", busy: {session['busy']}" if session.get("busy") else ""
        print(f"{session['name']}  {session['status']} ({session['provider']}{busy})")
        for tab in session["tabs"]:
            print(f"  {tab['name']}")
            for pane in tab["panes"]:
                size = f"{pane['cols']}×{pane['rows']}"
                about = "  ".join(filter(None, (pane.get("command"), pane.get("title"), pane.get("cwd"))))
                print(f"    {pane['status']:<12}  {size:<9}  {_plain(about)}".rstrip())
    return 0


def _plain(text: str) -> str:
    """A program chose this text: it must not command the terminal that it is printed to."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
