"""Writes docs/commands.md from the parsers, the settings and the Makefile: `python scripts/reference.py [--check]`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wormux.cli import make_parser
from wormux.config import ENV_PREFIX, SETTINGS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "commands.md"
_INTRODUCTION = """\
# Commands and settings

Written by `scripts/reference.py` from the commands themselves; `wormux COMMAND --help` says the same.

`--data-dir DIR` (`WORMUX_DATA_DIR`, `data_dir`) says where everything is kept, and `--config FILE` (`WORMUX_CONFIG`)
names a TOML file with settings; every command takes both. A setting on the command line goes first, then the
environment, then the file. Options that may be repeated are lists in the file, and words with spaces between in the
environment.
"""


def page() -> str:
    """The whole page."""
    commands = [section for name, parser in _commands() for section in _section(name, parser)]
    return "\n".join([_INTRODUCTION, *commands, *_file_settings(), *_targets()])


def options_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What is told of a command: all but what every command has."""
    common = {"help", "data_dir", "config"}
    return [action for action in parser._actions if action.dest not in common]


def _commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield from _leaves("wormux", make_parser())


def _leaves(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The commands that can be run, however deep they lie."""
    below: list[Any] = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not below:
        yield name, parser
    for action in below:
        for word, inner in action.choices.items():
            yield from _leaves(f"{name} {word}", inner)


def _section(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    about = (parser.description or "").rstrip(".")
    yield f"## `{name}`\n{about[:1].upper()}{about[1:]}.\n"
    options = options_of(parser)
    if not options:
        return
    settings = {action.dest for action in options} & SETTINGS.keys()
    if settings:
        yield "| option | environment | key in the file | what it says |\n| --- | --- | --- | --- |"
    else:
        yield "| option | what it says |\n| --- | --- |"
    for action in options:
        cells = [f"`{_shown(action)}`"]
        if settings:
            is_setting = action.dest in SETTINGS
            cells.append(f"`{ENV_PREFIX}{action.dest.upper()}`" if is_setting else "")
            cells.append(f"`{action.dest}`" if is_setting else "")
        yield f"| {' | '.join([*cells, _cell(action.help or '')])} |"
    yield ""


def _shown(action: argparse.Action) -> str:
    value = "\\|".join(map(str, action.choices)) if action.choices else action.metavar or action.dest.upper()
    name = action.option_strings[-1] if action.option_strings else ""
    return name if action.nargs == 0 else f"{name} {value}".strip()


def _cell(text: str) -> str:
    return text.replace("%%", "%").replace("|", "\\|")


def _file_settings() -> Iterator[str]:
    """Settings that no option has."""
    told = {action.dest for _, parser in _commands() for action in parser._actions}
    alone = sorted(SETTINGS.keys() - told)
    yield "## In the file alone\n"
    yield "| key | what it says |\n| --- | --- |"
    yield from (f"| `{name}` | {_cell(FILE_SETTINGS[name])} |" for name in alone)
    yield ""


FILE_SETTINGS = {
    "provider_options": "tables of settings for one provider each, as `[provider_options.container]`",
}


def _targets() -> Iterator[str]:
    yield "## From a checkout\n"
    yield "| command | what it does |\n| --- | --- |"
    for name, text in re.findall(r"^([a-z-]+):.*?## (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE):
        yield f"| `make {name}` | {_cell(text)} |"
    yield ""


def main() -> int:
    """Write the page, or say that it is not as it should be."""
    text = page().rstrip("\n") + "\n"
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        print("docs/commands.md is not what the commands say; run scripts/reference.py.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
