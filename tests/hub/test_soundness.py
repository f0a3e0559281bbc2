"""Records that contradict each other are refused before anything is made of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from wormux.errors import StoreRefused
from wormux.hub.soundness import check
from wormux.ids import Channel, ClientId, PaneId, SandboxId, SessionId, TabId
from wormux.records import (
    Checkpoint,
    InputPosition,
    Intent,
    Meta,
    PaneRecord,
    SessionRecord,
    Snapshot,
    TabRecord,
)

P, Q, T, S = PaneId("p"), PaneId("q"), TabId("t"), SessionId("s")
LAYOUT = (
    b'{"type":"split","orientation":"vertical","ratios":[0.5,0.5],'
    b'"children":[{"type":"pane","paneId":"p"},{"type":"pane","paneId":"q"}]}'
)
SESSION = SessionRecord(S, SandboxId("b"), "main", 1, "local", Intent.AWAKE, 0)
TAB = TabRecord(T, S, "one", 0, LAYOUT, P)
PANE = PaneRecord(P, T, Channel(0), 0, 80, 24, 1, 100)
OTHER = replace(PANE, id=Q, channel=Channel(1))
INPUT = InputPosition(ClientId("c"), P, 3)
CHECKPOINT = Checkpoint(P, 3, b"log", ((3, 80, 24),), b"screen", 80, 24)
SOUND = Snapshot((SESSION,), (TAB,), (PANE, OTHER), (), (INPUT,), (CHECKPOINT,), Meta(5, (Channel(2),), T))

WRONG: dict[str, dict[str, Any]] = {
    "no session": {"sessions": ()},
    "session being destroyed": {"sessions": (replace(SESSION, intent=Intent.DESTROYING),)},
    "one sandbox twice": {"sessions": (SESSION, replace(SESSION, id=SessionId("z")))},
    "no tab": {"tabs": ()},
    "no pane": {"panes": (PANE,)},
    "one pane more": {"panes": (PANE, OTHER, replace(PANE, id=PaneId("r"), channel=Channel(5)))},
    "a layout that is none": {"tabs": (replace(TAB, layout=b"{"),)},
    "a layout without end": {"tabs": (replace(TAB, layout=b'{"type":"split","children":[' * 3000),)},
    "shares that are too many": {"tabs": (replace(TAB, layout=LAYOUT.replace(b"0.5]", b"0.3,0.2]")),)},
    "shares of nothing": {"tabs": (replace(TAB, layout=LAYOUT.replace(b"[0.5,0.5]", b"[0,1]")),)},
    "focus elsewhere": {"tabs": (replace(TAB, focus=PaneId("r")),)},
    "one channel twice": {"panes": (PANE, replace(OTHER, channel=Channel(0)))},
    "a channel that is free": {"meta": Meta(5, (Channel(1),), T)},
    "a channel that is none": {"panes": (PANE, replace(OTHER, channel=Channel(255)))},
    "a channel that is no number": {"meta": Meta(5, ("x",), T)},  # type: ignore[arg-type]
    "a size": {"panes": (replace(PANE, cols=1001), OTHER)},
    "a mark": {"panes": (replace(PANE, position_mark=2**62), OTHER)},
    "a revision": {"meta": Meta(-1, (), T)},
    "input before its beginning": {"inputs": (replace(INPUT, position=-1),)},
    "output before its beginning": {"checkpoints": (replace(CHECKPOINT, start=-1),)},
    "a size out of its place": {"checkpoints": (replace(CHECKPOINT, sizes=((7, 80, 24),)),)},
    "a size of two": {"checkpoints": (replace(CHECKPOINT, sizes=((3, 80),)),)},  # type: ignore[arg-type]
    "a screen without a size": {"checkpoints": (replace(CHECKPOINT, cols=0),)},
}


def test_what_is_sound_is_taken() -> None:
    check(SOUND)
    check(Snapshot())


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_not_is_refused_with_a_sentence(wrong: dict[str, Any]) -> None:
    with pytest.raises(StoreRefused, match=r"contradict each other \(.+\)\. Put a backup in its place"):
        check(replace(SOUND, **wrong))
