"""What happens to sandboxes, terminals, connections and saves: counted, and told to the operator, a line each.

The driver says what its hub wants and takes; nothing here changes anything. No line ever holds terminal bytes, tokens
or cookies: it names things by their ids, and says the reasons that clients are shown as well.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from wormux.errors import StoreError
from wormux.hub.effects import FindSandbox, OpenTerminal, WakeSandbox
from wormux.hub.inputs import (
    ClientConnected,
    ClientGone,
    Input,
    SandboxAwake,
    SandboxDestroyed,
    SandboxFailed,
    SandboxFrozen,
    SandboxInput,
    SandboxLost,
    SandboxMissing,
    TerminalInput,
    TerminalLost,
)
from wormux.ids import PaneId, SandboxId, SessionId
from wormux.limits import PANES
from wormux.protocol.agent_link import Ended, Opened, Refused, Stopped
from wormux.server.counts import Counts
from wormux.server.logs import fields

logger = logging.getLogger(__name__)

SessionOf = Callable[[SandboxId], SessionId | None]


class Journal:
    """See the module. Used on the event loop's thread."""

    def __init__(self, counts: Counts, session_of: SessionOf = lambda _: None) -> None:
        self.counts = counts
        self._session_of = session_of
        self._waking: dict[SandboxId, float] = {}
        """When it was asked for, on the monotonic clock; so in the others."""
        self._finding: set[SandboxId] = set()
        self._opening: dict[tuple[PaneId, int], float] = {}
        self._saving: list[float] = []
        """When each save under way began, in order."""
        self._failing = False
        """The last save failed."""
        self._inputs: dict[type, Callable[[Any], None]] = {
            SandboxInput: self._sandbox,
            TerminalInput: self._terminal,
            ClientConnected: self._connected,
            ClientGone: self._gone,
        }
        self._terminals: dict[type, Callable[[TerminalInput, Any], None]] = {
            Opened: self._opened,
            Refused: self._refused,
            TerminalLost: self._terminal_lost,
            Ended: self._ended,
        }
        self._sandboxes: dict[type, Callable[[SandboxId, Any], None]] = {
            SandboxAwake: self._awake,
            SandboxFailed: self._failed,
            SandboxMissing: self._missing,
            SandboxFrozen: self._frozen,
            SandboxLost: self._lost,
            SandboxDestroyed: self._destroyed,
            Stopped: self._stopped,
            Refused: self._stays_awake,
        }

    def wanted(self, effect: WakeSandbox | FindSandbox | OpenTerminal) -> None:
        """The hub wants this; what comes of it is taken later."""
        now_s = time.monotonic()
        match effect:
            case WakeSandbox(sandbox_id, provider):
                self._waking[sandbox_id] = now_s
                logger.debug("A sandbox is woken.", extra=self._about(sandbox_id, provider=provider))
            case FindSandbox(sandbox_id):
                self._finding.add(sandbox_id)
            case OpenTerminal(_, request):
                self._opening[PaneId(request.pane_id), request.generation] = now_s
                if len(self._opening) > PANES:  # panes that were closed meanwhile hear nothing more
                    del self._opening[next(iter(self._opening))]

    def took(self, event: Input) -> None:
        """The hub is about to take this. Nearly free for what is not told."""
        handle = self._inputs.get(type(event))
        if handle is not None:
            handle(event)

    def agent_lost(self) -> None:
        """A sandbox's link ended because nothing is left behind it."""
        self.counts.agents_lost += 1

    # --- Saves -------------------------------------------------------------------------------------------

    def save_begins(self) -> None:
        now_s = time.monotonic()
        self._saving.append(now_s)
        self.counts.saves_under_way += 1
        if self.counts.unsaved_since_s is None:
            self.counts.unsaved_since_s = now_s

    def save_ends(self, *, stored: bool, error: BaseException | None) -> None:
        """In the order in which they began."""
        counts, began_s = self.counts, self._saving.pop(0)
        counts.saves_under_way -= 1
        counts.save_times.observe(time.monotonic() - began_s)
        if stored:
            counts.saves += 1
            counts.unsaved_since_s = self._saving[0] if self._saving else None
            if self._failing:
                logger.info("Changes are stored again.")
        else:
            counts.saves_failed += 1
            if not self._failing:  # it is tried every second: once is enough
                why = str(error) if isinstance(error, StoreError) else "The server failed; see above."
                logger.error("Changes cannot be stored: %s", why)
        self._failing = not stored

    # --- Connections -------------------------------------------------------------------------------------

    def _connected(self, event: ClientConnected) -> None:
        self.counts.connections += 1
        self.counts.connections_opened += 1
        logger.info("A client came.", extra=fields(connection=event.connection_id))

    def _gone(self, event: ClientGone) -> None:
        logger.info("A client went.", extra=fields(connection=event.connection_id))

    # --- Sandboxes ---------------------------------------------------------------------------------------

    def _about(self, sandbox_id: SandboxId, **more: object) -> dict[str, object]:
        return fields(session=self._session_of(sandbox_id), sandbox=sandbox_id, **more)

    def _sandbox(self, event: SandboxInput) -> None:
        handle = self._sandboxes.get(type(event.event))
        if handle is not None:
            handle(event.sandbox_id, event.event)

    def _awake(self, sandbox_id: SandboxId, event: SandboxAwake) -> None:
        began_s = self._waking.pop(sandbox_id, None)
        took_s = None if began_s is None else time.monotonic() - began_s
        about = self._about(
            sandbox_id,
            agent=event.welcome.pid,
            terminals=len(event.welcome.terminals),
            took_s=_shown_s(took_s),
        )
        if took_s is not None:
            self.counts.wakes["awake"].observe(took_s)
            logger.info("A sandbox woke.", extra=about)
        else:
            self._found("awake", sandbox_id)
            logger.info("A sandbox that runs was found.", extra=about)

    def _failed(self, sandbox_id: SandboxId, event: SandboxFailed) -> None:
        began_s = self._waking.pop(sandbox_id, None)
        took_s = None if began_s is None else time.monotonic() - began_s
        about = self._about(sandbox_id, reason=event.reason, took_s=_shown_s(took_s))
        if took_s is not None:
            self.counts.wakes["failed"].observe(took_s)
            logger.warning("A sandbox did not wake.", extra=about)
        elif self._found("failed", sandbox_id):
            logger.warning("A sandbox could not be looked for.", extra=about)
        else:
            logger.warning("A sandbox could not be destroyed.", extra=about)

    def _found(self, outcome: str, sandbox_id: SandboxId) -> bool:
        if sandbox_id not in self._finding:
            return False
        self._finding.discard(sandbox_id)
        self.counts.finds[outcome] += 1
        return True

    def _missing(self, sandbox_id: SandboxId, _: SandboxMissing) -> None:
        self._found("missing", sandbox_id)
        logger.debug("A sandbox does not run.", extra=self._about(sandbox_id))

    def _frozen(self, sandbox_id: SandboxId, _: SandboxFrozen) -> None:
        if self._found("frozen", sandbox_id):
            logger.info("A frozen sandbox was found.", extra=self._about(sandbox_id))
        else:
            self.counts.sleeps["frozen"] += 1
            logger.info("A sandbox sleeps, frozen.", extra=self._about(sandbox_id))

    def _stopped(self, sandbox_id: SandboxId, _: Stopped) -> None:
        self.counts.sleeps["stopped"] += 1
        logger.info("A sandbox sleeps.", extra=self._about(sandbox_id))

    def _stays_awake(self, sandbox_id: SandboxId, _: Refused) -> None:
        self.counts.sleeps["refused"] += 1  # the reason names programs: that is for clients
        logger.info("A sandbox stays awake: it is busy.", extra=self._about(sandbox_id))

    def _lost(self, sandbox_id: SandboxId, event: SandboxLost) -> None:
        self.counts.sandbox_links_lost += 1
        logger.warning("The link to a sandbox broke.", extra=self._about(sandbox_id, reason=event.reason))

    def _destroyed(self, sandbox_id: SandboxId, _: SandboxDestroyed) -> None:
        logger.info("A sandbox was destroyed.", extra=self._about(sandbox_id))

    # --- Terminals ---------------------------------------------------------------------------------------

    def _terminal(self, event: TerminalInput) -> None:
        handle = self._terminals.get(type(event.event))
        if handle is not None:
            handle(event, event.event)

    def _opened(self, about: TerminalInput, _: Opened) -> None:
        took_s = self._answered(about, "opened")
        logger.debug("A terminal is open.", extra=_of(about, took_s=_shown_s(took_s)))

    def _refused(self, about: TerminalInput, event: Refused) -> None:
        self._answered(about, "refused")
        logger.warning("A terminal cannot be opened.", extra=_of(about, reason=event.reason))

    def _terminal_lost(self, about: TerminalInput, event: TerminalLost) -> None:
        self._answered(about, "lost")
        self.counts.terminal_links_lost += 1
        logger.info("The link to a terminal broke.", extra=_of(about, reason=event.reason))

    def _ended(self, about: TerminalInput, event: Ended) -> None:
        self._opening.pop((about.pane_id, about.generation), None)
        self.counts.terminals_ended += 1
        logger.debug("A terminal ended.", extra=_of(about, code=event.exit.code, signal=event.exit.signal))

    def _answered(self, about: TerminalInput, outcome: str) -> float | None:
        began_s = self._opening.pop((about.pane_id, about.generation), None)
        if began_s is None:
            return None
        took_s = time.monotonic() - began_s
        self.counts.openings[outcome].observe(took_s)
        return took_s


def _of(event: TerminalInput, **more: object) -> dict[str, object]:
    return fields(pane=event.pane_id, generation=event.generation, **more)


def _shown_s(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
