"""A hub's tables from what the store holds. What an agent may know better is marked as `restored`."""

from __future__ import annotations

from wormux.hub.channel import ChannelTable
from wormux.hub.layout import decode_layout
from wormux.hub.lifecycle import PanePhase, SandboxPhase
from wormux.hub.log import OutputLog
from wormux.hub.pane import InputStream, Pane
from wormux.hub.session import Client, Session, Tab
from wormux.hub.soundness import check
from wormux.hub.timers import Wait
from wormux.hub.world import World
from wormux.ids import SessionId
from wormux.limits import KNOWN_CLIENT_S
from wormux.protocol.agent_link import Exit
from wormux.protocol.screen_link import CheckpointTaken
from wormux.records import Checkpoint, Intent, PaneRecord, Rest, Snapshot

_PHASES = {
    Rest.LIVE: PanePhase.WAKING,
    Rest.ASLEEP: PanePhase.ASLEEP,
    Rest.EXITED: PanePhase.EXITED,
    Rest.FAILED: PanePhase.FAILED,
}


def restore(world: World, snapshot: Snapshot) -> None:
    """Fill the empty tables of `world`. Raises `StoreRefused` for what no hub has saved."""
    check(snapshot)
    for record in snapshot.sessions:
        session = Session(
            id=record.id,
            sandbox_id=record.sandbox_id,
            name=record.name,
            created_at_ms=record.created_at_ms,
            provider=record.provider,
            order=record.order,
            phase=SandboxPhase.NEW if record.intent == Intent.CREATING else SandboxPhase.ASLEEP,
            lease_until_ms=record.lease_until_ms,
            lease_reason=record.lease_reason,
        )
        if record.intent == Intent.DESTROYING:
            world.destroying[record.sandbox_id] = session
        else:
            world.sessions[record.id] = session
            world.by_sandbox[record.sandbox_id] = record.id
    session_of = {tab.id: tab.session_id for tab in snapshot.tabs}
    for tab in snapshot.tabs:
        world.tabs[tab.id] = Tab(
            tab.id, tab.session_id, tab.name, tab.order, decode_layout(tab.layout), tab.focus
        )
    checkpoints = {checkpoint.pane_id: checkpoint for checkpoint in snapshot.checkpoints}
    for pane in snapshot.panes:
        world.panes[pane.id] = _pane(world, pane, session_of[pane.tab_id], checkpoints.get(pane.id))
    used = {pane.channel: pane.id for pane in world.panes.values()}
    world.channels = ChannelTable(used, snapshot.meta.free_channels)
    # The mark is behind if the last server could not store one. Microseconds pass faster than revisions.
    world.rev = max(snapshot.meta.rev_mark, 1000 * world.now.wall_ms)
    world.last_tab = snapshot.meta.last_tab if snapshot.meta.last_tab in world.tabs else None
    _restore_clients(world, snapshot)


def _pane(world: World, record: PaneRecord, session_id: SessionId, checkpoint: Checkpoint | None) -> Pane:
    session = world.sessions[session_id]
    phase = _PHASES[record.rest]
    if phase == PanePhase.WAKING and session.phase == SandboxPhase.NEW:
        phase = PanePhase.STARTING
    kept = None
    if checkpoint is not None:
        if checkpoint.screen is not None:
            kept = CheckpointTaken(checkpoint.end, checkpoint.cols, checkpoint.rows, checkpoint.screen)
        log = OutputLog.restored(checkpoint, record.cols, record.rows)
    else:
        log = OutputLog(0, record.cols, record.rows)
    surviving = record.rest in (Rest.LIVE, Rest.FAILED)
    if not surviving:
        log.mark_size(record.cols, record.rows)
    exited = record.exit_code is not None or record.exit_signal is not None or record.rest == Rest.EXITED
    return Pane(
        id=record.id,
        tab_id=record.tab_id,
        session_id=session_id,
        channel=record.channel,
        channel_rev=record.channel_rev,
        cols=record.cols,
        rows=record.rows,
        log=log,
        generation=record.generation,
        position_mark=record.position_mark,
        phase=phase,
        restored=True,
        surviving=surviving,
        over_generation=record.generation if record.rest in (Rest.ASLEEP, Rest.EXITED) else 0,
        reason=record.reason,
        exit=Exit(code=record.exit_code, signal=record.exit_signal) if exited else None,
        closed_at_ms=record.closed_at_ms,
        slept=record.rest == Rest.ASLEEP,
        title=record.title,
        cwd=record.cwd,
        kept=kept,
    )


def _restore_clients(world: World, snapshot: Snapshot) -> None:
    now = world.now
    for record in snapshot.clients:
        left_at_ms = record.left_at_ms or now.wall_ms
        active_tab = record.active_tab if record.active_tab in world.tabs else None
        world.clients[record.id] = Client(
            record.id, record.key, anonymous=False, left_at_ms=left_at_ms, active_tab=active_tab
        )
        remaining_s = KNOWN_CLIENT_S - (now.wall_ms - left_at_ms) / 1000
        world.timers.set(Wait.FORGET, record.id, now.mono_s + max(0.0, min(KNOWN_CLIENT_S, remaining_s)))
    for entry in snapshot.inputs:
        pane = world.panes.get(entry.pane_id)
        if pane is not None and entry.client_id in world.clients:
            position = entry.position
            pane.streams[entry.client_id] = InputStream(received=position, taken=position)
