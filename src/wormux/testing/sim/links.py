"""The links between a simulated server and its agents: one per terminal, and one control link per sandbox.

What is said waits in two lanes, one for each direction, until it is delivered or the link breaks.
"""

from __future__ import annotations

from collections.abc import Callable

from wormux.hub.inputs import TerminalLost
from wormux.ids import PaneId, SandboxId
from wormux.protocol.agent_link import Attach, Ended, Input, Open, Opened, Refused
from wormux.testing.sim.agent import SandboxSays, SimAgent, SimPty, TerminalSays
from wormux.testing.sim.lanes import Lane, Lanes

TerminalHears = TerminalSays | TerminalLost


class TerminalLink:
    """One terminal, from the moment it was asked for until its last event."""

    def __init__(
        self,
        lanes: Lanes,
        agent: SimAgent,
        request: Open | Attach,
        serial: int,
        deliver: Callable[[TerminalLink, TerminalHears], None],
    ) -> None:
        self.pane_id = PaneId(request.pane_id)
        self.generation = request.generation
        self.agent = agent
        self.pty: SimPty | None = None
        self.opened = False
        """`Opened` was delivered, and no end since: it is live as far as the server can know."""
        self.ended = False
        """Its last event was delivered."""
        self.over = False
        """Broken or let go of: nothing goes through any more."""
        self._held = False
        self._dead = False
        self._lingers = False
        self._lanes = lanes
        self._deliver = deliver
        self._keys = (("to terminal", self.pane_id, serial), ("from terminal", self.pane_id, serial))
        self._down: Lane = lanes.lane(*self._keys[0])
        self._up: Lane = lanes.lane(*self._keys[1])
        self.part(parted=agent.parted)
        self._down.post(lambda: self._ask(request))

    # --- The server's side -------------------------------------------------------------------------------

    def write(self, message: Input) -> None:
        self._send(lambda pty: pty.take(message))

    def answer(self, position: int, data: bytes) -> None:
        if self.opened:
            self._send(lambda pty: pty.answer(position, data))

    def hold(self, held: bool) -> None:
        """Hear nothing, from `Opened` on, until it is released or the agent dies."""
        self._held = held
        self._up.held = held and self.opened and not self._dead

    def resize(self, cols: int, rows: int) -> None:
        self._send(lambda pty: pty.resize(cols, rows))

    def close(self) -> None:
        """End the terminal and hear no more of it."""
        self._let_go(self._close)

    def forget(self) -> None:
        """Its end is stored."""
        self._let_go(self._forget)

    def detach(self, *, keep_sent: bool = False) -> None:
        """Let go of the link: the server is gone. With `keep_sent`, what it sent before still arrives."""
        self._lingers = keep_sent and not self.over and self.pty is not None
        self._end()

    def part(self, *, parted: bool) -> None:
        """The network lets nothing through, or does again."""
        self._down.stuck = self._up.stuck = parted

    def break_off(
        self, reason: str, *, dead: bool = False, keep_words: bool = False, keep_sent: bool = False
    ) -> None:
        """The link breaks. With `keep_words`, what the agent said before still arrives; with `keep_sent`, the agent
        does not know yet, and what was sent to it before still arrives there."""
        if self.over:
            return
        self._lingers = keep_sent and self.pty is not None
        self.over = True
        self._up.stuck = False
        if not self._lingers:
            if self.pty is not None:
                self.pty.detach(self)
            self._down.clear()
        if not keep_words:
            self._up.clear()
        if dead:
            self._dead = True
            self._up.held = False
        self._up.post(lambda: self._heard(TerminalLost(reason, dead)))

    def arrive(self) -> None:
        """All that was sent arrives at the terminal."""
        while len(self._down):
            self._down.deliver()

    # --- The agent's side --------------------------------------------------------------------------------

    def say(self, event: TerminalSays) -> None:
        if not self.over:
            self._up.post(lambda: self._heard(event))

    def hang_up(self, reason: str) -> None:
        self.break_off(reason, keep_words=True)

    def _ask(self, request: Open | Attach) -> None:
        if isinstance(request, Open):
            self.pty = self.agent.open(request, self)
        else:
            self.pty = self.agent.attach(request, self)

    def _send(self, action: Callable[[SimPty], None]) -> None:
        def arrive() -> None:
            if self.pty is not None and self.pty.serves(self):
                action(self.pty)

        if not self.over:
            self._down.post(arrive)

    def _let_go(self, last: Callable[[], None]) -> None:
        """Hear no more; `last` is still carried out at the agent."""
        self._up.clear()
        self._up.held = False
        self._deliver = _nobody
        if self.over:
            self._end()
        else:
            self._down.post(last)

    def _close(self) -> None:
        if self.pty is not None and self.agent.terminals.get(self.pane_id) is self.pty:
            self.agent.close(self.pane_id)
        self._end()

    def _forget(self) -> None:
        if self.pty is not None and self.agent.terminals.get(self.pane_id) is self.pty:
            self.agent.forget(self.pane_id)
        self._end()

    def _heard(self, event: TerminalHears) -> None:
        if isinstance(event, Ended | Refused | TerminalLost):
            self.ended = True
        if isinstance(event, Opened):
            self.opened = True
            self._up.held = self._held and not self._dead
        elif self.ended:
            self.opened = False
        self._deliver(self, event)

    def _end(self) -> None:
        self.over = True
        self._lanes.drop(*self._keys[1])
        if self._lingers:
            self._down.post(self._arrived)
        else:
            self._arrived()

    def _arrived(self) -> None:
        """All that was sent has arrived, or will not: the agent knows that the link is over."""
        if self.pty is not None:
            self.pty.detach(self)
        self._lanes.drop(*self._keys[0])

    def done(self) -> None:
        """Its last event was delivered, and nothing will be asked of it."""
        self._end()


class ControlLink:
    """The sandbox behind one agent."""

    def __init__(
        self,
        lanes: Lanes,
        agent: SimAgent,
        sandbox_id: SandboxId,
        serial: int,
        deliver: Callable[[ControlLink, SandboxSays | str], None],
    ) -> None:
        """A `str` is delivered when the link broke: the reason."""
        self.agent = agent
        self.sandbox_id = sandbox_id
        self.over = False
        self._lanes = lanes
        self._deliver = deliver
        self._keys = (("to sandbox", sandbox_id, serial), ("from sandbox", sandbox_id, serial))
        self._down: Lane = lanes.lane(*self._keys[0])
        self._up: Lane = lanes.lane(*self._keys[1])
        self.part(parted=agent.parted)
        agent.link(self)

    def part(self, *, parted: bool) -> None:
        """The network lets nothing through, or does again."""
        self._down.stuck = self._up.stuck = parted

    def post_first(self, delivery: Callable[[], None]) -> None:
        """What the server hears before anything else."""
        self._up.post(delivery)

    def sleep(self, *, force: bool) -> None:
        if not self.over:
            self._down.post(lambda: self.agent.sleep(self, force=force))

    def freeze(self, *, force: bool) -> None:
        if not self.over:
            self._down.post(lambda: self.agent.freeze(self, force=force))

    def close_terminal(self, pane_id: PaneId) -> None:
        if not self.over:
            self._down.post(lambda: self.agent.close(pane_id))

    def say(self, event: SandboxSays) -> None:
        if not self.over:
            self._up.post(lambda: self._deliver(self, event))

    def break_off(self, reason: str, *, keep_words: bool = False) -> None:
        """The link breaks."""
        if self.over:
            return
        self.agent.unlink(self)
        self.over = True
        self._up.stuck = False
        self._down.clear()
        if not keep_words:
            self._up.clear()
        self._up.post(lambda: self._deliver(self, reason))

    def done(self) -> None:
        """Let go of it."""
        self.over = True
        self.agent.unlink(self)
        for key in self._keys:
            self._lanes.drop(*key)


def _nobody(link: TerminalLink, event: TerminalHears) -> None:
    """Gets what must not be delivered any more."""
