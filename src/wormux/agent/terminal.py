"""A pty with its shell: its output goes into the log, its input comes from the queue, and one day it ends.

Owns the PTY's descriptor, and decides when it is read: never past what the connection can take, and for a while
never over what a vanished server did not get. Does not know other terminals, nor what the server asks for.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping

from wormux.agent import prompt, spawn
from wormux.agent.connection import Connection
from wormux.agent.inputs import Inputs
from wormux.agent.integration import Integration
from wormux.agent.log import Log
from wormux.agent.loop import EVENT_READ, EVENT_WRITE, Loop, Timer
from wormux.agent.processes import Process
from wormux.agent.prompt import PromptMark
from wormux.agent.shell import Shell
from wormux.limits import (
    AGENT_DRAIN_BYTES,
    AGENT_UNSAVED_BYTES,
    BUSY_POLL_S,
    INPUT_ACK_WITHIN_S,
    LINK_OUTPUT_BYTES,
    LINK_UNSENT_BYTES,
    READY_LOOK_EVERY_S,
    READY_WITHIN_S,
    STOP_GRACE_S,
)
from wormux.protocol.agent_link import (
    Answer,
    Ended,
    Exit,
    Foreground,
    Input,
    InputAck,
    Open,
    Opened,
    Ready,
    TerminalInfo,
)


class Terminal:
    """One pty of a pane, from the start of its shell until it is forgotten.

    A server that vanishes is waited for `server_wait_s`, so that what it lacks is not overwritten.
    `on_activity` is called after input and output, `on_over` once, when the shell has ended and all its output is in
    the log. Creating one raises `spawn.CannotStart`.
    """

    def __init__(
        self,
        loop: Loop,
        request: Open,
        server_wait_s: float,
        on_activity: Callable[[], None],
        on_over: Callable[[Terminal], None],
        integration: Integration | None = None,
    ) -> None:
        started = spawn.start(request, integration)
        self.pane_id = request.pane_id
        self.generation = request.generation
        self.shell = Shell(
            request.pane_id, started.pid, started.master, is_login_shell=not request.argv
        )  # fmt: skip
        self.exit: Exit | None = None
        """None until the terminal is over."""
        self.asleep = False
        """It is being ended by `Sleep`."""
        self.oom = False
        """The kernel killed its shell for want of memory."""
        self.connection: Connection | None = None
        self._loop = loop
        self._server_wait_s = server_wait_s
        self._on_activity = on_activity
        self._on_over = on_over
        self._master = started.master
        self._keepsake = started.keepsake
        self._started_at = loop.time()
        self._log = Log(request.position, request.cols, request.rows)
        self._log.append(request.preamble)
        self._log.append(started.notice)
        self._inputs = Inputs(answered=request.position)
        self._is_ready = False
        self._mark = PromptMark()
        self._foreground: Foreground | None = None
        self._keep_from: int | None = None
        """What a vanished server has for certain ends here; None if nobody is waited for."""
        self._hung_up = False
        self._takes_input = True
        self._wait_status: int | None = None
        self._ran_s = 0.0
        self._to_drain = AGENT_DRAIN_BYTES
        self._timers: dict[str, Timer] = {}
        self._watch()
        self._look_whether_ready()

    # --- What it is --------------------------------------------------------------------------------------

    @property
    def info(self) -> TerminalInfo:
        """For `Welcome`."""
        return TerminalInfo(self.pane_id, self.generation, self._log.start, self._log.end, self.exit)

    @property
    def has_unread_input(self) -> bool:
        """Something typed has not been read by a program: it waits here, or in the PTY."""
        return self._inputs.head is not None or prompt.unread(self._master)

    def look(self, processes: Mapping[int, Process]) -> None:
        """Say what is in the foreground, if that changed."""
        if self.exit is not None or (self.connection is not None and self.connection.is_behind):
            return
        foreground = self.shell.foreground(processes)
        if foreground != self._foreground:
            self._foreground = foreground
            if self.connection is not None:
                self.connection.note(foreground)
                self.connection.flush()

    # --- The server comes and goes -----------------------------------------------------------------------

    def attach(self, connection: Connection, position: int) -> None:
        """Serve this connection from now on, with the output from `position` on; an older one is closed."""
        old, self.connection = self.connection, connection
        if old is not None:
            old.close()
        self._cancel("server")
        self._keep_from = None
        log = self._log
        position = min(max(position, log.start), log.end)
        in_force, *later = log.sizes(position)
        connection.follow(log, position)
        inputs = self._inputs
        opened = Opened(
            self.shell.pid, position, log.end, self._is_ready, inputs.taken, (in_force,), inputs.answered
        )  # fmt: skip
        connection.note(opened, position)
        for mark in later:
            connection.note(mark, mark.position)
        if self._foreground is not None and self.exit is None:
            connection.note(self._foreground)
        self._say_ended()
        connection.flush()
        self.pump()

    def detach(self, connection: Connection) -> None:
        """The connection is closed. Its server may come back: for a while, nothing that it lacks is overwritten."""
        if self.connection is not connection:
            return
        self.connection = None
        if self.exit is None:
            self._keep_from = max(self._log.start, connection.sent - AGENT_UNSAVED_BYTES)
            self._after("server", self._server_wait_s, self._stop_waiting_for_server)
            self._watch()

    def _stop_waiting_for_server(self) -> None:
        self._cancel("server")
        self._keep_from = None
        self.pump()

    # --- Input and size ----------------------------------------------------------------------------------

    def take(self, message: Input) -> None:
        """Hand a client's bytes to the terminal, now or as soon as it takes them. Raises `ValueError` for too many."""
        if self._takes_input:
            self._inputs.take(message)
            self._write()
            self._watch()
            self._on_activity()

    def answer(self, message: Answer) -> None:
        """Hand over what the server answers to queries, behind the input that waits. Nobody is at work for it, so it
        is no activity. Raises `ValueError` for an answer to what was not written."""
        if message.position > self._log.end:
            raise ValueError("An answer was given before the query.")
        if self._takes_input:
            self._inputs.answer(message)
            self._write()
            self._watch()

    def resize(self, cols: int, rows: int) -> None:
        """Set the size; what was written before is logged before."""
        self.pump()
        if self.exit is not None:
            return
        size = self._log.size
        if (size.cols, size.rows) == (cols, rows):
            self.shell.signal_foreground(signal.SIGWINCH)
        spawn.set_size(self._master, cols, rows)
        mark = self._log.resize(cols, rows)
        if self.connection is not None:
            self.connection.note(mark)
            self.connection.flush()
        self._watch()

    # --- The end -----------------------------------------------------------------------------------------

    def hang_up(self) -> None:
        """End the shell and what it has in the foreground, as closing a terminal's window does; the stubborn are
        killed after a while."""
        self.refuse_input()
        self.shell.hang_up()
        self._after("kill", STOP_GRACE_S, self.shell.kill)

    def refuse_input(self) -> None:
        """The terminal is being ended: what it has not taken yet is left to the server."""
        self._takes_input = False
        self._inputs.drop()

    def reaped(self, wait_status: int) -> None:
        """The shell has ended. Its last output is still in the PTY."""
        if self._keepsake is not None:
            # A shell that ended by itself, and was not killed either, is over: the next one begins anew.
            self._keepsake.end(forget=self._takes_input and os.WIFEXITED(wait_status))
        self._wait_status = wait_status
        self.shell.is_reaped = True
        self._ran_s = self._loop.time() - self._started_at
        self._cancel("kill")
        self._cancel("ready")
        self.refuse_input()
        self.pump()

    def _finish(self, wait_status: int) -> None:
        """Close the PTY, which hangs up whatever still has it in the foreground, and say that it is over."""
        for name in tuple(self._timers):
            self._cancel(name)
        self._loop.forget(self._master)
        os.close(self._master)
        self._master = -1
        code = signal_name = None
        if os.WIFSIGNALED(wait_status):
            signal_name = _signal_name(os.WTERMSIG(wait_status))
        else:
            code = os.WEXITSTATUS(wait_status)
        self.exit = Exit(
            code=code, signal=signal_name, asleep=self.asleep, oom=self.oom, ran_s=round(self._ran_s, 3)
        )
        self._say_ended()
        if self.connection is not None:
            self.connection.flush()
        self._on_over(self)

    def _say_ended(self) -> None:
        if self.exit is not None and self.connection is not None:
            self.connection.note(Ended(self.exit, self._log.end, self._inputs.written))

    # --- Reading and writing the PTY ---------------------------------------------------------------------

    @property
    def _room(self) -> int:
        """How many bytes may be read now."""
        log = self._log
        if self.connection is not None:
            may_wait = LINK_UNSENT_BYTES if self._wait_status is None else log.capacity
            return may_wait - (log.end - self.connection.sent)
        if self._keep_from is not None:
            return log.capacity - (log.end - self._keep_from)
        return log.capacity

    def _watch(self) -> None:
        if self.exit is not None:
            return
        events = 0
        if not self._hung_up:
            if self._room > 0:
                events |= EVENT_READ
            if self._inputs.head is not None:
                events |= EVENT_WRITE
        self._loop.watch(self._master, events, self._on_events)

    def _on_events(self, events: int) -> None:
        if events & EVENT_WRITE:
            self._write()
        self.pump()

    def pump(self) -> None:
        """Read what may be read now; finish if the shell has ended and this was the last of it."""
        if self.exit is not None:
            return
        was_emptied = self._read()
        if self._wait_status is not None and (was_emptied or self._to_drain <= 0):
            self._finish(self._wait_status)
        else:
            self._watch()

    def _read(self) -> bool:
        """One frame's worth of output, at most; true if there was no more."""
        budget = min(LINK_OUTPUT_BYTES, self._room)
        if budget <= 0:
            return False
        master, room = self._master, self._log.free(budget)
        filled = 0
        was_emptied = False
        while filled < len(room):  # The kernel gives 4 KiB at a time.
            try:
                count = os.readv(master, (room[filled:],))
            except BlockingIOError:
                was_emptied = True
                break
            except OSError:  # EIO: nobody has the other side open.
                count = 0
            if count == 0:
                was_emptied = True
                self._on_hung_up()
                break
            filled += count
        if filled:
            self._log.wrote(filled)
            self._on_output(filled)
        return was_emptied

    def _on_output(self, count: int) -> None:
        log = self._log
        if self._wait_status is not None:
            self._to_drain -= count
        if not self._is_ready and any(self._mark.found(part) for part in log.parts(log.end - count, log.end)):
            self._become_ready()
        if self.connection is not None:
            if self._inputs.has_news:
                self._note_acks()
            self.connection.flush()
        self._on_activity()

    def _on_hung_up(self) -> None:
        """Nobody has the PTY open. If the shell lives on, one of its programs may open it again by name."""
        self._hung_up = True
        if self._wait_status is None:
            self._after("hung up", BUSY_POLL_S, self._try_again)

    def _try_again(self) -> None:
        self._hung_up = False
        self._write()
        self.pump()

    def _write(self) -> None:
        """Hand over as much input as the terminal takes. It is acknowledged with its echo, or soon without."""
        inputs = self._inputs
        while (head := inputs.head) is not None:
            try:
                count = os.write(self._master, head)
            except BlockingIOError:
                break
            except OSError:
                self._on_hung_up()
                break
            inputs.wrote(count)
        if inputs.has_news and "ack" not in self._timers:
            self._after("ack", INPUT_ACK_WITHIN_S, self._acknowledge)

    def _acknowledge(self) -> None:
        self._note_acks()
        if self.connection is not None:
            self.connection.flush()

    def _note_acks(self) -> None:
        """Acknowledge what was written since, with the frame that is about to be sent anyway."""
        self._cancel("ack")
        for client_id, position in self._inputs.news().items():
            if self.connection is not None:
                self.connection.note(InputAck(client_id, position))

    # --- Is it ready? ------------------------------------------------------------------------------------

    def _look_whether_ready(self) -> None:
        if self._is_ready or self._wait_status is not None:
            return
        is_late = self._loop.time() >= self._started_at + READY_WITHIN_S
        if is_late or self.shell.waits():
            self._become_ready()
        else:
            self._after("ready", READY_LOOK_EVERY_S, self._look_whether_ready)

    def _become_ready(self) -> None:
        if self._is_ready:
            return
        self._is_ready = True
        self._cancel("ready")
        self.shell.settle()
        if self.connection is not None:
            self.connection.note(Ready())
            self.connection.flush()
        self._on_activity()

    # --- Timers ------------------------------------------------------------------------------------------

    def _after(self, name: str, delay_s: float, action: Callable[[], None]) -> None:
        self._cancel(name)
        self._timers[name] = self._loop.call_after(delay_s, action)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"  # Real-time signals have no names.
