"""An agent for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .harness import Agent


@pytest.fixture
def agent() -> Iterator[Agent]:
    with Agent() as running:
        yield running
