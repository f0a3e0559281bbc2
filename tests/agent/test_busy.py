"""What a real agent takes for busy, and sleep."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from wormux.protocol.agent_link import Busy, Ended, Input, Open, Refused, Sleep, Stopped

from .harness import BASH, PLAIN, Agent, until

VIM = b"vim -u NONE -i NONE -n"
WORK = {
    "in the foreground": (b"sleep 1000\r", "sleep", "p1"),
    "an editor": (VIM + b"\r", "vim", "p1"),
    "in the background": (b"sleep 1000 &\r", "sleep", "p1"),
    "in a session of its own": (b"setsid sleep 1000\r", "sleep", None),
    "forked twice": (b"(setsid sh -c 'sleep 1000 & sleep 1000' >/dev/null 2>&1 &)\r", "sh and 2 more", None),
    "in place of the shell": (b"exec sleep 1000\r", "sleep", "p1"),
    "an editor in place of the shell": (b"exec " + VIM + b"\r", "vim", "p1"),
    "several": (b"sleep 1000 | sleep 1000 | sleep 1000\r", "sleep and 2 more", "p1"),
    "a loop of the shell": (b"while :; do :; done\r", "bash", "p1"),
    "a function that asks": (b"ask() { read -p 'Go on? '; }; ask\r", "bash", "p1"),
    "a shell in the shell": (b"bash --norc --noprofile\r", "bash", "p1"),
}
"""What is typed, what the agent calls it, and the pane that it still belongs to."""


@pytest.mark.parametrize(("keys", "sentence", "pane_id"), WORK.values(), ids=WORK)
def test_work_keeps_the_sandbox_awake(agent: Agent, keys: bytes, sentence: str, pane_id: str | None) -> None:
    control = agent.control()
    pane = agent.shell("p1")
    assert control.welcome.busy is None
    pane.type(keys)
    assert control.await_busy(sentence) == Busy(sentence, pane_id)
    refused = control.sleep()
    assert isinstance(refused, Refused)
    assert sentence in refused.reason
    assert agent.process.poll() is None
    assert isinstance(control.sleep(force=True), Stopped)
    assert pane.next(Ended).exit.asleep
    assert agent.wait() == 0
    assert agent.descendants() == {}
    assert not agent.socket.exists()


def test_a_stopped_job_keeps_the_sandbox_awake(agent: Agent) -> None:
    control = agent.control()
    pane = agent.shell()
    pane.type(VIM + b"\r")
    control.await_busy("vim")
    pane.type(b"\x1a")
    pane.await_output(b"Stopped")
    refused = control.sleep()
    assert isinstance(refused, Refused)
    assert "vim" in refused.reason
    pane.type(b"fg\r")
    pane.await_foreground("vim")
    pane.type(b":q\r")
    control.await_busy(None)
    assert isinstance(control.sleep(), Stopped)


@pytest.mark.parametrize("keys", [b"nohup sleep 1000 >/dev/null 2>&1 &\r", b"sleep 1000 & disown\r"])
def test_what_outlives_its_shell_keeps_the_sandbox_awake(agent: Agent, keys: bytes) -> None:
    control = agent.control()
    pane = agent.shell()
    pane.type(keys)
    assert control.await_busy("sleep") == Busy("sleep", "p1")
    pane.type(b"exit\r")
    pane.next(Ended)
    assert isinstance(control.sleep(), Refused)
    (pid,) = agent.descendants()
    os.kill(pid, signal.SIGKILL)
    control.await_busy(None)
    assert isinstance(control.sleep(), Stopped)


def test_a_detached_tmux_keeps_the_sandbox_awake(agent: Agent) -> None:
    tmux = f"tmux -f /dev/null -S {agent.directory}/tmux"
    control = agent.control()
    pane = agent.shell()
    pane.type(f"{tmux} new-session -d 'sleep 1000'\r".encode())
    control.await_busy("tmux: server and 1 more")
    refused = control.sleep()
    assert isinstance(refused, Refused)
    assert "tmux" in refused.reason
    pane.type(f"{tmux} kill-server\r".encode())
    control.await_busy(None)
    assert isinstance(control.sleep(), Stopped)


def test_helpers_of_the_start_up_files_are_not_busy(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "rc").write_text('PS1="$ "; eval "$(ssh-agent)" >/dev/null; echo started $SSH_AGENT_PID\n')
    control = agent.control()
    pane = agent.open(argv=("/bin/bash", "--noprofile", "--rcfile", str(tmp_path / "rc"), "-i"))
    pane.await_output(b"started ")
    pane.await_output(b"$ ")
    assert "ssh-agent" in agent.descendants().values()
    control.await_busy(None)
    assert isinstance(control.sleep(), Stopped)
    assert agent.wait() == 0
    assert agent.descendants() == {}


def test_busy_names_the_pane(agent: Agent) -> None:
    control = agent.control()
    agent.shell("p1")
    agent.shell("p2").type(b"sleep 1000\r")
    assert control.await_busy("sleep") == Busy("sleep", "p2")
    assert agent.control().welcome.busy == "sleep"


def test_the_end_of_work_is_noticed(agent: Agent, tmp_path: Path) -> None:
    control = agent.control()
    pane = agent.shell()
    go = tmp_path / "go"
    pane.type(f"mkfifo {go}; (cat {go} >/dev/null &)\r".encode())
    control.await_busy("cat")
    go.write_bytes(b"")
    control.await_busy(None)
    assert isinstance(control.sleep(), Stopped)


@pytest.mark.parametrize("pattern", ["sleep", "sl??p", "s*"])
def test_names_to_ignore_are_not_busy(pattern: str) -> None:
    with Agent("--busy-ignore", pattern) as agent:
        control = agent.control()
        pane = agent.shell()
        pane.type(b"sleep 1000 & cat\r")
        control.await_busy("cat")
        pane.type(b"\x03")
        control.await_busy(None)
        assert "sleep" in agent.descendants().values()
        assert isinstance(control.sleep(), Stopped)


def test_a_new_program_is_seen_in_the_very_step_of_sleep(agent: Agent) -> None:
    """No poll need have seen it before."""
    control = agent.control()
    pane = agent.open(argv=("/bin/sh", "-c", "echo started; exec sleep 1000"))
    pane.await_output(b"started")
    until(lambda: "sleep" in agent.descendants().values(), "the exec")
    assert isinstance(control.sleep(), Refused)


def test_sleep_ends_all_shells_at_their_prompts(agent: Agent) -> None:
    control = agent.control()
    panes = [agent.shell(f"p{number}") for number in range(5)]
    for pane in panes:
        pane.type(b"echo last\r")
        pane.await_output(b"\nlast\r\n$ ")
    started = time.monotonic()
    assert isinstance(control.sleep(), Stopped)
    assert agent.wait() == 0
    assert time.monotonic() - started < 1.5, "no longer than the shells need"
    for pane in panes:
        ended = pane.next(Ended)
        assert ended.exit.asleep
        assert ended.position == pane.position
        assert ended.inputs == {"client": pane.typed}
    assert agent.descendants() == {}
    assert not agent.socket.exists()


def test_what_is_written_on_the_way_down_is_sent(agent: Agent) -> None:
    control = agent.control()
    pane = agent.open(
        argv=("/bin/bash", "-c", "trap 'echo goodbye; exit 0' HUP; echo here; while :; do read -t 9; done")
    )
    pane.await_output(b"here")
    control.sleep(force=True)
    assert pane.next(Ended).exit.code == 0
    assert pane.output.endswith(b"goodbye\r\n")


def test_a_slow_server_gets_everything_before_it_is_told_of_the_stop(agent: Agent) -> None:
    control = agent.control()
    pane = agent.open(argv=("/usr/bin/yes",))
    pane.await_output(b"y\r\n" * 1000)
    control.send(Sleep(force=True))
    until(lambda: not agent.descendants(), "the end of the processes")
    assert control.all_of(Stopped) == []
    ended = pane.next(Ended)
    assert ended.position == pane.position
    assert set(pane.output) == set(b"y\r\n")
    control.next(Stopped)
    assert agent.wait() == 0


def test_sleep_kills_what_does_not_hear(agent: Agent) -> None:
    control = agent.control()
    pane = agent.shell()
    pane.type(
        b"trap '' HUP TERM; (trap '' HUP TERM; setsid sleep 1000) & nohup sleep 1000 >/dev/null 2>&1 &\r"
    )
    until(lambda: list(agent.descendants().values()).count("sleep") == 2, "the programs")
    assert isinstance(control.sleep(force=True), Stopped)
    assert pane.next(Ended).exit.signal == "SIGKILL"
    assert agent.wait() == 0
    assert agent.descendants() == {}


def test_nothing_starts_while_it_stops(agent: Agent) -> None:
    control = agent.control()
    pane = agent.open(
        argv=("/bin/bash", "-c", "trap 'echo hung up' HUP; echo here; while :; do read -t 9; done")
    )
    pane.await_output(b"here")
    control.send(Sleep(force=True))
    pane.await_output(b"hung up")
    pane.send(Input("client", 0, b"lost"))
    late = agent.pane()
    late.send(Open("p2", 1, 80, 24, 0, b"", BASH, env=PLAIN))
    assert late.next(Refused).reason == "The sandbox is going to sleep."
    control.next(Stopped)
    assert pane.next(Ended).inputs == {}


def test_an_idle_agent_uses_no_time(agent: Agent) -> None:
    """Its own clock says so: a few wake-ups in several seconds of quiet."""
    agent.control()
    agent.shell().await_foreground("bash")
    status = Path(f"/proc/{agent.process.pid}/status")

    def wake_ups() -> int:
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("voluntary_ctxt"))
        return int(line.split()[1])

    until_quiet = time.monotonic() + 1.2
    until(lambda: time.monotonic() > until_quiet, "the last look")
    before, quiet_until = wake_ups(), time.monotonic() + 1.5
    until(lambda: time.monotonic() > quiet_until, "a time of quiet")
    assert wake_ups() - before <= 4
