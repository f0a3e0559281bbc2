"""Who may come in: by which names the server is reached, from which origins, and with which credentials.

A program shows the token. A browser shows it once, and from then on a cookie: a random value of which only a
digest is kept, keyed with the token, so that a new token ends every login.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from enum import Enum

from starlette.datastructures import Headers

from wormux.config import Config, Site, is_loopback
from wormux.limits import (
    IPV6_PEER_BITS,
    LOGIN_ATTEMPTS,
    LOGIN_ATTEMPTS_WITHIN_S,
    LOGIN_PEERS,
    LOGINS,
    SESSION_COOKIE_S,
)

_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


class Sites:
    """The names by which people reach the server. A page of any other name is foreign, also if it leads here:
    its address may have been pointed at us to speak in our users' names (DNS rebinding)."""

    def __init__(self, config: Config) -> None:
        self._public = config.public_urls
        self._port = config.port
        wildcard = config.host in ("0.0.0.0", "::")
        local = {config.host} if not wildcard else set()
        if wildcard or is_loopback(config.host):
            local.update(_LOOPBACK_HOSTS)
        sites = (Site.of("http", host, config.port) for host in local)
        self._local = {site.authority: site for site in sites}
        self._any_address = wildcard
        """An address, unlike a name, cannot be pointed at us by someone else."""

    def named(self, host: str | None, path: str) -> Site | None:
        """The site that a request with this `Host` header means, the best for its path; None if it is foreign."""
        if host is None:
            return None
        host = host.lower()
        public = [site for site in self._public if host in _spellings(site)]
        for site in public:
            if below(path, site.prefix):
                return site
        return public[0] if public else self._local_site(host)

    def allows_origin(self, origin: str) -> bool:
        if any(origin == site.origin for site in self._public):
            return True
        scheme, _, authority = origin.partition("://")
        return scheme == "http" and self._local_site(authority) is not None

    def _local_site(self, host: str) -> Site | None:
        authority = host.removesuffix(":80") if self._port == 80 else host
        site = self._local.get(authority)
        if site is None and self._any_address and _is_address(authority, self._port):
            return Site("http", authority)
        return site


def below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def _spellings(site: Site) -> tuple[str, ...]:
    """The authority with and without the scheme's default port."""
    if re.search(r":\d+$", site.authority):
        return (site.authority,)
    return (site.authority, f"{site.authority}:{443 if site.secure else 80}")


def _is_address(authority: str, port: int) -> bool:
    host = authority if port == 80 else authority.removesuffix(f":{port}")
    if port != 80 and host == authority:
        return False
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


class Attempts:
    """Counts wrong credentials per peer. Whoever has one IPv6 address has 2^64: they are one peer."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def exhausted(self, peer: str) -> bool:
        since_s = self._now_s() - LOGIN_ATTEMPTS_WITHIN_S
        return sum(at_s > since_s for at_s in self._wrong.get(_whole_peer(peer), ())) >= LOGIN_ATTEMPTS

    def count(self, peer: str) -> None:
        peer = _whole_peer(peer)
        self._wrong[peer] = [*self._wrong.get(peer, ()), self._now_s()][-LOGIN_ATTEMPTS:]
        self._wrong.move_to_end(peer)
        if len(self._wrong) > LOGIN_PEERS:
            self._wrong.popitem(last=False)


def _whole_peer(peer: str) -> str:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_PEER_BITS), strict=False))


class Logins:
    """The browsers that are logged in: digests of their cookies, and when each ends."""

    def __init__(self, token: str, kept: bytes | None = None, now_s: Callable[[], float] = time.time) -> None:
        """`kept` is what `to_keep` gave before a restart."""
        self._key = hashlib.sha256(token.encode()).digest()
        self._now_s = now_s
        self._ends_s: dict[str, float] = _read_logins(kept)

    def new(self) -> str:
        """Log a browser in; returns the value of its cookie."""
        value = secrets.token_urlsafe(32)
        now_s = self._now_s()
        alive = sorted((end, digest) for digest, end in self._ends_s.items() if end > now_s)
        self._ends_s = {digest: end for end, digest in alive[-(LOGINS - 1) :]}
        self._ends_s[self._digest(value)] = now_s + SESSION_COOKIE_S
        return value

    def knows(self, value: str) -> bool:
        return self._ends_s.get(self._digest(value), 0.0) > self._now_s()

    def to_keep(self) -> bytes:
        return json.dumps(self._ends_s).encode()

    def _digest(self, value: str) -> str:
        return hmac.new(self._key, value.encode(), "sha256").hexdigest()


def _read_logins(kept: bytes | None) -> dict[str, float]:
    try:
        value = json.loads(kept or b"{}")
        return {str(digest): float(end) for digest, end in value.items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}  # a browser that is not known shows its token again


class Verdict(Enum):
    ADMITTED = "admitted"
    REFUSED = "refused"
    TOO_MANY = "too many"
    """Too many wrong attempts: the credentials were not looked at."""


class Gate:
    """Decides about credentials. Host and origin were found to be ours before."""

    def __init__(
        self, token: str, control_token: str, logins: Logins, cookie: str, attempts: Attempts
    ) -> None:
        self._control_token = control_token.encode()
        self._attempts = attempts
        self.token = token
        self.logins = logins
        self.cookie = cookie
        """Its name, which holds the instance's id, since cookies are shared by all ports of a host."""
        self.token_number = 0
        """Counts the tokens. What was admitted under another number is admitted no more."""

    def replace_token(self, token: str) -> None:
        """From now on only this one admits, and nobody is logged in."""
        self.token = token
        self.logins = Logins(token)
        self.token_number += 1

    def is_control(self, shown: str) -> bool:
        """The token of this machine's commands. Nobody can guess it, so that it is looked at however many wrong ones
        were shown: behind a proxy, a stranger may be the same peer as the operator."""
        return hmac.compare_digest(_bytes(shown), self._control_token)

    def try_token(self, shown: str, peer: str) -> Verdict:
        """A token in the address of the page or in `Authorization`; a wrong one is counted against the peer."""
        if self.is_control(shown):
            return Verdict.ADMITTED
        if self._attempts.exhausted(peer):
            return Verdict.TOO_MANY
        if hmac.compare_digest(_bytes(shown), self.token.encode()):
            return Verdict.ADMITTED
        self._attempts.count(peer)
        return Verdict.REFUSED

    def judge(self, headers: Headers, peer: str) -> Verdict:
        """A request for something that needs credentials. A cookie counts only with an `Origin`: what browsers
        send without one may come from anywhere."""
        if "authorization" in headers:
            shown = bearer(headers)
            return Verdict.REFUSED if shown is None else self.try_token(shown, peer)
        if "origin" in headers and any(map(self.logins.knows, self._cookies(headers))):
            return Verdict.ADMITTED
        return Verdict.REFUSED

    def _cookies(self, headers: Headers) -> Iterator[str]:
        for header in headers.getlist("cookie"):
            for pair in header.split(";"):
                name, _, value = pair.strip().partition("=")
                if name == self.cookie:
                    yield value


def bearer(headers: Headers) -> str | None:
    """The token that a program shows; None if there is none."""
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    return shown.strip() if scheme.lower() == "bearer" else None


def _bytes(shown: str) -> bytes:
    return shown.encode(errors="backslashreplace")


def instance_id(data_dir: str) -> str:
    """Short and stable for a data directory, and says nothing about it."""
    return hashlib.sha256(data_dir.encode()).hexdigest()[:12]
