"""The server's end of the links to one agent: `ControlLink` for the sandbox, `PaneLink` for each terminal in it.

What an agent says is untrusted: a message that makes no sense where the link stands ends it, as `Lost`. Nothing is
delivered from inside a call of the owner; what happens comes from the event loop.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

from wormux.errors import LinkError, SandboxError
from wormux.ids import PaneId
from wormux.limits import (
    ANSWERS_UNWRITTEN_BYTES,
    CLIENT_ID_CHARS,
    LINK_INPUT_BYTES,
    MAX_COLS,
    MAX_ROWS,
    MIN_COLS,
    MIN_ROWS,
    OPEN_WITHIN_S,
    STOP_WITHIN_S,
)
from wormux.protocol.agent_link import (
    VERSION,
    Answer,
    Attach,
    Busy,
    Close,
    Ended,
    Foreground,
    Forget,
    Freezable,
    Freeze,
    Hello,
    Input,
    InputAck,
    Message,
    Open,
    Opened,
    Output,
    Ready,
    Refused,
    Resize,
    SizeMark,
    Sleep,
    Stopped,
    Welcome,
)
from wormux.sandbox.life import Life
from wormux.sandbox.port import Frozen, Lost, Sandbox, SandboxEvent, Terminal, TerminalEvent
from wormux.sandbox.wire import Dial, Wire

_SIGNAL = re.compile(r"SIG[A-Z0-9+-]{1,16}")
_LAST_EVENTS_WITHIN_S = 1.0
"""How long `Stopped` waits for the last events of the terminals, which come on links of their own."""


@dataclass(frozen=True)
class Outside:
    """What a link needs to know of its sandbox from outside of it."""

    dial: Dial
    life_of: Callable[[int], Life]
    """The life of the agent; called with the process at the other end of a link, as far as the kernel knows it."""
    freeze: Callable[[], Awaitable[None]] | None = None
    """Has every process in it stand still, the agent included. Raises `SandboxError`: then they go on."""
    explain: Callable[[Lost], Awaitable[Lost]] | None = None
    """Says more of why it was lost, where that is known."""


class _Stand(Enum):
    """Where a pane's link stands."""

    OPENING = auto()
    LIVE = auto()
    ENDED = auto()
    """Its last event was delivered; `forget` may follow."""
    OVER = auto()


class PaneLink(Terminal):
    """One terminal. Made by `ControlLink.terminal`."""

    def __init__(
        self,
        control: ControlLink,
        dial: Dial,
        request: Open | Attach,
        deliver: Callable[[TerminalEvent], None],
    ) -> None:
        self._control = control
        self._request = request
        self._deliver = deliver
        self._stand = _Stand.OPENING
        self._position = request.position
        self._takes_answers = False
        self._is_held = False
        self._watching: Callable[[], None] | None = None
        """Ends the watch over the agent's life, while held."""
        self._explaining: asyncio.Task[None] | None = None
        self._wire = Wire(dial, self._received, self._broken)
        self._wire.send(Hello("pane"))
        self._wire.send(request)
        self._deadline = asyncio.get_running_loop().call_later(OPEN_WITHIN_S, self._unanswered)

    @property
    def is_done(self) -> bool:
        """Whether its last event was delivered, or none is wanted."""
        return self._stand in (_Stand.ENDED, _Stand.OVER)

    def write(self, client_id: str, position: int, data: bytes) -> None:
        if self.is_done:
            return
        for start in range(0, len(data), LINK_INPUT_BYTES):
            part = data[start : start + LINK_INPUT_BYTES]
            self._wire.send(Input(client_id, position + start, part))

    def answer(self, position: int, data: bytes) -> None:
        if self._takes_answers and not self.is_done:
            if len(data) > ANSWERS_UNWRITTEN_BYTES:
                data = b""  # the agent would leave it out, but has to know that it is settled
            self._wire.send(Answer(position, data))

    def hold(self, held: bool) -> None:
        self._is_held = held
        self._apply_hold()

    def resize(self, cols: int, rows: int) -> None:
        if not self.is_done:
            self._wire.send(Resize(cols, rows))

    def close(self) -> None:
        if self._stand is _Stand.OVER:
            return
        was_asked = self._wire.is_connected or isinstance(self._request, Attach)
        self._end(_Stand.OVER)
        if self._wire.is_over:  # broken, which does not mean that the terminal ended
            self._control.send(Close(self._request.pane_id))
        elif was_asked:
            self._wire.send(Close())
            self._wire.linger()
        else:
            self._wire.abort()

    def forget(self) -> None:
        if self._stand is _Stand.ENDED:
            self._end(_Stand.OVER)
            message = Forget(self._request.pane_id)
            if self._wire.is_over:
                self._control.send(message)
            else:
                self._wire.send(message)
                self._wire.finish()

    def detach(self) -> None:
        if self._stand is not _Stand.OVER:
            self._end(_Stand.OVER)
            self._wire.finish()

    def _received(self, message: Message) -> None:
        if self._stand is _Stand.ENDED:
            self._wire.abort()
            return
        try:
            event = self._checked(message)
        except LinkError as error:
            self._wire.abort()
            self._last(Lost(str(error)))
            return
        if isinstance(event, Refused):
            self._wire.finish()
            self._last(event)
        elif isinstance(event, Ended):
            self._last(event, _Stand.ENDED)
        else:
            self._deliver(event)

    def _checked(self, message: Message) -> TerminalEvent:
        """The message, if it makes sense here. Raises `LinkError`."""
        if self._stand is _Stand.OPENING:
            if isinstance(message, Opened):
                self._check_opened(message)
                self._deadline.cancel()
                self._stand = _Stand.LIVE
                self._position = message.position
                self._takes_answers = message.answered is not None
                self._apply_hold()
                return message
            if isinstance(message, Refused):
                return message
        elif self._stand is _Stand.LIVE:
            if isinstance(message, Output):
                self._position += len(message.data)
                return message
            if isinstance(message, InputAck):
                _check(len(message.client_id) <= CLIENT_ID_CHARS, "a client that cannot be")
                return message
            if isinstance(message, SizeMark):
                _check(message.position == self._position, "a size out of its place")
                _check_size(message)
                return message
            if isinstance(message, Ended):
                _check(message.position == self._position, "an end out of its place")
                _check(
                    message.exit.signal is None or _SIGNAL.fullmatch(message.exit.signal), "an unknown signal"
                )
                return message
            if isinstance(message, (Ready, Foreground)):
                return message
        raise LinkError(f"The agent sent {type(message).__name__} where it makes no sense.")

    def _check_opened(self, opened: Opened) -> None:
        _check(opened.position <= opened.end, "a terminal that begins after its end")
        if isinstance(self._request, Attach):
            comes_as_far = opened.position >= self._request.position or opened.position == opened.end
            _check(comes_as_far, "output that was not asked for")
        else:
            _check(opened.position >= self._request.position, "output that was not asked for")
        if opened.answered is not None:
            _check(opened.answered <= opened.end, "answers to what was not written")
        _check(len(opened.sizes) > 0 and opened.sizes[0].position <= opened.position, "no size")
        for mark in opened.sizes:
            _check_size(mark)

    def _apply_hold(self) -> None:
        """Read or do not read. What is not read does not say that it ended, so the agent's life is watched."""
        held = self._is_held and self._stand is _Stand.LIVE
        self._wire.hold(held)
        if not held:
            if self._watching is not None:
                self._watching()
                self._watching = None
        elif self._watching is None and self._control.life is not None:
            self._watching = self._control.life.on_end(self._agent_ended)

    def _agent_ended(self) -> None:
        """What the agent had sent until then is in the socket, and then its end: no more than the kernel holds."""
        self.hold(False)

    def _unanswered(self) -> None:
        self._wire.abort()
        self._last(Lost(f"The sandbox did not answer within {OPEN_WITHIN_S:g} seconds."))

    def _broken(self, sentence: str | None) -> None:
        if self.is_done:
            return
        if sentence is not None:
            self._last(Lost(sentence))
        else:
            self._deadline.cancel()
            self._explaining = asyncio.get_running_loop().create_task(self._explain())

    async def _explain(self) -> None:
        lost = await self._control.explain()
        self._explaining = None
        self._last(lost)

    def _last(self, event: TerminalEvent, stand: _Stand = _Stand.OVER) -> None:
        self._end(stand)
        self._deliver(event)

    def _end(self, stand: _Stand) -> None:
        self._stand = stand
        self._apply_hold()  # so that the peer's end is seen, and what it says until then is got rid of
        self._deadline.cancel()
        if self._explaining is not None:
            self._explaining.cancel()
        self._control.pane_done(self)


class AgentMissing(SandboxError):
    """Nobody listens on the agent's socket, or nobody who says a word."""


class ControlLink(Sandbox):
    """The sandbox behind one agent's socket. Made by `connect`."""

    def __init__(
        self,
        outside: Outside,
        deliver: Callable[[SandboxEvent], None],
        on_over: Callable[[ControlLink], None],
    ) -> None:
        self.life: Life | None = None
        """Of the agent; known since its welcome."""
        self._outside = outside
        self._deliver = deliver
        self._on_over = on_over
        self._held: list[SandboxEvent] | None = []
        """Events that came before the owner of the link has it in hands; None from then on."""
        self._over = asyncio.Event()
        self._is_stopped = False
        self._deadline: asyncio.TimerHandle | None = None
        self._explaining: asyncio.Task[None] | None = None
        self._asked: list[Sleep | Freeze] = []
        """Requests to sleep or to freeze that the agent has not answered yet."""
        self._freezing: asyncio.Task[None] | None = None
        self._panes: set[PaneLink] = set()
        self._loop = asyncio.get_running_loop()
        self._welcomed: asyncio.Future[Welcome] = self._loop.create_future()
        self._wire = Wire(outside.dial, self._received, self._broken)
        self._wire.send(Hello("control"))

    @classmethod
    async def connect(
        cls,
        outside: Outside,
        deliver: Callable[[SandboxEvent], None],
        on_over: Callable[[ControlLink], None],
    ) -> ControlLink:
        """Link up with the agent. `on_over` is called once, when the link is of no more use.

        Raises `AgentMissing`, and `SandboxError` for an agent that does not answer as it must."""
        link = cls(outside, deliver, on_over)
        try:
            async with asyncio.timeout(OPEN_WITHIN_S):
                link.welcome = await link._welcomed
        except TimeoutError:
            link._wire.abort()
            raise SandboxError(f"The agent did not answer within {OPEN_WITHIN_S:g} seconds.") from None
        except BaseException:
            link._wire.abort()
            raise
        link._loop.call_soon(link._release)  # after the step in which the caller goes on
        return link

    async def look_again(self) -> None:
        """Bring `welcome` up to date, by asking on a link of its own. Raises as `connect` does."""
        other = await ControlLink.connect(self._outside, _nobody, lambda _: None)
        self.welcome = other.welcome
        other.detach()

    def deliver_to(self, deliver: Callable[[SandboxEvent], None]) -> None:
        """From now on, events go there."""
        self._deliver = deliver

    @property
    def is_ending(self) -> bool:
        """Its last event is on the way."""
        return self._wire.is_over or self._is_stopped

    @property
    def is_over(self) -> bool:
        """Its last event was delivered, or is kept for who gets it in hands, or it was let go of."""
        return self._over.is_set()

    async def wait_over(self) -> None:
        """Until its last event was delivered, or it was let go of."""
        await self._over.wait()

    def terminal(self, request: Open | Attach, deliver: Callable[[TerminalEvent], None]) -> Terminal:
        pane = PaneLink(self, self._outside.dial, request, deliver)
        self._panes.add(pane)
        return pane

    def sleep(self, *, force: bool) -> None:
        if not self._over.is_set() and not self._is_stopped:
            self._ask(Sleep(force))

    def freeze(self, *, force: bool) -> None:
        if self._over.is_set() or self._is_stopped:
            return
        if self._outside.freeze is None:
            self._refuse("Sandboxes of this kind cannot be frozen.")
        elif not self.welcome.freezes:
            self._refuse("This sandbox was started by an older version of Wormux and cannot be frozen.")
        else:
            self._ask(Freeze(force))

    def close_terminal(self, pane_id: PaneId) -> None:
        self.send(Close(pane_id))

    def detach(self) -> None:
        """Lets go of the links to its terminals as well."""
        if not self._over.is_set():
            self._end()
            self._held = None
            self._deliver = _nobody
            self._wire.finish()
            for pane in tuple(self._panes):
                pane.detach()

    def send(self, message: Message) -> None:
        """Nothing happens once the link is over."""
        self._wire.send(message)

    async def explain(self) -> Lost:
        """Why a link to this agent broke."""
        if self.life is None:
            return Lost("The link to the sandbox broke.")
        lost = await self.life.explain()
        return lost if self._outside.explain is None else await self._outside.explain(lost)

    def pane_done(self, pane: PaneLink) -> None:
        """A terminal's last event is on its way to its owner, or none is wanted."""
        self._panes.discard(pane)
        if self._is_stopped and not self._panes and not self._over.is_set():
            self._set_deadline(0, self._all_stopped)

    def _received(self, message: Message) -> None:
        if not self._welcomed.done():
            self._received_first(message)
        elif isinstance(message, Busy):
            self._give(message)
        elif isinstance(message, (Refused, Freezable, Stopped)) and self._is_asked_for(message):
            self._answered(message)
        else:
            self._wire.abort()
            self._last(Lost(f"The agent sent {type(message).__name__} where it makes no sense."))

    def _is_asked_for(self, answer: Refused | Freezable | Stopped) -> bool:
        """One of the requests that wait may have this answer, which settles it. A refusal settles the last one: an
        agent that is ending refuses what comes later at once."""
        if self._is_stopped:
            return False
        for at in reversed(range(len(self._asked))):
            asked_to_sleep = isinstance(self._asked[at], Sleep)
            if isinstance(answer, Refused) or isinstance(answer, Stopped) is asked_to_sleep:
                del self._asked[at]
                return True
        return False

    def _answered(self, answer: Refused | Freezable | Stopped) -> None:
        if not self._asked:
            self._set_deadline(None)
        if isinstance(answer, Refused):
            self._give(answer)
        elif isinstance(answer, Stopped):
            self._is_stopped = True
            self._set_deadline(_LAST_EVENTS_WITHIN_S if self._panes else 0, self._all_stopped)
        elif self._freezing is None:
            self._freezing = self._loop.create_task(self._freeze())

    def _received_first(self, message: Message) -> None:
        error: SandboxError
        if isinstance(message, Refused):
            error = SandboxError(message.reason)
        elif not isinstance(message, Welcome):
            error = LinkError(f"The agent sent {type(message).__name__} where it makes no sense.")
        elif message.version != VERSION:
            error = LinkError(
                f"The agent in the sandbox is of another version ({message.version}, not {VERSION}). "
                "End its shells, so that a new one can start."
            )
        else:
            try:
                self.life = self._outside.life_of(self._wire.peer_pid or message.pid)
            except SandboxError as unknown:
                error = unknown
            else:
                self._welcomed.set_result(replace(message, pid=self.life.pid))  # as it is known out here
                return
        self._wire.abort()
        self._welcomed.set_exception(error)

    def _broken(self, sentence: str | None) -> None:
        if self._over.is_set() or self._is_stopped:
            return
        if not self._welcomed.done():
            self._welcomed.set_exception(
                LinkError(sentence)
                if sentence is not None
                else AgentMissing("No agent answers in the sandbox.")
            )
        elif sentence is not None:
            self._last(Lost(sentence))
        else:
            self._explaining = self._loop.create_task(self._explain())

    async def _freeze(self) -> None:
        assert self._outside.freeze is not None
        try:
            await self._outside.freeze()
        except SandboxError as error:
            if not self._over.is_set():
                self._give(Refused(str(error)))
            return
        finally:
            self._freezing = None
        if not self._over.is_set():
            for pane in tuple(self._panes):
                pane.detach()
            self._wire.finish()
            self._last(Frozen())

    def _ask(self, request: Sleep | Freeze) -> None:
        self.send(request)
        self._asked.append(request)
        self._set_deadline(STOP_WITHIN_S, self._unstopped)

    def _refuse(self, reason: str) -> None:
        self._loop.call_soon(self._give, Refused(reason))

    async def _explain(self) -> None:
        lost = await self.explain()
        self._explaining = None
        self._last(lost)

    def _unstopped(self) -> None:
        self._wire.abort()
        self._last(Lost(f"The sandbox did not stop within {STOP_WITHIN_S:g} seconds."))

    def _all_stopped(self) -> None:
        self._wire.finish()
        self._last(Stopped())

    def _last(self, event: SandboxEvent) -> None:
        self._end()
        self._give(event)

    def _give(self, event: SandboxEvent) -> None:
        if self._held is not None:
            self._held.append(event)
        else:
            self._deliver(event)

    def _release(self) -> None:
        events, self._held = self._held or [], None
        for event in events:
            self._deliver(event)

    def _end(self) -> None:
        self._over.set()
        self._set_deadline(None)
        if self._explaining is not None:
            self._explaining.cancel()
        self._on_over(self)

    def _set_deadline(self, delay_s: float | None, then: Callable[[], None] | None = None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if delay_s is None or then is None:
            self._deadline = None
        else:
            self._deadline = self._loop.call_later(delay_s, then)


def _nobody(event: SandboxEvent) -> None:
    """Gets what must not be delivered any more."""


def _check(is_right: object, what_is_wrong: str) -> None:
    if not is_right:
        raise LinkError(f"The agent told of {what_is_wrong}.")


def _check_size(mark: SizeMark) -> None:
    fits = MIN_COLS <= mark.cols <= MAX_COLS and MIN_ROWS <= mark.rows <= MAX_ROWS
    _check(fits, "a size that no terminal has")
