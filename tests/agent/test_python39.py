"""The agent runs on whatever python3 a sandbox has."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"
LOADED = [
    *sorted((SOURCES / "wormux" / "agent").glob("*.py")),
    SOURCES / "wormux" / "__init__.py",
    SOURCES / "wormux" / "limits.py",
    SOURCES / "wormux" / "protocol" / "__init__.py",
    SOURCES / "wormux" / "protocol" / "agent_link.py",
    SOURCES / "wormux" / "version.py",
]


@pytest.mark.parametrize("path", LOADED, ids=lambda path: str(path.relative_to(SOURCES)))
def test_is_python_3_9(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))


def test_runs_from_one_file_without_anything_installed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for source in LOADED:
        target = tree / source.relative_to(SOURCES)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    scripts = SOURCES / "wormux" / "agent" / "shells"
    (tree / "wormux" / "agent" / "shells").mkdir()
    for source in scripts.iterdir():
        (tree / "wormux" / "agent" / "shells" / source.name).write_bytes(source.read_bytes())
    archive = tmp_path / "agent.pyz"
    (tree / "__main__.py").write_text("import sys; from wormux.agent.__main__ import main; sys.exit(main())")
    zipapp.create_archive(tree, archive)
    command = [sys.executable, "-I", "-S", str(archive), "--socket", "/x", "--data-dir", "/no/such"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert done.stderr == "wormux agent: There is no data directory: /no/such\n"
