"""The simulator's client keeps every rule in the table of traces, and the table finds clients that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from wormux.testing.traces.format import Trace, TraceFailed, load, read
from wormux.testing.traces.player import Player

TRACES = [trace for path in sorted(Path(__file__).parent.glob("*.json")) for trace in load(path)]


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_the_client_keeps_the_rule(trace: Trace) -> None:
    Player(trace).play()


def test_each_trace_has_a_name_of_its_own_and_names_a_section() -> None:
    assert len({trace.name for trace in TRACES}) == len(TRACES) >= 40
    for trace in TRACES:
        assert "(§" in trace.rule, trace.name


def test_what_cannot_be_played_is_an_error() -> None:
    with pytest.raises(TraceFailed, match="Nobody can play"):
        Player(Trace("unknown", "None (§0).", (("dance", True),))).play()
    with pytest.raises(TraceFailed, match="one verb each"):
        read({"name": "two", "rule": "None (§0).", "steps": [{"cut": True, "open": {}}]})
