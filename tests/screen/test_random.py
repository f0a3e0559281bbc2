"""Whatever programs write, a screen neither crashes nor raises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wormux.screen import library

pytestmark = pytest.mark.skipif(not library.available(), reason="the emulator has no build for this machine")

INPUTS = int(os.environ.get("WORMUX_SCREEN_INPUTS", "50000"))
"""A million takes some ten minutes."""
FIRST_SEED = int(os.environ.get("WORMUX_SCREEN_SEED", "0"))
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(120 + INPUTS / 500)
def test_survives_random_inputs() -> None:
    """In a process of their own: a crash of the library is reported with the seed that it came from."""
    command = [sys.executable, "-m", "tests.screen.random_inputs", str(FIRST_SEED), str(INPUTS)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    last_seed = ran.stdout.split()[-1:]
    assert ran.returncode == 0, (
        f"WORMUX_SCREEN_SEED={last_seed}: {ran.returncode}\n{ran.stderr.decode()[-3000:]}"
    )
