"""Kills for want of memory are named as such where control groups tell."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wormux.agent.oom import OomCounter, candidates, open_counter, parse
from wormux.limits import OOM_KNOWN_WITHIN_S
from wormux.protocol.agent_link import Ended, Exit

from .harness import Agent, until

LIMIT_BYTES = 96 * 1024 * 1024
"""Four times what an agent takes."""
EAT = "exec python3 -c 'b\"x\" * (1 << 30)'\r"


def memory_parent() -> Path | str:
    """Where groups with a limit of memory can be made; or why there is none."""
    mounts = [line.split(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for fields, kind in mounts:
        point = Path(fields.split()[4])
        is_v1 = kind.startswith("cgroup ") and "memory" in kind.split()[2].split(",")
        control = point / "cgroup.subtree_control"
        is_v2 = kind.startswith("cgroup2 ") and "memory" in control.read_text().split()
        if is_v1 or is_v2:
            return point if os.access(point / "cgroup.procs", os.W_OK) else f"{point} cannot be written"
    return "no hierarchy of control groups limits memory"


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group with little memory."""
    parent = memory_parent()
    if isinstance(parent, str):
        pytest.skip(parent)
    path = parent / f"wormux-test-{os.getpid()}-{os.urandom(4).hex()}"
    path.mkdir()
    limits = {
        "memory.limit_in_bytes": LIMIT_BYTES,
        "memory.memsw.limit_in_bytes": LIMIT_BYTES,
        "memory.max": LIMIT_BYTES,
        "memory.swap.max": 0,
    }
    try:
        for name, value in limits.items():
            if (path / name).exists():
                (path / name).write_text(str(value))
        yield path
    finally:
        until(lambda: not (path / "cgroup.procs").read_text(), "the end of the group's processes")
        path.rmdir()


def inside(group: Path) -> tuple[str, ...]:
    return ("/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', str(group / "cgroup.procs"))


def test_a_shell_that_ate_all_memory_is_named(group: Path) -> None:
    with Agent(prefix=inside(group)) as agent:
        pane = agent.shell()
        pane.type(EAT.encode())
        ended = pane.next(Ended).exit
        assert (ended.signal, ended.oom) == ("SIGKILL", True)


def test_a_program_of_a_shell_is_no_matter_of_the_shells(group: Path) -> None:
    with Agent(prefix=inside(group)) as agent:
        control = agent.control()
        pane = agent.shell()
        pane.type(EAT.replace("exec ", "").encode())
        pane.await_output(b"Killed")
        control.await_busy(None)
        pane.type(b"exit 3\r")
        ended = pane.next(Ended).exit
        assert (ended.code, ended.oom) == (3, False)


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    path = tmp_path / "memory.events"
    path.write_text("low 0\noom 7\noom_kill 2\noom_group_kill 0\n")
    return path


def with_counter(counter: Path) -> Agent:
    """As an isolated sandbox has it: inherited, and invisible otherwise."""
    return Agent("--oom-fd", "9", prefix=("/bin/sh", "-c", 'exec 9<"$0"; exec "$@"', str(counter)))


def test_an_inherited_counter_is_believed(counter: Path) -> None:
    with with_counter(counter) as agent:
        first, second = agent.shell("p1"), agent.shell("p2")
        first.type(b"kill -9 $$\r")
        assert first.next(Ended).exit.oom is False
        counter.write_text("low 0\noom 8\noom_kill 3\noom_group_kill 0\n")
        second.type(b"kill -9 $$\r")
        assert second.next(Ended).exit.oom is True


def test_only_a_sigkill_may_have_been_the_kernels(counter: Path) -> None:
    with with_counter(counter) as agent:
        pane = agent.shell()
        counter.write_text("oom_kill 3\n")
        pane.type(b"kill -TERM $$; kill -HUP $$\r")
        ended = pane.next(Ended).exit
        assert ended == Exit(signal="SIGHUP", ran_s=ended.ran_s)


def test_a_descriptor_that_counts_nothing_is_no_harm(tmp_path: Path) -> None:
    with with_counter(tmp_path) as agent:
        pane = agent.shell()
        pane.type(b"kill -9 $$\r")
        assert pane.next(Ended).exit.oom is False


def test_a_kill_is_remembered_for_as_long_as_ending_takes(counter: Path) -> None:
    now = [100.0]
    descriptor = os.open(counter, os.O_RDONLY)
    try:
        oom = OomCounter(descriptor, lambda: now[0])
        assert not oom.rose()
        counter.write_text("oom_kill 3\n")
        oom.look()
        now[0] += OOM_KNOWN_WITHIN_S
        assert oom.rose()
        now[0] += 0.1
        assert not oom.rose()
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (b"low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 1\n", 5),
        (b"oom_kill_disable 0\nunder_oom 0\noom_kill 4\n", 4),
        (b"oom_kill_disable 0\nunder_oom 0\n", 0),
        (b"oom_kill many\noom_kill\n\xff\n", 0),
        (b"", 0),
    ],
)
def test_reads_both_versions(text: bytes, count: int) -> None:
    assert parse(text) == count


V1 = "35 31 0:32 {root} /g/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
V2 = "41 31 0:38 {root} /g/unified rw,relatime - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("mounts", "groups", "expected"),
    [
        (V2.format(root="/"), "0::/user/x\n", ["/g/unified/user/x/memory.events"]),
        (V2.format(root="/box"), "0::/box/x\n", ["/g/unified/x/memory.events"]),
        (V2.format(root="/box"), "0::/other\n", []),
        (
            V2.format(root="/") + V1.format(root="/"),
            "8:pids:/p\n4:memory:/m\n0::/\n",
            ["/g/memory/m/memory.oom_control", "/g/unified/memory.events"],
        ),
        ("27 1 0:1 / /proc rw - proc proc rw\nnonsense\n", "0::/\n", []),
    ],
)
def test_finds_its_own_group(tmp_path: Path, mounts: str, groups: str, expected: list[str]) -> None:
    (tmp_path / "mountinfo").write_text(mounts)
    (tmp_path / "cgroup").write_text(groups)
    assert [str(path) for path in candidates(tmp_path)] == expected


def test_opens_what_counts(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    (tmp_path / "mountinfo").write_text(V2.format(root="/").replace("/g/unified", str(mount)))
    (tmp_path / "cgroup").write_text("0::/\n")
    assert open_counter(tmp_path) is None
    (mount / "memory.events").write_text("low 0\n")
    assert open_counter(tmp_path) is None
    (mount / "memory.events").write_text("oom_kill 1\n")
    descriptor = open_counter(tmp_path)
    assert descriptor is not None
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
    assert open_counter(tmp_path / "nowhere") is None
