"""The table of traces finds a client that breaks a rule: each mutation here fails the trace that is about it.

Those of the page's core stand in `web/src/core/trace-mutations.test.ts`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.traces.test_traces import TRACES
from wormux.protocol.messages import Replay
from wormux.testing.model import Model
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.input import SimInput
from wormux.testing.streams import OutputStream
from wormux.testing.traces.format import TraceFailed
from wormux.testing.traces.player import Player

Patch = Callable[[pytest.MonkeyPatch], None]


def put(owner: type, name: str, value: Any) -> Patch:
    """The mutation that puts `value` in the place of a method."""
    return lambda patch: patch.setattr(owner, name, value, raising=False)


def counted_redraw(patch: pytest.MonkeyPatch) -> None:
    take_replay = OutputStream.take_replay

    def mutated(stream: OutputStream, message: Replay) -> None:
        take_replay(stream, message)
        stream.position += message.bytes

    patch.setattr(OutputStream, "take_replay", mutated)


def uncleared(patch: pytest.MonkeyPatch) -> None:
    take_replay = OutputStream.take_replay

    def mutated(stream: OutputStream, message: Replay) -> None:
        drawn = bytes(stream.drawn)
        take_replay(stream, message)
        stream.drawn[:0] = drawn

    patch.setattr(OutputStream, "take_replay", mutated)


def half_redraw(patch: pytest.MonkeyPatch) -> None:
    take_replay = OutputStream.take_replay

    def mutated(stream: OutputStream, message: Replay) -> None:
        take_replay(stream, replace_message(message))

    def replace_message(message: Replay) -> Replay:
        return Replay(
            pane_id=message.pane_id,
            channel=message.channel,
            position=message.position - message.bytes,
            bytes=0,
            reset=message.reset,
            skipped=message.skipped,
            cols=message.cols,
            rows=message.rows,
        )

    patch.setattr(OutputStream, "take_replay", mutated)


def sent_again(patch: pytest.MonkeyPatch) -> None:
    go_on = SimInput.reconnected

    def mutated(stream: SimInput, position: int | None) -> None:
        go_on(stream, stream.acked if position is not None else None)

    patch.setattr(SimInput, "reconnected", mutated)


def named_again(patch: pytest.MonkeyPatch) -> None:
    go_on = SimInput.reconnected

    def mutated(stream: SimInput, position: int | None) -> None:
        stream.named.clear()
        go_on(stream, position)

    patch.setattr(SimInput, "reconnected", mutated)


def reason_lost(patch: pytest.MonkeyPatch) -> None:
    take_named = SimInput.take_named

    def mutated(stream: SimInput, message: Any) -> None:
        take_named(stream, message)
        stream.confessed[-1:] = [replace(one, reason="closed") for one in stream.confessed[-1:]]

    patch.setattr(SimInput, "take_named", mutated)


MUTATIONS: dict[str, tuple[str, Patch]] = {
    "acknowledges no layout": (
        "panes come, change and go by updates that name only what changed",
        put(SimClient, "acks_layout", property(lambda _: False, lambda _, __: None)),
    ),
    "acknowledges before it draws": (
        "what is not drawn is not acknowledged",
        put(SimClient, "acks_output", property(lambda _: True, lambda _, __: None)),
    ),
    "knows no cut": (
        "while the server asks how far it is, nothing is sent",
        put(SimInput, "cut", lambda _: None),
    ),
    "knows no window": ("a large paste waits for the window of its pane", put(SimInput, "room", 1 << 30)),
    "sends again what the server took": ("what the server took before the cut is not sent again", sent_again),
    "sends again what was named": ("what is named in the middle is not sent again after a cut", named_again),
    "sends input however old it is": (
        "after 30 seconds it is not sent again",
        put(SimInput, "_leave_out_old", lambda _: None),
    ),
    "stays the same client": (
        "a client that was taken over becomes another one",
        put(SimClient, "_become_another", lambda _: None),
    ),
    "says another reason": ("what is named as discarded is shown with its reason", reason_lost),
    "counts a redraw as output": ("what was missed is replaced by a redraw", counted_redraw),
    "does not clear for a redraw": ("what was missed is replaced by a redraw", uncleared),
    "goes on in the middle of a redraw": ("half a redraw is none", half_redraw),
    "takes whatever is announced": (
        "an old revision",
        put(Model, "rev", property(lambda _: -1, lambda _, __: None)),
    ),
    "tries again with a token that was refused": (
        "a refused token ends all attempts",
        put(SimClient, "may_connect", True),
    ),
}


@pytest.mark.parametrize(("found", "mutate"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_client_that_breaks_a_rule_is_found(
    found: str, mutate: Patch, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trace,) = [trace for trace in TRACES if trace.name == found]
    Player(trace).play()
    mutate(monkeypatch)
    with pytest.raises(TraceFailed):
        Player(trace).play()
