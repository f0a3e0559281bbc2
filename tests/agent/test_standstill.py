"""A job that starts in the instant of stopping is not killed: Enter at random moments around SLEEP."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from wormux.protocol.agent_link import Ended, Refused, Sleep, Stopped

from .harness import BASH, Agent, Control, Pane, until

AGENTS_PER_SHELL = int(os.environ.get("STANDSTILL_AGENTS", "4"))
"""As many are put to sleep; each refuses about twice before it does."""
FISH = ("/usr/bin/fish", "--no-config", "-i", "-C", "function fish_prompt; printf '$ '; end")
SHELLS = {"bash": BASH, "dash": ("/bin/dash", "-i"), "fish": FISH}
JOB = "sh -c 'echo begun >{file}; sleep 0.03; echo done >{file}'"


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
