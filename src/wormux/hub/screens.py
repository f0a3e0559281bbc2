"""The screens behind the panes: when one is opened, what it is fed, and when it is put away (design, "Screens").

A screen is an emulator outside of the hub that is told everything in order and answers later. It is always the one
of its epoch: what an older one still says changes nothing. Losing one costs nothing that is not here as well, in the
pane's last checkpoint and its log. Nobody waits for a screen but those who need a redraw, and a program that writes
faster than its screen reads.
"""

from __future__ import annotations

from wormux.hub.effects import Effect, HoldTerminal, ResizeTerminal, TellScreen
from wormux.hub.pane import Pane, PaneScreen
from wormux.hub.timers import Wait
from wormux.hub.world import World
from wormux.limits import (
    DEEP_REDRAW_BYTES,
    OUTPUT_FRAME_BYTES,
    REDRAW_BYTES,
    REDRAW_LINES,
    SCREEN_BACKLOG_BYTES,
    SCREEN_EVERY_S,
    SCREENS_AT_ONCE,
)
from wormux.protocol.agent_link import SizeMark
from wormux.protocol.screen_link import (
    CheckpointTaken,
    CloseScreen,
    Feed,
    OpenScreen,
    ResizeScreen,
    ScreenRequest,
    SetColors,
    Skip,
    TakeCheckpoint,
    TakeRedraw,
)


class Screens:
    """See the module."""

    def __init__(self, world: World) -> None:
        self._world = world

    # --- What it is fed ----------------------------------------------------------------------------------

    def attached(self, pane: Pane) -> None:
        """A terminal stands behind the pane: from now on, its screen follows."""
        screen = pane.screen
        if screen is None:
            self._open(pane)
        else:
            screen.held = False  # the link is a new one
            self._feed_log(pane, screen)
            self._hold(pane, screen)

    def follow(self, pane: Pane) -> None:
        """The pane's log has grown, or has another size: so has its screen, if there is one."""
        if pane.screen is not None:
            self._feed_log(pane, pane.screen)
            self._hold(pane, pane.screen)

    def fed(self, pane: Pane, position: int) -> None:
        """The screen has all output before `position`."""
        screen = pane.screen
        if screen is not None:
            screen.done = max(screen.done, min(position, screen.position))
            self._hold(pane, screen)

    def recolor(self, pane: Pane) -> None:
        """The colours that the pane's programs are told are others now."""
        if pane.screen is not None and pane.colors is not None:
            self._tell(pane, pane.screen, SetColors(*pane.colors))

    # --- What is wanted of it ----------------------------------------------------------------------------

    def redraw(self, pane: Pane, lines: int, since: int) -> tuple[int, int] | None:
        """Ask for a redraw that is not older than position `since`; the same one for all who ask meanwhile. Returns
        its name, which `RedrawTaken` will bear (lines, position), or None if it has to be asked for later."""
        screen = pane.screen or self._open(pane)
        if screen is None:
            return None
        for name in screen.redraws:
            if name[0] == lines and name[1] >= since:
                return name
        name = (lines, screen.position)
        screen.redraws.add(name)
        self._tell(pane, screen, TakeRedraw(lines, redraw_limit(lines)))
        return name

    def redrawn(self, pane: Pane, name: tuple[int, int]) -> None:
        """A redraw came."""
        if pane.screen is not None:
            pane.screen.redraws.discard(name)

    def checkpoint(self, pane: Pane, then: Effect | None = None) -> None:
        """Ask for a checkpoint of all output up to now; `then` is done once it is stored."""
        pane.checkpoint_wanted = pane.log.end
        pane.checkpoint_at_s = self._world.now.mono_s
        if then is not None:
            pane.checkpoint_then.append((pane.log.end, then))
        screen = pane.screen or self._open(pane)
        if screen is not None:
            self._ask_checkpoint(pane, screen)

    def checkpointed(self, pane: Pane, event: CheckpointTaken) -> None:
        """A checkpoint came: it is where the next screen of this pane begins."""
        pane.kept = event
        if pane.screen is not None:
            pane.screen.checkpoints -= 1

    def settle(self, pane: Pane) -> None:
        """Put the screen away if nothing needs it: no terminal, nobody waits, and its checkpoint is the newest."""
        screen = pane.screen
        if screen is None or pane.connected or screen.redraws or screen.checkpoints:
            return
        if pane.kept is not None and pane.kept.position == screen.position == pane.log.end:
            self.close(pane)

    # --- Its end -----------------------------------------------------------------------------------------

    def close(self, pane: Pane) -> None:
        """The pane has no screen any more."""
        self._world.timers.cancel(Wait.SCREEN, pane.id)
        if pane.screen is not None:
            self._tell(pane, pane.screen, CloseScreen())
            pane.screen = None

    def gone(self, pane: Pane, *, unreadable: bool) -> None:
        """The screen is lost. The next one is opened at once, or after a while if they are lost in a row."""
        screen, pane.screen = pane.screen, None
        if screen is None:
            return
        if unreadable:
            pane.kept = None
        if screen.held:
            self._world.effects.append(HoldTerminal(pane.id, pane.generation, held=False))
        pane.screens_lost += 1
        if pane.screens_lost <= SCREENS_AT_ONCE:
            self.reopen(pane)
        else:
            self._world.timers.set(Wait.SCREEN, pane.id, self._world.now.mono_s + SCREEN_EVERY_S)

    def reopen(self, pane: Pane) -> None:
        """It is time for the next one, if the pane needs one without being asked."""
        self._world.timers.cancel(Wait.SCREEN, pane.id)
        if pane.screen is None and (pane.connected or pane.checkpoint_wanted is not None):
            self._open(pane)

    # --- Within ------------------------------------------------------------------------------------------

    def _open(self, pane: Pane) -> PaneScreen | None:
        """A screen at the end of the log, from the checkpoint and what came after it. None: it is too early after
        others were lost."""
        if self._world.timers.is_set(Wait.SCREEN, pane.id):
            return None
        log, kept = pane.log, pane.kept
        pane.screen_epoch += 1
        if kept is not None:
            begin = OpenScreen(kept.position, kept.cols, kept.rows, kept.state)
        else:
            size = log.size_at(log.start)
            begin = OpenScreen(log.start, size.cols, size.rows)
        screen = pane.screen = PaneScreen(
            pane.screen_epoch, begin.position, begin.position, (begin.cols, begin.rows)
        )
        self._tell(pane, screen, begin)
        self.recolor(pane)
        if kept is None and log.start > 0:
            self._skip_to_line(pane, screen)
        self._feed_log(pane, screen)
        if pane.checkpoint_wanted is not None:
            self._ask_checkpoint(pane, screen)
        self._hold(pane, screen)
        return screen

    def _skip_to_line(self, pane: Pane, screen: PaneScreen) -> None:
        """The log begins anywhere, in a sequence perhaps: a blank screen is better begun with a new line."""
        first = pane.log.read(pane.log.start, OUTPUT_FRAME_BYTES) if pane.log.end > pane.log.start else b""
        line = first.find(b"\n") + 1
        if line:
            screen.position += line
            self._tell(pane, screen, Skip(screen.position))

    def _feed_log(self, pane: Pane, screen: PaneScreen) -> None:
        """Everything that the log has and the screen has not."""
        log = pane.log
        if screen.position < log.start:
            self._missed(pane, screen, log.start)
        while screen.position < log.end:
            self._resize(pane, screen, log.size_at(screen.position))
            limit = OUTPUT_FRAME_BYTES
            change = log.next_size_after(screen.position)
            if change is not None:
                limit = min(limit, change.position - screen.position)
            unanswered = pane.answered - screen.position
            if 0 < unanswered < limit:
                limit = unanswered
            data = log.read(screen.position, limit)
            self._tell(pane, screen, Feed(data, answer=unanswered <= 0))
            screen.position += len(data)
        if screen.position == log.end:
            self._resize(pane, screen, log.size_at(log.end))

    def _missed(self, pane: Pane, screen: PaneScreen, position: int) -> None:
        """Nobody has what lies between any more; the program is made to repaint."""
        screen.position = position
        self._tell(pane, screen, Skip(position))
        if pane.terminal is not None and pane.terminal.start < position:
            self._world.effects.append(ResizeTerminal(pane.id, pane.generation, pane.cols, pane.rows))

    def _resize(self, pane: Pane, screen: PaneScreen, size: SizeMark) -> None:
        if screen.size != (size.cols, size.rows):
            screen.size = (size.cols, size.rows)
            self._tell(pane, screen, ResizeScreen(size.cols, size.rows))

    def _hold(self, pane: Pane, screen: PaneScreen) -> None:
        """Let the terminal wait for its screen, or go on."""
        backlog = screen.position - screen.done
        held = backlog > (SCREEN_BACKLOG_BYTES // 2 if screen.held else SCREEN_BACKLOG_BYTES)
        if held != screen.held and pane.connected:
            screen.held = held
            self._world.effects.append(HoldTerminal(pane.id, pane.generation, held=held))

    def _ask_checkpoint(self, pane: Pane, screen: PaneScreen) -> None:
        if pane.kept is not None and pane.kept.position == screen.position and not pane.checkpoint_then:
            pane.checkpoint_wanted = None
            return
        screen.checkpoints += 1
        self._tell(pane, screen, TakeCheckpoint())

    def _tell(self, pane: Pane, screen: PaneScreen, request: ScreenRequest) -> None:
        self._world.effects.append(TellScreen(pane.id, screen.epoch, request))


def redraw_limit(lines: int) -> int:
    """How many bytes a redraw with so many lines of scrollback may take."""
    return REDRAW_BYTES if lines <= REDRAW_LINES else DEEP_REDRAW_BYTES
