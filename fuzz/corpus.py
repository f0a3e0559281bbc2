"""`python -m fuzz.corpus DIR [TARGET]…`: write the seeds, one file each, to a directory per target."""

from __future__ import annotations

import argparse
from hashlib import sha256
from pathlib import Path

from fuzz.kit import Target
from fuzz.targets import TARGETS


def write(target: Target, directory: Path) -> int:
    """Put the target's seeds into `directory`, and return how many there are. Files of the same content are kept."""
    directory.mkdir(parents=True, exist_ok=True)
    seeds = set(target.seeds())
    for seed in seeds:
        (directory / sha256(seed).hexdigest()[:16]).write_bytes(seed)
    return len(seeds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fuzz.corpus", description="Write seeds for fuzzing.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET")
    given = parser.parse_args()
    for name in given.targets or TARGETS:
        print(f"{name}: {write(TARGETS[name], given.directory / name)} seeds")


if __name__ == "__main__":
    main()
