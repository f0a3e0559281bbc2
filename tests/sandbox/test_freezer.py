"""Local sandboxes that stand still, are limited, and run out of memory, with real agents and real shells.

What every provider must do about freezing is in the conformance suite; here is what control groups and signals are for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from wormux.errors import SandboxError, SetupError
from wormux.limits import MIB
from wormux.protocol.agent_link import Attach, Ended, Foreground, Refused, Stopped
from wormux.sandbox import freezer as freezer_module
from wormux.sandbox import sandbox_groups as sandbox_groups_module
from wormux.sandbox.cgroup import Group
from wormux.sandbox.cgroup_place import Groups
from wormux.sandbox.freezer import SigstopFreezer
from wormux.sandbox.local import LocalProvider
from wormux.sandbox.port import Frozen, Lost, Provider, Sandbox, SandboxEvent
from wormux.sandbox.processes import descendants, state
from wormux.sandbox.runtime_dir import default_runtime_dir
from wormux.sandbox.settings import Limits, ProviderSettings
from wormux.testing.sandbox_conformance import BOX, Events, Pane, ignore, open_request
from wormux.testing.sandbox_conformance.freezing import FreezingChecks

WITHIN_S = 20.0
ROUNDS = 20
COUNT = b"i=0; while :; do i=$((i+1)); echo $i; done\n"


def skip_without(provider: LocalProvider) -> None:
    if provider.cannot_freeze is not None:
        pytest.skip(f"NO FREEZER HERE, so nothing is known of it: {provider.cannot_freeze}")


def group_of(data_dir: Path) -> Group | None:
    try:
        text = (data_dir / "sandboxes" / BOX / "agent.group").read_text()
    except FileNotFoundError:
        return None
    return Groups(data_dir).find(text)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(default_runtime_dir(tmp_path), ignore_errors=True)
    left = [path for path in Path("/sys/fs/cgroup").glob(f"**/{Groups(tmp_path, ()).name}") if path.is_dir()]
    assert left == [], "control groups were left behind"


@contextlib.asynccontextmanager
async def opened(provider: LocalProvider) -> AsyncIterator[LocalProvider]:
    try:
        yield provider
    finally:
        await provider.destroy(BOX)
        await provider.aclose()


@contextlib.asynccontextmanager
async def freezable(data_dir: Path) -> AsyncIterator[LocalProvider]:
    """A provider whose sandboxes get a group from their start."""
    provider = LocalProvider(ProviderSettings(data_dir))
    skip_without(provider)
    async with opened(provider):
        yield provider


async def until(is_so: Callable[[], bool]) -> None:
    """The kernel tells nobody of what is waited for here."""
    async with asyncio.timeout(WITHIN_S):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def frozen(sandbox: Sandbox, events: Events[SandboxEvent]) -> None:
    sandbox.freeze(force=True)
    await events.next(Frozen)


# --- By a control group ----------------------------------------------------------------------------------------


async def test_an_agent_is_in_its_group_from_its_start(data_dir: Path) -> None:
    async with freezable(data_dir) as provider:
        events: Events[SandboxEvent] = Events()
        for generation in (1, 2):  # the second agent was loaded ahead
            sandbox = await provider.start(BOX, events)
            pane = Pane(sandbox, open_request(generation=generation))
            shell = (await pane.opened()).pid
            group = group_of(data_dir)
            assert group is not None
            assert {sandbox.welcome.pid, shell} <= set(group.processes())
            sandbox.sleep(force=True)
            await events.next(Stopped)
            events = Events()
            await until(lambda: group_of(data_dir) is None)


async def test_a_flood_stands_still_and_goes_on_twenty_times_with_nothing_lost(data_dir: Path) -> None:
    async with freezable(data_dir) as provider:
        position, output = 0, b""
        for number in range(ROUNDS):
            events: Events[SandboxEvent] = Events()
            sandbox = await provider.start(BOX, events)
            request = Attach(open_request().pane_id, 1, position) if number else open_request()
            pane = Pane(sandbox, request)
            assert (await pane.opened()).position == position
            if number == 0:
                await pane.shows(b"$ ")
                pane.type(COUNT)
            await pane.events.until(lambda pane=pane: pane.output.count(b"\n") > 1000)  # type: ignore[misc]
            await frozen(sandbox, events)
            output += pane.output
            position += len(pane.output)
        numbers = output.replace(b"\r", b"").split(b"\n")[:-1]
        counted = [int(line) for line in numbers if line.isdigit()]
        assert len(counted) > 1000 * ROUNDS / 2
        assert counted == list(range(1, len(counted) + 1))


async def test_nothing_runs_while_it_is_frozen(data_dir: Path) -> None:
    async with freezable(data_dir) as provider:
        events: Events[SandboxEvent] = Events()
        sandbox = await provider.start(BOX, events)
        pane = Pane(sandbox, open_request())
        pane.type(b"setsid sh -c 'while :; do :; done' & while :; do :; done & echo it $((40+2))\n")
        await pane.shows(b"it 42")
        await frozen(sandbox, events)
        before = {pid: cpu_ticks(pid) for pid in descendants(sandbox.welcome.pid)}
        assert len(before) >= 3
        await asyncio.sleep(0.1)  # the time for which it stands still, not one that is waited for
        assert {pid: cpu_ticks(pid) for pid in before} == before


async def test_what_a_dead_agent_left_in_its_group_is_ended(data_dir: Path) -> None:
    async with freezable(data_dir) as provider:
        events: Events[SandboxEvent] = Events()
        sandbox = await provider.start(BOX, events)
        pane = Pane(sandbox, open_request())
        pane.type(b"trap '' HUP; setsid sleep 1000 & echo it $((40+2))\n")
        await pane.shows(b"it 42")
        await frozen(sandbox, events)
        left = descendants(sandbox.welcome.pid)
        assert len(left) >= 2
        os.kill(sandbox.welcome.pid, signal.SIGKILL)
        again = await provider.start(BOX, ignore)
        assert again.welcome.pid != sandbox.welcome.pid
        assert [pid for pid in left if state(pid) not in (None, "Z")] == []


async def test_an_agent_without_a_group_gets_one_when_it_freezes(data_dir: Path) -> None:
    async with opened(LocalProvider(ProviderSettings(data_dir))) as provider:
        events: Events[SandboxEvent] = Events()
        sandbox = await provider.start(BOX, events)
        pane = Pane(sandbox, open_request())
        pane.type(b"sleep 1000 & echo it $((40+2))\n")
        await pane.shows(b"it 42")
        assert group_of(data_dir) is None
        skip_without(provider)
        await frozen(sandbox, events)
        group = group_of(data_dir)
        assert group is not None
        assert set(group.processes()) == {sandbox.welcome.pid, *descendants(sandbox.welcome.pid)}
        assert group.is_frozen


async def test_a_server_that_does_not_freeze_thaws_all_the_same(data_dir: Path) -> None:
    async with freezable(data_dir) as provider:
        events: Events[SandboxEvent] = Events()
        sandbox = await provider.start(BOX, events)
        await Pane(sandbox, open_request()).opened()
        await frozen(sandbox, events)
        async with opened(LocalProvider(ProviderSettings(data_dir, freeze_with="sigstop"))) as later:
            found = await later.find(BOX, ignore)
            assert isinstance(found, Sandbox)
            assert found.welcome.pid == sandbox.welcome.pid


async def test_a_group_that_cannot_be_written_down_is_not_frozen(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with freezable(data_dir) as provider:
        events: Events[SandboxEvent] = Events()
        sandbox = await provider.start(BOX, events)
        with monkeypatch.context() as patch:
            patch.setattr(sandbox_groups_module, "_GROUP", "missing/agent.group")
            sandbox.freeze(force=True)
            refused = await events.next(Refused)
        assert refused.reason == "The sandbox's group cannot be written down: No such file or directory."
        await frozen(sandbox, events)


async def test_a_sandbox_that_cannot_be_frozen_here_is_refused_with_the_reason(data_dir: Path) -> None:
    async with opened(LocalProvider(ProviderSettings(data_dir))) as provider:
        provider._groups._groups = Groups(data_dir, ())  # as on a system without them
        events: Events[SandboxEvent] = Events()
        sandbox = await provider.start(BOX, events)
        sandbox.freeze(force=True)
        refused = await events.next(Refused)
        assert refused.reason == provider.cannot_freeze
        assert refused.reason.startswith("Sandboxes cannot be frozen: this system has no control groups")
        assert "sigstop" in refused.reason
        await Pane(sandbox, open_request()).opened()


# --- Limits ----------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def limited(data_dir: Path, limits: Limits) -> AsyncIterator[LocalProvider]:
    try:
        provider = LocalProvider(ProviderSettings(data_dir, limits=limits))
    except SetupError as error:
        pytest.skip(f"NO LIMITS HERE, so nothing is known of them: {error}")
    async with opened(provider):
        yield provider


async def test_a_program_that_eats_too_much_is_named(data_dir: Path) -> None:
    async with limited(data_dir, Limits(memory_bytes=64 * MIB)) as provider:
        sandbox = await provider.start(BOX, ignore)
        eats, lives = (Pane(sandbox, open_request(f"pane-{number}")) for number in range(2))
        await lives.shows(b"$ ")
        eats.type(b"exec %s -c 'bytearray(200 << 20)'\n" % os.fsencode(sys.executable))
        ended = await eats.events.next(Ended)
        assert ended.exit.signal == "SIGKILL"
        assert ended.exit.oom
        lives.type(b"echo it $((40+2))\n")
        await lives.shows(b"it 42")


async def test_an_agent_that_dies_for_want_of_memory_is_named(data_dir: Path) -> None:
    async with limited(data_dir, Limits(memory_bytes=64 * MIB)) as provider:
        events: Events[SandboxEvent] = Events()
        sandbox = await provider.start(BOX, events)
        pane = Pane(sandbox, open_request())
        pane.type(b"%s -c 'bytearray(200 << 20)'; echo it $((40+2))\n" % os.fsencode(sys.executable))
        await pane.shows(b"it 42")
        os.kill(sandbox.welcome.pid, signal.SIGKILL)  # as the kernel would have, had it been the larger one
        assert await events.next(Lost) == Lost("The sandbox ran out of memory.", dead=True)
        assert await pane.events.next(Lost) == Lost("The sandbox ran out of memory.", dead=True)


async def test_an_agent_that_is_killed_otherwise_is_not_said_to_be_out_of_memory(data_dir: Path) -> None:
    async with limited(data_dir, Limits(memory_bytes=64 * MIB)) as provider:
        events: Events[SandboxEvent] = Events()
        sandbox = await provider.start(BOX, events)
        os.kill(sandbox.welcome.pid, signal.SIGKILL)
        assert await events.next(Lost) == Lost("The agent was killed by SIGKILL.", dead=True)


async def test_processes_and_files_are_limited(data_dir: Path) -> None:
    async with limited(data_dir, Limits(processes=10, open_files=200)) as provider:
        for generation in (1, 2):  # the second agent was loaded ahead
            events: Events[SandboxEvent] = Events()
            sandbox = await provider.start(BOX, events)
            pane = Pane(sandbox, open_request(generation=generation))
            await pane.shows(b"$ ")
            pane.type(b"ulimit -Hn; echo it $((40+2))\n")
            await pane.shows(b"it 42")
            assert b"\r\n200\r\n" in pane.output
            pane.type(b"for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done; echo it $((42+1))\n")
            await pane.events.until(lambda pane=pane: b"ork" in pane.output)  # type: ignore[misc]
            assert len(descendants(sandbox.welcome.pid)) < 10
            sandbox.sleep(force=True)
            await events.next(Stopped)


# --- By signals ------------------------------------------------------------------------------------------------


@pytest.mark.integration
class TestFreezingBySignals(FreezingChecks):
    """What every provider must do about freezing."""

    @pytest.fixture(autouse=True)
    def _directories(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.seen: set[int] = set()

    def make_provider(self) -> Provider:
        return LocalProvider(ProviderSettings(self.data_dir, freeze_with="sigstop"))

    def agent_of(self, sandbox: Sandbox) -> object:
        self.seen |= {sandbox.welcome.pid, *descendants(sandbox.welcome.pid)}
        return sandbox.welcome.pid

    def remains(self) -> list[str]:
        return [str(pid) for pid in self.seen if state(pid) not in (None, "Z")]

    async def test_all_stand_still_and_none_that_stood_before_goes_on(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            pane = self.pane(sandbox)
            pane.type(b"sleep 1000 & sleep 1000 & kill -STOP $!; echo stopped''-$!-\n")
            await pane.shows(b"stopped-")
            await pane.shows(b"-\r\n")
            stopped = int(pane.output.partition(b"stopped-")[2].partition(b"-")[0])
            await until(lambda: state(stopped) == "T")
            await self.freeze(sandbox, events)
            processes = [sandbox.welcome.pid, *descendants(sandbox.welcome.pid)]
            assert len(processes) == 4
            assert {state(pid) for pid in processes} == {"T"}
            again = await provider.start(BOX, ignore)
            assert again.welcome.pid == sandbox.welcome.pid
            assert state(stopped) == "T"
            assert [pid for pid in processes if state(pid) == "T"] == [stopped]

    async def test_a_program_in_front_is_still_there(self) -> None:
        async with self.sandbox() as (provider, sandbox, events):
            pane = self.pane(sandbox, self.open_request(argv=("/bin/bash", "--norc", "--noprofile")))
            pane.type(b"cat\n")
            await pane.events.next(Foreground, lambda event: event.command == "cat")
            pane.type(b"before\n")
            await pane.shows(b"before\r\nbefore")
            await self.freeze(sandbox, events)
            thawed = await provider.start(BOX, ignore)
            after = self.pane(thawed, Attach("pane-1", 1, await pane.position()), pane.typed)
            after.type(b"after\n")
            await after.shows(b"after\r\nafter")
            assert b"Stopped" not in after.output


@contextlib.asynccontextmanager
async def running(script: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A shell that has said a line."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", script, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


async def test_a_killed_servers_record_is_enough_to_go_on(tmp_path: Path) -> None:
    async with running("sleep 1000 & sleep 1000 & echo; wait") as process:
        record = tmp_path / "stopped"
        await SigstopFreezer(process.pid, record).freeze()
        later = SigstopFreezer(process.pid, record)
        assert later.is_frozen
        later.thaw()
        assert "T" not in {state(pid) for pid in (process.pid, *descendants(process.pid))}
        assert not record.exists()
        assert not SigstopFreezer(process.pid, record).is_frozen


async def test_a_record_of_other_processes_with_these_numbers_continues_nobody(tmp_path: Path) -> None:
    async with running("echo; sleep 1000") as process:
        os.kill(process.pid, signal.SIGSTOP)
        await until(lambda: state(process.pid) == "T")
        record = tmp_path / "stopped"
        record.write_text(f"{process.pid} 1\nnonsense\n")
        SigstopFreezer(process.pid, record).thaw()
        assert state(process.pid) == "T"


async def test_what_forks_all_the_time_is_caught(tmp_path: Path) -> None:
    async with running("while :; do (:) & (:) ; echo; done") as process:
        freezer = SigstopFreezer(process.pid, tmp_path / "stopped")
        for _ in range(5):
            await freezer.freeze()
            assert {state(pid) for pid in (process.pid, *descendants(process.pid))} == {"T"}
            freezer.thaw()


async def test_what_does_not_stand_still_in_time_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running("sleep 1000 & echo; wait") as process:
        monkeypatch.setattr(freezer_module, "FREEZE_WITHIN_S", 0.05)
        monkeypatch.setattr(freezer_module, "_moving", lambda pid: [pid])
        freezer = SigstopFreezer(process.pid, tmp_path / "stopped")
        with pytest.raises(SandboxError, match="did not stand still within"):
            await freezer.freeze()
        assert not freezer.is_frozen
        assert state(process.pid) != "T"


async def test_what_cannot_be_written_down_is_not_stopped(tmp_path: Path) -> None:
    async with running("echo; sleep 1000") as process:
        freezer = SigstopFreezer(process.pid, tmp_path / "missing" / "stopped")
        with pytest.raises(SandboxError, match="cannot be frozen: No such file"):
            await freezer.freeze()
        assert state(process.pid) != "T"


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
