"""The agent of a simulated sandbox: terminals that outlive the server, as `wormux.agent` keeps them.

Programs do nothing by themselves: a test says what a terminal prints and when its shell ends. Everything that was
ever printed or typed is kept, so that it can be compared with what clients saw and sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from wormux.limits import AGENT_LOG_BYTES, ANSWERS_UNWRITTEN_BYTES, LINK_OUTPUT_BYTES
from wormux.protocol.agent_link import (
    VERSION,
    Answer,
    Attach,
    Busy,
    Ended,
    Exit,
    Foreground,
    Freezable,
    Input,
    InputAck,
    Open,
    Opened,
    Output,
    Ready,
    Refused,
    SizeMark,
    Stopped,
    TerminalInfo,
    Welcome,
)

TerminalSays = Opened | Refused | Output | SizeMark | Ready | InputAck | Foreground | Ended
SandboxSays = Busy | Stopped | Freezable | Refused


class TerminalPeer(Protocol):
    """The agent's end of one terminal's link."""

    def say(self, event: TerminalSays) -> None: ...

    def hang_up(self, reason: str) -> None: ...


class SandboxPeer(Protocol):
    """The agent's end of a control link."""

    def say(self, event: SandboxSays) -> None: ...


@dataclass(frozen=True)
class Written:
    """Bytes of one client that were handed to a terminal."""

    client_key: str
    position: int
    data: bytes


class SimPty:
    """One terminal with its shell."""

    def __init__(self, request: Open, on_written: Callable[[SimPty, Written], None]) -> None:
        self.request = request
        self.pane_id = request.pane_id
        self.generation = request.generation
        self.begin = request.position
        """Position of the first byte that it ever printed, the preamble's."""
        self.history = bytearray()
        """Everything since."""
        self.capacity = AGENT_LOG_BYTES
        """How much of it the agent keeps."""
        self._kept_from = request.position
        self.ready = False
        self.takes = True
        """Its program reads; if not, input waits in the agent."""
        self.exit: Exit | None = None
        self.running: str | None = None
        """A program other than its shell, in the foreground."""
        self.typed = b""
        """All that was handed to it, whoever typed it."""
        self.answered = request.position
        """Up to where its queries were answered."""
        self.answers: list[tuple[int, bytes]] = []
        """Position and bytes of the answers that were handed to it."""
        self.resizes = 0
        """How often its size was set."""
        self.known = False
        """The server has heard that it was opened."""
        self.died = False
        """With its agent: nobody can say what it read."""
        self.sandbox_stopped = False
        self.end_heard = False
        """The server has heard of its end."""
        self.unread_at_death: tuple[Written, ...] = ()
        self.unread_at_end = False
        """Its shell ended without having read all its input."""
        self._sizes = [SizeMark(request.position, request.cols, request.rows)]
        self.taken: dict[str, int] = {}
        """How far each client's input was taken."""
        self._written: dict[str, int] = {}
        self._waiting: deque[Written | Answer] = deque()
        self._on_written = on_written
        self._peer: TerminalPeer | None = None
        self.print(request.preamble)

    @property
    def end(self) -> int:
        return self.begin + len(self.history)

    @property
    def start(self) -> int:
        """Position of the oldest byte kept."""
        self._kept_from = max(self._kept_from, self.begin, self.end - self.capacity)
        return self._kept_from

    @property
    def lives(self) -> bool:
        return self.exit is None

    @property
    def stopped_unheard(self) -> bool:
        """Its sandbox stopped, and nobody was there to hear what it had read."""
        return self.sandbox_stopped and not self.end_heard

    @property
    def unread(self) -> tuple[Written, ...]:
        """Input that its program has not read."""
        return tuple(piece for piece in self._waiting if isinstance(piece, Written))

    @property
    def size(self) -> tuple[int, int]:
        return self._sizes[-1].cols, self._sizes[-1].rows

    @property
    def info(self) -> TerminalInfo:
        return TerminalInfo(self.pane_id, self.generation, self.start, self.end, self.exit)

    def attach(self, peer: TerminalPeer, position: int) -> None:
        """Serve this link from now on; an older one is closed."""
        older, self._peer = self._peer, peer
        if older is not None:
            older.hang_up("Another link took the terminal over.")
        position = min(max(position, self.start), self.end)
        before = max(0, sum(mark.position <= position for mark in self._sizes) - 1)
        in_force, *later = self._sizes[before:]
        peer.say(
            Opened(1000, position, self.end, self.ready, dict(self.taken), (in_force,), self.answered)
        )  # fmt: skip
        if self.running is not None and self.lives:
            peer.say(Foreground(self.running, False, "/work"))
        for mark in later:
            self._say_output(position, mark.position)
            peer.say(mark)
            position = mark.position
        self._say_output(position, self.end)
        self._say_ended()

    def detach(self, peer: TerminalPeer) -> None:
        """The link is over."""
        if self._peer is peer:
            self._peer = None

    def serves(self, peer: TerminalPeer) -> bool:
        """This link is the one that it listens to."""
        return self._peer is peer

    def print(self, data: bytes) -> None:
        """Its program writes."""
        assert self.lives
        at = self.end
        self.history += data
        self._say_output(at, self.end)

    def take(self, message: Input) -> None:
        """Input came over the link: what was taken before is left out."""
        if not self.lives:
            return
        known = self.taken.get(message.client_id, 0)
        data = message.data[max(0, known - message.position) :]
        end = max(known, message.position + len(message.data))
        self.taken[message.client_id] = end
        self._written.setdefault(message.client_id, end - len(data))
        if data:
            self._waiting.append(Written(message.client_id, end - len(data), data))
            self.read()
        elif not any(piece.client_key == message.client_id for piece in self.unread):
            self._say(InputAck(message.client_id, end))

    def answer(self, position: int, data: bytes) -> None:
        """An answer came over the link: what was answered before, or is too much, is left out."""
        if not self.lives or position <= self.answered:
            return
        assert position <= self.end, "what was not written is not answered"
        self.answered = position
        unread = sum(len(piece.data) for piece in self._waiting if isinstance(piece, Answer))
        if data and unread + len(data) <= ANSWERS_UNWRITTEN_BYTES:
            self._waiting.append(Answer(position, data))
            self.read()

    def read(self) -> None:
        """The program reads what waits, if it reads at all."""
        while self.takes and self._waiting:
            piece = self._waiting.popleft()
            if isinstance(piece, Answer):
                self.answers.append((piece.position, piece.data))
                continue
            self.typed += piece.data
            self._written[piece.client_key] = piece.position + len(piece.data)
            self._on_written(self, piece)
            self._say(InputAck(piece.client_key, piece.position + len(piece.data)))

    def become_ready(self) -> None:
        """The fresh shell reads."""
        if self.lives and not self.ready:
            self.ready = True
            self._say(Ready())

    def run(self, program: str | None) -> None:
        """A program comes to the foreground; None: the shell is back."""
        self.running = program
        self._say(Foreground(program or "bash", program is None, "/work"))

    def resize(self, cols: int, rows: int) -> None:
        if not self.lives:
            return
        mark = SizeMark(self.end, cols, rows)
        if self._sizes[-1].position == mark.position:
            self._sizes.pop()
        self._sizes.append(mark)
        self.resizes += 1
        self._say(mark)

    def end_with(self, end: Exit) -> None:
        """Its shell ends; what it had not read is lost to it."""
        if self.lives:
            self.unread_at_end = bool(self.unread)
            self._waiting.clear()
            self.running = None
            self.exit = end
            self._say_ended()

    def die(self) -> None:
        """With its agent: nobody says so."""
        self.unread_at_death = self.unread
        self._waiting.clear()
        self.died = True
        self.exit = self.exit or Exit(signal="SIGKILL")

    def _say(self, event: TerminalSays) -> None:
        if self._peer is not None:
            self._peer.say(event)

    def _say_output(self, start: int, end: int) -> None:
        for at in range(start, end, LINK_OUTPUT_BYTES):
            piece = self.history[at - self.begin : min(end, at + LINK_OUTPUT_BYTES) - self.begin]
            self._say(Output(bytes(piece)))

    def _say_ended(self) -> None:
        if self.exit is not None:
            self._say(Ended(self.exit, self.end, dict(self._written)))


class SimAgent:
    """The terminals of one sandbox that is awake."""

    def __init__(
        self, on_opened: Callable[[SimPty], None], on_written: Callable[[SimPty, Written], None]
    ) -> None:
        self.sandbox_id = ""
        self.terminals: dict[str, SimPty] = {}
        self.refuse_opens: str | None = None
        """Every new terminal is refused with this reason."""
        self.stopped = False
        self.frozen = False
        """Nothing happens in the sandbox until it is started or found."""
        self.parted = False
        """The network lets nothing through, in either direction."""
        self._controls: list[SandboxPeer] = []
        self._on_opened = on_opened
        self._on_written = on_written
        self._busy: str | None = None

    @property
    def busy(self) -> str | None:
        return self._busy

    @busy.setter
    def busy(self, sentence: str | None) -> None:
        """Something came to run, or is done."""
        self._busy = sentence
        self._tell_busy()

    @property
    def welcome(self) -> Welcome:
        return Welcome(VERSION, 1, tuple(pty.info for pty in self.terminals.values()), self._busy)

    def link(self, peer: SandboxPeer) -> None:
        """A control link, from its welcome on."""
        self._controls.append(peer)

    def unlink(self, peer: SandboxPeer) -> None:
        if peer in self._controls:
            self._controls.remove(peer)

    def open(self, request: Open, peer: TerminalPeer) -> SimPty | None:
        """A new terminal; an older one of its pane is ended. The same again is attached to."""
        known = self.terminals.get(request.pane_id)
        if self.refuse_opens is not None or self.stopped:
            peer.say(Refused(self.refuse_opens or "The sandbox is going to sleep."))
            return None
        if known is not None and request.generation <= known.generation:
            if known.generation == request.generation and known.lives:
                known.attach(peer, request.position)
                return known
            peer.say(Refused("This terminal is over."))
            return None
        pty = SimPty(request, self._on_written)
        self._on_opened(pty)
        if known is not None:
            known.end_with(Exit(signal="SIGHUP"))
        self.terminals[request.pane_id] = pty
        pty.attach(peer, request.position)
        return pty

    def attach(self, request: Attach, peer: TerminalPeer) -> SimPty | None:
        """Take up a terminal that is here."""
        pty = self.terminals.get(request.pane_id)
        if pty is None or pty.generation != request.generation:
            peer.say(Refused("This terminal is not here any more.", gone=True))
            return None
        pty.attach(peer, request.position)
        return pty

    def close(self, pane_id: str) -> None:
        """End a terminal and forget it."""
        pty = self.terminals.pop(pane_id, None)
        if pty is not None:
            pty.end_with(Exit(signal="SIGHUP"))

    def forget(self, pane_id: str) -> None:
        """The server has stored what it needs of a terminal that ended."""
        if pane_id in self.terminals and not self.terminals[pane_id].lives:
            del self.terminals[pane_id]

    def sleep(self, peer: SandboxPeer, *, force: bool) -> None:
        """Stop, unless something is busy."""
        if self._busy is not None and not force:
            peer.say(Busy(self._busy))
            peer.say(Refused(f"The sandbox is busy: {self._busy}."))
            return
        self._stop(peer)

    def sleep_by_itself(self) -> None:
        """Somebody else than the server stopped it."""
        self._stop(*self._controls)

    def _stop(self, *peers: SandboxPeer) -> None:
        self.stopped = True
        for pty in self.terminals.values():
            pty.end_with(Exit(signal="SIGHUP", asleep=True))
            pty.sandbox_stopped = True
        for peer in peers:
            peer.say(Stopped())

    def freeze(self, peer: SandboxPeer, *, force: bool) -> None:
        """Let all be frozen from outside, unless something is busy."""
        if self._busy is not None and not force:
            peer.say(Busy(self._busy))
            peer.say(Refused(f"The sandbox is busy: {self._busy}."))
        else:
            peer.say(Freezable())

    def die(self) -> None:
        """Without a word."""
        self.stopped = True
        for pty in self.terminals.values():
            pty.die()

    def _tell_busy(self) -> None:
        for peer in list(self._controls):
            peer.say(Busy(self._busy))
