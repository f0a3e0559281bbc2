"""docs/security.md promises nothing that no test tries to break, and knows the audit log."""

from __future__ import annotations

import re
from pathlib import Path

from wormux.hub.effects import Deed
from wormux.limits import (
    AUDIT_FAILED_LOGINS,
    AUDIT_FILE_BYTES,
    AUDIT_FILES,
    CONNECTION_UNSENT_BYTES,
    LOGIN_ATTEMPTS,
    MIB,
    SESSION_COOKIE_S,
    STRANGERS,
)
from wormux.server.audit import SERVER_EVENTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of a table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_promise_names_its_tests_and_they_are_there() -> None:
    promises = rows(section("What is promised"))
    assert len(promises) > 20
    for row in promises:
        attack, promise, where, tests = row
        assert attack, row
        assert promise, row
        assert names(where), attack
        assert names(tests), attack
        assert tests == ", ".join(f"`{name}`" for name in names(tests)), attack
        missing = [name for name in names(tests) if not (ROOT / "tests" / name).is_file()]
        assert missing == [], attack
        for name in names(tests):
            assert re.search(
                r"^(?:    )?(?:async )?def test_", (ROOT / "tests" / name).read_text(), re.MULTILINE
            )
        for name in names(where):
            assert any((ROOT / folder / name).is_file() for folder in ("", "src/wormux")), name


def test_every_security_test_stands_behind_a_promise() -> None:
    told = {name for row in rows(section("What is promised")) for name in names(row[3])}
    own = {path.relative_to(ROOT / "tests").as_posix() for path in Path(__file__).parent.glob("test_*.py")}
    assert own - told == {"security/test_threat_model.py"}


def test_the_audit_logs_events_are_all_told() -> None:
    told = {name for row in rows(section("The audit log")) for name in names(row[0])}
    assert told == {deed.value for deed in Deed} | set(SERVER_EVENTS)


def test_the_numbers_are_those_of_the_code() -> None:
    number = {10: "ten"}
    assert f"{number[LOGIN_ATTEMPTS]} wrong ones in a minute" in PAGE
    assert f"at most {number[AUDIT_FAILED_LOGINS]} a minute have a line" in PAGE
    assert f"strangers have {STRANGERS} connections" in PAGE
    assert f"for {SESSION_COOKIE_S // 86400} days" in PAGE
    assert f"costs at most {CONNECTION_UNSENT_BYTES // MIB} MiB" in PAGE
    assert f"at most {AUDIT_FILE_BYTES // MIB} MiB" in PAGE
    assert AUDIT_FILES == 4
