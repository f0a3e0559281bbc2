"""Writes constraints.txt: every package of the project, its extras and what they need, pinned exactly.

The newest allowed versions are taken from wherever pip is configured to look; no address gets into the file.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

HEADER = "# Written by `make lock`: the exact versions that are tested together.\n"


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", *wanted], check=True)
        frozen = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True).stdout
    pins = sorted(frozen.splitlines(), key=str.lower)
    if foreign := [pin for pin in pins if "==" not in pin]:
        sys.exit(f"Only released packages can be pinned, and these are not: {', '.join(foreign)}.")
    (ROOT / "constraints.txt").write_text(HEADER + "".join(f"{pin}\n" for pin in pins))


if __name__ == "__main__":
    main()
