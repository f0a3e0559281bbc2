"""What happens to the one terminal behind a pane: opening it, its events, its end.

The sandbox is awake when anything is asked for here; waking it, and when to try again, is `sandboxes`'. An event of
an old generation never gets here.
"""

from __future__ import annotations

from wormux.hub.announcer import Announcer
from wormux.hub.backoff import retry_delay_s, round_is_over
from wormux.hub.closing import Closing
from wormux.hub.effects import AnswerTerminal, Effect, ForgetTerminal, OpenTerminal, ResizeTerminal
from wormux.hub.flow import Flow
from wormux.hub.lifecycle import PaneEvent, PanePhase
from wormux.hub.log import OutputLog
from wormux.hub.notices import MODES_OFF, fresh_shell_preamble
from wormux.hub.pane import Attempt, Pane, Terminal
from wormux.hub.saver import Job, Saver
from wormux.hub.screens import Screens
from wormux.hub.timers import Wait
from wormux.hub.title import clean_text
from wormux.hub.typing import Typing
from wormux.hub.world import World
from wormux.limits import (
    CHECKPOINT_AFTER_BYTES,
    CHECKPOINT_EVERY_S,
    COMMAND_CHARS,
    CWD_CHARS,
    POSITION_MARK_BYTES,
    REASON_CHARS,
    RETRY_FLOOR_S,
    SHORT_LIVED_S,
)
from wormux.protocol.agent_link import Attach, Ended, Exit, Foreground, Open, Opened, SizeMark
from wormux.protocol.screen_link import Answered


class Terminals:
    """See the module."""

    def __init__(
        self,
        world: World,
        screens: Screens,
        flow: Flow,
        announcer: Announcer,
        saver: Saver,
        typing: Typing,
        closing: Closing,
    ) -> None:
        self._world = world
        self._screens = screens
        self._flow = flow
        self._announcer = announcer
        self._saver = saver
        self._typing = typing
        self._closing = closing

    def open(self, pane: Pane, attempt: Attempt) -> None:
        """Give the pane a terminal: the one that may still run, or a new one. The only place that opens any, at
        the size that the pane has."""
        session = self._world.sessions[pane.session_id]
        request: Open | Attach
        if pane.surviving:
            # A new server wants all that is kept, since clients may be behind what the store has.
            request = Attach(pane.id, pane.generation, 0 if pane.restored else pane.log.end)
        else:
            self._settle_end(pane)
            preamble = b"" if pane.generation == 0 else fresh_shell_preamble(pane, self._world.now)
            pane.generation += 1
            request = Open(
                pane_id=pane.id,
                generation=pane.generation,
                cols=pane.cols,
                rows=pane.rows,
                position=pane.log.end,
                preamble=preamble,
                argv=self._world.settings.shell,
                cwd=pane.cwd,
                beside=pane.beside,
            )
            pane.beside = None
        attempt.generation = pane.generation
        self._world.effects.append(OpenTerminal(session.sandbox_id, request))
        self._saver.touch_pane(pane.id)

    def opened(self, pane: Pane, event: Opened) -> None:
        """A terminal stands behind the pane."""
        again = pane.restored and pane.surviving
        if event.end < pane.log.end or (event.position < pane.log.end and not again):
            self.attempt_failed(pane, "The sandbox answered with output that was shown already.")
            return
        fresh = not pane.surviving
        if event.position < pane.log.end:
            pane.log = OutputLog(event.position, pane.cols, pane.rows)
        elif event.position > pane.log.end:
            pane.log.jump(event.position)
        pane.coming_end = event.end
        if event.sizes:
            pane.log.mark_size(event.sizes[0].cols, event.sizes[0].rows)
        pane.attempt = None
        pane.woken = pane.surviving = pane.restored = False
        pane.answered = max(pane.answered, event.answered or 0, event.position if fresh else 0)
        pane.failures = 0
        pane.retry_at_s = None
        pane.reason = ""
        pane.exit = None
        pane.closed_at_ms = 0
        start = event.position if fresh else 0
        terminal = Terminal(
            pane.generation, event.ready, event.answered is not None, resized=fresh, start=start
        )
        pane.move(PaneEvent.OPENED, terminal)
        self._world.timers.cancel(Wait.RETRY, pane.id)
        self._typing.opened(pane, event.inputs)
        self._world.timers.cancel(Wait.EXPIRE, pane.id)
        newest = event.sizes[-1] if event.sizes else None
        if newest is None or (newest.cols, newest.rows) != (pane.cols, pane.rows):
            self._resize(pane, terminal)
        self._screens.attached(pane)
        self._saver.touch_pane(pane.id)
        self._announcer.pane_changed(pane)
        self._flow.pump_all(pane)
        self._typing.drain(pane)

    def ready(self, pane: Pane) -> None:
        """The fresh shell reads: what was typed meanwhile arrives."""
        if pane.terminal is not None:
            pane.terminal.ready = True
            self._typing.drain(pane)

    def refused(self, pane: Pane, reason: str, *, gone: bool) -> None:
        """It could not be opened, or what was to be attached to is gone."""
        if gone and pane.surviving and pane.attempt is not None:
            self.gone_unseen(pane)
            self.open(pane, pane.attempt)
        else:
            self.attempt_failed(pane, reason)

    def output(self, pane: Pane, data: bytes) -> None:
        """The terminal wrote."""
        pane.log.append(data)
        self._screens.follow(pane)
        title = pane.titles.feed(data)
        if title is not None and title != pane.title:
            pane.title = title
            self._saver.touch_pane(pane.id)
            self._announcer.pane_changed(pane, quiet=True)
        if pane.log.end > pane.position_mark - POSITION_MARK_BYTES // 2:
            self._saver.touch_pane(pane.id)
        kept_end = pane.kept.position if pane.kept is not None else 0
        if (
            pane.log.end - kept_end >= CHECKPOINT_AFTER_BYTES
            and self._world.now.mono_s - pane.checkpoint_at_s >= CHECKPOINT_EVERY_S
        ):
            self._screens.checkpoint(pane)
        self._flow.pump_all(pane)

    def answer(self, pane: Pane, event: Answered) -> None:
        """The terminal's answers to queries of the program behind it now; of one that is gone, nobody waits for
        them."""
        if event.position <= pane.answered:
            return
        pane.answered = event.position
        if pane.terminal is not None and pane.terminal.takes_answers:
            self._world.effects.append(AnswerTerminal(pane.id, pane.generation, event.position, event.data))

    def resized(self, pane: Pane, mark: SizeMark) -> None:
        """What the terminal writes from here on is for this size."""
        pane.log.mark_size(mark.cols, mark.rows)
        terminal = pane.terminal
        if terminal is not None and not terminal.resized and (mark.cols, mark.rows) != (pane.cols, pane.rows):
            self._resize(pane, terminal)  # from before this link: another server's, or lost on its way
        self._screens.follow(pane)
        self._flow.pump_all(pane)

    def foreground(self, pane: Pane, event: Foreground) -> None:
        """Another program runs, or it went to another directory."""
        command = clean_text(event.command, COMMAND_CHARS) if event.command else None
        pane.is_shell = event.is_shell
        if event.cwd is not None and len(event.cwd) <= CWD_CHARS and event.cwd != pane.cwd:
            pane.cwd = event.cwd
            self._saver.touch_pane(pane.id)
        pane.command = command
        self._announcer.pane_changed(pane, quiet=True)

    def ended(self, pane: Pane, event: Ended) -> None:
        """The terminal's process ended, and all its output is here."""
        if pane.attempt is not None:
            pane.attempt = None
        pane.over_generation = pane.generation
        asleep = event.exit.asleep
        pane.move(PaneEvent.SLEPT if asleep else PaneEvent.ENDED)
        pane.surviving = False
        pane.exit = None if asleep else event.exit
        slept_at_ms = self._world.sessions[pane.session_id].asleep_since_ms if asleep else 0
        pane.closed_at_ms = slept_at_ms or self._world.now.wall_ms
        pane.reason = "" if asleep else _end_reason(event.exit)
        self._typing.ended(pane, event.inputs)
        forget = ForgetTerminal(pane.id, pane.generation)
        if not asleep and self._world.settings.exit_behavior == "close" and _ended_by_itself(event.exit):
            pane.closing = True
            self._typing.closed(pane)
            self._announcer.pane_changed(pane)
            self._saver.submit(Job(lambda: self._closing.plan_pane(pane.id), "pane_close"))
            return
        self._over(pane, forget)

    def lost(self, pane: Pane, reason: str, *, dead: bool) -> None:
        """The link to the terminal broke."""
        if pane.attempt is not None and not pane.connected:
            self.attempt_failed(pane, reason)
            return
        pane.move(PaneEvent.LOST)
        pane.reason = clean_text(reason, REASON_CHARS)
        pane.closed_at_ms = self._world.now.wall_ms
        pane.surviving = not dead
        if dead:
            self._typing.lost_in_flight(pane)
            self._over(pane)
        self._typing.interrupted(pane)
        pane.failures = 0
        self._retry_later(pane)
        self._announcer.pane_changed(pane)

    def frozen(self, pane: Pane) -> None:
        """The sandbox sleeps with the terminal in it, or with one on its way: nothing is written to the stream, and the
        keys that it may not have read wait."""
        pane.move(PaneEvent.FROZEN)
        pane.attempt = None
        pane.woken = False
        pane.surviving = pane.generation > pane.over_generation
        pane.failures = 0
        pane.retry_at_s = None
        self._world.timers.cancel(Wait.RETRY, pane.id)
        pane.reason = ""
        pane.closed_at_ms = pane.closed_at_ms or self._world.now.wall_ms
        self._typing.interrupted(pane)
        self.stop_asking(pane)
        self._screens.checkpoint(pane)
        self._saver.touch_pane(pane.id)
        self._announcer.pane_changed(pane)

    def gone_unseen(self, pane: Pane) -> None:
        """The terminal that might have survived did not: nobody saw its last words."""
        pane.surviving = False
        self._typing.stop_asking(pane)
        self._typing.lost_in_flight(pane)
        if not pane.closed_at_ms:
            pane.closed_at_ms = self._world.now.wall_ms
        self._over(pane)

    def fell_asleep_unseen(self, pane: Pane, reason: str) -> None:
        """A starting server found no sandbox: the machine slept, and nothing failed."""
        pane.attempt = None
        pane.move(PaneEvent.SLEPT)
        pane.reason = reason
        self.gone_unseen(pane)
        self._announcer.pane_changed(pane)

    def attempt_failed(self, pane: Pane, reason: str) -> None:
        """No terminal this time. The next try is planned, or the round is over."""
        pane.attempt = None
        pane.failures += 1
        pane.reason = clean_text(reason, REASON_CHARS)
        if round_is_over(pane.failures):
            pane.move(PaneEvent.GAVE_UP)
            pane.woken = False
            pane.retry_at_s = None
        else:
            pane.move(PaneEvent.ATTEMPT_FAILED)
            self._retry_later(pane)
        self._saver.touch_pane(pane.id)
        self.stop_asking(pane)
        self._typing.expire(pane)
        self._announcer.pane_changed(pane)

    def stop_asking(self, pane: Pane) -> None:
        """Who waits for what the agent knows of the pane gets what the store knew, if the agent will not be heard."""
        if not self._world.asking(pane):
            self._typing.stop_asking(pane)
            self._flow.pump_all(pane)

    def resize(self, pane: Pane, cols: int, rows: int) -> None:
        """Another size is in force, whether the pane is connected or not."""
        if (cols, rows) == (pane.cols, pane.rows):
            return
        pane.cols, pane.rows = cols, rows
        if pane.terminal is not None:
            self._resize(pane, pane.terminal)
        elif not pane.surviving:
            pane.log.mark_size(cols, rows)
            self._screens.follow(pane)
            self._flow.pump_all(pane)
        self._saver.touch_pane(pane.id)
        self._announcer.pane_changed(pane)

    def _resize(self, pane: Pane, terminal: Terminal) -> None:
        """Give the terminal the size that the pane has."""
        terminal.resized = True
        self._world.effects.append(ResizeTerminal(pane.id, pane.generation, pane.cols, pane.rows))

    def _settle_end(self, pane: Pane) -> None:
        """No agent holds the end of a restored stream, or it died before that was here: the stream goes on at its
        mark, past all that was ever sent."""
        if (pane.restored or pane.log.end < pane.coming_end) and pane.position_mark > pane.log.end:
            pane.log.jump(pane.position_mark)
            self._screens.follow(pane)
            self._saver.touch_pane(pane.id)
        pane.restored = False

    def _retry_later(self, pane: Pane) -> None:
        delay_s = retry_delay_s(max(1, pane.failures), self._world.draw())
        pane.retry_at_s = self._world.now.mono_s + max(RETRY_FLOOR_S, delay_s)
        self._world.timers.set(Wait.RETRY, pane.id, pane.retry_at_s)

    def _over(self, pane: Pane, then: Effect | None = None) -> None:
        """No terminal writes to the stream any more: switch off what its last program left on, and keep what it
        showed; `then` is done once that is stored."""
        self._settle_end(pane)
        pane.over_generation = pane.generation
        pane.log.append(MODES_OFF)
        pane.log.mark_size(pane.cols, pane.rows)
        self._screens.follow(pane)
        self._screens.checkpoint(pane, then)
        self._saver.touch_pane(pane.id)
        self._announcer.pane_changed(pane)
        if not pane.is_shell and pane.phase != PanePhase.STARTING:
            pane.gone_rev = self._world.rev
            self._typing.program_gone(pane)
        pane.command = None
        pane.is_shell = True
        self._flow.pump_all(pane)


def _ended_by_itself(end: Exit) -> bool:
    """Its pane goes with it; an early, violent or unknown end is to be seen."""
    return end.signal is None and end.code is not None and end.ran_s >= SHORT_LIVED_S


def _end_reason(end: Exit) -> str:
    if end.oom:
        return "Out of memory: the kernel ended its process."
    if end.signal is not None:
        return f"Its process was ended by {end.signal}."
    if end.code is None:
        return "How its process ended is not known."
    return f"Its process ended with code {end.code} after {end.ran_s:.1f} s."
