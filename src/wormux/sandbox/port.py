"""The port to sandboxes: `Provider` starts and finds them, `Sandbox` is one that is awake, `Terminal` one pty in it.

Everything that happens comes back through the `deliver` callbacks, in order, on the event loop's thread, as the
plain messages of `protocol.agent_link` and `Lost`. Nothing here decides anything: the hub does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from wormux.ids import PaneId, SandboxId
from wormux.protocol.agent_link import (
    Attach,
    Busy,
    Ended,
    Foreground,
    InputAck,
    Open,
    Opened,
    Output,
    Ready,
    Refused,
    SizeMark,
    Stopped,
    Welcome,
)


@dataclass(frozen=True)
class Lost:
    """The link to the terminal or sandbox broke. The last event of its link.

    `dead` is true where it is known that no process is left behind it; `reason` is a sentence for the pane
    ("The agent was killed by SIGKILL.")."""

    reason: str
    dead: bool = False


@dataclass(frozen=True)
class Uncertain:
    """Whether the terminal took this client's input before `position`, as far as it is not acknowledged, will not be
    known: it is not written again."""

    client_id: str
    position: int


@dataclass(frozen=True)
class Frozen:
    """The sandbox sleeps with its processes kept: whoever wakes it may find its terminals as they were. The last event
    of its link; its terminals deliver nothing more."""


TerminalEvent = (
    Opened | Refused | Output | SizeMark | Ready | InputAck | Uncertain | Foreground | Ended | Lost
)
"""`Opened` or `Refused` (the last event then) comes first; `Ended` or `Lost` comes last."""
SandboxEvent = Busy | Stopped | Frozen | Refused | Lost
"""`Stopped`, `Frozen` or `Refused` answers `sleep`, `Frozen` or `Refused` answers `freeze`; `Stopped`, `Frozen` or
`Lost` comes last."""


class Terminal(ABC):
    """One pty of a sandbox, from the moment it was asked for. No method raises or blocks: once the link is over
    they do nothing, and the last event has said so."""

    @abstractmethod
    def write(self, client_id: str, position: int, data: bytes) -> None:
        """Input of a client, from `position` on in its stream. Kept in order, also before `Opened`."""

    @abstractmethod
    def answer(self, position: int, data: bytes) -> None:
        """What the terminal answers to the queries in the output before `position`: goes behind the input that was
        written before. Left out if that was answered already, if the program leaves too much of it unread, and if
        `Opened.answered` is None or has not come."""

    @abstractmethod
    def hold(self, held: bool) -> None:
        """While held, the terminal is not read, so that its program waits; events that were read already, `Opened`
        or `Refused`, and the news that the agent died come all the same. Everything else comes once it is released:
        also acknowledgements, the end, and that the link broke."""

    @abstractmethod
    def resize(self, cols: int, rows: int) -> None:
        """Set the size; answered by a `SizeMark` in its place among the output."""

    @abstractmethod
    def close(self) -> None:
        """End the terminal (SIGHUP, then SIGKILL), wherever its opening stands. No event comes after this."""

    @abstractmethod
    def forget(self) -> None:
        """After `Ended`: all that is needed was stored, the sandbox may drop what it kept."""

    @abstractmethod
    def detach(self) -> None:
        """Let go of the link and leave the terminal running. No event comes after this."""


class Sandbox(ABC):
    """A sandbox that is awake, and the link to it."""

    welcome: Welcome
    """What its agent said first: terminals that live there already, and what is busy."""

    @abstractmethod
    def terminal(self, request: Open | Attach, deliver: Callable[[TerminalEvent], None]) -> Terminal:
        """Open a new terminal or attach to one; returns at once. Fails by `Refused` or `Lost`."""

    @abstractmethod
    def sleep(self, *, force: bool) -> None:
        """Ask it to stop, if nothing is busy or with `force`. `Frozen` is the answer of a sandbox whose terminals may
        outlast that, for it is not this server that ends them."""

    @abstractmethod
    def freeze(self, *, force: bool) -> None:
        """Ask it to stand still with all that it has in memory, if nothing is busy or with `force`. `Provider.start`
        has it go on. `Refused` where the provider cannot freeze."""

    @abstractmethod
    def close_terminal(self, pane_id: PaneId) -> None:
        """End a terminal that nobody is attached to (its pane was closed while the server was away)."""

    @abstractmethod
    def detach(self) -> None:
        """Let go of the link; the sandbox stays awake. No event comes after this."""


class Provider(ABC):
    """Starts, finds and destroys the sandboxes of one kind. Operations on one sandbox run one after the other."""

    name: str

    @property
    @abstractmethod
    def cannot_freeze(self) -> str | None:
        """Why no sandbox of this kind can be frozen here, as a sentence; None if they can."""

    @abstractmethod
    async def start(self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]) -> Sandbox:
        """Wake it, making it if need be, and have it go on if it is frozen; idempotent. Raises `SandboxError` with the
        reason."""

    @abstractmethod
    async def find(
        self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]
    ) -> Sandbox | Frozen | None:
        """Link up with it if it is awake; one that is frozen goes on, but nothing is ever started. `Frozen` where its
        terminals may live on and only `start` can tell. Raises `SandboxError`."""

    @abstractmethod
    async def destroy(self, sandbox_id: SandboxId) -> None:
        """End its processes and remove its files; nothing to do if it never was. Raises `SandboxError`."""

    @abstractmethod
    async def list(self) -> tuple[SandboxId, ...]:
        """All sandboxes of this kind that exist for this server, awake or not."""

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of every link; sandboxes stay as they are."""
