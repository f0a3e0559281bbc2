"""Another user of the same machine, who was here before the server or comes while it runs."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.kit import BASH
from wormux.errors import SetupError
from wormux.sandbox.runtime_dir import default_runtime_dir, prepare_runtime_dir
from wormux.server.audit import AUDIT_FILE, AuditLog
from wormux.server.tokens import kept_token, make_control_token
from wormux.store.data_dir import prepare_data_dir
from wormux.store.lock import DataDirLock
from wormux.testing.client import ScriptedClient
from wormux.testing.server_process import ServerEnded, ServerProcess

NOBODY = 65534
root_only = pytest.mark.skipif(os.getuid() != 0, reason="only root can try it as another user")

TRY = """
import json, os, socket, sys
pid, *paths = sys.argv[1:]
os.setgroups([])
os.setgid(65534)
os.setuid(65534)

def connect(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)

got = []
for path in paths:
    for what, do in {
        "list": os.listdir,
        "read": lambda path: open(path, "rb").close(),
        "write": lambda path: open(path, "ab").close(),
        "connect": connect,
        "make": lambda path: os.mkdir(path + "/made"),
        "remove": os.unlink,
        "rename": lambda path: os.rename(path, path + ".mine"),
        "link": lambda path: os.link(path, "/tmp/wormux-test-link"),
        "follow": lambda path: os.chmod(path, 0o777),
    }.items():
        try:
            do(path)
        except OSError:
            continue
        got.append([what, path])
for name in ("environ", "mem", "maps", "fd", "cwd"):
    try:
        os.listdir(f"/proc/{pid}/{name}") if name == "fd" else open(f"/proc/{pid}/{name}", "rb").read(1)
    except OSError:
        continue
    got.append(["look", name])
print(json.dumps(got))
"""


@pytest.fixture(autouse=True)
def without_runtime_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets lie where everybody may make directories."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that every user can enter, unlike those that pytest makes."""
    path = Path(tempfile.mkdtemp(prefix="wormux-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def everything(server: ServerProcess) -> list[str]:
    """Below the data directory and that of the sockets, these themselves as well."""
    tops = (server.data_dir, server.runtime_dir)
    return [str(path) for top in tops for path in (top, *sorted(top.rglob("*")))]


def tried_by_another(pid: int, paths: list[str]) -> list[list[str]]:
    """What the user nobody could do with them, and see of the process."""
    command = [sys.executable, "-I", "-c", TRY, str(pid), *paths]
    return list(json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout))


@root_only
async def test_gets_at_nothing_of_a_server_that_runs(open_dir: Path) -> None:
    server = ServerProcess(open_dir / "data", "--shell", BASH)
    with server:
        assert server.runtime_dir.parent == Path("/tmp")
        async with ScriptedClient(server.url, server.token) as client:
            await client.wait_status(client.pane(), "connected")
            paths = everything(server)
            names = {Path(path).name for path in paths}
            assert {"token", "control-token", "wormux.db", "wormux.lock", "audit.log"} <= names
            assert server.sockets()
            assert tried_by_another(server.pid, paths) == []
            # What could be got if it were open to others, so that the test would see it.
            server.data_dir.chmod(0o755)
            (server.data_dir / "token").chmod(0o644)
            assert ["read", str(server.data_dir / "token")] in tried_by_another(server.pid, paths)


@root_only
@pytest.mark.parametrize("trap", ["directory", "link", "link to ours"])
def test_cannot_have_the_sockets_in_a_directory_of_their_own(open_dir: Path, trap: str) -> None:
    """Its name in /tmp can be known before. Whoever makes it first can keep the server from starting, and no more."""
    data_dir = open_dir / "data"
    runtime_dir = default_runtime_dir(data_dir)
    theirs = open_dir / "theirs"
    theirs.mkdir(mode=0o777)
    if trap != "link to ours":
        os.chown(theirs, NOBODY, NOBODY)
    if trap == "directory":
        runtime_dir.mkdir()
    else:
        runtime_dir.symlink_to(theirs)
    os.chown(runtime_dir, NOBODY, NOBODY, follow_symlinks=False)
    try:
        sentence = f"{runtime_dir} is not yours: somebody else made it"
        with pytest.raises(SetupError, match=sentence):
            prepare_runtime_dir(runtime_dir)
        if trap == "link":
            with pytest.raises(ServerEnded, match=sentence):
                ServerProcess(data_dir).start()
        assert list(theirs.iterdir()) == []
    finally:
        runtime_dir.unlink() if runtime_dir.is_symlink() else runtime_dir.rmdir()


def test_cannot_have_the_data_in_a_directory_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
        with pytest.raises(SetupError, match="belongs to someone else"):
            prepare_data_dir(tmp_path)
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert stat.S_IMODE(prepare_data_dir(shared).stat().st_mode) == 0o700
    (shared / "token").write_text("planted\n")
    shared.chmod(0o777)
    with pytest.raises(SetupError, match="could have put files there"):
        prepare_data_dir(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o777


@pytest.mark.parametrize(
    "name", ["token", "token.new", "control-token", "control-token.new", "wormux.lock", AUDIT_FILE]
)
def test_links_in_the_data_directory_lead_nowhere(tmp_path: Path, name: str) -> None:
    """Neither is read what they lead to, nor written, nor made."""
    victim, absent = tmp_path / "victim", tmp_path / "absent"
    victim.write_text("as it was\n")
    victim.chmod(0o644)
    for target in (victim, absent):
        data_dir = tmp_path / f"data-{target.name}"
        data_dir.mkdir(mode=0o700)
        (data_dir / name).symlink_to(target)
        said = []
        lock, audit = DataDirLock(data_dir), AuditLog(data_dir / AUDIT_FILE)
        for make in (kept_token, make_control_token):
            with suppress(SetupError):
                said.append(make(data_dir))
        with suppress(SetupError):
            lock.acquire()
        audit.note("server_start")
        audit.close()
        lock.release()
        assert "as it was" not in said
        assert victim.read_text() == "as it was\n"
        assert stat.S_IMODE(victim.stat().st_mode) == 0o644
        assert not absent.exists()
