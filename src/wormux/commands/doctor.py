"""`wormux doctor`: what is installed, what can be used here, and what to do about the rest."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any

from wormux.commands.parser import add_command
from wormux.config import load


def add(commands: Any) -> None:
    parser = add_command(commands, "doctor", run, "say what is installed, and what can be used here")
    parser.add_argument("--json", action="store_true", default=False, help="for programs")


def run(options: dict[str, Any]) -> int:
    from wormux.server.checkup import check, serving_fails

    as_json = options.pop("json")
    findings = check(load(options, os.environ))
    failed = serving_fails(findings)
    if as_json:
        print(json.dumps({"serves": not failed, "findings": list(map(asdict, findings))}, indent=2))
        return int(failed)
    for finding in findings:
        print(f"{finding.state:<7}  {finding.name}: {finding.about}")
    if failed:
        print("`wormux serve` would not start like this.")
    return int(failed)
