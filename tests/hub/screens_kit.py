"""What the tests of screens share: what screens were told, and holding or reading them."""

from __future__ import annotations

from typing import Any

from wormux.hub.effects import TellScreen
from wormux.ids import PaneId
from wormux.limits import (
    OUTPUT_FRAME_BYTES,
)
from wormux.protocol.screen_link import (
    Feed,
)
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.world import HubWorld

LINE = b"0123456789abcdef" * 4 + b"\r\n"
FLOOD = LINE * (OUTPUT_FRAME_BYTES // len(LINE))
DARK = {"foreground": "#ffffff", "background": "#000000", "cursor": "#00ff00"}
LIGHT = {"foreground": "#101010", "background": "#ffffff", "cursor": "#0000ff"}


def told(world: HubWorld, kind: type[Any], pane_id: PaneId | None = None) -> list[Any]:
    """Requests of one kind since `effects` was cleared."""
    requests = [e for e in world.wanted(TellScreen) if isinstance(e, TellScreen)]
    return [
        e.request
        for e in requests
        if isinstance(e.request, kind) and (pane_id is None or e.pane_id == pane_id)
    ]


def fed(world: HubWorld) -> bytes:
    return b"".join(feed.data for feed in told(world, Feed))


def hold_screens(world: HubWorld, *, held: bool) -> None:
    """While held, they neither read nor answer."""
    world.lanes.lane("screens").held = held


def sleep(world: HubWorld, client: SimClient) -> None:
    client.say("session_sleep", sessionId=next(iter(client.model.sessions)), force=True)
    world.advance(3.0)


def late_redraw(world: HubWorld, pane_id: PaneId, name: str = "late") -> bytes:
    """What somebody sees who attaches now."""
    return bytes(world.attached(name).output(pane_id).drawn)
