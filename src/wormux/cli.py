"""The command line: `wormux serve`, `wormux ls`, `wormux stop --all`.

It reads options, starts what does the work, and turns the operator's faults into one sentence and exit status 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import quote

from wormux.config import EMULATORS, EXIT_BEHAVIORS, ISOLATIONS, LOG_LEVELS, SLEEP_MODES, Config, load
from wormux.errors import SandboxError, SetupError, StoreError
from wormux.version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = vars(_parser().parse_args(argv))
    command: Callable[[dict[str, Any]], int] = options.pop("command")
    try:
        return command(options)
    except (SetupError, StoreError, SandboxError) as error:
        print(f"wormux: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wormux", description="A terminal multiplexer in the browser, for machines that fall asleep."
    )
    parser.add_argument("--version", action="version", version=f"wormux {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = _command(commands, "serve", _serve, "serve terminals to browsers")
    serve.epilog = (
        "Every option can also be given in the environment (WORMUX_PORT=8022) or in the TOML file (port = 8022); "
        "the command line goes first, then the environment."
    )
    serve.add_argument("--host", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", help="port to listen on; 0 takes a free one (8022)")
    serve.add_argument(
        "--token",
        help="what people log in with; others on this machine can see it in `ps`: prefer --token-file",
    )
    serve.add_argument("--token-file", metavar="FILE", help="read the token from a file")
    serve.add_argument(
        "--print-token", action="store_true", help="print the token also where the output is not a terminal"
    )
    serve.add_argument(
        "--public-url",
        action="append",
        metavar="URL",
        help="how people reach the server behind a proxy, like https://example.org/terminals; may be repeated",
    )
    serve.add_argument(
        "--idle-timeout", metavar="TIME", help="when an unused sandbox sleeps: 90s, 10m, 2h or never (10m)"
    )
    serve.add_argument("--shell", metavar="CMD", help="program of new terminals (the login shell)")
    serve.add_argument(
        "--provider",
        action="append",
        metavar="NAME",
        help="a kind of sandboxes; may be repeated: the first is that of new sessions (local)",
    )
    serve.add_argument(
        "--sleep-mode",
        choices=SLEEP_MODES,
        help="what sleep is: stop ends the processes, freeze keeps them in memory (stop)",
    )
    serve.add_argument(
        "--stop-after", metavar="TIME", help="with freeze-then-stop: how long after it froze (1h)"
    )
    serve.add_argument(
        "--shell-integration",
        choices=("on", "off"),
        help="shells mark their prompts, and come back with their variables and history (on)",
    )
    serve.add_argument(
        "--env-exclude",
        action="append",
        metavar="PATTERN",
        help="variables that are not kept over sleep, instead of the usual ones; may be repeated",
    )
    serve.add_argument(
        "--busy-ignore",
        action="append",
        metavar="PATTERN",
        help="programs that never keep a sandbox awake, beyond the usual ones; may be repeated",
    )
    serve.add_argument("--isolation", choices=ISOLATIONS, help="what keeps local sandboxes apart (none)")
    serve.add_argument(
        "--sandbox-network", choices=("on", "off"), help="whether isolated sandboxes reach the network (on)"
    )
    serve.add_argument("--sandbox-memory", metavar="SIZE", help="of one sandbox, where it can be limited")
    serve.add_argument("--sandbox-processes", metavar="COUNT", help="of one sandbox, likewise")
    serve.add_argument("--sandbox-files", metavar="COUNT", help="open files of one process, likewise")
    serve.add_argument(
        "--sandbox-user", metavar="NAME", help="whom isolated shells run as, if the server is root's (nobody)"
    )
    serve.add_argument(
        "--exit-behavior",
        choices=EXIT_BEHAVIORS,
        help="what becomes of a pane whose shell has ended by itself (close)",
    )
    serve.add_argument(
        "--emulator",
        choices=EMULATORS,
        help="what keeps the panes' screens exactly; none: newest output (auto)",
    )
    serve.add_argument("--screen-memory", metavar="SIZE", help="for all screens together (512M)")
    serve.add_argument("--log-level", choices=LOG_LEVELS, help="how much is logged (info)")
    serve.add_argument(
        "--insecure", action="store_true", help="listen beyond this machine without TLS in front"
    )

    stop = _command(commands, "stop", _stop, "end all shells and put every sandbox to sleep")
    stop.add_argument("--all", action="store_true", required=True, help="say that you mean it")

    listing = _command(commands, "ls", _ls, "list sessions and panes")
    listing.add_argument("--json", action="store_true", default=False, help="for programs")
    return parser


def _command(
    commands: Any, name: str, function: Callable[[dict[str, Any]], int], text: str
) -> argparse.ArgumentParser:
    # An option that is not given must be absent, so that the environment and the file can give it.
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, argument_default=argparse.SUPPRESS, allow_abbrev=False
    )
    parser.set_defaults(command=function)
    parser.add_argument("--data-dir", metavar="DIR", help="where everything is kept (~/.local/share/wormux)")
    parser.add_argument("--config", metavar="FILE", help="TOML file with options")
    return parser


# --- wormux serve --------------------------------------------------------------------------------------------


def _serve(options: dict[str, Any]) -> int:
    from wormux.server.app import create_app
    from wormux.server.hosting import host, listen

    config = load(options, os.environ)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("wormux").setLevel(config.log_level.upper())
    listener = listen(config.host, config.port)
    with listener:
        config = replace(config, port=listener.getsockname()[1])
        app = create_app(config)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            shells = runner.run(
                host(app, config, listener, lambda: _say_ready(config, app.state.wormux.token))
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


# --- wormux stop and wormux ls -------------------------------------------------------------------------------


def _stop(options: dict[str, Any]) -> int:
    from wormux.server.app import Parts
    from wormux.server.control import stop_all

    del options["all"]
    report = stop_all(load(options, os.environ), Parts())
    for failure in report.failures:
        print(f"wormux: {failure}", file=sys.stderr)
    print(f"{report.stopped} {'sandbox was' if report.stopped == 1 else 'sandboxes were'} put to sleep.")
    return 1 if report.failures else 0


def _ls(options: dict[str, Any]) -> int:
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
