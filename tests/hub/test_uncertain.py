"""Input of which nobody will know whether the terminal took it is named, while the terminal goes on."""

from __future__ import annotations

from wormux.hub.effects import WriteTerminal
from wormux.hub.inputs import InputUncertain, TerminalInput
from wormux.protocol.agent_link import InputAck
from wormux.testing.sim.world import HubWorld


def test_what_is_uncertain_is_named_and_the_rest_arrives() -> None:
    world = HubWorld()
    client = world.attached()
    pane_id = client.pane()
    world.live(pane_id).takes = False
    for text in (b"abc", b"def", b"ghi"):
        client.type(pane_id, text)
        world.settle()
    writes = [effect for effect in world.wanted(WriteTerminal) if isinstance(effect, WriteTerminal)]
    key = writes[-1].input.client_id
    assert [write.input.position for write in writes] == [0, 3, 6]

    world.server.step(TerminalInput(pane_id, 1, InputAck(key, 3)))
    world.server.step(TerminalInput(pane_id, 1, InputUncertain("nobody", 9)))
    world.server.step(TerminalInput(pane_id, 2, InputUncertain(key, 9)))
    world.settle()
    assert client.input(pane_id).named == []
    world.server.step(TerminalInput(pane_id, 1, InputUncertain(key, 6)))
    world.settle()
    assert client.status(pane_id) == "connected"
    (named,) = client.input(pane_id).named
    assert (named.start, named.end, named.reason) == (3, 6, "uncertain")
    assert client.input(pane_id).acked == 6
    world.server.step(TerminalInput(pane_id, 1, InputAck(key, 9)))
    world.settle()
    assert client.input(pane_id).acked == 9
    assert len(client.input(pane_id).named) == 1
