"""Plays many stories, on all processors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context

from wormux.testing.simulate.mutations import begin
from wormux.testing.simulate.play import Failure, play
from wormux.testing.simulate.story import draw_story

STEPS = 300
_AT_ONCE = 8
"""Stories that a process plays before it reports: few enough to stop soon after a failure."""
_WAITING = 2 * (os.cpu_count() or 1)
"""So many pieces are given out: no process waits for the next."""


@dataclass
class Results:
    """What came of some stories."""

    stories: int = 0
    events: int = 0
    hub_steps: int = 0
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: Results) -> None:
        self.stories += other.stories
        self.events += other.events
        self.hub_steps += other.hub_steps
        self.failures += other.failures


def play_seeds(seeds: Sequence[int], steps: int = STEPS) -> Results:
    """In this process."""
    results = Results()
    for seed in seeds:
        outcome = play(draw_story(seed, steps))
        results.stories += 1
        results.events += steps
        results.hub_steps += outcome.hub_steps
        if outcome.failure is not None:
            results.failures.append(outcome.failure)
    return results


def process_pool(jobs: int | None = None, mutation: str | None = None) -> ProcessPoolExecutor:
    """As many processes as there are processors, or `jobs`; with `mutation`, of hubs that are broken so."""
    return ProcessPoolExecutor(
        jobs or len(os.sched_getaffinity(0)), get_context("spawn"), initializer=begin, initargs=(mutation,)
    )


def play_in(
    pool: ProcessPoolExecutor,
    seeds: Sequence[int],
    steps: int = STEPS,
    *,
    failures: int = 1,
    progress: Callable[[Results], None] = lambda _: None,
) -> Results:
    """In the processes of `pool`; stops soon after so many failures."""
    results = Results()
    pieces = [seeds[at : at + _AT_ONCE] for at in range(0, len(seeds), _AT_ONCE)][::-1]
    running: set[Future[Results]] = set()
    while running or (pieces and len(results.failures) < failures):
        while pieces and len(running) < _WAITING and len(results.failures) < failures:
            running.add(pool.submit(play_seeds, pieces.pop(), steps))
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            results.add(future.result())
        progress(results)
    results.failures.sort(key=lambda failure: failure.seed)
    return results
