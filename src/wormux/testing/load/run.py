"""One run from the first server to the last figure: idle, typing, then rounds of everything, quiet after each."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from wormux.limits import KIB, MIB
from wormux.testing.load.echo import EchoProbe
from wormux.testing.load.growth import Bound, Judgement, judge
from wormux.testing.load.meter import KINDS, Usage, size_bytes
from wormux.testing.load.plan import KEYS_A_SECOND, Plan
from wormux.testing.load.site import LoadFailed, Site
from wormux.testing.load.work import play_round
from wormux.testing.server_process import ServerProcess

SHELL = "bash --norc --noprofile"
_ENVIRONMENT = {"HISTFILE": "", "INPUTRC": "/dev/null", "LANG": "C.UTF-8", "PS1": "$ "}
_LOOK_EVERY_S = 1.0
_LOOKS_ALIKE = 5
_LAG = "wormux_event_loop_lag_seconds_bucket"
_LAG_MOST = "wormux_event_loop_lag_max_seconds"
_BUGS = "wormux_hub_failures_total"

MEMORY = Bound(share=0.05, more=8 * KIB)
"""In KiB. What allocators keep by chance; measured flat runs stay below half of it."""
DESCRIPTORS = Bound(share=0, more=0.5)
THREADS = Bound(share=0, more=8)
"""Pools have as many as were once needed at a time, and a bound of their own."""
PROCESSES = Bound(share=0, more=0.5)
DISK = Bound(share=0.25, more=16)
"""In MiB. The store's journal is cut off now and then, its file is as large as it once had to be."""


@dataclass(frozen=True)
class Window:
    """A stretch of time, and what the servers did in it."""

    seconds: float
    cpu_s: dict[str, float]
    """By kind, all servers together."""

    @property
    def cores(self) -> float:
        return sum(self.cpu_s.values()) / self.seconds


@dataclass
class Results:
    """All that was measured; times in seconds, memory in KiB."""

    plan: Plan
    bare: dict[str, Usage] = field(default_factory=dict)
    """One pane and one client on each server."""
    fresh: dict[str, Usage] = field(default_factory=dict)
    """All panes at their first prompt, one client on each server."""
    full: dict[str, Usage] = field(default_factory=dict)
    """Every pane has written more than is kept of it."""
    attached: dict[str, Usage] = field(default_factory=dict)
    """And all clients are there."""
    idle: Window | None = None
    typing: Window | None = None
    load: Window | None = None
    """Rounds alone, without the waits for quiet in between."""
    rounds: int = 0
    """The warm-up included."""
    flooded_bytes: int = 0
    delivered_bytes: int = 0
    frames: int = 0
    echo_idle_s: list[float] = field(default_factory=list)
    echo_load_s: list[float] = field(default_factory=list)
    lags: dict[float, int] = field(default_factory=dict)
    """How often the servers' event loops were late under load, by how late at most."""
    longest_lag_s: float = 0.0
    reconnects: int = 0
    redraws: int = 0
    updates: int = 0
    discards: int = 0
    skipped_bytes: int = 0
    judgements: list[Judgement] = field(default_factory=list)


Say = Callable[[str], None]


def run(plan: Plan, folder: Path, say: Say, command: Sequence[str] = ()) -> Results:
    """Servers keep their data below `folder`, and are ended. `command` starts a server, if it is another one than
    `wormux`. Raises `LoadFailed`, and what else a client's wait or a server's start ends with."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(_server(folder / f"server-{n}", plan, command)) for n in range(plan.servers)
        ]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results = runner.run(_run(plan, servers, say))
        for server in servers:
            _check_words(server)
    return results


@contextmanager
def _server(data_dir: Path, plan: Plan, command: Sequence[str]) -> Iterator[ServerProcess]:
    data_dir.mkdir()
    options = ["--shell", SHELL, "--idle-timeout", "never", "--sleep-mode", plan.sleep_mode]
    more = {"command": command} if command else {}
    with ServerProcess(data_dir, *options, env=_ENVIRONMENT | {"HOME": str(data_dir)}, **more) as server:
        yield server


async def _run(plan: Plan, servers: list[ServerProcess], say: Say) -> Results:
    results = Results(plan)
    sites = [Site(server, plan, plan.seed + number) for number, server in enumerate(servers)]
    async with AsyncExitStack() as stack:
        for site in sites:
            stack.callback(site.close)
        await _build(plan, sites, results, say)
        probes = [await _probe(stack, site) for site in sites]
        attached = zip(sites, plan.clients_of, strict=True)
        await _together(site.attach(clients - 1) for site, clients in attached)
        await _all(sites, Site.quiet)
        results.attached = _usage(sites)
        say(
            f"Everything idle, then one key after the other, then everybody typing: {plan.idle_s:.0f} s each."
        )
        async with _measured(sites) as window:
            await asyncio.sleep(plan.idle_s)
        results.idle = window()
        await _echo(probes, asyncio.sleep(plan.idle_s), results.echo_idle_s)
        async with _measured(sites) as window:
            await _all(sites, lambda site: _type(site, plan.idle_s))
        results.typing = window()
        await _rounds(plan, sites, probes, results, say)
    return results


async def _build(plan: Plan, sites: list[Site], results: Results, say: Say) -> None:
    say(f"{plan.servers} servers for {plan.panes} panes and {plan.clients} clients.")
    await _all(sites, Site.begin)
    await _all(sites, Site.quiet)
    results.bare = _usage(sites)
    await _together(site.open_panes(panes) for site, panes in zip(sites, plan.panes_of, strict=True))
    await _all(sites, Site.quiet)
    results.fresh = _usage(sites)
    say("All panes are open. Each writes until all that is kept of it is full.")
    await _all(sites, lambda site: site.fill([*site.panes, site.probe_pane]))
    await _all(sites, Site.quiet)
    results.full = _usage(sites)


async def _rounds(plan: Plan, sites: list[Site], probes: list[EchoProbe], results: Results, say: Say) -> None:
    """Until the time is over. What the first ones leave behind is the measure of the last ones."""
    quiet: list[dict[str, float]] = []
    lags = await _lags(sites, results)
    load_s, cpu_s = 0.0, dict.fromkeys(KINDS, 0.0)
    before = _counted(sites)
    deadline_s = time.monotonic() + plan.seconds
    while results.rounds < plan.least_rounds or time.monotonic() < deadline_s:
        async with _measured(sites) as window:
            await _echo(probes, _all(sites, play_round), results.echo_load_s)
        await _all(sites, Site.quiet)
        results.rounds += 1
        load_s += window().seconds
        cpu_s = {kind: seconds + window().cpu_s[kind] for kind, seconds in cpu_s.items()}
        if results.rounds >= plan.warm_up_rounds:
            quiet.append(await _settled(plan, sites, quiet))
        memory = sum(usage.memory_kib for usage in _usage(sites).values()) / KIB
        results.lags = {bound: count - lags[bound] for bound, count in (await _lags(sites, results)).items()}
        say(f"Round {results.rounds} took {window().seconds:.0f} s; then {memory:.0f} MiB in all.")
    results.load = Window(load_s, cpu_s)
    after = _counted(sites)
    counted = {name: after[name] - before[name] for name in before}
    for name, value in counted.items():
        setattr(results, name, value)
    results.judgements = _judge(quiet)


async def _echo(probes: list[EchoProbe], work: Coroutine[Any, Any, Any], into: list[float]) -> None:
    """Keys are timed while `work` is done."""
    for probe in probes:
        await probe.begin()
    await work
    for probe in probes:
        into += await probe.end()


async def _type(site: Site, seconds: float) -> None:
    """Every client into a pane of its own, as long as there are enough."""
    panes = site.panes

    async def one(number: int) -> None:
        client, pane = site.clients[number], panes[number % len(panes)]
        for _ in range(round(seconds * KEYS_A_SECOND / 2)):
            for key in (b"x", b"\x7f"):  # The second takes the first back.
                client.type(pane, key)
                await asyncio.sleep(1 / KEYS_A_SECOND)

    await _together(map(one, range(len(site.clients))))


async def _probe(stack: AsyncExitStack, site: Site) -> EchoProbe:
    probe = await EchoProbe.start(site.server.url, site.server.token, site.probe_pane)
    stack.push_async_callback(probe.close)
    return probe


async def _all(sites: list[Site], step: Callable[[Site], Coroutine[Any, Any, None]]) -> None:
    """On all servers at once."""
    await _together(map(step, sites))


async def _together(parts: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All at once. The first failure ends the others and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for part in parts:
                tasks.create_task(part)
    except* Exception as group:
        raise _first(group) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


@asynccontextmanager
async def _measured(sites: list[Site]) -> AsyncIterator[Callable[[], Window]]:
    """What is yielded gives the window once the block is over."""
    started, before = time.monotonic(), _cpu(sites)

    async def look() -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            _cpu(sites)

    looking = asyncio.create_task(look())
    window: list[Window] = []
    try:
        yield lambda: window[0]
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        after = _cpu(sites)
        spent = {kind: after[kind] - before[kind] for kind in KINDS}
        window.append(Window(time.monotonic() - started, spent))


async def _lags(sites: list[Site], results: Results) -> dict[float, int]:
    """Since their start, how often event loops were late, by how late at most. Raises `LoadFailed` if a hub failed."""
    counted: dict[float, int] = {}
    for site in sites:
        metrics = await site.metrics()
        if metrics.get((_BUGS, "")):
            raise LoadFailed(f"The server met a bug of its own:\n{site.server.stderr.strip()}")
        results.longest_lag_s = max(results.longest_lag_s, metrics.get((_LAG_MOST, ""), 0.0))
        bounds = sorted((float(bound), count) for (name, bound), count in metrics.items() if name == _LAG)
        below = 0.0
        for bound, count in bounds:
            counted[bound] = counted.get(bound, 0) + int(count - below)
            below = count
    return counted


async def _settled(plan: Plan, sites: list[Site], earlier: list[dict[str, float]]) -> dict[str, float]:
    """The figures that are judged. The first are taken when what is counted has not changed for a while; later ones
    when that is what it was then, or `plan.settles_within_s` have passed."""
    deadline_s = time.monotonic() + plan.settles_within_s
    before: dict[str, float] = {}
    alike = 0
    while True:
        figures = _figures(sites)
        counted = {name: value for name, value in figures.items() if not name.endswith(("memory", "disk"))}
        alike = alike + 1 if counted == before else 0
        if earlier:
            is_settled = all(value <= earlier[0][name] for name, value in counted.items())
        else:
            is_settled = alike == _LOOKS_ALIKE
        if is_settled or time.monotonic() > deadline_s:
            return figures
        before = counted
        await asyncio.sleep(plan.quiet_s)


def _figures(sites: list[Site]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for kind, usage in _usage(sites).items():
        if kind != "shells":
            figures[f"{kind}: memory"] = usage.memory_kib
            figures[f"{kind}: descriptors"] = usage.descriptors
            figures[f"{kind}: threads"] = usage.threads
        figures[f"{kind}: processes"] = usage.processes
    figures["data directories: disk"] = sum(size_bytes(site.data_dir) for site in sites) / MIB
    return figures


def _judge(quiet: list[dict[str, float]]) -> list[Judgement]:
    bounds = {
        "memory": ("KiB", MEMORY),
        "descriptors": ("open", DESCRIPTORS),
        "threads": ("running", THREADS),
        "processes": ("running", PROCESSES),
        "disk": ("MiB", DISK),
    }
    judgements = []
    for name in quiet[0]:
        unit, bound = bounds[name.rpartition(": ")[2]]
        judgements.append(judge(name, unit, [figures[name] for figures in quiet], bound))
    return judgements


def _usage(sites: list[Site]) -> dict[str, Usage]:
    """Of all servers together."""
    each = [site.meter.usage() for site in sites]
    return {
        kind: Usage(
            sum(one[kind].processes for one in each),
            sum(one[kind].memory_kib for one in each),
            sum(one[kind].descriptors for one in each),
            sum(one[kind].threads for one in each),
        )
        for kind in KINDS
    }


def _cpu(sites: list[Site]) -> dict[str, float]:
    each = [site.meter.cpu_s() for site in sites]
    return {kind: sum(one[kind] for one in each) for kind in KINDS}


def _counted(sites: list[Site]) -> dict[str, int]:
    """By the name of the field in `Results`."""
    clients = [client for site in sites for client in site.clients]
    return {
        "flooded_bytes": sum(site.flooded_bytes for site in sites),
        "reconnects": sum(site.reconnects for site in sites),
        "delivered_bytes": sum(client.output_bytes for client in clients),
        "frames": sum(client.frames for client in clients),
        "redraws": sum(client.redraws for client in clients),
        "updates": sum(client.updates for client in clients),
        "discards": sum(client.discards for client in clients),
        "skipped_bytes": sum(client.skipped_bytes for client in clients),
    }


def _check_words(server: ServerProcess) -> None:
    """A bug is written to the log, and the server goes on: here it counts."""
    notes = [path.read_text(errors="replace") for path in server.data_dir.glob("sandboxes/*/agent.log")]
    for text in (server.stderr, *notes):
        if "Traceback" in text or "A bug:" in text:
            raise LoadFailed(f"A server or an agent met a bug of its own:\n{text.strip()[-4000:]}")
