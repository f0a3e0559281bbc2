"""Waking sandboxes and putting them to sleep (protocol, "Pane status"; design, "Sleep policy").

A pane that wants a terminal has an `Attempt`; this drives all attempts of a session through its one sandbox. That
a pane has an attempt, and a sandbox a phase, is what makes many keys, clients and panes one wake.
"""

from __future__ import annotations

from wormux.errors import ErrorCode, Refusal
from wormux.hub.announcer import Announcer
from wormux.hub.backoff import retry_delay_s
from wormux.hub.effects import CloseTerminal, FindSandbox, FreezeSandbox, StopSandbox, WakeSandbox
from wormux.hub.lifecycle import PaneEvent, PanePhase, SandboxEvent, SandboxPhase
from wormux.hub.pane import Attempt, Pane
from wormux.hub.saver import Saver
from wormux.hub.session import Session
from wormux.hub.terminals import Terminals
from wormux.hub.timers import Wait
from wormux.hub.title import clean_text
from wormux.hub.typing import Typing
from wormux.hub.world import World
from wormux.ids import ConnectionId, PaneId
from wormux.limits import BUSY_AGAIN_S, COMMAND_CHARS, REASON_CHARS, RETRY_FLOOR_S, SLEEPS_AT_SHOWN_S
from wormux.protocol.agent_link import Busy, Welcome

_RESTS = (SandboxPhase.NEW, SandboxPhase.ASLEEP, SandboxPhase.FAILED)
_WITH_IT = (PanePhase.STARTING, PanePhase.CONNECTED, PanePhase.WAKING, PanePhase.DISCONNECTED)
"""Panes that fall asleep when their sandbox freezes: they have a terminal in it, may have one, or are to get one."""


class Sandboxes:
    """See the module."""

    def __init__(
        self, world: World, announcer: Announcer, saver: Saver, typing: Typing, terminals: Terminals
    ) -> None:
        self._world = world
        self._announcer = announcer
        self._saver = saver
        self._typing = typing
        self._terminals = terminals

    # --- Waking ------------------------------------------------------------------------------------------

    def key(self, pane: Pane) -> None:
        """Somebody typed in a pane, or asked to wake it: bring it back, unless that is under way."""
        if pane.connected or pane.closing:
            return
        self._call_off_deepening(self._world.sessions[pane.session_id])
        if pane.phase in (PanePhase.STARTING, PanePhase.WAKING) and pane.woken:
            return
        if pane.phase != PanePhase.DISCONNECTED and pane.attempt is None:
            pane.failures = 0  # a new round
        if pane.phase == PanePhase.ASLEEP:
            pane.attempt_at_s = float("-inf")  # whatever fails, or ends, waits for the floor; sleep does not
        pane.woken = True
        pane.move(PaneEvent.WOKEN)
        self._announcer.pane_changed(pane)
        if pane.attempt is not None:
            self._serve(self._world.sessions[pane.session_id])  # a look-out becomes a wake
        else:
            self._try_soon(pane)

    def retry(self, pane: Pane) -> None:
        """The time for the next attempt has come."""
        if not pane.connected and pane.attempt is None and not pane.closing:
            self._try_soon(pane)

    def start(self, session: Session) -> None:
        """A new session, or one whose start the last server did not see the end of: start its sandbox."""
        for pane in self._world.panes_of(session.id):
            if pane.phase in (PanePhase.STARTING, PanePhase.FAILED):
                pane.woken = True
                pane.move(PaneEvent.WOKEN)
                self._begin(pane)
        self._serve(session)

    def look_for(self, session: Session) -> None:
        """The server has started: does the sandbox still run? One that is frozen goes on: only its agent knows how far
        its terminals have read."""
        for pane in self._world.panes_of(session.id):
            if pane.phase == PanePhase.WAKING:
                self._begin(pane)
        self._find(session)

    def _try_soon(self, pane: Pane) -> None:
        """Attempt now, unless one began a moment ago: then when that moment has passed."""
        session = self._world.sessions[pane.session_id]
        began_s = pane.attempt_at_s
        if session.phase == SandboxPhase.FAILED:
            began_s = max(began_s, session.attempt_at_s)
        if self._world.now.mono_s < began_s + RETRY_FLOOR_S:
            pane.retry_at_s = began_s + RETRY_FLOOR_S
            self._world.timers.set(Wait.RETRY, pane.id, pane.retry_at_s)
            return
        self._begin(pane)
        self._serve(session)

    def _begin(self, pane: Pane) -> None:
        pane.attempt = Attempt()
        pane.attempt_at_s = self._world.now.mono_s
        pane.retry_at_s = None
        self._world.timers.cancel(Wait.RETRY, pane.id)

    def _serve(self, session: Session) -> None:
        """Take every attempt of the session one step further, if nothing is being waited for already."""
        panes = self._world.panes_of(session.id)
        waiting = [pane for pane in panes if pane.attempt is not None and pane.attempt.generation is None]
        if not waiting:
            return
        if session.phase == SandboxPhase.AWAKE:
            for pane in waiting:
                if pane.attempt is not None:
                    self._terminals.open(pane, pane.attempt)
        elif session.phase in _RESTS:
            for pane in panes:  # one attempt serves all that try
                if pane.phase == PanePhase.DISCONNECTED and pane.attempt is None:
                    self._begin(pane)
            if session.phase == SandboxPhase.NEW or any(pane.woken for pane in waiting):
                self._wake(session)
            else:
                self._find(session)

    def _wake(self, session: Session) -> None:
        session.move(SandboxEvent.WAKE)
        session.attempt_at_s = self._world.now.mono_s
        self._world.effects.append(WakeSandbox(session.sandbox_id, session.provider))
        self._announcer.sessions_changed()

    def _find(self, session: Session) -> None:
        session.move(SandboxEvent.FIND)
        session.attempt_at_s = self._world.now.mono_s
        self._world.effects.append(FindSandbox(session.sandbox_id, session.provider))
        self._announcer.sessions_changed()

    def awake(self, session: Session, welcome: Welcome) -> None:
        """It runs. Terminals that live there go back to their panes; those of no pane are ended."""
        session.move(SandboxEvent.AWAKE)
        session.failures = 0
        self._active(session)
        session.frozen = False
        if not session.deepening:
            session.asleep_since_ms = 0
        self._world.timers.cancel(Wait.DEEPEN, session.id)
        self._note_busy(session, Busy(welcome.busy))
        held = set()
        for info in welcome.terminals:
            pane = next((pane for pane in self._world.panes_of(session.id) if pane.id == info.pane_id), None)
            if pane is None or info.generation < pane.generation:
                effect = CloseTerminal(session.sandbox_id, PaneId(info.pane_id), info.generation)
                self._world.effects.append(effect)
                continue
            if pane.connected or info.generation == pane.over_generation:
                continue  # its own link says what becomes of it, or has said it: the next terminal replaces it
            held.add(pane.id)
            pane.generation = info.generation
            pane.surviving = True
            if pane.attempt is None and not pane.connected:
                if pane.phase != PanePhase.DISCONNECTED:
                    pane.move(PaneEvent.WOKEN)
                self._begin(pane)
        for pane in self._world.panes_of(session.id):
            if pane.surviving and not pane.connected and pane.id not in held:
                self._terminals.gone_unseen(pane)
        self._stop_asking(session)
        self._saver.touch_session(session.id)
        self._announcer.sessions_changed()
        self._serve(session)
        self._deepen_if_due(session)

    def missing(self, session: Session) -> None:
        """It was looked for, and does not run."""
        if any(pane.connected for pane in self._world.panes_of(session.id)):
            self.failed(session, "The sandbox does not run.")  # the ends of its terminals are on their way
            return
        session.move(SandboxEvent.MISSING)
        for pane in self._world.panes_of(session.id):
            if pane.surviving and not pane.restored:
                self._terminals.gone_unseen(pane)
        panes = self._world.panes_of(
            session.id
        )  # one whose terminal was asked for hears of that by its own link
        trying = [pane for pane in panes if pane.attempt is not None and pane.attempt.generation is None]
        if any(pane.woken for pane in trying):
            self._serve(session)
            return
        for pane in trying:
            if pane.restored:
                self._terminals.fell_asleep_unseen(pane, "The sandbox stopped while the server was away.")
            else:
                self._terminals.attempt_failed(pane, pane.reason or "The sandbox does not run.")
        self._stop_asking(session)
        self._announcer.sessions_changed()

    def failed(self, session: Session, reason: str) -> None:
        """It could not be started, or asked."""
        session.move(SandboxEvent.FAILED)
        session.deepening = False
        self._answer_sleepers(session, Refusal(ErrorCode.SANDBOX_FAILED, clean_text(reason, REASON_CHARS)))
        for pane in self._world.panes_of(session.id):
            if pane.attempt is not None:
                self._terminals.attempt_failed(pane, reason)
        self._stop_asking(session)
        self._find_later(session)
        self._announcer.sessions_changed()

    def _stop_asking(self, session: Session) -> None:
        """What the sandbox has of these panes is known, or will not be."""
        for pane in self._world.panes_of(session.id):
            self._terminals.stop_asking(pane)

    def lost(self, session: Session, reason: str) -> None:
        """The link to an awake sandbox broke; those of its terminals say so themselves."""
        session.move(SandboxEvent.LOST)
        session.stopped = session.deepening = False
        session.shown_sleeps_at_ms = None
        self._note_busy(session, Busy(None))
        refusal = Refusal(ErrorCode.SANDBOX_FAILED, clean_text(reason, REASON_CHARS))
        self._answer_sleepers(session, refusal)
        for pane in self._world.panes_of(session.id):
            if pane.attempt is not None and pane.attempt.generation is None:
                self._terminals.attempt_failed(pane, reason)
            elif pane.queue and not pane.connected:
                self.key(pane)  # typed while it was stopping
            self._typing.drain(pane)
        self._find_later(session)
        self._announcer.sessions_changed()

    def find(self, session: Session) -> None:
        """The time to look for a sandbox again whose terminals are connected."""
        if session.phase == SandboxPhase.FAILED:
            self._find(session)

    def _find_later(self, session: Session) -> None:
        """Without the link to its sandbox nobody says who is busy, and it cannot sleep. Panes that have lost their
        terminals look for it by themselves."""
        if any(pane.connected for pane in self._world.panes_of(session.id)):
            session.failures += 1
            delay_s = retry_delay_s(session.failures, self._world.draw())
            self._world.timers.set(Wait.FIND, session.id, self._world.now.mono_s + delay_s)

    # --- Sleeping ----------------------------------------------------------------------------------------

    def active(self, session: Session) -> None:
        """Input or output: its idle time begins anew."""
        session.active_at_s = self._world.now.mono_s
        if session.shown_sleeps_at_ms is not None:
            session.shown_sleeps_at_ms = None
            self._announcer.sessions_changed(quiet=True)
            self._watch(session)

    def busy(self, session: Session, event: Busy) -> None:
        """What its agent says that sleep would break."""
        if session.busy is not None and event.sentence is None:
            self._active(session)
        self._note_busy(session, event)

    def idle(self, session: Session) -> None:
        """It may be time to sleep."""
        timeout_s = self._world.settings.idle_timeout_s
        if timeout_s is None or session.phase != SandboxPhase.AWAKE:
            return
        at_s = self._sleeps_at_s(session, timeout_s)
        if at_s is None or self._world.now.mono_s < at_s:
            self._watch(session)
        else:
            self._stop(session, force=False)

    def show_sleeps_at(self, session: Session) -> None:
        """The last minute before sleep has begun, or not any more."""
        timeout_s = self._world.settings.idle_timeout_s
        at_s = self._sleeps_at_s(session, timeout_s) if timeout_s is not None else None
        now = self._world.now
        if timeout_s is None or at_s is None or session.phase != SandboxPhase.AWAKE:
            return
        shown_at_s = at_s - _countdown_s(timeout_s)
        if now.mono_s < shown_at_s:
            self._world.timers.set(Wait.SLEEPS_AT, session.id, shown_at_s)
            return
        session.shown_sleeps_at_ms = now.wall_ms + round(1000 * (at_s - now.mono_s))
        self._announcer.sessions_changed(quiet=True)

    def sleep(
        self, session: Session, connection_id: ConnectionId, ref: str | None, *, force: bool, for_good: bool
    ) -> bool:
        """Somebody asks for sleep now; `for_good` ends the processes whatever the sleep mode. True: it sleeps already.
        False: the answer follows. Raises `Refusal`."""
        if for_good and session.phase == SandboxPhase.ASLEEP and session.frozen:
            self.deepen(session, force=force)
            session.sleep_requests.append((connection_id, ref))
            return False
        if session.phase in (SandboxPhase.ASLEEP, SandboxPhase.NEW):
            return True
        if session.phase not in (SandboxPhase.AWAKE, SandboxPhase.STOPPING):
            raise Refusal(
                ErrorCode.BUSY, "The sandbox is just starting or out of reach; try again when it is awake."
            )
        if session.phase == SandboxPhase.AWAKE:
            if session.busy is not None and not force:
                raise Refusal(ErrorCode.BUSY, _busy_message(session.busy))
            self._stop(session, force=force, for_good=for_good)
        session.sleep_requests.append((connection_id, ref))
        return False

    def refused(self, session: Session, reason: str) -> None:
        """It does not stop: something is busy."""
        if session.phase != SandboxPhase.STOPPING:
            return
        session.move(SandboxEvent.REFUSED)
        self._answer_sleepers(session, Refusal(ErrorCode.BUSY, clean_text(reason, REASON_CHARS)))
        self._world.timers.set(Wait.IDLE, session.id, self._world.now.mono_s + BUSY_AGAIN_S)
        for pane in self._world.panes_of(session.id):
            self._typing.drain(pane)
        self._serve(session)
        self._announcer.sessions_changed()

    def stopped(self, session: Session) -> None:
        """Its agent has ended; the last words of its terminals may still be on their way."""
        if session.phase == SandboxPhase.AWAKE:  # somebody else stopped it
            session.move(SandboxEvent.STOP)
        session.stopped = True
        self.settle(session)

    def frozen(self, session: Session) -> None:
        """It stands still, and its terminals with it."""
        session.move(SandboxEvent.FROZEN)
        session.frozen = True
        session.asleep_since_ms = self._world.now.wall_ms
        self._note_busy(session, Busy(None))
        self._answer_sleepers(session, None)
        panes = self._world.panes_of(session.id)
        wanted = [pane for pane in panes if pane.woken or pane.queue]
        for pane in panes:
            waits = pane.woken and pane.attempt is not None and pane.attempt.generation is None
            if pane.phase in _WITH_IT and not waits:
                self._terminals.frozen(pane)
        self._stop_asking(session)
        self.watch_frozen(session)
        self._saver.touch_session(session.id)
        self._announcer.sessions_changed()
        for pane in wanted:
            if pane.attempt is None:
                self.key(pane)
        self._serve(session)

    def watch_frozen(self, session: Session) -> None:
        """When a frozen sandbox gives its memory back."""
        settings = self._world.settings
        if session.frozen and settings.sleep_mode == "freeze-then-stop" and settings.stop_after_s is not None:
            self._world.timers.set(Wait.DEEPEN, session.id, self._world.now.mono_s + settings.stop_after_s)

    def deepen(self, session: Session, *, force: bool = False) -> None:
        """Stop what is frozen: it goes on for a moment, so that nothing of its last words is lost."""
        if session.phase == SandboxPhase.ASLEEP and session.frozen:
            session.deepening = True
            session.deepen_force = force
            self._wake(session)

    def _call_off_deepening(self, session: Session) -> None:
        """Somebody types: it is wanted."""
        if session.deepening:
            session.deepening = False
            self._answer_sleepers(session, Refusal(ErrorCode.BUSY, "Somebody typed in it; try again."))

    def _deepen_if_due(self, session: Session) -> None:
        """Once all its terminals are here again, or are known to be gone."""
        panes = self._world.panes_of(session.id)
        if (
            not session.deepening
            or session.phase != SandboxPhase.AWAKE
            or any(pane.attempt for pane in panes)
        ):
            return
        session.deepening = False
        self._stop(session, force=session.deepen_force, for_good=True)

    def settle(self, session: Session) -> None:
        """A terminal came, ended or was lost: if it was the last of a sandbox that stopped, that sleeps now."""
        self._deepen_if_due(session)
        if session.phase != SandboxPhase.STOPPING or not session.stopped:
            return
        panes = self._world.panes_of(session.id)
        if any(pane.connected or (pane.attempt and pane.attempt.generation is not None) for pane in panes):
            return
        session.stopped = False
        session.move(SandboxEvent.STOPPED)
        session.asleep_since_ms = 0
        self._note_busy(session, Busy(None))
        self._answer_sleepers(session, None)
        self._saver.touch_session(session.id)
        self._announcer.sessions_changed()
        for pane in panes:
            if pane.queue and pane.attempt is None:
                self.key(pane)
        self._serve(session)

    def leased(self, session: Session) -> None:
        """Its lease is another one."""
        if session.lease_until_ms <= self._world.now.wall_ms:
            self._active(session)
        session.shown_sleeps_at_ms = None
        self.watch_lease(session)
        self._watch(session)
        self._announcer.sessions_changed()

    def watch_lease(self, session: Session) -> None:
        """When its lease ends, clients are told that it is not busy with that any more."""
        now = self._world.now
        remaining_s = (session.lease_until_ms - now.wall_ms) / 1000
        if remaining_s > 0:
            self._world.timers.set(Wait.LEASE, session.id, now.mono_s + remaining_s)
        else:
            self._world.timers.cancel(Wait.LEASE, session.id)

    def _stop(self, session: Session, *, force: bool, for_good: bool = False) -> None:
        session.move(SandboxEvent.STOP)
        session.stopped = False
        session.shown_sleeps_at_ms = None
        if for_good or self._world.settings.sleep_mode == "stop":
            self._world.effects.append(StopSandbox(session.sandbox_id, force))
        else:
            self._world.effects.append(FreezeSandbox(session.sandbox_id, force))
        self._announcer.sessions_changed()

    def _active(self, session: Session) -> None:
        session.active_at_s = self._world.now.mono_s
        session.shown_sleeps_at_ms = None
        self._watch(session)

    def _note_busy(self, session: Session, event: Busy) -> None:
        sentence = clean_text(event.sentence, COMMAND_CHARS) if event.sentence else None
        pane_id = PaneId(event.pane_id) if event.pane_id is not None else None
        if (sentence, pane_id) == (session.busy, session.busy_pane):
            return
        session.busy, session.busy_pane = sentence, pane_id
        session.shown_sleeps_at_ms = None
        self._watch(session)
        self._announcer.sessions_changed()

    def _sleeps_at_s(self, session: Session, timeout_s: float) -> float | None:
        """When it sleeps if nothing happens; None while something keeps it awake."""
        if session.busy is not None:
            return None
        now = self._world.now
        lease_s = now.mono_s + (session.lease_until_ms - now.wall_ms) / 1000
        return max(session.active_at_s + timeout_s, lease_s)

    def _watch(self, session: Session) -> None:
        """Look again when it may be time to sleep, and when the last minute begins."""
        timeout_s = self._world.settings.idle_timeout_s
        at_s = self._sleeps_at_s(session, timeout_s) if timeout_s is not None else None
        if timeout_s is None or at_s is None:
            self._world.timers.cancel(Wait.IDLE, session.id)
            self._world.timers.cancel(Wait.SLEEPS_AT, session.id)
            return
        self._world.timers.set(Wait.IDLE, session.id, at_s)
        self._world.timers.set(Wait.SLEEPS_AT, session.id, at_s - _countdown_s(timeout_s))

    def _answer_sleepers(self, session: Session, refusal: Refusal | None) -> None:
        for connection_id, ref in session.sleep_requests:
            self._announcer.answer(connection_id, "session_sleep", ref, refusal)
        session.sleep_requests.clear()


def _countdown_s(timeout_s: float) -> float:
    """How long before sleep clients are told. Of a short timeout the second half: it shall not flicker with every
    key."""
    return min(SLEEPS_AT_SHOWN_S, timeout_s / 2)


def _busy_message(sentence: str) -> str:
    return f"Something still runs ({sentence}); end it, or force the sleep."
