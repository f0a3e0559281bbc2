"""`python -m bench [NAME]… [--rounds N]`: run the benchmarks and print their figures."""

from __future__ import annotations

import argparse

from bench import (
    attach,
    bulk,
    container,
    echo,
    emulator,
    fairness,
    freeze,
    many,
    memory,
    restart,
    screens,
    slow,
    wake,
)
from bench.report import show

BENCHMARKS = {
    "bulk": bulk.measure,
    "echo": echo.measure,
    "wake": wake.measure,
    "freeze": freeze.measure,
    "many": many.measure,
    "restart": restart.measure,
    "slow": slow.measure,
    "fairness": fairness.measure,
    "memory": memory.measure,
    "screens": screens.measure,
    "attach": attach.measure,
    "emulator": emulator.measure,
    "container": container.measure,
}


def main() -> None:
    """Run what was asked for, or everything."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (3)")
    options = parser.parse_args()
    figures = []
    for name in options.names or BENCHMARKS:
        figures += BENCHMARKS[name](options.rounds)
    show(figures)


if __name__ == "__main__":
    main()
