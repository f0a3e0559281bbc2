from __future__ import annotations

import json
import logging
import os
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from wormux.hub.effects import Deed, Note
from wormux.ids import ClientId, ConnectionId, PaneId, SessionId
from wormux.limits import (
    AUDIT_FAILED_LOGINS,
    AUDIT_FAILED_LOGINS_WITHIN_S,
    AUDIT_FILE_BYTES,
    AUDIT_FILES,
    AUDIT_LINES_WAITING,
)
from wormux.server import audit as audit_module
from wormux.server.audit import AUDIT_FILE, AuditLog, audit_files

NOW_S = datetime(2026, 5, 4, 3, 2, 1, 500_000, UTC).timestamp()


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def make(folder: Path, clock: Clock | None = None) -> AuditLog:
    return AuditLog(folder / AUDIT_FILE, now_s=lambda: NOW_S, mono_s=clock or Clock())


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in audit_files(folder) for line in path.read_text().splitlines()]


def test_a_line_says_when_what_and_who(tmp_path: Path) -> None:
    audit = make(tmp_path)
    audit.note("login", "192.0.2.1")
    who = (ConnectionId(7), ClientId("me"))
    audit.deed(Note(Deed.PANE_CREATE, *who, SessionId("s_1"), None, PaneId("p_1")), "192.0.2.1")
    audit.deed(Note(Deed.TAB_CLOSE, None, session_id=SessionId("s_1"), name="two\nlines \u202e"), None)
    audit.close()
    assert lines(tmp_path) == [
        {"time": "2026-05-04T03:02:01.500Z", "event": "login", "peer": "192.0.2.1"},
        {
            "time": "2026-05-04T03:02:01.500Z",
            "event": "pane_create",
            "peer": "192.0.2.1",
            "connection": 7,
            "client": "me",
            "session": "s_1",
            "pane": "p_1",
        },
        {
            "time": "2026-05-04T03:02:01.500Z",
            "event": "tab_close",
            "session": "s_1",
            "name": "two\nlines \u202e",
        },
    ]
    text = (tmp_path / AUDIT_FILE).read_text()
    assert text.isascii(), "Nothing in it commands a terminal that shows it."
    assert text.count("\n") == 3
    assert stat.S_IMODE((tmp_path / AUDIT_FILE).stat().st_mode) == 0o600


def test_failed_logins_are_counted_when_they_are_many(tmp_path: Path) -> None:
    clock = Clock()
    audit = make(tmp_path, clock)
    for number in range(AUDIT_FAILED_LOGINS + 1000):
        audit.login_failed(f"192.0.2.{number % 250}", "/ws")
    clock.now_s += AUDIT_FAILED_LOGINS_WITHIN_S
    audit.login_failed("192.0.2.1", "/")
    audit.close()
    found = lines(tmp_path)
    assert [line["event"] for line in found] == [
        *["login_failed"] * AUDIT_FAILED_LOGINS,
        "logins_failed_more",
        "login_failed",
    ]
    assert found[AUDIT_FAILED_LOGINS]["count"] == 1000


def test_those_that_were_counted_last_are_said_at_the_end(tmp_path: Path) -> None:
    audit = make(tmp_path)
    for _ in range(AUDIT_FAILED_LOGINS + 3):
        audit.login_failed("192.0.2.1", "/")
    audit.close()
    assert (lines(tmp_path)[-1]["event"], lines(tmp_path)[-1]["count"]) == ("logins_failed_more", 3)


def test_its_size_is_bounded_and_the_oldest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "AUDIT_FILE_BYTES", 300)
    for number in range(40):
        audit = make(tmp_path)
        audit.note("login", f"192.0.2.{number}")
        audit.close()
    files = audit_files(tmp_path)
    assert [path.name for path in files] == ["audit.log.3", "audit.log.2", "audit.log.1", "audit.log"]
    assert all(path.stat().st_size <= 300 for path in files)
    assert len(list(tmp_path.iterdir())) == AUDIT_FILES
    numbers = [int(line["peer"].rpartition(".")[2]) for line in lines(tmp_path)]
    assert numbers == list(range(numbers[0], 40))
    assert AUDIT_FILE_BYTES * AUDIT_FILES <= 16 * 1024 * 1024


def test_a_write_that_fails_is_said_once_and_what_is_missing_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "gone"
    audit = make(folder)
    for _ in range(3):
        audit.note("login", "192.0.2.1")
        drain(audit)
    folder.mkdir()
    audit.note("attach", "192.0.2.1")
    audit.close()
    assert [(line["event"], line.get("count")) for line in lines(folder)] == [
        ("attach", None),
        ("lines_lost", 3),
    ]
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in errors] == [
        "The audit log cannot be written: No such file or directory. The server goes on."
    ]


def drain(audit: AuditLog) -> None:
    """Until its thread has tried all that waited."""
    with audit._changed:
        assert audit._changed.wait_for(lambda: audit._idle and not audit._waiting, 20)


def test_a_line_that_was_cut_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk took half of it."""
    audit = make(tmp_path)
    audit.note("login", "192.0.2.1")
    drain(audit)
    write, calls = os.write, []

    def short(fd: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) == 1:
            return write(fd, data[:10])
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os, "write", short)
    audit.note("login", "192.0.2.2")
    drain(audit)
    audit.note("login", "192.0.2.3")
    audit.close()
    assert [line.get("peer") for line in lines(tmp_path)] == ["192.0.2.1", "192.0.2.3", None]


@pytest.mark.parametrize("kind", ["link", "pipe", "second name", "directory"])
def test_nothing_but_a_file_of_its_own_is_written(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, other = tmp_path / AUDIT_FILE, tmp_path / "other"
    other.touch()
    if kind == "link":
        path.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "second name":
        path.hardlink_to(other)
    else:
        path.mkdir()
    audit = make(tmp_path)
    audit.note("login", "192.0.2.1")
    audit.close()
    assert other.read_bytes() == b""
    assert "The audit log cannot be written" in caplog.text


def test_a_disk_that_takes_nothing_costs_no_memory_and_delays_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    append = AuditLog._append

    def stuck(self: AuditLog, lines: list[str]) -> None:
        begun.set()
        assert goes_on.wait(20)
        append(self, lines)

    monkeypatch.setattr(AuditLog, "_append", stuck)
    audit = make(tmp_path)
    audit.note("login", "192.0.2.0")
    assert begun.wait(20)
    for _ in range(3 * AUDIT_LINES_WAITING):
        audit.note("login", "192.0.2.1")
    assert len(audit._waiting) == AUDIT_LINES_WAITING
    goes_on.set()
    audit.close()
    found = lines(tmp_path)
    assert len(found) == 1 + AUDIT_LINES_WAITING + 1
    assert (found[-1]["event"], found[-1]["count"]) == ("lines_lost", 2 * AUDIT_LINES_WAITING)
