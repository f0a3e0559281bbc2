"""Every request of protocol §3: what it does, what is refused, and that a refusal changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from wormux.hub.effects import CloseTerminal, DestroySandbox, OpenTerminal, Save, StopSandbox, WakeSandbox
from wormux.ids import PaneId, SessionId, TabId
from wormux.limits import PANES, SESSIONS
from wormux.protocol import messages as m
from wormux.protocol.frames import CONTROL_CHANNEL, encode_frame
from wormux.testing.sim.client import SimClient
from wormux.testing.sim.world import HubWorld


def answer(world: HubWorld, client: SimClient, kind: str, **fields: Any) -> m.Ok | m.Error:
    """Ask, wait, and return the one answer."""
    ref = client.ask(kind, **fields)
    world.settle()
    return client.answers[ref]


def made(world: HubWorld, client: SimClient, kind: str, **fields: Any) -> m.Made:
    reply = answer(world, client, kind, **fields)
    assert isinstance(reply, m.Ok), reply
    assert isinstance(reply.result, m.Made)
    return reply.result


def done(world: HubWorld, client: SimClient, kind: str, **fields: Any) -> None:
    reply = answer(world, client, kind, **fields)
    assert isinstance(reply, m.Ok), reply


def refused(world: HubWorld, client: SimClient, kind: str, **fields: Any) -> str:
    """The code. Nothing may have changed."""
    world.advance(2.5)  # until all that was dirty is saved
    before = (client.model.rev, world.hub.world.rev, len(world.hub.world.panes), len(world.effects))
    saves = world.server.saves
    reply = answer(world, client, kind, **fields)
    assert isinstance(reply, m.Error), reply
    assert reply.request == kind
    assert reply.message.endswith((".", ";")) or ":" in reply.message
    assert (client.model.rev, world.hub.world.rev, len(world.hub.world.panes)) == before[:3]
    assert world.server.saves == saves
    assert not [
        e for e in world.effects[before[3] :] if isinstance(e, OpenTerminal | WakeSandbox | CloseTerminal)
    ]
    return reply.code


@pytest.fixture
def world() -> HubWorld:
    return HubWorld()


@pytest.fixture
def client(world: HubWorld) -> SimClient:
    return world.attached()


def tab(client: SimClient) -> TabId:
    return next(iter(client.model.tabs))


def session(client: SimClient) -> SessionId:
    return next(iter(client.model.sessions))


# --- Sessions --------------------------------------------------------------------------------------------


def test_create_a_session(world: HubWorld, client: SimClient) -> None:
    new = made(world, client, "session_create", name="  other  ", cols=100, rows=30)
    assert new.session_id is not None
    assert new.tab_id is not None
    assert new.pane_id is not None
    assert client.model.sessions[new.session_id].name == "other"
    assert client.model.sessions[new.session_id].status == "awake"
    assert client.model.sessions[new.session_id].provider == "sim"
    assert client.model.active_tab == new.tab_id
    assert client.model.tabs[new.tab_id].focus == new.pane_id
    assert client.status(new.pane_id) == "connected"
    assert world.live(new.pane_id).size == (100, 30)
    assert len({info.sandbox_id for info in client.model.sessions.values()}) == 2


def test_a_session_without_a_size_has_about_the_page_s(world: HubWorld, client: SimClient) -> None:
    new = made(world, client, "session_create", name="other")
    assert new.pane_id is not None
    assert world.live(new.pane_id).size == (120, 42)  # of 1024 × 768 pixels


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 101},
        {"name": "a\nb"},
        {"name": "a\x1bb"},
        {"name": "n", "provider": "nowhere"},
        {"name": "n", "cols": 1},
        {"name": "n", "rows": 1001},
    ],
)
def test_sessions_that_cannot_be(world: HubWorld, client: SimClient, fields: dict[str, Any]) -> None:
    assert refused(world, client, "session_create", **fields) == "invalid"


def test_there_are_64_sessions_at_most(world: HubWorld, client: SimClient) -> None:
    for number in range(SESSIONS - 1):
        client.say("session_create", name=f"s{number}")
    world.settle()
    assert len(client.model.sessions) == SESSIONS
    assert refused(world, client, "session_create", name="one more") == "limit"


def test_rename_a_session(world: HubWorld, client: SimClient) -> None:
    done(world, client, "session_rename", sessionId=session(client), name=" new ")
    assert client.model.sessions[session(client)].name == "new"
    assert refused(world, client, "session_rename", sessionId="s_none", name="x") == "not_found"
    assert refused(world, client, "session_rename", sessionId=session(client), name="") == "invalid"


def test_destroy_a_session(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    sandbox_id = world.sandbox_of(pane_id)
    done(world, client, "session_destroy", sessionId=session(client))
    assert not client.model.sessions
    assert not client.model.tabs
    assert not client.model.channels
    assert client.model.active_tab is None
    assert len(world.wanted(DestroySandbox)) == 1
    assert sandbox_id not in world.machine.agents
    assert not world.hub.world.destroying
    world.advance(2.0)
    assert world.store.load(world_user()).sessions == ()
    assert refused(world, client, "session_destroy", sessionId="s_none") == "not_found"


def world_user() -> Any:
    from wormux.testing.sim.server import USER

    return USER


# --- Tabs ------------------------------------------------------------------------------------------------


def test_create_and_close_tabs(world: HubWorld, client: SimClient) -> None:
    first = tab(client)
    new = made(world, client, "tab_create", sessionId=session(client), name="logs")
    assert new.tab_id is not None
    assert new.pane_id is not None
    assert client.model.tabs[new.tab_id].name == "logs"
    assert client.model.active_tab == new.tab_id
    assert client.status(new.pane_id) == "connected"
    done(world, client, "tab_close", tabId=new.tab_id)
    assert list(client.model.tabs) == [first]
    assert client.model.active_tab == first
    done(world, client, "tab_close", tabId=first)
    assert not client.model.tabs
    assert list(client.model.sessions), "A session may be left without tabs."
    assert refused(world, client, "tab_close", tabId=first) == "not_found"
    third = made(world, client, "tab_create", sessionId=session(client))
    assert client.model.active_tab == third.tab_id


def test_rename_a_tab(world: HubWorld, client: SimClient) -> None:
    done(world, client, "tab_rename", tabId=tab(client), name="x")
    assert client.model.tabs[tab(client)].name == "x"
    assert refused(world, client, "tab_rename", tabId=tab(client), name="\x07") == "invalid"
    assert refused(world, client, "tab_rename", tabId="t_none", name="x") == "not_found"


def test_the_active_tab_is_each_client_s_own(world: HubWorld, client: SimClient) -> None:
    other = world.attached("other")
    new = made(world, client, "tab_create", sessionId=session(client))
    assert client.model.active_tab == new.tab_id
    assert other.model.active_tab != new.tab_id
    done(world, other, "tab_switch", tabId=new.tab_id)
    assert other.model.active_tab == new.tab_id
    assert refused(world, client, "tab_switch", tabId="t_none") == "not_found"
    assert world.attached("third").model.active_tab == new.tab_id, "A new one starts at the one last used."


# --- Panes -----------------------------------------------------------------------------------------------


def test_split_a_pane(world: HubWorld, client: SimClient) -> None:
    origin = client.pane()
    world.live(origin).run("vim")
    world.settle()
    world.live(origin).run(None)
    new = made(world, client, "pane_split", paneId=origin, orientation="vertical", cols=80, rows=20)
    assert new.pane_id is not None
    assert client.model.tabs[tab(client)].layout == m.Split(
        orientation="vertical",
        children=(m.PaneLeaf(pane_id=origin), m.PaneLeaf(pane_id=new.pane_id)),
        ratios=(0.5, 0.5),
    )
    assert client.model.tabs[tab(client)].focus == new.pane_id
    request = world.live(new.pane_id).request
    assert (request.cols, request.rows, request.cwd, request.beside) == (80, 20, "/work", origin)
    assert request.preamble == b""
    assert refused(
        world, client, "pane_split", paneId="p_none", orientation="vertical", cols=80, rows=20
    ) == ("not_found")
    assert (
        refused(world, client, "pane_split", paneId=origin, orientation="vertical", cols=1, rows=20)
        == "invalid"
    )


def test_close_a_pane(world: HubWorld, client: SimClient) -> None:
    origin = client.pane()
    new = made(world, client, "pane_split", paneId=origin, orientation="horizontal", cols=40, rows=20)
    assert new.pane_id is not None
    pty = world.live(new.pane_id)
    done(world, client, "pane_close", paneId=new.pane_id)
    assert client.panes == [origin]
    assert client.model.tabs[tab(client)].layout == m.PaneLeaf(pane_id=origin)
    assert client.model.tabs[tab(client)].focus == origin
    assert not pty.lives
    assert refused(world, client, "pane_close", paneId=new.pane_id) == "not_found"
    done(world, client, "pane_close", paneId=origin)
    assert not client.model.tabs, "Closing the last pane closes its tab."


def test_there_are_255_panes_at_most(world: HubWorld, client: SimClient) -> None:
    first = client.pane()
    for _ in range(PANES - 1):
        client.say("pane_split", paneId=first, orientation="horizontal", cols=20, rows=20)
        world.run()
    world.settle()
    assert sorted(client.model.channels.values()) == list(range(PANES))
    code = refused(world, client, "pane_split", paneId=first, orientation="horizontal", cols=20, rows=20)
    assert code == "limit"
    assert refused(world, client, "tab_create", sessionId=session(client)) == "limit"
    assert refused(world, client, "session_create", name="x") == "limit"
    done(world, client, "pane_close", paneId=client.panes[7])
    new = made(world, client, "tab_create", sessionId=session(client))
    assert new.pane_id is not None
    assert client.model.channels[new.pane_id] == 7


def test_a_new_pane_on_a_used_channel_is_told_before_its_bytes(world: HubWorld, client: SimClient) -> None:
    """Closed and given out again within one update: no byte, replay or `ok` comes before the update."""
    client.keeps_frames = True
    panes = [made(world, client, "tab_create", sessionId=session(client)).pane_id for _ in range(3)]
    world.hub.world.channels._next = PANES  # every channel was used
    assert panes[1] is not None
    channel = client.model.channels[panes[1]]
    world.live(panes[1]).print(b"old")
    client.messages.clear()
    client.say("pane_close", paneId=panes[1])
    ref = client.ask("tab_create", sessionId=session(client))
    world.settle()
    kinds = [type(message) for message in client.messages]
    update = kinds.index(m.LayoutUpdate)
    assert kinds.index(m.Ok) > update
    assert kinds.index(m.Replay) > update
    reply = client.answers[ref]
    assert isinstance(reply, m.Ok)
    assert isinstance(reply.result, m.Made)
    assert reply.result.pane_id is not None
    assert client.model.channels[reply.result.pane_id] == channel


def test_focus_by_name_and_by_direction(world: HubWorld, client: SimClient) -> None:
    left = client.pane()
    right = made(world, client, "pane_split", paneId=left, orientation="horizontal", cols=40, rows=20).pane_id
    done(world, client, "pane_focus", direction="left")
    assert client.model.tabs[tab(client)].focus == left
    done(world, client, "pane_focus", direction="up")
    assert client.model.tabs[tab(client)].focus == left, "There is nothing on that side."
    done(world, client, "pane_focus", direction="right")
    assert client.model.tabs[tab(client)].focus == right
    done(world, client, "pane_focus", paneId=left)
    assert client.model.tabs[tab(client)].focus == left
    assert refused(world, client, "pane_focus") == "invalid"
    assert refused(world, client, "pane_focus", paneId=left, direction="left") == "invalid"
    assert refused(world, client, "pane_focus", paneId="p_none") == "not_found"


def test_shares_of_a_split(world: HubWorld, client: SimClient) -> None:
    left = client.pane()
    made(world, client, "pane_split", paneId=left, orientation="horizontal", cols=40, rows=20)
    done(world, client, "layout_resize", tabId=tab(client), path=[], ratios=[0.25, 0.75])
    layout = client.model.tabs[tab(client)].layout
    assert isinstance(layout, m.Split)
    assert layout.ratios == (0.25, 0.75)
    bad = {"tabId": tab(client), "path": [], "ratios": [0.5, 0.6]}
    assert refused(world, client, "layout_resize", **bad) == "invalid"
    assert refused(world, client, "layout_resize", **(bad | {"tabId": "t_none"})) == "not_found"


def test_a_drag_while_a_close_is_saved_is_kept(world: HubWorld, client: SimClient) -> None:
    first = client.pane()
    for _ in range(2):
        made(world, client, "pane_split", paneId=first, orientation="horizontal", cols=40, rows=20)
    gone = client.panes[2]
    client.say("pane_close", paneId=gone)
    client.say("layout_resize", tabId=tab(client), path=[], ratios=[0.1, 0.1, 0.8])
    assert client.socket is not None
    while len(client.socket.up):
        client.socket.up.deliver()  # both, before the store has the first
    world.settle()
    layout = client.model.tabs[tab(client)].layout
    assert isinstance(layout, m.Split)
    assert sorted(layout.ratios) == pytest.approx([1 / 9, 8 / 9])


@pytest.mark.parametrize("size", [(1, 24), (80, 1), (1001, 24), (80, 1001), (-5, 24)])
def test_sizes_that_cannot_be(world: HubWorld, client: SimClient, size: tuple[int, int]) -> None:
    code = refused(world, client, "pane_resize", paneId=client.pane(), cols=size[0], rows=size[1])
    assert code == "invalid"
    assert refused(world, client, "pane_resize", paneId="p_none", cols=80, rows=24) == "not_found"


def test_a_redraw_on_request(world: HubWorld, client: SimClient) -> None:
    pane_id = client.pane()
    world.live(pane_id).print(b"".join(b"line %d\r\n" % number for number in range(500)))
    world.advance(1.0)
    done(world, client, "pane_redraw", paneId=pane_id, lines=10)
    replay = client.output(pane_id).replays[-1]
    assert replay.reset
    assert replay.skipped == 0
    assert client.output(pane_id).drawn.count(b"\n") == 10 + replay.rows
    assert client.output(pane_id).drawn.endswith(b"line 499\r\n")
    assert refused(world, client, "pane_redraw", paneId=pane_id, lines=10_001) == "invalid"
    assert refused(world, client, "pane_redraw", paneId="p_none", lines=1) == "not_found"


# --- Sleep and leases ------------------------------------------------------------------------------------


def test_sleep_now(world: HubWorld, client: SimClient) -> None:
    done(world, client, "session_sleep", sessionId=session(client))
    assert client.model.sessions[session(client)].status == "asleep"
    assert client.status(client.pane()) == "asleep"
    world.effects.clear()
    done(world, client, "session_sleep", sessionId=session(client))
    assert not world.wanted(StopSandbox), "It sleeps already."
    assert refused(world, client, "session_sleep", sessionId="s_none") == "not_found"


def test_busy_is_not_put_to_sleep_without_force(world: HubWorld, client: SimClient) -> None:
    world.agent_of(client.pane()).busy = "make"
    world.settle()
    assert client.model.sessions[session(client)].busy == "make"
    assert refused(world, client, "session_sleep", sessionId=session(client)) == "busy"
    assert not world.wanted(StopSandbox)
    done(world, client, "session_sleep", sessionId=session(client), force=True)
    assert client.status(client.pane()) == "asleep"


def test_the_agent_has_the_last_word(world: HubWorld, client: SimClient) -> None:
    """It became busy while the question was under way."""
    agent = world.agent_of(client.pane())
    ref = client.ask("session_sleep", sessionId=session(client))
    agent._busy = "make"
    world.settle()
    reply = client.answers[ref]
    assert isinstance(reply, m.Error)
    assert reply.code == "busy"
    assert client.status(client.pane()) == "connected"


def test_who_waits_for_sleep_is_answered_when_the_session_goes(world: HubWorld, client: SimClient) -> None:
    asked = client.ask("session_sleep", sessionId=session(client))
    client.ask("session_destroy", sessionId=session(client))
    socket = client.socket
    assert socket is not None
    while len(socket.up):
        socket.up.deliver()
    world.lanes.lane("store").deliver()
    world.settle()
    reply = client.answers[asked]
    assert isinstance(reply, m.Error)
    assert reply.code == "not_found"
    assert all(connection.unanswered == 0 for connection in world.hub.world.connections.values())


def test_leases(world: HubWorld, client: SimClient) -> None:
    done(world, client, "session_lease", sessionId=session(client), seconds=100, reason="nightly build")
    assert client.model.sessions[session(client)].busy == "lease: nightly build"
    done(world, client, "session_lease", sessionId=session(client), seconds=0)
    assert client.model.sessions[session(client)].busy is None
    done(world, client, "session_lease", sessionId=session(client), seconds=5)
    assert client.model.sessions[session(client)].busy == "lease"
    world.advance(6.0)
    assert client.model.sessions[session(client)].busy is None, "Its end is told."
    for seconds in (-1, 7 * 24 * 3600 + 1):
        assert (
            refused(world, client, "session_lease", sessionId=session(client), seconds=seconds) == "invalid"
        )
    assert refused(world, client, "session_lease", sessionId="s_none", seconds=1) == "not_found"


# --- What is no request ----------------------------------------------------------------------------------


def test_ping(world: HubWorld, client: SimClient) -> None:
    done(world, client, "ping", time=12.5)
    (pong,) = client.said(m.Pong)
    assert pong.time == 12.5
    assert pong.now == world.moment().wall_ms - 500


@pytest.mark.parametrize(
    ("payload", "code", "request_type"),
    [
        (b"not json", "bad_message", None),
        (b"[]", "bad_message", None),
        (b"{}", "bad_message", None),
        (b'{"type":"make_coffee"}', "unknown_type", "make_coffee"),
        (b'{"type":"pane_close"}', "bad_message", "pane_close"),
        (b'{"type":"pane_close","paneId":7}', "bad_message", "pane_close"),
        (b'{"type":"tab_rename","tabId":"t","name":5}', "bad_message", "tab_rename"),
        (b"\xff\xfe", "bad_message", None),
    ],
)
def test_unreadable_messages(
    world: HubWorld, client: SimClient, payload: bytes, code: str, request_type: str | None
) -> None:
    client.send(encode_frame(CONTROL_CHANNEL, payload))
    world.settle()
    (error,) = client.errors
    assert (error.code, error.request) == (code, request_type if code != "unknown_type" else error.request)
    assert client.attached, "The connection stays."


def test_a_ref_that_is_too_long_is_not_repeated(world: HubWorld, client: SimClient) -> None:
    client.say("ping", time=1, ref="x" * 65)
    world.settle()
    assert [error.code for error in client.errors] == ["bad_message"]


def test_without_a_ref_only_failures_are_answered(world: HubWorld, client: SimClient) -> None:
    client.messages.clear()
    client.say("pane_focus", paneId=client.pane())
    client.say("tab_switch", tabId="t_none")
    world.settle()
    assert not client.said(m.Ok)
    assert [error.code for error in client.errors] == ["not_found"]


def test_unknown_fields_are_ignored(world: HubWorld, client: SimClient) -> None:
    done(world, client, "pane_focus", paneId=client.pane(), colour="green")


def test_a_revision_that_was_never_sent_is_not_acknowledged(world: HubWorld, client: SimClient) -> None:
    assert refused(world, client, "layout_ack", rev=client.model.rev + 1000) == "invalid"


def test_viewports_that_cannot_be(world: HubWorld, client: SimClient) -> None:
    assert refused(world, client, "client_update", width=-1, height=10) == "invalid"
    colors = {"foreground": "#eeeeee", "background": "#101014", "cursor": "orange"}
    assert refused(world, client, "client_update", colors=colors) == "invalid"
    done(world, client, "client_update", colors=colors | {"cursor": "#FFa500"})
    done(world, client, "client_update", width=500, height=500)
    new = made(world, client, "tab_create", sessionId=session(client))
    assert new.pane_id is not None
    assert world.live(new.pane_id).size == (57, 26)


def test_saves_come_before_their_announcement(world: HubWorld, client: SimClient) -> None:
    world.advance(2.0)
    rev = client.model.rev
    client.ask("tab_rename", tabId=tab(client), name="new")
    assert client.socket is not None
    while len(client.socket.up):
        client.socket.up.deliver()
    world.advance(0.3, deliver=False)
    assert world.wanted(Save)
    assert world.hub.world.rev == rev, "Nothing is announced before it is stored."
    world.settle()
    assert client.model.tabs[tab(client)].name == "new"


def test_panes_of_a_client_are_its_own_ids(world: HubWorld, client: SimClient) -> None:
    assert all(PaneId(pane_id).startswith("p_") for pane_id in client.panes)
