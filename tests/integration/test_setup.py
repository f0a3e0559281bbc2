"""A server that cannot start says why in one sentence, and leaves everything as it was."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from wormux.testing.client import ScriptedClient
from wormux.testing.server_process import ServerEnded, ServerProcess

from .kit import MakeServer, run


def refused(server: ServerProcess, *options: str) -> str:
    """The sentence of a server that does not start."""
    before = len(server.stderr)
    with pytest.raises(ServerEnded) as ended:
        server.start(*options)
    assert ended.value.status == 1
    said = server.stderr[before:]
    assert said.startswith("wormux: ")
    assert said.count("\n") == 1
    assert said.endswith(".\n")
    return said


@pytest.fixture(scope="module")
def used_data_dir(server: ServerProcess) -> Path:
    """Of a server that had a client and was stopped."""

    async def use() -> None:
        async with ScriptedClient(server.url, server.token) as client:
            await client.wait_status(client.pane(), "connected")

    asyncio.run(use())
    server.stop_all()
    return server.data_dir


async def test_a_second_server_on_the_directory_is_told_the_firsts_address(make_server: MakeServer) -> None:
    first = make_server()
    second = ServerProcess(first.data_dir, "--shell", "cat")
    assert f"Another Wormux server uses this data directory: {first.url} (process {first.pid})" in refused(
        second
    )
    async with ScriptedClient(first.url, first.token) as client:
        assert b"a2b" in await run(client, client.pane(), "echo a$((1+1))b")


def _not_a_database(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)


def _cut_in_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _scribbled_over(path: Path) -> None:
    with path.open("r+b") as file:
        for page in range(1, path.stat().st_size // 4096):
            file.seek(4096 * page)
            file.write(b"\xa5" * 64)


def _of_a_newer_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()


def _of_another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name)")
    connection.close()


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (_not_a_database, "is damaged"),
        (_cut_in_half, "is damaged"),
        (_scribbled_over, "is damaged"),
        (_of_a_newer_program, "was written by a newer Wormux"),
        (_of_another_program, "is the database of another program"),
    ],
)
def test_a_store_that_is_not_ours_is_refused_and_left_as_it_is(
    used_data_dir: Path, tmp_path: Path, harm: Callable[[Path], None], sentence: str
) -> None:
    data_dir = tmp_path / "data"
    shutil.copytree(used_data_dir, data_dir)
    harm(data_dir / "wormux.db")
    before = _files(data_dir)

    assert sentence in refused(ServerProcess(data_dir))

    assert _files(data_dir) == before


def _files(data_dir: Path) -> dict[str, bytes]:
    """What the store consists of."""
    return {path.name: path.read_bytes() for path in data_dir.glob("wormux.db*")}


def test_a_port_that_is_taken(make_server: MakeServer) -> None:
    port = make_server().url.rpartition(":")[2]
    said = refused(make_server(name="other", start=False), "--port", port)
    assert f"Cannot listen on 127.0.0.1 port {port}: Address already in use." in said


def test_a_data_directory_that_cannot_be(make_server: MakeServer, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    assert "is a file" in refused(ServerProcess(file))
    assert file.read_text() == "mine"
    assert "cannot be made" in refused(ServerProcess(file / "below"))
    assert "cannot be made" in refused(ServerProcess(Path("/proc/wormux")))


def test_listening_beyond_this_machine_needs_a_word(make_server: MakeServer) -> None:
    server = make_server(start=False)
    assert "--insecure" in refused(server, "--host", "0.0.0.0")
    assert not server.data_dir.exists()
