"""`python -m bench.peers [MEASURE]… [--system NAME]… [--rounds N] [--no-write]`: measure all systems in one run."""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.peers import attach, bulk, echo, memory, screens, slow
from bench.peers.port import ROOT, SHELL, Peer, Server
from bench.peers.rows import ROWS
from bench.peers.systems import SYSTEMS
from bench.peers.table import Results, tables, written_between
from tests.screen.xterm import Xterm

PAGE = ROOT / "docs" / "benchmarks.md"
OURS = "Wormux"
LIMITS = ("raw PTY",)
MEASURES = ("bulk", "echo", "attach", "memory", "slow", "screens")


class Run:
    """One run of all that was asked for. What a system fails at is told in its column, and ends nothing else."""

    def __init__(self, systems: list[Peer], rounds: int) -> None:
        self.results = Results()
        self._systems = systems
        self._rounds = rounds
        self._began_s = time.monotonic()

    def each(self, name: str, rounds: int, measure: Callable[[Peer, Server], None], argv: list[str]) -> None:
        """In every round one system after the other, so that the machine's moods meet them all."""
        for number in range(rounds):
            for peer in self._systems:
                print(
                    f"{time.monotonic() - self._began_s:5.0f} s  {name} {number + 1}: {peer.name}", flush=True
                )
                try:
                    with peer.serve(argv) as server:
                        measure(peer, server)
                except (AssertionError, EOFError, OSError, RuntimeError, ValueError) as error:
                    print(f"         failed: {error!r}", flush=True)

    def bulk(self) -> None:
        with tempfile.TemporaryDirectory(prefix="wormux-bench-") as folder:
            file = Path(folder, "bulk.txt")
            bulk.write_file(file)
            self.each(
                "bulk",
                self._rounds,
                lambda peer, server: self.results.add(peer.name, bulk.measure(server, file)),
                SHELL,
            )

    def echo(self) -> None:
        def measure(peer: Peer, server: Server) -> None:
            self.results.pool(peer.name, echo.quiet(server))
            if peer.has_neighbours:
                samples = echo.beside_a_flood(server)
                self.results.add(peer.name, {"echo flood rate": samples.pop("echo flood rate")[0]})
                self.results.pool(peer.name, samples)

        self.each("echo", self._rounds, measure, SHELL)

    def attach(self) -> None:
        def measure(peer: Peer, server: Server) -> None:
            if peer.has_neighbours:
                self.results.add(peer.name, attach.measure(server))

        self.each("attach", self._rounds, measure, SHELL)

    def memory(self) -> None:
        def measure(peer: Peer, server: Server) -> None:
            if peer.has_neighbours:
                self.results.add(peer.name, memory.measure(server))

        self.each("memory", 1, measure, SHELL)

    def slow(self) -> None:
        def measure(peer: Peer, server: Server) -> None:
            if peer.has_neighbours:
                cells, samples = slow.measure(server)
                self.results.add(peer.name, cells)
                self.results.pool(peer.name, samples)

        self.each("slow client", 1, measure, SHELL)

    def screens(self) -> None:
        with tempfile.TemporaryDirectory(prefix="wormux-bench-") as folder, Xterm() as xterm:
            todo = screens.plays(Path(folder), xterm)

            def measure(peer: Peer, server: Server) -> None:
                if peer.has_neighbours:
                    self.results.add(peer.name, screens.measure(server, todo, xterm))

            self.each("screens", 1, measure, screens.PROGRAM)


def machine() -> str:
    """What the figures belong to."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    about = dict(line.replace("\t", "").split(": ", 1) for line in lines if ": " in line)
    cpu = about.get("model name", "").strip()
    if cpu in ("", "unknown"):
        known = ("vendor_id", "cpu family", "model", "cpu MHz")
        cpu = ", ".join(f"{name} {about[name]}" for name in known if name in about) or platform.machine()
    count = sum(line.startswith("processor") for line in lines)
    release = f"{platform.system()} {platform.release()}"
    return f"{cpu}; {count} cores; {release}; Python {platform.python_version()}"


def load() -> str:
    """How busy the machine is with other things."""
    return Path("/proc/loadavg").read_text().split()[0]


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="MEASURE", help=", ".join(MEASURES))
    parser.add_argument("--system", action="append", default=[], help="only these; may be given again")
    parser.add_argument("--rounds", type=int, default=3, help="of bulk, echo and attach (3)")
    parser.add_argument("--no-write", action="store_true", help="leave docs/benchmarks.md as it is")
    options = parser.parse_args()
    chosen = [peer for peer in SYSTEMS if not options.system or peer.name.split()[0] in options.system]
    missing = {peer.name: reason for peer in chosen if (reason := peer.missing()) is not None}
    systems = [peer for peer in chosen if peer.name not in missing]
    run = Run(systems, options.rounds)
    before, began_s = load(), time.monotonic()
    for name in options.names or MEASURES:
        measure: Callable[[], None] = getattr(run, name)
        measure()
    figures = {peer.name: run.results.of(peer.name) for peer in systems}
    versions = ", ".join(f"{peer.name} {version}" for peer in systems if (version := peer.version()))
    absent = "; ".join(f"{name} ({reason})" for name, reason in missing.items())
    took_s = time.monotonic() - began_s
    when = f"{time.strftime('%Y-%m-%d')}, in one run of {took_s / 60:.0f} minutes, at a load of {before} before it"
    told = [f"Measured on {when}, on: {machine()}.", f"Versions: {versions}."]
    if absent:
        told.append(f"Not measured: {absent}.")
    rows = [row for row in ROWS if any(row.key in cells for cells in figures.values())]
    text = "\n\n".join([" ".join(told), tables(rows, figures, OURS, LIMITS)])
    print(f"\n{text}")
    if not options.no_write and not options.names and not options.system:
        PAGE.write_text(written_between(PAGE.read_text(), text))


if __name__ == "__main__":
    main()
