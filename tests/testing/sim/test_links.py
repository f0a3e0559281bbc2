"""The simulated links do what the real ones do where the hub can tell."""

from __future__ import annotations

from wormux.hub.inputs import TerminalLost
from wormux.limits import ANSWERS_UNWRITTEN_BYTES
from wormux.protocol.agent_link import Attach, Ended, Exit, Input, InputAck, Open, Opened, Output
from wormux.testing.sim.agent import SimAgent, SimPty
from wormux.testing.sim.lanes import Lanes
from wormux.testing.sim.links import TerminalHears, TerminalLink


class Rig:
    """One agent, and links to its one terminal."""

    def __init__(self) -> None:
        self.lanes = Lanes()
        self.agent = SimAgent(lambda _: None, lambda _, __: None)
        self.heard: list[TerminalHears] = []
        self._links = 0

    @property
    def pty(self) -> SimPty:
        return self.agent.terminals["p1"]

    def link(self, request: Open | Attach | None = None) -> TerminalLink:
        self._links += 1
        request = request or Open("p1", 1, 80, 24, 100, b"", ())
        return TerminalLink(
            self.lanes, self.agent, request, self._links, lambda _, event: self.heard.append(event)
        )

    def run(self) -> None:
        while ready := self.lanes.ready():
            ready[0].deliver()

    def opened_link(self) -> TerminalLink:
        link = self.link()
        self.run()
        self.pty.print(b"0123456789")
        self.run()
        self.heard.clear()
        return link


def test_a_position_is_answered_once_by_whoever_is_linked() -> None:
    rig = Rig()
    link = rig.opened_link()
    for position in (100, 102, 102, 101):
        link.answer(position, b"<%d>" % position)
    rig.run()
    again = rig.link(Attach("p1", 1, 0))
    rig.run()
    opened = next(event for event in rig.heard if isinstance(event, Opened))
    assert opened.answered == 102
    again.answer(102, b"<again>")
    again.answer(110, b"<110>")
    rig.run()
    assert rig.pty.answers == [(102, b"<102>"), (110, b"<110>")]
    assert rig.pty.typed == b""


def test_answers_wait_with_the_input_for_a_program_that_reads() -> None:
    rig = Rig()
    link = rig.opened_link()
    rig.pty.takes = False
    link.answer(101, bytes(ANSWERS_UNWRITTEN_BYTES))
    link.write(Input("c", 0, b"typed"))
    link.answer(102, b"too much")
    rig.run()
    assert (rig.pty.answers, rig.pty.answered) == ([], 102)
    assert [piece.data for piece in rig.pty.unread] == [b"typed"]
    rig.pty.takes = True
    rig.pty.read()
    rig.run()
    assert rig.pty.answers == [(101, bytes(ANSWERS_UNWRITTEN_BYTES))]
    assert rig.pty.typed == b"typed"
    assert rig.heard == [InputAck("c", 5)]


def test_what_has_ended_is_not_answered() -> None:
    rig = Rig()
    link = rig.opened_link()
    rig.pty.end_with(Exit(code=0))
    link.answer(110, b"late")
    rig.run()
    assert rig.pty.answers == []


def test_what_is_held_waits_until_it_is_released() -> None:
    rig = Rig()
    link = rig.opened_link()
    link.hold(True)
    rig.pty.print(b"abc")
    rig.pty.end_with(Exit(code=0))
    rig.run()
    assert rig.heard == []
    link.hold(False)
    rig.run()
    assert [type(event) for event in rig.heard] == [Output, Ended]


def test_what_is_held_from_the_start_is_held_once_it_is_open() -> None:
    rig = Rig()
    link = rig.link()
    link.hold(True)
    rig.run()
    rig.pty.print(b"abc")
    rig.run()
    assert [type(event) for event in rig.heard] == [Opened]
    link.hold(False)
    rig.run()
    assert rig.heard[1:] == [Output(b"abc")]


def test_a_cut_is_heard_on_release_and_a_death_at_once() -> None:
    for dead in (False, True):
        rig = Rig()
        link = rig.opened_link()
        link.hold(True)
        link.break_off("It broke.", dead=dead)
        rig.run()
        lost = TerminalLost("It broke.", dead)
        assert rig.heard == ([lost] if dead else [])
        link.hold(False)
        rig.run()
        assert rig.heard == [lost]
