from __future__ import annotations

from pathlib import Path

import pytest
from starlette.datastructures import Headers

from wormux.config import Config, Site
from wormux.limits import LOGIN_ATTEMPTS, LOGIN_ATTEMPTS_WITHIN_S, LOGIN_PEERS, LOGINS, SESSION_COOKIE_S
from wormux.server.auth import Attempts, Gate, Logins, Sites, Verdict, instance_id

PUBLIC = (
    Site("https", "example.org", "/terminals"),
    Site("https", "example.org", "/other"),
    Site("http", "plain.example:8080"),
)


def sites(host: str = "127.0.0.1", port: int = 8022, public: tuple[Site, ...] = ()) -> Sites:
    return Sites(Config(data_dir=Path("/nowhere"), host=host, port=port, public_urls=public, insecure=True))


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class TestSites:
    @pytest.mark.parametrize("host", ["127.0.0.1:8022", "localhost:8022", "LOCALHOST:8022", "[::1]:8022"])
    def test_a_loopback_server_is_known_by_all_names_of_this_machine(self, host: str) -> None:
        assert sites().named(host, "/") == Site("http", host.lower())

    @pytest.mark.parametrize(
        "host",
        [
            None,
            "",
            "127.0.0.1",
            "127.0.0.1:80",
            "evil.example:8022",
            "localhost:8022.evil.example",
            "192.0.2.7:8022",
        ],
    )
    def test_every_other_name_is_foreign(self, host: str | None) -> None:
        assert sites().named(host, "/") is None

    def test_the_default_port_may_be_left_out(self) -> None:
        local = sites(port=80)
        assert local.named("localhost", "/") == local.named("localhost:80", "/") == Site("http", "localhost")

    @pytest.mark.parametrize(
        ("host", "path", "prefix"),
        [
            ("example.org", "/terminals/ws", "/terminals"),
            ("example.org:443", "/other", "/other"),
            ("example.org", "/otherwise", "/terminals"),
            ("plain.example:8080", "/", ""),
        ],
    )
    def test_public_names_are_told_apart_by_their_prefix(self, host: str, path: str, prefix: str) -> None:
        site = sites(public=PUBLIC).named(host, path)
        assert site is not None
        assert site.prefix == prefix

    def test_a_server_for_all_addresses_takes_addresses_but_no_names(self) -> None:
        everywhere = sites(host="0.0.0.0")
        assert everywhere.named("192.0.2.7:8022", "/") == Site("http", "192.0.2.7:8022")
        assert everywhere.named("[2001:db8::1]:8022", "/") == Site("http", "[2001:db8::1]:8022")
        assert everywhere.named("localhost:8022", "/") is not None
        assert everywhere.named("rebound.example:8022", "/") is None
        assert everywhere.named("192.0.2.7", "/") is None

    @pytest.mark.parametrize(
        ("origin", "ours"),
        [
            ("http://127.0.0.1:8022", True),
            ("https://example.org", True),
            ("http://plain.example:8080", True),
            ("https://127.0.0.1:8022", False),
            ("http://example.org", False),
            ("https://example.org.evil.example", False),
            ("http://127.0.0.1:8023", False),
            ("null", False),
            ("", False),
        ],
    )
    def test_origins(self, origin: str, ours: bool) -> None:
        assert sites(public=PUBLIC).allows_origin(origin) is ours


class TestAttempts:
    def test_are_exhausted_for_a_while_and_for_one_peer(self) -> None:
        clock = Clock()
        attempts = Attempts(clock)
        for _ in range(LOGIN_ATTEMPTS):
            assert not attempts.exhausted("a")
            attempts.count("a")
        assert attempts.exhausted("a")
        assert not attempts.exhausted("b")
        clock.now_s += LOGIN_ATTEMPTS_WITHIN_S
        assert not attempts.exhausted("a")

    def test_remember_only_so_many_peers(self) -> None:
        attempts = Attempts(Clock())
        for _ in range(LOGIN_ATTEMPTS):
            attempts.count("first")
        for number in range(LOGIN_PEERS):
            assert attempts.exhausted("first")
            attempts.count(str(number))
        assert not attempts.exhausted("first")


class TestLogins:
    def test_only_a_given_cookie_is_known(self) -> None:
        logins = Logins("token")
        value = logins.new()
        assert logins.knows(value)
        assert not logins.knows(value + "x")
        assert not logins.knows("")

    def test_outlive_a_restart_and_are_kept_only_as_digests(self) -> None:
        logins = Logins("token")
        value = logins.new()
        kept = logins.to_keep()
        assert value.encode() not in kept
        assert Logins("token", kept).knows(value)

    def test_end_with_the_token(self) -> None:
        logins = Logins("token")
        value = logins.new()
        assert not Logins("another", logins.to_keep()).knows(value)

    def test_end_after_their_time(self) -> None:
        clock = Clock()
        logins = Logins("token", now_s=clock)
        value = logins.new()
        clock.now_s += SESSION_COOKIE_S - 1
        assert logins.knows(value)
        clock.now_s += 1
        assert not logins.knows(value)

    def test_are_only_so_many_and_the_oldest_goes(self) -> None:
        clock = Clock()
        logins = Logins("token", now_s=clock)
        values = []
        for _ in range(LOGINS + 1):
            values.append(logins.new())
            clock.now_s += 1
        assert [logins.knows(value) for value in values] == [False] + [True] * LOGINS

    @pytest.mark.parametrize("kept", [b"", b"nonsense", b"[1]", b'{"a": "b"}', b"\xff"])
    def test_a_damaged_record_only_ends_logins(self, kept: bytes) -> None:
        logins = Logins("token", kept)
        assert logins.knows(logins.new())


class TestGate:
    def gate(self) -> Gate:
        return Gate("token", "control", Logins("token"), "wormux-1", Attempts(Clock()))

    @pytest.mark.parametrize("shown", ["token", "control"])
    def test_every_token_of_the_server_admits(self, shown: str) -> None:
        gate = self.gate()
        assert gate.try_token(shown, "peer") is Verdict.ADMITTED
        assert gate.judge(Headers({"authorization": f"bearer {shown}"}), "peer") is Verdict.ADMITTED

    @pytest.mark.parametrize("shown", ["", "toke", "tokenn", "tökén", "\udcff"])
    def test_nothing_else_admits(self, shown: str) -> None:
        assert self.gate().try_token(shown, "peer") is Verdict.REFUSED

    def test_wrong_tokens_are_counted_and_right_ones_are_not(self) -> None:
        gate = self.gate()
        for _ in range(LOGIN_ATTEMPTS * 2):
            assert gate.try_token("token", "peer") is Verdict.ADMITTED
        for _ in range(LOGIN_ATTEMPTS):
            assert gate.try_token("wrong", "peer") is Verdict.REFUSED
        assert gate.try_token("token", "peer") is Verdict.TOO_MANY
        assert gate.try_token("control", "peer") is Verdict.ADMITTED
        assert gate.try_token("token", "another") is Verdict.ADMITTED

    def test_the_right_one_of_several_cookies_is_found(self) -> None:
        gate = self.gate()
        value = gate.logins.new()
        cookies = f"other={value}; wormux-1=old; wormux-1={value}"
        assert gate.judge(Headers({"origin": "x", "cookie": cookies}), "peer") is Verdict.ADMITTED
        assert gate.judge(Headers({"cookie": cookies}), "peer") is Verdict.REFUSED
        foreign = f"wormux-2={value}"
        assert gate.judge(Headers({"origin": "x", "cookie": foreign}), "peer") is Verdict.REFUSED

    def test_a_wrong_bearer_is_not_healed_by_a_cookie(self) -> None:
        gate = self.gate()
        headers = {"origin": "x", "cookie": f"wormux-1={gate.logins.new()}", "authorization": "Bearer wrong"}
        assert gate.judge(Headers(headers), "peer") is Verdict.REFUSED


def test_an_instance_id_is_stable_and_says_nothing() -> None:
    assert instance_id("/home/me") == instance_id("/home/me") != instance_id("/home/you")
    assert "home" not in instance_id("/home/me")
