"""A pane: one leaf of a layout and the stream of output that it has had through many ptys.

Plain state. What may follow what is `lifecycle`'s, opening and closing is `terminals`', output is `flow`'s,
input is `typing`'s.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from wormux.hub.effects import Effect
from wormux.hub.lifecycle import PaneEvent, PanePhase, next_pane_phase
from wormux.hub.log import OutputLog
from wormux.hub.title import TitleScanner
from wormux.ids import Channel, ClientId, PaneId, SessionId, TabId
from wormux.limits import POSITION_MARK_BYTES
from wormux.protocol.agent_link import Exit
from wormux.protocol.messages import DiscardReason, ExitInfo, PaneInfo, PaneStatus
from wormux.protocol.screen_link import CheckpointTaken
from wormux.records import PaneRecord, Rest


@dataclass(slots=True)
class Terminal:
    """The live terminal behind a pane. That it is here is what `connected` means."""

    generation: int
    ready: bool
    """The shell reads; until then input waits, or it would be echoed twice."""
    takes_answers: bool = True
    """Its agent knows what to do with answers to queries."""
    resized: bool = False
    """It was opened with its size, or told it over the present link."""
    start: int = 0
    """Position of its first byte, as far as is known; else 0."""


@dataclass(slots=True)
class PaneScreen:
    """The screen that a pane has now, as far as the hub knows it. `screens` moves it."""

    epoch: int
    position: int
    """Of the next byte to feed."""
    done: int
    """All before it is in the screen."""
    size: tuple[int, int]
    """Columns and rows that it was last told."""
    held: bool = False
    """The terminal waits for it."""
    redraws: set[tuple[int, int]] = field(default_factory=set)
    """Names (lines, position) of those on their way."""
    checkpoints: int = 0
    """How many are on their way."""


@dataclass(slots=True)
class Attempt:
    """An attempt to give a pane a terminal, from its start until the answer."""

    generation: int | None = None
    """Of the terminal that was asked for; None while the sandbox is waited for."""


@dataclass(slots=True, eq=False)
class Segment:
    """Input of one client, in one piece, until the terminal has it or it is named as discarded."""

    client_id: ClientId
    position: int
    data: bytes
    at_s: float
    """When it came."""
    settled: bool = False
    sent: bool = False
    """It is in flight."""
    late: bool = False
    """Its time was up while nobody could say whether the terminal took it."""

    @property
    def end(self) -> int:
        return self.position + len(self.data)


@dataclass(slots=True)
class InputStream:
    """One client's input to one pane, numbered."""

    received: int = 0
    """Position of the next byte that is expected."""
    taken: int = 0
    """All before it was handed to the terminal or named as discarded."""
    written: int = 0
    """All before it was handed to the terminal, as far as the agent said."""
    asked: bool = False
    """After a restart, until the agent has said how far it took."""
    pending: deque[Segment] = field(default_factory=deque)
    """What lies between `taken` and `received`, in order."""
    notices: deque[tuple[int, int, DiscardReason]] = field(default_factory=deque)
    """(from, to, reason) of what was discarded, to be said again after a cut."""


@dataclass(slots=True)
class Wish:
    """The size that one client wants for a pane."""

    cols: int
    rows: int
    wished: int
    """Order of wishes."""


@dataclass(slots=True)
class Pane:
    """See the module. Times on the monotonic clock in seconds, unless `_ms`."""

    id: PaneId
    tab_id: TabId
    session_id: SessionId
    channel: Channel
    channel_rev: int
    """The `rev` that gave the channel to this pane, if another one had it before; else 0."""
    cols: int
    rows: int
    log: OutputLog
    generation: int = 0
    """Of the newest terminal that was asked for."""
    position_mark: int = 0
    """Stored: no byte at or past it is sent."""
    coming_end: int = 0
    """Output before it is on its way: the agent said that it has it, and an earlier server may have sent it."""
    phase: PanePhase = PanePhase.STARTING
    terminal: Terminal | None = None
    attempt: Attempt | None = None
    woken: bool = False
    """A key asked for a terminal, and there is none yet: a retry may start the sandbox."""
    restored: bool = False
    """It comes from the store and has had no terminal since: an agent may know more of its streams."""
    surviving: bool = False
    """The terminal of `generation` may still run out of reach: attach before opening anew."""
    over_generation: int = 0
    """Of the newest terminal whose end stands in the stream: nothing it wrote can follow."""
    failures: int = 0
    """Attempts in a row that failed."""
    retry_at_s: float | None = None
    closing: bool = False
    """It goes as soon as its layout is changed; nothing wakes it any more."""
    reason: str = ""
    exit: Exit | None = None
    closed_at_ms: int = 0
    """When the last terminal ended; 0 while one lives or none ever did."""
    slept: bool = False
    """The last terminal was closed by sleep."""
    title: str = ""
    titles: TitleScanner = field(default_factory=TitleScanner)
    cwd: str | None = None
    beside: PaneId | None = None
    """The pane that it was split from: its first shell starts in that one's directory."""
    command: str | None = None
    is_shell: bool = True
    """The foreground program is the pane's own shell, as far as is known."""
    gone_rev: int = 0
    """The `rev` that said that a program other than the shell is gone."""
    queue: deque[Segment] = field(default_factory=deque)
    """Input that waits for a terminal, in the order of arrival."""
    queue_shown: bool = False
    """Some client was told that something waits, so that all are told when that changes."""
    inflight: deque[Segment] = field(default_factory=deque)
    """Input that was written and not acknowledged; settled pieces linger behind unsettled ones."""
    queued_bytes: int = 0
    inflight_bytes: int = 0
    streams: dict[ClientId, InputStream] = field(default_factory=dict)
    wishes: dict[ClientId, Wish] = field(default_factory=dict)
    typists: dict[ClientId, int] = field(default_factory=dict)
    """When each client last typed here, in order."""
    screen: PaneScreen | None = None
    screen_epoch: int = 0
    screens_lost: int = 0
    """In a row, without any that came to read."""
    kept: CheckpointTaken | None = None
    """The newest checkpoint: where the next screen begins."""
    checkpoint_at_s: float = float("-inf")
    """When the last one was asked for."""
    checkpoint_wanted: int | None = None
    """A checkpoint at or past this position is asked for, and not here."""
    checkpoint_then: list[tuple[int, Effect]] = field(default_factory=list)
    """To be done once a checkpoint at or past the position is stored."""
    answered: int = 0
    """Queries in the output before it were answered, or are not to be."""
    colors: tuple[int, int, int] | None = None
    """Foreground, background and cursor (0xRRGGBB), as programs are told."""
    attempt_at_s: float = float("-inf")
    """When the last attempt began."""

    def move(self, event: PaneEvent, terminal: Terminal | None = None) -> None:
        """Take the step that `event` means; the live terminal comes and goes here, and nowhere else."""
        self.phase = next_pane_phase(self.phase, event)
        self.terminal = terminal
        if event in (PaneEvent.SLEPT, PaneEvent.FROZEN, PaneEvent.LOST, PaneEvent.ENDED):
            self.slept = event in (PaneEvent.SLEPT, PaneEvent.FROZEN)

    @property
    def connected(self) -> bool:
        """Derived, never stored: a live terminal stands behind the pane."""
        return self.terminal is not None

    @property
    def sendable_end(self) -> int:
        """Output before it may be sent: the stored mark keeps positions from naming two bytes after a crash."""
        return min(self.log.end, self.position_mark)

    @property
    def next_mark(self) -> int:
        """The mark to store next: well ahead of the stream, and rarely another one."""
        if self.log.end + POSITION_MARK_BYTES // 2 > self.position_mark:
            return self.log.end + POSITION_MARK_BYTES
        return self.position_mark

    def info(self, retry_at_ms: int | None) -> PaneInfo:
        """As clients see it."""
        status: PaneStatus = self.phase.value
        exit_info = None
        if self.phase == PanePhase.EXITED and self.exit is not None:
            exit_info = ExitInfo(code=self.exit.code, signal=self.exit.signal)
        return PaneInfo(
            status=status,
            cols=self.cols,
            rows=self.rows,
            title=self.title,
            queued=self.queued_bytes,
            cwd=self.cwd,
            command=self.command if self.connected else None,
            reason=self.reason or None,
            retry_at=retry_at_ms if self.phase == PanePhase.DISCONNECTED else None,
            exit=exit_info,
            since=None if self.connected else self.closed_at_ms or None,
        )

    def record(self, position_mark: int) -> PaneRecord:
        """As it is stored, with this mark."""
        rests = {PanePhase.ASLEEP: Rest.ASLEEP, PanePhase.EXITED: Rest.EXITED, PanePhase.FAILED: Rest.FAILED}
        rest = rests.get(self.phase, Rest.LIVE)
        if rest == Rest.ASLEEP and self.surviving:
            rest = Rest.LIVE
        if rest == Rest.LIVE and 0 < self.generation == self.over_generation:
            # The next terminal is wanted, and not asked for yet: nothing to attach to.
            rest = Rest.ASLEEP if self.slept else Rest.EXITED if self.exit is not None else Rest.LIVE
        return PaneRecord(
            id=self.id,
            tab_id=self.tab_id,
            channel=self.channel,
            channel_rev=self.channel_rev,
            cols=self.cols,
            rows=self.rows,
            generation=self.generation,
            position_mark=position_mark,
            rest=rest,
            reason=self.reason,
            exit_code=self.exit.code if self.exit else None,
            exit_signal=self.exit.signal if self.exit else None,
            closed_at_ms=self.closed_at_ms,
            title=self.title,
            cwd=self.cwd,
        )
