"""All screens do the same, wherever they run."""

from __future__ import annotations

from wormux.screen.in_process import LocalScreens
from wormux.screen.opening import open_log
from wormux.screen.pool import ScreenPool
from wormux.screen.port import Deliver, Screens
from wormux.testing.screen_conformance import ScreensConformance

OPEN_LOG = "wormux.screen.opening:open_log"


class TestLocalScreens(ScreensConformance):
    def open_screens(self, deliver: Deliver) -> Screens:
        return LocalScreens(deliver, open_log)


class TestScreenPool(ScreensConformance):
    def open_screens(self, deliver: Deliver) -> Screens:
        return ScreenPool(deliver, opener=OPEN_LOG)


class TestScreenPoolOfThree(ScreensConformance):
    def open_screens(self, deliver: Deliver) -> Screens:
        return ScreenPool(deliver, workers=3, opener=OPEN_LOG)
