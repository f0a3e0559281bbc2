"""Who is here: connecting, taking over, leaving, being forgotten; and whose wish for a size is in force."""

from __future__ import annotations

import re

from wormux.errors import ErrorCode, Refusal
from wormux.hub.announcer import Announcer
from wormux.hub.connection import Connection
from wormux.hub.effects import CloseClient, Deed, Note
from wormux.hub.pane import Pane, Wish
from wormux.hub.saver import Saver
from wormux.hub.screens import Screens
from wormux.hub.session import Client
from wormux.hub.terminals import Terminals
from wormux.hub.timers import Wait
from wormux.hub.typing import Typing
from wormux.hub.world import World
from wormux.ids import ClientId
from wormux.limits import (
    CELL_HEIGHT_PX,
    CELL_WIDTH_PX,
    CHROME_HEIGHT_PX,
    CHROME_WIDTH_PX,
    CLIENT_ID_CHARS,
    FORGET_AGAIN_S,
    KNOWN_CLIENT_S,
    KNOWN_CLIENTS,
    MAX_COLS,
    MAX_ROWS,
    MAX_VIEWPORT_PX,
    MIN_COLS,
    MIN_ROWS,
)
from wormux.protocol.close_codes import CloseCode
from wormux.protocol.messages import Colors, Connect

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


class Clients:
    """See the module."""

    def __init__(
        self,
        world: World,
        screens: Screens,
        announcer: Announcer,
        saver: Saver,
        typing: Typing,
        terminals: Terminals,
    ) -> None:
        self._world = world
        self._screens = screens
        self._announcer = announcer
        self._saver = saver
        self._typing = typing
        self._terminals = terminals

    def check(self, request: Connect) -> None:
        """Raises `Refusal` (`invalid`)."""
        check_viewport(request.width, request.height)
        check_colors(request.colors)
        if request.client_id is not None and not _is_client_id(request.client_id):
            raise Refusal(
                ErrorCode.INVALID,
                f"A clientId has 1 to {CLIENT_ID_CHARS} printable characters without spaces.",
            )

    def attach(self, connection: Connection, request: Connect) -> None:
        """The client is here, whatever it had open before is taken over, and it is told the state."""
        world = self._world
        known = world.clients.get(request.client_id) if request.client_id is not None else None
        here = known is not None and self._world.attached(known.id) is not None
        if known is not None and here and request.attempt is not None and request.attempt < known.attempt:
            self._close(connection, "A newer connection of this client is here.")
            return
        if known is None:
            client_id = request.client_id or ClientId(world.new_id("anonymous"))
            client = Client(client_id, key=world.new_id("k"), anonymous=request.client_id is None)
            world.clients[client_id] = client
        else:
            client = known
            self._take_over(client, connection)
            self._typing.remind(client, request.input)
        client.connection_id = connection.id
        client.left_at_ms = 0
        client.attempt = request.attempt or 0
        world.timers.cancel(Wait.FORGET, client.id)
        connection.client_id = client.id
        world.note(Deed.ATTACH, connection)
        connection.flow = request.flow
        if request.colors is not None:
            self.color(client, request.colors)
        for pane in world.panes.values():
            if client.id in pane.wishes:
                self.enforce_size(pane)
        self._saver.touch_client(client.id)
        self._announcer.greet(connection, client, self._typing.positions(client.id) if known else None)

    def gone(self, connection: Connection) -> None:
        """The connection is over. Its client may come back."""
        world = self._world
        del world.connections[connection.id]
        for wait in (Wait.CONNECT, Wait.UPDATE):
            world.timers.cancel(wait, connection.id)
        for pane_id in connection.views:
            world.timers.cancel(Wait.REDRAW, (connection.id, pane_id))
        client = world.clients.get(connection.client_id) if connection.client_id is not None else None
        if client is None or client.connection_id != connection.id:
            return
        world.note(Deed.DETACH, connection)
        client.connection_id = None
        client.left_at_ms = world.now.wall_ms
        world.clients[client.id] = world.clients.pop(client.id)  # the one that left last is the last
        self._saver.touch_client(client.id)
        if client.anonymous:
            self.forget(client.id)
        else:
            world.timers.set(Wait.FORGET, client.id, world.now.mono_s + KNOWN_CLIENT_S)
            self._forget_surplus()
        for pane in world.panes.values():
            if client.id in pane.wishes:
                self.enforce_size(pane)

    def forget(self, client_id: ClientId) -> None:
        """The client will not come back."""
        client = self._world.clients[client_id]
        if client.connection_id is not None:
            return
        if any(
            client_id in pane.streams and pane.streams[client_id].pending
            for pane in self._world.panes.values()
        ):
            # What it typed is still on its way and needs its name; look again when that is settled for sure.
            self._world.timers.set(Wait.FORGET, client_id, self._world.now.mono_s + FORGET_AGAIN_S)
            return
        for pane in self._world.panes.values():
            pane.streams.pop(client_id, None)
            pane.wishes.pop(client_id, None)
            pane.typists.pop(client_id, None)
        self._world.timers.cancel(Wait.FORGET, client_id)
        del self._world.clients[client_id]
        if not client.anonymous:
            self._saver.forget_client(client_id)

    def wish(self, pane: Pane, client_id: ClientId, cols: int, rows: int) -> None:
        """The client has so much space for the pane."""
        pane.wishes[client_id] = Wish(cols, rows, self._world.next_order())
        self.enforce_size(pane)

    def typed(self, pane: Pane, client_id: ClientId) -> None:
        """The client typed in the pane: its wish is in force now."""
        last = max(pane.typists.values(), default=0)
        if pane.typists.get(client_id, -1) != last or last == 0:
            pane.typists[client_id] = self._world.next_order()
            self.enforce_size(pane)
            self.enforce_colors(pane)

    def enforce_size(self, pane: Pane) -> None:
        """In force is the wish of the attached client that typed last in the pane; before any typing the newest;
        with nobody attached it stays."""
        wishes = [
            (pane.typists.get(client_id, 0), wish.wished, wish)
            for client_id, wish in pane.wishes.items()
            if self._world.attached(client_id) is not None
        ]
        if wishes:
            wish = max(wishes, key=lambda entry: entry[:2])[2]
            self._terminals.resize(pane, wish.cols, wish.rows)

    def color(self, client: Client, colors: Colors) -> None:
        """The client's page has these colours."""
        client.colors = (_rgb(colors.foreground), _rgb(colors.background), _rgb(colors.cursor))
        client.colored = self._world.next_order()
        for pane in self._world.panes.values():
            self.enforce_colors(pane)

    def enforce_colors(self, pane: Pane) -> None:
        """Programs are told the colours of the client that typed last in the pane; before any typing the newest;
        without any client they stay."""
        known = [
            (pane.typists.get(client.id, 0), client.colored, client.colors)
            for client in self._world.clients.values()
            if client.colors is not None and (client.connection_id is not None or client.id in pane.typists)
        ]
        if known:
            colors = max(known, key=lambda entry: entry[:2])[2]
            if colors != pane.colors:
                pane.colors = colors
                self._screens.recolor(pane)

    def _take_over(self, client: Client, by: Connection) -> None:
        old = self._world.attached(client.id)
        if old is None:
            return
        self._world.effects.append(Note(Deed.TAKE_OVER, by.id, client.id))
        old.client_id = None
        self._close(old, "Another connection took this client over.")

    def _close(self, connection: Connection, message: str) -> None:
        connection.closing = True
        self._world.effects.append(CloseClient(connection.id, CloseCode.TAKEN_OVER, message))

    def _forget_surplus(self) -> None:
        """Of those who left, only the last so many are known."""
        away = [client.id for client in self._world.clients.values() if client.connection_id is None]
        for client_id in away[: max(0, len(away) - KNOWN_CLIENTS)]:
            self.forget(client_id)


def check_viewport(width: int | None, height: int | None) -> None:
    """Raises `Refusal` (`invalid`)."""
    for value in (width, height):
        if value is not None and not 0 <= value <= MAX_VIEWPORT_PX:
            raise Refusal(ErrorCode.INVALID, f"Width and height are 0 to {MAX_VIEWPORT_PX} pixels.")


def check_colors(colors: Colors | None) -> None:
    """Raises `Refusal` (`invalid`)."""
    if colors is not None:
        for color in (colors.foreground, colors.background, colors.cursor):
            if not _COLOR.fullmatch(color):
                raise Refusal(ErrorCode.INVALID, "Colours are written as #rrggbb.")


def _rgb(color: str) -> int:
    return int(color[1:], 16)


def grid_guess(width: int, height: int) -> tuple[int, int]:
    """Columns and rows that a page of so many pixels has about room for, until it has measured."""
    cols = int((width - CHROME_WIDTH_PX) / CELL_WIDTH_PX)
    rows = int((height - CHROME_HEIGHT_PX) / CELL_HEIGHT_PX)
    return max(MIN_COLS, min(MAX_COLS, cols)), max(MIN_ROWS, min(MAX_ROWS, rows))


def _is_client_id(client_id: str) -> bool:
    return 0 < len(client_id) <= CLIENT_ID_CHARS and client_id.isprintable() and " " not in client_id
