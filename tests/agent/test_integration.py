"""What shells with integration write, and what their person does not notice of it."""

from __future__ import annotations

import contextlib
import re
import shutil
import stat
from pathlib import Path

import pytest

from wormux.agent.prompt import PROMPT_END
from wormux.protocol.agent_link import Ended

from .harness import DEADLINE_S, Agent, Late, until
from .integrated import ENDS, Sandbox, marks, run

SHELLS = ("bash", "zsh", "fish")
MULTI_LINE = {
    "bash": (b"if true", b"then false", b"fi"),
    "zsh": (b"if true", b"then false", b"fi"),
    "fish": (b"if true", b"false", b"end"),
}
SCRIPT = Path(__file__).parents[2] / "src" / "wormux" / "agent" / "shells" / "bash.bash"

pytestmark = pytest.mark.skipif(
    not all(shutil.which(shell) for shell in SHELLS), reason="bash, zsh and fish are not all installed"
)


@pytest.mark.parametrize("shell", SHELLS)
def test_marks_prompts_and_commands(shell: str) -> None:
    with Sandbox(shell) as sandbox:
        pane = sandbox.open()
        assert PROMPT_END in ENDS
        prompt = ["P;k=i", "B"]
        assert marks(pane.output) == prompt

        def seen(typed: bytes, prompts: int = 1) -> list[str]:
            start = len(pane.output)
            pane.type(typed)
            for _ in range(prompts):
                pane.await_output(b"\x1b]133;P")
                pane.await_output(ENDS)
            return marks(pane.output[start:])

        assert seen(b"true\r") == ["C", "D;0", *prompt]
        assert seen(b"false\r") == ["C", "D;1", *prompt]
        assert seen(b"\r") == prompt
        assert seen(b"true\r\rfalse\r", 3) == ["C", "D;0", *prompt, *prompt, "C", "D;1", *prompt]
        assert run(pane, b"\r".join(MULTI_LINE[shell])) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_no_mark_of_a_command_where_none_ran(shell: str) -> None:
    with Sandbox(shell) as sandbox:
        pane = sandbox.open()
        for typed, key in ((b"abc", b"\x03"), (b"true )", b"\r")):
            pane.type(typed)
            pane.await_output(typed)
            start = len(pane.output)
            pane.type(key)
            with contextlib.suppress(
                Late
            ):  # bash may miss an interrupt in the moment in which it begins to wait
                pane.await_output(ENDS, 1 if key == b"\x03" else DEADLINE_S)
            if ENDS not in pane.output[start:]:
                pane.type(b"\x03")
                pane.await_output(ENDS)
            assert marks(pane.output[start:]) == ["P;k=i", "B"]
        assert run(pane, "true") == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_tells_the_directory(shell: str) -> None:
    with Sandbox(shell) as sandbox:
        odd = sandbox.home / "a b%ä"
        odd.mkdir()
        (sandbox.home / ".here").symlink_to(odd)
        pane = sandbox.open(cwd=str(odd))
        wanted = f"{sandbox.home}/a%20b%25%C3%A4"
        assert re.search(rb"\x1b\]7;file://[^/]+" + wanted.encode() + rb"\x07", pane.output)
        start = len(pane.output)
        run(pane, "cd /")
        assert re.search(rb"\x1b\]7;file://[^/]+/\x07", pane.output[start:])


@pytest.mark.parametrize("shell", SHELLS)
def test_programs_see_nothing_of_it(shell: str) -> None:
    with Sandbox(shell) as sandbox:
        pane = sandbox.open()
        seen = sandbox.environment(pane)
        assert not [name for name in seen if b"wormux" in name.lower() or b"wormux" in seen[name].lower()]
        assert seen[b"SHLVL"] == b"1"
        assert b"ZDOTDIR" not in seen
        sandbox.agent.control().await_busy(None)
        until(lambda: list(sandbox.agent.descendants().values()) == [shell], "the shell alone")
        opened = pane.await_opened()
        files = [str(path.readlink()) for path in Path(f"/proc/{opened.pid}/fd").iterdir()]
        assert not [file for file in files if "environment" in file]


def test_bash_within_bash_writes_no_marks() -> None:
    with Sandbox("bash", "export PS1\n") as sandbox:
        pane = sandbox.open()
        start = len(pane.output)
        pane.type(b"bash --norc --noprofile\r")
        pane.await_output(b"\x1b]133;C\x07")
        pane.await_output(b"$ ")
        pane.type(b"echo in$((1))side\r")
        pane.await_output(b"in1side\r\n")
        pane.await_output(b"$ ")
        assert marks(pane.output[start:]) == ["C"]
        pane.type(b"exit\r")
        pane.await_output(ENDS)
        assert run(pane, "true") == 0


def test_reads_the_files_of_bash_once() -> None:
    with Sandbox("bash", "echo rc >>~/order\nalias ll='ls -l'\nHERE=set\n") as sandbox:
        pane = sandbox.open()
        assert (sandbox.home / "order").read_text() == "rc\n"
        assert run(pane, '[[ $HERE == set && $(alias ll) == *"ls -l"* ]]') == 0


@pytest.mark.parametrize("own", [False, True], ids=["home", "zdotdir"])
def test_reads_the_files_of_zsh_once_and_in_order(own: bool) -> None:
    with Sandbox("zsh", plain=False) as sandbox:
        folder = "zsh files/" if own else ""
        if own:
            sandbox.env["ZDOTDIR"] = f"{sandbox.home}/zsh files"
        for name in (".zshenv", ".zprofile", ".zshrc", ".zlogin"):
            sandbox.write(folder + name, f"echo {name} ${{ZDOTDIR-none}} >>~/order\n")
        pane = sandbox.open()
        where = sandbox.env.get("ZDOTDIR", "none")
        assert (sandbox.home / "order").read_text() == f".zshenv {where}\n.zshrc {where}\n"
        assert sandbox.environment(pane).get(b"ZDOTDIR", b"none").decode() == where


def test_another_directory_of_zsh_files_chosen_by_zshenv() -> None:
    with Sandbox("zsh", plain=False) as sandbox:
        sandbox.write(".zshenv", "ZDOTDIR=~/elsewhere\n")
        sandbox.write("elsewhere/.zshrc", "HERE=elsewhere\n")
        assert run(sandbox.open(), "[[ $HERE == elsewhere && $ZDOTDIR == ~/elsewhere ]]") == 0


@pytest.mark.parametrize(
    "rc",
    [
        "PROMPT_COMMAND='seen=$?; PS1=\"<$seen> \"'\n",
        "PROMPT_COMMAND=('seen=$?' 'PS1=\"<$seen> \"')\n",
        'look() { seen=$?; PS1="<$seen> "; return 3; }\nPROMPT_COMMAND=look\nset -u\n',
        'look() { seen=$?; PS1="<$seen> "; }\nPROMPT_COMMAND=look\nset -o posix\nset -C\n',
    ],
    ids=["string", "array", "strict", "posix"],
)
def test_the_prompt_of_bash_that_is_made_anew_each_time(rc: str) -> None:
    with Sandbox("bash", rc) as sandbox:
        pane = sandbox.open()
        for status in (7, 0):
            start = len(pane.output)
            assert run(pane, f"(exit {status})") == status
            assert re.search(rb"P;k=i\x07.*<%d> \x1b\]133;B" % status, pane.output[start:], re.DOTALL)
        if "PROMPT_COMMAND=(" not in rc:
            assert run(pane, "PROMPT_COMMAND='PS1=\"new \"'") == 0
            start = len(pane.output)
            assert run(pane, "true") == 0
            assert b"new " + ENDS in pane.output[start:]


def test_a_prompt_command_of_bash_that_comes_later() -> None:
    with Sandbox("bash") as sandbox:
        pane = sandbox.open()
        assert run(pane, "PROMPT_COMMAND='seen=$?'") == 0
        assert run(pane, "(exit 7)") == 7
        assert run(pane, "[[ $seen == 7 ]]") == 0


def test_the_debug_trap_of_bash_goes_on() -> None:
    """A clock of the usual kind: begins with the first command since the prompt, is read by the prompt."""
    rc = """
        begin() { first=${first:-$BASH_COMMAND}; }
        trap begin DEBUG
        end() { last=$first; unset first; }
        PROMPT_COMMAND=end
    """
    with Sandbox("bash", rc) as sandbox:
        pane = sandbox.open()
        assert run(pane, "true one") == 0
        assert run(pane, '[[ $last == "true one" ]]') == 0
        assert run(pane, "trap -p DEBUG | grep -q begin") == 0
        assert ENDS in pane.output


def test_options_of_bash_hold_for_its_person() -> None:
    with Sandbox("bash", "set -eux\n") as sandbox:
        pane = sandbox.open()
        start = len(pane.output)
        assert run(pane, "[[ $- == *e*u*x* ]]") == 0
        traced = re.findall(rb"\++ [^\r]*", pane.output[start:])
        assert [line.split(b" ")[1] for line in traced] == [b"[[", b"__wormux_prompt"]


@pytest.mark.parametrize("version", ["3 2", "4 4", "5 0"])
def test_the_way_of_older_bash(version: str) -> None:
    """The bash at hand, told that it is older."""
    with Sandbox("bash", "PROMPT_COMMAND='seen=$?; PS1=\"<$seen> \"'\n") as sandbox:
        sandbox.write("older", f"older=({version})\n" + SCRIPT.read_text().replace("BASH_VERSINFO", "older"))
        pane = sandbox.open("bash", "--rcfile", str(sandbox.home / "older"))
        start = len(pane.output)
        pane.type(b"(exit 7)\r")
        pane.await_output(b"<7> " + ENDS)
        command = [] if version == "3 2" else ["C"]
        assert marks(pane.output[start:]) == [*command, "D;7", "P;k=i", "B"]
        pane.type(b"tail -n 1 ~/.bash_history\r")
        pane.await_output(b"(exit 7)\r\n")


def test_a_prompt_of_zsh_that_is_made_anew_each_time() -> None:
    rc = 'precmd() { PS1="<$?> " }\nadd() { seen=$? }\nprecmd_functions+=(add)\nsetopt ksh_arrays no_unset\n'
    with Sandbox("zsh", rc) as sandbox:
        pane = sandbox.open()
        start = len(pane.output)
        assert run(pane, "(exit 7)") == 7
        assert b"<7> " + ENDS in pane.output[start:]
        assert run(pane, "[[ $seen == 7 && $PS1 == '<7> ' ]]") == 0


def test_the_prompt_of_fish_is_the_persons() -> None:
    with Sandbox("fish", 'function fish_prompt; echo -n "<$status> "; end\n') as sandbox:
        pane = sandbox.open()
        start = len(pane.output)
        assert run(pane, "false") == 1
        assert b"<1> " + ENDS in pane.output[start:]
        assert run(pane, "function fish_prompt; echo -n 'new '; end") == 0
        start = len(pane.output)
        assert run(pane, "true") == 0
        assert b"new " + ENDS in pane.output[start:]


@pytest.mark.parametrize("shell", SHELLS)
def test_turned_off(shell: str) -> None:
    with Sandbox(shell, "", "--shell-integration", "off") as sandbox:
        pane = sandbox.open(wait=False)
        pane.await_output(b"$ ")
        pane.type(b"exit\r")
        pane.next(Ended)
        assert marks(pane.output) == []
        assert b"\x1b]7;" not in pane.output
        assert not [path.name for path in sandbox.agent.data_dir.iterdir()]


def test_a_shell_with_arguments_is_left_alone() -> None:
    with Sandbox("bash") as sandbox:
        pane = sandbox.open("bash", "--norc", wait=False)
        pane.type(b"echo $((20+3))\r")
        pane.await_output(b"23\r\n")
        assert marks(pane.output) == []
        assert not (sandbox.agent.data_dir / "panes").exists()


def test_what_it_writes_is_private() -> None:
    with Sandbox("zsh") as sandbox:
        pane = sandbox.open()
        run(pane, "export KEPT=1")
        run(pane, "true")
        until((sandbox.agent.data_dir / "zsh_history").exists, "the history")
        modes = {
            path.relative_to(sandbox.agent.data_dir).parts[-1]: stat.S_IMODE(path.stat().st_mode)
            for path in [*sandbox.kept_files, sandbox.agent.data_dir / "zsh_history"]
        }
        assert modes == {"environment.1": 0o600, "kept": 0o600, "zsh_history": 0o600}
        folders = {stat.S_IMODE(path.stat().st_mode) for path in sandbox.agent.data_dir.glob("panes/**/")}
        assert folders == {0o700}


def test_says_that_a_directory_is_gone(agent: Agent, tmp_path: Path) -> None:
    lost = tmp_path / "a\x1b[31m" / "b"
    pane = agent.open(argv=("/bin/pwd",), cwd=str(lost), preamble=b"before\r\n", position=7)
    pane.next(Ended)
    shown = str(lost).replace("\x1b", "\ufffd")
    line = f"\x1b[2m── {shown} is gone: starting in {tmp_path} ──\x1b[m\r\n".encode()
    assert bytes(pane.output) == b"before\r\n" + line + f"{tmp_path}\r\n".encode()
    assert pane.position == 7 + len(pane.output)


def test_a_directory_that_was_removed_has_its_name(agent: Agent, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    pane = agent.shell(cwd=str(gone))
    gone.rmdir()
    pane.type(b"sleep 0.2; :\n")
    assert pane.await_foreground("bash").cwd == str(gone)
