from __future__ import annotations

import asyncio
import logging
import os
import re
import time

import pytest

from wormux.bugs import log_bug
from wormux.server import telemetry as telemetry_module
from wormux.server.counts import Histogram
from wormux.server.metrics import BUILD_INFO, METRICS, PROCESS_METRICS
from wormux.server.readings import resident_bytes
from wormux.server.telemetry import Telemetry


def lines(telemetry: Telemetry) -> list[str]:
    return telemetry.text().decode().splitlines()


class TestNames:
    def test_everything_that_is_shown_is_listed_and_nothing_else(self) -> None:
        shown = {line.split()[2] for line in lines(Telemetry()) if line.startswith("# TYPE ")}
        assert shown == {listed.name for listed in METRICS} | {BUILD_INFO} | set(PROCESS_METRICS)

    def test_they_follow_prometheus_rules(self) -> None:
        for listed in METRICS:
            assert re.fullmatch(r"wormux(_[a-z]+)+", listed.name), listed.name
            assert listed.name.endswith("_total") == (listed.kind == "counter"), listed.name
            assert listed.text.endswith("."), listed.name
            if listed.kind == "histogram":
                assert listed.name.endswith("_seconds"), listed.name

    def test_labels_are_there_before_anything_happened(self) -> None:
        text = lines(Telemetry())
        for expected in (
            'wormux_panes{status="connected"} 0.0',
            'wormux_sessions{state="frozen"} 0.0',
            'wormux_wake_seconds_count{outcome="failed"} 0.0',
            'wormux_sleeps_total{outcome="refused"} 0.0',
        ):
            assert expected in text

    def test_two_applications_do_not_share_their_counts(self) -> None:
        one, other = Telemetry(), Telemetry()
        one.counts.saves_failed += 3
        assert "wormux_saves_failed_total 3.0" in lines(one)
        assert "wormux_saves_failed_total 0.0" in lines(other)


def test_a_histogram_counts_up_to_each_bound() -> None:
    telemetry = Telemetry()
    histogram = telemetry.counts.wakes["awake"]
    for took_s in (0.05, 0.06, 3.0, 1000.0):
        histogram.observe(took_s)
    text = lines(telemetry)
    for bound, count in (("0.05", 1), ("0.1", 2), ("2.5", 2), ("5.0", 3), ("60.0", 3), ("+Inf", 4)):
        assert f'wormux_wake_seconds_bucket{{le="{bound}",outcome="awake"}} {count}.0' in text
    assert 'wormux_wake_seconds_count{outcome="awake"} 4.0' in text
    assert 'wormux_wake_seconds_sum{outcome="awake"} 1003.11' in text


def test_a_histogram_takes_no_time() -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.observe(2.0)
    assert histogram.counts == [0, 1, 0]


async def test_a_late_loop_is_seen_by_everybody_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry_module, "LAG_PROBE_S", 0.001)
    probes = []
    telemetry = Telemetry(on_probe=lambda: probes.append(1))
    watch = asyncio.create_task(telemetry.watch_loop())
    await asyncio.sleep(0)  # the probe is under way
    time.sleep(0.05)  # noqa: ASYNC251 - the lateness that is to be seen
    for _ in range(3):  # the timer fires, the probe's future is set, the probe goes on
        await asyncio.sleep(0)
    watch.cancel()
    assert probes
    assert telemetry.lag_s > 0.04
    for _ in range(2):
        (shown,) = [
            line for line in lines(telemetry) if line.startswith("wormux_event_loop_lag_max_seconds ")
        ]
        assert float(shown.split()[1]) > 0.04
    assert telemetry.counts.loop_lag.sum > 0.04


def test_memory_of_processes_is_read_as_far_as_they_are_there() -> None:
    own = resident_bytes([os.getpid()])
    assert own > 1024 * 1024
    assert resident_bytes([os.getpid(), 2**22 + 1]) >= own // 2


def test_a_bug_is_logged_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    secret = "hunter2"
    with pytest.raises(ValueError, match=secret) as caught:
        int(secret)
    log_bug(logging.getLogger("wormux"), "testing", caught.value)
    assert "A bug: ValueError while testing." in caplog.text
    assert "test_telemetry.py" in caplog.text
    assert secret not in caplog.text
