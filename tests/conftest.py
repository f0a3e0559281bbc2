"""Marks the tests of a folder after it, and runs the quick ones first. Fixtures live beside the tests they serve."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A run says the same of the same sources every time. WORMUX_EXPLORE=1 tries other cases in each run.
settings.register_profile("same", derandomize=True)
settings.register_profile("explore")
settings.load_profile("explore" if os.environ.get("WORMUX_EXPLORE") else "same")

TESTS = Path(__file__).parent
SLOWEST_LAST = ("integration", "e2e", "packaging")


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
