"""Agents inside of other programs: what goes wrong is a sentence, and nothing is left of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wormux.errors import SandboxError
from wormux.sandbox import detached
from wormux.sandbox.detached import kill, recorded_life, run_agent

pytestmark = pytest.mark.integration


def shell(script: str) -> list[str]:
    return ["sh", "-c", script, "sh"]


async def test_an_agent_listens_and_is_found_by_its_record(tmp_path: Path) -> None:
    life = await run_agent(["env"], socket=tmp_path / "socket", data_dir=tmp_path / "box")
    assert (tmp_path / "socket").is_socket()
    found = recorded_life(tmp_path / "box")
    assert found is not None
    assert found.pid == life.pid
    kill(found)
    assert await found.wait(10)
    assert await life.wait(10)
    assert recorded_life(tmp_path / "box") is None


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (["not-there"], "The agent cannot be run by not-there: No such file or directory."),
        (shell("echo no luck in /some/where >&2; exit 3"), "The agent did not start. no luck in …/where"),
        (shell("exit 3"), "The agent did not start."),
        (shell("echo what >&3"), "The agent did not start. what"),
    ],
    ids=["absent", "fails", "mute", "odd"],
)
async def test_a_program_that_fails_is_a_sentence(tmp_path: Path, program: list[str], sentence: str) -> None:
    with pytest.raises(SandboxError) as failure:
        await run_agent(program, socket=tmp_path / "socket", data_dir=tmp_path / "box")
    assert str(failure.value) == sentence


async def test_a_program_that_never_runs_the_agent_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detached, "WAKE_WITHIN_S", 0.1)
    with pytest.raises(SandboxError, match=r"^The agent did not start within 0\.1 seconds\.$"):
        await run_agent(shell("exec sleep 1000"), socket=tmp_path / "socket", data_dir=tmp_path)
    left = recorded_life(tmp_path)
    assert left is None or await left.wait(10)


async def test_the_servers_own_variables_stay_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORMUX_TOKEN", "secret")
    monkeypatch.setenv("COLOUR", "blue")
    with pytest.raises(SandboxError):
        await run_agent(shell(f"env >{tmp_path}/env"), socket=tmp_path / "socket", data_dir=tmp_path)
    seen = (tmp_path / "env").read_text()
    assert "COLOUR=blue" in seen
    assert "WORMUX" not in seen


async def test_a_record_of_another_process_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "agent.pid").write_text(f"{os.getpid()} 1\n")
    assert recorded_life(tmp_path) is None
    (tmp_path / "agent.pid").write_text("nonsense\n")
    assert recorded_life(tmp_path) is None
