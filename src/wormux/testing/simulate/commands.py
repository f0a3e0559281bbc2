"""What the command line asks for, once the hub is imported."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

from wormux.testing.simulate.many import Results, play_in, process_pool
from wormux.testing.simulate.play import Outcome, play
from wormux.testing.simulate.shrink import shrink
from wormux.testing.simulate.story import Story, UnreadableStory, draw_story, read_story
from wormux.testing.simulate.trace import Trace


def play_one(seed: int, steps: int, *, trace: bool) -> int:
    """The story of one seed, and a summary; the story itself if it fails, as short as it can be made."""
    story = draw_story(seed, steps)
    outcome = _play(story, trace=trace)
    _summarize(outcome, story)
    if outcome.failure is None:
        return 0
    print(shrink(outcome.failure))
    return 1


def play_file(file: Path, *, trace: bool) -> int:
    """A story as it stands there."""
    try:
        story = read_story(file.read_text())
    except (OSError, UnreadableStory, UnicodeDecodeError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return 2
    outcome = _play(story, trace=trace)
    _summarize(outcome, story)
    if outcome.failure is not None:
        print(outcome.failure)
    return 0 if outcome.failure is None else 1


def play_range(seeds: range, steps: int, *, jobs: int | None, mutation: str | None) -> int:
    """Many stories; the first that fails is printed, as short as it can be made."""

    def progress(results: Results) -> None:
        if sys.stderr.isatty():
            print(f"\r{results.stories} of {len(seeds)} stories", end="", file=sys.stderr)

    began_s = time.perf_counter()
    with process_pool(jobs, mutation) as pool:
        results = play_in(pool, seeds, steps, progress=progress)
    took_s = time.perf_counter() - began_s
    print(
        f"{results.stories} stories of {steps} events, {results.hub_steps} steps of the hub, in {took_s:.1f} s: "
        f"{len(results.failures)} failed."
    )
    if not results.failures:
        return 0
    print(shrink(results.failures[0]))
    return 1


def _play(story: Story, *, trace: bool) -> Outcome:
    if not trace:
        return play(story)
    lines = Trace(print)
    return play(story, lines, lines.event)


def _summarize(outcome: Outcome, story: Story) -> None:
    kinds = Counter(event.name for event in story[1:])
    print(
        f"The story has {len(story) - 1} events: {', '.join(f'{n} {name}' for name, n in kinds.most_common())}."
    )
    if outcome.stage is not None:
        world = outcome.stage.world
        ptys = [pty for ptys in world.machine.ptys.values() for pty in ptys]
        print(
            f"The hub took {outcome.hub_steps} steps, in {world.now_s - 1000:.0f} s of its time, with "
            f"{world.truth.server} servers, {sum(world.machine.starts.values())} starts of sandboxes, "
            f"{len(ptys)} terminals of {len(world.machine.ptys)} panes; {sum(len(pty.typed) for pty in ptys)} bytes "
            f"were typed and {sum(len(pty.history) for pty in ptys)} printed."
        )
    print("Every rule holds." if outcome.failure is None else "A rule is broken; making the story shorter.")
