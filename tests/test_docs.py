"""What the docs say of the code is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


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
        for name in re.findall(r"`([a-z_]+/[\w./-]+\.(?:py|ts)|web/[\w./-]+)`", page.read_text()):
            named.add((page, (ROOT if name.startswith("web/") else ROOT / "src" / "wormux") / name))
    assert len(named) > 30
    assert [f"{page.name}: {path}" for page, path in sorted(named) if not path.exists()] == []
