"""Control groups, with the kernel's own wherever they can be made here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from wormux.errors import SandboxError, SetupError
from wormux.limits import MIB
from wormux.sandbox import cgroup as cgroup_module
from wormux.sandbox.cgroup import Group, Use, entering
from wormux.sandbox.cgroup_place import Groups, Hierarchy, enable_controller, hierarchies
from wormux.sandbox.sandbox_groups import SandboxGroups
from wormux.sandbox.settings import Limits, ProviderSettings

NOBODY = 65534
WITHIN_S = 20.0
EAT = "import time; eaten = bytearray({} << 20); print('ate', flush=True); time.sleep(1000)"


@pytest.fixture
def groups(tmp_path: Path) -> Iterator[Groups]:
    groups = Groups(tmp_path)
    yield groups
    for use in groups.uses:
        assert not groups._served[use].exists(), "a control group was left behind"


def served(groups: Groups, *uses: Use) -> Groups:
    """For all of these, or the test is skipped with the reason."""
    for use in uses:
        reason = groups.cannot(use)
        if reason is not None:
            pytest.skip(f"NO CONTROL GROUPS HERE, so nothing is known of them: {reason}")
    return groups


@contextlib.asynccontextmanager
async def running(group: Group, *command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is born in the group; all that is in it is killed afterwards."""
    process = await asyncio.create_subprocess_exec(
        *entering(group, command, None),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        await group.kill()
        await process.communicate()
        assert await group.remove()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        return (await process.stdout.readline()).decode().strip()


COUNT = 'i=0; while read -r _; do i=$((i+1)); echo "$i"; done'


@pytest.fixture(params=["unified", "v1"])
def freezing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Groups]:
    """Groups in the one kind of hierarchy, or in the other, whichever a real server would prefer."""
    wanted = request.param == "unified"
    found = tuple(hierarchy for hierarchy in hierarchies() if hierarchy.is_unified == wanted)
    groups = Groups(tmp_path, found)
    yield served(groups, "freezer")
    assert not groups._served["freezer"].exists(), "a control group was left behind"


async def test_what_is_frozen_stands_still_and_goes_on_where_it_stood(freezing: Groups) -> None:
    group = freezing.make()
    async with running(group, "sh", "-c", COUNT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n\n")
        assert [await line(process), await line(process)] == ["1", "2"]
        await group.freeze()
        assert group.is_frozen
        process.stdin.write(b"\n")
        answer = asyncio.ensure_future(process.stdout.readline())
        used = cpu_ticks(process.pid)
        assert await asyncio.wait({answer}, timeout=0.1) == (set(), {answer})
        assert cpu_ticks(process.pid) == used
        group.thaw()
        assert await asyncio.wait_for(answer, WITHIN_S) == b"3\n"


async def test_children_are_in_the_group_whatever_they_do(freezing: Groups) -> None:
    group = freezing.make()
    script = "setsid sh -c 'setsid sh -c \"echo deep; exec sleep 1000\" & exec sleep 1000' & wait"
    async with running(group, "sh", "-c", script) as process:
        assert await line(process) == "deep"
        assert len(group.processes()) >= 3
        await group.freeze()


async def test_what_is_frozen_can_be_killed(freezing: Groups) -> None:
    group = freezing.make()
    async with running(group, "sh", "-c", "sleep 1000 & sleep 1000 & echo there; wait") as process:
        assert await line(process) == "there"
        await group.freeze()
        await group.kill()
        assert group.processes() == []
        async with asyncio.timeout(WITHIN_S):
            assert await process.wait() == -signal.SIGKILL


async def test_another_process_finds_a_group_again(freezing: Groups, tmp_path: Path) -> None:
    group = freezing.make()
    async with running(group, "sh", "-c", "echo there; exec sleep 1000") as process:
        assert await line(process) == "there"
        await group.freeze()
        later = Groups(tmp_path).find(group.dump())
        assert later is not None
        assert later.is_frozen
        assert later.processes() == [process.pid]
        later.thaw()
        assert not group.is_frozen
    assert Groups(tmp_path).find(group.dump()) is None


async def test_a_group_of_somebody_else_is_not_found(freezing: Groups, tmp_path: Path) -> None:
    group = freezing.make()
    assert Groups(tmp_path / "other").find(group.dump()) is None
    for text in ("", "[]", '{"freezer": 1}', '{"freezer": "/"}', '"x"'):
        assert Groups(tmp_path).find(text) is None
    assert await group.remove()


async def test_a_program_and_its_children_are_gathered_while_they_fork(freezing: Groups) -> None:
    group = freezing.make()
    script = "while :; do sh -c 'sleep 0.01; :' & sleep 0.005; echo; done"
    process = await asyncio.create_subprocess_exec("sh", "-c", script, stdout=asyncio.subprocess.PIPE)
    await line(process)
    await asyncio.to_thread(group.add_all, process.pid)
    assert process.pid in group.processes()
    await group.freeze()
    await group.kill()
    await process.communicate()
    assert await group.remove()


async def test_a_group_that_does_not_stand_still_goes_on(
    freezing: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = freezing.make()
    async with running(group, "sh", "-c", COUNT) as process:
        assert process.stdin is not None
        with monkeypatch.context() as patch:
            patch.setattr(cgroup_module, "FREEZE_WITHIN_S", 0.02)
            patch.setattr(cgroup_module, "freeze_group", lambda _: False)
            with pytest.raises(SandboxError, match="did not stand still within"):
                await group.freeze()
        assert not group.is_frozen
        process.stdin.write(b"\n")
        assert await line(process) == "1"


async def test_a_group_that_is_gone_is_a_sentence(freezing: Groups) -> None:
    group = freezing.make()
    assert await group.remove()
    for action in (group.thaw, lambda: group.add(os.getpid())):
        with pytest.raises(SandboxError, match="control group"):
            action()
    with pytest.raises(SandboxError, match="control group is gone"):
        await group.freeze()
    assert group.processes() == []
    await group.kill()


async def test_a_group_with_processes_is_not_removed(
    freezing: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = freezing.make()
    async with running(group, "sh", "-c", "echo there; exec sleep 1000") as process:
        assert await line(process) == "there"
        with monkeypatch.context() as patch:
            patch.setattr(cgroup_module, "GROUP_EMPTY_WITHIN_S", 0.02)
            assert not await group.remove()


async def test_too_much_memory_kills_and_is_counted(groups: Groups) -> None:
    group = served(groups, "memory").make()
    group.limit(Limits(memory_bytes=64 * MIB))
    async with running(group, sys.executable, "-c", EAT.format(20)) as process:
        assert await line(process) == "ate"
        assert group.oom_kills() == 0
        async with asyncio.timeout(WITHIN_S):
            glutton = await asyncio.create_subprocess_exec(
                *entering(group, [sys.executable, "-c", EAT.format(100)], None)
            )
            assert await glutton.wait() == -signal.SIGKILL
        assert group.oom_kills() == 1
        assert process.returncode is None
    assert group.oom_kills() == 1, "known after the group is gone, too"


async def test_too_many_processes_are_not_started(groups: Groups) -> None:
    group = served(groups, "pids").make()
    group.limit(Limits(processes=8))
    script = (
        "from subprocess import DEVNULL, Popen\n"
        "for n in range(20): print(n, flush=True); Popen(['sleep', '1000'], stdout=DEVNULL, stderr=DEVNULL)"
    )
    async with running(group, sys.executable, "-c", script) as process:
        assert process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            said = (await process.stdout.read()).decode()
        assert "BlockingIOError" in said
        assert "\n6\n" in said
        assert "\n9\n" not in said


async def test_too_many_files_are_not_opened() -> None:
    command = entering(None, [sys.executable, "-c", "import resource as r; print(r.getrlimit(7))"], 200)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert await line(process) == "(200, 200)"
    await process.wait()
    assert entering(None, ["true"], None) == ["true"]


async def test_what_was_left_behind_is_removed_once_it_is_old(
    groups: Groups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(groups, "freezer")
    dead = Groups(tmp_path / "dead")
    served(dead, "freezer")
    empty, used = dead.make(), dead.make()
    async with running(used, "sh", "-c", "echo there; exec sleep 1000") as process:
        assert await line(process) == "there"
        groups.sweep()
        assert dead.find(empty.dump()) is not None
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 100)
        groups.sweep()
        assert dead.find(empty.dump()) is None
        assert dead.find(used.dump()) is not None
    groups.sweep()
    assert not dead._served["freezer"].exists()


# --- Where groups can be ---------------------------------------------------------------------------------------


def as_nobody(code: str, data_dir: Path) -> str:
    """What this program prints as another user, who may write into no control group."""
    if os.getuid() != 0:
        pytest.skip(
            "ONLY ROOT may become another user, so it is not known what users without rights are told"
        )
    program = f"import os\nos.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    modules = ("pathlib", "wormux.errors", "wormux.sandbox.sandbox_groups", "wormux.sandbox.settings")
    imports = "".join(f"from {module} import *\n" for module in modules)
    run = [sys.executable, "-c", imports + program + textwrap.dedent(code), str(data_dir)]
    return subprocess.run(run, check=True, capture_output=True, text=True, timeout=60).stdout


def test_a_user_without_rights_is_told_why_and_what_to_do(tmp_path: Path) -> None:
    code = "print(SandboxGroups(ProviderSettings(Path('/nowhere'))).cannot_freeze)"
    said = as_nobody(code, tmp_path).strip()
    assert said.startswith("Sandboxes cannot be frozen: ")
    assert said.endswith("Run Wormux as a service with Delegate=yes, or choose --sleep-mode sigstop.")
    if hierarchies():
        assert "is not writable for this user" in said


def test_limits_that_cannot_be_kept_are_refused(tmp_path: Path) -> None:
    code = """
    for limits in (Limits(memory_bytes=1 << 30), Limits(processes=100)):
        try:
            SandboxGroups(ProviderSettings(Path('/nowhere'), limits=limits))
        except SetupError as error:
            print(error)
    """
    memory, processes = as_nobody(code, tmp_path).splitlines()
    assert memory.startswith("The memory of sandboxes cannot be limited: ")
    assert memory.endswith("or leave --sandbox-memory out.")
    assert processes.startswith("The processes of sandboxes cannot be limited: ")
    assert processes.endswith("or leave --sandbox-processes out.")


def test_limits_that_would_end_the_agent_are_refused(tmp_path: Path) -> None:
    for limits in (Limits(memory_bytes=MIB), Limits(processes=2), Limits(open_files=20)):
        with pytest.raises(SetupError, match="cannot be limited to less than"):
            SandboxGroups(ProviderSettings(tmp_path, limits=limits))


def test_a_system_without_control_groups_is_told_so(tmp_path: Path) -> None:
    assert hierarchies(tmp_path) == ()
    reason = Groups(tmp_path, ()).cannot("freezer")
    assert reason == "this system has no control groups with a freezer controller"


def test_nothing_is_made_for_those_who_want_nothing(tmp_path: Path) -> None:
    assert SandboxGroups(ProviderSettings(tmp_path)).new() is None


MOUNTS = """\
22 1 0:20 / / rw,relatime - ext4 /dev/root rw
30 22 0:26 {root} /sys/fs/cgroup\\040x rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
31 22 0:27 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
32 22 0:28 / /sys/fs/cgroup/cpu,pids rw,nosuid - cgroup cgroup rw,cpu,pids
33 22 0:29 / /sys/fs/cgroup/systemd rw,nosuid - cgroup cgroup rw,xattr,name=systemd
"""


@pytest.mark.parametrize(
    ("root", "own", "below"),
    [
        ("/", "/user.slice/a.service", "user.slice/a.service"),
        ("/", "/", ""),
        ("/docker/box", "/docker/box/inner", "inner"),
        ("/docker/box", "/docker/box", ""),
        ("/docker/box", "/docker/boxes", None),
        ("/", "/../other", None),
    ],
)
def test_mounts_and_our_own_place_are_read(tmp_path: Path, root: str, own: str, below: str | None) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS.format(root=root))
    (tmp_path / "cgroup").write_text(
        f"12:memory:/mem\n11:cpu,pids:/p:x\n1:name=systemd:/user.slice\n0::{own}\n"
    )
    unified, memory, pids, systemd = hierarchies(tmp_path)
    top = Path("/sys/fs/cgroup x")
    assert unified == Hierarchy(top, None if below is None else top / below, True, frozenset())
    own_memory = Path("/sys/fs/cgroup/memory/mem")
    assert memory == Hierarchy(Path("/sys/fs/cgroup/memory"), own_memory, False, frozenset({"memory"}))
    assert pids.own == Path("/sys/fs/cgroup/cpu,pids/p:x")
    assert pids.controllers == {"cpu", "pids"}
    assert systemd.own == Path("/sys/fs/cgroup/systemd/user.slice")


def test_where_processes_are_nothing_below_can_be_limited() -> None:
    """With whatever controller the unified hierarchy has here: the kernel's rule is the same for all of them."""
    unified = next((hierarchy for hierarchy in hierarchies() if hierarchy.is_unified), None)
    controllers = sorted(unified.controllers - {"cpu", "pids", "cpuset"}) if unified is not None else []
    if unified is None or not controllers or not os.access(unified.top / "cgroup.subtree_control", os.W_OK):
        pytest.skip("NO CONTROLLER of the unified hierarchy may be handed down here")
    outer = unified.top / f"wormux-test-{os.getpid()}"
    outer.mkdir()
    before = (unified.top / "cgroup.subtree_control").read_text().split()
    process = subprocess.Popen(["sleep", "1000"])
    try:
        enable_controller(unified.top, controllers[0])
        enable_controller(outer, controllers[0])
        (outer / "cgroup.subtree_control").write_text(f"-{controllers[0]}")
        (outer / "cgroup.procs").write_text(str(process.pid))
        with pytest.raises(OSError, match="busy"):
            enable_controller(outer, controllers[0])
    finally:
        process.kill()
        process.wait()
        outer.rmdir()
        if controllers[0] not in before:
            (unified.top / "cgroup.subtree_control").write_text(f"-{controllers[0]}")


def test_limits_and_kills_are_written_and_read_as_the_unified_hierarchy_has_them(tmp_path: Path) -> None:
    """No kernel is asked: on machines with both kinds of hierarchies it counts memory in the other one."""
    for name in ("memory.max", "memory.swap.max", "pids.max"):
        (tmp_path / name).touch()
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n")
    group = Group({"memory": tmp_path, "pids": tmp_path})
    group.limit(Limits(memory_bytes=64 * MIB, processes=50))
    assert (tmp_path / "memory.max").read_text() == str(64 * MIB)
    assert (tmp_path / "memory.swap.max").read_text() == "0"
    assert (tmp_path / "pids.max").read_text() == "50"
    assert group.oom_kills() == 2


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
