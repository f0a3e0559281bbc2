"""What the docs say of the code is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

from wormux.sandbox.port import Provider, Sandbox, SandboxEvent, Terminal, TerminalEvent
from wormux.testing.sandbox_conformance import SandboxConformance
from wormux.testing.sandbox_conformance.kind import WITHOUT

ROOT = Path(__file__).parents[2]


def test_the_life_cycles_are_drawn_from_the_tables() -> None:
    script = ROOT / "scripts" / "lifecycle_diagrams.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_files_that_the_docs_name_are_there() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    named = set()
    for page in pages:
        text = page.read_text()
        named |= {(page, page.parent / link) for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text)}
    for page in (ROOT / "docs" / "architecture.md", ROOT / "docs" / "security.md"):
        for name in re.findall(
            r"`((?!\w+/test_)[a-z_]+/[\w./-]+\.(?:py|ts)|web/[\w./-]+)`", page.read_text()
        ):
            named.add((page, (ROOT if name.startswith("web/") else ROOT / "src" / "wormux") / name))
    assert len(named) > 30
    assert [f"{page.name}: {path}" for page, path in sorted(named) if not path.exists()] == []


class TestProviders:
    """docs/providers.md shows the example as it is, and misses nothing of the port and the suite."""

    PAGE = ROOT / "docs" / "providers.md"

    def test_what_it_shows_is_the_examples_own_code(self) -> None:
        shown = re.findall(
            r"\]\((\.\./examples/[^)]+)\)[^\n]*:\n\n```\w+\n(.*?\n)```\n", self.PAGE.read_text(), re.DOTALL
        )
        assert len(shown) == self.PAGE.read_text().count("```") // 2 == 3
        for name, code in shown:
            assert code in (self.PAGE.parent / name).read_text(), name

    def test_every_method_of_the_port_is_in_its_table(self) -> None:
        told = set(
            re.findall(r"^\| `((?:Provider|Sandbox|Terminal)\.\w+)` \|", self.PAGE.read_text(), re.MULTILINE)
        )
        there = {
            f"{port.__name__}.{name}"
            for port in (Provider, Sandbox, Terminal)
            for name in {*vars(port), *port.__annotations__}
            if not name.startswith("_")
        }
        assert told == there - {"Provider.name"}  # which is told in the four steps

    def test_every_ability_is_told(self) -> None:
        told = re.findall(
            r"^\| `(\w+)` \| (.+) \|$", self.PAGE.read_text().partition("| ability |")[2], re.MULTILINE
        )
        assert dict(told) == WITHOUT
        assert all(getattr(SandboxConformance, ability) is True for ability in WITHOUT)

    def test_every_event_is_told(self) -> None:
        events = self.PAGE.read_text().partition("## Events")[2].partition("\n## ")[0]
        names = {event.__name__ for event in (*get_args(TerminalEvent), *get_args(SandboxEvent))}
        assert names <= set(re.findall(r"`(\w+)`", events))
