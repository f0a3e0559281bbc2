"""Ask the advisory services of PyPI and npm about what is pinned. Run by `make audit`, in an environment of its own.

Exit status 1: something is known to be vulnerable. 2: a service did not answer, and nothing is known about what it was
asked. Only 0 means that both answered, and had nothing to say.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WITHIN_S = 300
"""For one service: it is asked about a hundred packages, one by one."""
SEVERE = ("high", "critical")


class NoAnswer(Exception):
    """`str(error)` says what came instead."""


def ask_pypi() -> list[str]:
    """A sentence for each vulnerability of a pinned Python package. Raises `NoAnswer`."""
    options = ("--disable-pip", "--no-deps", "--progress-spinner", "off", "--format", "json")
    report = _ask([sys.executable, "-m", "pip_audit", *options, "--requirement", "constraints.txt"], ROOT)
    if "dependencies" not in report:
        raise NoAnswer("an answer that has no packages in it")
    # It calls this no vulnerability, and ends well.
    skipped = [package["name"] for package in report["dependencies"] if "skip_reason" in package]
    if skipped:
        raise NoAnswer(f"nothing about {len(skipped)} packages ({', '.join(skipped[:3])}, …)")
    return [
        f"{package['name']} {package['version']}: {found['id']}; mended in "
        f"{', '.join(found['fix_versions']) or 'no version'}"
        for package in report["dependencies"]
        for found in package["vulns"]
    ]


def ask_npm() -> list[str]:
    """A sentence for each severe vulnerability of a package of the page. Raises `NoAnswer`."""
    report = _ask(["npm", "audit", "--json", "--audit-level=high", "--package-lock-only"], ROOT / "web")
    if "vulnerabilities" not in report:
        raise NoAnswer(str(report.get("message", "an answer that has no packages in it")))
    return [
        f"{name} {found['range']}: {found['severity']}"
        for name, found in report["vulnerabilities"].items()
        if found["severity"] in SEVERE
    ]


def _ask(command: Sequence[str], folder: Path) -> dict[str, Any]:
    if shutil.which(command[0]) is None:
        raise NoAnswer(f"{command[0]} is not installed")
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"nothing within {WITHIN_S} s") from None
    except ValueError:
        last = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["nothing"]
        raise NoAnswer(last[-1]) from None
    if not isinstance(found, dict):
        raise NoAnswer("an answer that is no report")
    return found


SERVICES: dict[str, Callable[[], list[str]]] = {"PyPI": ask_pypi, "npm": ask_npm}


def main() -> int:
    status = 0
    for name, ask in SERVICES.items():
        try:
            found = ask()
        except NoAnswer as error:
            print(
                f"{name}: NOT AUDITED. Its advisory service did not answer as it should: {error}.",
                file=sys.stderr,
            )
            status = max(status, 2)
            continue
        for line in found:
            print(f"{name}: {line}", file=sys.stderr)
        if found:
            status = max(status, 1)
        else:
            print(f"{name}: nothing is known against what is pinned.")
    if status == 2:
        print(
            "The audit is not done: run it again where the advisory services can be reached.", file=sys.stderr
        )
    return status


if __name__ == "__main__":
    sys.exit(main())
