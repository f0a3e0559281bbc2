"""Output on its way to clients: each one's place in each stream, and how far it may run ahead (protocol §5).

A client that does not keep up costs no more than its window; it goes on where it stopped while the log holds the
bytes, and gets a redraw otherwise. Nothing here ever slows a program, another client or another pane.
"""

from __future__ import annotations

from wormux.hub.connection import Connection, View
from wormux.hub.effects import DropUnsent, SendFrame
from wormux.hub.notices import MODES_OFF
from wormux.hub.pane import Pane
from wormux.hub.screens import Screens, redraw_limit
from wormux.hub.timers import Wait
from wormux.hub.world import World
from wormux.ids import PaneId
from wormux.limits import (
    CONNECTION_UNSENT_BYTES,
    FLOW_RESUME_BYTES,
    FLOW_WINDOW_BYTES,
    OUTPUT_FRAME_BYTES,
    REDRAW_EVERY_S,
    REDRAW_LINES,
)
from wormux.protocol.frames import encode_frame
from wormux.protocol.messages import Replay, Resized, encode_control
from wormux.protocol.screen_link import RedrawTaken

_RESERVE_BYTES = 4096
"""Of what may wait for a socket, kept for the `replay`s and `resized` between the bytes."""


class Flow:
    """See the module."""

    def __init__(self, world: World, screens: Screens) -> None:
        self._world = world
        self._screens = screens
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
        if view is None or connection.closing or view.asked is not None:
            return
        if not view.started and not self._start(connection, pane, view):
            return
        if view.wanted_lines is not None and self._ask(connection, pane, view):
            return
        if connection.unsent + connection.reserved >= CONNECTION_UNSENT_BYTES - _RESERVE_BYTES // 2:
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
                self._ask(connection, pane, view)
                return
            self._send_some(connection, pane, view, room)
            self._tell_size(connection, pane, view)
        view.behind = False
        # A redraw at the end of the log leaves nothing out.
        waits = view.refit and view.position == pane.log.end and not self._ask(connection, pane, view)
        if view.wanted_lines is None and not waits:
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
            view = connection.views.pop(pane.id, None)
            if view is not None:
                self._release(connection, view)
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

    def drawn(self, pane: Pane, redraw: RedrawTaken) -> None:
        """The screen gave what these clients wait for: clear their terminals and draw; the stream goes on behind."""
        for connection in self._world.connections.values():
            view = connection.views.get(pane.id)
            if view is None or view.asked != (redraw.lines, redraw.position):
                continue
            self._release(connection, view)
            if not connection.closing:
                self._draw(connection, pane, view, redraw)
                self.pump(connection, pane)

    def redraws_lost(self, pane: Pane) -> None:
        """The screen is gone with all that was asked of it."""
        for connection in self._world.connections.values():
            view = connection.views.get(pane.id)
            if view is not None and view.asked is not None:
                view.wanted_lines = view.asked[0]
                view.redraw_at_s = float("-inf")
                self._release(connection, view)
                self.pump(connection, pane)

    def _draw(self, connection: Connection, pane: Pane, view: View, redraw: RedrawTaken) -> None:
        data = redraw.data
        since = view.position if view.started else view.resume
        if view.started and view.position < pane.log.start:
            self._world.overtaken += 1
            self._world.skipped_bytes += redraw.position - view.position
        view.started = True
        view.refit = False
        view.position = view.acked = redraw.position
        view.size = (redraw.cols, redraw.rows)
        message = Replay(
            pane_id=pane.id,
            channel=pane.channel,
            position=redraw.position,
            bytes=len(data),
            reset=True,
            skipped=0 if since is None else max(0, redraw.position - since),
            cols=redraw.cols,
            rows=redraw.rows,
            above=redraw.above,
        )
        self._send(connection, encode_control(message))
        for start in range(0, len(data), OUTPUT_FRAME_BYTES):
            self._send(connection, encode_frame(pane.channel, data[start : start + OUTPUT_FRAME_BYTES]))

    def _start(self, connection: Connection, pane: Pane, view: View) -> bool:
        """The first `replay`; false if it has to wait."""
        resume = view.resume
        if resume is not None and not pane.log.start <= resume <= pane.log.end:
            # What ends a terminal's stream comes behind its bytes, now as when it was sent before.
            coming = pane.connected and pane.log.end < resume <= pane.coming_end + len(MODES_OFF)
            if coming or self._world.asking(pane):
                return False  # the agent has said that it has these bytes, or may have them
        if resume is None or not pane.log.start <= resume <= pane.sendable_end:
            self._ask(connection, pane, view)
            return False
        if not self._has_room(connection, view, 0):
            return False
        size = pane.log.size_at(resume)
        view.started = True
        view.position = view.acked = resume
        view.size = (size.cols, size.rows)
        message = Replay(
            pane_id=pane.id,
            channel=pane.channel,
            position=resume,
            bytes=0,
            reset=False,
            skipped=0,
            cols=size.cols,
            rows=size.rows,
        )
        self._send(connection, encode_control(message))
        return True

    def _ask(self, connection: Connection, pane: Pane, view: View) -> bool:
        """Ask for a redraw, if that is allowed now; whoever has to wait is pumped again when it is. True if the client
        gets nothing else until it comes."""
        allowed_at_s = view.redraw_at_s + REDRAW_EVERY_S
        if self._world.now.mono_s < allowed_at_s:
            self._world.timers.set(Wait.REDRAW, (connection.id, pane.id), allowed_at_s)
            return False
        lines = REDRAW_LINES if view.wanted_lines is None else view.wanted_lines
        limit = redraw_limit(lines)
        if pane.log.end > pane.position_mark or not self._has_room(connection, view, limit):
            return False
        view.asked = self._screens.redraw(pane, lines, view.position if view.started else 0)
        if view.asked is None:
            return False
        view.wanted_lines = None
        view.redraw_at_s = self._world.now.mono_s
        connection.reserved += limit
        return True

    def _release(self, connection: Connection, view: View) -> None:
        """Nothing is on its way for this view any more."""
        if view.asked is not None:
            connection.reserved -= redraw_limit(view.asked[0])
            view.asked = None

    def _has_room(self, connection: Connection, view: View, count: int) -> bool:
        """For so many bytes of a redraw, which is sent as a whole. If not, the client is served when there is."""
        if connection.unsent + connection.reserved + count + _RESERVE_BYTES <= CONNECTION_UNSENT_BYTES:
            return True
        self._fall_behind(connection, view)
        return False

    def _room(self, connection: Connection, view: View) -> int:
        """How many bytes may go out now for this view."""
        ahead = view.position - view.acked if connection.flow else connection.unsent
        if view.behind and ahead > FLOW_RESUME_BYTES:
            return 0
        free = CONNECTION_UNSENT_BYTES - _RESERVE_BYTES - connection.reserved - connection.unsent
        return min(FLOW_WINDOW_BYTES - ahead, free)

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
        view.refit = view.refit or size.cols != view.size[0] or size.rows < view.size[1]
        view.size = (size.cols, size.rows)
        message = Resized(
            pane_id=pane.id, channel=pane.channel, position=view.position, cols=size.cols, rows=size.rows
        )
        self._send(connection, encode_control(message))

    def _send(self, connection: Connection, frame: bytes) -> None:
        connection.unsent += len(frame)
        self._world.effects.append(SendFrame(connection.id, frame, urgent=False))
