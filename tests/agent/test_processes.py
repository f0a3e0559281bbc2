from __future__ import annotations

import os
from dataclasses import replace

import pytest

from wormux.agent.processes import (
    BUSY_IGNORE,
    Process,
    ShellState,
    busy,
    command_name,
    descendants,
    family,
    parse_stat,
    readable,
)
from wormux.protocol.agent_link import Busy

NO_SUCH_PID = 2**22 + 1


def process(
    pid: int, parent: int, name: str, *, tty: str = "0", state: str = "S", started: int = 0
) -> Process:
    return Process(pid, parent, pid, tty, state, started or pid, name)


def table(*processes: Process) -> dict[int, Process]:
    return {each.pid: each for each in processes}


BASH = process(10, 1, "bash", tty="34816")
AT_PROMPT = ShellState("p1", 10, is_shell=True, works=False)


def test_reads_a_line_of_the_kernel() -> None:
    line = b"77 (a ) b (c) R 5 70 10 34816 77 4194304 " + b"1 " * 12 + b"4242 0 0\n"
    expected = Process(77, 5, 70, "34816", "R", 1, "a ) b (c")
    assert replace(parse_stat(line), started=1) == expected


@pytest.mark.parametrize("line", [b"", b"1 (x", b"x (y) S 1 2 3 4"])
def test_a_line_that_is_none_is_refused(line: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        parse_stat(line)


def test_finds_itself() -> None:
    assert family(os.getppid())[os.getpid()].parent == os.getppid()


def test_the_family_are_all_descendants_but_the_dead() -> None:
    everyone = [
        process(1, 0, "init"),
        process(5, 1, "agent"),
        process(6, 5, "bash"),
        process(7, 6, "make"),
        process(8, 7, "cc", state="Z"),
        process(9, 1, "other"),
    ]
    assert sorted(descendants(5, everyone)) == [6, 7]


def test_a_shell_at_its_prompt_is_not_busy() -> None:
    assert busy(table(BASH), [AT_PROMPT], ()) == Busy(None)
    assert busy({}, [], ()) == Busy(None)


def test_names_the_oldest_and_counts_the_rest() -> None:
    processes = table(
        BASH, process(20, 10, "make", tty="34816"), process(21, 20, "cc"), process(22, 20, "cc")
    )
    assert busy(processes, [AT_PROMPT], ()) == Busy("make and 2 more", "p1")


def test_a_program_without_a_terminal_belongs_to_no_pane() -> None:
    processes = table(BASH, process(20, 1, "server"))
    assert busy(processes, [AT_PROMPT], ()) == Busy("server", None)


def test_a_shell_that_became_another_program_is_busy() -> None:
    vim = replace(BASH, name="vim")
    assert busy(table(vim), [ShellState("p1", 10, is_shell=False, works=False)], ()) == Busy("vim", "p1")


def test_a_shell_that_works_alone_is_busy_by_its_own_name() -> None:
    works = ShellState("p1", 10, is_shell=True, works=True)
    assert busy(table(BASH), [works], ()) == Busy("bash", "p1")
    assert busy(table(BASH, process(20, 10, "sleep", tty="34816")), [works], ()) == Busy("sleep", "p1")


@pytest.mark.parametrize("name", ["ssh-agent", "gpg-agent", "gitstatusd-linu", "dbus-daemon"])
def test_helpers_in_the_background_are_not_busy(name: str) -> None:
    processes = table(BASH, process(20, 10, name))
    assert busy(processes, [AT_PROMPT], BUSY_IGNORE) == Busy(None)
    assert busy(processes, [AT_PROMPT], ()) == Busy(name, None)


def test_a_nested_shell_is_busy() -> None:
    assert busy(table(BASH, process(11, 10, "bash")), [AT_PROMPT], ()).sentence == "bash"


def test_a_name_that_cannot_be_looked_up_stays_as_it_is() -> None:
    assert command_name(process(NO_SUCH_PID, 1, "x" * 15)) == "x" * 15
    assert command_name(process(NO_SUCH_PID, 1, "MainThread")) == "MainThread"


def test_names_are_made_fit_for_a_person() -> None:
    assert readable(os.fsdecode(b"caf\xc3\xa9 \xff\x1b[31m")) == "café \ufffd\ufffd[31m"
