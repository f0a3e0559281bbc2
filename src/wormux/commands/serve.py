"""`wormux serve`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from wormux.commands.parser import add_command
from wormux.config import (
    EMULATORS,
    EXIT_BEHAVIORS,
    ISOLATIONS,
    LOG_FORMATS,
    LOG_LEVELS,
    SLEEP_MODES,
    Config,
    load,
)


def add(commands: Any) -> None:
    parser = add_command(commands, "serve", run, "serve terminals to browsers")
    parser.epilog = (
        "Every option can also be given in the environment (WORMUX_PORT=8022) or in the TOML file (port = 8022); "
        "the command line goes first, then the environment."
    )
    _add_reach(parser)
    _add_sessions(parser)
    _add_shells(parser)
    _add_isolation(parser)
    _add_behavior(parser)


def _add_reach(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", help="port to listen on; 0 takes a free one (8022)")
    parser.add_argument(
        "--token",
        help="what people log in with; others on this machine can see it in `ps`: prefer --token-file",
    )
    parser.add_argument("--token-file", metavar="FILE", help="read the token from a file")
    parser.add_argument(
        "--print-token", action="store_true", help="print the token also where the output is not a terminal"
    )
    parser.add_argument(
        "--public-url",
        action="append",
        metavar="URL",
        help="how people reach the server behind a proxy, like https://example.org/terminals; may be repeated",
    )


def _add_sessions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--idle-timeout", metavar="TIME", help="when an unused sandbox sleeps: 90s, 10m, 2h or never (10m)"
    )
    parser.add_argument("--shell", metavar="CMD", help="program of new terminals (the login shell)")
    parser.add_argument(
        "--provider",
        action="append",
        metavar="NAME",
        help="a kind of sandboxes; may be repeated: the first is that of new sessions (local)",
    )
    parser.add_argument(
        "--sleep-mode",
        choices=SLEEP_MODES,
        help="what sleep is: stop ends the processes, freeze keeps them in memory (stop)",
    )
    parser.add_argument(
        "--stop-after", metavar="TIME", help="with freeze-then-stop: how long after it froze (1h)"
    )


def _add_shells(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--shell-integration",
        choices=("on", "off"),
        help="shells mark their prompts, and come back with their variables and history (on)",
    )
    parser.add_argument(
        "--env-exclude",
        action="append",
        metavar="PATTERN",
        help="variables that are not kept over sleep, instead of the usual ones; may be repeated",
    )
    parser.add_argument(
        "--busy-ignore",
        action="append",
        metavar="PATTERN",
        help="programs that never keep a sandbox awake, beyond the usual ones; may be repeated",
    )


def _add_isolation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--isolation", choices=ISOLATIONS, help="what keeps local sandboxes apart (none)")
    parser.add_argument(
        "--sandbox-network", choices=("on", "off"), help="whether isolated sandboxes reach the network (on)"
    )
    parser.add_argument("--sandbox-memory", metavar="SIZE", help="of one sandbox, where it can be limited")
    parser.add_argument("--sandbox-processes", metavar="COUNT", help="of one sandbox, likewise")
    parser.add_argument("--sandbox-files", metavar="COUNT", help="open files of one process, likewise")
    parser.add_argument(
        "--sandbox-user", metavar="NAME", help="whom isolated shells run as, if the server is root's (nobody)"
    )


def _add_behavior(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--exit-behavior",
        choices=EXIT_BEHAVIORS,
        help="what becomes of a pane whose shell has ended by itself (close)",
    )
    parser.add_argument(
        "--emulator",
        choices=EMULATORS,
        help="what keeps the panes' screens exactly; none: newest output (auto)",
    )
    parser.add_argument("--screen-memory", metavar="SIZE", help="for all screens together (512M)")
    parser.add_argument("--log-level", choices=LOG_LEVELS, help="how much is logged (info)")
    parser.add_argument("--log-format", choices=LOG_FORMATS, help="lines to read, or JSON objects (text)")
    parser.add_argument(
        "--insecure", action="store_true", help="listen beyond this machine without TLS in front"
    )


def run(options: dict[str, Any]) -> int:
    from wormux.server.app import create_app
    from wormux.server.hosting import host, listen
    from wormux.server.logs import set_up_logging
    from wormux.server.notify import Notifier

    config = load(options, os.environ)
    set_up_logging(config.log_level, config.log_format)
    notifier = Notifier.from_environ(os.environ)
    listener = listen(config.host, config.port)
    with listener:
        config = replace(config, port=listener.getsockname()[1])
        app = create_app(config)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            shells = runner.run(
                host(app, config, listener, lambda: _say_ready(config, app.state.wormux.token), notifier)
            )
    print(_goodbye(shells), flush=True)
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, which keeps up with a PTY; asyncio's own on machines that have no uvloop."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _say_ready(config: Config, token: str) -> None:
    from wormux.server.app import local_url

    shown = f"?token={quote(token, safe='')}" if config.print_token or sys.stdout.isatty() else ""
    print(f"Wormux is ready: {local_url(config.host, config.port)}/{shown}", flush=True)


def _goodbye(shells: int) -> str:
    if shells == 0:
        return "Wormux stopped. No shell is running."
    goes, them = ("1 shell goes", "it") if shells == 1 else (f"{shells} shells go", "them")
    return (
        f"Wormux stopped. {goes} on running; the next `wormux serve` finds {them}, "
        f"`wormux stop --all` ends {them}."
    )
