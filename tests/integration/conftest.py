"""Servers for the tests: each with its own data directory, and nothing left of them afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wormux.testing.server_process import ServerProcess

from .kit import BASH, PROMPT, MakeServer


def servers(folder: Path) -> Iterator[MakeServer]:
    """Makes servers below `folder`; all are ended when it goes on."""
    home = folder / "home"
    home.mkdir()
    env = {
        "HOME": str(home),
        "HISTFILE": "",
        "INPUTRC": "/dev/null",
        "LANG": "C.UTF-8",
        "PS1": PROMPT,
        "SHELL": "/bin/bash",
    }
    made: list[ServerProcess] = []

    def make(*options: str, shell: str = BASH, name: str = "data", start: bool = True) -> ServerProcess:
        server = ServerProcess(folder / name, "--shell", shell, *options, env=env)
        made.append(server)
        if start:
            server.start()
        return server

    yield make
    for server in made:
        server.stop_all()
        notes = [path.read_text() for path in server.data_dir.glob("sandboxes/*/agent.log")]
        assert not [text for text in (server.stderr, *notes) if "Traceback" in text]


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    yield from servers(tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One for all tests of a file that are content with a session of their own."""
    for make in servers(tmp_path_factory.mktemp("server")):
        yield make("--idle-timeout", "never")


@pytest.fixture(scope="module")
def drowsy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The same, with sandboxes that fall asleep after a second."""
    for make in servers(tmp_path_factory.mktemp("drowsy")):
        yield make("--idle-timeout", "1s")
