"""Pins the newest allowed version of everything: Python's packages in constraints.txt, npm's in web/package-lock.json,
and in bench/peers/ what Wormux is measured against.

Packages come from wherever pip and npm are configured to look; no address gets into the files.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
PEERS = ROOT / "bench" / "peers"

HEADER = "# Written by `make lock`: the exact versions that are tested together.\n"


def lock_python(folder: Path) -> None:
    """Pins the dependencies of the project and its extras, and what they need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(requirement for extra in extras for requirement in extra)]
    (ROOT / "constraints.txt").write_text(_pinned(folder, wanted))


def lock_peers(folder: Path) -> None:
    """Pins what they need, in Python."""
    (PEERS / "constraints.txt").write_text(_pinned(folder, ["-r", str(PEERS / "requirements.txt")]))


def _pinned(folder: Path, wanted: list[str]) -> str:
    """All that these need, at the versions that a fresh environment gets."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", *wanted], check=True)
    frozen = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True).stdout
    pins = sorted(frozen.splitlines(), key=str.lower)
    if foreign := [pin for pin in pins if "==" not in pin]:
        sys.exit(f"Only released packages can be pinned, and these are not: {', '.join(foreign)}.")
    return HEADER + "".join(f"{pin}\n" for pin in pins)


def lock_node(home: Path, folder: Path) -> None:
    """Made away from node_modules, beside which npm would leave out the packages of other platforms."""
    for name in ("package.json", ".npmrc"):
        shutil.copy(home / name, folder)
    subprocess.run(
        ["npm", "install", "--package-lock-only", "--no-audit", "--no-fund"], cwd=folder, check=True
    )
    shutil.copy(folder / "package-lock.json", home)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        lock_python(Path(folder, "python"))
        lock_peers(Path(folder, "peers"))
        for home in (WEB, PEERS):
            place = Path(folder, f"{home.name}-node")
            place.mkdir()
            lock_node(home, place)
