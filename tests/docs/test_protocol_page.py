"""docs/protocol.md and the server's own definitions name the same messages, fields, codes and words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from wormux.errors import ErrorCode
from wormux.protocol import messages
from wormux.protocol.close_codes import CloseCode

TEXT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
SECTIONS = dict(re.findall(r"^## (\d+)\. .*?\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE))
ROOM = SECTIONS["9"]
"""What is beyond the contract stands there."""
CLIENT_MESSAGES = {member.__struct_config__.tag: member for member in get_args(messages.ClientMessage)}
SERVER_MESSAGES = {member.__struct_config__.tag: member for member in get_args(messages.AnyServerMessage)}


def rows(section: str) -> dict[str, list[str]]:
    """The tables of a section, by the words of their first column."""
    found = {}
    for line in re.findall(r"^\| `?[\w ]+`? \|.*\|$", SECTIONS[section], re.MULTILINE):
        first, *cells = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
        found[first.strip("`")] = cells
    return found


def named(text: str) -> set[str]:
    """The fields that a cell names, without what stands in their own brackets."""
    bare = re.sub(r"\{[^{}]*\}|\([^()]*\)", "", text)
    return {name.rstrip("?") for name in re.findall(r"`(\w+\??)`", bare)}


def fields(message: Any) -> set[str]:
    """As they are on the wire, without `ref`, which all requests have."""
    return set(message.__struct_encode_fields__) - {"ref"}


@pytest.mark.parametrize(
    ("section", "there"), [("3", CLIENT_MESSAGES), ("4", SERVER_MESSAGES)], ids=["client", "server"]
)
def test_the_tables_list_the_messages(section: str, there: dict[str, Any]) -> None:
    assert [name for name in rows(section) if name in there] == list(rows(section))[1 : len(there) + 1]
    assert there.keys() <= rows(section).keys()


@pytest.mark.parametrize("tag", CLIENT_MESSAGES)
def test_the_fields_of_requests(tag: str) -> None:
    told = named(rows("3")[tag][0]) - set(get_args(messages.Orientation)) - set(get_args(messages.Direction))
    beyond = fields(CLIENT_MESSAGES[tag]) - told
    assert told <= fields(CLIENT_MESSAGES[tag])
    assert all(f"`{name}`" in ROOM and f"`{tag}`" in ROOM for name in beyond), beyond


@pytest.mark.parametrize("tag", SERVER_MESSAGES)
def test_the_fields_of_messages(tag: str) -> None:
    told = named(rows("4")[tag][0]) - {"ref", "input", "sessions"}
    there = fields(SERVER_MESSAGES[tag]) - {"sessions"} - ({"input"} if tag != "state" else set())
    beyond = there - told - {"input"}
    assert told <= there
    assert all(f"`{name}`" in ROOM and f"`{tag}`" in ROOM for name in beyond), beyond


@pytest.mark.parametrize(
    ("name", "record"),
    [("sessions", messages.SessionInfo), ("tabs", messages.TabInfo), ("panes", messages.PaneInfo)],
)
def test_the_fields_of_records(name: str, record: Any) -> None:
    (inside,) = re.findall(rf"^- `{name}`: [^\n]*?\{{([^{{}}\n]+)\}}", SECTIONS["4"], re.MULTILINE)
    told = {field.strip().rstrip("?") for field in inside.split(",")}
    assert told <= fields(record)
    assert all(re.search(rf"`{field}[`:]", ROOM) for field in fields(record) - told), fields(record) - told


@pytest.mark.parametrize(
    ("words", "section"),
    [
        pytest.param(messages.PaneStatus, "4", id="panes"),
        pytest.param(messages.SessionStatus, "4", id="sessions"),
        pytest.param(messages.DiscardReason, "6", id="discards"),
        pytest.param(messages.Orientation, "3", id="orientations"),
        pytest.param(messages.Direction, "3", id="directions"),
    ],
)
def test_words_are_told(words: Any, section: str) -> None:
    text = SECTIONS[section].replace("\\|", "` `")
    assert [word for word in get_args(words) if f"`{word}`" not in text] == []


def test_the_pane_statuses_have_a_row_each() -> None:
    table = SECTIONS["4"].partition("### Pane status")[2]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(get_args(messages.PaneStatus))


def test_error_codes() -> None:
    (told,) = re.findall(r"Codes: (.*?)\. `message`", SECTIONS["7"], re.DOTALL)
    assert set(re.findall(r"`(\w+)`", told)) == {code.value for code in ErrorCode}


def test_close_codes() -> None:
    told = re.findall(r"^\| (\d{4}(?: or \d{4})?) \|", SECTIONS["7"], re.MULTILINE)
    assert {int(code) for cell in told for code in cell.split(" or ")} == {int(code) for code in CloseCode}
