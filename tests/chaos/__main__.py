"""The command of `make chaos`.

python -m tests.chaos --seconds 300 --seed 7
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from . import house
from .plan import KINDS, LONGEST_S, MOST_AT_ONCE
from .programs import MOST_CLIENTS
from .run import RECOVERS_WITHIN_S, ChaosFailed, Options, Report, Run


def main() -> int:
    """Run it, in a house of its own if there can be one, and say what came of it."""
    options = _options()
    if house.is_housed():
        return house.live(lambda: _carry_out(options, why_not=None))
    why_not = "none are wanted" if options.plain else house.why_none()
    if why_not is None:
        house.enter([sys.executable, "-m", "tests.chaos", *_arguments(options)])
    return _carry_out(options, why_not=why_not)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Break everything, and compare every byte."
    )
    parser.add_argument("--seed", type=int, help="what is drawn is drawn from it (default: any)")
    parser.add_argument("--seconds", type=float, default=300.0, help="how long there are storms (300)")
    parser.add_argument("--once", action="store_true", help="instead until every kind of fault has come")
    parser.add_argument("--sessions", type=int, default=2)
    parser.add_argument("--panes", type=int, default=3, help="of each session (3)")
    parser.add_argument("--clients", type=int, default=3, help=f"at most {MOST_CLIENTS} (3)")
    parser.add_argument(
        "--rate", type=int, default=20_000, help="bytes per second that each program writes (20000)"
    )
    parser.add_argument(
        "--longest", type=float, default=LONGEST_S, help=f"seconds that a fault lasts ({LONGEST_S:g})"
    )
    parser.add_argument(
        "--at-once", type=int, default=MOST_AT_ONCE, help=f"faults in a storm ({MOST_AT_ONCE})"
    )
    parser.add_argument(
        "--within",
        type=float,
        default=RECOVERS_WITHIN_S,
        help=f"seconds after a storm, in which all is well again ({RECOVERS_WITHIN_S:g})",
    )
    parser.add_argument(
        "--sleep-mode", default="stop", help="of the server: stop, freeze or freeze-then-stop (stop)"
    )
    parser.add_argument("--keep", action="store_true", help="keep logs and story, whatever comes of it")
    parser.add_argument("--plain", action="store_true", help="without namespaces, as where none can be made")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = secrets.randbelow(10**6)
    if not 1 <= options.clients <= MOST_CLIENTS:
        parser.error(f"--clients is 1 to {MOST_CLIENTS}.")
    return options


def _arguments(options: argparse.Namespace) -> list[str]:
    """The same again, with the seed that was drawn."""
    given = {f"--{name.replace('_', '-')}": value for name, value in vars(options).items()}
    arguments = [name for name, value in given.items() if value is True]
    for name, value in given.items():
        if value is not None and not isinstance(value, bool):
            arguments += [name, str(value)]
    return arguments


def _carry_out(options: argparse.Namespace, why_not: str | None) -> int:
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    print(f"Seed {options.seed}.", flush=True)
    if why_not is not None:
        print(f"Without namespaces of its own: {why_not}.", flush=True)
    report = Report()
    run = Run(
        Options(
            seed=options.seed,
            seconds=options.seconds,
            once=options.once,
            sessions=options.sessions,
            panes=options.panes,
            clients=options.clients,
            rate=options.rate,
            longest_s=options.longest,
            at_once=options.at_once,
            recovers_within_s=options.within,
            sleep_mode=options.sleep_mode,
        ),
        folder,
        report,
        housed=why_not is None,
    )
    try:
        asyncio.run(run.carry_out())
    except Exception as error:
        _write_story(folder, report)
        print("\n".join(line for line in report.log if "storm" in line))
        if not isinstance(error, ChaosFailed):
            traceback.print_exc()
        print(f"FAILED with seed {options.seed}; everything is kept in {folder}.\n{error}", flush=True)
        return 1
    _print(report, run, why_not)
    if options.keep:
        _write_story(folder, report)
        print(f"Everything is kept in {folder}.")
    else:
        shutil.rmtree(folder)
    return 0


def _write_story(folder: Path, report: Report) -> None:
    (folder / "story").write_text("\n".join(report.log))


def _print(report: Report, run: Run, why_not: str | None) -> None:
    missing = run.missing
    for kind in KINDS:
        print(
            f"  {kind:20} {report.done[kind]:5}"
            + (f"   not done: {missing[kind]}" if kind in missing else "")
        )
    if why_not is not None:
        print("  For a full disk, no file of the server could get larger than a page.")
    for name, value in report.facts.items():
        print(f"  {name}: {value}")
    took_s, after = max(report.recoveries)
    print(f"  slowest of {len(report.recoveries)} recoveries: {took_s:.2f} s after {after}")
    print("Every byte is where it belongs.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
