"""How log lines are written: one line per event, as text for people or as JSON for programs.

A line has a time (UTC), a level, a logger, a message, and fields that say what it is about. Whoever logs gives those as
`extra=fields(session=…)`. Nothing that is logged may hold terminal bytes, tokens or cookies.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

_FIELDS = "fields"
_OWN = ("time", "level", "logger", "message")


def fields(**values: object) -> dict[str, Any]:
    """For `extra=` of a logging call. What is None is left out."""
    return {_FIELDS: {name: value for name, value in values.items() if value is not None}}


class _Lines(logging.Formatter):
    """What both formats have in common."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._message(record),
        }
        about = getattr(record, _FIELDS, {})
        return self._line(told, {name: value for name, value in about.items() if name not in _OWN})

    def _message(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return text

    def _line(self, told: dict[str, str], about: dict[str, object]) -> str:
        raise NotImplementedError


class JsonLines(_Lines):
    """An object per line; the fields stand beside the time."""

    def _line(self, told: dict[str, str], about: dict[str, object]) -> str:
        return json.dumps({**told, **about}, ensure_ascii=False, default=str)


class TextLines(_Lines):
    """A line to read; what a message has beyond its first line, such as a traceback, is indented."""

    def _line(self, told: dict[str, str], about: dict[str, object]) -> str:
        first, *rest = told["message"].splitlines() or [""]
        shown = "".join(f" {name}={_shown(value)}" for name, value in about.items())
        line = f"{told['time']} {told['level'].upper():<7} {told['logger']}: {first}{shown}"
        return "\n".join([_printable(line), *(f"    {_printable(more)}" for more in rest)])


def _printable(text: str) -> str:
    """What others wrote must not command the terminal that shows the log."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _shown(value: object) -> str:
    text = str(value)
    plain = text and text.isprintable() and not any(mark in text for mark in ' "=')
    return text if plain else json.dumps(text, ensure_ascii=False)


def set_up_logging(level: str, log_format: str, stream: TextIO | None = None) -> None:
    """For the whole process: our own loggers from `level` on, all others from warnings on."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("wormux").setLevel(level.upper())
