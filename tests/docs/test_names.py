"""What the pages call by name is there, and the other way round: commands, options, settings, make targets, metrics."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wormux.agent.__main__ import make_parser as make_agent_parser
from wormux.cli import make_parser
from wormux.config import ENV_PREFIX, SETTINGS
from wormux.sandbox import cloudflare_options, container_options
from wormux.server.telemetry import Telemetry

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("deploy/**/*.md")),
]
SOURCES = [path for folder in ("src", "tests", "bench", "fuzz") for path in (ROOT / folder).rglob("*.py")]
MAKEFILE = (ROOT / "Makefile").read_text()
OTHERS = {
    "--no-sandbox": "Chromium's",
    "--rcfile": "bash's",
    "--init-command": "fish's",
}
"""Options that pages speak of alone, whose program they name in the same sentence."""


def spans() -> Iterator[tuple[str, str]]:
    """Every piece of code within a sentence, with the name of its page."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        yield from ((page.name, span.replace("\\|", "|")) for span in re.findall(r"`([^`\n]+)`", text))


def lines() -> Iterator[tuple[str, str]]:
    """Every line of the blocks of code for a shell."""
    for page in PAGES:
        blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        for block in blocks:
            yield from ((page.name, line) for line in block.replace("\\\n", " ").splitlines() if line.strip())


def options(parser: argparse.ArgumentParser) -> set[str]:
    """All that a parser and those below it know."""
    found: set[str] = set()
    for action in parser._actions:
        found |= set(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                found |= options(inner)
    return found


def parser_of(words: list[str]) -> argparse.ArgumentParser | None:
    """Of the command that the words begin with; None if there is no such."""
    parser = make_parser()
    for word in words:
        below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        if not below:
            return parser
        if word not in below[0].choices:
            return None
        parser = below[0].choices[word]
    return parser


def wormux_commands() -> Iterator[tuple[str, list[str]]]:
    """Every command line of ours that a page shows, without the word `wormux`."""
    for page, text in (*spans(), *lines()):
        match = re.match(r"(?:\$ )?(?:\S*/)?wormux ([a-z].*)", text)
        if match:
            yield page, [word for word in shlex.split(match[1], comments=True) if word not in ("…", "&")]


def test_commands_and_their_options_are_there() -> None:
    shown = list(wormux_commands())
    assert len(shown) > 10
    wrong = []
    for page, words in shown:
        parser = parser_of(words)
        if parser is None:
            wrong.append((page, words))
            continue
        wrong += [
            (page, [w]) for w in words if w.startswith("--") and w.partition("=")[0] not in options(parser)
        ]
    assert wrong == []


def test_options_that_stand_alone_are_there() -> None:
    tools = set(
        re.findall(r"add_argument\(\s*\"(--[a-z-]+)\"", "\n".join(path.read_text() for path in SOURCES))
    )
    known = options(make_parser()) | options(make_agent_parser()) | tools | OTHERS.keys()
    shown = {(page, name) for page, text in spans() for name in re.findall(r"^--[a-z][a-z-]*", text)}
    assert len(shown) > 30
    assert sorted((page, name) for page, name in shown if name not in known) == []


def test_environment_variables_are_there() -> None:
    known = {f"{ENV_PREFIX}{name.upper()}" for name in SETTINGS} | {f"{ENV_PREFIX}CONFIG"}
    read = set(re.findall(rf"{ENV_PREFIX}[A-Z][A-Z_]+", "\n".join(path.read_text() for path in SOURCES)))
    shown = {
        (page.name, name)
        for page in PAGES
        for name in re.findall(rf"{ENV_PREFIX}[A-Z][A-Z_]+", page.read_text())
    }
    assert len(shown) > 20
    assert sorted((page, name) for page, name in shown if name not in known | read) == []


def test_every_command_option_and_setting_is_told() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_make_targets_are_there_and_told() -> None:
    there = set(re.findall(r"^([a-z-]+):(?!=)", MAKEFILE, re.MULTILINE))
    told = set(re.findall(r"^([a-z-]+):.*?## ", MAKEFILE, re.MULTILINE))
    shown = {
        (page, name)
        for page, text in (*spans(), *lines())
        for name in re.findall(r"^(?:\$ )?make ([a-z][a-z-]*)", text)
    }
    assert len(shown) > 5
    assert sorted((page, name) for page, name in shown if name not in there) == []
    helpers = {"page", "check-python", "check-page"}
    assert there - told == helpers


def test_metrics_are_there_and_told() -> None:
    there = set(re.findall(r"^# TYPE (wormux_\w+) ", Telemetry().text().decode(), re.MULTILINE))
    page = (ROOT / "docs" / "operations.md").read_text()
    told = set(re.findall(r"^\| `(wormux_\w+)", page, re.MULTILINE))
    assert len(there) > 10
    assert told == there
    everywhere = {(page, name) for page, text in spans() for name in re.findall(r"\bwormux_[a-z_]+\b", text)}
    parts = {f"{name}{part}" for name in there for part in ("_bucket", "_sum", "_count", "_total")}
    packages = {path.stem for path in ROOT.glob("examples/*/src/*")}
    assert sorted((page, name) for page, name in everywhere if name not in there | parts | packages) == []


@pytest.mark.parametrize(
    ("page", "keys"),
    [("containers.md", container_options.KEYS), ("cloudflare.md", cloudflare_options.KEYS)],
    ids=["containers", "cloudflare"],
)
def test_settings_of_providers_are_told(page: str, keys: tuple[str, ...]) -> None:
    text = (ROOT / "docs" / page).read_text()
    table = re.search(r"^\| option \|.*?\n\n", text, re.DOTALL | re.MULTILINE)
    assert table is not None
    assert re.findall(r"^\| `(\w+)` \|", table[0], re.MULTILINE) == list(keys)
