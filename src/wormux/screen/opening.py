"""Which emulator a new screen is."""

from __future__ import annotations

from wormux.protocol.screen_link import OpenScreen
from wormux.screen.log_screen import LogScreen
from wormux.screen.port import Screen


def open_log(request: OpenScreen) -> Screen:
    """The newest output, for want of an emulator. Raises `ScreenError`."""
    if request.state is None:
        return LogScreen(request.cols, request.rows)
    return LogScreen.opened(request.state)
