"""The provider that docs/providers.md shows, by the tests of its own package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "wormux-unshare"
sys.path.append(str(EXAMPLE / "src"))

_spec = importlib.util.spec_from_file_location("test_unshare", EXAMPLE / "tests" / "test_unshare.py")
assert _spec is not None
assert _spec.loader is not None
_tests = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_tests)

pytestmark = pytest.mark.integration
TestUnshareProvider = pytest.mark.asyncio(loop_factories=["uvloop"])(_tests.TestUnshareProvider)
test_options_that_it_does_not_understand_are_refused = (
    _tests.test_options_that_it_does_not_understand_are_refused
)
