"""What the operator can see of a running server: counts for `/metrics`, and bugs in the log.

Nothing here ever holds or prints terminal bytes, tokens or cookies.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

LAG_PROBE_S = 1.0
"""How often the event loop is asked how late it is."""


@dataclass
class Counts:
    """Plain numbers that the server's parts count up; cheap enough for every frame."""

    connections: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    hub_steps: int = 0
    hub_failures: int = 0
    saves: int = 0
    saves_failed: int = 0
    logins_refused: int = 0
    redraws: int = 0
    screens_lost: int = 0
    loop_lag_s: float = 0.0
    """The longest since it was last asked for."""


@dataclass
class Telemetry:
    """The metrics of one application, with a registry of its own."""

    counts: Counts = field(default_factory=Counts)
    pane_statuses: Callable[[], Mapping[str, int]] = dict
    """How many panes have each status; empty where nobody knows."""

    def __post_init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Reader(self))

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self._registry)

    async def watch_loop(self) -> None:
        """Measures how late the event loop runs what is due; runs until cancelled."""
        while True:
            due_s = time.monotonic() + LAG_PROBE_S
            await asyncio.sleep(LAG_PROBE_S)
            self.counts.loop_lag_s = max(self.counts.loop_lag_s, time.monotonic() - due_s)


class _Reader(Collector):
    """Reads the counts at the moment of a scrape."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering does not count as a scrape."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        counts = self._telemetry.counts
        lag_s, counts.loop_lag_s = counts.loop_lag_s, 0.0
        panes = GaugeMetricFamily("wormux_panes", "Panes by status.", labels=["status"])
        for status, number in sorted(self._telemetry.pane_statuses().items()):
            panes.add_metric([status], number)
        yield panes
        yield GaugeMetricFamily("wormux_connections", "Open WebSockets.", counts.connections)
        yield GaugeMetricFamily(
            "wormux_event_loop_lag_seconds", "The longest delay since the last scrape.", lag_s
        )
        for name, text, value in (
            ("wormux_received_bytes", "Bytes of frames from clients.", counts.received_bytes),
            ("wormux_sent_bytes", "Bytes of frames to clients.", counts.sent_bytes),
            ("wormux_hub_steps", "Inputs that the hub has taken.", counts.hub_steps),
            ("wormux_hub_failures", "Inputs that the hub failed at: bugs.", counts.hub_failures),
            ("wormux_saves", "Changes that were stored.", counts.saves),
            ("wormux_saves_failed", "Changes that could not be stored.", counts.saves_failed),
            ("wormux_redraws", "Screens that were drawn for clients.", counts.redraws),
            ("wormux_screens_lost", "Screens that had to be opened anew.", counts.screens_lost),
            ("wormux_logins_refused", "Wrong credentials.", counts.logins_refused),
        ):
            yield CounterMetricFamily(name, text, value)


def log_bug(logger: logging.Logger, doing: str, error: BaseException) -> None:
    """Log where `error` came from, but not its message, which may quote what somebody typed."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("A bug: %s while %s.\n%s", type(error).__name__, doing, frames.rstrip())
