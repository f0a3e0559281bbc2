"""What can be seen to hold by looking at a `HubWorld`: after every step, when all is quiet, and at rest.

Each is a function that says what is wrong, or nothing. What can only be judged as it happens stands in `truth`,
`input`, and, for what the protocol promises a client, in `wormux.testing.model` and `.streams`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from wormux.hub.lifecycle import PanePhase, SandboxPhase
from wormux.limits import (
    CONNECTION_UNSENT_BYTES,
    CONNECTIONS,
    DISCARD_NOTICES,
    FLOW_WINDOW_BYTES,
    INFLIGHT_PANE_BYTES,
    INPUT_PANE_BYTES,
    KNOWN_CLIENTS,
    LINK_OUTPUT_BYTES,
    LOG_BYTES,
    LOG_SIZE_MARKS,
    PANES,
    QUEUE_WAITS_S,
    SESSIONS,
    UNANSWERED_REQUESTS,
)
from wormux.testing.sim.rules import Rule, rule
from wormux.testing.sim.screens import QUERY

if TYPE_CHECKING:
    from wormux.hub.pane import Pane
    from wormux.testing.sim.client import SimClient
    from wormux.testing.sim.world import HubWorld

Look = Callable[["HubWorld"], "str | None"]
AT_EVERY_STEP: list[tuple[Rule, Look]] = []
WHEN_QUIET: list[tuple[Rule, Look]] = []
AT_REST: list[tuple[Rule, Look]] = []


def check(world: HubWorld, looks: list[tuple[Rule, Look]]) -> None:
    """Raises `Broken` for the first that does not hold."""
    for broken, look in looks:
        wrong = look(world)
        broken.expect(wrong is None, wrong or "")


def _invariant(looks: list[tuple[Rule, Look]], name: str, sentence: str) -> Callable[[Look], Look]:
    def register(look: Look) -> Look:
        looks.append((rule(name, sentence), look))
        return look

    return register


# --- After every step ----------------------------------------------------------------------------------


@_invariant(AT_EVERY_STEP, "channels", "No two panes share a channel, and none changes its own.")
def channels(world: HubWorld) -> str | None:
    known, seen = world.truth.channels, set[int]()
    for pane in world.hub.world.panes.values():
        if pane.channel in seen or known.setdefault(pane.id, pane.channel) != pane.channel:
            return f"{pane.id} has channel {pane.channel}."
        seen.add(pane.channel)
        if world.hub.world.channels.pane(pane.channel) != pane.id:
            return f"The channel {pane.channel} of {pane.id} is free to be given away."
    return None


@_invariant(AT_EVERY_STEP, "connected", "A pane is connected exactly while a live terminal is linked to it.")
def connected(world: HubWorld) -> str | None:
    if not world.up:
        return None
    linked = {key for key, link in world.server.terminals.items() if link.opened}
    for pane in world.hub.world.panes.values():
        lives = (pane.id, pane.generation) in linked
        if pane.connected != lives and not pane.closing:
            return f"{pane.id} is {pane.phase}, and its terminal is {'' if lives else 'not '}linked."
    return None


@_invariant(AT_EVERY_STEP, "terminals", "A pane has one living terminal at most.")
def terminals(world: HubWorld) -> str | None:
    for pane_id, ptys in world.machine.ptys.items():
        living = [pty.generation for pty in ptys if pty.exit is None]
        if len(living) > 1:
            return f"{pane_id} has the generations {living}."
    return None


@_invariant(
    AT_EVERY_STEP, "one connection", "A client has one connection at most that the server listens to."
)
def one_connection(world: HubWorld) -> str | None:
    if not world.up:
        return None
    seen = set[str]()
    for connection in world.hub.world.connections.values():
        if connection.closing or not (connection.client_id or connection.greeted):
            continue
        if connection.client_id is None:
            return f"{connection.id} was taken over, and is listened to."
        client = world.hub.world.clients.get(connection.client_id)
        if connection.client_id in seen or client is None or client.connection_id != connection.id:
            return f"{connection.client_id} has another connection than {connection.id}."
        seen.add(connection.client_id)
    return None


@_invariant(AT_EVERY_STEP, "revision", "The revision of the layout never falls while a server runs.")
def revision(world: HubWorld) -> str | None:
    (server, before), rev = world.truth.rev, world.hub.world.rev
    world.truth.rev = world.truth.server, rev
    return f"It was {before} and is {rev}." if rev < before and server == world.truth.server else None


@_invariant(AT_EVERY_STEP, "stored first", "A pane is there only once it is stored.")
def stored_first(world: HubWorld) -> str | None:
    missing = world.hub.world.panes.keys() - world.truth.stored
    return f"{sorted(missing)} would be lost with the server." if missing else None


@_invariant(AT_EVERY_STEP, "bounds", "What waits for clients, terminals and the store is bounded.")
def bounds(world: HubWorld) -> str | None:
    hub = world.hub.world
    counts = [
        ("bytes on a socket", max((s.unsent for s in world.server.sockets.values()), default=0),
         CONNECTION_UNSENT_BYTES),
        ("bytes for a connection", max((c.unsent + c.reserved for c in hub.connections.values()), default=0),
         CONNECTION_UNSENT_BYTES),
        ("unanswered requests", max((c.unanswered for c in hub.connections.values()), default=0),
         UNANSWERED_REQUESTS + 1),
        ("connections", sum(1 for c in hub.connections.values() if not c.closing), CONNECTIONS),
        ("clients that left", len(hub.clients), KNOWN_CLIENTS + CONNECTIONS),
        ("panes", len(hub.panes), PANES),
        ("sessions", len(hub.sessions), SESSIONS),
        ("timers", len(hub.timers), 8 * (len(hub.panes) + len(hub.sessions) + len(hub.clients)
                                          + len(hub.connections) + len(hub.destroying) + 1)
         + len(hub.panes) * len(hub.connections)),
    ]  # fmt: skip
    for what, count, most in counts:
        if count > most:
            return f"There are {count} {what}; {most} is the bound."
    for pane in hub.panes.values():
        wrong = _over(world, pane)
        if wrong is not None:
            return f"{pane.id} has {wrong}."
    return None


def _over(world: HubWorld, pane: Pane) -> str | None:
    """What of a pane is over its bound, or counted wrongly."""
    if pane.log.end - pane.log.start > LOG_BYTES + LINK_OUTPUT_BYTES:
        return f"a log of {pane.log.end - pane.log.start} bytes"
    if pane.inflight_bytes > INFLIGHT_PANE_BYTES + INPUT_PANE_BYTES:
        return f"{pane.inflight_bytes} bytes in flight"
    if pane.inflight_bytes != sum(len(piece.data) for piece in pane.inflight if not piece.settled):
        return f"{pane.inflight_bytes} bytes in flight, as it says"
    if pane.queued_bytes != sum(len(piece.data) for piece in pane.queue):
        return f"{pane.queued_bytes} bytes in its queue, as it says"
    if len(pane.log._sizes) > LOG_SIZE_MARKS + 1:
        return f"{len(pane.log._sizes)} changes of its size"
    for client_id, stream in pane.streams.items():
        if len(stream.notices) > DISCARD_NOTICES:
            return f"{len(stream.notices)} notices for {client_id}"
        if not stream.taken <= stream.received <= stream.taken + INPUT_PANE_BYTES:
            return f"{stream.received - stream.taken} bytes of {client_id} that nobody has taken"
    return None


@_invariant(
    AT_EVERY_STEP,
    "prefix",
    "No client is sent more of a pane's output than there is, or than its window allows.",
)
def prefix(world: HubWorld) -> str | None:
    if not world.up:
        return None
    for connection in world.hub.world.connections.values():
        for pane_id, view in connection.views.items():
            pane = world.hub.world.panes[pane_id]
            if connection.flow and view.position - view.acked > FLOW_WINDOW_BYTES:
                return (
                    f"{connection.client_id} has not drawn {view.position - view.acked} bytes of {pane_id}."
                )
            # A new server may have heard how far the agent is, and not have all of it yet.
            if view.started and view.position > max(pane.sendable_end, pane.coming_end):
                return f"{connection.client_id} is at {view.position} of {pane_id}, which ends at {pane.log.end}."
    return None


# --- When all is quiet ---------------------------------------------------------------------------------


def _listening(world: HubWorld) -> Iterator[SimClient]:
    """Clients that have heard everything."""
    for client in world.clients:
        socket = client.socket
        if client.attached and socket is not None and not (socket.stalled or socket.parted):
            yield client


@_invariant(
    WHEN_QUIET, "same layout", "Every client knows the sessions, tabs, layouts and channels that there are."
)
def same_layout(world: HubWorld) -> str | None:
    hub = world.hub.world
    for client in _listening(world):
        model = client.model
        if model.channels != {pane.id: pane.channel for pane in hub.panes.values()}:
            return f"{client.client_id} knows the channels {model.channels}."
        if list(model.sessions) != list(hub.sessions):
            return f"{client.client_id} knows the sessions {list(model.sessions)}."
        if {tab: info.layout for tab, info in model.tabs.items()} != {
            tab.id: tab.layout for tab in hub.tabs.values()
        }:
            return f"{client.client_id} knows other layouts."
    return None


@_invariant(WHEN_QUIET, "same state", "Every client knows the status, size and queue of every pane.")
def same_state(world: HubWorld) -> str | None:
    hub = world.hub.world
    for client in _listening(world):
        for pane in hub.panes.values():
            info = client.model.panes[pane.id]
            known = (client.model.connected[pane.id], info.status, info.queued, info.cols, info.rows)
            if known != (pane.connected, pane.phase, pane.queued_bytes, pane.cols, pane.rows):
                return f"{client.client_id} knows of {pane.id} {known}."
    return None


@_invariant(WHEN_QUIET, "alive", "What is connected lives, where the network lets that be known.")
def alive(world: HubWorld) -> str | None:
    for pane in world.hub.world.panes.values():
        link = world.server.terminals.get((pane.id, pane.generation))
        held = pane.screen is not None and pane.screen.held
        unknown = held or (link is not None and link.agent.parted)
        lives = link is not None and link.pty is not None and link.pty.lives
        if pane.connected and not lives and not unknown:
            return f"{pane.id} has no shell."
    return None


@_invariant(WHEN_QUIET, "answered once", "A query of a program is answered once at most.")
def answered_once(world: HubWorld) -> str | None:
    for pane_id, ptys in world.machine.ptys.items():
        for pty in ptys:
            answers = sum(len(data) for _, data in pty.answers)
            if answers > pty.history.count(QUERY):
                return f"{pane_id} got {answers} answers."
    return None


@_invariant(WHEN_QUIET, "settled", "Nobody's acknowledged input is without its account.")
def settled(world: HubWorld) -> str | None:
    for client in _listening(world):
        for pane_id, stream in [*client.inputs.items(), *client.past_inputs]:
            missing = world.truth.missing(stream, world.machine.ptys)
            if missing:
                return f"{client.client_id} typed {missing} in {pane_id}."
    return None


@_invariant(WHEN_QUIET, "wished for", "A pane in which input waits is connected, or is being connected.")
def wished_for(world: HubWorld) -> str | None:
    for pane in world.hub.world.panes.values():
        given_up = pane.phase == PanePhase.FAILED  # what waits there is named when its time is up
        tries = pane.connected or pane.attempt is not None or pane.retry_at_s is not None or pane.closing
        stopping = world.hub.world.sessions[pane.session_id].phase == SandboxPhase.STOPPING
        if pane.queue and not (tries or stopping or given_up):
            return f"{pane.id} is {pane.phase}."
    return None


@_invariant(
    WHEN_QUIET,
    "waits no longer",
    "Input waits for a terminal no longer than it may, unless one is tried for.",
)
def waits_no_longer(world: HubWorld) -> str | None:
    for pane in world.hub.world.panes.values():
        since_s = min((piece.at_s for piece in pane.queue), default=world.now_s)
        if world.now_s - since_s > QUEUE_WAITS_S + 1 and not (pane.connected or pane.attempt):
            return f"{pane.id} has had some for {world.now_s - since_s:.0f} s."
    return None


@_invariant(
    WHEN_QUIET, "no orphans", "No terminal runs that belongs to no pane, in a sandbox that is linked."
)
def no_orphans(world: HubWorld) -> str | None:
    """A pane that is closed while its sandbox is out of reach leaves its shell there until the sandbox is wanted
    again: its welcome names the shell, and the hub ends it."""
    for link in world.server.sandboxes.values():
        for pane_id, pty in link.agent.terminals.items():
            if pty.lives and pane_id not in world.hub.world.panes and not link.agent.parted:
                return f"{pane_id} was closed."
    return None


@_invariant(WHEN_QUIET, "same size", "A terminal has the size of its pane.")
def same_size(world: HubWorld) -> str | None:
    for pane in world.hub.world.panes.values():
        link = world.server.terminals.get((pane.id, pane.generation))
        if link is None or link.pty is None or not link.pty.lives or link.agent.parted:
            continue
        if pane.connected and link.pty.size != (pane.cols, pane.rows):
            return f"{pane.id} is {pane.cols} × {pane.rows}, and its terminal {link.pty.size}."
    return None


@_invariant(WHEN_QUIET, "drawn", "What a client has drawn ends as the stream does, behind a redraw as well.")
def drawn(world: HubWorld) -> str | None:
    for client in _listening(world):
        for pane in world.hub.world.panes.values():
            if not _is_drawn(client, pane):
                return f"{client.client_id} shows something else in {pane.id}."
    return None


def _is_drawn(client: SimClient, pane: Pane) -> bool:
    log, output = pane.log, client.outputs.get(pane.id)
    if output is None or output.position != log.end:
        return True  # it is on its way, or waits for room
    shown = b""
    at = max(log.start, log.end - 1000)
    while at < log.end:
        shown += log.read(at, 1000)
        at = max(log.start, log.end - 1000) + len(shown)
    if 0 < log.start == log.end - len(shown):
        shown = shown[shown.find(b"\n") + 1 :]  # a screen without a checkpoint begins with a whole line
    told = bytes(output.drawn[-2 * len(shown) - 1000 :]).replace(QUERY, b"")
    shown = shown.replace(QUERY, b"")
    cleared = next(replay for replay in reversed(output.replays) if replay.reset)
    if cleared.bytes and len(told) < len(shown):
        shown = shown[-len(told) :]  # a redraw of few lines
    return told.endswith(shown)


# --- At rest: all faults have ended, and time has passed -----------------------------------------------


@_invariant(AT_REST, "all connected", "Every pane that somebody typed in has a living terminal.")
def all_connected(world: HubWorld) -> str | None:
    for pane in world.hub.world.panes.values():
        if not pane.connected or world.machine.live(pane.id) is None:
            return f"{pane.id} is {pane.phase}: {pane.reason or 'no reason given'}"
    return None


@_invariant(AT_REST, "all taken", "All input has arrived, or is named.")
def all_taken(world: HubWorld) -> str | None:
    for client in world.clients:
        for pane_id in client.panes:
            if client.input(pane_id).unacked:
                return f"{client.client_id} waits for {client.input(pane_id).unacked} bytes to {pane_id}."
    return None


@_invariant(AT_REST, "all shown", "Every client has all output, at the size that the terminal has.")
def all_shown(world: HubWorld) -> str | None:
    for client in world.clients:
        for pane in world.hub.world.panes.values():
            output = client.output(pane.id)
            if output.position != pane.log.end:
                return (
                    f"{client.client_id} is at {output.position} of {pane.id}, which ends at {pane.log.end}."
                )
            live = world.live(pane.id)
            if not output.size == live.size == (pane.cols, pane.rows):
                return (
                    f"{client.client_id} shows {pane.id} as {output.size}, and its terminal has {live.size}."
                )
    return None


@_invariant(AT_REST, "all answered", "Every request on a connection that is still open was answered.")
def all_answered(world: HubWorld) -> str | None:
    for connection in world.hub.world.connections.values():
        if connection.unanswered or connection.held or connection.reserved or connection.dirty:
            return f"{connection.client_id} waits for {connection.unanswered} answers, or an update."
    return None


@_invariant(AT_REST, "nothing left", "Nothing is left in any queue, screen or table that nobody waits for.")
def nothing_left(world: HubWorld) -> str | None:
    hub = world.hub.world
    for pane in hub.panes.values():
        screen = pane.screen
        if screen is None or not screen.position == screen.done == pane.log.end:
            return f"The screen of {pane.id} is not at {pane.log.end}."
        if screen.held or screen.redraws or pane.checkpoint_wanted is not None or pane.checkpoint_then:
            return f"Something is asked of the screen of {pane.id}."
        if pane.queue or pane.inflight or pane.inflight_bytes or pane.queued_bytes:
            return f"Input waits in {pane.id}."
    if hub.destroying or world.server.asked:
        return f"{list(hub.destroying)} is not destroyed, or {world.server.asked} not answered."
    if len(hub.timers) > 4 * len(hub.sessions) + len(hub.clients):
        return f"{len(hub.timers)} timers are set."
    return None
