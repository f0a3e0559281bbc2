"""What the operator says of a Cloudflare sandbox: where it is reached, and with which headers.

Addresses and headers hold secrets: neither is ever logged or shown.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from wormux.errors import SetupError

KEYS = ("url", "headers", "shell", "insecure")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}|[{}]")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OURS = ("host", "connection", "upgrade", "content-length", "transfer-encoding")
"""Headers that belong to the transport, beside those of WebSocket."""
_FROM_ENVIRONMENT = "env:"


@dataclass(frozen=True)
class CloudflareOptions:
    """The table `[provider_options.cloudflare]`, checked."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    shell: str | None
    """A path in the container; None: what the server says, if it is a path, or the container's own."""

    @classmethod
    def read(cls, options: Mapping[str, object], environ: Mapping[str, str]) -> CloudflareOptions:
        """Raises `SetupError`."""
        unknown = sorted(options.keys() - set(KEYS))
        if unknown:
            raise SetupError(
                f"The provider cloudflare does not know {', '.join(unknown)}; it knows {', '.join(KEYS)}."
            )
        insecure = options.get("insecure", False)
        if not isinstance(insecure, bool):
            raise SetupError("insecure of the provider cloudflare must be true or false.")
        shell = options.get("shell")
        if shell is not None and not (isinstance(shell, str) and shell.startswith("/")):
            raise SetupError(
                'shell of the provider cloudflare must be a path in the container, like "/bin/bash".'
            )
        url = _read_url(options.get("url"), insecure=insecure)
        return cls(url, _read_headers(options.get("headers", {}), environ), shell)

    @property
    def is_loopback(self) -> bool:
        return _is_loopback(urlsplit(self.url).hostname or "")

    def address(self, sandbox: str, pane: str, cols: int, rows: int, shell: str | None) -> str:
        """Of one terminal. `pane` is unique to it; size and shell count only where it is made."""
        url = self.url.replace("{sandbox}", quote(sandbox, safe="")).replace("{pane}", quote(pane, safe=""))
        query = f"cols={cols}&rows={rows}"
        if shell is not None:
            query += f"&shell={quote(shell, safe='')}"
        return f"{url}{'&' if urlsplit(url).query else '?'}{query}"


def _read_url(url: object, *, insecure: bool) -> str:
    example = "wss://example.com/sandbox/{sandbox}/ws/pty?sessionId={pane}"
    if not isinstance(url, str):
        raise SetupError(f'The provider cloudflare needs its url, like "{example}".')
    placeholders = _PLACEHOLDER.findall(url)
    if not {"{sandbox}", "{pane}"} <= set(placeholders):
        raise SetupError(
            f"The url of the provider cloudflare must name {{sandbox}} and {{pane}}, as {example} does."
        )
    if set(placeholders) != {"{sandbox}", "{pane}"}:
        raise SetupError("The url of the provider cloudflare has braces other than {sandbox} and {pane}.")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it is checked when it is looked at
    except ValueError:
        raise SetupError(f"The url of the provider cloudflare is not an address; {example} is one.") from None
    if parts.scheme not in ("wss", "ws") or not parts.hostname or not url.isascii() or not url.isprintable():
        raise SetupError(f"The url of the provider cloudflare must be an address of wss, like {example}.")
    if parts.fragment or "@" in parts.netloc or " " in url:
        raise SetupError("The url of the provider cloudflare must hold no fragment, space, user or password.")
    if parts.scheme == "ws" and not (insecure or _is_loopback(parts.hostname)):
        raise SetupError(
            "The url of the provider cloudflare lets others read everything that is typed: use wss, or say "
            "insecure = true."
        )
    return url


def _read_headers(headers: object, environ: Mapping[str, str]) -> Mapping[str, str]:
    if not isinstance(headers, Mapping):
        raise SetupError("headers of the provider cloudflare must be a table of names and texts.")
    read = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise SetupError("A header of the provider cloudflare has a name that no header can have.")
        if name.lower() in _OURS or name.lower().startswith("sec-websocket-"):
            raise SetupError(f"The header {name} of the provider cloudflare is not for you to set.")
        if not isinstance(value, str):
            raise SetupError(f"The header {name} of the provider cloudflare must be a text.")
        variable = value.removeprefix(_FROM_ENVIRONMENT) if value.startswith(_FROM_ENVIRONMENT) else None
        if variable is not None and variable not in environ:
            raise SetupError(
                f"The header {name} of the provider cloudflare is to come from the variable {variable}, "
                "which is not set."
            )
        text = environ[variable] if variable is not None else value
        if not _HEADER_VALUE.fullmatch(text):
            raise SetupError(
                f"The header {name} of the provider cloudflare has a value that no header can have."
            )
        read[name] = text
    return read


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
