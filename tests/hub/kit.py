"""Words that several tests of the hub share."""

from __future__ import annotations

from typing import Any, TypeVar

from wormux.errors import ErrorCode
from wormux.hub.effects import Effect
from wormux.hub.pane import Pane
from wormux.ids import PaneId, SessionId, TabId
from wormux.protocol import messages as m
from wormux.testing.hub_world import HubWorld
from wormux.testing.sim_client import SimClient

_E = TypeVar("_E", bound=Effect)


def ask(world: HubWorld, client: SimClient, kind: str, **fields: Any) -> m.Ok | m.Error:
    """The answer to a request, when all has settled."""
    ref = client.ask(kind, **fields)
    world.settle()
    return client.answers[ref]


def made(world: HubWorld, client: SimClient, kind: str, **fields: Any) -> m.Made:
    """What a request made."""
    answer = ask(world, client, kind, **fields)
    assert isinstance(answer, m.Ok), answer
    assert isinstance(answer.result, m.Made)
    return answer.result


def refused(world: HubWorld, client: SimClient, kind: str, **fields: Any) -> ErrorCode:
    """The code with which a request is refused."""
    answer = ask(world, client, kind, **fields)
    assert isinstance(answer, m.Error), answer
    assert answer.request == kind
    return answer.code


def done(world: HubWorld, client: SimClient, kind: str, **fields: Any) -> None:
    """A request that succeeds."""
    answer = ask(world, client, kind, **fields)
    assert isinstance(answer, m.Ok), answer


def session_of(client: SimClient) -> SessionId:
    """The first session."""
    return next(iter(client.model.sessions))


def tab_of(client: SimClient) -> TabId:
    """The first tab."""
    return next(iter(client.model.tabs))


def split(
    world: HubWorld, client: SimClient, pane_id: PaneId, orientation: str = "horizontal", **size: int
) -> PaneId:
    """A new pane beside another."""
    size = {"cols": 40, "rows": 20} | size
    pane = made(world, client, "pane_split", paneId=pane_id, orientation=orientation, **size).pane_id
    assert pane is not None
    return pane


def sleep(world: HubWorld, client: SimClient) -> None:
    """Put the first session to sleep."""
    done(world, client, "session_sleep", sessionId=session_of(client))


def wanted(world: HubWorld, kind: type[_E]) -> list[_E]:
    """Effects of one kind since `world.effects` was cleared."""
    return [effect for effect in world.effects if isinstance(effect, kind)]


def pane_of(world: HubWorld, pane_id: PaneId) -> Pane:
    """The pane as the hub has it."""
    return world.hub.world.panes[pane_id]


def deliver(world: HubWorld, count: int) -> None:
    """So many deliveries arrive, no more."""
    for _ in range(count):
        ready = world.lanes.ready()
        if not ready:
            return
        ready[0].deliver()
