"""The simulator from the command line; `--help` says what there is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from wormux.testing.simulate import mutations

SEEDS = 2000


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 if a rule was broken, or if a mutation was not found."""
    options = _parser().parse_args(arguments)
    steps: int = options.steps
    seeds: range | None = options.seeds
    if options.mutations:
        return mutations.hunt_all(seeds, steps, jobs=options.jobs)
    if options.mutation:
        mutations.install(options.mutation)
    from wormux.testing.simulate import commands  # not before: a mutation changes what is imported

    if options.story is not None:
        return commands.play_file(Path(options.story), trace=options.trace)
    if options.seed is not None:
        return commands.play_one(options.seed, steps, trace=options.trace)
    return commands.play_range(seeds or range(SEEDS), steps, jobs=options.jobs, mutation=options.mutation)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wormux.testing.simulate",
        description="Play seeded stories of the hub in a simulated world, and check what must hold in them.",
    )
    parser.add_argument("--seed", type=int, help="play the one story of this seed")
    parser.add_argument(
        "--seeds", type=_range, metavar="A..B", help="play stories A to B, without B (default: 0..2000)"
    )
    parser.add_argument("--steps", type=int, default=300, help="events of a story (default: 300)")
    parser.add_argument("--jobs", type=int, help="how many processes (default: one for each processor)")
    parser.add_argument("--story", metavar="FILE", help="play the story in this file, as a failure prints it")
    parser.add_argument("--trace", action="store_true", help="print everything that happens in the story")
    parser.add_argument(
        "--mutation", choices=sorted(mutations.MUTATIONS), help="break the hub like this first"
    )
    parser.add_argument(
        "--mutations", action="store_true", help="see which mutations of the hub --seeds finds"
    )
    return parser


def _range(text: str) -> range:
    begin, separator, end = text.partition("..")
    if not separator or not begin.isdecimal() or not end.isdecimal() or int(begin) >= int(end):
        raise argparse.ArgumentTypeError("write 0..2000 for the seeds 0 to 1999")
    return range(int(begin), int(end))


if __name__ == "__main__":
    sys.exit(main())
