"""How a process ended, with the kernel's help and without."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from wormux.sandbox.life import Life
from wormux.sandbox.port import Lost

WITHIN_S = 10.0


def _reap(pid: int) -> None:
    os.waitpid(pid, 0)


def _run(code: str) -> int:
    return os.posix_spawn(sys.executable, [sys.executable, "-I", "-S", "-c", code], {})


@pytest.fixture(params=["with pidfd", "without"])
def _kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, flags: int = 0) -> int:
        raise OSError

    if request.param == "without":
        monkeypatch.setattr(os, "pidfd_open", refuse)


@pytest.mark.usefixtures("_kernel")
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("", "The agent ended."),
        ("raise SystemExit(3)", "The agent ended with status 3."),
        ("import os; os.kill(os.getpid(), 9)", "The agent was killed by SIGKILL."),
        ("import os; os.kill(os.getpid(), 40)", "The agent was killed by signal 40."),
    ],
)
async def test_the_end_of_a_child_is_told(code: str, sentence: str) -> None:
    life = Life(_run(code))
    assert await life.wait(WITHIN_S)
    assert await life.explain() == Lost(sentence, dead=True)
    with pytest.raises(ChildProcessError):
        _reap(life.pid)


@pytest.mark.usefixtures("_kernel")
async def test_a_signal_reaches_the_living_and_never_the_dead() -> None:
    life = Life(_run("import signal; signal.pause()"))
    assert life.ended is None
    assert await life.explain() == Lost("The link to the sandbox broke.")
    life.send(signal.SIGTERM)
    assert await life.wait(WITHIN_S)
    life.send(signal.SIGTERM)
    assert life.ended == "The agent was killed by SIGTERM."


@pytest.mark.usefixtures("_kernel")
async def test_who_asked_is_told_of_the_end() -> None:
    life = Life(_run("import signal; signal.pause()"))
    told = []
    life.on_end(lambda: told.append("first"))
    life.on_end(lambda: told.append("called off"))()
    life.send(signal.SIGTERM)
    assert await life.wait(WITHIN_S)
    life.on_end(lambda: told.append("late"))
    assert "late" not in told, "told from inside the call"
    await asyncio.sleep(0)
    assert told == ["first", "late"]


@pytest.mark.usefixtures("_kernel")
async def test_who_asks_why_a_link_broke_finds_out_for_everybody() -> None:
    life = Life(os.getppid())  # no child: without a pidfd, nobody tells of its end
    told = []
    life.on_end(lambda: told.append(True))
    life.pid = _run("")
    _reap(life.pid)
    assert (await life.explain()).dead
    await asyncio.sleep(0)
    assert told
    life.unwatch()


@pytest.mark.usefixtures("_kernel")
async def test_the_end_of_another_servers_child_is_known_without_asking_why() -> None:
    program = (
        "import subprocess, sys; sleep = subprocess.Popen(['sleep', '1000']); print(sleep.pid); sleep.wait()"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", program, stdout=asyncio.subprocess.PIPE
    )
    assert other.stdout is not None
    life = Life(int(await other.stdout.readline()))
    assert not await life.wait(0.3)
    life.send(signal.SIGKILL)
    assert await life.wait(WITHIN_S)
    assert life.ended == "The agent ended."
    await other.wait()
    life.unwatch()


@pytest.mark.usefixtures("_kernel")
async def test_what_is_gone_already_has_ended() -> None:
    pid = _run("")
    _reap(pid)
    life = Life(pid)
    assert await life.explain() == Lost("The agent ended.", dead=True)
    life.unwatch()
