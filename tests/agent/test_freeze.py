"""FREEZE, and what an agent does after it stood still: frozen by the kernel, with all its processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wormux.agent.loop import Loop
from wormux.limits import AGENT_LOG_BYTES
from wormux.protocol.agent_link import Freezable, Freeze, Refused, Sleep, Stopped

from .harness import Agent, Control, Pane, until

QUICK = ("--check-s", "0.05", "--gap-s", "0.3")


def freeze(control: Control, *, force: bool = False) -> Freezable | Refused:
    control.messages = [m for m in control.messages if not isinstance(m, (Refused, Freezable))]
    control.send(Freeze(force))
    control.until(lambda: bool(control.all_of(Refused) or control.all_of(Freezable)))
    return next(m for m in control.messages if isinstance(m, (Refused, Freezable)))


def answers(pane: Pane, text: str) -> None:
    pane.type(f"echo {text}\r".encode())
    pane.await_output(f"\n{text}\r\n".encode())


def states(agent: Agent) -> set[str]:
    stats = [Path(f"/proc/{pid}/stat").read_text() for pid in agent.descendants()]
    return {stat.rpartition(")")[2].split()[0] for stat in stats}


def test_an_idle_sandbox_may_be_frozen_and_goes_on(agent: Agent) -> None:
    control = agent.control()
    assert control.welcome.freezes
    pane = agent.shell()
    assert freeze(control) == Freezable()
    assert states(agent) == {"S"}
    answers(pane, "still here")


def test_a_busy_one_only_by_force(agent: Agent) -> None:
    control = agent.control()
    pane = agent.shell()
    pane.type(b"cat\r")
    control.await_busy("cat")
    assert freeze(control) == Refused("The sandbox is busy: cat.")
    assert freeze(control, force=True) == Freezable()
    pane.type(b"echoed\r")
    pane.await_output(b"echoed\r\nechoed\r\n")


def test_what_was_typed_just_before_is_not_frozen(agent: Agent) -> None:
    """It came on another connection, and the shell may not have read it."""
    control = agent.control()
    pane = agent.shell()
    pane.type(b"sleep 1000\r")
    assert isinstance(freeze(control), Refused)
    pane.await_acked(pane.typed)


def test_not_while_it_ends(agent: Agent) -> None:
    control = agent.control()
    agent.shell()
    control.send(Sleep(force=True), Freeze(force=True))
    assert control.next(Refused) == Refused("The sandbox is going to sleep.")
    control.next(Stopped)


def test_a_refused_sleep_leaves_no_shell_stopped(agent: Agent) -> None:
    control = agent.control()
    panes = [agent.shell(f"p{number}") for number in range(3)]
    panes[0].type(b"cat\r")
    control.await_busy("cat")
    assert isinstance(control.sleep(), Refused)
    assert states(agent) == {"S"}
    answers(panes[1], "alive")


# --- Standing still ----------------------------------------------------------------------------------------


def version_2_mount() -> Path | None:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            return Path(fields.split()[4])
    return None


SetFrozen = Callable[[bool], None]


@contextmanager
def by_the_freezer(agent: Agent) -> Iterator[SetFrozen]:
    """A control group around the agent; what is given freezes and thaws it."""
    mount = version_2_mount()
    if mount is None or not os.access(mount / "cgroup.procs", os.W_OK):
        pytest.skip("no control groups of version 2 can be made here")
    group = mount / f"wormux-test-{agent.mark}"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(agent.process.pid))

        def set_frozen(frozen: bool) -> None:
            (group / "cgroup.freeze").write_text(str(int(frozen)))
            wanted = f"frozen {int(frozen)}"
            until(lambda: wanted in (group / "cgroup.events").read_text(), wanted)

        yield set_frozen
    finally:
        (group / "cgroup.kill").write_text("1")
        until(lambda: "populated 0" in (group / "cgroup.events").read_text(), "the end of the group")
        group.rmdir()


@contextmanager
def by_signals(agent: Agent) -> Iterator[SetFrozen]:
    def set_frozen(frozen: bool) -> None:
        for pid in (agent.process.pid, *agent.descendants()):
            os.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    yield set_frozen


def pass_time(seconds: float) -> None:
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, "the time")


def test_an_orphan_gets_a_fresh_grace_after_a_thaw() -> None:
    with Agent(*QUICK, "--orphan-s", "1.5") as agent, by_the_freezer(agent) as set_frozen:
        agent.shell().close()
        set_frozen(True)
        pass_time(1.8)
        set_frozen(False)
        pass_time(0.2)
        late = agent.attach()
        late.type(b"\r")
        late.await_output(b"$ \r\n")
        late.close()
        assert agent.wait() == 0, "and then it counts again"


def test_a_thaw_overwrites_nothing_that_the_server_lacks() -> None:
    with Agent(*QUICK, "--server-wait-s", "1.2") as agent, by_signals(agent) as set_frozen:
        pane = agent.open(argv=("/usr/bin/yes",))
        pane.await_output(b"y\r\n" * 100_000)
        pane.close()
        until(lambda: is_held(agent), "the terminal to be held")
        start = agent.terminals()[0].start
        set_frozen(True)
        pass_time(1.4)
        set_frozen(False)
        pass_time(0.1)
        assert agent.terminals()[0].start == start
        agent.control().sleep(force=True)


def is_held(agent: Agent) -> bool:
    """Nothing more is read of the only terminal: its log is full."""
    before = agent.terminals()[0]
    pass_time(0.02)
    return before.end - before.start == AGENT_LOG_BYTES and agent.terminals()[0] == before


def test_time_that_passed_unseen_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("wormux.agent.loop.time.monotonic", lambda: now[0])
    loop = Loop(gap_s=5)
    events: list[str] = []
    loop.on_gap = lambda: events.append("gap")
    asked: list[float | None] = []

    class Kernel:
        """Waits as long as it is asked to; the second time, the machine is suspended for a day."""

        def select(self, timeout: float | None) -> list[object]:
            asked.append(timeout)
            now[0] += (timeout or 0) + (86400 if len(asked) == 2 else 4)
            return []

    monkeypatch.setattr(loop, "_selector", Kernel())
    for delay_s in (10, 20, 30):
        loop.call_after(delay_s, lambda: events.append(f"{loop.time():g}"))
    loop.call_after(31, loop.stop)
    loop.run()
    assert events == ["1014", "gap", "1020", "1034"]
    assert asked == [10, 6, 10]
