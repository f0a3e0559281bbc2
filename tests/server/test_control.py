from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.server.kit import World, make_world
from wormux.config import Config
from wormux.errors import SandboxError, SetupError
from wormux.hub.effects import Effect, SendFrame
from wormux.hub.inputs import FrameReceived, Input
from wormux.ids import Channel, PaneId, SandboxId, SessionId, TabId
from wormux.protocol.agent_link import Open, Refused
from wormux.records import Change, Intent, PaneRecord, Rest, SessionRecord, Snapshot, TabRecord
from wormux.sandbox.port import Lost
from wormux.server import control
from wormux.server.app import STORE_FILE, USER, Parts
from wormux.server.control import list_sessions, stop_all
from wormux.store.lock import running_server
from wormux.store.sqlite import SqliteStore
from wormux.testing.fake_sandbox import FakeAgent, FakeProvider, FakePty, FakeWorld

SESSION = SessionRecord(SessionId("s"), SandboxId("box"), "main", 1, "local", Intent.AWAKE, 0)
TAB = TabRecord(TabId("t"), SESSION.id, "build", 0, b'{"type":"pane","paneId":"p"}', PaneId("p"))
PANE = PaneRecord(PaneId("p"), TAB.id, Channel(0), 1, 80, 24, 1, 0, title="vim", cwd="/work")
STATE: dict[str, Any] = {
    "type": "state",
    "sessions": [
        {"id": "s", "name": "main", "status": "awake", "provider": "local"},
        {"id": "empty", "name": "other", "status": "asleep", "provider": "local"},
    ],
    "tabs": [
        {
            "id": "t",
            "sessionId": "s",
            "name": "build",
            "layout": {
                "type": "split",
                "children": [{"type": "pane", "paneId": "p"}, {"type": "pane", "paneId": "q"}],
            },
        }
    ],
    "panes": {"p": {"status": "connected"}, "q": {"status": "asleep"}},
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A store with one session, and its sandbox awake."""
    world = make_world(tmp_path, port=0)
    change(world, Change(insert_sessions=(SESSION,), insert_tabs=(TAB,), insert_panes=(PANE,)))
    return world


@pytest.fixture
def machine() -> FakeWorld:
    """The session's sandbox is awake there, and its pane has a terminal."""
    machine = FakeWorld()
    agent = machine.agents[SESSION.sandbox_id] = FakeAgent(machine, SESSION.sandbox_id)
    agent.ptys[PANE.id] = FakePty(agent, 1, Open(PANE.id, 1, 80, 24, 0, b"last words\r\n", ()))
    machine.known.add(SESSION.sandbox_id)
    return machine


def real_parts(machine: FakeWorld) -> Parts:
    """The real ones, with sandboxes in memory."""
    return Parts(providers=lambda _: {"local": FakeProvider(machine)})


def parts(world: World) -> Parts:
    """The world's, with a store that can be opened again."""
    return replace(world.parts(), store=lambda data_dir: SqliteStore(data_dir / STORE_FILE))


def change(world: World, change: Change) -> None:
    store = parts(world).store(world.config.data_dir)
    store.apply(USER, change)
    store.close()


def stored(world: World) -> Snapshot:
    store = parts(world).store(world.config.data_dir)
    try:
        return store.load(USER)
    finally:
        store.close()


def answering(answer: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> Callable[[Input], list[Effect]]:
    """A hub's reaction that answers control messages."""

    def react(event: Input) -> list[Effect]:
        if not isinstance(event, FrameReceived):
            return []
        replies = answer(json.loads(event.frame[1:]))
        return [
            SendFrame(event.connection_id, b"\x00bytes of a terminal", False),
            *(SendFrame(event.connection_id, b"\xff" + json.dumps(one).encode(), True) for one in replies),
        ]

    return react


class TestWithServer:
    async def test_sessions_are_listed_as_it_says(self, world: World) -> None:
        world.hub.react = answering(lambda message: [STATE] if message["type"] == "connect" else [])
        async with world.served():
            listing = await asyncio.to_thread(list_sessions, world.config.data_dir, parts(world))
        assert listing.server == f"http://127.0.0.1:{world.config.port}"
        main, other = listing.sessions
        (tab,) = main["tabs"]
        assert [(pane["id"], pane["status"]) for pane in tab["panes"]] == [
            ("p", "connected"),
            ("q", "asleep"),
        ]
        assert other["tabs"] == []

    async def test_looking_at_nothing_makes_nothing(self, tmp_path: Path) -> None:
        world = make_world(tmp_path, port=0)
        async with world.served():
            listing = await asyncio.to_thread(list_sessions, tmp_path, parts(world))
            report = await asyncio.to_thread(stop_all, world.config, parts(world))
        assert (listing.sessions, report.stopped) == ([], 0)
        assert world.hub.all(FrameReceived) == []

    async def test_stopping_sleeps_what_is_awake(self, world: World) -> None:
        asked = []

        def answer(message: dict[str, Any]) -> list[dict[str, Any]]:
            if message["type"] == "connect":
                return [STATE]
            asked.append(message)
            if message["sessionId"] == "empty":
                return [{"type": "ok", "ref": message["ref"]}]
            asleep = [session | {"status": "asleep"} for session in STATE["sessions"]]
            return [{"type": "layout_update", "sessions": asleep}, {"type": "ok", "ref": message["ref"]}]

        world.hub.react = answering(answer)
        async with world.served():
            report = await asyncio.to_thread(stop_all, world.config, parts(world))
        assert (report.stopped, report.failures) == (1, [])
        order = {"type": "session_sleep", "force": True, "stop": True}
        assert asked == [order | {"sessionId": name, "ref": name} for name in ("s", "empty")]

    async def test_a_refusal_is_told(self, world: World) -> None:
        def answer(message: dict[str, Any]) -> list[dict[str, Any]]:
            if message["type"] == "connect":
                return [STATE]
            if message["sessionId"] == "empty":
                return [{"type": "ok", "ref": message["ref"]}]
            return [{"type": "error", "ref": message["ref"], "message": "It is starting."}]

        world.hub.react = answering(answer)
        async with world.served():
            report = await asyncio.to_thread(stop_all, world.config, parts(world))
        assert (report.stopped, report.failures) == (0, ["main: It is starting."])


class TestWithoutServer:
    def test_sessions_are_listed_as_stored(self, world: World) -> None:
        listing = list_sessions(world.config.data_dir, parts(world))
        assert listing.server is None
        (session,) = listing.sessions
        assert (session["name"], session["status"]) == ("main", "awake")
        (tab,) = session["tabs"]
        assert tab["panes"] == [
            {"id": "p", "status": "live", "cols": 80, "rows": 24, "title": "vim", "cwd": "/work"}
        ]

    def test_an_empty_data_directory_has_none(self, tmp_path: Path) -> None:
        assert list_sessions(tmp_path, make_world(tmp_path).parts()).sessions == []
        assert not (tmp_path / STORE_FILE).exists()

    @pytest.mark.parametrize(
        "command", [list_sessions, lambda data_dir, parts: stop_all(Config(data_dir), parts)]
    )
    def test_a_missing_data_directory_is_not_made(self, tmp_path: Path, command: Any) -> None:
        with pytest.raises(SetupError, match="There is no Wormux data directory"):
            command(tmp_path / "none", make_world(tmp_path).parts())
        assert not (tmp_path / "none").exists()

    def test_stopping_keeps_what_sleep_keeps(self, machine: FakeWorld, world: World) -> None:
        report = stop_all(world.config, real_parts(machine))
        assert (report.stopped, report.failures) == (1, [])
        assert machine.agents == {}
        snapshot = stored(world)
        assert [session.intent for session in snapshot.sessions] == [Intent.ASLEEP]
        assert [pane.rest for pane in snapshot.panes] == [Rest.ASLEEP]
        (checkpoint,) = snapshot.checkpoints
        assert b"last words" in checkpoint.log

    def test_what_sleeps_already_is_left_alone(self, machine: FakeWorld, world: World) -> None:
        machine.agents.clear()
        report = stop_all(world.config, real_parts(machine))
        assert (report.stopped, report.failures) == (0, [])
        assert machine.starts == 0

    def test_what_the_store_does_not_know_sleeps_as_well(self, machine: FakeWorld, tmp_path: Path) -> None:
        report = stop_all(Config(tmp_path), real_parts(machine))
        assert (report.stopped, report.failures) == (1, [])
        assert machine.agents == {}

    def test_what_cannot_be_reached_is_told(
        self, machine: FakeWorld, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(*_: object) -> None:
            raise SandboxError("No agent answers.")

        monkeypatch.setattr(FakeProvider, "find", fail)
        report = stop_all(world.config, real_parts(machine))
        assert (report.stopped, report.failures) == (0, ["main: Its sandbox is out of reach."])

    def test_what_does_not_stop_is_told(
        self, machine: FakeWorld, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(control, "ALL_STOP_WITHIN_S", 0.2)
        monkeypatch.setattr(FakeAgent, "stop", lambda _: None)
        report = stop_all(world.config, real_parts(machine))
        assert (report.stopped, report.failures) == (0, ["main: It did not stop in time."])

    @pytest.mark.parametrize("last", [Refused("vim runs."), Lost("vim runs.")])
    def test_a_stray_that_does_not_stop_is_told(
        self, tmp_path: Path, machine: FakeWorld, monkeypatch: pytest.MonkeyPatch, last: Refused | Lost
    ) -> None:
        monkeypatch.setattr(FakeAgent, "stop", lambda agent: agent.links[0].post(last))
        report = stop_all(Config(tmp_path), real_parts(machine))
        assert (report.stopped, report.failures) == (0, ["box: vim runs."])

    def test_leaves_no_trace_of_a_server(self, machine: FakeWorld, world: World) -> None:
        stop_all(world.config, real_parts(machine))
        assert running_server(world.config.data_dir) is None
        assert not list(world.config.data_dir.glob("*token*"))
