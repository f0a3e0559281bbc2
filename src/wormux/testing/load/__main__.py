"""`python -m wormux.testing.load`: put real servers under load and see whether anything grows. Status 1 if it does."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from wormux.errors import WormuxError
from wormux.testing.load.plan import Plan
from wormux.testing.load.report import report
from wormux.testing.load.run import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run once and say what was found."""
    usual = Plan()
    parser = argparse.ArgumentParser(prog="python -m wormux.testing.load", description=__doc__)
    parser.add_argument(
        "--panes", type=int, default=usual.panes, help=f"of all servers together ({usual.panes})"
    )
    parser.add_argument("--clients", type=int, default=usual.clients, help=f"likewise ({usual.clients})")
    parser.add_argument("--servers", type=int, default=0, help="as few as carry them, by default")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help=f"of load ({usual.seconds:g})")
    parser.add_argument("--seed", type=int, default=usual.seed, help="of who does what")
    parser.add_argument("--sleep-mode", default=usual.sleep_mode, help="of the servers: stop or freeze")
    options = parser.parse_args(arguments)
    if not Path("/proc/self/smaps_rollup").exists():
        print("Memory and descriptors of processes are read from /proc, as Linux has it.", file=sys.stderr)
        return 1
    started = time.monotonic()
    try:
        plan = Plan(**vars(options))
        with tempfile.TemporaryDirectory(prefix="wormux-load-") as folder:
            results = run(plan, Path(folder), lambda line: _say(started, line))
    except WormuxError as error:
        print(f"The load failed: {error}", file=sys.stderr)
        return 1
    print("\n" + "\n".join(report(results)))
    grown = [judgement for judgement in results.judgements if not judgement.is_flat]
    print(f"\n{len(grown)} figures grew." if grown else "\nNothing grew.")
    return 1 if grown else 0


def _say(started: float, line: str) -> None:
    print(f"{time.monotonic() - started:6.0f} s  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
