"""One terminal of a real agent: its start, job control, input, sizes and end."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from wormux.limits import READY_WITHIN_S
from wormux.protocol.agent_link import (
    Attach,
    Close,
    Ended,
    Foreground,
    Forget,
    Hello,
    InputAck,
    Open,
    Ready,
    Refused,
    Resize,
    SizeMark,
)

from .harness import BASH, PLAIN, Agent, until

LOOK = """
import json, os, signal, sys, termios
modes = termios.tcgetattr(0)
print(json.dumps({
    "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "ignored": [line.split()[1] for line in open("/proc/self/status") if line.startswith("SigIgn")],
    "size": list(os.get_terminal_size()),
    "leader": [os.getsid(0), os.getpgrp(), os.tcgetpgrp(0), os.getpid()],
    "icrnl": bool(modes[0] & termios.ICRNL), "iutf8": bool(modes[0] & 0x4000),
    "echo": bool(modes[3] & termios.ECHO), "icanon": bool(modes[3] & termios.ICANON),
    "env": dict(os.environ), "cwd": os.getcwd(), "umask": os.umask(0),
}))
"""
PYTHON = ("/usr/bin/env", "python3", "-I")


def test_a_program_finds_what_a_terminal_emulator_gives_it(agent: Agent, tmp_path: Path) -> None:
    pane = agent.open(
        argv=(*PYTHON, "-c", LOOK), cols=101, rows=33, cwd=str(tmp_path / "gone"), env={"EXTRA": "é"}
    )
    pane.next(Ended)
    notice, _, said = bytes(pane.output).partition(b"\r\n")
    assert notice == f"\x1b[2m── {tmp_path}/gone is gone: starting in {tmp_path} ──\x1b[m".encode()
    seen = json.loads(said)
    assert seen["fds"] == [0, 1, 2, 3], "the last one lists the directory"
    assert seen["blocked"] == []
    ignored = {number for number in range(1, 65) if int(seen["ignored"][0], 16) >> number - 1 & 1}
    its_own = {signal.SIGPIPE, signal.SIGXFSZ}  # Python ignores them itself
    assert ignored & set(signal.valid_signals()) <= its_own, "what the C library reserves cannot be set"
    assert seen["size"] == [101, 33]
    assert len(set(seen["leader"])) == 1
    assert (seen["icrnl"], seen["iutf8"], seen["echo"], seen["icanon"]) == (True, True, True, True)
    assert seen["cwd"] == seen["env"]["PWD"] == str(tmp_path)
    assert seen["env"]["TERM"] == "xterm-256color"
    assert seen["env"]["EXTRA"] == "é"
    assert not [name for name in seen["env"] if name.startswith("WORMUX_") or name == "PYTHONPATH"]
    assert seen["umask"] == os.umask(seen["umask"])


def test_the_preamble_comes_first_and_is_numbered(agent: Agent) -> None:
    pane = agent.open(argv=("/bin/echo", "hello"), position=1000, preamble=b"new shell\r\n")
    ended = pane.next(Ended)
    assert bytes(pane.output) == b"new shell\r\nhello\r\n"
    assert pane.opened is not None
    assert (pane.opened.position, pane.opened.end) == (1000, 1011)
    assert ended.position == 1000 + len(pane.output)
    assert (ended.exit.code, ended.exit.signal, ended.exit.asleep) == (0, None, False)


def test_job_control_works(agent: Agent) -> None:
    pane = agent.shell()
    pane.type(b"sleep 1000\r")
    assert not pane.await_foreground("sleep").is_shell
    pane.type(b"\x1a")
    pane.await_output(b"Stopped")
    assert pane.await_foreground("bash").is_shell
    pane.type(b"fg\r")
    pane.await_foreground("sleep")
    pane.type(b"\x03")
    pane.await_output(b"$ ")
    pane.type(b"echo status $?\r")
    pane.await_output(b"status 130\r\n")


def test_the_foreground_is_told_with_its_directory(agent: Agent, tmp_path: Path) -> None:
    pane = agent.shell()
    pane.type(f"cd {tmp_path}\r".encode())
    pane.until(lambda: bool(pane.all_of(Foreground)) and pane.all_of(Foreground)[-1].cwd == str(tmp_path))
    pane.type(b"exec cat\r")
    assert pane.await_foreground("cat") == Foreground("cat", False, str(tmp_path))


def test_no_news_without_change(agent: Agent) -> None:
    pane = agent.shell()
    pane.await_foreground("bash")
    count = len(pane.all_of(Foreground))
    for number in range(3):
        pane.type(f"echo n{number}\r".encode())
        pane.await_output(f"\nn{number}\r\n".encode())
    pane.type(b"exec cat\r")
    pane.await_foreground("cat")
    assert len(pane.all_of(Foreground)) == count + 1


# --- Ready ---------------------------------------------------------------------------------------------------


def test_what_is_typed_when_the_shell_is_ready_is_echoed_once(agent: Agent) -> None:
    for number in range(5):
        pane = agent.open(f"p{number}")
        pane.await_ready()
        pane.type(b"echo typed ahead\r")
        pane.await_output(b"\ntyped ahead\r\n")
        pane.await_output(b"$ ")
        assert pane.output.count(b"echo typed ahead") == 1


def test_a_slow_start_is_waited_for(agent: Agent, tmp_path: Path) -> None:
    """A program of the start-up file that reads the terminal raw is not the shell."""
    go = tmp_path / "go"
    os.mkfifo(go)
    startup = tmp_path / "bashrc"
    startup.write_text(f"bash -c 'stty raw; read line < {go}; stty sane'; PS1='$ '\n")
    pane = agent.open(argv=("/bin/bash", "--rcfile", str(startup), "-i"))
    with go.open("w") as writer:  # Opens when the reader is there.
        assert not pane.all_of(Ready)
        writer.write("on\n")
    pane.next(Ready)
    pane.type(b"echo once\r")
    pane.await_output(b"\nonce\r\n")
    assert pane.output.count(b"echo once") == 1


@pytest.mark.parametrize(
    "argv", [("/bin/cat",), ("/bin/bash", "--norc", "--noediting", "-i"), ("/bin/sh", "-i")]
)
def test_a_program_that_reads_lines_is_ready_when_it_reads(agent: Agent, argv: tuple[str, ...]) -> None:
    pane = agent.open(argv=argv)
    pane.await_ready()
    assert pane.all_of(Ended) == []


def test_the_prompt_mark_says_ready(agent: Agent) -> None:
    pane = agent.open(argv=("/bin/sh", "-c", "printf '\\033]133;B\\007'; exec sleep 1000"))
    pane.next(Ready, deadline_s=READY_WITHIN_S * 0.9)


def test_ready_at_the_latest_after_a_while(agent: Agent) -> None:
    pane = agent.open(argv=("/bin/sleep", "1000"))
    pane.next(Ready)
    assert agent.attach().await_opened().ready


# --- Sizes ---------------------------------------------------------------------------------------------------

WINCH = r"""
import os, signal, sys
def show(*_):
    os.write(1, b"size %d %d\n" % os.get_terminal_size())
signal.signal(signal.SIGWINCH, show)
show()
while True:
    signal.pause()
"""


def test_a_resize_keeps_its_place_in_the_output(agent: Agent) -> None:
    pane = agent.open(argv=(*PYTHON, "-c", WINCH))
    pane.await_output(b"size 80 24\r\n")
    pane.send(Resize(100, 30))
    mark = pane.next(SizeMark)
    assert mark == SizeMark(len(b"size 80 24\r\n"), 100, 30)
    pane.await_output(b"size 100 30\r\n")
    pane.send(Resize(90, 20))
    pane.await_output(b"size 90 20\r\n")

    again = agent.attach(position=0)
    assert again.await_opened().sizes == (SizeMark(0, 80, 24),)
    assert again.next(SizeMark) == mark
    assert again.next(SizeMark) == SizeMark(mark.position + len(b"size 100 30\r\n"), 90, 20)
    later = agent.attach(position=mark.position + 1)
    assert later.await_opened().sizes == (mark,)


def test_the_size_that_it_has_makes_the_program_repaint(agent: Agent) -> None:
    pane = agent.open(argv=(*PYTHON, "-c", WINCH))
    pane.await_output(b"size 80 24\r\n")
    pane.send(Resize(80, 24))
    pane.await_output(b"size 80 24\r\n")


# --- The end -------------------------------------------------------------------------------------------------


def test_the_exit_status_is_told(agent: Agent) -> None:
    pane = agent.shell()
    pane.type(b"exit 7\r")
    ended = pane.next(Ended)
    assert (ended.exit.code, ended.exit.signal) == (7, None)
    assert 0 < ended.exit.ran_s < 20
    assert ended.inputs == {"client": pane.typed}


def test_a_killed_shell_ends_by_its_signal(agent: Agent) -> None:
    pane = agent.shell()
    os.kill(pane.await_opened().pid, signal.SIGKILL)
    ended = pane.next(Ended)
    assert (ended.exit.code, ended.exit.signal) == (None, "SIGKILL")


def test_all_output_comes_before_the_end(agent: Agent) -> None:
    for number in range(10):
        pane = agent.open(f"p{number}", argv=("/bin/sh", "-c", "seq 20000"))
        pane.next(Ended)
        assert bytes(pane.output) == b"".join(b"%d\r\n" % n for n in range(1, 20001))


def test_children_in_the_background_do_not_hold_up_the_end(agent: Agent) -> None:
    pane = agent.shell()
    pane.type(b"nohup sleep 1000 >/dev/null 2>&1 & exit\r")
    pane.next(Ended)
    control = agent.control()
    control.await_busy("sleep")


def test_the_foreground_is_hung_up_when_its_shell_ends(agent: Agent) -> None:
    pane = agent.shell()
    pane.type(b"sleep 1000\r")
    pane.await_foreground("sleep")
    os.kill(pane.await_opened().pid, signal.SIGKILL)
    pane.next(Ended)
    until(lambda: not agent.descendants(), "the end of sleep")


def test_an_ended_terminal_waits_for_a_server_that_was_away(agent: Agent) -> None:
    pane = agent.shell()
    pane.type(b"exit 3\r")
    pane.close()
    control = agent.control()
    until(lambda: agent.terminals()[0].exit is not None, "the end of the shell")
    (info,) = agent.terminals()
    assert (info.pane_id, info.generation, info.start) == ("p1", 1, 0)
    for _ in range(2):
        again = agent.attach()
        ended = again.next(Ended)
        assert ended.exit.code == 3
        assert ended.inputs == {"client": pane.typed}
        assert ended.position == len(again.output) == info.end
        assert b"exit 3" in again.output
        again.close()
    control.send(Forget("p1"))
    until(lambda: not agent.terminals(), "the forgetting")


def test_forget_spares_the_living(agent: Agent) -> None:
    pane = agent.shell()
    control = agent.control()
    control.send(Forget("p1"))
    pane.send(Forget("p1"))
    pane.type(b"echo alive\r")
    pane.await_output(b"\nalive\r\n")


@pytest.mark.parametrize("by_control", [False, True])
def test_close_ends_and_forgets(agent: Agent, by_control: bool) -> None:
    pane = agent.shell()
    pane.type(b"sleep 1000\r")
    pane.await_foreground("sleep")
    control = agent.control()
    if by_control:
        control.send(Close("p1"))
    else:
        pane.send(Close())
    assert pane.next(Ended).exit.asleep is False
    pane.await_close()
    assert agent.terminals() == ()
    assert agent.descendants() == {}


def test_close_kills_what_does_not_hear(agent: Agent) -> None:
    pane = agent.open(argv=("/bin/bash", "-c", "trap '' HUP TERM; echo deaf; while :; do read -t 1000; done"))
    pane.await_output(b"deaf\r\n")
    pane.send(Close())
    assert pane.next(Ended).exit.signal == "SIGKILL"


def test_a_server_that_closes_and_leaves_is_heard(agent: Agent) -> None:
    """What it has not read of ours does not make us miss its last word."""
    pane = agent.open(argv=("/bin/sh", "-c", "echo here; exec yes"))
    pane.await_output(b"here")
    pane.send(Close())
    pane.close()
    until(lambda: not agent.descendants(), "the end of the terminal")


# --- Generations ---------------------------------------------------------------------------------------------


def refusal(agent: Agent, request: Open | Attach) -> Refused:
    pane = agent.pane()
    pane.send(request)
    refused = pane.next(Refused)
    pane.await_close()
    return refused


def asked(generation: int, *argv: str) -> Open:
    return Open("p1", generation, 80, 24, 0, b"", argv or BASH, env=PLAIN)


def test_a_newer_generation_takes_the_place_of_the_older(agent: Agent) -> None:
    old = agent.shell(generation=3)
    new = agent.shell(generation=4)
    assert new.await_opened().pid != old.await_opened().pid
    old.await_close()
    until(lambda: set(agent.descendants()) == {new.await_opened().pid}, "the end of the older one")
    (info,) = agent.terminals()
    assert info.generation == 4


def test_the_same_generation_is_attached_while_it_lives(agent: Agent) -> None:
    first = agent.shell(generation=3)
    second = agent.pane()
    second.send(asked(3))
    assert second.await_opened().pid == first.await_opened().pid
    second.await_output(b"$ ")
    first.await_close()
    second.type(b"exit\r")
    second.next(Ended)
    assert "over" in refusal(agent, asked(3)).reason


def test_an_older_generation_is_refused(agent: Agent) -> None:
    pane = agent.shell(generation=3)
    assert not refusal(agent, asked(2)).gone
    assert refusal(agent, Attach("p1", 2, 0)).gone
    assert refusal(agent, Attach("p1", 4, 0)).gone
    assert refusal(agent, Attach("other", 3, 0)).gone
    pane.type(b"echo alive\r")
    pane.await_output(b"\nalive\r\n")


# --- Starts that fail ----------------------------------------------------------------------------------------


def agent_descriptors(agent: Agent) -> int:
    return len(list(Path(f"/proc/{agent.process.pid}/fd").iterdir()))


def test_a_shell_that_cannot_be_run_is_refused_with_the_reason(agent: Agent, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    control = agent.control()
    before = agent_descriptors(agent)
    reasons = [
        refusal(agent, asked(1, program)).reason
        for program in ("/no/such", "no-such-program", str(plain), "/tmp")
    ]
    assert reasons == [
        "The shell /no/such cannot be run: No such file or directory.",
        "The shell no-such-program cannot be run: No such file or directory.",
        f"The shell {plain} cannot be run: Permission denied.",
        "The shell /tmp cannot be run: Permission denied.",
    ]
    assert "cannot be run" in refusal(agent, asked(1, "/bin/echo", "a\0b")).reason
    until(lambda: agent_descriptors(agent) == before, "the descriptors to be closed")
    assert agent.descendants() == {}
    assert control.welcome.terminals == ()


def test_without_descriptors_there_is_a_sentence() -> None:
    with Agent(prefix=("/bin/sh", "-c", 'ulimit -n 24; exec "$@"', "sh")) as agent:
        panes = [agent.shell("p0")]
        while len(panes) < 24:
            pane = agent.pane()
            pane.send(Open(f"p{len(panes)}", 1, 80, 24, 0, b"", BASH, env=PLAIN))
            pane.until(lambda pane=pane: pane.opened is not None or pane.all_of(Refused) != [])  # type: ignore[misc]
            if pane.opened is None:
                assert pane.next(Refused).reason.endswith("Too many open files.")
                break
            panes.append(pane)
        else:
            pytest.fail("the limit was never met")
        panes[0].type(b"echo alive\r")
        panes[0].await_output(b"\nalive\r\n")


def test_acks_say_what_was_written(agent: Agent) -> None:
    pane = agent.shell()
    pane.type(b"echo a\r", "a")
    pane.await_acked(7, "a")
    pane.typed = 0
    pane.type(b"echo b\r", "b")
    pane.await_acked(7, "b")
    assert {ack.client_id for ack in pane.all_of(InputAck)} == {"a", "b"}
    assert agent.attach().await_opened().inputs == {"a": 7, "b": 7}


def test_a_hello_of_another_version_is_refused(agent: Agent) -> None:
    link = agent.stranger()
    link.send(Hello("pane", version=99))
    assert "version" in link.next(Refused).reason
    link.await_close()


def test_a_terminal_starts_in_the_present_directory_of_the_one_beside_it(
    agent: Agent, tmp_path: Path
) -> None:
    first = agent.shell()
    first.type(f"cd {tmp_path} && echo th''ere\n".encode())
    first.await_output(b"there")
    second = agent.shell("p2", cwd="/", beside="p1")
    second.type(b"pwd\n")
    second.await_output(os.fsencode(tmp_path))
    third = agent.shell("p3", cwd=str(tmp_path.parent), beside="gone")
    third.type(b"echo [$PWD]\n")
    third.await_output(b"[" + os.fsencode(tmp_path.parent) + b"]")
