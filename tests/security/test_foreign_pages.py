"""Pages of other sites, and names that were pointed at this machine, against a browser that is logged in."""

from __future__ import annotations

from tests.security.kit import BEARER, LET_IN, get, head, host_of, knock, login, send
from tests.server.kit import World
from wormux.hub.inputs import ClientConnected

PORT = "{port}"
"""In the cases: the server's own."""


def told(line: str, world: World) -> str:
    return line.replace(PORT, str(world.config.port))


OUR_ORIGINS = (
    "http://127.0.0.1:{port}",
    "http://localhost:{port}",
    "http://[::1]:{port}",
    "https://term.example",
    "https://other.example:8443",
)
FOREIGN_ORIGINS = (
    "https://evil.example",
    "null",
    "",
    # The same machine, another server on it.
    "http://127.0.0.1",
    "http://127.0.0.1:1{port}",
    "http://127.0.0.2:{port}",
    "http://0.0.0.0:{port}",
    "http://localhost.:{port}",
    "http://localhost",
    # Another scheme, port, sub- or super-domain of a name of ours, or one that looks like it.
    "https://127.0.0.1:{port}",
    "http://term.example",
    "https://term.example:444",
    "https://term.example.",
    "https://sub.term.example",
    "https://example",
    "https://term.example.evil.example",
    "https://evilterm.example",
    "https://term.example@evil.example",
    "https://other.example",
    "https://TERM.EXAMPLE",
    "ws://127.0.0.1:{port}",
    "file://",
    "chrome-extension://abcdefghijklmnop",
    # No origin at all: more than one, a path, spaces.
    "https://term.example/",
    "https://term.example https://evil.example",
    "https://term.example, https://evil.example",
)


async def test_our_own_pages_are_let_in_with_their_cookie(world: World) -> None:
    cookie = await login(world)
    met = {origin: await knock(world, cookie, f"Origin: {told(origin, world)}") for origin in OUR_ORIGINS}
    assert met == dict.fromkeys(OUR_ORIGINS, LET_IN)


async def test_other_pages_are_refused_before_the_handshake(world: World) -> None:
    cookie = await login(world)
    for origin in FOREIGN_ORIGINS:
        line = f"Origin: {told(origin, world)}"
        met = (
            await knock(world, cookie, line),
            await knock(world, BEARER, line),
            (await get(world, "/", line)).status,
        )
        assert met == (403, 403, 403), origin
    assert world.hub.all(ClientConnected) == []


async def test_a_foreign_origin_beside_ours_is_refused(world: World) -> None:
    ours, foreign = f"Origin: http://{host_of(world)}", "Origin: https://evil.example"
    cookie = await login(world)
    assert await knock(world, cookie, ours, foreign) in (400, 403)
    assert await knock(world, cookie, foreign, ours) in (400, 403)
    assert (await get(world, "/", ours, foreign)).status == 403


async def test_a_cookie_without_an_origin_does_not_count(world: World) -> None:
    cookie = await login(world)
    assert await knock(world, cookie) == 4401
    assert (await get(world, "/metrics", cookie)).status == 401
    assert world.hub.all(ClientConnected) == []


async def test_no_answer_may_be_read_by_other_pages(world: World) -> None:
    """Neither by fetch nor by a window that was opened or framed."""
    for target in ("/", "/metrics", "/healthz", "/nothing"):
        headers = (await get(world, target)).headers
        assert not [name for name in headers if name.startswith("access-control-")]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


async def test_other_methods_do_nothing(world: World) -> None:
    for method in ("OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"):
        answer = await get(world, "/control/rotate-token", method=method)
        assert answer.status == 405
        assert not [name for name in answer.headers if name.startswith("access-control-")]


# --- DNS rebinding -------------------------------------------------------------------------------------------


FOREIGN_HOSTS = (
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.0.0.1:{port}.evil.example",
    "127.0.0.1.evil.example:{port}",
    "127.0.0.2:{port}",
    "2130706433:{port}",
    "0x7f000001:{port}",
    "0177.0.0.1:{port}",
    "127.1:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "localhost.:{port}",
    "sub.term.example",
    "term.example.",
    "term.example:80",
    "other.example",
    "evil.example@127.0.0.1:{port}",
    "127.0.0.1:{port}@evil.example",
    "",
)


async def test_names_that_are_not_ours_are_refused(world: World) -> None:
    for shown in FOREIGN_HOSTS:
        line = f"Host: {told(shown, world)}"
        met = (
            (await send(world.config.port, head("/", line, "Connection: close"))).status,
            (await send(world.config.port, head("/?token=wrong", line, "Connection: close"))).status,
            await knock(world, BEARER, line),
        )
        assert met == (403, 403, 403), shown
    assert world.hub.all(ClientConnected) == []


async def test_one_host_decides(world: World) -> None:
    """Neither a second one, nor one in the target, nor what a proxy may be made to say."""
    ours, foreign = f"Host: {host_of(world)}", "Host: evil.example"
    for lines in ((ours, foreign), (foreign, ours), (ours, ours)):
        assert (await send(world.config.port, head("/", *lines, "Connection: close"))).status == 403
        assert await knock(world, BEARER, *lines) in (400, 403)
    for target in ("http://evil.example/", f"http://{host_of(world)}/", "evil.example:80", "*"):
        assert (await get(world, target, host="evil.example")).status in (400, 403)
        assert (await get(world, target)).status == 400
    for name in ("X-Forwarded-Host", "X-Host", "X-Forwarded-Server", "X-Original-URL"):
        assert (await get(world, "/", f"{name}: {host_of(world)}", host="evil.example")).status == 403
        assert (await get(world, "/nothing", f"{name}: evil.example")).status == 404
    forwarded = f"Forwarded: host={host_of(world)};proto=https"
    assert (await get(world, "/", forwarded, host="evil.example")).status == 403


async def test_only_health_answers_under_any_name(world: World) -> None:
    assert (await get(world, "/healthz", host="10.1.2.3")).status == 200
    for target in ("/healthz/", "//healthz", "/healthz/../metrics", "/t/healthz"):
        assert (await get(world, target, host="10.1.2.3")).status == 403
