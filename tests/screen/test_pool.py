"""Workers may die at any time: their screens are reported gone, once, and the next ones live elsewhere."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.screen.odd_screens import (
    ANSWER,
    CRASH,
    CRASH_IN_REDRAW,
    EXIT,
    HANG,
    LIES,
    OPEN_ODD,
    QUERY,
    RAISE,
    REFUSE,
)
from wormux.ids import PaneId
from wormux.limits import KIB, LOG_BYTES, MIB, SCREEN_WORKERS_AT_ONCE, SCREEN_WORKERS_UNHEARD
from wormux.protocol.screen_link import (
    Answered,
    CheckpointTaken,
    CloseScreen,
    Fed,
    Feed,
    OpenScreen,
    RedrawTaken,
    ScreenGone,
    SetColors,
    TakeCheckpoint,
    TakeRedraw,
)
from wormux.screen.opening import has_emulator
from wormux.screen.pool import ScreenPool, restart_delay_s
from wormux.testing.screen_conformance import OTHER, PANE, WITHIN_S, Heard

OPEN = OpenScreen(0, 80, 24)
REDRAW = TakeRedraw(10_000, MIB)
PANES = [PaneId(f"pane-{number}") for number in range(20)]


@asynccontextmanager
async def running(
    *,
    workers: int = 1,
    opener: str | None = OPEN_ODD,
    memory_bytes: int = 64 * MIB,
    python: str = sys.executable,
) -> AsyncIterator[tuple[ScreenPool, Heard]]:
    heard = Heard()
    opener_name = {} if opener is None else {"opener": opener}
    pool = ScreenPool(heard.deliver, workers=workers, memory_bytes=memory_bytes, python=python, **opener_name)
    try:
        yield pool, heard
    finally:
        await pool.aclose()


async def until(heard: Heard, condition: Callable[[], bool]) -> None:
    """Whenever something is delivered, the condition is looked at."""
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await heard.wait_more()


async def started(pool: ScreenPool, heard: Heard, pane_id: PaneId = PANE, epoch: int = 1) -> int:
    """A screen in a running worker; gives that one's pid."""
    before = set(pool.worker_pids)
    heard.tell(pool, OPEN, Feed(b"x"), pane_id=pane_id, epoch=epoch)
    await heard.wait(Fed, pane_id, epoch)
    (pid,) = set(pool.worker_pids) - before or before
    return pid


async def test_no_worker_is_started_before_one_is_needed() -> None:
    async with running() as (pool, heard):
        heard.tell(pool, Feed(b"x"), CloseScreen())
        assert (pool.worker_pids, pool.counts.workers_started) == ([], 0)


async def test_a_worker_can_be_ready_before_one_is_needed() -> None:
    async with running(workers=2) as (pool, heard):
        pool.prepare()
        pool.prepare()
        await started(pool, heard)
        pool.prepare()
        assert (len(pool.worker_pids), pool.counts.workers_started) == (1, 1)


async def test_nothing_is_prepared_after_the_end() -> None:
    async with running() as (pool, _):
        await pool.aclose()
        pool.prepare()
        assert pool.counts.workers_started == 0


@pytest.mark.skipif(not has_emulator(), reason="the emulator has no build for this system")
async def test_by_default_screens_are_exact() -> None:
    async with running(opener=None) as (pool, heard):
        heard.tell(pool, OPEN, Feed(b"one\rtwo\x1b[6n"), REDRAW, TakeCheckpoint())
        assert b"two" in (await heard.wait(RedrawTaken)).data
        kept = await heard.wait(CheckpointTaken)
        assert Answered(11, b"\x1b[1;4R") in heard.of()
        heard.tell(pool, OpenScreen(11, 80, 24, kept.state), REDRAW, epoch=2)
        assert await heard.wait(RedrawTaken, epoch=2) == await heard.wait(RedrawTaken)


async def test_screens_go_where_the_fewest_are() -> None:
    async with running(workers=3, opener="tests.screen.odd_screens:open_odd") as (pool, heard):
        for number, pane_id in enumerate(PANES[:9]):
            heard.tell(pool, OPEN, Feed(b"x"), pane_id=pane_id)
            await heard.wait(Fed, pane_id)
            assert pool.counts.workers_started == min(number + 1, 3)
        os.kill(pool.worker_pids[1], signal.SIGKILL)
        await heard.wait(ScreenGone, PANES[1])
        assert pool.open_screens == 6
        assert pool.counts.screens_lost == 3
        for pane_id in PANES[9:12]:
            heard.tell(pool, OPEN, Feed(b"x"), pane_id=pane_id)
            await heard.wait(Fed, pane_id)
        assert pool.counts.workers_started == 4
        gone = [pane for pane, _, event in heard.events if isinstance(event, ScreenGone)]
        assert gone == [PANES[1], PANES[4], PANES[7]]


async def test_a_worker_killed_in_a_flood_is_followed_by_another() -> None:
    async with running(opener="wormux.screen.opening:open_log") as (pool, heard):
        for epoch in (1, 2, 3):
            for pane_id in PANES:
                heard.tell(pool, OPEN, *[Feed(b"y\n" * 32 * KIB)] * 10, pane_id=pane_id, epoch=epoch)
            await heard.wait(Fed, PANES[0], epoch)
            os.kill(pool.worker_pids[0], signal.SIGKILL)
            for pane_id in PANES:
                gone = await heard.wait(ScreenGone, pane_id, epoch)
                assert "SIGKILL" in gone.reason
            heard.tell(pool, Feed(b"x"), REDRAW, TakeCheckpoint(), CloseScreen(), epoch=epoch)
        heard.tell(pool, OPEN, Feed(b"well"), REDRAW, epoch=4)
        assert (await heard.wait(RedrawTaken, epoch=4)).data == b"well"
        for pane_id in PANES:
            for epoch in (1, 2, 3):
                events = heard.of(pane_id, epoch)
                assert [isinstance(event, ScreenGone) for event in events].count(True) == 1
                assert isinstance(events[-1], ScreenGone)
        assert (pool.counts.workers_died, pool.counts.screens_lost, pool.open_screens) == (3, 60, 1)


async def test_a_screen_opened_while_its_worker_dies_lives() -> None:
    """The link ends before the process is reaped."""
    async with running() as (pool, heard):
        pid = await started(pool, heard)
        os.kill(pid, signal.SIGKILL)
        while not pool.counts.workers_died:
            heard.tell(pool, OPEN, Feed(b"x"), CloseScreen(), pane_id=OTHER)
            await asyncio.sleep(0)
        heard.tell(pool, OPEN, REDRAW, pane_id=OTHER, epoch=2)
        await heard.wait(RedrawTaken, OTHER, 2)
        assert pool.open_screens == 1


@pytest.mark.parametrize("word", [RAISE, REFUSE])
async def test_one_screen_fails_alone(word: bytes) -> None:
    async with running() as (pool, heard):
        await started(pool, heard, OTHER)
        heard.tell(pool, OPEN, Feed(word), REDRAW)
        await heard.wait(ScreenGone)
        heard.tell(pool, REDRAW, pane_id=OTHER)
        await heard.wait(RedrawTaken, OTHER)
        assert (pool.counts.workers_died, pool.counts.screens_lost, pool.open_screens) == (0, 1, 1)


async def crash(pool: ScreenPool, heard: Heard, epoch: int, word: bytes = CRASH) -> ScreenGone:
    heard.tell(pool, OPEN, Feed(b"before"), Feed(word), Feed(b"after"), REDRAW, epoch=epoch)
    return await heard.wait(ScreenGone, epoch=epoch)


async def is_emulated(pool: ScreenPool, heard: Heard, pane_id: PaneId, epoch: int) -> bool:
    heard.tell(pool, OPEN, Feed(QUERY), pane_id=pane_id, epoch=epoch)
    await heard.wait(Fed, pane_id, epoch)
    return Answered(len(QUERY), ANSWER) in heard.of(pane_id, epoch)


@pytest.mark.parametrize("word", [CRASH, CRASH_IN_REDRAW, EXIT])
async def test_output_that_crashes_twice_gets_no_emulator(
    word: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as (pool, heard):
        await started(pool, heard, OTHER)
        first = await crash(pool, heard, 1, word)
        assert ("status 3" if word == EXIT else "SIGSEGV") in first.reason
        await heard.wait(ScreenGone, OTHER)
        assert await is_emulated(pool, heard, OTHER, 2)
        await crash(pool, heard, 2, word)
        heard.tell(pool, OPEN, Feed(word), REDRAW, epoch=3)
        assert (await heard.wait(RedrawTaken, epoch=3)).data == word
        assert await is_emulated(pool, heard, OTHER, 3)
        assert not await is_emulated(pool, heard, PANE, 4)
        assert pool.counts.panes_without_emulator == 1
        assert pool.open_screens == 3
        heard.tell(pool, CloseScreen(), epoch=3)
        heard.tell(pool, CloseScreen(), epoch=4)
        assert pool.open_screens == 1
    assert caplog.text.count("no emulator any more") == 1


async def test_who_was_killed_is_not_to_blame() -> None:
    async with running() as (pool, heard):
        for epoch in range(1, 4):
            heard.tell(pool, OPEN, Feed(b"x"), epoch=epoch)
            await heard.wait(Fed, epoch=epoch)
            heard.tell(pool, Feed(HANG), epoch=epoch)
            os.kill(pool.worker_pids[0], signal.SIGKILL)
            await heard.wait(ScreenGone, epoch=epoch)
        assert await is_emulated(pool, heard, PANE, 4)


async def test_two_panes_that_crash_by_turns_are_both_found() -> None:
    async with running() as (pool, heard):
        for epoch in (1, 2):
            for pane_id in (PANE, OTHER):
                heard.tell(pool, OPEN, Feed(CRASH), pane_id=pane_id, epoch=epoch)
                await heard.wait(ScreenGone, pane_id, epoch)
        assert not await is_emulated(pool, heard, PANE, 3)
        assert not await is_emulated(pool, heard, OTHER, 3)


async def test_a_crash_long_ago_is_forgotten() -> None:
    async with running() as (pool, heard):
        await crash(pool, heard, 1)
        heard.tell(pool, OPEN, *[Feed(b"x" * 64 * KIB)] * (LOG_BYTES // (64 * KIB) + 1), epoch=2)
        await heard.wait_fed(LOG_BYTES + 64 * KIB, epoch=2)
        heard.tell(pool, Feed(CRASH), epoch=2)
        await heard.wait(ScreenGone, epoch=2)
        assert await is_emulated(pool, heard, PANE, 3)


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.decode())
async def test_a_worker_that_lies_is_ended(lie: bytes) -> None:
    async with running() as (pool, heard):
        heard.tell(pool, OPEN, Feed(lie), REDRAW)
        heard.tell(pool, OPEN, pane_id=OTHER)
        assert "said what no worker says" in (await heard.wait(ScreenGone)).reason
        await heard.wait(ScreenGone, OTHER)
        assert (len(heard.of()), len(heard.of(OTHER))) == (1, 1)
        assert pool.counts.workers_died == 1
        assert await is_emulated(pool, heard, OTHER, 2)


@pytest.mark.parametrize(
    ("python", "opener"),
    [("/no/such/python", OPEN_ODD), (sys.executable, "no.such:module"), ("/bin/true", OPEN_ODD)],
)
async def test_without_workers_the_newest_output_is_kept(
    python: str, opener: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(python=python, opener=opener) as (pool, heard):
        for epoch in range(1, SCREEN_WORKERS_UNHEARD + 1):
            heard.tell(pool, OPEN, Feed(b"x"), REDRAW, epoch=epoch)
            assert (await heard.wait(ScreenGone, epoch=epoch)).reason.endswith(".")
        assert (pool.open_screens, pool.counts.workers_died) == (0, SCREEN_WORKERS_UNHEARD)
        heard.tell(pool, OPEN, Feed(b"shown"), REDRAW, epoch=9)
        assert (await heard.wait(RedrawTaken, epoch=9)).data == b"shown"
    assert caplog.text.count("no worker comes up") == 1


async def test_workers_are_tried_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wormux.screen.pool.SCREEN_WORKER_DELAY_CAP_S", 0.0)
    async with running(python="/no/such/python") as (pool, heard):
        for epoch in range(1, SCREEN_WORKERS_UNHEARD + 3):
            heard.tell(pool, OPEN, epoch=epoch)
            await heard.wait(ScreenGone, epoch=epoch)


def test_workers_that_die_young_are_followed_ever_later() -> None:
    delays = [restart_delay_s(count) for count in range(100)]
    assert delays[:2] == [0, 0]
    assert delays == sorted(delays)
    assert 0 < delays[2] < 1
    assert 5 < delays[-1] < 60


async def test_a_pool_that_waits_with_the_next_worker_can_be_closed() -> None:
    async with running() as (pool, heard):
        for epoch in range(1, SCREEN_WORKERS_AT_ONCE + 1):
            os.kill(await started(pool, heard, epoch=epoch), signal.SIGKILL)
            await heard.wait(ScreenGone, epoch=epoch)
        heard.tell(pool, OPEN, Feed(b"x" * 1000), epoch=9)
        assert pool.unsent_bytes > 1000
        assert pool.worker_pids == []


async def test_what_a_worker_does_not_take_is_counted() -> None:
    async with running() as (pool, heard):
        pid = await started(pool, heard)
        os.kill(pid, signal.SIGSTOP)
        heard.tell(pool, *[Feed(b"x" * 64 * KIB)] * 32)
        assert pool.unsent_bytes > MIB
        os.kill(pid, signal.SIGCONT)
        await heard.wait_fed(2 * MIB + 1)
        assert pool.unsent_bytes == 0


async def test_no_process_is_left_behind() -> None:
    async with running(workers=2) as (pool, heard):
        await started(pool, heard)
        await started(pool, heard, OTHER)
        pids = pool.worker_pids
        heard.tell(pool, Feed(HANG), pane_id=OTHER)
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


async def test_no_descriptor_is_left_behind() -> None:
    async with running() as (pool, heard):
        counts = []
        for epoch in range(1, 4):
            pid = await started(pool, heard, epoch=epoch)
            counts.append(descriptors())
            os.kill(pid, signal.SIGKILL)
            await heard.wait(ScreenGone, epoch=epoch)
        assert counts == counts[:1] * 3


async def test_a_pool_that_just_began_can_be_closed() -> None:
    async with running(workers=2) as (pool, heard):
        heard.tell(pool, OPEN)
        await asyncio.sleep(0)
        heard.tell(pool, OPEN, pane_id=OTHER)
    assert heard.events == []


async def test_closed_screens_leave_nothing_behind() -> None:
    async with running() as (pool, heard):
        heard.tell(pool, OpenScreen(0, 100, 24))
        for epoch in range(1, 10_001):
            heard.tell(pool, OPEN, SetColors(1, 2, 3), Feed(b"x"), CloseScreen(), pane_id=OTHER, epoch=epoch)
            if epoch % 100 == 0:
                heard.tell(pool, REDRAW)
                await heard.wait(RedrawTaken, nth=epoch // 100)
        assert b"living=0" in (await heard.wait(RedrawTaken, nth=100)).data
        assert heard.of(OTHER) == []
        assert pool.open_screens == 1
        held = [len(value) for value in vars(pool).values() if isinstance(value, (dict, set, list))]
        assert max(held) == 1


async def test_all_screens_keep_to_their_memory() -> None:
    async with running(workers=2, memory_bytes=MIB) as (pool, heard):
        for pane_id in PANES:
            heard.tell(pool, OPEN, *[Feed(b"x" * 999 + b"\n")] * 128, pane_id=pane_id)
        for pane_id in PANES[-2:]:
            heard.tell(pool, *[Feed(b"x" * 999 + b"\n")] * 1100, pane_id=pane_id)
            await heard.wait_fed(1_228_000, pane_id)
        for pane_id in PANES:
            heard.tell(pool, REDRAW, pane_id=pane_id)
        sizes = [len((await heard.wait(RedrawTaken, pane_id)).data) for pane_id in PANES]
        assert sum(sizes) <= MIB
        assert min(sizes[-2:]) > 90_000
        assert max(sizes[:2]) <= 4 * KIB


async def test_redraws_are_counted() -> None:
    async with running() as (pool, heard):
        heard.tell(pool, OPEN, REDRAW, REDRAW, TakeCheckpoint())
        await heard.wait(RedrawTaken, nth=2)
        heard.tell(pool, REDRAW)
        await heard.wait(RedrawTaken, nth=3)
        assert (pool.counts.redraws, pool.counts.checkpoints) == (3, 1)
