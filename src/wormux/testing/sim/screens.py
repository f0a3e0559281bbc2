"""The screens of a simulated server: the newest output, and one query that is answered."""

from __future__ import annotations

from wormux.protocol.screen_link import OpenScreen
from wormux.screen.log_screen import LogScreen

QUERY = b"\x05"
"""ENQ: the one query that a simulated screen answers (ECMA-48)."""
ANSWER = b"!"


class SimScreen(LogScreen):
    """See the module."""

    def feed(self, data: bytes) -> bytes:
        super().feed(data)
        return ANSWER * data.count(QUERY)


def open_sim_screen(request: OpenScreen) -> LogScreen:
    """Raises `ScreenError`."""
    if request.state is None:
        return SimScreen(request.cols, request.rows)
    return SimScreen.opened(request.state)
