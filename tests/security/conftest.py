from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import servers
from tests.integration.kit import MakeServer
from tests.server.kit import World, make_world
from wormux.config import Site
from wormux.testing.server_process import ServerProcess

PUBLIC = (Site("https", "term.example", "/t"), Site("https", "other.example:8443"))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """The real host and application, which are reached by two public names as well, before a hub of the test's own."""
    async with make_world(tmp_path / "data", port=0, public_urls=PUBLIC).served() as world:
        yield world


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A whole server, for all tests of a file."""
    for make in servers(tmp_path_factory.mktemp("server")):
        yield make("--idle-timeout", "never")


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    yield from servers(tmp_path)
