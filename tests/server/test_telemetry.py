from __future__ import annotations

import asyncio
import logging
import time

import pytest

from wormux.server import telemetry as telemetry_module
from wormux.server.telemetry import Telemetry, log_bug


def lines(telemetry: Telemetry) -> list[str]:
    return telemetry.text().decode().splitlines()


def test_panes_are_counted_by_status_when_they_are_asked_for() -> None:
    statuses = {"connected": 1}
    telemetry = Telemetry(pane_statuses=lambda: statuses)
    statuses["asleep"] = 2
    assert 'wormux_panes{status="connected"} 1.0' in lines(telemetry)
    assert 'wormux_panes{status="asleep"} 2.0' in lines(telemetry)


def test_two_applications_do_not_share_their_counts() -> None:
    one, other = Telemetry(), Telemetry()
    one.counts.saves_failed += 3
    assert "wormux_saves_failed_total 3.0" in lines(one)
    assert "wormux_saves_failed_total 0.0" in lines(other)


async def test_a_late_loop_is_seen_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry_module, "LAG_PROBE_S", 0.001)
    telemetry = Telemetry()
    watch = asyncio.create_task(telemetry.watch_loop())
    await asyncio.sleep(0)  # the probe is under way
    time.sleep(0.05)  # noqa: ASYNC251 - the lateness that is to be seen
    for _ in range(3):  # the timer fires, the probe's future is set, the probe goes on
        await asyncio.sleep(0)
    watch.cancel()
    (shown,) = [line for line in lines(telemetry) if line.startswith("wormux_event_loop_lag_seconds ")]
    assert float(shown.split()[1]) > 0.04
    assert "wormux_event_loop_lag_seconds 0.0" in lines(telemetry)


def test_a_bug_is_logged_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    secret = "hunter2"
    with pytest.raises(ValueError, match=secret) as caught:
        int(secret)
    log_bug(logging.getLogger("wormux"), "testing", caught.value)
    assert "A bug: ValueError while testing." in caplog.text
    assert "test_telemetry.py" in caplog.text
    assert secret not in caplog.text
