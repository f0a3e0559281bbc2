from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.kit import TOKEN, Answer, World, ask, make_world
from wormux.config import Site
from wormux.errors import SetupError, StoreError
from wormux.hub.effects import Save
from wormux.hub.inputs import ClientGone, Saved, SaveFailed
from wormux.ids import ConnectionId
from wormux.limits import LOGIN_ATTEMPTS
from wormux.records import Change
from wormux.server import app as app_module
from wormux.server.page import Page, load_page

SCRIPT = b"console.log('wormux');\n" * 50
PUBLIC = {"Host": "example.org"}


@pytest.fixture
def page(tmp_path: Path) -> Page:
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_bytes(b"<!doctype html>")
    (folder / "assets" / "index-1a2b.js").write_bytes(SCRIPT)
    (folder / "licenses.md").write_bytes(b"licences")
    return load_page(folder)


@pytest.fixture
async def world(tmp_path: Path, page: Page, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(app_module, "load_page", lambda: page)
    site = Site("https", "example.org", "/terminals")
    async with make_world(tmp_path / "data", public_urls=(site,)).entered() as world:
        yield world


class TestLogin:
    async def test_gives_a_cookie_and_leads_to_the_page(self, world: World) -> None:
        answer = await ask(world.app, f"/?token={TOKEN}")
        assert (answer.status, answer.headers["location"]) == (303, "/")
        name, *attributes = answer.headers["set-cookie"].split("; ")
        assert name.startswith("wormux-")
        assert {attribute.lower() for attribute in attributes} == {
            "httponly",
            "max-age=2592000",
            "path=/",
            "samesite=strict",
        }

    async def test_is_secure_and_below_the_prefix_behind_tls(self, world: World) -> None:
        answer = await ask(world.app, f"/terminals/?token={TOKEN}", PUBLIC)
        assert (answer.status, answer.headers["location"]) == (303, "/terminals/")
        attributes = answer.headers["set-cookie"].lower().split("; ")
        assert "secure" in attributes
        assert "path=/terminals/" in attributes

    async def test_works_where_the_proxy_takes_the_prefix_away(self, world: World) -> None:
        answer = await ask(world.app, f"/?token={TOKEN}", PUBLIC)
        assert answer.headers["location"] == "/terminals/"

    async def test_with_a_wrong_token_gives_none(self, world: World) -> None:
        answer = await ask(world.app, "/?token=wrong")
        assert (answer.status, answer.headers["location"]) == (303, "/")
        assert "set-cookie" not in answer.headers

    async def test_leaks_the_token_nowhere(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(0)
        answer = await ask(world.app, f"/?token={TOKEN}")
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert TOKEN not in f"{answer.headers}{answer.body!r}{caplog.text}"

    async def test_is_refused_after_too_many_wrong_tokens(self, world: World) -> None:
        for _ in range(LOGIN_ATTEMPTS):
            await ask(world.app, "/?token=wrong")
        answer = await ask(world.app, f"/?token={TOKEN}")
        assert answer.status == 429
        assert "set-cookie" not in answer.headers
        assert int(answer.headers["retry-after"]) > 0
        assert (await ask(world.app, f"/?token={TOKEN}", peer="192.0.2.2")).status == 303

    async def test_outlives_the_server(self, world: World, tmp_path: Path) -> None:
        answer = await ask(world.app, f"/?token={TOKEN}")
        headers = {
            "Cookie": answer.headers["set-cookie"].partition(";")[0],
            "Origin": "http://127.0.0.1:8022",
        }
        again = make_world(tmp_path / "again")
        again.store = world.store
        async with again.entered():
            # Another data directory has another cookie's name, as two servers on one machine have.
            assert (await ask(again.app, "/metrics", headers)).status == 401
            name = again.application.running().gate.cookie
            headers["Cookie"] = f"{name}={headers['Cookie'].partition('=')[2]}"
            assert (await ask(again.app, "/metrics", headers)).status == 200

    async def test_works_while_nothing_can_be_stored(self, world: World) -> None:
        world.store.failure = StoreError("The disk is full.")
        assert "set-cookie" in (await ask(world.app, f"/?token={TOKEN}")).headers


class TestPage:
    async def test_needs_no_credentials_and_is_asked_for_each_time(self, world: World) -> None:
        answer = await ask(world.app, "/")
        assert (answer.status, answer.body) == (200, b"<!doctype html>")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"

    async def test_hashed_files_stay_in_the_cache(self, world: World) -> None:
        answer = await ask(world.app, "/terminals/assets/index-1a2b.js", PUBLIC)
        assert (answer.status, answer.body) == (200, SCRIPT)
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert "immutable" in answer.headers["cache-control"]

    async def test_what_a_browser_has_is_not_sent_again(self, world: World) -> None:
        etag = (await ask(world.app, "/")).headers["etag"]
        answer = await ask(world.app, "/", {"If-None-Match": f'"other", {etag}'})
        assert (answer.status, answer.body) == (304, b"")
        assert (await ask(world.app, "/", {"If-None-Match": '"other"'})).status == 200

    async def test_is_sent_packed_to_who_takes_that(self, world: World) -> None:
        answer = await ask(world.app, "/assets/index-1a2b.js", {"Accept-Encoding": "br, gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(answer.body) == SCRIPT
        assert answer.headers["content-length"] == str(len(answer.body))

    @pytest.mark.parametrize(
        "path",
        [
            "/index.html",
            "/licenses.md",
            "/assets/",
            "/assets/../index.html",
            "/assets/..%2findex.html",
            "/assets//etc/passwd",
            "/assets/index-1a2b.js/",
            "//",
            "/state",
            "/terminals",
        ],
    )
    async def test_nothing_else_exists(self, world: World, path: str) -> None:
        answer = await ask(world.app, path)
        assert answer.status == 404
        assert answer.headers["x-content-type-options"] == "nosniff"

    async def test_the_bare_prefix_leads_to_the_page(self, world: World) -> None:
        answer = await ask(world.app, "/terminals?x=1", PUBLIC)
        assert (answer.status, answer.headers["location"]) == (308, "/terminals/?x=1")

    async def test_only_asking_is_answered(self, world: World) -> None:
        assert (await ask(world.app, "/", method="POST")).status == 405

    async def test_that_is_not_built_says_how(
        self, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(app_module, "load_page", lambda: load_page(tmp_path / "missing"))
        async with make_world(tmp_path / "other").entered() as bare:
            answer = await ask(bare.app, "/")
        assert answer.status == 503
        assert b"make page" in answer.body


class TestEntrance:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Host": "evil.example"}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": "http://127.0.0.1:8022"}, 200),
            ({"Host": "example.org", "Origin": "https://example.org"}, 200),
        ],
    )
    async def test_foreign_names_and_pages_are_refused(
        self, world: World, headers: dict[str, str], status: int
    ) -> None:
        assert (await ask(world.app, "/", headers)).status == status

    @pytest.mark.parametrize("path", ["/", "/healthz", "/nothing", "/?token=wrong"])
    async def test_every_answer_has_the_security_headers(self, world: World, path: str) -> None:
        headers = (await ask(world.app, path)).headers
        policy = dict(directive.split(" ", 1) for directive in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["connect-src"] == "'self' ws://127.0.0.1:8022"
        assert policy["frame-ancestors"] == "'none'"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "cache-control" in headers

    async def test_the_socket_is_named_as_the_browser_sees_it(self, world: World) -> None:
        headers = (await ask(world.app, "/", PUBLIC)).headers
        assert "connect-src 'self' wss://example.org;" in headers["content-security-policy"]

    async def test_a_bug_is_answered_without_its_inside(
        self, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        secret = "hunter2"

        def fail() -> bytes:
            raise ValueError(secret)

        monkeypatch.setattr(world.application.running().telemetry, "text", fail)
        answer = await ask(world.app, "/metrics", {"Authorization": f"Bearer {TOKEN}"})
        assert answer.status == 500
        assert answer.headers["x-frame-options"] == "DENY"
        assert "ValueError while answering a request" in caplog.text
        assert secret not in caplog.text + answer.body.decode()

    async def test_a_mounted_application_lives_below_its_mount(self, world: World) -> None:
        answer = await ask(world.app, f"/mount/?token={TOKEN}", root_path="/mount")
        assert (answer.status, answer.headers["location"]) == (303, "/mount/")
        assert "path=/mount/" in answer.headers["set-cookie"].lower()

    async def test_without_its_lifespan_it_says_what_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(SetupError, match="must enter its lifespan"):
            await ask(make_world(tmp_path).app, "/")


class TestHealth:
    async def test_follows_the_last_save(self, world: World) -> None:
        async def after_save(number: int, kind: type[Saved | SaveFailed]) -> Answer:
            world.hub.react = lambda event: [Save(number, Change())] if isinstance(event, ClientGone) else []
            world.application.running().driver.dispatch(ClientGone(ConnectionId(0)))
            await world.hub.got(kind)
            return await ask(world.app, "/healthz", {"Host": "10.0.0.1"})

        assert (await ask(world.app, "/healthz")).status == 200
        world.store.failure = StoreError("The disk is full.")
        failing = await after_save(1, SaveFailed)
        assert failing.status == 503
        assert b"disk" not in failing.body
        world.store.failure = None
        assert (await after_save(2, Saved)).status == 200


class TestMetrics:
    async def test_need_credentials(self, world: World) -> None:
        answer = await ask(world.app, "/metrics")
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert (await ask(world.app, f"/metrics?token={TOKEN}")).status == 401

    async def test_are_counted_per_application(self, world: World, tmp_path: Path) -> None:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        await ask(world.app, "/?token=wrong")
        world.application.running().driver.dispatch(ClientGone(ConnectionId(0)))
        text = (await ask(world.app, "/metrics", bearer)).body.decode().splitlines()
        assert "wormux_logins_refused_total 1.0" in text
        assert "wormux_hub_steps_total 1.0" in text
        assert "wormux_connections 0.0" in text
        async with make_world(tmp_path / "other").entered() as other:
            text = (await ask(other.app, "/metrics", bearer)).body.decode().splitlines()
        assert "wormux_hub_steps_total 0.0" in text
