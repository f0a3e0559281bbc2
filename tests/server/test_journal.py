from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.server.bench import BOX, ENDED, OPENED, Bench, open_terminal
from wormux.errors import SandboxError, StoreError
from wormux.hub.effects import DestroySandbox, FindSandbox, FreezeSandbox, Save, StopSandbox, WakeSandbox
from wormux.hub.inputs import SandboxInput, Saved, SaveFailed, TerminalInput
from wormux.ids import SandboxId
from wormux.protocol.agent_link import Refused, Stopped
from wormux.records import Change
from wormux.sandbox.port import Frozen, Lost
from wormux.server.counts import Counts


@pytest.fixture
def counts(bench: Bench) -> Counts:
    return bench.driver._journal.counts


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "wormux.server.journal"):
        yield caplog


def records(told: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Without those of the client that `Bench.do` sends away."""
    return [record for record in told.records if record.getMessage() != "A client went."]


def lines(told: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in records(told)]


class TestSandboxes:
    async def test_a_wake_is_timed_and_told(
        self, bench: Bench, counts: Counts, told: pytest.LogCaptureFixture
    ) -> None:
        await bench.awake()
        assert sum(counts.wakes["awake"].counts) == 1
        assert ("INFO", "A sandbox woke.") in lines(told)
        (record,) = records(told)
        about = record.__dict__["fields"]
        assert about["sandbox"] == BOX
        assert about["agent"] == 4321
        assert 0 <= about["took_s"] < 10

    async def test_a_failed_wake_is_told_with_its_reason(
        self, bench: Bench, counts: Counts, told: pytest.LogCaptureFixture
    ) -> None:
        bench.provider.failure = SandboxError("The disk is full.")
        bench.do(WakeSandbox(BOX, "local"))
        await bench.hub.got(SandboxInput)
        assert sum(counts.wakes["failed"].counts) == 1
        assert lines(told) == [("WARNING", "A sandbox did not wake.")]
        assert records(told)[0].__dict__["fields"]["reason"] == "The disk is full."

    async def test_looking_for_one_is_no_wake(self, bench: Bench, counts: Counts) -> None:
        await bench.awake()
        bench.do(FindSandbox(BOX, "local"))
        await bench.hub.got(SandboxInput, 2)
        bench.do(FindSandbox(SandboxId("other"), "local"))
        await bench.hub.got(SandboxInput, 3)
        assert (counts.finds["awake"], counts.finds["missing"]) == (1, 1)
        assert sum(counts.wakes["awake"].counts) == 1

    async def test_sleeps_and_losses_are_counted_by_how_they_went(
        self, bench: Bench, counts: Counts, told: pytest.LogCaptureFixture
    ) -> None:
        for event, level, message in (
            (Refused("vim notes.txt still runs"), "INFO", "A sandbox stays awake: it is busy."),
            (Stopped(), "INFO", "A sandbox sleeps."),
            (Frozen(), "INFO", "A sandbox sleeps, frozen."),
            (Lost("The agent was killed by SIGKILL.", dead=True), "WARNING", "The link to a sandbox broke."),
        ):
            bench.hub.steps.clear()
            sandbox = await bench.awake()
            told.clear()
            bench.do(StopSandbox(BOX, False), FreezeSandbox(BOX, False))
            sandbox.deliver(event)
            assert lines(told) == [(level, message)]
        assert counts.sleeps == {"refused": 1, "stopped": 1, "frozen": 1}
        assert (counts.sandbox_links_lost, counts.agents_lost) == (1, 1)
        assert "vim" not in told.text

    async def test_destroyed_ones_are_told(self, bench: Bench, told: pytest.LogCaptureFixture) -> None:
        bench.do(DestroySandbox(BOX, "local"))
        await bench.hub.got(SandboxInput)
        assert lines(told) == [("INFO", "A sandbox was destroyed.")]


class TestTerminals:
    async def test_openings_are_timed_by_their_outcome(self, bench: Bench, counts: Counts) -> None:
        sandbox = await bench.awake()
        bench.do(open_terminal(1), open_terminal(2), open_terminal(3))
        first, second, third = sandbox.terminals
        first.deliver(OPENED)
        second.deliver(Refused("There is no such program."))
        third.deliver(Lost("The agent is gone."))
        first.deliver(ENDED)
        assert len(bench.hub.all(TerminalInput)) == 4
        assert {name: sum(times.counts) for name, times in counts.openings.items()} == {
            "opened": 1,
            "refused": 1,
            "lost": 1,
        }
        assert (counts.terminals_ended, counts.terminal_links_lost) == (1, 1)


class TestSaves:
    async def test_a_failing_store_is_told_once_and_when_it_works_again(
        self, bench: Bench, counts: Counts, told: pytest.LogCaptureFixture
    ) -> None:
        bench.store.failure = StoreError("The disk is full.")
        for number in (1, 2):
            bench.do(Save(number, Change()))
            assert counts.unsaved_since_s is not None
            await bench.hub.got(SaveFailed, number)
        began_s = counts.unsaved_since_s
        assert began_s is not None
        bench.store.failure = None
        bench.do(Save(3, Change()))
        await bench.hub.got(Saved)
        assert lines(told) == [
            ("ERROR", "Changes cannot be stored: The disk is full."),
            ("INFO", "Changes are stored again."),
        ]
        assert (counts.saves, counts.saves_failed, counts.unsaved_since_s) == (1, 2, None)
        assert sum(counts.save_times.counts) == 3
