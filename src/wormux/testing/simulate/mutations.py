"""Ways to break the hub, each of which the simulator must notice: a check that finds nothing wrong proves little
unless something wrong would have been found.

A mutation is an exact replacement in one source of the hub, made as that is imported. What it replaces must stand
there once: whoever changes that line is told to look here as well. `python -m wormux.testing.simulate --mutations`
tries all of them, each in a process of its own.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

SEEDS = 40
"""So many stories are played before a mutation counts as not found."""


class Outdated(Exception):
    """What a mutation replaces does not stand in the source, or stands there twice."""


@dataclass(frozen=True)
class Mutation:
    """One way to break the hub."""

    name: str
    sentence: str
    """What the broken hub does."""
    module: str
    """Of `wormux.hub`."""
    old: str
    new: str
    seed: int = 0
    """Of the first story to play: one that finds it soon."""

    def applied_to(self, source: str) -> str:
        """Raises `Outdated`."""
        if source.count(self.old) != 1:
            raise Outdated(
                f"The mutation {self.name!r} replaces a text that stands {source.count(self.old)} times in "
                f"wormux/hub/{self.module}.py: look what became of it, and change the mutation likewise."
            )
        return source.replace(self.old, self.new)


_ALL = (
    Mutation(
        "no wake mark",
        "A wake leaves no mark, so that every key is one more.",
        "sandboxes",
        "    def _wake(self, session: Session) -> None:\n        session.move(SandboxEvent.WAKE)\n",
        "    def _wake(self, session: Session) -> None:\n",
    ),
    Mutation(
        "any generation",
        "What an old terminal still says is taken for the word of the present one.",
        "hub",
        "        if event.generation not in (asked, live):\n            return  # of an old generation\n",
        "",
    ),
    Mutation(
        "same generation",
        "A new terminal gets the generation of the one before.",
        "terminals",
        "            pane.generation += 1\n",
        "            pane.generation = max(1, pane.generation)\n",
    ),
    Mutation(
        "channel freed by sleep",
        "A pane that falls asleep loses its channel.",
        "sandboxes",
        "        session.move(SandboxEvent.STOPPED)\n",
        "        session.move(SandboxEvent.STOPPED)\n"
        "        for pane in panes:\n            self._world.channels.release(pane.channel)\n",
    ),
    Mutation(
        "acknowledged at once",
        "Input is acknowledged as it comes, not as a terminal takes it.",
        "typing",
        "        stream.pending.append(segment)\n",
        "        stream.pending.append(segment)\n"
        "        stream.taken = segment.end\n        self._acknowledge(pane, client.id, stream)\n",
    ),
    Mutation(
        "queue forgotten",
        "What was in flight when a link broke, and not taken, does not wait for the next one.",
        "typing",
        "        self.stop_asking(pane)\n        self._wait_again(pane, waiting)\n        self._discard(",
        "        self.stop_asking(pane)\n        self._discard(",
    ),
    Mutation(
        "taken input forgotten",
        "What an agent has of each client's input is not asked after a restart.",
        "typing",
        "            if stream.received < position:\n                stream.received = position\n"
        "                self.taken(pane, client.id, position)\n",
        "            if False:\n                pass\n",
        seed=30,
    ),
    Mutation(
        "not asked",
        "A restarted server tells clients what it stored of their input, without asking the agent.",
        "typing",
        "            if self._world.asking(pane) and not (stream and stream.pending):\n",
        "            if False and not (stream and stream.pending):\n",
    ),
    Mutation(
        "flight never over",
        "What is taken back from a terminal still counts as in flight to it.",
        "typing",
        "        pane.inflight.clear()\n        pane.inflight_bytes = 0\n        for segment in segments:\n",
        "        for segment in segments:\n",
    ),
    Mutation(
        "discards unnamed",
        "What is discarded is not named.",
        "typing",
        "        notices.append((start, end, reason))\n",
        "        return\n",
    ),
    Mutation(
        "never too late",
        "Input that waits for a terminal waits for ever.",
        "typing",
        "        if pane.connected or pane.attempt is not None or since_s is None:\n",
        "        if True:\n",
        seed=70,
    ),
    Mutation(
        "typed too early",
        "Input is written before the shell reads.",
        "typing",
        "        if terminal is None or not terminal.ready or session.phase == SandboxPhase.STOPPING:\n",
        "        if terminal is None or session.phase == SandboxPhase.STOPPING:\n",
    ),
    Mutation(
        "lost in flight",
        "When an agent dies, what it may have taken is not named.",
        "terminals",
        "        if dead:\n            self._typing.lost_in_flight(pane)\n",
        "        if dead:\n",
        seed=88,
    ),
    Mutation(
        "input window ignored",
        "A client may send as much input as it likes.",
        "hub",
        "        if ahead > INPUT_PANE_BYTES or everywhere > INPUT_CLIENT_BYTES:\n",
        "        if False:\n",
        seed=86,
    ),
    Mutation(
        "output window ignored",
        "A client that reads nothing is sent everything.",
        "flow",
        "        return min(FLOW_WINDOW_BYTES - ahead, free)\n",
        "        return OUTPUT_FRAME_BYTES\n",
        seed=62,
    ),
    Mutation(
        "no closing at takeover",
        "The old connection of a client that came anew is kept, and served.",
        "clients",
        '        old.client_id = None\n        self._close(old, "Another connection took this client over.")\n',
        "        old.client_id = None\n",
    ),
    Mutation(
        "layout untold",
        "Clients are not told of new and closed panes.",
        "announcer",
        '        """Tabs, layouts, focus or channels are different now."""\n        self._mark(quiet=False)\n',
        '        """Tabs, layouts, focus or channels are different now."""\n',
        seed=24,
    ),
    Mutation(
        "status untold",
        "Clients are not told what became of a pane.",
        "announcer",
        "        for connection in self._mark(quiet=quiet):\n            connection.dirty_panes.add(pane.id)\n",
        "        for connection in self._mark(quiet=quiet):\n            connection.dirty_panes.discard(pane.id)\n",
    ),
    Mutation(
        "positions twice",
        "After a crash the output goes on where the store has it, not past what was sent.",
        "terminals",
        "            pane.log.jump(pane.position_mark)\n",
        "            pass\n",
    ),
    Mutation(
        "resumed anywhere",
        "A client goes on wherever it says it stands.",
        "flow",
        "        if resume is None or not pane.log.start <= resume <= pane.sendable_end:\n",
        "        if resume is None:\n",
    ),
    Mutation(
        "gaps unannounced",
        "A redraw does not say what was left out.",
        "flow",
        "            skipped=0 if since is None else max(0, redraw.position - since),\n",
        "            skipped=0,\n",
    ),
    Mutation(
        "frames of closed panes",
        "Output of a closed pane that waits for a socket is still sent.",
        "flow",
        "            self._world.effects.append(DropUnsent(connection.id, channel))\n",
        "            pass\n",
        seed=196,
    ),
    Mutation(
        "announced before stored",
        "A request is carried out before it is saved.",
        "saver",
        "                self._active = (self._save(plan.change), job, plan)\n",
        "                self._save(plan.change)\n                self._answer(job, plan.commit())\n",
    ),
    Mutation(
        "never tried again",
        "A pane that lost its terminal waits for a key.",
        "terminals",
        "        self._world.timers.set(Wait.RETRY, pane.id, pane.retry_at_s)\n",
        "        pass\n",
        seed=42,
    ),
    Mutation(
        "size forgotten",
        "A terminal is not told that its pane has another size.",
        "terminals",
        "        terminal.resized = True\n        self._world.effects.append(ResizeTerminal(",
        "        terminal.resized = True\n        (ResizeTerminal(",
    ),
    Mutation(
        "keys of late sleepers",
        "Keys that were typed while a sandbox stopped do not wake it.",
        "sandboxes",
        "            if pane.queue and pane.attempt is None:\n",
        "            if False:\n",
        seed=68,
    ),
    Mutation(
        "never destroyed",
        "The sandbox of a destroyed session is left to itself.",
        "closing",
        "            self._world.effects.append(DestroySandbox(session.sandbox_id, session.provider))\n",
        "",
    ),
    Mutation(
        "shells of closed panes",
        "The shell of a closed pane runs on.",
        "closing",
        "            if pane.generation:\n",
        "            if False:\n",
    ),
    Mutation(
        "new name after restart",
        "A restarted server gives its clients new names towards agents.",
        "restore",
        "            record.id, record.key, anonymous=False,",
        '            record.id, record.key + "+", anonymous=False,',
    ),
    Mutation(
        "connected while lost",
        "A pane whose terminal is out of reach goes on as connected.",
        "pane",
        "        self.terminal = terminal\n        if event in",
        "        self.terminal = self.terminal if event == PaneEvent.LOST else terminal\n        if event in",
    ),
)
MUTATIONS = {mutation.name: mutation for mutation in _ALL}


# --- Breaking the hub of this process ------------------------------------------------------------------


def install(name: str) -> None:
    """From now on the hub is imported broken like this. Nothing of it may be imported yet."""
    mutation = MUTATIONS[name]
    module = f"wormux.hub.{mutation.module}"
    if module in sys.modules:
        raise RuntimeError(f"{module} is imported already: a mutation needs a process of its own.")
    sys.meta_path.insert(0, _Finder(module, mutation))


def begin(name: str | None) -> None:
    """A process begins that will play many stories. A world is one heap of references in a circle: looking for garbage
    seldom is cheaper, and as good."""
    gc.set_threshold(50_000, 20, 20)
    if name is not None:
        install(name)


class _Finder(MetaPathFinder):
    def __init__(self, module: str, mutation: Mutation) -> None:
        self._module = module
        self._mutation = mutation

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, self._mutation)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, mutation: Mutation) -> None:
        super().__init__(fullname, path)
        self._mutation = mutation

    def get_code(self, fullname: str) -> CodeType:
        """Compiled afresh, and never kept."""
        source = self._mutation.applied_to(Path(self.path).read_text())
        code = compile(source, self.path, "exec")
        assert isinstance(code, CodeType)
        return code


# --- Hunting -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hunt:
    """What came of looking for one mutation."""

    mutation: Mutation
    found: bool
    said: str
    """By the simulator: the rule that it breaks, or that it was not found."""
    took_s: float


def hunt(mutation: Mutation, seeds: Iterable[int], steps: int) -> Hunt:
    """Play stories on a hub that is broken so, in another process, until one fails."""
    began_s = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "wormux.testing.simulate.hunted", mutation.name, str(steps), *map(str, seeds)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"The hunt for {mutation.name!r} failed: {done.stderr}")
    return Hunt(mutation, done.returncode == 0, done.stdout.strip(), time.perf_counter() - began_s)


def hunt_many(
    mutations: Sequence[Mutation], seeds: range | None, steps: int, *, jobs: int | None = None
) -> Iterator[Hunt]:
    """All of them, on all processors, as they are done. Without `seeds`, each begins with its own."""

    def one(mutation: Mutation) -> Hunt:
        return hunt(mutation, seeds or range(mutation.seed, mutation.seed + SEEDS), steps)

    with ThreadPoolExecutor(jobs or len(os.sched_getaffinity(0))) as threads:
        yield from threads.map(one, mutations)


def hunt_all(seeds: range | None, steps: int, *, jobs: int | None) -> int:
    """For the command line: returns 1 if any was not found."""
    missed = 0
    for one in hunt_many(list(MUTATIONS.values()), seeds, steps, jobs=jobs):
        missed += not one.found
        print(
            f"{one.mutation.name}: {one.mutation.sentence}\n    {one.said} ({one.took_s:.1f} s)", flush=True
        )
    print(f"{len(MUTATIONS) - missed} of {len(MUTATIONS)} mutations were found.")
    return 1 if missed else 0
