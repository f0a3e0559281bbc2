"""Each rule can be broken, and says so: what is seen of the world is changed behind the hub's back, one thing at a
time. That broken hubs are found stands in `test_mutations`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import pytest

from wormux.hub import effects as e
from wormux.hub.inputs import TimerFired
from wormux.hub.lifecycle import PanePhase
from wormux.hub.pane import Pane, Segment
from wormux.ids import Channel, ClientId, ConnectionId, PaneId, SandboxId
from wormux.limits import CONNECTION_UNSENT_BYTES, QUEUE_WAITS_S
from wormux.protocol.agent_link import Exit, Open
from wormux.protocol.messages import InputDiscarded
from wormux.testing.errors import ServerBroke
from wormux.testing.sim.agent import Written
from wormux.testing.sim.input import Handed
from wormux.testing.sim.invariants import AT_EVERY_STEP, AT_REST, WHEN_QUIET, check
from wormux.testing.sim.rules import RULES, Broken
from wormux.testing.simulate import play as playing
from wormux.testing.simulate import rest
from wormux.testing.simulate.stage import Stage
from wormux.testing.simulate.story import read_story

Break = Callable[[Stage], None]
BREAKS: dict[str, Break] = {}


def breaks(name: str) -> Callable[[Break], Break]:
    def register(act: Break) -> Break:
        BREAKS[name] = act
        return act

    return register


@pytest.fixture
def stage() -> Stage:
    """Two panes, four clients, all settled."""
    stage = Stage(seed=1, hold=True, ready_after_s=0.0, sleep_mode="stop")
    for client in stage.clients:
        client.connect()
    stage.world.settle()
    stage.ask(0, "pane_split", 0, orientation="vertical", cols=20, rows=10)
    stage.world.settle()
    for pane_id in stage.clients[0].panes:
        stage.clients[0].type(pane_id, b"typed")
    stage.world.advance(2.0)
    return stage


def panes(stage: Stage) -> tuple[Pane, Pane]:
    first, second = stage.world.hub.world.panes.values()
    return first, second


def stream_of(stage: Stage) -> tuple[PaneId, str]:
    """A pane that the first client typed in, and its name towards agents."""
    return panes(stage)[0].id, stage.world.hub.world.clients[ClientId("c0")].key


@pytest.mark.parametrize("name", sorted(RULES))
def test_it_can_be_broken(name: str, stage: Stage) -> None:
    for looks in (AT_EVERY_STEP, WHEN_QUIET, AT_REST):
        check(stage.world, looks)  # nothing is wrong to begin with
    assert name in BREAKS, f"Show here how the rule {name!r} is broken."
    with pytest.raises(Broken) as broken:
        BREAKS[name](stage)
    assert broken.value.rule is RULES[name]
    assert str(broken.value).startswith(f"[{name}] {RULES[name].sentence}")


def test_every_sentence_is_one() -> None:
    assert all(rule.sentence.endswith(".") and rule.sentence[0].isupper() for rule in RULES.values())
    assert BREAKS.keys() == RULES.keys()


# --- As it happens -------------------------------------------------------------------------------------


@breaks("one byte a position")
def _(stage: Stage) -> None:
    pane = panes(stage)[0]
    pty = stage.world.live(pane.id)
    pty.print(b"abc")
    stage.world.saw_output(pane.id, pty.end - 3, b"abc")
    pty.history[-3:] = b"xyz"
    stage.world.saw_output(pane.id, pty.end - 3, b"xyz")


@breaks("printed")
def _(stage: Stage) -> None:
    stage.world.saw_output(panes(stage)[0].id, 10**6, b"never printed")


@breaks("one terminal")
def _(stage: Stage) -> None:
    pane = panes(stage)[0]
    machine = stage.world.machine
    machine._on_opened(machine.ptys[pane.id][0])
    request = Open(pane.id, pane.generation + 1, 80, 24, 0, b"", ())
    stage.world.agent_of(pane.id).terminals.clear()
    stage.world.agent_of(pane.id).open(request, _Silent())


class _Silent:
    """A link that nobody listens to."""

    def say(self, event: object) -> None: ...

    def hang_up(self, reason: str) -> None: ...


@breaks("one wake")
def _(stage: Stage) -> None:
    wake = e.WakeSandbox(SandboxId("b"), "sim")
    stage.world.truth.asked(wake, [wake])


@breaks("uncertain")
def _(stage: Stage) -> None:
    named = InputDiscarded(pane_id=panes(stage)[0].id, from_=0, to=5, reason="uncertain")
    stage.world.saw_discard(named.pane_id, named)


@breaks("ready")
def _(stage: Stage) -> None:
    pane_id, key = stream_of(stage)
    pty = stage.world.live(pane_id)
    pty.ready = False
    stage.world.truth.written(pty, Written(key, 5, b"x"))


@breaks("no old connection")
def _(stage: Stage) -> None:
    stage.world.on_effect(e.SendFrame(ConnectionId(12345), b"x", urgent=False))


@breaks("accounted")
def _(stage: Stage) -> None:
    client = stage.clients[0]
    stream = client.input(panes(stage)[0].id)
    stream._accounted = 0
    stream.handed.clear()
    stage.world.saw_ack(client, stream)
    stage.world.truth.check_accounts(stage.world.machine.ptys)


@breaks("written once")
def _(stage: Stage) -> None:
    pane_id, key = stream_of(stage)
    stage.world.truth.written(stage.world.live(pane_id), Written(key, 0, b"typed"))


@breaks("named once")
def _(stage: Stage) -> None:
    stream = stage.clients[0].input(panes(stage)[0].id)
    for end in (4, 5):
        stream.take_named(InputDiscarded(pane_id=panes(stage)[0].id, from_=0, to=end, reason="closed"))


@breaks("not both")
def _(stage: Stage) -> None:
    stream = stage.clients[0].input(panes(stage)[0].id)
    assert isinstance(stream.handed[0], Handed)
    stream.take_named(InputDiscarded(pane_id=panes(stage)[0].id, from_=0, to=5, reason="expired"))


# --- At every step -------------------------------------------------------------------------------------


def _look(stage: Stage) -> None:
    check(stage.world, AT_EVERY_STEP)


@breaks("channels")
def _(stage: Stage) -> None:
    panes(stage)[1].channel = Channel(0)
    _look(stage)


@breaks("connected")
def _(stage: Stage) -> None:
    next(iter(stage.world.server.terminals.values())).opened = False
    _look(stage)


@breaks("terminals")
def _(stage: Stage) -> None:
    ptys = stage.world.machine.ptys[panes(stage)[0].id]
    ptys.append(ptys[0])
    _look(stage)


@breaks("one connection")
def _(stage: Stage) -> None:
    first, second, *_ = stage.world.hub.world.connections.values()
    second.client_id = first.client_id
    _look(stage)


@breaks("revision")
def _(stage: Stage) -> None:
    stage.world.hub.world.rev -= 1
    _look(stage)


@breaks("bounds")
def _(stage: Stage) -> None:
    next(iter(stage.world.server.sockets.values())).unsent = CONNECTION_UNSENT_BYTES + 1
    _look(stage)


@breaks("prefix")
def _(stage: Stage) -> None:
    connection = next(iter(stage.world.hub.world.connections.values()))
    next(iter(connection.views.values())).position = 10**6
    _look(stage)


@breaks("stored first")
def _(stage: Stage) -> None:
    stage.world.truth.stored.clear()
    _look(stage)


# --- When all is quiet ---------------------------------------------------------------------------------


def _be_quiet(stage: Stage) -> None:
    check(stage.world, WHEN_QUIET)


@breaks("same layout")
def _(stage: Stage) -> None:
    stage.clients[1].model.channels = {}
    _be_quiet(stage)


@breaks("same state")
def _(stage: Stage) -> None:
    panes(stage)[0].phase = PanePhase.WAKING
    _be_quiet(stage)


@breaks("alive")
def _(stage: Stage) -> None:
    stage.world.live(panes(stage)[0].id).exit = Exit(0)
    _be_quiet(stage)


@breaks("answered once")
def _(stage: Stage) -> None:
    stage.world.live(panes(stage)[0].id).answers.append((1, b"!"))
    _be_quiet(stage)


@breaks("settled")
def _(stage: Stage) -> None:
    stream = stage.clients[0].input(panes(stage)[0].id)
    stream._accounted = 0
    stream.handed.clear()
    _be_quiet(stage)


@breaks("wished for")
def _(stage: Stage) -> None:
    pane = panes(stage)[0]
    pane.terminal = None
    pane.queue = deque([Segment(ClientId("c0"), 5, b"x", stage.world.now_s)])
    _mute(stage)
    _be_quiet(stage)


@breaks("waits no longer")
def _(stage: Stage) -> None:
    pane = panes(stage)[0]
    pane.terminal = None
    pane.retry_at_s = 0.0
    pane.queue = deque([Segment(ClientId("c0"), 5, b"x", stage.world.now_s - QUEUE_WAITS_S - 2)])
    _mute(stage)
    _be_quiet(stage)


def _mute(stage: Stage) -> None:
    """No client is asked what it knows."""
    for client in stage.clients:
        client.greeted = False


@breaks("no orphans")
def _(stage: Stage) -> None:
    terminals = stage.world.agent_of(panes(stage)[0].id).terminals
    terminals["closed"] = terminals[panes(stage)[0].id]
    _be_quiet(stage)


@breaks("same size")
def _(stage: Stage) -> None:
    stage.world.live(panes(stage)[0].id).resize(77, 7)
    _be_quiet(stage)


@breaks("drawn")
def _(stage: Stage) -> None:
    pane = panes(stage)[0]
    stage.world.live(pane.id).print(b"output")
    stage.world.settle()
    stage.clients[2].output(pane.id).drawn[-1:] = b"?"
    _be_quiet(stage)


# --- At rest -------------------------------------------------------------------------------------------


def _rest(stage: Stage) -> None:
    check(stage.world, AT_REST)


@breaks("all connected")
def _(stage: Stage) -> None:
    panes(stage)[0].terminal = None
    _rest(stage)


@breaks("all taken")
def _(stage: Stage) -> None:
    stage.clients[0].input(panes(stage)[0].id).type(b"x")
    _rest(stage)


@breaks("all shown")
def _(stage: Stage) -> None:
    stage.clients[2].output(panes(stage)[0].id).position -= 1
    _rest(stage)


@breaks("all answered")
def _(stage: Stage) -> None:
    next(iter(stage.world.hub.world.connections.values())).unanswered = 1
    _rest(stage)


@breaks("nothing left")
def _(stage: Stage) -> None:
    panes(stage)[0].inflight_bytes = 1
    _rest(stage)


# --- How a story ends ----------------------------------------------------------------------------------


@breaks("idle")
def _(stage: Stage) -> None:
    def again() -> None:
        stage.world.server.step(TimerFired())
        stage.world.after(0.01, again)

    again()
    rest.come_to_rest(stage)


@breaks("stored")
def _(stage: Stage) -> None:
    stage.world.fail_saves()
    stage.world.fail_saves = lambda *, failing=True: None  # type: ignore[method-assign]
    rest.come_to_rest(stage)


@breaks("restored")
def _(stage: Stage) -> None:
    user = next(iter(stage.world.store._users.values()))
    pane_id = panes(stage)[0].id
    user.panes[pane_id] = replace(user.panes[pane_id], channel=Channel(77))
    rest._restart(stage)


@breaks("comes back")
def _(stage: Stage) -> None:
    stage.world.cut_terminal(panes(stage)[0].id)
    stage.world.run()
    stage.world.hub.world.timers._at.clear()
    rest.come_to_rest(stage)


@breaks("arrives")
def _(stage: Stage) -> None:
    stage.clients[0].type = lambda pane_id, data: None  # type: ignore[method-assign]
    rest.come_to_rest(stage)


@breaks("protocol")
def _(stage: Stage) -> None:
    with playing._named():
        raise ServerBroke("A rule of the protocol.")


@breaks("no fault")
def _(stage: Stage) -> None:
    with playing._named():
        read_story("no story")
