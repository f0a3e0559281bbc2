"""Every metric that `/metrics` has: its name, what it means, and how it is read when somebody asks.

This table is the one list of them; `docs/operations.md` tells the same. The process's own metrics (`PROCESS_METRICS`)
are prometheus_client's. No label has values that a client or a program could choose.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from wormux.server import readings
from wormux.server.counts import Histogram
from wormux.server.readings import Sources, Value, of_pool, resident_bytes
from wormux.version import __version__


@dataclass(frozen=True)
class Listed:
    """One metric. A counter's name ends with `_total`, as it is shown."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    text: str
    read: str | Callable[[Sources], Value]
    """A text names one of the `Counts`."""
    label: str | None = None

    def family(self, sources: Sources) -> Metric:
        value = getattr(sources.counts, self.read) if isinstance(self.read, str) else self.read(sources)
        labels = None if self.label is None else [self.label]
        values: Mapping[str, float | Histogram]
        values = dict(value) if isinstance(value, Mapping) else {"": value}
        made = _FAMILIES[self.kind](self.name, self.text, labels=labels)
        for label, one in values.items():
            at = [] if self.label is None else [label]
            if isinstance(one, Histogram):
                assert isinstance(made, HistogramMetricFamily)
                made.add_metric(at, buckets=_cumulated(one), sum_value=one.sum)
            else:
                assert isinstance(made, CounterMetricFamily | GaugeMetricFamily)
                made.add_metric(at, one)
        return made


_FAMILIES: dict[str, type[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def _cumulated(histogram: Histogram) -> list[tuple[str, float]]:
    """(upper bound, observations up to it), as Prometheus wants them."""
    buckets, total = [], 0
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else repr(bound), float(total)))
    return buckets


METRICS = (
    # What there is.
    Listed("gauge", "wormux_panes", "Panes by status.", readings.panes, "status"),
    Listed(
        "gauge",
        "wormux_sessions",
        "Sessions by state; busy is awake and kept so.",
        readings.sessions,
        "state",
    ),
    Listed("gauge", "wormux_connections", "Open WebSockets.", "connections"),
    # Wakes and sleeps.
    Listed(
        "histogram",
        "wormux_wake_seconds",
        "From asking for a sandbox until it was awake, or failed.",
        "wakes",
        "outcome",
    ),
    Listed(
        "histogram",
        "wormux_terminal_open_seconds",
        "From asking for a terminal until it was open, or not.",
        "openings",
        "outcome",
    ),
    Listed(
        "counter",
        "wormux_sleeps_total",
        "Sandboxes that fell asleep, or refused because they were busy.",
        "sleeps",
        "outcome",
    ),
    Listed(
        "counter",
        "wormux_sandbox_finds_total",
        "Sandboxes that were looked for: after a start, or after their link broke.",
        "finds",
        "outcome",
    ),
    Listed(
        "counter",
        "wormux_sandbox_links_lost_total",
        "Links to awake sandboxes that broke.",
        "sandbox_links_lost",
    ),
    Listed(
        "counter",
        "wormux_terminal_links_lost_total",
        "Links to terminals that broke, or could not be made.",
        "terminal_links_lost",
    ),
    Listed("counter", "wormux_agents_lost_total", "Agents that ended without being asked to.", "agents_lost"),
    Listed("counter", "wormux_terminals_ended_total", "Terminals whose program ended.", "terminals_ended"),
    # What waits.
    Listed("gauge", "wormux_input_queued_bytes", "Input that waits for a terminal.", readings.queued_bytes),
    Listed(
        "gauge",
        "wormux_input_unacknowledged_bytes",
        "Input that was handed to agents, and not acknowledged.",
        readings.inflight_bytes,
    ),
    Listed(
        "gauge",
        "wormux_connections_unsent_bytes",
        "What waits for all clients' sockets together.",
        readings.unsent_bytes,
    ),
    Listed(
        "gauge",
        "wormux_connection_unsent_max_bytes",
        "What waits for the socket that most waits for.",
        readings.unsent_max_bytes,
    ),
    Listed(
        "gauge",
        "wormux_log_bytes",
        "Recent output that is kept in memory, of all panes.",
        readings.log_bytes,
    ),
    Listed("gauge", "wormux_unsaved_changes", "Things that differ from the store.", readings.unsaved),
    Listed(
        "gauge",
        "wormux_store_lag_seconds",
        "How long the oldest change has been with the store without being stored.",
        readings.store_lag_s,
    ),
    # Clients.
    Listed(
        "counter",
        "wormux_connections_opened_total",
        "WebSockets that were accepted and authenticated.",
        "connections_opened",
    ),
    Listed("counter", "wormux_received_bytes_total", "Bytes of frames from clients.", "received_bytes"),
    Listed("counter", "wormux_sent_bytes_total", "Bytes of frames to clients.", "sent_bytes"),
    Listed(
        "gauge",
        "wormux_connections_behind",
        "Clients that do not keep up: output waits until they have drawn some.",
        readings.behind,
    ),
    Listed(
        "counter",
        "wormux_slow_clients_total",
        "Times that a redraw stood for output that a client was too slow for.",
        readings.overtaken,
    ),
    Listed(
        "counter",
        "wormux_skipped_bytes_total",
        "Bytes of output that those redraws stood for.",
        readings.skipped_bytes,
    ),
    Listed("counter", "wormux_logins_total", "Logins of browsers with the right token.", "logins"),
    Listed(
        "counter",
        "wormux_logins_refused_total",
        "Requests with wrong credentials, and those beyond the rate.",
        "logins_refused",
    ),
    # Screens.
    Listed("counter", "wormux_redraws_total", "Screens that were drawn for clients.", "redraws"),
    Listed(
        "gauge",
        "wormux_screens",
        "Emulators that are open, one per pane that needs one.",
        readings.open_screens,
    ),
    Listed(
        "gauge",
        "wormux_screens_unsent_bytes",
        "Output that no worker of screens has taken.",
        of_pool(lambda pool: pool.unsent_bytes),
    ),
    Listed("counter", "wormux_screens_lost_total", "Screens that had to be opened anew.", "screens_lost"),
    Listed(
        "gauge",
        "wormux_screen_workers",
        "Processes that keep screens.",
        of_pool(lambda pool: len(pool.worker_pids)),
    ),
    Listed(
        "counter",
        "wormux_screen_workers_died_total",
        "Such processes that died: emulator restarts.",
        of_pool(lambda pool: pool.counts.workers_died),
    ),
    Listed(
        "gauge",
        "wormux_screen_workers_memory_bytes",
        "Resident memory of those processes.",
        of_pool(lambda pool: resident_bytes(pool.worker_pids)),
    ),
    Listed(
        "counter",
        "wormux_screen_panes_without_emulator_total",
        "Panes whose output ended two workers.",
        of_pool(lambda pool: pool.counts.panes_without_emulator),
    ),
    # The store.
    Listed("counter", "wormux_saves_total", "Changes that were stored.", "saves"),
    Listed("counter", "wormux_saves_failed_total", "Changes that could not be stored.", "saves_failed"),
    Listed(
        "histogram",
        "wormux_save_seconds",
        "From handing a change to the store until it was stored, or not.",
        "save_times",
    ),
    Listed("gauge", "wormux_store_bytes", "Size of the store's files.", readings.store_bytes),
    Listed(
        "gauge",
        "wormux_storing",
        "1 if the last change was stored.",
        lambda sources: float(sources.storing()),
    ),
    # The server.
    Listed("counter", "wormux_hub_steps_total", "Inputs that the hub has taken.", "hub_steps"),
    Listed("counter", "wormux_hub_failures_total", "Inputs that the hub failed at: bugs.", "hub_failures"),
    Listed(
        "histogram",
        "wormux_event_loop_lag_seconds",
        "How late the event loop ran what was due, looked at every second.",
        "loop_lag",
    ),
    Listed(
        "gauge",
        "wormux_event_loop_lag_max_seconds",
        "The longest of these in the last minute.",
        lambda sources: sources.lag_max_s(),
    ),
)
BUILD_INFO = "wormux_build_info"
"""Always 1; its labels say which version this is."""
PROCESS_METRICS = (
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
)
"""Of the server's own process, on Linux."""


def build_info(emulator: str) -> Metric:
    made = GaugeMetricFamily(BUILD_INFO, "What runs here.", labels=["version", "python", "emulator"])
    made.add_metric([__version__, platform.python_version(), emulator], 1.0)
    return made
