"""All screens do the same, wherever they run and whatever they are."""

from __future__ import annotations

import pytest

from wormux.screen.in_process import LocalScreens
from wormux.screen.opening import has_emulator, open_ghostty, open_log
from wormux.screen.pool import ScreenPool
from wormux.screen.port import Deliver, Screens
from wormux.testing.screen_conformance import ScreensConformance


class TestLocalLogScreens(ScreensConformance):
    def open_screens(self, deliver: Deliver) -> Screens:
        return LocalScreens(deliver, open_log)


class TestPoolOfLogScreens(ScreensConformance):
    def open_screens(self, deliver: Deliver) -> Screens:
        return ScreenPool(deliver, workers=3, opener="wormux.screen.opening:open_log")


@pytest.mark.skipif(not has_emulator(), reason="the emulator has no build for this system")
class TestLocalEmulators(ScreensConformance):
    def open_screens(self, deliver: Deliver) -> Screens:
        return LocalScreens(deliver, open_ghostty)
