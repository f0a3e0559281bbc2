"""Marks the tests of a folder after it, and runs the quick ones first. Fixtures live beside the tests they serve."""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

# A run says the same of the same sources every time. WORMUX_EXPLORE=1 tries other cases in each run.
settings.register_profile("same", derandomize=True)
settings.register_profile("explore")
settings.load_profile("explore" if os.environ.get("WORMUX_EXPLORE") else "same")

TESTS = Path(__file__).parent
SLOWEST_LAST = ("integration", "e2e", "packaging")
TORN_DOWN_WITHIN_S = 120.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in ("integration", "e2e"):
            item.add_marker(folder)
    items.sort(key=_stage)


def _stage(item: pytest.Item) -> int:
    """How late the test runs; within one stage the order stays."""
    return max(
        (SLOWEST_LAST.index(m.name) + 1 for m in item.iter_markers() if m.name in SLOWEST_LAST), default=0
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None]:
    """pytest-timeout looks no more after a test that has failed; what it left must not hold up the run either."""
    faulthandler.dump_traceback_later(TORN_DOWN_WITHIN_S, exit=True, file=2)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
