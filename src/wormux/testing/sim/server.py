"""The server around one simulated hub: carries out its effects, as the driver does, into lanes.

It holds what dies with a server process: links, sockets, the timer, saves that are not done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, assert_never

from wormux.errors import SandboxError, StoreError
from wormux.hub import effects as e
from wormux.hub import inputs as i
from wormux.hub.hub import Hub
from wormux.hub.settings import HubSettings
from wormux.ids import ConnectionId, PaneId, SandboxId, UserId
from wormux.protocol.agent_link import Ended, Freezable, Opened, Refused, Stopped
from wormux.protocol.screen_link import ScreenEvent, ScreenGone
from wormux.screen.in_process import LocalScreens
from wormux.store.memory import MemoryStore
from wormux.testing.sim.agent import SandboxSays, SimAgent
from wormux.testing.sim.lanes import Lanes
from wormux.testing.sim.links import ControlLink, TerminalHears, TerminalLink
from wormux.testing.sim.machine import SimMachine
from wormux.testing.sim.screens import open_sim_screen
from wormux.testing.sim.socket import SimSocket

USER = UserId("user")


class Surroundings(Protocol):
    """What a server stands in."""

    lanes: Lanes
    machine: SimMachine
    store: MemoryStore

    def moment(self) -> i.Moment: ...

    def serial(self) -> int: ...

    def after(self, seconds: float, action: Callable[[], None]) -> None: ...

    def on_input(self, event: i.Input | None) -> None: ...

    def on_effect(self, effect: e.Effect) -> None: ...

    def on_stepped(self) -> None: ...

    def on_blown(self) -> None: ...

    def on_saved(self, effect: e.Save) -> None: ...


class SimServer:
    """One server process, from its start to its end."""

    def __init__(self, around: Surroundings, settings: HubSettings) -> None:
        self.hub = Hub(settings, around.store.load(USER))
        self.timer_at_s: float | None = None
        self.sockets: dict[ConnectionId, SimSocket] = {}
        self.terminals: dict[tuple[PaneId, int], TerminalLink] = {}
        self.sandboxes: dict[SandboxId, ControlLink] = {}
        self.asked: dict[SandboxId, list[e.Effect]] = {}
        """Wakes and finds that are not answered."""
        self.saves = 0
        """How many were asked for."""
        self.fuse: int | None = None
        """The process is killed when it has carried out so many more effects."""
        self._around = around
        self._over = False
        self._linking: list[ControlLink] = []
        """The hub has not heard of them yet."""
        self._connections = 0
        self._epochs: dict[PaneId, int] = {}
        self._screens = self._new_screens()

    def start(self) -> None:
        self._around.on_input(None)
        self._carry_out_all(self.hub.start(self._around.moment()))

    def step(self, event: i.Input) -> None:
        """Feed the hub."""
        if not self._over:
            self._around.on_input(event)
            self._carry_out_all(self.hub.step(self._around.moment(), event))

    def accept(self) -> SimSocket:
        """A WebSocket was opened."""
        self._connections += 1
        connection_id = ConnectionId(1000 * self._around.serial() + self._connections)

        def sent(count: int) -> None:
            self.step(i.FramesSent(connection_id, count))

        socket = self.sockets[connection_id] = SimSocket(self._around.lanes, connection_id, sent)
        self.step(i.ClientConnected(connection_id))
        return socket

    def gone(self, connection_id: ConnectionId) -> None:
        """A WebSocket is closed."""
        if self.sockets.pop(connection_id, None) is not None:
            self.step(i.ClientGone(connection_id))

    def lose_screens(self) -> None:
        """Every screen is lost with all that was asked of it."""
        self._around.lanes.drop("screens")
        self._screens = self._new_screens()
        for pane_id, epoch in list(self._epochs.items()):
            self.step(i.ScreenInput(pane_id, epoch, ScreenGone("The screens were killed.")))

    def _new_screens(self) -> LocalScreens:
        def say(pane_id: PaneId, epoch: int, event: ScreenEvent) -> None:
            self.step(i.ScreenInput(pane_id, epoch, event))

        return LocalScreens(
            say, open_sim_screen, later=lambda run: self._around.lanes.lane("screens").post(run)
        )

    def fire_timer(self) -> None:
        self.timer_at_s = None
        self.step(i.TimerFired())

    def kill(self) -> None:
        """The process ends without a word; what its agents were sent already still arrives at them."""
        self._over = True
        for socket in self.sockets.values():
            socket.cut()
        for terminal in self.terminals.values():
            terminal.detach(keep_sent=True)
        for sandbox in (*self.sandboxes.values(), *self._linking):
            sandbox.done()
        for name in ("store", "stored", "screens", "driver"):
            self._around.lanes.drop(name)
        for sandbox_id in self.asked:
            self._around.lanes.drop("provider", sandbox_id)

    # --- Effects -----------------------------------------------------------------------------------------

    def _carry_out_all(self, effects: list[e.Effect]) -> None:
        for effect in effects:
            if self.fuse is not None:
                if not self.fuse:
                    self._around.on_blown()
                    return
                self.fuse -= 1
            self._around.on_effect(effect)
            self._carry_out(effect)
        self._around.on_stepped()

    def _carry_out(self, effect: e.Effect) -> None:
        match effect:
            case e.SendFrame(connection_id, frame, urgent):
                if connection_id in self.sockets:
                    self.sockets[connection_id].send(frame, urgent=urgent)
            case e.DropUnsent(connection_id, channel):
                if connection_id in self.sockets:
                    self.sockets[connection_id].drop(channel)
            case e.CloseClient(connection_id, code, _):
                if connection_id in self.sockets:
                    self.sockets[connection_id].close(code, lambda: self.gone(connection_id))
            case e.WriteTerminal(pane_id, generation, data):
                if (link := self.terminals.get((pane_id, generation))) is not None:
                    link.write(data)
            case e.ResizeTerminal(pane_id, generation, cols, rows):
                if (link := self.terminals.get((pane_id, generation))) is not None:
                    link.resize(cols, rows)
            case e.AnswerTerminal(pane_id, generation, position, data):
                if (link := self.terminals.get((pane_id, generation))) is not None:
                    link.answer(position, data)
            case e.HoldTerminal(pane_id, generation, held):
                if (link := self.terminals.get((pane_id, generation))) is not None:
                    link.hold(held)
            case e.TellScreen(pane_id, epoch, request):
                self._epochs[pane_id] = epoch
                self._screens.tell(pane_id, epoch, request)
            case e.OpenTerminal():
                self._open(effect)
            case e.CloseTerminal(sandbox_id, pane_id, generation):
                self._close(sandbox_id, pane_id, generation)
            case e.ForgetTerminal(pane_id, generation):
                if (link := self.terminals.pop((pane_id, generation), None)) is not None:
                    link.forget()
            case e.WakeSandbox() | e.FindSandbox() | e.DestroySandbox():
                self._ask_provider(effect)
            case e.StopSandbox(sandbox_id, force):
                self._ask_to_sleep(sandbox_id, lambda link: link.sleep(force=force))
            case e.FreezeSandbox(sandbox_id, force):
                self._ask_to_sleep(sandbox_id, lambda link: link.freeze(force=force))
            case e.Save(save_id, change):
                self.saves += 1
                self._around.lanes.lane("store").post(lambda: self._save(e.Save(save_id, change)))
            case e.SetTimer(at_s):
                self.timer_at_s = at_s
            case e.Note():
                pass  # changes nothing
            case _:
                assert_never(effect)

    def _save(self, effect: e.Save) -> None:
        """The answer waits as well: what was saved may never be heard of."""
        answer: i.Input = i.Saved(effect.save_id)
        try:
            self._around.store.apply(USER, effect.change)
            self._around.on_saved(effect)
        except StoreError:
            answer = i.SaveFailed(effect.save_id)
        self._around.lanes.lane("stored").post(lambda: self.step(answer))

    # --- Sandboxes ---------------------------------------------------------------------------------------

    def _ask_provider(self, effect: e.WakeSandbox | e.FindSandbox | e.DestroySandbox) -> None:
        lane = self._around.lanes.lane("provider", effect.sandbox_id)
        self.asked.setdefault(effect.sandbox_id, []).append(effect)
        lane.post(lambda: self._provide(effect))
        start_s = self._around.machine.start_s
        if start_s and isinstance(effect, e.WakeSandbox):
            lane.held = True
            self._around.after(start_s, lambda: setattr(lane, "held", False))

    def _provide(self, effect: e.WakeSandbox | e.FindSandbox | e.DestroySandbox) -> None:
        """The provider does what it was asked for, one thing after the other for each sandbox."""
        machine, sandbox_id = self._around.machine, effect.sandbox_id
        agent: SimAgent | None = None
        try:
            match effect:
                case e.WakeSandbox():
                    agent = machine.start(sandbox_id)
                case e.FindSandbox():
                    if machine.finds_frozen and self._may_be_frozen(sandbox_id):
                        self._answered(effect)
                        self.step(i.SandboxInput(sandbox_id, i.SandboxFrozen()))
                        return
                    agent = machine.find(sandbox_id)
                case e.DestroySandbox():
                    self._cut(sandbox_id, "The sandbox was destroyed.", dead=True)
                    machine.destroy(sandbox_id)
        except SandboxError as error:
            self._answered(effect)
            self.step(i.SandboxInput(sandbox_id, i.SandboxFailed(str(error))))
            return
        if sandbox_id in machine.unstored_terminals:
            self.part(sandbox_id, parted=False)
        if agent is not None and agent.parted:
            self._answered(effect)
            self.step(i.SandboxInput(sandbox_id, i.SandboxFailed("The agent does not answer.")))
            return
        if agent is not None:
            self._link(sandbox_id, agent, effect)
            return
        self._answered(effect)
        if isinstance(effect, e.DestroySandbox):
            self.step(i.SandboxInput(sandbox_id, i.SandboxDestroyed()))
        else:
            self.step(i.SandboxInput(sandbox_id, i.SandboxMissing()))

    def _may_be_frozen(self, sandbox_id: SandboxId) -> bool:
        """No terminal of the sandbox is linked, which would tell that it runs."""
        machine = self._around.machine
        linked = any(link.agent.sandbox_id == sandbox_id for link in self.terminals.values())
        return not linked and sandbox_id not in machine.unstored_input | machine.unstored_terminals

    def _link(self, sandbox_id: SandboxId, agent: SimAgent, effect: e.Effect) -> None:
        """The control link; the hub hears of it when its first word is delivered."""
        link = ControlLink(self._around.lanes, agent, sandbox_id, self._around.serial(), self._sandbox_said)
        welcome = agent.welcome
        self._linking.append(link)

        def linked() -> None:
            self._linking.remove(link)
            older = self.sandboxes.get(sandbox_id)
            self.sandboxes[sandbox_id] = link
            if older is not None:
                older.done()
            self._answered(effect)
            self._around.machine.heard(sandbox_id)
            self.step(i.SandboxInput(sandbox_id, i.SandboxAwake(welcome)))

        link.post_first(linked)

    def _answered(self, effect: e.Effect) -> None:
        assert isinstance(effect, e.WakeSandbox | e.FindSandbox | e.DestroySandbox)
        self.asked[effect.sandbox_id].remove(effect)
        if not self.asked[effect.sandbox_id]:
            del self.asked[effect.sandbox_id]

    def _sandbox_said(self, link: ControlLink, event: SandboxSays | str) -> None:
        sandbox_id = link.sandbox_id
        if self.sandboxes.get(sandbox_id) is not link:
            link.done()
            return
        if isinstance(event, Freezable):
            self._freeze(link)
            return
        if isinstance(event, str | Stopped):
            del self.sandboxes[sandbox_id]
            link.done()
        told = i.SandboxLost(event) if isinstance(event, str) else event
        self.step(i.SandboxInput(sandbox_id, told))

    def _freeze(self, link: ControlLink) -> None:
        """Everything in the sandbox stands still, and its links are let go of."""
        link.agent.frozen = True
        for key, terminal in list(self.terminals.items()):
            if terminal.agent.sandbox_id == link.sandbox_id:
                del self.terminals[key]
                terminal.detach()
        del self.sandboxes[link.sandbox_id]
        link.done()
        self.step(i.SandboxInput(link.sandbox_id, i.SandboxFrozen()))

    def _ask_to_sleep(self, sandbox_id: SandboxId, ask: Callable[[ControlLink], None]) -> None:
        link = self.sandboxes.get(sandbox_id)
        if link is not None:
            ask(link)
            return
        lost = i.SandboxInput(sandbox_id, i.SandboxLost("The sandbox is not linked."))
        self._around.lanes.lane("driver").post(lambda: self.step(lost))

    def _cut(
        self,
        sandbox_id: SandboxId,
        reason: str,
        *,
        dead: bool = False,
        keep_words: bool = False,
        keep_sent: bool = False,
    ) -> None:
        """Every link to the sandbox's agent breaks."""
        for terminal in list(self.terminals.values()):
            if terminal.agent.sandbox_id == sandbox_id:
                terminal.break_off(reason, dead=dead, keep_words=keep_words, keep_sent=keep_sent)
        if sandbox_id in self.sandboxes:
            self.sandboxes[sandbox_id].break_off(reason, keep_words=keep_words)
        for link in self._linking:
            if link.sandbox_id == sandbox_id:
                link.break_off(reason, keep_words=True)

    def cut_sandbox(self, sandbox_id: SandboxId, *, keep_words: bool = False) -> None:
        """Its links break; the agent lives."""
        self._cut(sandbox_id, "The link to the sandbox broke.", keep_words=keep_words)

    def part(self, sandbox_id: SandboxId, *, parted: bool) -> None:
        """The network between here and the sandbox lets nothing through, or does again; neither side is told."""
        agent = self._around.machine.agents.get(sandbox_id)
        if agent is None:
            return
        agent.parted = parted
        for terminal in self.terminals.values():
            if terminal.agent is agent:
                terminal.part(parted=parted)
        for link in (*self.sandboxes.values(), *self._linking):
            if link.agent is agent:
                link.part(parted=parted)

    def give_up(self, sandbox_id: SandboxId) -> None:
        """The sandbox has not answered for too long: its links are let go of, which it does not know."""
        self._cut(sandbox_id, "The agent does not answer.", keep_sent=True)

    def kill_agent(self, sandbox_id: SandboxId, *, keep_words: bool = False, unseen: bool = False) -> None:
        """Its agent dies with all its terminals. `unseen`: the whole sandbox vanishes, and nobody can say that they are
        dead."""
        agent = self._around.machine.awake(sandbox_id)
        if agent is None:
            return
        if unseen:
            self._cut(sandbox_id, "The sandbox does not answer any more.", keep_words=keep_words)
        else:
            self._cut(sandbox_id, "The agent was killed by SIGKILL.", dead=True, keep_words=keep_words)
        agent.die()

    # --- Terminals ---------------------------------------------------------------------------------------

    def _open(self, effect: e.OpenTerminal) -> None:
        request = effect.request
        key = (PaneId(request.pane_id), request.generation)
        control = self.sandboxes.get(effect.sandbox_id)
        if control is None:
            lost = i.TerminalInput(*key, i.TerminalLost("The sandbox is not linked."))
            self._around.lanes.lane("driver").post(lambda: self.step(lost))
            return
        older = self.terminals.pop(key, None)
        if older is not None:
            older.detach()
        self.terminals[key] = TerminalLink(
            self._around.lanes, control.agent, request, self._around.serial(), self._terminal_said
        )

    def _terminal_said(self, link: TerminalLink, event: TerminalHears) -> None:
        key = (link.pane_id, link.generation)
        if self.terminals.get(key) is not link:
            return
        if isinstance(event, i.TerminalLost | Refused):
            del self.terminals[key]
            link.done()
        elif isinstance(event, Opened) and link.pty is not None:
            link.pty.known = True
        elif isinstance(event, Ended) and link.pty is not None:
            link.pty.end_heard = True
        self.step(i.TerminalInput(*key, event))

    def _close(self, sandbox_id: SandboxId, pane_id: PaneId, generation: int) -> None:
        link = self.terminals.pop((pane_id, generation), None)
        if link is not None:
            link.close()
        elif sandbox_id in self.sandboxes:
            self.sandboxes[sandbox_id].close_terminal(pane_id)

    def connected(self, pane_id: PaneId) -> bool:
        """A live terminal stands behind the pane, as far as was delivered here."""
        return any(link.opened for key, link in self.terminals.items() if key[0] == pane_id)
