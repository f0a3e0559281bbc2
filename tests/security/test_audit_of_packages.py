"""`make audit` is green only if the advisory services were asked and had nothing to say."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from scripts import audit

GOOD_PYPI: dict[str, Any] = {"dependencies": [{"name": "a", "version": "1", "vulns": []}]}
GOOD_NPM: dict[str, Any] = {"vulnerabilities": {"b": {"range": "<2", "severity": "low"}}}
SKIPPED = {"dependencies": [{"name": "a", "skip_reason": "Dependency not found on PyPI"}]}
BAD_PYPI = {"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}]}
BAD_NPM = {"vulnerabilities": {"b": {"range": "<2", "severity": "high"}}}


@pytest.mark.parametrize(
    ("pypi", "npm", "status", "said"),
    [
        (GOOD_PYPI, GOOD_NPM, 0, ""),
        (BAD_PYPI, GOOD_NPM, 1, "PyPI: a 1: X-1; mended in 2"),
        (GOOD_PYPI, BAD_NPM, 1, "npm: b <2: high"),
        (SKIPPED, GOOD_NPM, 2, "PyPI: NOT AUDITED"),
        (BAD_PYPI, {"message": "405 Method Not Allowed"}, 2, "npm: NOT AUDITED"),
        (None, GOOD_NPM, 2, "ConnectionError: no way"),
        (GOOD_PYPI, None, 2, "npm: NOT AUDITED"),
        ([], {}, 2, "The audit is not done"),
    ],
)
def test_its_status(
    pypi: Any,
    npm: Any,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        report = npm if command[0] == "npm" else pypi
        text = "" if report is None else json.dumps(report)
        return subprocess.CompletedProcess(command, 0, text, "Traceback\nConnectionError: no way\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    assert audit.main() == status
    told = capsys.readouterr()
    assert said in told.err
    assert bool(told.err) == bool(status)
