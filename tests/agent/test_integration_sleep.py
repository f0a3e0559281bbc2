"""Shells come back as they were: their environment and history after sleep, and nothing that must not be kept."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
from pathlib import Path

import pytest

from wormux.limits import ENVIRONMENT_BYTES
from wormux.protocol.agent_link import Close, Ended

from .harness import until
from .integrated import ENDS, Sandbox, run

SHELLS = ("bash", "zsh", "fish")
ODD = b"a'b\"c\\d\n$(touch ~/owned) `touch ~/owned` \xff\xc3\xa4 !x  "

pytestmark = pytest.mark.skipif(
    not all(shutil.which(shell) for shell in SHELLS), reason="bash, zsh and fish are not all installed"
)


def quoted(value: bytes, shell: str) -> bytes:
    if shell == "fish":
        return b"'" + value.replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"
    return b"'" + value.replace(b"'", b"'\\''") + b"'"


def assign(shell: str, name: str, value: bytes) -> bytes:
    word = quoted(value, shell)
    return (
        b"set -gx %s %s\n" % (name.encode(), word)
        if shell == "fish"
        else b"export %s=%s\n" % (name.encode(), word)
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_the_environment_comes_back_and_secrets_do_not(shell: str) -> None:
    rc = "set -gx FROM_RC rc\n" if shell == "fish" else "export FROM_RC=rc\n"
    unset = b"set -e BEFORE\n" if shell == "fish" else b"unset BEFORE\n"
    path = os.environb[b"PATH"]
    wanted = {
        b"ODD": ODD,
        b"EMPTY": b"",
        b"FROM_RC": b"changed",
        b"PATH": b"/own/bin:" + path,
    }
    with Sandbox(shell, rc) as sandbox:
        sandbox.write("set", b"".join(assign(shell, n.decode(), v) for n, v in wanted.items()) + unset
                      + assign(shell, "MY_TOKEN", b"hush-hush") + assign(shell, "X_URL", b"hush-hush"))  # fmt: skip
        pane = sandbox.open()
        assert run(pane, "source ~/set") == 0
        assert sandbox.environment(pane)[b"MY_TOKEN"] == b"hush-hush"
        for _ in range(2):
            run(pane, "cd /")
            sandbox.sleep()
            pane = sandbox.open()
            seen = sandbox.environment(pane)
            assert {name: seen.get(name) for name in wanted} == wanted
            assert not {b"BEFORE", b"MY_TOKEN", b"X_URL"} & set(seen)
            assert seen[b"PWD"] == str(sandbox.home).encode()
        assert not (sandbox.home / "owned").exists()
        files = [file for file in sandbox.agent.data_dir.rglob("*") if file.is_file()]
        assert files
        assert not [file for file in files if b"hush" in file.read_bytes()]


def test_an_exported_prompt_comes_back_as_it_was() -> None:
    with Sandbox("bash") as sandbox:
        pane = sandbox.open()
        for _ in range(3):
            run(pane, "export PS1='own> '")
            run(pane, "true")
            (kept,) = (file for file in sandbox.kept_files if file.name == "kept")
            assert '"PS1": "own> "' in kept.read_text()
            sandbox.sleep()
            pane = sandbox.open()
            assert pane.output.count(b"own> " + ENDS) == 1


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_that_ends_by_itself_is_over(shell: str) -> None:
    with Sandbox(shell) as sandbox:
        pane = sandbox.open()
        run(pane, b"export KEPT=1")
        assert sandbox.environment(pane)[b"KEPT"] == b"1"
        os.kill(pane.await_opened().pid, signal.SIGKILL)
        pane.next(Ended)
        pane = sandbox.open()
        assert sandbox.environment(pane)[b"KEPT"] == b"1"
        pane.type(b"exit\r")
        pane.next(Ended)
        assert sandbox.kept_files == []
        assert b"KEPT" not in sandbox.environment(sandbox.open())


@pytest.mark.parametrize("way", ["pane", "control"])
def test_a_closed_pane_leaves_nothing(way: str) -> None:
    with Sandbox("bash") as sandbox:
        pane = sandbox.open()
        run(pane, "export KEPT=1; cd /")
        until(lambda: len(sandbox.kept_files) == 2, "what is kept")
        (sandbox.agent.control() if way == "control" else pane).send(
            Close("p1" if way == "control" else None)
        )
        until(lambda: sandbox.kept_files == [], "nothing kept")
        pane.next(Ended)
        assert sandbox.kept_files == []


def test_a_pane_that_is_closed_after_its_sleep_leaves_nothing() -> None:
    with Sandbox("bash") as sandbox:
        run(sandbox.open(), "export KEPT=1; cd /")
        sandbox.sleep()
        assert [file.name for file in sandbox.kept_files] == ["kept"]
        sandbox.agent.control().send(Close("p1"))
        until(lambda: sandbox.kept_files == [], "nothing kept")


def test_garbage_in_the_pipe_does_no_harm() -> None:
    with Sandbox("bash") as sandbox:
        pane = sandbox.open()
        (pipe,) = sandbox.agent.data_dir.glob("panes/*/environment.1")
        descriptor = os.open(pipe, os.O_WRONLY)
        os.write(descriptor, b"wormux prompt\0GARBAGE=" + b"x" * 30_000)
        for _ in range(2 * ENVIRONMENT_BYTES // 30_000):
            os.write(descriptor, b"\xff" * 30_000)
        run(pane, "export KEPT=1")
        run(pane, "true")
        sandbox.sleep()
        os.close(descriptor)
        seen = sandbox.environment(sandbox.open())
        assert (seen.get(b"KEPT"), seen.get(b"GARBAGE")) == (b"1", None)


def test_an_environment_beyond_the_bound_stops_no_shell() -> None:
    with Sandbox("bash") as sandbox:
        pane = sandbox.open()
        run(pane, "export KEPT=1")
        run(pane, f"export A=$(printf %0{ENVIRONMENT_BYTES}d 0)")
        run(pane, "unset A")
        sandbox.sleep()
        assert sandbox.environment(sandbox.open())[b"KEPT"] == b"1"


@pytest.mark.parametrize("killed", [False, True], ids=["asleep", "killed"])
@pytest.mark.parametrize("shell", SHELLS)
def test_history_comes_back(shell: str, killed: bool) -> None:
    with Sandbox(shell) as sandbox:
        pane = sandbox.open()
        run(pane, "true remembered")
        if killed:
            os.kill(pane.await_opened().pid, signal.SIGKILL)
            pane.next(Ended)
        else:
            sandbox.sleep()
        if shell == "fish":  # it looks for what is older than itself, in whole seconds
            file = sandbox.home / ".local/fish/fish_history"
            file.write_text(re.sub(r"when: \d+", "when: 1000000000", file.read_text()))
        pane = sandbox.open()
        pane.type(b"\x1b[A" if shell != "zsh" else b"\x10")
        pane.await_output(b"remembered")
        pane.type(b"\r")
        pane.await_output(ENDS)
        own = sandbox.agent.data_dir / "zsh_history"
        assert own.exists() == (shell == "zsh")
        if shell == "zsh":
            assert stat.S_IMODE(own.stat().st_mode) == 0o600
            assert own.read_text().splitlines()[0] == "true remembered"


def test_a_history_of_zsh_is_written_as_its_person_wants_it_and_once() -> None:
    rc = "HISTFILE=~/history\nHISTSIZE=100\nSAVEHIST=100\nsetopt extended_history\n"
    with Sandbox("zsh", rc) as sandbox:
        pane = sandbox.open()
        run(pane, "true one")
        run(pane, "true two")
        sandbox.sleep()
        lines = (sandbox.home / "history").read_text().splitlines()
        assert [line.partition(";")[2] for line in lines] == ["true one", "true two"]
        assert not (sandbox.agent.data_dir / "zsh_history").exists()


@pytest.mark.parametrize(
    ("shell", "rc"),
    [("bash", "unset HISTFILE\n"), ("bash", "HISTSIZE=0\n"), ("bash", "set +o history\n"),
     ("zsh", "unset HISTFILE\n"), ("zsh", "HISTSIZE=0\n"), ("fish", "set -g fish_history ''\n")],
)  # fmt: skip
def test_whoever_wants_no_history_has_none(shell: str, rc: str) -> None:
    with Sandbox(shell, rc) as sandbox:
        pane = sandbox.open()
        run(pane, "true rem''embered")
        run(pane, "true")
        sandbox.sleep()
        everything = [*sandbox.home.rglob("*"), *sandbox.agent.data_dir.rglob("*")]
        assert not [file for file in everything if _says(file, b"true rem''embered")]


def _says(path: Path, text: bytes) -> bool:
    return path.is_file() and text in path.read_bytes()
