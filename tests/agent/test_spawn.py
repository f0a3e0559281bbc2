from __future__ import annotations

import os
from pathlib import Path

import pytest

import wormux
from wormux.agent.spawn import make_plan
from wormux.protocol.agent_link import Open


def request(*argv: str, cwd: str | None = None, env: dict[str, str] | None = None) -> Open:
    return Open("p", 1, 80, 24, 0, b"", argv, cwd, env or {})


def test_the_environment_is_the_agents_without_what_is_ours() -> None:
    ours = str(Path(wormux.__file__).parent.parent)
    outside = {
        "WORMUX_TOKEN": "x",
        "TMUX": "x",
        "COLUMNS": "1",
        "TERM": "dumb",
        "LANG": "C",
        "PYTHONPATH": f"{ours}:/own",
    }
    environment = make_plan(request("sh", env={"EXTRA": "1", "LANG": "de"}), outside).environment
    assert not {"WORMUX_TOKEN", "TMUX", "COLUMNS"} & set(environment)
    assert environment["PYTHONPATH"] == "/own"
    assert environment["TERM"] == "xterm-256color"
    assert environment["COLORTERM"] == "truecolor"
    assert environment["EXTRA"] == "1"
    assert environment["LANG"] == "de"


def test_only_our_own_python_path_leaves_none() -> None:
    ours = str(Path(wormux.__file__).parent.parent)
    assert "PYTHONPATH" not in make_plan(request("sh"), {"PYTHONPATH": ours}).environment


def test_starts_where_it_is_asked_or_as_near_as_there_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environ = {"HOME": str(home)}
    missing = str(tmp_path / "a" / "b")
    assert make_plan(request(cwd=str(tmp_path)), environ).directories[0] == str(tmp_path)
    assert make_plan(request(cwd=missing), environ).directories[0] == str(tmp_path)
    assert make_plan(request(cwd="/no/such"), environ).directories[0] == str(home)
    assert make_plan(request(cwd="relative"), environ).directories[0] == str(home)
    assert make_plan(request(), environ).directories[0] == str(home)
    assert make_plan(request(), {"HOME": "/no/such"}).directories[0] == "/"


def test_keeps_the_name_of_the_directory_that_was_asked_for(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/usr")
    assert make_plan(request(cwd=str(link)), {}).environment["PWD"] == str(link)


@pytest.mark.parametrize(
    ("program", "files"), [("/x/y", ["/x/y"]), ("./y", ["./y"]), ("y", ["/a/y", "/b/y"])]
)
def test_looks_for_programs_as_a_shell_does(program: str, files: list[str]) -> None:
    assert make_plan(request(program), {"PATH": "/a:/b"}).files == files


def test_without_a_program_it_is_the_users_shell() -> None:
    assert make_plan(request(), {"SHELL": "/bin/bash"}).files == ["/bin/bash"]
    assert make_plan(request(), {"SHELL": "/bin/bash"}).argv[0].lstrip("-") == "bash"
    found = make_plan(request(), {"SHELL": "/no/such"})
    assert os.access(found.files[0], os.X_OK)
    assert found.environment["SHELL"] == "/no/such"
