from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import wormux
from tests.server.kit import TOKEN, ask, make_world
from wormux.errors import SetupError, StoreError, StoreRefused
from wormux.hub.effects import WakeSandbox
from wormux.hub.inputs import SandboxInput, ServerStopping
from wormux.ids import SandboxId
from wormux.server.app import Parts, create_app, local_url
from wormux.server.auth import Verdict
from wormux.server.tokens import read_control_token
from wormux.store.lock import DataDirLock, running_server
from wormux.store.port import Store


def test_is_the_way_in_for_programs() -> None:
    assert wormux.create_app is create_app


async def test_the_data_directory_is_taken_and_given_back(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with make_world(data_dir, port=8023).entered():
        server = running_server(data_dir)
        assert server is not None
        assert (server.pid, server.address) == (os.getpid(), "http://127.0.0.1:8023")
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
        with pytest.raises(SetupError, match="Another Wormux server"):
            async with make_world(data_dir).entered():
                pass
    assert running_server(data_dir) is None
    assert read_control_token(data_dir) is None


async def test_a_lifespan_can_be_entered_again(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    for _ in range(2):
        world.store.failure = None  # a store in memory stays closed otherwise
        async with world.entered():
            assert (await ask(world.app, "/healthz")).status == 200
        with pytest.raises(SetupError, match="must enter its lifespan"):
            await ask(world.app, "/healthz")


async def test_a_start_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def refuse(_data_dir: Path) -> Store:
        raise StoreRefused("The store is damaged.")

    world = make_world(tmp_path)
    app = create_app(world.config, replace(world.parts(), store=refuse))
    with pytest.raises(StoreRefused, match="is damaged"):
        async with app.router.lifespan_context(app):
            pass
    lock = DataDirLock(tmp_path)
    lock.acquire()
    lock.release()


async def test_a_store_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.store.failure = StoreError("The disk is gone.")
    with pytest.raises(StoreError, match="The disk is gone"):
        async with world.entered():
            pass
    assert running_server(tmp_path) is None


async def test_the_hub_is_told_what_the_operator_decided(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"idle_timeout_s": None, "shell": ("zsh", "-l"), "exit_behavior": "hold"}
    async with make_world(tmp_path, **settings).entered() as world:
        told = world.hub.settings
    assert told is not None
    assert (told.idle_timeout_s, told.shell, told.exit_behavior) == (None, ("zsh", "-l"), "hold")
    assert (told.default_provider, told.providers) == ("local", frozenset({"local"}))


async def test_both_tokens_admit_and_the_control_token_is_of_this_run(tmp_path: Path) -> None:
    shown = []
    for _ in range(2):
        world = make_world(tmp_path)
        async with world.entered():
            control = read_control_token(tmp_path)
            assert control is not None
            shown.append(control)
            running = world.application.running()
            verdicts = [running.try_token(token, "peer", "/") for token in (TOKEN, *shown)]
            assert verdicts == [Verdict.ADMITTED, *[Verdict.REFUSED] * (len(shown) - 1), Verdict.ADMITTED]


async def test_leaving_tells_the_hub_once_and_lets_sandboxes_run(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    box = SandboxId("box")
    world.hub.first = [WakeSandbox(box, "local")]
    async with world.entered():
        await world.hub.got(SandboxInput)
        await world.application.drain()
    assert len(world.hub.all(ServerStopping)) == 1
    assert world.provider.sandboxes[box].calls == [("detach",)]
    assert world.provider.closed
    assert world.provider.destroyed == []


async def test_mounts_into_another_application(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    outer = Starlette(routes=[Mount("/tools/wormux", app=world.app)])
    async with world.entered():
        answer = await ask(outer, f"/tools/wormux/?token={TOKEN}")
        assert (answer.status, answer.headers["location"]) == (303, "/tools/wormux/")
        assert "path=/tools/wormux/" in answer.headers["set-cookie"].lower()
        assert (await ask(outer, "/tools/wormux/healthz")).status == 200
        assert (await ask(outer, "/tools/wormux/nothing")).status == 404


def test_parts_are_the_real_ones_by_default() -> None:
    assert Parts().hub.__module__ == "wormux.hub.hub"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("box.lan", "http://box.lan:80"),
    ],
)
def test_a_server_for_all_addresses_is_reached_by_loopback(host: str, url: str) -> None:
    assert local_url(host, 80) == url
