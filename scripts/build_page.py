"""Builds the page from web/ into src/wormux/server/page/ where it is absent or older than its sources.

Whether it is up to date is told by the contents of the sources, not by their times, so that an sdist, which
carries the built page, needs no Node.js. Standard library only: the build hook runs it as well.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
PAGE = ROOT / "src" / "wormux" / "server" / "page"
STAMP = PAGE / ".built-from"
"""The digest of the sources that the page beside it was built from."""

OLDEST_NODE = (20, 19)


def sources() -> Iterator[Path]:
    """What the built page depends on, in a fixed order."""
    top = (path for path in WEB.iterdir() if path.is_file() and path.name != "biome.json")
    below = (path for folder in ("src", "public") for path in (WEB / folder).rglob("*") if path.is_file())
    yield from sorted(path for path in (*top, *below) if ".test." not in path.name)


def digest() -> str:
    total = hashlib.sha256()
    for path in sources():
        content = path.read_bytes()
        total.update(f"{path.relative_to(WEB).as_posix()} {len(content)}\n".encode())
        total.update(content)
    return total.hexdigest()


def install_packages() -> None:
    """Runs `npm ci` where the installed packages are absent or older than the lock."""
    lock, installed = WEB / "package-lock.json", WEB / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    run("npm", "ci", "--no-audit", "--no-fund")
    installed.touch()


def run(*command: str) -> None:
    try:
        subprocess.run(command, cwd=WEB, check=True, stdin=subprocess.DEVNULL)
    except subprocess.CalledProcessError as error:
        sys.exit(f"Building the page failed: `{' '.join(command)}` in web/ ended with {error.returncode}.")


def check_node() -> None:
    needed = "Building the page needs Node.js {}.{} or later with npm".format(*OLDEST_NODE)
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        sys.exit(f"{needed}, and no {'npm' if node else 'node'} is on PATH.")
    version = subprocess.run([node, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    if tuple(int(number) for number in version.removeprefix("v").split(".")[:2]) < OLDEST_NODE:
        sys.exit(f"{needed}, and {node} is {version}.")


def main() -> None:
    current = digest()
    stale = not STAMP.exists() or STAMP.read_text() != current
    # In a checkout the packages serve the checks as well; an sdist with its page needs none.
    if stale or (ROOT / ".git").exists():
        check_node()
        install_packages()
    if stale:
        run("npm", "run", "--silent", "build")
        STAMP.write_text(current)


if __name__ == "__main__":
    main()
