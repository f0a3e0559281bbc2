"""The emulator is used where there is one, and loaded by workers alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from wormux.protocol.screen_link import OpenScreen
from wormux.screen import library
from wormux.screen.ghostty import GhosttyScreen
from wormux.screen.log_screen import LogScreen
from wormux.screen.opening import has_emulator, open_ghostty, open_log

OPEN = OpenScreen(0, 80, 24)


def test_whether_it_is_there_is_known_without_loading_it() -> None:
    assert has_emulator() == library.available()


@pytest.mark.skipif(not library.available(), reason="the emulator has no build for this system")
def test_it_is_used_where_it_is() -> None:
    assert isinstance(open_ghostty(OPEN), GhosttyScreen)


def test_without_it_the_newest_output_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "available", lambda: False)
    assert isinstance(open_ghostty(OPEN), LogScreen)
    assert isinstance(open_log(OPEN), LogScreen)


def test_servers_do_not_load_it() -> None:
    code = "import sys, wormux.screen.pool; sys.exit('pyghostty' in sys.modules or 'cffi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
