"""The link to one Cloudflare sandbox: no connection of its own, but all that its terminals have.

It is awake as long as somebody wants it to be: when the other side has closed the last socket, it sleeps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from wormux.ids import PaneId, SandboxId
from wormux.limits import CLOUDFLARE_SLEEPS_WITHIN_S
from wormux.protocol.agent_link import VERSION, Attach, Open, Refused, Welcome
from wormux.sandbox.cloudflare_options import CloudflareOptions
from wormux.sandbox.cloudflare_pane import CloudflareTerminal
from wormux.sandbox.cloudflare_record import Records
from wormux.sandbox.cloudflare_socket import PtySocket
from wormux.sandbox.port import Frozen, Lost, Sandbox, SandboxEvent, Terminal, TerminalEvent

CANNOT_FREEZE = "Cloudflare sandboxes cannot be frozen: they sleep when Cloudflare lets them."


class CloudflareSandbox(Sandbox):
    """Made by `CloudflareProvider`."""

    def __init__(
        self,
        sandbox_id: SandboxId,
        options: CloudflareOptions,
        records: Records,
        deliver: Callable[[SandboxEvent], None],
        on_over: Callable[[CloudflareSandbox], None],
    ) -> None:
        """`on_over` is called once, when the link is of no more use."""
        self.records = records
        self._sandbox_id = sandbox_id
        self._options = options
        self._deliver = deliver
        self._on_over = on_over
        self._is_over = False
        self._terminals: set[CloudflareTerminal] = set()
        self._closed: dict[CloudflareTerminal, str] = {}
        """Those whose sockets the other side has closed, with the reason, until it is known what that means."""
        self._closed_timer: asyncio.TimerHandle | None = None
        self._spares: dict[str, tuple[str, PtySocket]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self.look_again()

    @property
    def is_leaving(self) -> bool:
        """Sockets of it are still being closed."""
        return bool(self._leaving)

    def look_again(self) -> None:
        """Bring `welcome` up to date."""
        self.welcome = Welcome(VERSION, 0, tuple(record.info for record in self.records.all), None)

    def deliver_to(self, deliver: Callable[[SandboxEvent], None]) -> None:
        """From now on, events go there."""
        self._deliver = deliver

    def terminal(self, request: Open | Attach, deliver: Callable[[TerminalEvent], None]) -> Terminal:
        terminal = CloudflareTerminal(self, request, deliver)
        self._terminals.add(terminal)
        if self._is_over:
            terminal.lose(Lost("The Cloudflare sandbox sleeps."))
        return terminal

    def sleep(self, *, force: bool) -> None:
        """Closes the sockets: it falls asleep by itself when nobody has used it for a while. What runs there is not
        known, so `force` makes no difference."""
        self._loop.call_soon(self._fall_asleep)

    def freeze(self, *, force: bool) -> None:
        if not self._is_over:
            self._loop.call_soon(self._give, Refused(CANNOT_FREEZE))

    def close_terminal(self, pane_id: PaneId) -> None:
        record = self.records.newest(pane_id)
        if record is not None and not self._is_over:
            self.records.remove(record)

    def detach(self) -> None:
        if not self._is_over:
            self._end()

    async def wait_left(self) -> None:
        """Until its sockets are closed."""
        if self._leaving:
            await asyncio.wait(tuple(self._leaving))

    # --- What its terminals need -------------------------------------------------------------------------------

    def shell_of(self, argv: tuple[str, ...]) -> str | None:
        """A path is all that can be asked for."""
        if self._options.shell is None and len(argv) == 1 and argv[0].startswith("/"):
            return argv[0]
        return self._options.shell

    async def connect(self, session: str, cols: int, rows: int, shell: str | None) -> PtySocket:
        return await PtySocket.open(self._options, self._sandbox_id, session, cols, rows, shell)

    def take_over(self, terminal: CloudflareTerminal) -> None:
        for other in tuple(self._terminals):
            if other is not terminal and other.pane_id == terminal.pane_id:
                other.lose(Lost("Another link took the terminal over."))

    def keep_spare(self, pane_id: str, session: str, socket: PtySocket) -> None:
        old = self._spares.pop(pane_id, None)
        if old is not None:
            self.let_go(old[1])
        self._spares[pane_id] = (session, socket)

    def take_spare(self, pane_id: str) -> tuple[str, PtySocket] | None:
        return self._spares.pop(pane_id, None)

    def socket_closed(self, terminal: CloudflareTerminal, reason: str) -> None:
        self._closed[terminal] = reason
        if not self._is_linked:
            self._know_closed()
        elif self._closed_timer is None:
            self._closed_timer = self._loop.call_later(CLOUDFLARE_SLEEPS_WITHIN_S, self._know_closed)

    def let_go(self, socket: PtySocket) -> None:
        task = self._loop.create_task(socket.finish())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def done(self, terminal: CloudflareTerminal) -> None:
        self._terminals.discard(terminal)
        self._closed.pop(terminal, None)

    # --- Its life ----------------------------------------------------------------------------------------------

    @property
    def _is_linked(self) -> bool:
        """A terminal has a socket, or is about to."""
        return any(terminal.is_linked for terminal in self._terminals)

    def _know_closed(self) -> None:
        """Sockets were closed: all of them, so it sleeps, or some."""
        if self._closed_timer is not None:
            self._closed_timer.cancel()
            self._closed_timer = None
        closed = dict(self._closed)
        self._closed.clear()
        if closed and not self._is_linked:
            self._fall_asleep()
        else:
            for terminal, reason in closed.items():
                terminal.lose(Lost(reason))

    def _fall_asleep(self) -> None:
        if not self._is_over:
            deliver = self._deliver
            self._end()
            self._loop.call_soon(deliver, Frozen())

    def _give(self, event: SandboxEvent) -> None:
        if not self._is_over:
            self._deliver(event)

    def _end(self) -> None:
        self._is_over = True
        if self._closed_timer is not None:
            self._closed_timer.cancel()
        for terminal in tuple(self._terminals):
            terminal.detach()
        for _, socket in self._spares.values():
            self.let_go(socket)
        self._spares.clear()
        self._on_over(self)
