from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest

from tests.server.bench import BOX, OPENED, PANE, USER, Bench, Sink, open_terminal
from tests.server.kit import REFUSES, WITHIN_S, FakeSandbox
from wormux.errors import StoreError
from wormux.hub.effects import (
    CloseClient,
    DestroySandbox,
    DropUnsent,
    Effect,
    FindSandbox,
    Save,
    SendFrame,
    SetTimer,
    StopSandbox,
    WakeSandbox,
)
from wormux.hub.inputs import (
    ClientGone,
    FrameReceived,
    Input,
    SandboxAwake,
    SandboxDestroyed,
    SandboxFailed,
    SandboxInput,
    SandboxLost,
    SandboxMissing,
    Saved,
    SaveFailed,
    ServerStopping,
    TerminalInput,
    TimerFired,
)
from wormux.ids import Channel, SandboxId, UserId
from wormux.protocol.agent_link import (
    Busy,
    Output,
    Refused,
    Stopped,
)
from wormux.records import Change, Meta
from wormux.sandbox.port import Lost
from wormux.server import driver as driver_module


class TestSteps:
    async def test_carries_out_what_the_hub_wants_at_its_start(self, bench: Bench) -> None:
        bench.hub.first = [FindSandbox(BOX, "local")]
        bench.driver.start()
        assert (await bench.hub.got(SandboxInput)).event == SandboxMissing()

    async def test_effects_reach_a_connection_in_their_order(self, bench: Bench) -> None:
        sink = Sink()
        client = bench.driver.connect(sink)
        bench.do(
            SendFrame(client, b"\x01a", False),
            DropUnsent(client, Channel(1)),
            SendFrame(client, b"\xffb", True),
            CloseClient(client, 4408, "late"),
        )
        assert sink.calls == [
            ("send", b"\x01a", False),
            ("drop", 1),
            ("send", b"\xffb", True),
            ("close", 4408),
        ]

    async def test_effects_for_a_connection_that_is_gone_do_nothing(self, bench: Bench) -> None:
        sink = Sink()
        client = bench.driver.connect(sink)
        bench.driver.dispatch(ClientGone(client))
        bench.do(SendFrame(client, b"\x01a", False), CloseClient(client, 4408, "late"))
        assert sink.calls == []

    async def test_what_an_effect_brings_about_waits_until_all_effects_are_carried_out(
        self, bench: Bench
    ) -> None:
        sandbox = await bench.awake()
        sandbox.at_once = [OPENED, Output(b"$ ")]
        sink = Sink()
        client = bench.driver.connect(sink)
        seen: list[tuple[Input, int]] = []

        def react(event: Input) -> list[Effect]:
            seen.append((event, len(sink.calls)))
            return []

        bench.hub.react = react
        bench.do(open_terminal(), SendFrame(client, b"\x01after", False))
        assert seen == [
            (TerminalInput(PANE, 1, OPENED), 1),
            (TerminalInput(PANE, 1, Output(b"$ ")), 1),
        ]

    async def test_every_step_has_a_moment_of_its_own(self, bench: Bench) -> None:
        before_s, before_ms = time.monotonic(), time.time() * 1000
        bench.do()
        bench.do()
        first, second = (moment for moment, _ in bench.hub.steps)
        assert before_s <= first.mono_s <= second.mono_s <= time.monotonic()
        assert before_ms - 1 <= first.wall_ms <= time.time() * 1000
        assert first.utc_offset_s == time.localtime().tm_gmtoff
        assert first.entropy != second.entropy
        assert max(first.entropy, second.entropy) < 2**64

    async def test_a_failing_hub_closes_the_connection_and_goes_on(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        sink = Sink()
        client = bench.driver.connect(sink)

        def react(event: Input) -> list[Effect]:
            if isinstance(event, FrameReceived):
                raise KeyError(event.frame)
            return []

        bench.hub.react = react
        bench.driver.dispatch(FrameReceived(client, b"\x00hunter2"))
        assert sink.calls == [("close", 1011)]
        assert "KeyError while the hub took FrameReceived" in caplog.text
        assert "hunter2" not in caplog.text
        bench.driver.dispatch(ClientGone(client))
        assert bench.hub.inputs[-1] == ClientGone(client)

    async def test_a_hub_that_failed_at_its_timer_is_asked_again(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(driver_module, "RETRY_TIMER_S", 0.0)

        def react(event: Input) -> list[Effect]:
            if isinstance(event, TimerFired) and len(bench.hub.all(TimerFired)) == 1:
                raise ValueError
            return []

        bench.hub.react = react
        bench.do(SetTimer(time.monotonic()))
        await bench.hub.got(TimerFired, 2)

    async def test_a_failing_effect_does_not_keep_the_next_ones(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(Sink):
            def send(self, frame: bytes, *, urgent: bool) -> None:
                raise RuntimeError(frame)

        sink = Broken()
        client = bench.driver.connect(sink)
        bench.do(SendFrame(client, b"\x00hunter2", False), CloseClient(client, 4408, "late"))
        assert sink.calls == [("close", 4408)]
        assert "RuntimeError while carrying out SendFrame" in caplog.text
        assert "hunter2" not in caplog.text


class TestTimer:
    async def test_fires_when_the_clock_reaches_it(self, bench: Bench) -> None:
        at_s = time.monotonic() + 0.02
        bench.do(SetTimer(at_s))
        await bench.hub.got(TimerFired)
        assert bench.hub.steps[-1][0].mono_s >= at_s

    @pytest.mark.parametrize("between", [[], [SetTimer(None)]])
    async def test_a_later_time_replaces_the_one_before(self, bench: Bench, between: list[Effect]) -> None:
        now_s = time.monotonic()
        bench.do(SetTimer(now_s + 0.01), *between, SetTimer(now_s + 0.05))
        await bench.hub.got(TimerFired)
        assert bench.hub.steps[-1][0].mono_s >= now_s + 0.05

    async def test_an_earlier_time_replaces_the_one_before(self, bench: Bench) -> None:
        now_s = time.monotonic()
        bench.do(SetTimer(now_s + 3600), SetTimer(now_s + 0.01))
        await bench.hub.got(TimerFired)
        assert bench.hub.steps[-1][0].mono_s < now_s + 3600

    async def test_a_timer_that_was_taken_back_does_not_fire(self, bench: Bench) -> None:
        bench.do(SetTimer(time.monotonic() + 0.001))
        bench.do(SetTimer(None))
        passed = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.02, passed.set_result, None)
        await passed
        assert bench.hub.all(TimerFired) == []


class TestSaves:
    async def test_are_carried_out_and_answered_in_their_order(self, bench: Bench) -> None:
        metas = [Meta(rev_mark=mark, free_channels=(), last_tab=None) for mark in (1, 2, 3)]
        bench.do(*(Save(number, Change(meta=meta)) for number, meta in enumerate(metas)))
        await bench.hub.got(Saved, 3)
        assert [saved.save_id for saved in bench.hub.all(Saved)] == [0, 1, 2]
        assert bench.store.load(USER).meta == metas[-1]

    async def test_a_failure_is_answered_and_shown_until_one_succeeds(self, bench: Bench) -> None:
        bench.store.failure = StoreError("The disk is full.")
        bench.do(Save(1, Change()))
        assert (await bench.hub.got(SaveFailed)).save_id == 1
        assert not bench.driver.storing
        bench.store.failure = None
        bench.do(Save(2, Change()))
        assert (await bench.hub.got(Saved)).save_id == 2
        assert bench.driver.storing

    async def test_a_bug_of_the_store_is_a_failure_as_well(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        message = "hunter2"

        def apply(_user: UserId, _change: Change) -> None:
            raise TypeError(message)

        monkeypatch.setattr(bench.store, "apply", apply)
        bench.do(Save(1, Change()))
        await bench.hub.got(SaveFailed)
        assert "TypeError while storing a change" in caplog.text
        assert "hunter2" not in caplog.text

    async def test_never_run_on_the_event_loop(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        threads: list[int] = []
        monkeypatch.setattr(bench.store, "apply", lambda *_: threads.append(threading.get_ident()))
        bench.do(Save(1, Change()))
        await bench.hub.got(Saved)
        assert threads[0] != threading.get_ident()


class TestSandboxes:
    async def test_what_happens_before_the_hub_knows_of_it_comes_after(self, bench: Bench) -> None:
        bench.provider.early = [Busy("vim")]
        sandbox = await bench.awake()
        sandbox.deliver(Busy(None))
        assert bench.sandbox_events() == [SandboxAwake(sandbox.welcome), Busy("vim"), Busy(None)]

    async def test_a_link_lost_at_once_is_told_after_the_waking(self, bench: Bench) -> None:
        bench.provider.early = [Lost("The agent was killed.")]
        sandbox = await bench.awake()
        assert bench.sandbox_events() == [SandboxAwake(sandbox.welcome), SandboxLost("The agent was killed.")]

    @pytest.mark.parametrize("effect", [WakeSandbox, FindSandbox, DestroySandbox])
    async def test_a_failure_gives_its_reason(
        self, bench: Bench, effect: type[WakeSandbox | FindSandbox | DestroySandbox]
    ) -> None:
        bench.provider.failure = REFUSES
        bench.do(effect(BOX, "local"))
        assert (await bench.hub.got(SandboxInput)).event == SandboxFailed("The disk is full.")

    async def test_a_bug_gives_no_inside_away(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        bench.provider.failure = FileNotFoundError(2, "No such file", "/secret/path")
        bench.do(WakeSandbox(BOX, "local"))
        event = (await bench.hub.got(SandboxInput)).event
        assert isinstance(event, SandboxFailed)
        assert "/secret/path" not in event.reason + caplog.text
        assert "FileNotFoundError while a sandbox was started" in caplog.text

    async def test_an_unknown_provider_fails(self, bench: Bench) -> None:
        bench.do(WakeSandbox(BOX, "cloud"))
        assert (await bench.hub.got(SandboxInput)).event == SandboxFailed(
            "This server has no provider cloud."
        )

    async def test_a_found_sandbox_is_awake(self, bench: Bench) -> None:
        bench.provider.sandboxes[BOX] = FakeSandbox(lambda _: None)
        bench.do(FindSandbox(BOX, "local"))
        assert isinstance((await bench.hub.got(SandboxInput)).event, SandboxAwake)

    async def test_destroying_is_answered(self, bench: Bench) -> None:
        bench.do(DestroySandbox(BOX, "local"))
        assert (await bench.hub.got(SandboxInput)).event == SandboxDestroyed()
        assert bench.provider.destroyed == [BOX]

    @pytest.mark.parametrize(
        ("last", "told"), [(Lost("Gone."), SandboxLost("Gone.")), (Stopped(), Stopped())]
    )
    async def test_nothing_comes_after_the_last_event_of_a_link(
        self, bench: Bench, last: Lost | Stopped, told: SandboxLost | Stopped
    ) -> None:
        sandbox = await bench.awake()
        sandbox.deliver(last)
        sandbox.deliver(Busy("vim"))
        assert bench.sandbox_events()[1:] == [told]

    async def test_stopping_asks_the_sandbox_and_a_refusal_keeps_the_link(self, bench: Bench) -> None:
        sandbox = await bench.awake()
        sandbox.on_sleep = Refused("vim runs.")
        bench.do(StopSandbox(BOX, force=False))
        sandbox.on_sleep = Stopped()
        bench.do(StopSandbox(BOX, force=True))
        assert sandbox.calls == [("sleep", False), ("sleep", True)]
        assert bench.sandbox_events()[1:] == [Refused("vim runs."), Stopped()]

    async def test_stopping_one_that_is_not_linked_is_answered(self, bench: Bench) -> None:
        bench.do(StopSandbox(BOX, force=True))
        (event,) = bench.sandbox_events()
        assert isinstance(event, SandboxLost)

    async def test_a_new_link_replaces_the_old_one(self, bench: Bench) -> None:
        old = await bench.awake()
        bench.do(WakeSandbox(BOX, "local"))
        await bench.hub.got(SandboxInput, 2)
        old.deliver(Lost("Replaced."))
        assert old.calls == [("detach",)]
        assert len(bench.sandbox_events()) == 2


class TestEnd:
    async def test_draining_waits_for_connections_and_saves(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        saving, may_save = threading.Event(), threading.Event()

        def apply(_user: UserId, _change: Change) -> None:
            saving.set()
            may_save.wait(WITHIN_S)

        monkeypatch.setattr(bench.store, "apply", apply)
        client = bench.driver.connect(Sink())
        bench.do(Save(1, Change()))
        draining = asyncio.create_task(bench.driver.drain(WITHIN_S))
        await bench.hub.got(ServerStopping)
        await asyncio.to_thread(saving.wait, WITHIN_S)
        bench.driver.dispatch(ClientGone(client))
        await asyncio.sleep(0)
        assert not draining.done()
        may_save.set()
        async with asyncio.timeout(WITHIN_S):
            await draining
        assert bench.hub.inputs[-1] == Saved(1)

    async def test_draining_does_not_wait_for_ever(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench.driver.connect(Sink())
        with caplog.at_level(logging.WARNING):
            await bench.driver.drain(0.01)
        assert "1 connections open" in caplog.text

    async def test_closing_leaves_shells_running(self, bench: Bench) -> None:
        sandbox = await bench.awake()
        bench.do(open_terminal(), SetTimer(time.monotonic()))
        steps = len(bench.hub.steps)
        await bench.driver.aclose()
        sandbox.terminals[0].deliver(OPENED)
        bench.driver.dispatch(TimerFired())
        assert sandbox.terminals[0].calls == [("detach",)]
        assert sandbox.calls == [("detach",)]
        assert bench.provider.closed
        assert len(bench.hub.steps) == steps

    async def test_a_sandbox_that_wakes_too_late_is_left_alone(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started, finish = asyncio.Event(), asyncio.Event()
        late = FakeSandbox(lambda _: None)

        async def start(_sandbox_id: SandboxId, _deliver: object) -> FakeSandbox:
            started.set()
            try:
                await finish.wait()
            except asyncio.CancelledError:
                return late  # a provider may be past the point of return
            return late

        monkeypatch.setattr(bench.provider, "start", start)
        bench.do(WakeSandbox(BOX, "local"))
        await started.wait()
        await bench.driver.aclose()
        assert late.calls == [("detach",)]
        assert bench.sandbox_events() == []
