"""Which emulator a new screen is."""

from __future__ import annotations

from importlib.util import find_spec

from wormux.protocol.screen_link import OpenScreen
from wormux.screen.log_screen import LogScreen
from wormux.screen.port import Screen


def has_emulator() -> bool:
    """Whether the emulator is installed. It is not loaded: that takes a third of a second (measured), and belongs
    into a worker."""
    return find_spec("pyghostty") is not None


def open_ghostty(request: OpenScreen) -> Screen:
    """The exact screen; the newest output if the emulator cannot be loaded. Raises `ScreenError`."""
    from wormux.screen.answers import Answers
    from wormux.screen.ghostty import GhosttyScreen
    from wormux.screen.library import available

    if not available():
        return open_log(request)
    if request.state is None:
        return GhosttyScreen(request.cols, request.rows, Answers())
    return GhosttyScreen.opened(request.state, Answers())


def open_log(request: OpenScreen) -> Screen:
    """The newest output, for want of an emulator. Raises `ScreenError`."""
    if request.state is None:
        return LogScreen(request.cols, request.rows)
    return LogScreen.opened(request.state)
