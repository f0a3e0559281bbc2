"""What an agent inherits, and what its own shells cannot take from it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import SOURCES, Agent

SYSTEM_PYTHON = "/usr/bin/python3"
"""Other users may not be able to run the one of the tests."""
NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
with_python = pytest.mark.skipif(
    not Path(SYSTEM_PYTHON).exists(), reason="the other user needs a Python of the system"
)


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Not pytest's own: the path of a socket must be short, and other users must come to it."""
    path = Path(f"/tmp/wx-{os.getpid()}-{os.urandom(4).hex()}")
    path.mkdir()
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def listening(directory: Path) -> Iterator[socket.socket]:
    """A socket that listens, as a server makes it for an agent."""
    (directory / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(directory / "run" / "a.sock"))
        made.listen()
        yield made


def test_an_inherited_socket_is_listened_on(directory: Path, listening: socket.socket) -> None:
    number = listening.fileno()
    with Agent("--listen-fd", str(number), directory=directory, inherits=(number,)) as agent:
        listening.close()
        pane = agent.shell()
        pane.type(b"ls -l /proc/self/fd | grep -c socket:\r")
        pane.await_output(b"\n0\r\n")
        agent.control().sleep(force=True)
        assert agent.wait() == 0
        assert agent.socket.exists(), "its path is not the agent's to remove"


@as_root
@with_python
def test_whoever_reaches_an_inherited_socket_is_let_in(directory: Path, listening: socket.socket) -> None:
    """In a user namespace the server is nobody as well."""
    agent_socket = directory / "run" / "a.sock"
    agent_socket.chmod(0o666)
    number = listening.fileno()
    with Agent("--listen-fd", str(number), directory=directory, inherits=(number,)):
        script = (
            f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(agent_socket)!r}); "
            'hello = b\'{"role": "control", "version": 1}\'; '
            "s.sendall(b'\\1' + len(hello).to_bytes(4, 'big') + hello); print(s.recv(1)[0])"
        )
        command = [SYSTEM_PYTHON, "-I", "-c", script]
        done = subprocess.run(command, cwd="/", user=NOBODY, capture_output=True, timeout=20, check=True)
        assert done.stdout == b"32\n"


def refusal(descriptor: int, directory: Path) -> str:
    agent = Agent("--listen-fd", str(descriptor), directory=directory, inherits=(descriptor,))
    assert agent.wait() == 1
    agent.process.communicate()
    return agent.said


def test_other_descriptors_are_refused(directory: Path) -> None:
    with (directory / "file").open("wb") as file, socket.socket(socket.AF_UNIX) as deaf:
        assert "is no socket" in refusal(file.fileno(), directory)
        deaf.bind(str(directory / "deaf"))
        assert "is no unix stream socket that listens" in refusal(deaf.fileno(), directory)
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as abstract:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        assert "is no unix stream socket that listens" in refusal(tcp.fileno(), directory)
        abstract.bind(f"\0wormux-test-{os.getpid()}")
        abstract.listen()
        assert "is bound to no absolute path" in refusal(abstract.fileno(), directory)


def test_it_listens_in_one_way(directory: Path) -> None:
    agent = Agent("--listen-fd", "9", "--socket", "/x", directory=directory)
    assert agent.wait() == 2
    assert b"not allowed with" in agent.process.communicate()[1]


PEEK = """
import ctypes, os
agent = os.getppid()
def tries(what):
    try:
        return what() and 'let in'
    except PermissionError:
        return 'refused'
libc = ctypes.CDLL(None, use_errno=True)
def attach(pid):
    if libc.ptrace(16, pid, None, None):
        raise OSError(ctypes.get_errno(), '')
    return True
print(*(
    tries(what) for what in (
        lambda: os.listdir(f'/proc/{agent}/fd'),
        lambda: os.readlink(f'/proc/{agent}/fd/3'),
        lambda: open(f'/proc/{agent}/mem', 'rb'),
        lambda: open(f'/proc/{agent}/environ', 'rb').read(),
        lambda: attach(agent),
        lambda: os.listdir('/proc/self/fd'),
    )
), sep=',', flush=True)
"""


@as_root
@with_python
def test_a_shell_of_the_same_user_cannot_look_into_the_agent(directory: Path) -> None:
    shutil.copytree(
        SOURCES / "wormux", directory / "src" / "wormux", ignore=shutil.ignore_patterns("__pycache__")
    )
    (directory / "data").mkdir()
    (directory / "peek.py").write_text(PEEK)
    for path in (directory / "data", directory):
        os.chown(path, NOBODY, NOBODY)
    become = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")
    with Agent(directory=directory, prefix=become, python=SYSTEM_PYTHON, sources=directory / "src") as agent:
        assert Path(f"/proc/{agent.process.pid}/fd").stat().st_uid == 0, "it is root's, so not dumpable"
        pane = agent.open(argv=(SYSTEM_PYTHON, "-I", str(directory / "peek.py")))
        pane.await_output(b"refused,refused,refused,refused,refused,let in\r\n")
        assert f"Uid:\t{NOBODY}\t{NOBODY}" in Path(f"/proc/{agent.process.pid}/status").read_text()
