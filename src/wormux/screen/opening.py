"""Which emulator a new screen is."""

from __future__ import annotations

from wormux.protocol.screen_link import OpenScreen
from wormux.screen.answers import Answers
from wormux.screen.ghostty import GhosttyScreen
from wormux.screen.log_screen import LogScreen
from wormux.screen.port import Screen


def open_ghostty(request: OpenScreen) -> Screen:
    """The exact screen. Raises `ScreenError`."""
    if request.state is None:
        return GhosttyScreen(request.cols, request.rows, Answers())
    return GhosttyScreen.opened(request.state, Answers())


def open_log(request: OpenScreen) -> Screen:
    """The newest output, for want of an emulator. Raises `ScreenError`."""
    if request.state is None:
        return LogScreen(request.cols, request.rows)
    return LogScreen.opened(request.state)
