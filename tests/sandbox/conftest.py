"""Links and providers run on uvloop in the server, and on asyncio's own loop inside of other programs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
import uvloop

from tests.podman import IMAGE, WITHOUT_PYTHON, Podman, own_podman


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """With the usual image and one without Python; what a test leaves there is its own to remove."""
    with own_podman(IMAGE, WITHOUT_PYTHON) as podman:
        yield podman
