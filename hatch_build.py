"""The build hook: a wheel and an sdist always hold the page of their own sources."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageBuildHook(BuildHookInterface[Any]):
    """Has the page built before its files are gathered; an editable install leaves that to the Makefile."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        script = Path(self.root) / "scripts" / "build_page.py"
        built = subprocess.run([sys.executable, script], check=False)
        if built.returncode != 0:
            sys.exit(built.returncode)
