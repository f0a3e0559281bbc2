"""The agent: its terminals, its connections, and what the server asks of them.

One process per sandbox and one thread. Reading order: `__main__` starts it, `connection` carries frames, `terminal` is
a pty with its shell (`spawn`, `log`, `inputs`, `prompt`), `lookout` says who is busy (`processes`), `standstill`
whether it may be stopped, `ending` stops it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from wormux.agent import standstill
from wormux.agent.connection import Connection
from wormux.agent.ending import Ending
from wormux.agent.integration import Integration
from wormux.agent.keepsake import ENV_EXCLUDE
from wormux.agent.listener import Listener
from wormux.agent.lookout import Lookout
from wormux.agent.loop import EVENT_READ, Loop
from wormux.agent.oom import OomCounter
from wormux.agent.processes import BUSY_IGNORE
from wormux.agent.spawn import CannotStart
from wormux.agent.terminal import Terminal
from wormux.limits import (
    AGENT_CHECK_S,
    AGENT_COMPLAINTS,
    AGENT_LINGER_S,
    AGENT_TERMINALS,
    LARGEST_START,
    LINK_CONNECTIONS,
    LINK_HELLO_WITHIN_S,
    MAX_COLS,
    MAX_ROWS,
    MIN_COLS,
    MIN_ROWS,
    ORPHAN_S,
    PANE_ID_BYTES,
    SERVER_GONE_WAIT_S,
    STOP_GRACE_S,
)
from wormux.protocol.agent_link import (
    VERSION,
    Answer,
    Attach,
    Busy,
    Close,
    Forget,
    Freezable,
    Freeze,
    Hello,
    Input,
    Message,
    Open,
    Refused,
    Resize,
    Sleep,
    Welcome,
)


@dataclass(frozen=True)
class Options:
    """What an agent is started with."""

    data_dir: Path
    busy_ignore: tuple[str, ...] = BUSY_IGNORE
    shell_integration: bool = True
    env_exclude: tuple[str, ...] = ENV_EXCLUDE
    linger_s: float = AGENT_LINGER_S
    orphan_s: float = ORPHAN_S
    check_s: float = AGENT_CHECK_S
    server_wait_s: float = SERVER_GONE_WAIT_S
    oom_counter: int | None = None
    """A descriptor of the kernel's, as `oom` reads it."""
    outlives_data_dir: bool = False
    """Others see to it that it ends, and shells can remove the directory."""


class Agent:
    """Serves `listener` until `run` returns, which leaves no process behind."""

    def __init__(self, loop: Loop, listener: Listener, options: Options) -> None:
        self._loop = loop
        self._listener = listener
        self._options = options
        self._terminals: dict[str, Terminal] = {}
        """By pane, living or over; what the server has not said to forget."""
        self._leaving: set[Terminal] = set()
        """Closed by the server, or replaced: until they are over."""
        self._strangers: set[Connection] = set()
        """Have not said yet what they are."""
        self._panes: dict[Connection, Terminal | None] = {}
        """Connections of panes, None before their first request and after a refusal."""
        self._controls: set[Connection] = set()
        self._ending: Ending | None = None
        self._is_childless = True
        self._alone_since = loop.time()
        """When the last connection or shell ended."""
        self._complaints = 0
        self._data_dir = os.open(options.data_dir, os.O_RDONLY)
        self._integration = Integration(loop, options.data_dir, self._complain, options.env_exclude)
        self._oom = OomCounter(options.oom_counter, loop.time)
        self._lookout = Lookout(
            loop,
            living=self._living,
            ending=lambda: [terminal for terminal in self._leaving if terminal.exit is None],
            ignore=options.busy_ignore,
            on_busy=self._on_busy,
            on_look=self._oom.look,
        )
        loop.on_gap = self._on_gap
        loop.on_signal(signal.SIGCHLD, self._reap)
        loop.on_signal(signal.SIGTERM, self._on_terminate)

    def run(self) -> None:
        """Serve until the end."""
        self._listen()
        self._loop.call_after(self._options.check_s, self._check)
        self._loop.run()
        self._listener.remove()

    def _living(self) -> list[Terminal]:
        return [terminal for terminal in self._terminals.values() if terminal.exit is None]

    # --- Connections -------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._loop.watch(self._listener.socket.fileno(), EVENT_READ, self._on_connection)

    def _on_connection(self, _events: int) -> None:
        try:
            peer = self._listener.accept()
        except OSError as error:  # No descriptors left: they will not be there in this moment either.
            self._complain(f"A connection cannot be accepted: {error.strerror}.")
            self._loop.forget(self._listener.socket.fileno())
            self._loop.call_after(AGENT_CHECK_S, self._listen)
            return
        if peer is None:
            return
        if len(self._strangers) + len(self._panes) + len(self._controls) >= LINK_CONNECTIONS:
            peer.close()
            return
        connection = Connection(self._loop, peer, self._on_message, self._on_closed)
        self._strangers.add(connection)
        self._loop.call_after(LINK_HELLO_WITHIN_S, lambda: self._expect_hello(connection))

    def _expect_hello(self, connection: Connection) -> None:
        if connection in self._strangers:
            connection.close("It did not say what it is.")

    def _on_message(self, connection: Connection, message: Message) -> None:
        """Raises `ValueError` for what must not be said; the connection is closed then."""
        if connection in self._strangers:
            self._on_hello(connection, message)
        elif connection in self._controls:
            self._on_control(connection, message)
        else:
            terminal = self._panes[connection]
            if terminal is None:
                self._on_request(connection, message)
            else:
                self._on_pane(terminal, connection, message)
        connection.flush()

    def _on_hello(self, connection: Connection, message: Message) -> None:
        if not isinstance(message, Hello) or message.role not in ("pane", "control"):
            raise ValueError("The first frame was no Hello of a known role.")
        self._strangers.discard(connection)
        if message.role == "pane":
            self._panes[connection] = None
        else:
            self._controls.add(connection)
        if message.version != VERSION:
            connection.note(
                Refused(f"The agent speaks version {VERSION} of the link, not {message.version}.")
            )
            connection.close_when_sent()
        elif message.role == "control":
            terminals = tuple(terminal.info for terminal in self._terminals.values())
            busy = self._lookout.busy.sentence
            connection.note(Welcome(VERSION, os.getpid(), terminals, busy, freezes=True))
            connection.note(self._lookout.busy)
            connection.on_progress = self._step

    def _on_closed(self, connection: Connection, broken: str | None) -> None:
        if broken is not None:
            self._complain(f"A connection was closed: {broken}")
        self._strangers.discard(connection)
        self._controls.discard(connection)
        terminal = self._panes.pop(connection, None)
        if terminal is not None:
            terminal.detach(connection)
        self._alone_since = self._loop.time()
        self._step()

    def _complain(self, sentence: str) -> None:
        self._complaints += 1
        if self._complaints <= AGENT_COMPLAINTS:
            print(f"wormux agent: {sentence}", file=sys.stderr, flush=True)

    # --- Requests for one pane ---------------------------------------------------------------------------

    def _on_request(self, connection: Connection, message: Message) -> None:
        """The first frame after the hello of a pane's connection."""
        if isinstance(message, Open):
            answer = self._open(connection, message)
        elif isinstance(message, Attach):
            answer = self._attach(connection, message)
        else:
            raise _unexpected(message)
        if answer is not None:
            connection.note(answer)
            connection.close_when_sent()

    def _open(self, connection: Connection, request: Open) -> Refused | None:
        _check_size(request.cols, request.rows)
        if len(request.pane_id.encode()) > PANE_ID_BYTES or request.position > LARGEST_START:
            raise ValueError("The pane's id or position is out of bounds.")
        if self._ending is not None:
            return Refused("The sandbox is going to sleep.")
        known = self._terminals.get(request.pane_id)
        if known is not None and request.generation <= known.generation:
            if known.generation == request.generation and known.exit is None:
                self._serve(connection, known, request.position)
                return None
            return Refused(
                f"Terminal {request.generation} of this pane is over: there was one since, or it ended."
            )
        if known is None and len(self._terminals) >= AGENT_TERMINALS:
            return Refused(f"The sandbox has {AGENT_TERMINALS} terminals already: close some of them.")
        beside = self._terminals.get(request.beside or "")
        if beside is not None and beside.exit is None:
            request = replace(request, cwd=beside.shell.directory() or request.cwd)
        try:
            terminal = Terminal(
                self._loop,
                request,
                self._options.server_wait_s,
                self._lookout.activity,
                self._on_over,
                self._integration if self._options.shell_integration else None,
            )
        except CannotStart as error:
            return Refused(str(error))
        self._is_childless = False
        if known is not None:
            self._let_go(known)
            if known.connection is not None:
                known.connection.close()
        self._terminals[request.pane_id] = terminal
        self._serve(connection, terminal, request.position)
        return None

    def _attach(self, connection: Connection, request: Attach) -> Refused | None:
        terminal = self._terminals.get(request.pane_id)
        if terminal is None or terminal.generation != request.generation:
            return Refused("This terminal is not here any more.", gone=True)
        self._serve(connection, terminal, request.position)
        return None

    def _serve(self, connection: Connection, terminal: Terminal, position: int) -> None:
        self._panes[connection] = terminal
        connection.on_progress = partial(self._on_progress, terminal)
        terminal.attach(connection, position)

    def _on_progress(self, terminal: Terminal) -> None:
        terminal.pump()
        self._step()

    def _on_pane(self, terminal: Terminal, connection: Connection, message: Message) -> None:
        if isinstance(message, Input):
            terminal.take(message)
        elif isinstance(message, Answer):
            terminal.answer(message)
        elif isinstance(message, Resize):
            _check_size(message.cols, message.rows)
            terminal.resize(message.cols, message.rows)
        elif isinstance(message, Close) or (isinstance(message, Forget) and terminal.exit is not None):
            self._let_go(terminal)
            if isinstance(message, Close):
                self._integration.forget(terminal.pane_id)
        elif not isinstance(message, Forget):
            raise _unexpected(message)

    def _let_go(self, terminal: Terminal) -> None:
        """The pane has this terminal no more; it is ended if it lives. Its connection is closed after ENDED."""
        if self._terminals.get(terminal.pane_id) is terminal:
            del self._terminals[terminal.pane_id]
        if terminal.exit is None:
            self._leaving.add(terminal)
            terminal.hang_up()
        elif terminal.connection is not None:
            terminal.connection.close_when_sent()

    # --- Requests for the sandbox ------------------------------------------------------------------------

    def _on_control(self, connection: Connection, message: Message) -> None:
        if isinstance(message, Sleep):
            self._sleep(connection, message.force)
            return
        if isinstance(message, Freeze):
            connection.note(self._may_freeze(message.force))
            return
        if not isinstance(message, (Close, Forget)) or message.pane_id is None:
            raise _unexpected(message)
        terminal = self._terminals.get(message.pane_id)
        if terminal is not None and (isinstance(message, Close) or terminal.exit is not None):
            self._let_go(terminal)
        if isinstance(message, Close):
            self._integration.forget(message.pane_id)

    def _sleep(self, connection: Connection, force: bool) -> None:
        """Decided and begun in one step: nothing can start in between.

        By force, what was written to a terminal and not read yet is lost with the program that should have read it,
        and was acknowledged: nobody can tell which of its bytes a program that is killed has read.
        """
        if self._ending is None:
            if force:
                self._lookout.look()  # so that the terminals tell where they are
            else:
                self._hear_panes()
                hindrance = standstill.stop(self._lookout, self._living())
                if hindrance is not None:
                    if self._lookout.busy.sentence is not None:
                        connection.note(self._lookout.busy)
                    connection.note(Refused(f"The sandbox is busy: {hindrance}."))
                    return
            self._end(asleep=True)
        if self._ending is not None:
            self._ending.askers.append(connection)

    def _may_freeze(self, force: bool) -> Freezable | Refused:
        """Nobody is stopped for it: whoever asked freezes everything a moment later, and sends no input meanwhile; what
        a shell does by itself goes on after the thaw."""
        if self._ending is not None:
            return Refused("The sandbox is going to sleep.")
        if not force:
            self._hear_panes()
            hindrance = standstill.hindrance(self._lookout, self._living())
            if hindrance is not None:
                return Refused(f"The sandbox is busy: {hindrance}.")
        self._lookout.postpone()
        return Freezable()

    def _hear_panes(self) -> None:
        """What the server typed before it asked counts, though it came on other connections."""
        for connection in tuple(self._panes):
            connection.hear()

    def _on_busy(self, seen: Busy) -> None:
        for connection in tuple(self._controls):
            if not connection.is_behind:
                connection.note(seen)
                connection.flush()

    # --- Ends --------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        """Children have ended: shells, and orphans that the agent inherited."""
        shells = {terminal.shell.pid: terminal for terminal in (*self._living(), *self._leaving)}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._is_childless = True
                break
            if pid == 0:
                break
            if pid in shells:
                was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
                shells[pid].oom = was_killed and self._ending is None and self._oom.rose()
                shells[pid].reaped(status)
        self._lookout.activity()
        self._step()

    def _on_over(self, terminal: Terminal) -> None:
        self._alone_since = self._loop.time()
        if terminal in self._leaving:
            self._leaving.discard(terminal)
            if terminal.connection is not None:
                terminal.connection.close_when_sent()
        self._step()

    def _on_terminate(self) -> None:
        self._end(asleep=False)

    def _on_gap(self) -> None:
        """The agent was frozen, or its machine. Its connections may have been closed meanwhile, and those who had them
        get all the time again to come back."""
        self._alone_since = self._loop.time()

    def _check(self) -> None:
        """Is the agent still wanted? Looked at for as long as it lives."""
        self._loop.call_after(self._options.check_s, self._check)
        if not self._options.outlives_data_dir and self._is_data_dir_gone():
            self._end(asleep=False, grace_s=0)
        elif not self._controls and not self._panes:
            alone_s = self._loop.time() - self._alone_since
            quiet_s = self._loop.time() - self._lookout.active_at
            is_over = (
                alone_s >= self._options.linger_s
                and not self._living()
                and self._lookout.busy.sentence is None
            )
            if is_over or min(alone_s, quiet_s) >= self._options.orphan_s:
                self._end(asleep=False)

    def _is_data_dir_gone(self) -> bool:
        """Removed, whether or not another one has its name now."""
        return os.fstat(self._data_dir).st_nlink == 0 or not self._options.data_dir.exists()

    def _end(self, *, asleep: bool, grace_s: float = STOP_GRACE_S) -> None:
        if self._ending is None:
            self._ending = Ending(
                self._loop,
                [*self._terminals.values(), *self._leaving],
                connections=lambda: tuple(self._panes),
                childless=lambda: self._is_childless,
                asleep=asleep,
                grace_s=grace_s,
            )

    def _step(self) -> None:
        if self._ending is not None:
            self._ending.step()


def _check_size(cols: int, rows: int) -> None:
    if not (MIN_COLS <= cols <= MAX_COLS and MIN_ROWS <= rows <= MAX_ROWS):
        raise ValueError(f"No terminal has {cols} columns and {rows} rows.")


def _unexpected(message: Message) -> ValueError:
    return ValueError(f"A {type(message).__name__} has no meaning at this place.")


def names_to_ignore(more: Iterable[str]) -> tuple[str, ...]:
    """The usual names that are never busy, and these."""
    return (*BUSY_IGNORE, *more)
