"""Draws docs/lifecycle.md from the hub's tables: `python scripts/lifecycle_diagrams.py [--check]`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from wormux.hub.lifecycle import PANE_TABLE, SANDBOX_TABLE

_Phase = TypeVar("_Phase", bound=StrEnum)
_Event = TypeVar("_Event", bound=StrEnum)

PAGE = Path(__file__).parent.parent / "docs" / "lifecycle.md"
_INTRODUCTION = """\
# Life cycles

Drawn from the tables in `src/wormux/hub/lifecycle.py` by `scripts/lifecycle_diagrams.py`; what is not drawn
cannot happen.

A pane is `connected` exactly while a live terminal stands behind it; what each status means to a client is in the
[protocol](protocol.md), "Pane status".
"""


def page() -> str:
    """The whole page."""
    return f"{_INTRODUCTION}\n## Panes\n{_diagram(PANE_TABLE)}\n## Sandboxes\n{_diagram(SANDBOX_TABLE)}"


def _diagram(table: Mapping[_Phase, Mapping[_Event, _Phase]]) -> str:
    lines = [
        f"    {phase} --> {after}: {event}" for phase, row in table.items() for event, after in row.items()
    ]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"]) + "\n"


def main() -> int:
    """Write the page, or say that it is not as it should be."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
    elif PAGE.read_text() != page():
        print(
            "docs/lifecycle.md is not what the tables say; run scripts/lifecycle_diagrams.py.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
