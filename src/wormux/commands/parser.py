"""What the parsers of all commands have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

Run = Callable[[dict[str, Any]], int]
"""Runs a command with the options that were given; returns the exit status."""


def add_command(commands: Any, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    """A parser for one command, with the options that all have; `text` says in a line what the command is for."""
    # An option that is not given must be absent, so that the environment and the file can give it.
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, argument_default=argparse.SUPPRESS, allow_abbrev=False
    )
    parser.set_defaults(command=run)
    parser.add_argument("--data-dir", metavar="DIR", help="where everything is kept (~/.local/share/wormux)")
    parser.add_argument("--config", metavar="FILE", help="TOML file with options")
    return parser
