"""Output on its way to clients: each one's place in each stream, and how far it may run ahead (protocol §5).

A client that does not keep up costs no more than its window; it goes on where it stopped while the log holds the
bytes, and gets a redraw otherwise. Nothing here ever slows a program, another client or another pane.
"""

from __future__ import annotations

from wormux.hub.connection import Connection, View
from wormux.hub.effects import DropUnsent, SendFrame
from wormux.hub.log import LARGEST_REDRAW_BYTES
from wormux.hub.notices import MODES_OFF
from wormux.hub.pane import Pane
from wormux.hub.timers import Wait
from wormux.hub.world import World
from wormux.ids import PaneId
from wormux.limits import (
    CONNECTION_UNSENT_BYTES,
    FLOW_RESUME_BYTES,
    FLOW_WINDOW_BYTES,
    OUTPUT_FRAME_BYTES,
    REDRAW_EVERY_S,
)
from wormux.protocol.frames import encode_frame
from wormux.protocol.messages import Replay, Resized, encode_control

_RESERVE_BYTES = 4096
"""Of what may wait for a socket, kept for the `replay`s and `resized` between the bytes."""


class Flow:
    """See the module."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._shared_frame: tuple[PaneId, int, bytes] | None = None
        """The frame made last (pane, position): the next client mostly needs the same."""

    def begin(self, connection: Connection, resume: dict[PaneId, int], pane_ids: list[PaneId]) -> None:
        """The client has just heard of these panes: start the streams of those it had not."""
        for pane_id in pane_ids:
            if pane_id not in connection.views:
                connection.views[pane_id] = View(pane_id, resume=resume.get(pane_id))
                self.pump(connection, self._world.panes[pane_id])

    def pump_all(self, pane: Pane) -> None:
        """The pane has new output, a new size or a higher mark."""
        for connection in self._world.connections.values():
            self.pump(connection, pane)

    def pump(self, connection: Connection, pane: Pane) -> None:
        """Send this client what it lacks of the pane's output, as far as its windows allow."""
        view = connection.views.get(pane.id)
        if view is None or connection.closing:
            return
        if not view.started and not self._start(connection, pane, view):
            return
        if view.wanted_lines is not None:
            self._redraw_when_allowed(connection, pane, view)
        if connection.unsent >= CONNECTION_UNSENT_BYTES - _RESERVE_BYTES // 2:
            self._fall_behind(connection, view)
            return
        self._tell_size(connection, pane, view)
        while view.position < pane.sendable_end:
            room = self._room(connection, view)
            if room <= 0:
                self._fall_behind(connection, view)
                return
            view.behind = False
            if view.position < pane.log.start:
                if not self._redraw_when_allowed(connection, pane, view):
                    return
                continue
            self._send_some(connection, pane, view, room)
            self._tell_size(connection, pane, view)
        view.behind = False
        connection.waiting.pop(pane.id, None)

    def acknowledged(self, connection: Connection, pane: Pane, position: int) -> None:
        """With `flow`: the client has drawn all output before `position`."""
        view = connection.views.get(pane.id)
        if view is None or not view.started:
            return
        view.acked = max(view.acked, min(position, view.position))
        self.pump(connection, pane)

    def sent(self, connection: Connection, count: int) -> None:
        """The socket took so many bytes: serve who waits, in turn."""
        connection.unsent = max(0, connection.unsent - count)
        for pane_id in list(connection.waiting):
            if connection.unsent >= CONNECTION_UNSENT_BYTES:
                break
            connection.waiting.pop(pane_id, None)
            pane = self._world.panes.get(pane_id)
            if pane is not None:
                self.pump(connection, pane)

    def forget(self, pane: Pane) -> None:
        """The pane is closed: nothing more is sent of it."""
        for connection in self._world.connections.values():
            connection.waiting.pop(pane.id, None)
            self._world.timers.cancel(Wait.REDRAW, (connection.id, pane.id))
            if connection.views.pop(pane.id, None) is not None:
                connection.gone_channels.append(pane.channel)

    def drop(self, connection: Connection) -> None:
        """The client is about to hear which panes are closed: what was not sent of them never is."""
        for channel in connection.gone_channels:
            self._world.effects.append(DropUnsent(connection.id, channel))
        connection.gone_channels.clear()

    def ask_redraw(self, connection: Connection, pane: Pane, lines: int) -> None:
        """The client wants its terminal redrawn, as soon as the bounds allow."""
        connection.views[pane.id].wanted_lines = lines
        self.pump(connection, pane)

    def _redraw(self, connection: Connection, pane: Pane) -> None:
        """Clear the client's terminal and send what stands in for its screen; the stream goes on behind it."""
        view = connection.views[pane.id]
        data = pane.log.redraw(view.wanted_lines)
        view.wanted_lines = None
        position = pane.sendable_end
        if position < pane.log.end:  # bytes past the stored mark wait for it
            data = data[: max(0, len(data) - (pane.log.end - position))]
        since = view.position if view.started else view.resume
        size = pane.log.size_at(position)
        view.started = True
        view.position = view.acked = position
        view.size = (size.cols, size.rows)
        view.redraw_at_s = self._world.now.mono_s
        skipped = 0 if since is None else max(0, position - since)
        self._replay(connection, pane, view, len(data), reset=True, skipped=skipped)
        for start in range(0, len(data), OUTPUT_FRAME_BYTES):
            self._send(connection, encode_frame(pane.channel, data[start : start + OUTPUT_FRAME_BYTES]))

    def _start(self, connection: Connection, pane: Pane, view: View) -> bool:
        """The first `replay`; false if it has to wait."""
        resume = view.resume
        if resume is not None and resume > pane.log.end:
            # What ends a terminal's stream comes behind its bytes, now as when it was sent before.
            coming = pane.connected and resume <= pane.coming_end + len(MODES_OFF)
            if coming or self._world.asking(pane):
                return False  # the agent has said that it has these bytes, or may have them
        if not self._has_room_to_redraw(connection, view):
            return False
        if resume is None or not pane.log.start <= resume <= pane.sendable_end:
            self._redraw(connection, pane)
            return True
        size = pane.log.size_at(resume)
        view.started = True
        view.position = view.acked = resume
        view.size = (size.cols, size.rows)
        self._replay(connection, pane, view, 0, reset=False, skipped=0)
        return True

    def _redraw_when_allowed(self, connection: Connection, pane: Pane, view: View) -> bool:
        """The log no longer holds what comes next, or the client asked. Too soon after the last redraw, a timer asks
        again."""
        allowed_at_s = view.redraw_at_s + REDRAW_EVERY_S
        if self._world.now.mono_s < allowed_at_s:
            self._world.timers.set(Wait.REDRAW, (connection.id, pane.id), allowed_at_s)
            return False
        if not self._has_room_to_redraw(connection, view):
            return False
        self._redraw(connection, pane)
        return True

    def _has_room_to_redraw(self, connection: Connection, view: View) -> bool:
        """A redraw is sent as a whole."""
        if connection.unsent + LARGEST_REDRAW_BYTES + _RESERVE_BYTES <= CONNECTION_UNSENT_BYTES:
            return True
        self._fall_behind(connection, view)
        return False

    def _room(self, connection: Connection, view: View) -> int:
        """How many bytes may go out now for this view."""
        ahead = view.position - view.acked if connection.flow else connection.unsent
        if view.behind and ahead > FLOW_RESUME_BYTES:
            return 0
        return min(FLOW_WINDOW_BYTES - ahead, CONNECTION_UNSENT_BYTES - _RESERVE_BYTES - connection.unsent)

    def _fall_behind(self, connection: Connection, view: View) -> None:
        view.behind = True
        connection.waiting[view.pane_id] = None

    def _send_some(self, connection: Connection, pane: Pane, view: View, room: int) -> None:
        """One frame, up to the next change of size."""
        limit = min(OUTPUT_FRAME_BYTES, room, pane.sendable_end - view.position)
        change = pane.log.next_size_after(view.position)
        if change is not None:
            limit = min(limit, change.position - view.position)
        shared = self._shared_frame
        if shared and shared[:2] == (pane.id, view.position) and len(shared[2]) - 1 <= limit:
            frame = shared[2]
        else:
            frame = encode_frame(pane.channel, pane.log.read(view.position, limit))
            self._shared_frame = (pane.id, view.position, frame)
        self._send(connection, frame)
        view.position += len(frame) - 1

    def _tell_size(self, connection: Connection, pane: Pane, view: View) -> None:
        """The bytes from here on are for another size than the client was last told."""
        size = pane.log.size_at(view.position)
        if view.size == (size.cols, size.rows) or view.position > pane.sendable_end:
            return
        view.size = (size.cols, size.rows)
        message = Resized(
            pane_id=pane.id, channel=pane.channel, position=view.position, cols=size.cols, rows=size.rows
        )
        self._send(connection, encode_control(message))

    def _replay(
        self, connection: Connection, pane: Pane, view: View, count: int, *, reset: bool, skipped: int
    ) -> None:
        message = Replay(
            pane_id=pane.id,
            channel=pane.channel,
            position=view.position,
            bytes=count,
            reset=reset,
            skipped=skipped,
            cols=view.size[0],
            rows=view.size[1],
        )
        self._send(connection, encode_control(message))

    def _send(self, connection: Connection, frame: bytes) -> None:
        connection.unsent += len(frame)
        self._world.effects.append(SendFrame(connection.id, frame, urgent=False))
