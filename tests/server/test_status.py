"""`wormux status` of servers that are not well: what they answer is given here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wormux.cli import main
from wormux.server import status
from wormux.server.telemetry import Telemetry
from wormux.store.lock import RunningServer


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, str]]:
    """By path; without one, the server cannot be reached."""
    found: dict[str, tuple[int, str]] = {}

    def get(url: str, token: str | None = None) -> tuple[int, str]:
        path = url.removeprefix("http://127.0.0.1:1")
        assert token == ("control" if path == "/metrics" else None)
        if path not in found:
            raise ConnectionRefusedError(111, "Connection refused")
        return found[path]

    monkeypatch.setattr(status, "running_server", lambda _: RunningServer(7, "http://127.0.0.1:1"))
    monkeypatch.setattr(status, "read_control_token", lambda _: "control")
    monkeypatch.setattr(status, "_get", get)
    return found


def test_who_is_not_ready_says_why_and_is_exit_status_1(
    answers: dict[str, tuple[int, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry = Telemetry()
    telemetry.counts.connections = 3
    telemetry.counts.hub_failures = 2
    telemetry.counts.agents_lost = 1
    answers["/healthz"] = (
        503,
        "The last change could not be stored.\nwarning: No worker of screens comes up.\n",
    )
    answers["/metrics"] = (200, telemetry.text().decode())
    assert main(["status", "--data-dir", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Server: http://127.0.0.1:1 (Wormux ")
    assert lines[1:6] == [
        "Health: The last change could not be stored.",
        "Connections: 3",
        "Sessions: none",
        "Panes: none",
        "Store: 0.0 MiB",
    ]
    assert lines[6:10] == [
        "Warning: The last change could not be stored.",
        "Warning: No worker of screens comes up.",
        "Warning: 2 failures that are bugs: look into the log for them.",
        "Warning: 1 agents ended without being asked to.",
    ]
    assert main(["status", "--json", "--data-dir", str(tmp_path)]) == 1
    assert json.loads(capsys.readouterr().out)["server"]["ready"] is False


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "does not answer: [Errno 111] Connection refused."),
        ({"/healthz": (200, "ok\n"), "/metrics": (401, "")}, "does not tell its metrics: it answers 401."),
    ],
)
def test_who_does_not_answer_is_named(
    answers: dict[str, tuple[int, str]],
    given: dict[str, tuple[int, str]],
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers |= given
    assert main(["status", "--data-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith(f"{sentence}\n")


def test_who_is_just_starting_is_to_be_asked_again(
    answers: dict[str, tuple[int, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(status, "running_server", lambda _: RunningServer(7, None))
    assert main(["status", "--data-dir", str(tmp_path)]) == 1
    assert "is starting or stopping" in capsys.readouterr().err
