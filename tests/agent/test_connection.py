"""The agent's end of one link: frames arrive whole and in their order, however little the socket takes at a time."""

from __future__ import annotations

import random
import socket

import pytest

from wormux.agent.connection import Connection
from wormux.agent.log import Log
from wormux.agent.loop import Loop
from wormux.limits import LINK_NOTES_BYTES, LINK_OUTPUT_BYTES
from wormux.protocol.agent_link import FrameReader, InputAck, Message, Output, encode


class Link:
    """A connection, and the socket of its peer."""

    def __init__(self) -> None:
        self.log = Log(0, 80, 24)
        ours, self.peer = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.peer.setblocking(False)
        self.connection = Connection(Loop(), ours, lambda *_: None, lambda *_: None)
        self.connection.follow(self.log, 0)
        self.reader = FrameReader()
        self.heard: list[Message] = []

    def read(self, limit: int) -> None:
        try:
            self.heard += self.reader.feed(self.peer.recv(limit))
        except BlockingIOError:
            return

    def drain(self) -> None:
        while self.connection.has_unsent:
            self.connection.flush()
            self.read(1 << 16)
        self.read(1 << 20)

    def close(self) -> None:
        self.connection.close()
        self.peer.close()


def test_what_is_noted_around_output_goes_with_it() -> None:
    link = Link()
    link.connection.note(InputAck("before", 1))
    link.log.append(b"output")
    link.connection.note(InputAck("behind", 2))
    link.connection.flush()
    link.read(1 << 16)
    assert link.heard == [InputAck("before", 1), Output(b"output"), InputAck("behind", 2)]
    assert not link.connection.has_unsent
    link.close()


@pytest.mark.parametrize("seed", range(20))
def test_frames_keep_their_order_whatever_the_socket_takes(seed: int) -> None:
    rng = random.Random(seed)
    link = Link()
    wanted: list[object] = []
    for number in range(200):
        if rng.random() < 0.5:
            data = rng.randbytes(rng.choice((1, 10, 3000, LINK_OUTPUT_BYTES + 1)))
            link.log.append(data)
            wanted += data
        else:
            link.connection.note(InputAck("client", number))
            wanted.append(number)
        if rng.random() < 0.5 or link.log.end - link.connection.sent > link.log.capacity // 2:
            link.connection.flush()
            link.read(rng.choice((1, 100, 10_000)))
        while link.log.end - link.connection.sent > link.log.capacity // 2:
            link.connection.flush()
            link.read(1 << 16)
    link.drain()
    heard: list[object] = []
    for message in link.heard:
        if isinstance(message, Output):
            assert len(message.data) <= LINK_OUTPUT_BYTES
            heard += message.data
        else:
            assert isinstance(message, InputAck)
            heard.append(message.position)
    assert heard == wanted
    link.close()


def test_notes_that_nobody_takes_are_bounded_and_none_is_lost() -> None:
    link = Link()
    told = 0
    while not link.connection.is_behind:
        link.connection.note(InputAck("client", told))
        link.connection.flush()
        told += 1
    link.drain()
    assert [m.position for m in link.heard if isinstance(m, InputAck)] == list(range(told))
    assert told * len(encode(InputAck("client", 0))) < 2 * LINK_NOTES_BYTES
    link.close()
