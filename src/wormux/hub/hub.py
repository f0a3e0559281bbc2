"""The hub: dispatches what happens to the parts that know what follows from it.

`Hub.step(moment, input) -> effects`. Everything a hub knows came in by `Snapshot` and inputs; a log of inputs
replays to the same effects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wormux.errors import ErrorCode, InternalError, Refusal
from wormux.hub import inputs as i
from wormux.hub.announcer import Announcer
from wormux.hub.clients import Clients, grid_guess
from wormux.hub.closing import Closing
from wormux.hub.connection import Connection
from wormux.hub.effects import CloseClient, Deed, DestroySandbox, Effect, SetTimer
from wormux.hub.flow import Flow
from wormux.hub.lifecycle import SandboxPhase
from wormux.hub.pane import InputStream, Pane
from wormux.hub.requests import Requests
from wormux.hub.restore import restore
from wormux.hub.sandboxes import Sandboxes
from wormux.hub.saver import Job, Plan, Saver
from wormux.hub.screens import Screens
from wormux.hub.session import Session
from wormux.hub.settings import HubSettings
from wormux.hub.terminals import Terminals
from wormux.hub.timers import Wait
from wormux.hub.typing import Typing
from wormux.hub.world import World
from wormux.ids import SandboxId
from wormux.limits import (
    CONNECT_WITHIN_S,
    CONNECTIONS,
    CONTROL_MESSAGES,
    CONTROL_MESSAGES_WITHIN_S,
    INPUT_CLIENT_BYTES,
    INPUT_PANE_BYTES,
    NOT_FOUND_EVERY_S,
    RETRY_CAP_S,
    SUSPENDED_S,
    UNANSWERED_REQUESTS,
)
from wormux.protocol import agent_link as link
from wormux.protocol import messages as m
from wormux.protocol import screen_link
from wormux.protocol.close_codes import CloseCode
from wormux.protocol.frames import CONTROL_CHANNEL, split_frame
from wormux.records import Change, Snapshot

_NEVER_SET = -1.0


class Hub:
    """All of one user's sessions. See the module."""

    def __init__(self, settings: HubSettings, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._world = world = World(settings)
        self._screens = Screens(world)
        self._flow = Flow(world, self._screens)
        self._announcer = Announcer(world, self._flow)
        self._saver = Saver(world, self._flow, self._announcer, snapshot.meta.rev_mark)
        self._typing = Typing(world, self._announcer, self._saver)
        self._closing = Closing(world, self._screens, self._flow, self._announcer, self._saver, self._typing)
        self._terminals = Terminals(
            world,
            self._screens,
            self._flow,
            self._announcer,
            self._saver,
            self._typing,
            self._closing,
        )
        self._sandboxes = Sandboxes(world, self._announcer, self._saver, self._typing, self._terminals)
        self._clients = Clients(
            world, self._screens, self._announcer, self._saver, self._typing, self._terminals
        )
        self._requests = Requests(
            world,
            self._flow,
            self._announcer,
            self._saver,
            self._typing,
            self._closing,
            self._sandboxes,
            self._clients,
        )
        self._timer_at_s: float | None = _NEVER_SET
        self._stopping = False
        self._inputs: dict[type, Callable[[Any], None]] = {
            i.ClientConnected: self._client_connected,
            i.FrameReceived: self._frame_received,
            i.FramesSent: self._frames_sent,
            i.ClientGone: self._client_gone,
            i.TerminalInput: self._terminal_input,
            i.ScreenInput: self._screen_input,
            i.SandboxInput: self._sandbox_input,
            i.Saved: lambda event: self._saver.saved(event.save_id),
            i.SaveFailed: lambda event: self._saver.failed(event.save_id),
            i.TimerFired: self._timer_fired,
            i.ServerStopping: self._server_stopping,
        }

    @property
    def world(self) -> World:
        """The tables, to look at: for metrics and tests. Never changed from outside."""
        return self._world

    @property
    def unsaved(self) -> int:
        """How many things differ from the store, for metrics."""
        return self._saver.unsaved

    @property
    def awaits_screens(self) -> bool:
        """A checkpoint is on its way that is to be stored."""
        return any(pane.checkpoint_wanted is not None for pane in self._world.panes.values())

    def start(self, moment: i.Moment) -> list[Effect]:
        """The first step: take up what the store holds, and finish what was pending. Raises `StoreRefused`."""
        world = self._world
        world.begin(moment)
        self._announcer.begin()
        restore(world, self._snapshot)
        self._saver.submit(Job(lambda: Plan(Change(meta=self._saver.meta()), lambda: None), "start"))
        for session in world.destroying.values():
            world.effects.append(DestroySandbox(session.sandbox_id, session.provider))
        for session in world.sessions.values():
            self._sandboxes.watch_lease(session)
            if session.phase == SandboxPhase.NEW:
                self._sandboxes.start(session)
            else:
                self._sandboxes.look_for(session)
        return self._finish()

    def step(self, moment: i.Moment, event: i.Input) -> list[Effect]:
        """What follows from `event`, in the order in which it is to be carried out."""
        was_suspended = self._was_suspended(moment)
        self._world.begin(moment)
        self._announcer.begin()
        if was_suspended:
            for session in self._world.sessions.values():
                self._sandboxes.active(session)
        self._inputs[type(event)](event)
        return self._finish()

    def _was_suspended(self, moment: i.Moment) -> bool:
        """The machine slept, or this process did: nobody could use anything meanwhile. The monotonic clock stands still
        in a suspended machine; where it does not, the timer is late."""
        before = self._world.now
        unseen_s = (moment.wall_ms - before.wall_ms) / 1000 - (moment.mono_s - before.mono_s)
        due_s = self._timer_at_s
        late_s = 0.0
        if due_s is not None and due_s != _NEVER_SET:
            late_s = moment.mono_s - max(due_s, before.mono_s)  # it may have been due when it was set
        return max(unseen_s, late_s) > SUSPENDED_S

    def _finish(self) -> list[Effect]:
        world = self._world
        for session in world.sessions.values():
            if session.stopped:
                self._sandboxes.settle(session)  # its last terminal may have gone with its pane
        self._announcer.finish()
        self._saver.finish()
        next_at_s = world.timers.next_at()
        if next_at_s != self._timer_at_s:
            self._timer_at_s = next_at_s
            world.effects.append(SetTimer(next_at_s))
        return world.effects

    # --- Connections -------------------------------------------------------------------------------------

    def _client_connected(self, event: i.ClientConnected) -> None:
        world = self._world
        connection = Connection(event.connection_id)
        here = sum(1 for other in world.connections.values() if not other.closing)
        world.connections[connection.id] = connection
        if self._stopping:
            self._close(connection, CloseCode.GOING_AWAY, "The server stops.")
        elif here >= CONNECTIONS:
            self._close(connection, CloseCode.TOO_MUCH, f"There are {CONNECTIONS} connections already.")
        else:
            world.timers.set(Wait.CONNECT, connection.id, world.now.mono_s + CONNECT_WITHIN_S)

    def _client_gone(self, event: i.ClientGone) -> None:
        connection = self._world.connections.get(event.connection_id)
        if connection is not None:
            self._clients.gone(connection)

    def _frames_sent(self, event: i.FramesSent) -> None:
        connection = self._world.connections.get(event.connection_id)
        if connection is not None:
            self._flow.sent(connection, event.count)

    def _frame_received(self, event: i.FrameReceived) -> None:
        connection = self._world.connections.get(event.connection_id)
        if connection is None or connection.closing:
            return
        if not event.frame:
            self._close(connection, CloseCode.BAD_START, "A message has at least one byte, the channel.")
            return
        channel, payload = split_frame(event.frame)
        if channel == CONTROL_CHANNEL:
            self._control(connection, payload)
        elif not connection.greeted:
            self._close(connection, CloseCode.BAD_START, "The first message is connect.")
        elif payload:
            self._typed(connection, channel, payload)

    def _close(self, connection: Connection, code: CloseCode, reason: str) -> None:
        connection.closing = True
        self._world.effects.append(CloseClient(connection.id, code, reason))

    # --- Control messages --------------------------------------------------------------------------------

    def _control(self, connection: Connection, payload: bytes) -> None:
        try:
            request = m.decode_client_message(payload)
        except m.Unreadable as unreadable:
            if not self._may_say_more(connection):
                return
            if connection.client_id is None and connection.connect is None:
                self._close(connection, CloseCode.BAD_START, "The first message is connect.")
            else:
                self._announcer.refuse(connection, unreadable.request, unreadable.ref, unreadable)
            return
        if not _is_owed(connection, request) and not self._may_say_more(connection):
            return
        try:
            self._request(connection, request)
        except Refusal as refusal:
            self._announcer.refuse(connection, m.request_type(request), request.ref, refusal)
        except InternalError as error:
            fault = Refusal(ErrorCode.INTERNAL, f"The server met a fault of its own: {error}")
            self._announcer.refuse(connection, m.request_type(request), request.ref, fault)

    def _may_say_more(self, connection: Connection) -> bool:
        """Count a control message; a client that sends too many is closed."""
        times, now_s = connection.message_times, self._world.now.mono_s
        while times and now_s - times[0] >= CONTROL_MESSAGES_WITHIN_S:
            times.popleft()
        times.append(now_s)
        if len(times) > CONTROL_MESSAGES:
            self._close(connection, CloseCode.TOO_MUCH, "Too many control messages; slow down.")
            return False
        return True

    def _request(self, connection: Connection, request: m.ClientMessage) -> None:
        """Carry out one request, or hand it to the saver. Raises `Refusal`."""
        started = connection.client_id is not None or connection.connect is not None
        if isinstance(request, m.Connect):
            if started:
                raise Refusal(ErrorCode.BAD_MESSAGE, "This connection is connected already.")
            self._connect(connection, request)
        elif not started:
            self._close(connection, CloseCode.BAD_START, "The first message is connect.")
        elif isinstance(request, m.Ping):
            self._announcer.send(connection, m.Pong(time=request.time, now=self._world.now.wall_ms))
            self._announcer.grant(connection, request.ref, None)
        elif not connection.greeted:
            raise Refusal(ErrorCode.BAD_MESSAGE, "Wait for the state before asking for anything.")
        elif isinstance(request, m.SessionSleep):
            session = self._world.session(request.session_id)
            asleep = self._sandboxes.sleep(
                session, connection.id, request.ref, force=request.force, for_good=request.stop
            )
            if asleep:
                self._announcer.grant(connection, request.ref, None)
            else:
                self._world.note(Deed.SESSION_SLEEP, connection, session_id=session.id, name=session.name)
                self._count_unanswered(connection)
        elif type(request) in self._requests.planned:
            plan = self._requests.planned[type(request)]
            self._count_unanswered(connection)
            self._saver.submit(
                Job(lambda: plan(connection, request), m.request_type(request), connection.id, request.ref)
            )
        else:
            made = self._requests.immediate[type(request)](connection, request)
            self._announcer.grant(connection, request.ref, made)

    def _connect(self, connection: Connection, request: m.Connect) -> None:
        """Answer with `state`; a user who never had a session gets one first."""
        self._clients.check(request)
        connection.connect = request
        connection.cols, connection.rows = grid_guess(request.width, request.height)
        self._world.timers.cancel(Wait.CONNECT, connection.id)

        def plan() -> Plan:
            if self._world.channels.ever_used:
                return Plan(Change(), attach)
            first = self._requests.session_create(connection, m.SessionCreate(name="main"))

            def commit() -> None:
                first.commit()
                attach()

            return Plan(first.change, commit)

        def attach() -> None:
            if connection.id in self._world.connections and not connection.closing:
                self._clients.attach(connection, request)

        connection.unanswered += 1
        self._saver.submit(Job(plan, m.request_type(request), connection.id, request.ref, refused=attach))

    def _count_unanswered(self, connection: Connection) -> None:
        connection.unanswered += 1
        if connection.unanswered > UNANSWERED_REQUESTS:
            self._close(connection, CloseCode.TOO_MUCH, "Too many requests wait for their answers.")

    # --- Terminal bytes ----------------------------------------------------------------------------------

    def _typed(self, connection: Connection, channel: int, data: bytes) -> None:
        world = self._world
        pane_id = world.channels.pane(channel)
        pane = world.panes.get(pane_id) if pane_id is not None else None
        client = world.clients.get(connection.client_id) if connection.client_id is not None else None
        if client is None:
            return
        if pane is None or connection.acked_rev < pane.channel_rev:
            self._no_such_channel(connection, channel)
            return
        stream = pane.streams.setdefault(client.id, InputStream())
        ahead = stream.received - stream.taken + len(data)
        everywhere = len(data) + sum(
            other.streams[client.id].received - other.streams[client.id].taken
            for other in world.panes.values()
            if client.id in other.streams
        )
        if ahead > INPUT_PANE_BYTES or everywhere > INPUT_CLIENT_BYTES:
            self._close(connection, CloseCode.TOO_MUCH, "More input than the window allows was sent.")
            return
        self._clients.typed(pane, client.id)
        self._sandboxes.active(world.sessions[pane.session_id])
        if self._typing.accept(pane, client, connection.acked_rev, data):
            self._sandboxes.key(pane)

    def _no_such_channel(self, connection: Connection, channel: int) -> None:
        now_s = self._world.now.mono_s
        if now_s - connection.not_found_at.get(channel, float("-inf")) >= NOT_FOUND_EVERY_S:
            connection.not_found_at[channel] = now_s
            refusal = Refusal(ErrorCode.NOT_FOUND, "No pane has this channel; it may just have been closed.")
            self._announcer.refuse(connection, "input", None, refusal)

    # --- Terminals and sandboxes -------------------------------------------------------------------------

    def _terminal_input(self, event: i.TerminalInput) -> None:
        pane = self._world.panes.get(event.pane_id)
        if pane is None or pane.closing:
            return
        asked = pane.attempt.generation if pane.attempt is not None else None
        live = pane.terminal.generation if pane.terminal is not None else None
        if event.generation not in (asked, live):
            return  # of an old generation
        self._terminal_event(pane, event.event, opened=event.generation == live)

    def _terminal_event(self, pane: Pane, event: object, *, opened: bool) -> None:
        """One event of the present terminal, or of the one that was asked for."""
        session = self._world.sessions[pane.session_id]
        match event:
            case link.Opened() if not opened:
                self._terminals.opened(pane, event)
                self._sandboxes.active(session)
                self._sandboxes.settle(session)
            case link.Refused(reason=reason, gone=gone) if not opened:
                self._terminals.refused(pane, reason, gone=gone)
                self._sandboxes.settle(session)
            case link.Output(data=data) if opened and data:
                self._sandboxes.active(session)
                self._terminals.output(pane, data)
            case link.SizeMark() if opened:
                self._terminals.resized(pane, event)
            case link.Ready() if opened:
                self._terminals.ready(pane)
            case link.InputAck(client_id=key, position=position) if opened:
                client_id = self._world.client_of(key)
                if client_id is not None:
                    self._typing.taken(pane, client_id, position)
            case i.InputUncertain(client_key=key, position=position) if opened:
                client_id = self._world.client_of(key)
                if client_id is not None:
                    self._typing.uncertain(pane, client_id, position)
            case link.Foreground() if opened:
                self._terminals.foreground(pane, event)
            case link.Ended() if opened:
                self._terminals.ended(pane, event)
                self._sandboxes.settle(session)
                self._wake_for_late_keys(pane, session)
            case i.TerminalLost(reason=reason, dead=dead):
                self._terminals.lost(pane, reason, dead=dead)
                self._sandboxes.settle(session)
                self._wake_for_late_keys(pane, session)
            case _:
                pass  # out of its order: an agent is untrusted, and this says nothing that could be used

    def _screen_input(self, event: i.ScreenInput) -> None:
        pane = self._world.panes.get(event.pane_id)
        if pane is None or pane.screen is None or pane.screen.epoch != event.epoch:
            return  # of an old epoch
        if not isinstance(event.event, screen_link.Unreadable | screen_link.ScreenGone):
            pane.screens_lost = 0
        match event.event:
            case screen_link.Fed(position):
                self._screens.fed(pane, position)
            case screen_link.Answered() as answered:
                self._terminals.answer(pane, answered)
            case screen_link.RedrawTaken() as redraw:
                self._screens.redrawn(pane, (redraw.lines, redraw.position))
                self._flow.drawn(pane, redraw)
            case screen_link.CheckpointTaken() as checkpoint:
                self._screens.checkpointed(pane, checkpoint)
                self._saver.touch_checkpoint(pane)
            case screen_link.Unreadable():
                self._screens.gone(pane, unreadable=True)
                self._flow.redraws_lost(pane)
            case screen_link.ScreenGone():
                self._screens.gone(pane, unreadable=False)
                self._flow.redraws_lost(pane)
        self._screens.settle(pane)

    def _wake_for_late_keys(self, pane: Pane, session: Session) -> None:
        """Keys that the old terminal did not take any more ask for the next one."""
        if pane.queue and not pane.closing and session.phase != SandboxPhase.STOPPING:
            self._sandboxes.key(pane)

    def _sandbox_input(self, event: i.SandboxInput) -> None:
        session_id = self._world.by_sandbox.get(event.sandbox_id)
        session = self._world.sessions.get(session_id) if session_id is not None else None
        if session is None:
            self._destroying_input(event.sandbox_id, event.event)
        else:
            self._session_event(session, event.event)

    def _session_event(self, session: Session, event: object) -> None:
        asked = (SandboxPhase.STARTING, SandboxPhase.WAKING, SandboxPhase.FINDING)
        runs = (SandboxPhase.AWAKE, SandboxPhase.STOPPING)
        match event:
            case i.SandboxAwake(welcome=welcome) if session.phase in asked:
                self._sandboxes.awake(session, welcome)
            case i.SandboxMissing() if session.phase == SandboxPhase.FINDING:
                self._sandboxes.missing(session)
            case i.SandboxFailed(reason=reason) if session.phase in asked:
                self._sandboxes.failed(session, reason)
            case i.SandboxLost(reason=reason) if session.phase in runs:
                self._sandboxes.lost(session, reason)
            case link.Busy() if session.phase in runs:
                self._sandboxes.busy(session, event)
            case link.Refused(reason=reason):
                self._sandboxes.refused(session, reason)
            case link.Stopped() if session.phase in runs:
                self._sandboxes.stopped(session)
            case i.SandboxFrozen() if session.phase in (*runs, SandboxPhase.FINDING):
                self._sandboxes.frozen(session)
            case _:
                pass  # it answers what is over

    def _destroying_input(self, sandbox_id: SandboxId, event: object) -> None:
        session = self._world.destroying.get(sandbox_id)
        if session is None:
            return
        if isinstance(event, i.SandboxDestroyed):
            del self._world.destroying[sandbox_id]
            self._world.by_sandbox.pop(sandbox_id, None)
            self._saver.session_destroyed(session.id)
        elif isinstance(event, i.SandboxFailed):
            self._world.timers.set(Wait.DESTROY, sandbox_id, self._world.now.mono_s + RETRY_CAP_S)

    # --- Time --------------------------------------------------------------------------------------------

    def _timer_fired(self, _: i.TimerFired) -> None:
        self._timer_at_s = _NEVER_SET
        for wait, subject in self._world.timers.due(self._world.now.mono_s):
            self._due(wait, subject)

    def _due(self, wait: Wait, subject: Any) -> None:
        world = self._world
        match wait:
            case Wait.CONNECT if (connection := world.connections.get(subject)) and not connection.closing:
                self._close(connection, CloseCode.NO_CONNECT, "No connect message came.")
            case Wait.REDRAW:
                connection_id, pane_id = subject
                if connection_id in world.connections and pane_id in world.panes:
                    self._flow.pump(world.connections[connection_id], world.panes[pane_id])
            case Wait.RETRY if subject in world.panes:
                self._sandboxes.retry(world.panes[subject])
            case Wait.FIND if subject in world.sessions:
                self._sandboxes.find(world.sessions[subject])
            case Wait.EXPIRE if subject in world.panes:
                self._typing.expire(world.panes[subject])
            case Wait.IDLE if subject in world.sessions:
                self._sandboxes.idle(world.sessions[subject])
            case Wait.SLEEPS_AT if subject in world.sessions:
                self._sandboxes.show_sleeps_at(world.sessions[subject])
            case Wait.LEASE if subject in world.sessions:
                self._announcer.sessions_changed()
            case Wait.DEEPEN if subject in world.sessions:
                self._sandboxes.deepen(world.sessions[subject])
            case Wait.DESTROY if subject in world.destroying:
                session = world.destroying[subject]
                world.effects.append(DestroySandbox(session.sandbox_id, session.provider))
            case Wait.FORGET if subject in world.clients:
                self._clients.forget(subject)
            case Wait.SCREEN if subject in world.panes:
                self._screens.reopen(world.panes[subject])
                self._flow.pump_all(world.panes[subject])
            case Wait.SAVE:
                self._saver.flush()
            case _:
                pass  # UPDATE is done at the end of every step; the rest is of something that is gone

    def _server_stopping(self, _: i.ServerStopping) -> None:
        """Tell the clients, and save everything: shells run on, and the next server takes up here."""
        self._stopping = True
        for connection in self._world.connections.values():
            if not connection.closing:
                self._close(connection, CloseCode.GOING_AWAY, "The server stops.")
        for pane in self._world.panes.values():
            self._saver.touch_pane(pane.id)
            if pane.screen is not None and (pane.kept is None or pane.kept.position < pane.log.end):
                self._screens.checkpoint(pane)
        self._saver.touch_meta()
        self._saver.stop()


def _is_owed(connection: Connection, request: m.ClientMessage) -> bool:
    """It acknowledges something new, so that the server itself has asked for it by sending."""
    if isinstance(request, m.LayoutAck):
        return request.rev > connection.acked_rev
    if isinstance(request, m.OutputAck):
        view = connection.views.get(request.pane_id)
        return view is not None and view.acked < request.position <= view.position
    return False
