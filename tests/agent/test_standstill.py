"""A job that starts in the instant of stopping is not killed: Enter at random moments around SLEEP.

And the parts of that decision, each by itself.
"""

from __future__ import annotations

import os
import random
import subprocess
import termios
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from wormux.agent import processes, standstill
from wormux.agent.processes import ShellState
from wormux.agent.prompt import unread
from wormux.protocol.agent_link import Busy, Ended, Refused, Sleep, Stopped

from .harness import BASH, Agent, Control, Pane, until

AGENTS_PER_SHELL = int(os.environ.get("STANDSTILL_AGENTS", "3"))
"""As many are put to sleep; each refuses about twice before it does."""
FISH = ("/usr/bin/fish", "--no-config", "-i", "-C", "function fish_prompt; printf '$ '; end")
SHELLS = {"bash": BASH, "dash": ("/bin/dash", "-i"), "fish": FISH}
JOB = "sh -c 'echo begun >{file}; sleep 0.1; echo done >{file}'"


def spin(seconds: float) -> None:
    """A moment too short to be slept."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


class Race:
    """One agent at a time, a job typed at its shell, and Enter and SLEEP sent so many seconds from each other."""

    def __init__(self, agent: Agent, argv: tuple[str, ...], directory: Path) -> None:
        self.control: Control = agent.control()
        self.pane: Pane = agent.shell(argv=argv)
        self._directory = directory
        self._count = 0

    def run(self, enter_first_s: float) -> bool:
        """Did it sleep? Fails if a job was begun that could not end, or was lost though its input was taken."""
        self._count += 1
        file = self._directory / f"job{self._count}"
        self.pane.type(JOB.format(file=file).encode())
        self.pane.await_acked(self.pane.typed)
        position = self.pane.typed
        if enter_first_s >= 0:
            self.pane.type(b"\r")
            spin(enter_first_s)
            self.control.send(Sleep(force=False))
        else:
            self.control.send(Sleep(force=False))
            spin(-enter_first_s)
            self.pane.type(b"\r")
        self.control.until(lambda: bool(self.control.all_of(Refused) or self.control.all_of(Stopped)))
        if self.control.all_of(Stopped):
            if self.pane.next(Ended).inputs == {"client": position}:
                assert not file.exists()
            else:  # On a loaded machine, the whole job may end before the agent has looked.
                assert file.exists(), "Enter was taken, and is lost"
                assert file.read_text() == "done\n", "the job was begun, and is killed"
            return True
        self.control.messages.clear()
        until(lambda: file.exists() and file.read_text() == "done\n", "the end of the job")
        return False


@pytest.mark.parametrize("argv", SHELLS.values(), ids=SHELLS)
def test_a_job_that_starts_in_the_instant_of_stopping_is_not_killed(
    argv: tuple[str, ...], tmp_path: Path
) -> None:
    if not Path(argv[0]).exists():
        pytest.skip(f"{argv[0]} is not installed")
    moments = random.Random(0)
    refused = 0
    for number in range(AGENTS_PER_SHELL):
        with Agent() as agent:
            directory = tmp_path / str(number)
            directory.mkdir()
            race = Race(agent, argv, directory)
            while not race.run(moments.uniform(-0.002, 0.003)):
                refused += 1
            assert agent.wait() == 0
    assert refused, "Enter never came first: the moments are chosen badly"


# --- Its parts ---------------------------------------------------------------------------------------------


class FakeShell:
    """A real process, and what would be seen of its terminal."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(command)
        self.pid = self.process.pid
        self.is_reaped = False
        self.works = False

    def state(self) -> ShellState:
        return ShellState("p1", self.pid, is_shell=True, works=self.works)


class FakeTerminal:
    has_unread_input = False

    def __init__(self, *command: str) -> None:
        self.shell = FakeShell(*command)


class FakeLookout:
    """Sees what it is given, one after the other, and then what it saw last."""

    def __init__(self, *sentences: str | None) -> None:
        self._sentences = list(sentences)
        self.busy = Busy(None)

    def look(self) -> Busy:
        if self._sentences:
            self.busy = Busy(self._sentences.pop(0))
        return self.busy


@pytest.fixture
def idle() -> Iterator[FakeTerminal]:
    terminal = FakeTerminal("sleep", "1000")
    until(lambda: states(terminal) == {"S"}, "its start")
    yield terminal
    terminal.shell.process.kill()
    terminal.shell.process.wait()


def states(terminal: FakeTerminal) -> set[str]:
    return {state for state, *_ in processes.threads(terminal.shell.pid)}


def stop(terminal: FakeTerminal, *sentences: str | None) -> str | None:
    return standstill.stop(FakeLookout(*sentences), [terminal])  # type: ignore[arg-type, list-item]


def test_an_idle_shell_is_stopped(idle: FakeTerminal) -> None:
    assert stop(idle) is None
    assert states(idle) == {"T"}


def test_a_program_that_is_there_for_a_moment_alone_is_waited_for(idle: FakeTerminal) -> None:
    """As one that is to be ignored has another name before it is executed."""
    assert stop(idle, "sh", "sh", None) is None
    assert states(idle) == {"T"}


@pytest.mark.parametrize("looks", [("make",), (None, "make"), (None, None, "make")])
def test_a_program_seen_at_any_look_lets_the_shell_go_on(
    idle: FakeTerminal, looks: tuple[str | None, ...]
) -> None:
    assert stop(idle, *looks) == "make"
    until(lambda: states(idle) == {"S"}, "the shell to go on")


def test_what_is_unread_is_in_the_way(idle: FakeTerminal) -> None:
    idle.has_unread_input = True
    assert stop(idle) == "a shell has not read yet what was typed"
    assert states(idle) == {"S"}


def test_a_shell_that_computes_is_at_work() -> None:
    terminal = FakeTerminal("sh", "-c", "while :; do :; done")
    assert stop(terminal) == "a shell is at work"
    terminal.shell.process.kill()
    terminal.shell.process.wait()
    assert stop(terminal) is None, "one that is over is not in the way"


def test_what_a_program_could_read_is_unread() -> None:
    master, slave = os.openpty()
    try:
        os.write(master, b"half a line")
        assert not unread(master), "no program could read it"
        os.write(master, b"\r")
        assert unread(master)
        os.read(slave, 100)
        assert not unread(master)
        tty.setraw(slave, termios.TCSANOW)
        os.write(master, b"k")
        assert unread(master)
        os.read(slave, 100)
        assert not unread(master)
    finally:
        os.close(slave)
        os.close(master)
    assert not unread(master), "nothing can be asked of what is closed"
