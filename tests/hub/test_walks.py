"""Seeded walks of the machine in `test_machine`, with the weights of a busy day: they find other bugs than Hypothesis.

Each seed is one walk and gives the same every time. What a walk finds gets a test of its own. A longer run:
`WORMUX_WALKS=5000 pytest tests/hub/test_walks.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from tests.hub.test_machine import CLIENTS, SLEEP_MODES, HubMachine
from wormux.protocol.agent_link import Exit

WALKS = int(os.environ.get("WORMUX_WALKS", "150"))
STEPS = 90
ENDS = (Exit(0, ran_s=5.0), Exit(1, ran_s=0.1), Exit(signal="SIGKILL"))
TIMES_S = (0.005, 0.02, 0.3, 0.6, 1.1, 3.0, 12.0, 31.0)


def number(random: Random) -> int:
    """Of a client; the first is the busiest."""
    numbers: list[int] = [0, 0, *range(CLIENTS)]
    return random.choice(numbers)


def client_and_pane(random: Random) -> dict[str, Any]:
    return {"number": number(random), "index": random.randrange(8)}


def failing(chance: float) -> Callable[[Random], dict[str, Any]]:
    return lambda random: {"failing": random.random() < chance}


Draw = Callable[[Random], dict[str, Any]]
RULES: dict[str, tuple[float, Draw]] = {
    "deliver": (10, lambda r: {"picks": [r.randrange(31) for _ in range(r.randrange(1, 30))]}),
    "deliver_shuffled": (10, lambda r: {"picks": r.getrandbits(32), "limit": r.randrange(1, 200)}),
    "advance": (12, lambda r: {"seconds": r.choice(TIMES_S), "deliver": r.random() < 0.6}),
    "connect": (6, lambda r: {"number": number(r), "resume": r.random() < 0.8}),
    "cut": (3, lambda r: {"number": number(r), "keep_words": r.random() < 0.5}),
    "stall": (1, lambda r: {"number": number(r)}),
    "type": (14, lambda r: client_and_pane(r) | {"size": r.randrange(1, 41)}),
    "resize": (3, lambda r: client_and_pane(r) | {"cols": r.randrange(2, 7), "rows": r.randrange(2, 5)}),
    "split": (3, lambda r: client_and_pane(r) | {"orientation": r.choice(("horizontal", "vertical"))}),
    "close_pane": (2, client_and_pane),
    "create_tab": (1, client_and_pane),
    "close_tab": (0.6, client_and_pane),
    "create_session": (0.6, lambda r: {"number": number(r)}),
    "destroy_session": (0.4, client_and_pane),
    "sleep": (3, lambda r: client_and_pane(r) | {"force": r.random() < 0.5}),
    "poke": (3, lambda r: client_and_pane(r) | {"kind": r.choice(("pane_wake", "input_discard"))}),
    "redraw": (1, lambda r: client_and_pane(r) | {"lines": r.randrange(300)}),
    "switch_tab": (1, client_and_pane),
    "drag": (1, lambda r: client_and_pane(r) | {"share": r.uniform(0.1, 0.9)}),
    "print": (5, lambda r: {"index": r.randrange(8), "size": r.choice((1, 10, 100, 100, 5_000, 700_000))}),
    "query": (2, lambda r: {"index": r.randrange(8)}),
    "lose_screens": (1, lambda r: {}),
    "exit": (3, lambda r: {"index": r.randrange(8), "end": r.choice(ENDS)}),
    "foreground": (2, lambda r: {"index": r.randrange(8), "program": r.choice((None, "vim"))}),
    "reading": (2, lambda r: {"index": r.randrange(8), "takes": r.random() < 0.5}),
    "remember": (1, lambda r: {"index": r.randrange(8), "capacity": r.choice((50, 2**21))}),
    "break_links": (
        4,
        lambda r: {
            "index": r.randrange(8),
            "keep_words": r.random() < 0.5,
            "kind": r.choice(("sandbox", "terminal", "agent")),
        },
    ),
    "fail_starts": (1, failing(0.3)),
    "fail_finds": (1, failing(0.3)),
    "fail_opens": (1, failing(0.3)),
    "fail_saves": (2, failing(0.4)),
    "end_server": (2.5, lambda r: {"gently": r.random() < 0.4}),
    "start_server": (3, lambda r: {}),
    "agent_dies_meanwhile": (1, lambda r: {"index": r.randrange(8)}),
    "be_quiet": (3, lambda r: {}),
}
NEED_A_SERVER = {"connect", "lose_screens", "break_links", "end_server", "be_quiet"}
NEED_NONE = {"start_server", "agent_dies_meanwhile"}


@pytest.mark.parametrize("seed", range(WALKS))
def test_walk(seed: int) -> None:
    random = Random(seed)
    machine = HubMachine()
    machine.begin(
        seed=seed,
        hold=random.random() < 0.5,
        ready_after_s=random.choice((0.0, 0.3)),
        sleep_mode=random.choice(SLEEP_MODES),
    )
    names, weights = list(RULES), [weight for weight, _ in RULES.values()]
    for _ in range(random.randrange(5, STEPS)):
        (name,) = random.choices(names, weights)
        fields = RULES[name][1](random)
        if not (name in NEED_A_SERVER and not machine.up) and not (name in NEED_NONE and machine.up):
            getattr(machine, name)(**fields)
    machine.teardown()
