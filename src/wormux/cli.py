"""The command line: one parser of all commands, and the operator's faults as one sentence and exit status 1.

What a command does stands in its module of `wormux.commands`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from wormux.commands import doctor, ls, serve, status, stop, token
from wormux.commands.parser import Run
from wormux.errors import SandboxError, SetupError, StoreError
from wormux.version import __version__

COMMANDS = (serve, status, ls, stop, token, doctor)
"""As `wormux --help` lists them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = vars(make_parser().parse_args(argv))
    command: Run = options.pop("command")
    try:
        status = command(options)
        sys.stdout.flush()
    except (SetupError, StoreError, SandboxError) as error:
        print(f"wormux: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does; Python would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wormux", description="A terminal multiplexer in the browser, for machines that fall asleep."
    )
    parser.add_argument("--version", action="version", version=f"wormux {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add(commands)
    return parser
