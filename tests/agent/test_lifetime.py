"""How a real agent starts, whom it lets in, and when it ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from wormux.limits import SOCKET_PATH_BYTES
from wormux.protocol.agent_link import Ended

from .harness import Agent, until

QUICK = ("--check-s", "0.05")


def test_the_socket_is_the_users_own(agent: Agent) -> None:
    assert agent.socket.stat().st_mode & 0o777 == 0o600
    assert agent.socket.parent.stat().st_mode & 0o777 == 0o700


def test_a_living_agents_socket_is_never_taken(agent: Agent) -> None:
    pane = agent.shell()
    second = Agent(directory=agent.directory)
    assert second.wait() == 1
    assert second.said.startswith("An agent listens there already")
    assert second.said in second.process.communicate()[1].decode()
    pane.type(b"echo alive\r")
    pane.await_output(b"\nalive\r\n")


def test_the_socket_of_a_dead_agent_is_replaced(agent: Agent) -> None:
    agent.process.kill()
    agent.process.wait()
    assert agent.socket.exists()
    with Agent(directory=agent.directory) as second:
        second.shell()


def test_of_many_that_start_at_once_one_listens() -> None:
    directory = Path(tempfile.mkdtemp(prefix="wx-"))
    (directory / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(directory / "run" / "a.sock"))
    agents = [Agent(directory=directory) for _ in range(2)]
    try:
        assert sorted(agent.said == "ready" for agent in agents) == [False, True]
        (winner,) = (agent for agent in agents if agent.said == "ready")
        winner.shell()
    finally:
        for agent in agents:
            agent.end()


def failure(directory: Path, **changed: str) -> str:
    """What an agent says that cannot start."""
    options = {"socket": str(directory / "s" / "a.sock"), "data_dir": str(directory), **changed}
    reader, writer = os.pipe()
    command = [
        sys.executable,
        "-m",
        "wormux.agent",
        "--socket",
        options["socket"],
        "--data-dir",
        options["data_dir"],
    ]
    done = subprocess.run(
        [*command, "--ready-fd", str(writer)], pass_fds=[writer], capture_output=True, timeout=20, check=False
    )
    os.close(writer)
    with os.fdopen(reader) as ready:
        said = ready.read()
    assert done.returncode == 1
    assert done.stderr.decode() == f"wormux agent: {said}"
    return said


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    (tmp_path / "file").touch()
    assert "longer than" in failure(tmp_path, socket="/tmp/" + "x" * (SOCKET_PATH_BYTES - 4))
    assert "Others could replace" in failure(tmp_path, socket=str(open_to_all / "a.sock"))
    assert "not a socket" in failure(tmp_path, socket=str(tmp_path / "file"))
    assert "no data directory" in failure(tmp_path, data_dir="/no/such")
    assert "cannot be made" in failure(tmp_path, socket="/proc/x/a.sock")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(
    not Path("/usr/bin/python3").exists(), reason="the other user needs a Python of the system"
)
def test_other_users_are_not_let_in(agent: Agent) -> None:
    for directory in (agent.directory, agent.socket.parent):
        directory.chmod(0o711)
    agent.socket.chmod(0o666)
    script = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(agent.socket)!r}); print(s.recv(9))"
    command = ["/usr/bin/python3", "-I", "-c", script]
    done = subprocess.run(command, cwd="/", user=65534, capture_output=True, timeout=20, check=True)
    assert done.stdout == b"b''\n"
    agent.shell()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGPIPE, signal.SIGINT])
def test_signals_of_a_terminal_do_not_end_it(agent: Agent, number: signal.Signals) -> None:
    agent.process.send_signal(number)
    pane = agent.shell()
    pane.type(b"echo alive\r")
    pane.await_output(b"\nalive\r\n")


def test_sigterm_ends_all_shells(agent: Agent) -> None:
    pane = agent.shell()
    pane.type(b"sleep 1000 & setsid sleep 1000 &\r")
    until(lambda: list(agent.descendants().values()).count("sleep") == 2, "the programs")
    agent.process.terminate()
    assert pane.next(Ended).exit.asleep is False
    assert agent.wait() == 0
    assert agent.descendants() == {}
    assert not agent.socket.exists()


@pytest.mark.parametrize("made_anew", [False, True])
def test_it_ends_when_its_data_directory_is_gone(agent: Agent, made_anew: bool) -> None:
    pane = agent.shell()
    pane.type(b"trap '' HUP TERM; sleep 1000 &\r")
    until(lambda: "sleep" in agent.descendants().values(), "the program")
    shutil.rmtree(agent.data_dir)
    if made_anew:
        agent.data_dir.mkdir()
    assert agent.wait() == 0
    assert agent.descendants() == {}


def test_without_server_and_shells_it_ends() -> None:
    with Agent(*QUICK, "--linger-s", "0.1") as agent:
        pane = agent.shell()
        pane.type(b"exit\r")
        pane.close()
        assert agent.wait() == 0
        assert not agent.socket.exists()


def test_a_fresh_agent_that_nobody_wants_ends() -> None:
    with Agent(*QUICK, "--linger-s", "0.1") as agent:
        assert agent.wait() == 0


def test_with_a_server_it_stays_without_shells() -> None:
    with Agent(*QUICK, "--linger-s", "0.3") as agent:
        control = agent.control()
        pane = agent.shell()
        pane.type(b"exit\r")
        pane.next(Ended)
        with pytest.raises(subprocess.TimeoutExpired):
            agent.wait(deadline_s=0.8)
        control.close()
        pane.close()
        assert agent.wait() == 0


def test_shells_keep_it_without_a_server_but_not_for_ever() -> None:
    with Agent(*QUICK, "--linger-s", "0.3", "--orphan-s", "1") as agent:
        agent.shell().close()
        with pytest.raises(subprocess.TimeoutExpired):
            agent.wait(deadline_s=0.8)
        assert agent.wait() == 0
        assert agent.descendants() == {}


def test_work_without_a_shell_keeps_it() -> None:
    with Agent(*QUICK, "--linger-s", "0.3") as agent:
        pane = agent.shell()
        pane.type(b"nohup sleep 1000 >/dev/null 2>&1 & exit\r")
        pane.next(Ended)
        pane.close()
        with pytest.raises(subprocess.TimeoutExpired):
            agent.wait(deadline_s=0.8)
        (pid,) = agent.descendants()
        os.kill(pid, signal.SIGKILL)
        assert agent.wait() == 0
