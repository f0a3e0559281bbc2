"""Somebody who tries tokens, and somebody who would have a browser use a login of the attacker's choice."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest

from tests.security.kit import BEARER, LET_IN, get, host_of, knock, login
from tests.server.kit import TOKEN, World, ask, make_world
from wormux.config import Site
from wormux.limits import LOGIN_ATTEMPTS, LOGIN_ATTEMPTS_WITHIN_S
from wormux.server.auth import Attempts, Gate, Logins, Verdict
from wormux.server.tokens import make_token, read_control_token

WRONG = "Authorization: Bearer wrong"
TOO_MANY = 429


@pytest.mark.parametrize("way", ["page", "metrics", "socket", "control"])
async def test_every_way_in_counts_for_all_others(world: World, way: str) -> None:
    for _ in range(LOGIN_ATTEMPTS):
        if way == "page":
            assert (await get(world, "/?token=wrong")).status == 303
        elif way == "metrics":
            assert (await get(world, "/metrics", WRONG)).status == 401
        elif way == "control":
            assert (await get(world, "/control/rotate-token", WRONG, method="POST")).status == 401
        else:
            assert await knock(world, WRONG) == 4401
    page = await get(world, f"/?token={TOKEN}")
    assert (page.status, page.headers.get("set-cookie")) == (TOO_MANY, None)
    assert int(page.headers["retry-after"]) == LOGIN_ATTEMPTS_WITHIN_S
    assert (await get(world, "/metrics", BEARER)).status == TOO_MANY
    assert await knock(world, BEARER) == TOO_MANY


async def test_who_is_logged_in_and_the_operator_are_not_locked_out(world: World) -> None:
    """Behind a proxy that names nobody, everybody is one peer: a stranger's tries must not cost them."""
    cookie = await login(world)
    for _ in range(LOGIN_ATTEMPTS + 1):
        await get(world, "/?token=wrong")
    assert await knock(world, cookie, f"Origin: http://{host_of(world)}") == LET_IN
    assert (await get(world, "/")).status == 200
    control = read_control_token(world.config.data_dir)
    assert await knock(world, f"Authorization: Bearer {control}") == LET_IN
    assert await knock(world, BEARER) == TOO_MANY


async def test_a_proxy_says_who_tries(tmp_path: Path) -> None:
    """One that stands on this machine, and only for a server that has public names."""
    for public, status in (((Site("https", "term.example"),), 303), ((), TOO_MANY)):
        async with make_world(tmp_path / str(status), port=0, public_urls=public).served() as world:
            for _ in range(LOGIN_ATTEMPTS):
                # What the attacker itself puts there comes first, and is not believed.
                await get(world, "/?token=wrong", "X-Forwarded-For: 203.0.113.7, 192.0.2.1")
            first = await get(world, f"/?token={TOKEN}", "X-Forwarded-For: 198.51.100.9, 192.0.2.1")
            assert first.status == TOO_MANY
            assert (await get(world, f"/?token={TOKEN}", "X-Forwarded-For: 192.0.2.2")).status == status


def test_who_has_one_ipv6_address_has_many_and_is_one_peer() -> None:
    attempts = Attempts(lambda: 0.0)
    for number in range(LOGIN_ATTEMPTS):
        attempts.count(f"2001:db8:1:2::{number:x}")
    assert attempts.exhausted("2001:db8:1:2:ffff::1")
    assert not attempts.exhausted("2001:db8:1:3::1")
    for _ in range(LOGIN_ATTEMPTS):
        attempts.count("::ffff:192.0.2.1")
    assert attempts.exhausted("192.0.2.1")
    assert not attempts.exhausted("192.0.2.2")
    for _ in range(LOGIN_ATTEMPTS):
        attempts.count("fe80::1%eth0")
    assert attempts.exhausted("fe80::1%eth1")


def test_tokens_are_compared_in_constant_time_and_only_so(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    gate = Gate("token", "control", Logins("token"), "wormux-1", Attempts())
    # Equal ones as well: there is no other way to be let in.
    assert gate.try_token("token", "peer") is Verdict.REFUSED
    assert gate.try_token("control", "peer") is Verdict.REFUSED
    assert (b"token", b"token") in compared
    assert (b"control", b"control") in compared


def test_made_tokens_cannot_be_guessed(tmp_path: Path) -> None:
    made = {make_token(tmp_path) for _ in range(50)}
    assert len(made) == 50
    assert {len(token) for token in made} == {32}  # of 64 characters: 192 bits
    heads = {token[:4] for token in made}
    assert len(heads) > 45


# --- Cookies and session fixation ----------------------------------------------------------------------------


def cookie_of(set_cookie: str) -> tuple[str, str, dict[str, str]]:
    pair, *attributes = set_cookie.split("; ")
    name, _, value = pair.partition("=")
    return name, value, {key.lower(): rest for key, _, rest in (each.partition("=") for each in attributes)}


async def test_a_cookie_has_all_its_flags(world: World) -> None:
    """Behind TLS also Secure, and below the prefix alone; never a domain, which would give it to sub-domains."""
    plain = await get(world, f"/?token={TOKEN}")
    name, value, flags = cookie_of(plain.headers["set-cookie"])
    assert flags.keys() == {"httponly", "max-age", "path", "samesite"}
    assert (flags["samesite"], flags["path"]) == ("strict", "/")
    assert len(value) >= 43  # 256 bits
    secure = await get(world, f"/t/?token={TOKEN}", host="term.example")
    again, other, flags = cookie_of(secure.headers["set-cookie"])
    assert flags.keys() == {"httponly", "max-age", "path", "samesite", "secure"}
    assert flags["path"] == "/t/"
    assert again == name
    assert other != value


async def test_two_servers_of_a_host_have_cookies_of_their_own(world: World, tmp_path: Path) -> None:
    other = make_world(tmp_path / "other", port=0)
    async with other.served():
        cookies = [await login(world), await login(other)]
        assert cookies[0].partition("=")[0] != cookies[1].partition("=")[0]
        assert await knock(other, cookies[0], f"Origin: http://{host_of(other)}") == 4401


async def test_a_cookie_that_was_put_into_the_browser_is_never_adopted(world: World) -> None:
    """Session fixation: whoever can write cookies for the host (another port, a sub-domain) has no login by it."""
    name = world.application.running().gate.cookie
    planted = f"Cookie: {name}=chosen-by-the-attacker"
    answer = await get(world, f"/?token={TOKEN}", planted)
    _, value, _ = cookie_of(answer.headers["set-cookie"])
    assert value != "chosen-by-the-attacker"
    origin = f"Origin: http://{host_of(world)}"
    assert await knock(world, planted, origin) == 4401
    # Nor is one that is real made longer: each login has a value of its own.
    again = await get(world, f"/?token={TOKEN}", f"Cookie: {name}={value}")
    assert cookie_of(again.headers["set-cookie"])[1] != value


async def test_a_failed_login_leaves_no_cookie_and_says_the_same_as_a_good_one(world: World) -> None:
    good, wrong = await get(world, f"/?token={TOKEN}"), await get(world, "/?token=wrong")
    assert "set-cookie" not in wrong.headers
    assert (good.status, good.body) == (wrong.status, wrong.body)
    assert good.headers.keys() - wrong.headers.keys() == {"set-cookie"}


async def test_a_page_of_another_site_cannot_log_a_browser_in_without_the_token(world: World) -> None:
    answer = await ask(world.app, "/?token=", {"Host": host_of(world)})
    assert "set-cookie" not in answer.headers
