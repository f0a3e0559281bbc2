"""Seeded stories of a busy day in a simulated world, recorded at one client as a trace.

The same seed gives the same trace. Only what a real client would live through happens to the one that is recorded: it
waits half a second between its attempts to connect, and not for ever for what comes of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from wormux.ids import PaneId
from wormux.protocol.agent_link import Exit
from wormux.testing.sim.agent import SimPty
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.world import SETTINGS, HubWorld
from wormux.testing.traces.format import Trace
from wormux.testing.traces.recorder import Recorder

STEPS = 60
PANES = 5
_ATTEMPTS_APART_S = 0.6
_PATIENCE_S = 9.5
"""How long it waits for a state."""
_TIMES_S = (0.007, 0.023, 0.131, 0.317, 0.617, 1.117, 3.019, 12.043, 31.061)
_PRINTS = (1, 7, 40, 300, 2_000)
_ENDS = (Exit(0, ran_s=5.0), Exit(1, ran_s=0.1), Exit(signal="SIGKILL"))


def story(seed: int, steps: int = STEPS) -> Trace:
    """One story. Raises what the world raises when a rule is broken."""
    return _Story(seed).tell(steps)


class _Story:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._random = random = Random(seed)
        settings = replace(
            SETTINGS,
            idle_timeout_s=20.0,
            exit_behavior=random.choice(("hold", "close")),
            sleep_mode=random.choice(("stop", "freeze")),
        )
        self._world = HubWorld(settings, seed=seed)
        self._world.ready_after_s = random.choice((0.0, 0.3))
        self._client = self._world.client("recorded")
        self._recorder = Recorder(self._world, self._client)
        self._other = self._world.client("other")
        self._tried_at_s = -1.0
        self._words = 0
        self._chances: dict[Callable[[], None], float] = {
            self._pass_time: 12,
            self._deliver: 14,
            self._type: 20,
            self._discard: 1.5,
            self._connect: 5,
            self._cut: 3,
            self._part: 0.7,
            self._be_taken_over: 0.7,
            self._ask: 8,
            self._other_types: 3,
            self._print: 10,
            self._exit: 2,
            self._program: 2,
            self._reading: 2,
            self._remember: 1,
            self._break_links: 3,
            self._lose_screens: 0.7,
            self._refuse: 2,
            self._end_server: 1.5,
            self._look: 2,
        }

    def tell(self, steps: int) -> Trace:
        self._connect()
        self._world.settle()
        for _ in range(steps):
            if not self._world.up and self._random.random() < 0.5:
                self._world.start_server()
            (happening,) = self._random.choices(list(self._chances), list(self._chances.values()))
            happening()
        self._come_to_rest()
        return self._recorder.trace(f"the story of seed {self._seed}")

    def _come_to_rest(self) -> None:
        if not self._world.up:
            self._world.start_server()
        self._world.heal()
        self._world.machine.refuse_starts = None
        self._world.advance(1.117)
        self._connect()
        self._world.advance(3.019)
        self._recorder.look()

    # --- The recorded client -----------------------------------------------------------------------------

    def _connect(self) -> None:
        world, client = self._world, self._client
        if not world.up or not client.may_connect or world.now_s - self._tried_at_s < _ATTEMPTS_APART_S:
            return
        if client.attached and self._random.random() < 0.7:
            return
        self._tried_at_s = world.now_s
        client.connect()
        socket = client.socket

        def lose_patience() -> None:
            if client.socket is socket and not client.greeted:
                client.cut()

        world.after(_PATIENCE_S, lose_patience)
        if self._random.random() < 0.7:
            world.settle()

    def _cut(self) -> None:
        self._client.cut(keep_words=self._random.random() < 0.5)

    def _part(self) -> None:
        up, down = self._random.choice(((True, True), (True, False), (False, True)))
        self._world.part_client(self._client, up=up, down=down, server_notices_s=9.0, client_notices_s=4.0)

    def _be_taken_over(self) -> None:
        """Somebody else comes with the client's id, as a copied tab of a browser does."""
        if not self._client.attached or not self._world.up:
            return
        thief = SimClient(self._world, self._client.client_id)
        thief.connect()
        if thief.socket is not None:
            thief.socket.on_frame = _nobody  # it has no memory of what its id has typed
        self._world.settle()
        thief.cut()

    def _type(self) -> None:
        pane_id = self._pane()
        if pane_id is not None:
            self._words += 1
            self._recorder.type(pane_id, (b"%d-" % self._words * 40)[: self._random.randrange(1, 40)])

    def _discard(self) -> None:
        pane_id = self._pane()
        if pane_id is not None:
            self._recorder.discard(pane_id)

    def _ask(self) -> None:
        """Something that a person asks for by the page; the words of the server are what matters."""
        pane_id, draw, client = self._pane(), self._random, self._client
        if pane_id is None or not client.attached:
            return
        session_id = next(iter(client.model.sessions))
        kind = draw.choice(("resize", "resize", "split", "split", "close", "sleep", "wake", "redraw", "tab"))
        if kind == "resize":
            client.say("pane_resize", paneId=pane_id, cols=draw.randrange(10, 50), rows=draw.randrange(4, 20))
        elif kind == "split" and len(client.panes) < PANES:
            client.say("pane_split", paneId=pane_id, orientation="vertical", cols=20, rows=10)
        elif kind == "tab" and len(client.panes) < PANES:
            client.say("tab_create", sessionId=session_id)
        elif kind == "close" and len(client.panes) > 1:
            client.say("pane_close", paneId=pane_id)
        elif kind == "sleep":
            client.say("session_sleep", sessionId=session_id, force=draw.random() < 0.7)
        elif kind == "wake":
            client.say("pane_wake", paneId=pane_id)
        elif kind == "redraw":
            client.say("pane_redraw", paneId=pane_id, lines=draw.randrange(300))

    def _look(self) -> None:
        self._recorder.look()

    # --- Everybody else ----------------------------------------------------------------------------------

    def _pass_time(self) -> None:
        self._world.advance(self._random.choice(_TIMES_S), deliver=self._random.random() < 0.7)

    def _deliver(self) -> None:
        for _ in range(self._random.randrange(1, 60)):
            ready = self._world.lanes.ready()
            if not ready:
                return
            self._random.choice(ready).deliver()

    def _other_types(self) -> None:
        other = self._other
        if not other.attached:
            if self._world.up:
                other.connect()
        elif other.panes:
            other.type(self._random.choice(other.panes), b"other ")

    def _print(self) -> None:
        pty = self._pty()
        if pty is not None:
            self._words += 1
            size = self._random.choice(_PRINTS)
            pty.print((b"out %d \x1b[3%dm\xe2\x82\xac\r\n" % (self._words, self._words % 8) * size)[:size])

    def _exit(self) -> None:
        pty = self._pty()
        if pty is not None and len(self._world.hub.world.panes) > 1:
            pty.end_with(self._random.choice(_ENDS))

    def _program(self) -> None:
        pty = self._pty()
        if pty is not None:
            pty.run(self._random.choice((None, "vim")))

    def _reading(self) -> None:
        pty = self._pty()
        if pty is not None:
            pty.takes = self._random.random() < 0.6
            pty.read()

    def _remember(self) -> None:
        pty = self._pty()
        if pty is not None:
            pty.capacity = self._random.choice((50, 2**21))

    def _break_links(self) -> None:
        panes = list(self._world.hub.world.panes) if self._world.up else []
        if panes:
            cut = (self._world.cut_sandbox, self._world.cut_terminal, self._world.kill_agent)
            self._random.choice(cut)(self._random.choice(panes), keep_words=self._random.random() < 0.5)

    def _lose_screens(self) -> None:
        if self._world.up:
            self._world.lose_screens()

    def _refuse(self) -> None:
        """No sandbox starts for a while."""
        self._world.machine.refuse_starts = "No space left." if self._random.random() < 0.6 else None

    def _end_server(self) -> None:
        if not self._world.up:
            return
        if self._random.random() < 0.5:
            self._world.stop_server()
        else:
            self._world.kill_server()

    def _pane(self) -> PaneId | None:
        panes = self._client.panes
        return self._random.choice(panes) if panes else None

    def _pty(self) -> SimPty | None:
        living = [pty for ptys in self._world.machine.ptys.values() for pty in ptys if pty.lives]
        return self._random.choice(living) if living else None


def _nobody(_: bytes) -> None:
    """Hears nothing."""
