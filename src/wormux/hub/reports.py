"""Which input a page's terminal made by itself: reports of the mouse and of the focus (xterm, "Mouse Tracking").

Nobody typed them, so they never wait for a terminal and never wake one. A page sends none for a pane that it knows
to be without a terminal; one may be on its way when the terminal ends.
"""

from __future__ import annotations

import re

from wormux.limits import REPORTS_BYTES

_REPORTS = re.compile(rb"(?:\x1b\[(?:[IO]|M[\s\S]{3}|<\d+;\d+;\d+[Mm]|\d+;\d+;\d+M))+")


def are_reports(data: bytes) -> bool:
    """Reports and nothing else."""
    return data.startswith(b"\x1b[") and len(data) <= REPORTS_BYTES and _REPORTS.fullmatch(data) is not None
