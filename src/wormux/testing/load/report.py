"""What a run found, in words and figures, and how each figure comes about."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from wormux.limits import CONNECTION_UNSENT_BYTES, KIB, MIB
from wormux.testing.load.meter import KINDS, Usage
from wormux.testing.load.plan import KEYS_A_SECOND
from wormux.testing.load.run import Results, Window

_GIB_IN_KIB = MIB


def report(results: Results) -> list[str]:
    """Lines to print. The judgement comes last."""
    return [
        *_machine(),
        "",
        *_memory(results),
        "",
        *_computing(results),
        "",
        *_load(results),
        "",
        *(f"{'ok  ' if judgement.is_flat else 'GREW'}  {judgement}" for judgement in results.judgements),
    ]


def _machine() -> list[str]:
    total = Path("/proc/meminfo").read_text().split()[1]
    return [
        (
            f"Machine: {os.cpu_count()} cores, {int(total) / _GIB_IN_KIB:.0f} GiB, {platform.system()}"
            f" {platform.release()}, Python {platform.python_version()}; load {os.getloadavg()[1]:.1f} over 5 minutes,"
            " clients and whatever else runs here included."
        )
    ]


def _memory(results: Results) -> list[str]:
    plan = results.plan
    panes, clients = plan.panes - plan.servers, plan.clients - plan.servers
    fresh = _per(results.fresh, results.bare, panes)
    full = _per(results.full, results.bare, panes)
    client = _per(results.attached, results.full, clients)["server"]
    stalled = _GIB_IN_KIB * KIB / CONNECTION_UNSENT_BYTES
    bare = sum(usage.memory_kib for usage in results.bare.values()) / plan.servers / KIB
    return [
        "Memory (proportional set size, less that of servers with one pane and one client):",
        f"  a server with one pane and one client {bare:8.1f} MiB",
        *_rows("  a pane at its first prompt", fresh),
        *_rows("  a pane that has written more than is kept", full),
        f"  a client, quiet (server alone)        {client:8.0f} KiB",
        f"  panes per GiB  {_GIB_IN_KIB / sum(fresh.values()):8.0f} fresh, {_GIB_IN_KIB / sum(full.values()):.0f} full",
        f"  clients per GiB {_how_many(client / _GIB_IN_KIB):>7} quiet, {stalled:.0f} that take nothing they are sent",
    ]


def _per(now: Mapping[str, Usage], then: Mapping[str, Usage], count: int) -> dict[str, float]:
    return {kind: (now[kind].memory_kib - then[kind].memory_kib) / count for kind in KINDS}


def _rows(name: str, kib: Mapping[str, float]) -> list[str]:
    parts = ", ".join(f"{kind} {kib[kind]:.0f}" for kind in KINDS)
    return [f"{name}: {sum(kib.values()):.0f} KiB ({parts})"]


def _computing(results: Results) -> list[str]:
    plan, idle, typing, load = results.plan, results.idle, results.typing, results.load
    assert idle is not None
    assert typing is not None
    assert load is not None
    a_pane = _share(idle.cores, plan.panes)
    a_client = _share(typing.cores - idle.cores, plan.clients - plan.servers)
    return [
        "Computing (servers, screens, agents and shells; seconds of it per second):",
        f"  idle    {_cores(idle)}: {_how_many(a_pane)} idle panes per core, with all clients watching",
        f"  typing  {_cores(typing)}: {_how_many(a_client)} clients per core that type",
        f"          {KEYS_A_SECOND:g} keys a second each while all others watch (what they add to idle)",
        (
            f"  load    {_cores(load)}: {_how_many(_share(load.cores, plan.panes))} panes and"
            f" {_how_many(_share(load.cores, plan.clients))} clients per core under this load"
        ),
    ]


def _share(cores: float, count: int) -> float:
    return cores / count


def _how_many(share: float) -> str:
    """Fit into one of what each takes `share` of."""
    return f"{1 / share:.0f}" if share > 0 else "any number of"


def _cores(window: Window) -> str:
    parts = ", ".join(f"{kind} {seconds / window.seconds:.3f}" for kind, seconds in window.cpu_s.items())
    return f"{window.cores:.3f} cores ({parts})"


def _load(results: Results) -> list[str]:
    load = results.load
    assert load is not None
    written, delivered = results.flooded_bytes / MIB, results.delivered_bytes / MIB
    return [
        f"Under load: {results.rounds} rounds, {load.seconds:.0f} s of them.",
        f"  written by programs  {written:8.0f} MiB, {written / load.seconds:.1f} MiB/s",
        f"  sent to clients      {delivered:8.0f} MiB, {delivered / load.seconds:.1f} MiB/s in {results.frames} frames",
        f"  drawn instead of it  {results.skipped_bytes / MIB:8.0f} MiB, for clients that were too slow",
        (
            f"  reconnects {results.reconnects}, redraws {results.redraws}, updates {results.updates},"
            f" inputs named as discarded {results.discards}"
        ),
        f"  echo of a key to a client that only types, idle   {_percentiles(results.echo_idle_s)}",
        f"  echo of a key to a client that only types, load   {_percentiles(results.echo_load_s)}",
        f"  event loops late, looked at every second          {_lags(results)}",
    ]


def _lags(results: Results) -> str:
    """As the bounds of the server's own buckets."""
    total, parts = sum(results.lags.values()), []
    for percent in (50, 99):
        left = total * percent / 100
        for bound, count in sorted(results.lags.items()):
            left -= count
            if left <= 0:
                parts.append(f"p{percent} up to {1e3 * bound:.0f} ms")
                break
    return f"{', '.join(parts)}, longest {1e3 * results.longest_lag_s:.0f} ms ({total} times)"


def _percentiles(values: Sequence[float]) -> str:
    if not values:
        return "not measured"
    ordered = sorted(values)
    p50, p99 = (1e3 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] for percent in (50, 99))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {1e3 * ordered[-1]:.1f} ms ({len(ordered)} times)"
