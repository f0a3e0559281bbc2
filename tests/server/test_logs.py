from __future__ import annotations

import io
import json
import logging
import re

import pytest

from wormux.server.logs import JsonLines, TextLines, fields


@pytest.fixture
def written() -> io.StringIO:
    return io.StringIO()


def logger_to(stream: io.StringIO, formatter: logging.Formatter) -> logging.Logger:
    logger = logging.getLogger("wormux.tried")
    logger.setLevel(logging.INFO)
    logger.handlers.clear()
    logger.propagate = False
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    return logger


def test_json_is_an_object_per_line(written: io.StringIO) -> None:
    logger = logger_to(written, JsonLines())
    logger.warning("It broke\nhere: %s", "ä", extra=fields(session="ses_1", took_s=0.25, pane=None, time="x"))
    (line,) = written.getvalue().splitlines()
    told = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("time"))
    assert told == {
        "level": "warning",
        "logger": "wormux.tried",
        "message": "It broke\nhere: ä",
        "session": "ses_1",
        "took_s": 0.25,
    }


def test_text_shows_the_fields_behind_the_message(written: io.StringIO) -> None:
    logger_to(written, TextLines()).info(
        "A sandbox woke.", extra=fields(session="ses_1", reason='It said "no".')
    )
    (line,) = written.getvalue().splitlines()
    assert re.sub(r"^\S+Z ", "", line) == (
        r'INFO    wormux.tried: A sandbox woke. session=ses_1 reason="It said \"no\"."'
    )


@pytest.mark.parametrize(
    "forged", ["a\n2026-01-01T00:00:00.000Z ERROR wormux: forged", "a\r\nforged", "\x1b[31m"]
)
def test_nothing_in_a_line_looks_like_another_line(written: io.StringIO, forged: str) -> None:
    logger = logger_to(written, TextLines())
    logger.error("%s", forged, extra=fields(reason=forged))
    first, *rest = written.getvalue().splitlines()
    assert re.match(r"\S+Z ERROR   wormux.tried: ", first)
    assert all(line.startswith("    ") for line in rest)
    assert "\x1b" not in written.getvalue()


def test_a_failure_is_told_with_its_traceback(written: io.StringIO) -> None:
    logger = logger_to(written, JsonLines())
    try:
        int("bad")
    except ValueError:
        logger.exception("It failed.")
    assert "ValueError: invalid literal" in json.loads(written.getvalue())["message"]
