"""The scripted client raises for every rule that a server breaks: else the tests that use it would show nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve

from wormux.ids import PaneId, SandboxId, SessionId, TabId
from wormux.protocol import messages as m
from wormux.protocol.frames import encode_frame
from wormux.testing.client import ScriptedClient
from wormux.testing.errors import ConnectionOver, ServerBroke
from wormux.testing.model import Model
from wormux.testing.streams import InputStream, OutputStream

PANE, OTHER = PaneId("p1"), PaneId("p2")
SESSION = m.SessionInfo(
    id=SessionId("s1"),
    sandbox_id=SandboxId("b1"),
    name="main",
    created_at=1,
    provider="local",
    status="awake",
)
TAB = m.TabInfo(
    id=TabId("t1"), session_id=SESSION.id, name="shell", layout=m.PaneLeaf(pane_id=PANE), focus=PANE
)
INFO = m.PaneInfo(status="connected", cols=80, rows=24, title="", queued=0)
STATE = m.State(
    rev=5,
    tabs=(TAB,),
    active_tab=TAB.id,
    channels={PANE: 0},
    connected={PANE: True},
    panes={PANE: INFO},
    now=1,
    sessions=(SESSION,),
    input=None,
)
UPDATE = m.LayoutUpdate(
    rev=6, tabs=(TAB,), active_tab=TAB.id, channels={PANE: 0}, connected={PANE: True}, panes={}
)


def changed(message: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(message, **fields)


def replay(position: int = 0, bytes: int = 0, *, reset: bool = True, skipped: int = 0) -> m.Replay:
    return m.Replay(
        pane_id=PANE,
        channel=0,
        position=position,
        bytes=bytes,
        reset=reset,
        skipped=skipped,
        cols=80,
        rows=24,
    )


class TestModel:
    def test_takes_a_right_update(self) -> None:
        model = Model()
        model.apply(STATE)
        model.apply(changed(UPDATE, panes={PANE: changed(INFO, status="asleep")}, connected={PANE: False}))
        assert model.panes[PANE].status == "asleep"

    @pytest.mark.parametrize(
        "wrong",
        [
            changed(UPDATE, rev=5),
            changed(UPDATE, connected={}),
            changed(UPDATE, connected={PANE: False}),
            changed(UPDATE, connected={PANE: True, OTHER: True}),
            changed(UPDATE, channels={PANE: 1}),
            changed(UPDATE, channels={PANE: 0, OTHER: 0}, connected={PANE: True, OTHER: True}),
            changed(UPDATE, panes={OTHER: INFO}),
            changed(UPDATE, active_tab=None),
            changed(UPDATE, active_tab="t2"),
            changed(UPDATE, tabs=(), active_tab=None),
            changed(UPDATE, tabs=(changed(TAB, focus=OTHER),)),
            changed(UPDATE, tabs=(changed(TAB, session_id="s2"),)),
            changed(UPDATE, sessions=()),
            changed(STATE, rev=4),
            changed(STATE, panes={}),
        ],
    )
    def test_raises_for_a_wrong_one(self, wrong: m.State | m.LayoutUpdate) -> None:
        model = Model()
        model.apply(STATE)
        with pytest.raises(ServerBroke):
            model.apply(wrong)

    @pytest.mark.parametrize(
        ("children", "ratios"),
        [
            ((PANE,), (1.0,)),
            ((PANE, OTHER), (0.5, 0.4)),
            ((PANE, OTHER), (1.0, 0.0)),
            ((PANE, OTHER), (1.0,)),
            ((PANE, PANE), (0.5, 0.5)),
        ],
    )
    def test_raises_for_a_wrong_split(self, children: tuple[PaneId, ...], ratios: tuple[float, ...]) -> None:
        split = m.Split(
            orientation="vertical",
            children=tuple(m.PaneLeaf(pane_id=child) for child in children),
            ratios=ratios,
        )
        panes = set(children)
        wrong = changed(
            STATE,
            tabs=(changed(TAB, layout=split),),
            channels={pane: number for number, pane in enumerate(sorted(panes))},
            connected=dict.fromkeys(panes, True),
            panes=dict.fromkeys(panes, INFO),
        )
        with pytest.raises(ServerBroke):
            Model().apply(wrong)

    def test_raises_for_an_id_that_comes_back(self) -> None:
        model = Model()
        model.apply(STATE)
        model.apply(changed(UPDATE, tabs=(), active_tab=None, channels={}, connected={}))
        with pytest.raises(ServerBroke, match="never used twice"):
            model.apply(changed(UPDATE, rev=7, panes={PANE: INFO}))


class TestOutputStream:
    def test_keeps_what_is_numbered_and_what_is_drawn(self) -> None:
        output = OutputStream()
        output.take_replay(replay(10, 3))
        output.take_bytes(b"abc")
        output.take_bytes(b"de")
        assert (output.position, bytes(output.received), bytes(output.drawn)) == (12, b"de", b"abcde")
        output.connecting()
        assert output.resume == 12
        output.take_replay(replay(12, reset=False))
        output.take_bytes(b"f")
        assert (bytes(output.received), output.gaps) == (b"def", [])

    def test_names_what_is_missing(self) -> None:
        output = OutputStream()
        output.take_replay(replay())
        output.take_bytes(b"ab")
        output.connecting()
        output.take_replay(replay(7, 1, skipped=5))
        with pytest.raises(ServerBroke, match="Output is missing"):
            output.whole()

    def test_half_a_redraw_is_not_resumed(self) -> None:
        output = OutputStream()
        output.take_replay(replay(10, 3))
        output.take_bytes(b"ab")
        output.connecting()
        assert output.resume is None
        output.connecting()
        assert output.resume is None

    @pytest.mark.parametrize(
        "steps",
        [
            (lambda output: output.take_bytes(b"x"),),
            (lambda output: output.take_replay(replay(reset=False)),),
            (lambda output: output.take_replay(replay(5, skipped=5)),),
            (lambda output: output.take_replay(replay(0, 3, reset=False)),),
            (lambda output: output.take_replay(replay(0, 3)), lambda output: output.take_bytes(b"four")),
            (lambda output: output.take_replay(replay(0, 3)), lambda output: output.take_replay(replay())),
            (lambda output: output.take_replay(replay(5)), lambda output: output.take_replay(replay(4))),
            (lambda output: output.take_replay(replay(5)), lambda output: output.take_replay(replay(6))),
            (
                lambda output: output.take_replay(replay(5)),
                lambda output: output.take_replay(replay(6, reset=False, skipped=1)),
            ),
            (lambda output: output.take_replay(replay()), lambda output: output.take_bytes(b"x" * 65537)),
            (
                lambda output: output.take_replay(replay()),
                lambda output: output.take_resized(
                    m.Resized(pane_id=PANE, channel=0, position=1, cols=80, rows=24)
                ),
            ),
        ],
    )
    def test_raises_for_a_step_out_of_place(self, steps: tuple[Callable[[OutputStream], None], ...]) -> None:
        output = OutputStream()
        for step in steps[:-1]:
            step(output)
        with pytest.raises(ServerBroke):
            steps[-1](output)


class TestInputStream:
    def test_goes_on_in_the_middle_of_a_piece(self) -> None:
        stream = InputStream()
        stream.add(b"abc")
        stream.add(b"def")
        assert stream.next_unsent() == b"abc"
        stream.take_ack(1)
        stream.reconnected(4)
        assert (stream.next_unsent(), stream.next_unsent()) == (b"ef", b"")
        stream.take_ack(6)
        assert (stream.acked, stream.end) == (6, 6)

    def test_waits_while_the_server_asks(self) -> None:
        stream = InputStream()
        stream.add(b"abc")
        assert stream.next_unsent() == b"abc"
        stream.reconnected(None)
        stream.add(b"def")
        assert stream.next_unsent() == b""
        stream.take_ack(2)
        assert (stream.next_unsent(), stream.next_unsent()) == (b"c", b"def")

    def test_leaves_out_what_is_old(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = InputStream()
        stream.add(b"old")
        stream.next_unsent()
        monkeypatch.setattr("wormux.testing.streams.QUEUE_WAITS_S", 0.0)
        stream.reconnected(1)
        assert (stream.left_out, stream.end, stream.next_unsent()) == ([b"ld"], 1, b"")

    def test_does_not_send_again_what_was_named(self) -> None:
        stream = InputStream()
        for data in (b"abc", b"def", b"ghi"):
            stream.add(data)
            stream.next_unsent()
        for start, end in ((1, 4), (5, 7)):
            stream.take_discard(m.InputDiscarded(pane_id=PANE, from_=start, to=end, reason="asked"))
        stream.reconnected(2)  # by a server that was killed before it stored any of this
        assert [stream.next_unsent() for _ in range(3)] == [b"e", b"hi", b""]
        assert (stream.end, bytes(stream.numbered), stream.left_out) == (
            5,
            b"abehi",
            [b"c", b"d", b"f", b"g"],
        )
        assert [(one.start, one.end) for one in stream.discards] == [(1, 2)]
        stream.take_discard(m.InputDiscarded(pane_id=PANE, from_=2, to=5, reason="closed"))

    def test_begins_anew_with_a_server_that_does_not_know_it(self) -> None:
        stream = InputStream()
        stream.add(b"abc")
        stream.unknown()
        stream.add(b"d")
        assert (stream.left_out, stream.next_unsent(), stream.end) == ([b"abc"], b"d", 1)

    def test_takes_out_what_was_discarded(self) -> None:
        stream = InputStream()
        stream.add(b"abcdef")
        discard = m.InputDiscarded(pane_id=PANE, from_=1, to=3, reason="closed")
        for _ in range(2):  # it may be said again after a cut
            stream.take_discard(discard)
        assert stream.kept(b"abcdef") == b"adef"

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda stream: stream.take_ack(4),
            lambda stream: stream.take_ack(0),
            lambda stream: stream.reconnected(0),
            lambda stream: stream.reconnected(4),
            lambda stream: stream.take_discard(m.InputDiscarded(pane_id=PANE, from_=2, to=4, reason="asked")),
            lambda stream: stream.take_discard(m.InputDiscarded(pane_id=PANE, from_=1, to=1, reason="asked")),
            lambda stream: stream.take_discard(m.InputDiscarded(pane_id=PANE, from_=1, to=2, reason="asked")),
        ],
        ids=[
            "ack past the end",
            "ack goes back",
            "taken less than acked",
            "taken past the end",
            "discard past the end",
            "empty discard",
            "discarded twice",
        ],
    )
    def test_raises_for_what_was_never_typed(self, wrong: Callable[[InputStream], None]) -> None:
        stream = InputStream()
        stream.add(b"abc")
        stream.take_ack(1)
        stream.take_discard(m.InputDiscarded(pane_id=PANE, from_=1, to=3, reason="asked"))
        with pytest.raises(ServerBroke):
            wrong(stream)


@asynccontextmanager
async def answering(*frames: bytes) -> AsyncIterator[str]:
    """A server that says `frames` to whoever connects, whatever is asked."""

    async def answer(socket: ServerConnection) -> None:
        await socket.recv()
        for frame in frames:
            await socket.send(frame)
        async for _ in socket:
            pass

    async with serve(answer, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}"


class TestScriptedClient:
    @pytest.mark.parametrize(
        "frames",
        [
            (b"",),
            (b"\xff{}",),
            (m.encode_control(UPDATE),),
            (m.encode_control(STATE), m.encode_control(STATE)),
            (m.encode_control(STATE), encode_frame(0, b"before its replay")),
            (m.encode_control(STATE), encode_frame(1, b"of no pane")),
            (m.encode_control(STATE), m.encode_control(changed(replay(), channel=1))),
            (m.encode_control(STATE), m.encode_control(m.InputAck(pane_id=PANE, position=0))),
            (m.encode_control(STATE), m.encode_control(m.Ok(ref="never asked"))),
        ],
    )
    async def test_raises_for_a_broken_rule(self, frames: tuple[bytes, ...]) -> None:
        async with answering(*frames) as url:
            client = ScriptedClient(url, "token")
            with pytest.raises(ServerBroke):
                async with client:
                    await client.wait_for(lambda: False, "the broken rule")

    async def test_raises_for_an_ok_without_what_was_made(self) -> None:
        ok = m.Ok(ref="r1", result=m.Made(pane_id=OTHER))
        async with answering(m.encode_control(STATE), m.encode_control(ok)) as url:
            with pytest.raises(ServerBroke):
                async with ScriptedClient(url, "token") as client:
                    await client.request("tab_create", session_id=SESSION.id)

    async def test_what_still_comes_of_a_pane_that_was_closed_is_left_out(self) -> None:
        closed = changed(UPDATE, tabs=(), active_tab=None, channels={}, connected={})
        late = m.Resized(pane_id=PANE, channel=0, position=0, cols=90, rows=30)
        pong = m.Pong(time=0, now=1)
        frames = [m.encode_control(message) for message in (STATE, closed, replay(), late, pong)]
        async with answering(*frames) as url, ScriptedClient(url, "token") as client:
            await client.wait_for(lambda: pong in client.messages, "the last message")
            assert client.outputs == {}

    async def test_an_answer_that_never_comes_ends_with_the_connection(self) -> None:
        async with answering(m.encode_control(STATE)) as url, ScriptedClient(url, "token") as client:
            answer = await client.ask("ping", time=1)
            await client.cut()
            with pytest.raises(ConnectionOver):
                await answer
