"""The agent as one file."""

from __future__ import annotations

import io
import runpy
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from wormux.sandbox.zipapp import MAIN, build


def test_it_holds_the_agent_and_what_that_loads_and_nothing_else() -> None:
    names = zipfile.ZipFile(io.BytesIO(build())).namelist()
    assert "wormux/agent/terminal.py" in names
    assert "wormux/agent/terminal.pyc" in names
    folders = {name.rpartition("/")[0] for name in names}
    assert folders <= {"", "wormux", "wormux/protocol", "wormux/agent", "wormux/agent/shells"}
    assert {name for name in names if name.startswith("wormux/protocol/")} == {
        f"wormux/protocol/{name}"
        for name in ("__init__.py", "__init__.pyc", "agent_link.py", "agent_link.pyc")
    }


def test_it_is_the_same_each_time() -> None:
    first = build()
    build.cache_clear()
    assert build() == first


def test_it_loads_on_a_bare_python(tmp_path: Path) -> None:
    path = tmp_path / "agent.pyz"
    path.write_bytes(build())
    missing = tmp_path / "boot.sock"
    answer = subprocess.run(
        [sys.executable, "-I", "-S", str(path), str(missing)],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stderr.endswith("FileNotFoundError: [Errno 2] No such file or directory\n")


def test_an_old_python_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "main.py").write_text(MAIN)
    path = str(tmp_path / "boot.sock")
    monkeypatch.setattr(sys, "version_info", (3, 6, 15, "final", 0))
    monkeypatch.setattr(sys, "argv", ["agent.pyz", path])
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        with pytest.raises(SystemExit):
            runpy.run_path(str(tmp_path / "main.py"))
        with listening.accept()[0] as boot:
            assert boot.recv(1000) == b"The image has Python 3.6; the agent needs 3.9 or newer.\n"
