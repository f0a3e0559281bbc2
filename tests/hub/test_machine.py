"""Hypothesis drives one hub through everything that can happen to it, in any order (`wormux.testing.sim.world`).

What must hold at every moment is checked as it happens, by the clients and by `truth`; what must hold when all is
quiet, here. A longer run: `WORMUX_MACHINE_EXAMPLES=5000 pytest tests/hub/test_machine.py`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from wormux.hub.pane import Pane
from wormux.hub.settings import ExitBehavior, SleepMode
from wormux.ids import PaneId
from wormux.limits import INPUT_PANE_BYTES
from wormux.protocol.agent_link import Exit
from wormux.testing.sim.agent import SimPty
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.screens import QUERY
from wormux.testing.sim.world import SETTINGS, HubWorld

IDLE_S = 20.0
CLIENTS: int = 3
SLEEP_MODES: tuple[SleepMode, ...] = ("stop", "freeze", "freeze-then-stop")
EXAMPLES = int(os.environ.get("WORMUX_MACHINE_EXAMPLES", "0"))

indexes = st.integers(0, 7)
clients = st.integers(0, CLIENTS - 1)


class HubMachine(RuleBasedStateMachine):
    """Parties do what they may, deliveries arrive when Hypothesis says so."""

    @initialize(
        seed=st.integers(0, 2**32),
        hold=st.booleans(),
        ready_after_s=st.sampled_from([0.0, 0.3]),
        sleep_mode=st.sampled_from(SLEEP_MODES),
    )
    def begin(self, seed: int, hold: bool, ready_after_s: float, sleep_mode: SleepMode) -> None:
        behavior: ExitBehavior = "hold" if hold else "close"
        chosen = replace(
            SETTINGS,
            idle_timeout_s=IDLE_S,
            exit_behavior=behavior,
            sleep_mode=sleep_mode,
            stop_after_s=2 * IDLE_S,
        )
        self.world = HubWorld(chosen, seed=seed)
        self.world.ready_after_s = ready_after_s
        self.clients = [self.world.client(f"c{number}", flow=number != 1) for number in range(CLIENTS)]
        self.clients[0].connect()
        self.world.settle()
        self.up = True
        self.count = 0

    # --- What is there -----------------------------------------------------------------------------------

    def pane(self, index: int) -> PaneId | None:
        panes = list(self.world.hub.world.panes)
        return panes[index % len(panes)] if panes else None

    def known_pane(self, client: SimClient, index: int) -> PaneId | None:
        panes = client.panes if client.attached else []
        return panes[index % len(panes)] if panes else None

    def pty(self, index: int) -> SimPty | None:
        living = [pty for ptys in self.world.machine.ptys.values() for pty in ptys if pty.lives]
        return living[index % len(living)] if living else None

    def ask(self, number: int, kind: str, index: int, field: str = "paneId", **fields: Any) -> None:
        client = self.clients[number]
        pane_id = self.known_pane(client, index)
        if pane_id is None:
            return
        tab = next(tab for tab in client.model.tabs.values() if pane_id in _leaves(tab.layout))
        ids = {"paneId": pane_id, "tabId": tab.id, "sessionId": tab.session_id}
        client.ask(kind, **{field: ids[field]}, **fields)

    # --- Time and deliveries -----------------------------------------------------------------------------

    @rule(picks=st.lists(st.integers(0, 30), min_size=1, max_size=30))
    def deliver(self, picks: list[int]) -> None:
        for pick in picks:
            ready = self.world.lanes.ready()
            if ready:
                ready[pick % len(ready)].deliver()

    @rule(picks=st.integers(0, 2**32), limit=st.integers(1, 200))
    def deliver_shuffled(self, picks: int, limit: int) -> None:
        for _ in range(limit):
            ready = self.world.lanes.ready()
            if not ready:
                return
            picks = (picks * 6364136223846793005 + 1442695040888963407) % 2**64
            ready[(picks >> 33) % len(ready)].deliver()

    @rule(seconds=st.sampled_from([0.005, 0.02, 0.3, 0.6, 1.1, 3.0, 12.0, 31.0]), deliver=st.booleans())
    def advance(self, seconds: float, deliver: bool) -> None:
        self.world.advance(seconds, deliver=deliver)

    # --- Clients -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.up)
    @rule(number=clients, resume=st.booleans())
    def connect(self, number: int, resume: bool) -> None:
        self.clients[number].connect(resume=resume)

    @rule(number=clients, keep_words=st.booleans())
    def cut(self, number: int, keep_words: bool) -> None:
        self.clients[number].cut(keep_words=keep_words)

    @rule(number=clients)
    def stall(self, number: int) -> None:
        socket = self.clients[number].socket
        if socket is not None:
            socket.stalled = not socket.stalled

    @rule(number=clients, index=indexes, size=st.integers(1, 40))
    def type(self, number: int, index: int, size: int) -> None:
        client = self.clients[number]
        pane_id = self.known_pane(client, index)
        if pane_id is not None and client.input(pane_id).unacked < INPUT_PANE_BYTES - 100:
            self.count += 1
            client.type(pane_id, (b"%d:%d " % (number, self.count) * size)[:size])

    @rule(number=clients, index=indexes, cols=st.integers(2, 6), rows=st.integers(2, 4))
    def resize(self, number: int, index: int, cols: int, rows: int) -> None:
        self.ask(number, "pane_resize", index, cols=cols, rows=rows)

    @rule(number=clients, index=indexes, orientation=st.sampled_from(["horizontal", "vertical"]))
    def split(self, number: int, index: int, orientation: str) -> None:
        if len(self.world.hub.world.panes) < 6:
            self.ask(number, "pane_split", index, orientation=orientation, cols=20, rows=10)

    @rule(number=clients, index=indexes)
    def close_pane(self, number: int, index: int) -> None:
        self.ask(number, "pane_close", index)

    @rule(number=clients, index=indexes)
    def create_tab(self, number: int, index: int) -> None:
        if len(self.world.hub.world.panes) < 6:
            self.ask(number, "tab_create", index, "sessionId")

    @rule(number=clients, index=indexes)
    def close_tab(self, number: int, index: int) -> None:
        self.ask(number, "tab_close", index, "tabId")

    @rule(number=clients)
    def create_session(self, number: int) -> None:
        client = self.clients[number]
        if client.attached and len(self.world.hub.world.sessions) < 2:
            client.ask("session_create", name="another")

    @rule(number=clients, index=indexes)
    def destroy_session(self, number: int, index: int) -> None:
        self.ask(number, "session_destroy", index, "sessionId")

    @rule(number=clients, index=indexes, force=st.booleans())
    def sleep(self, number: int, index: int, force: bool) -> None:
        self.ask(number, "session_sleep", index, "sessionId", force=force)

    @rule(number=clients, index=indexes, kind=st.sampled_from(["pane_wake", "input_discard"]))
    def poke(self, number: int, index: int, kind: str) -> None:
        self.ask(number, kind, index)

    @rule(number=clients, index=indexes, lines=st.integers(0, 300))
    def redraw(self, number: int, index: int, lines: int) -> None:
        self.ask(number, "pane_redraw", index, lines=lines)

    @rule(number=clients, index=indexes)
    def switch_tab(self, number: int, index: int) -> None:
        self.ask(number, "tab_switch", index, "tabId")

    @rule(number=clients, index=indexes, share=st.floats(0.1, 0.9))
    def drag(self, number: int, index: int, share: float) -> None:
        self.ask(number, "layout_resize", index, "tabId", path=[], ratios=[share, 1 - share])

    # --- Terminals ---------------------------------------------------------------------------------------

    @rule(index=indexes, size=st.sampled_from([1, 10, 100, 5_000, 700_000]))
    def print(self, index: int, size: int) -> None:
        pty = self.pty(index)
        if pty is not None:
            self.count += 1
            pty.print((b"out %d \x1b[3%dm\r\n" % (self.count, self.count % 8) * (size // 8 + 1))[:size])

    @rule(index=indexes)
    def query(self, index: int) -> None:
        pty = self.pty(index)
        if pty is not None:
            pty.print(b"?" + QUERY + b"?")

    @rule(
        index=indexes, end=st.sampled_from([Exit(0, ran_s=5.0), Exit(1, ran_s=0.1), Exit(signal="SIGKILL")])
    )
    def exit(self, index: int, end: Exit) -> None:
        pty = self.pty(index)
        if pty is not None:
            pty.end_with(end)

    @rule(index=indexes, program=st.sampled_from([None, "vim"]))
    def foreground(self, index: int, program: str | None) -> None:
        pty = self.pty(index)
        if pty is not None:
            pty.run(program)
        for agent in self.world.machine.agents.values():
            agent.busy = next((pty.running for pty in agent.terminals.values() if pty.running), None)

    @rule(index=indexes, takes=st.booleans())
    def reading(self, index: int, takes: bool) -> None:
        pty = self.pty(index)
        if pty is not None:
            pty.takes = takes
            pty.read()

    @rule(index=indexes, capacity=st.sampled_from([50, 2**21]))
    def remember(self, index: int, capacity: int) -> None:
        pty = self.pty(index)
        if pty is not None:
            pty.capacity = capacity

    # --- Faults ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.up)
    @rule(index=indexes, keep_words=st.booleans(), kind=st.sampled_from(["sandbox", "terminal", "agent"]))
    def break_links(self, index: int, keep_words: bool, kind: str) -> None:
        pane_id = self.pane(index)
        if pane_id is None:
            return
        if kind == "sandbox":
            self.world.cut_sandbox(pane_id, keep_words=keep_words)
        elif kind == "terminal":
            self.world.cut_terminal(pane_id, keep_words=keep_words)
        else:
            self.world.kill_agent(pane_id, keep_words=keep_words)

    @precondition(lambda self: self.up)
    @rule()
    def lose_screens(self) -> None:
        self.world.lose_screens()

    @rule(failing=st.booleans())
    def fail_starts(self, failing: bool) -> None:
        self.world.machine.refuse_starts = "No space left." if failing else None

    @rule(failing=st.booleans())
    def fail_finds(self, failing: bool) -> None:
        self.world.machine.refuse_finds = "No answer." if failing else None

    @rule(failing=st.booleans())
    def fail_opens(self, failing: bool) -> None:
        for agent in self.world.machine.agents.values():
            agent.refuse_opens = "No more terminals." if failing else None

    @rule(failing=st.booleans())
    def fail_saves(self, failing: bool) -> None:
        self.world.fail_saves(failing=failing and self.up)

    @precondition(lambda self: self.up)
    @rule(gently=st.booleans())
    def end_server(self, gently: bool) -> None:
        if gently:
            self.world.stop_server()
        else:
            self.world.kill_server()
        self.world.fail_saves(failing=False)
        self.up = False

    @precondition(lambda self: not self.up)
    @rule()
    def start_server(self) -> None:
        self.world.start_server()
        self.up = True

    @precondition(lambda self: not self.up)
    @rule(index=indexes)
    def agent_dies_meanwhile(self, index: int) -> None:
        agents = list(self.world.machine.agents.values())
        if agents:
            agents[index % len(agents)].die()

    # --- What must hold when all is quiet ----------------------------------------------------------------

    @precondition(lambda self: self.up)
    @rule()
    def be_quiet(self) -> None:
        self.world.settle()
        for _ in range(40):
            if not any(connection.dirty for connection in self.world.hub.world.connections.values()):
                break
            self.world.advance(0.07)
        self.check_quiet()

    def check_quiet(self) -> None:
        world = self.world.hub.world
        for client in self.clients:
            if not client.attached or client.socket is None or client.socket.stalled:
                continue
            assert client.model.channels == {pane.id: pane.channel for pane in world.panes.values()}
            assert list(client.model.sessions) == list(world.sessions)
            assert {tab: info.layout for tab, info in client.model.tabs.items()} == {
                tab.id: tab.layout for tab in world.tabs.values()
            }
            for ptys in self.world.machine.ptys.values():
                for pty in ptys:
                    assert sum(len(data) for _, data in pty.answers) <= pty.history.count(QUERY)
            for pane in world.panes.values():
                assert client.model.connected[pane.id] == self.world.server.connected(pane.id)
                assert client.model.panes[pane.id].queued == pane.queued_bytes
                self.check_drawn(client, pane)
            for pane_id, stream in [*client.inputs.items(), *client.past_inputs]:
                assert not stream.unaccounted(), (client.client_id, pane_id, stream.unaccounted())

    def check_drawn(self, client: SimClient, pane: Pane) -> None:
        """What the client has drawn ends as the stream does: nothing is lost or doubled behind a redraw."""
        log, output = pane.log, client.outputs.get(pane.id)
        if output is None or output.position != log.end:
            return
        shown = b""
        at = max(log.start, log.end - 1000)
        while at < log.end:
            shown += log.read(at, 1000)
            at = max(log.start, log.end - 1000) + len(shown)
        if 0 < log.start == log.end - len(shown):
            shown = shown[shown.find(b"\n") + 1 :]  # a screen without a checkpoint begins with a whole line
        drawn = bytes(output.drawn[-2 * len(shown) - 1000 :]).replace(QUERY, b"")
        shown = shown.replace(QUERY, b"")
        if output.replays[-1].bytes and len(drawn) < len(shown):
            shown = shown[-len(drawn) :]  # a redraw of few lines
        assert drawn.endswith(shown), (client.client_id, pane.id)

    def teardown(self) -> None:
        """All faults end: everything comes to rest, and every pane can be had back with a key."""
        if not hasattr(self, "world"):
            return
        if not self.up:
            self.start_server()
        self.fail_starts(failing=False)
        self.fail_finds(failing=False)
        self.fail_opens(failing=False)
        self.fail_saves(failing=False)
        for agent in self.world.machine.agents.values():
            for pty in agent.terminals.values():
                pty.takes = True
                pty.read()
            agent.busy = None
        for client in self.clients:
            client.connect()
        self.world.advance(40.0)
        self.be_quiet()
        typist = self.clients[0]
        assert typist.attached
        for pane_id in typist.panes:
            typist.type(pane_id, b"!")
        self.world.advance(4.0)
        self.be_quiet()
        for pane_id in typist.panes:
            assert typist.model.connected[pane_id], typist.model.panes[pane_id]
            assert self.world.live(pane_id).typed.endswith(b"!")
        for client in self.clients:
            for pane_id in client.panes:
                output = client.output(pane_id)
                assert client.input(pane_id).unacked == 0
                assert output.position == self.world.hub.world.panes[pane_id].log.end, (
                    client.client_id,
                    pane_id,
                )
                assert output.size == self.world.live(pane_id).size
        self.check_at_rest()

    def check_at_rest(self) -> None:
        world = self.world.hub.world
        self.world.advance(2.5)
        for pane in world.panes.values():
            assert pane.screen is not None
            assert pane.screen.position == pane.screen.done == pane.log.end
            assert not pane.screen.held
            assert not pane.screen.redraws
            assert pane.checkpoint_wanted is None
            assert not pane.checkpoint_then
            assert not pane.queue
            assert not pane.inflight
            assert not pane.inflight_bytes
            assert not pane.queued_bytes
        assert not world.destroying
        assert not self.world.server.asked
        assert all(not connection.reserved for connection in world.connections.values())
        assert all(not connection.unanswered for connection in world.connections.values())
        assert all(not connection.held for connection in world.connections.values())
        assert len(world.timers) <= 4 * len(world.sessions) + len(world.clients)
        steps = self.world.steps
        self.world.advance(3.0)
        assert self.world.steps - steps < 20, "A hub at rest does next to nothing."
        self.world.run()
        if not self.world.hub._saver.idle:  # a sandbox has just come to sleep more deeply
            self.world.advance(2.0)
        assert self.world.hub._saver.idle
        self.world.restart()
        restored = self.world.hub.world
        assert restored.tabs.keys() == world.tabs.keys()
        assert {pane.id: pane.channel for pane in restored.panes.values()} == {
            pane.id: pane.channel for pane in world.panes.values()
        }


def _leaves(layout: Any) -> list[PaneId]:
    if hasattr(layout, "pane_id"):
        return [layout.pane_id]
    return [pane_id for child in layout.children for pane_id in _leaves(child)]


TestHubMachine = HubMachine.TestCase
TestHubMachine.settings = settings(
    max_examples=EXAMPLES or 150,
    stateful_step_count=50,
    derandomize=not EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
