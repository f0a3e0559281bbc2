"""`python -m wormux.testing.simulate.hunted MUTATION STEPS SEED…`: ends with 0 at the first story that finds it."""

from __future__ import annotations

import sys

from wormux.testing.simulate.mutations import install


def main(name: str, steps: int, seeds: list[int]) -> int:
    install(name)
    from wormux.testing.simulate.play import play  # the broken hub
    from wormux.testing.simulate.story import draw_story

    for count, seed in enumerate(seeds, 1):
        failure = play(draw_story(seed, steps)).failure
        if failure is not None:
            print(f"Found by seed {seed} (story {count}), event {failure.step}: {failure.sentence}")
            return 0
    print(f"Not found by the seeds {seeds[0]} to {seeds[-1]}.")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), [int(seed) for seed in sys.argv[3:]]))
