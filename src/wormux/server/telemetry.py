"""What the operator can see of a running server: `/metrics`, and how late the event loop is.

Nothing here ever holds or prints terminal bytes, tokens or cookies.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from wormux.server.counts import Counts
from wormux.server.metrics import METRICS, build_info
from wormux.server.readings import Sources

LAG_PROBE_S = 1.0
"""How often the event loop is asked how late it is."""
LAG_REMEMBERED_S = 60.0
"""As long as scrapes are usually apart, so that none misses a stall."""


@dataclass
class Telemetry:
    """The metrics of one application, with a registry of its own."""

    sources: Sources = field(default_factory=lambda: Sources(Counts()))
    emulator: str = "none"
    """What keeps the screens, as the build's metric names it."""
    on_probe: Callable[[], None] = lambda: None
    """Called whenever the event loop was seen to run."""

    def __post_init__(self) -> None:
        self.lag_s = 0.0
        """At the last look."""
        self._lags: deque[float] = deque(maxlen=round(LAG_REMEMBERED_S / LAG_PROBE_S))
        self.sources.lag_max_s = lambda: max(self._lags, default=0.0)
        self._registry = CollectorRegistry()
        self._registry.register(_Reader(self))
        ProcessCollector(registry=self._registry)

    @property
    def counts(self) -> Counts:
        return self.sources.counts

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self._registry)

    async def watch_loop(self) -> None:
        """Measures how late the event loop runs what is due; runs until cancelled."""
        while True:
            due_s = time.monotonic() + LAG_PROBE_S
            await asyncio.sleep(LAG_PROBE_S)
            self.lag_s = max(0.0, time.monotonic() - due_s)
            self._lags.append(self.lag_s)
            self.counts.loop_lag.observe(self.lag_s)
            self.on_probe()


class _Reader(Collector):
    """Reads everything at the moment of a scrape."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering does not count as a scrape."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        yield build_info(self._telemetry.emulator)
        for listed in METRICS:
            yield listed.family(self._telemetry.sources)
