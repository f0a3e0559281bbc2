from __future__ import annotations

import asyncio
from pathlib import Path

from tests.server.bench import Bench
from tests.server.kit import ask, make_world
from wormux.ids import PaneId
from wormux.limits import LOOP_LATE_S, SCREEN_WORKERS_UNHEARD
from wormux.protocol.screen_link import OpenScreen
from wormux.screen.pool import ScreenPool
from wormux.server.health import judge_health


async def test_a_late_event_loop_takes_nobody_in(bench: Bench) -> None:
    assert judge_health(bench.driver, LOOP_LATE_S).ready
    late = judge_health(bench.driver, LOOP_LATE_S + 1)
    assert not late.ready
    assert late.text() == "The server is overloaded: it was 6.0 s late.\n"


async def test_a_stopping_server_says_so_and_that_it_lives(tmp_path: Path) -> None:
    async with make_world(tmp_path).entered() as world:
        await world.application.drain()
        anywhere = {"Host": "10.0.0.1"}
        ready = await ask(world.app, "/healthz", anywhere)
        assert (ready.status, ready.body) == (503, b"The server is stopping.\n")
        assert (await ask(world.app, "/healthz/live", anywhere)).status == 200


async def test_screens_without_an_emulator_are_a_warning(bench: Bench) -> None:
    died = asyncio.Event()
    pool = ScreenPool(lambda *_: died.set(), python="/no/such/python")
    bench.driver.screens = pool
    assert judge_health(bench.driver, 0.0).text() == "ok\n"
    for epoch in range(SCREEN_WORKERS_UNHEARD):
        died.clear()
        pool.tell(PaneId("pane"), epoch, OpenScreen(0, 80, 24))
        async with asyncio.timeout(10):
            await died.wait()
    health = judge_health(bench.driver, 0.0)
    assert health.ready
    assert health.text().splitlines()[1:] == [f"warning: {warning}" for warning in health.warnings]
    assert "No worker of screens comes up" in health.text()
    await pool.aclose()
