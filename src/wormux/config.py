"""What the operator chose, from the command line, the environment and a file, checked as a whole.

Nothing is read or made on disk here but the configuration file and a token file.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from wormux.errors import SetupError
from wormux.limits import (
    DEFAULT_IDLE_TIMEOUT_S,
    DEFAULT_STOP_AFTER_S,
    LARGEST_COUNT,
    LARGEST_SIZE_BYTES,
    LEAST_SCREENS_MEMORY_BYTES,
    LONGEST_DURATION_S,
    MIB,
    MIN_IDLE_TIMEOUT_S,
    SCREENS_MEMORY_BYTES,
)

ExitBehavior = Literal["close", "hold"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]
Emulator = Literal["auto", "none"]
SleepMode = Literal["stop", "freeze", "freeze-then-stop", "sigstop"]
Isolation = Literal["none", "bubblewrap"]

ENV_PREFIX = "WORMUX_"
EXIT_BEHAVIORS = ("close", "hold")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")
EMULATORS = ("auto", "none")
SLEEP_MODES = ("stop", "freeze", "freeze-then-stop", "sigstop")
ISOLATIONS = ("none", "bubblewrap")

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>s|m|h|d)")
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>M|G)")
_UNIT_BYTES = {"M": MIB, "G": 1024 * MIB}
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_HOST = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9._-]+")


@dataclass(frozen=True)
class Site:
    """One name by which people reach the server."""

    scheme: str
    authority: str
    """Host and port as browsers write them: lower case, without the scheme's default port."""
    prefix: str = ""
    """The path below which everything lies, without a slash at its end."""

    @classmethod
    def of(cls, scheme: str, host: str, port: int, prefix: str = "") -> Site:
        """`host` is a name or address; an IPv6 address may stand in brackets or not."""
        shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
        authority = shown if port == _DEFAULT_PORTS[scheme] else f"{shown}:{port}"
        return cls(scheme, authority.lower(), prefix)

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def secure(self) -> bool:
        return self.scheme == "https"


@dataclass(frozen=True)
class Config:
    """Everything that `wormux serve` can be told. Made by `load`, or directly by a program that embeds Wormux."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8022
    """0 takes a free one; where it is known, it is put here before the application is made."""
    token: str | None = None
    """None: a random one is made and kept in the data directory."""
    print_token: bool = False
    public_urls: tuple[Site, ...] = ()
    idle_timeout_s: float | None = DEFAULT_IDLE_TIMEOUT_S
    """None: sandboxes never sleep by themselves."""
    shell: tuple[str, ...] = ()
    """The program of new terminals; empty for the user's login shell."""
    providers: tuple[str, ...] = ("local",)
    """The kinds of sandboxes that sessions may have; the first is what they have if nothing else is asked for."""
    provider_options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """By the name of a provider, what only that one understands."""
    sleep_mode: SleepMode = "stop"
    stop_after_s: float | None = DEFAULT_STOP_AFTER_S
    """With "freeze-then-stop": how long after it froze."""
    shell_integration: bool = True
    env_exclude: tuple[str, ...] | None = None
    """Patterns of variables' names that are not kept over sleep; None: the usual ones."""
    busy_ignore: tuple[str, ...] = ()
    """Patterns of programs' names that never keep a sandbox awake, beyond the usual ones."""
    isolation: Isolation = "none"
    sandbox_network: bool = True
    sandbox_memory_bytes: int | None = None
    sandbox_processes: int | None = None
    sandbox_files: int | None = None
    """How many files each process of a sandbox may have open."""
    sandbox_user: str | None = None
    """Whom shells of isolated sandboxes run as, if the server is root's."""
    exit_behavior: ExitBehavior = "close"
    log_level: LogLevel = "info"
    log_format: LogFormat = "text"
    emulator: Emulator = "auto"
    """What keeps the panes' screens; "none" draws them from their newest output, as where no emulator is installed."""
    screen_memory_bytes: int = SCREENS_MEMORY_BYTES
    """For all screens together."""
    insecure: bool = False
    """Listen beyond loopback without TLS in front."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise SetupError(f"Port {self.port} does not exist: ports are 0 to 65535.")
        if self.token is not None and not re.fullmatch(r"[!-~]{1,512}", self.token):
            raise SetupError("The token must be 1 to 512 visible ASCII characters without spaces.")
        if self.idle_timeout_s is not None and not self.idle_timeout_s >= MIN_IDLE_TIMEOUT_S:
            raise SetupError(f"The idle timeout must be at least {MIN_IDLE_TIMEOUT_S:g} s, or never.")
        if self.screen_memory_bytes < LEAST_SCREENS_MEMORY_BYTES:
            raise SetupError(f"Screens need at least {LEAST_SCREENS_MEMORY_BYTES // MIB}M of memory.")
        if not self.providers or len(set(self.providers)) < len(self.providers):
            raise SetupError("Name at least one provider, and each only once.")
        unused = sorted(self.provider_options.keys() - set(self.providers))
        if unused:
            raise SetupError(f"There are options of providers that are not used: {', '.join(unused)}.")
        if self.stop_after_s is None and self.sleep_mode == "freeze-then-stop":
            raise SetupError("With freeze-then-stop, --stop-after must be a time; freeze is without a stop.")
        tls_in_front = any(site.secure for site in self.public_urls)
        if not (is_loopback(self.host) or tls_in_front or self.insecure):
            raise SetupError(
                f"Listening on {self.host} lets others read everything that is typed: name the address of your "
                "TLS proxy with --public-url https://…, or say --insecure."
            )


def is_loopback(host: str) -> bool:
    """Only this machine can reach `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def default_data_dir(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "share") / "wormux"


# --- Values as people write them -----------------------------------------------------------------------------

# Each reader gets the value and the name under which it was given, and raises `SetupError` with a sentence.


def read_duration(value: Any, name: str) -> float | None:
    """Seconds of "90s", "10m", "1.5h" or "2d"; None for "never"."""
    if value == "never":
        return None
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise SetupError(f'{name} must be a time like "90s", "10m" or "2h", or "never".')
    seconds = float(match["number"]) * _UNIT_S[match["unit"]]
    if seconds > LONGEST_DURATION_S:
        raise SetupError(
            f"{name} is too long: say never, or at most {LONGEST_DURATION_S / _UNIT_S['d']:.0f}d."
        )
    return seconds


def read_size(value: Any, name: str) -> int:
    """Bytes of "64M" or "1.5G", in powers of 1024."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise SetupError(f'{name} must be a size like "512M" or "1.5G".')
    size_bytes = float(match["number"]) * _UNIT_BYTES[match["unit"]]
    if size_bytes > LARGEST_SIZE_BYTES:
        raise SetupError(f"{name} is more than any machine has.")
    return int(size_bytes)


def read_public_url(value: Any, name: str) -> Site:
    """Scheme, host, port and path of an address; anything more is refused."""
    wrong = SetupError(
        f"{name} must be an address like https://example.org or https://example.org/terminals."
    )
    if not isinstance(value, str):
        raise wrong
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise wrong from None
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    prefix = parts.path.rstrip("/")
    known = parts.scheme in _DEFAULT_PORTS and _HOST.fullmatch(host) and _PREFIX.fullmatch(prefix)
    if not known or "@" in parts.netloc or parts.query or parts.fragment or ".." in prefix.split("/"):
        raise wrong
    return Site.of(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], prefix)


def _read_text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise SetupError(f"{name} must be a text that is not empty.")
    return value


def _read_path(value: Any, name: str) -> Path:
    return _expanded(_read_text(value, name), name).absolute()


def _expanded(path: str, name: str) -> Path:
    """With the home directory that `~` or `~user` at its beginning means."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise SetupError(f"{name} names a home directory that there is not.") from None


def _read_port(value: Any, name: str) -> int:
    value = _number(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise SetupError(f"{name} must be a number from 0 to 65535.")
    return value


def _read_flag(value: Any, name: str) -> bool:
    if isinstance(value, str):
        value = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(
            value.lower()
        )
    if not isinstance(value, bool):
        raise SetupError(f"{name} must be true or false.")
    return value


def _read_command(value: Any, name: str) -> tuple[str, ...]:
    """A command line as a shell would split it, or a list of its words."""
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        return tuple(value)
    try:
        words = shlex.split(_read_text(value, name))
    except ValueError as error:
        raise SetupError(f"{name} cannot be split into words: {error}.") from None
    if not words:
        raise SetupError(f"{name} must name a program.")
    return tuple(words)


def _read_public_urls(value: Any, name: str) -> tuple[Site, ...]:
    """A list of addresses, or several in one text with spaces between."""
    values = value.split() if isinstance(value, str) else value
    if not isinstance(values, list):
        raise SetupError(f"{name} must be a list of addresses.")
    return tuple(read_public_url(one, name) for one in values)


def _read_words(value: Any, name: str) -> tuple[str, ...]:
    """A list of texts, or several in one text with spaces or commas between."""
    values = re.split(r"[\s,]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(values, list):
        raise SetupError(f"{name} must be a list of texts.")
    return tuple(_read_text(one, name) for one in values)


def _read_switch(value: Any, name: str) -> bool:
    switches = {"on": True, "off": False, True: True, False: False}
    if not isinstance(value, str | bool) or value not in switches:
        raise SetupError(f"{name} must be on or off.")
    return switches[value]


def _number(value: Any) -> Any:
    """The number that a text of a few digits is; anything else as it was."""
    is_number = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20
    return int(value) if is_number else value


def _read_count(value: Any, name: str) -> int:
    value = _number(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_COUNT:
        raise SetupError(f"{name} must be a whole number from 1 to {LARGEST_COUNT}.")
    return value


def _read_tables(value: Any, name: str) -> dict[str, dict[str, object]]:
    if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
        raise SetupError(f"{name} must be tables in the configuration file, like [{name}.container].")
    return value


def _read_choice(choices: tuple[str, ...]) -> Callable[[Any, str], str]:
    def read(value: Any, name: str) -> str:
        if value not in choices:
            raise SetupError(f"{name} must be one of: {', '.join(choices)}.")
        return cast(str, value)

    return read


SETTINGS: dict[str, Callable[[Any, str], Any]] = {
    "host": _read_text,
    "port": _read_port,
    "data_dir": _read_path,
    "token": _read_text,
    "token_file": _read_path,
    "print_token": _read_flag,
    "public_url": _read_public_urls,
    "idle_timeout": read_duration,
    "shell": _read_command,
    "provider": _read_words,
    "provider_options": _read_tables,
    "sleep_mode": _read_choice(SLEEP_MODES),
    "stop_after": read_duration,
    "shell_integration": _read_switch,
    "env_exclude": _read_words,
    "busy_ignore": _read_words,
    "isolation": _read_choice(ISOLATIONS),
    "sandbox_network": _read_switch,
    "sandbox_memory": read_size,
    "sandbox_processes": _read_count,
    "sandbox_files": _read_count,
    "sandbox_user": _read_text,
    "exit_behavior": _read_choice(EXIT_BEHAVIORS),
    "log_level": _read_choice(LOG_LEVELS),
    "log_format": _read_choice(LOG_FORMATS),
    "emulator": _read_choice(EMULATORS),
    "screen_memory": read_size,
    "insecure": _read_flag,
}
"""Every option by its key in the file; the environment has them in capitals after `WORMUX_`, the command line
with hyphens after `--`."""
_TOKEN_KEYS = frozenset({"token", "token_file"})
"""Either of them in a stronger layer hides both of a weaker one."""
_FIELDS = {
    "public_url": "public_urls",
    "idle_timeout": "idle_timeout_s",
    "screen_memory": "screen_memory_bytes",
    "provider": "providers",
    "stop_after": "stop_after_s",
    "sandbox_memory": "sandbox_memory_bytes",
}


def load(options: Mapping[str, Any], environ: Mapping[str, str]) -> Config:
    """The configuration: what `options` of the command line say goes first, then the environment, then the file
    that `config` names. Keys of `options` are those of the file. Raises `SetupError`."""
    layers = [
        {key: (value, f"--{key.replace('_', '-')}") for key, value in options.items() if key != "config"},
        {key: (environ[env], env) for key in SETTINGS if environ.get(env := ENV_PREFIX + key.upper())},
    ]
    config_path = options.get("config") or environ.get(f"{ENV_PREFIX}CONFIG")
    if config_path:
        layers.append(_read_file(_expanded(config_path, "The configuration's name")))
    values: dict[str, Any] = {}
    for layer in layers:
        if "token" in layer and "token_file" in layer:
            raise SetupError(f"{layer['token'][1]} and {layer['token_file'][1]} exclude each other.")
        hidden = _TOKEN_KEYS if values.keys() & _TOKEN_KEYS else frozenset[str]()
        for key in layer.keys() - hidden - values.keys():
            values[key] = SETTINGS[key](*layer[key])
    if "token_file" in values:
        values["token"] = _read_token_file(values.pop("token_file"))
    values.setdefault("data_dir", default_data_dir(environ))
    return Config(**{_FIELDS.get(key, key): value for key, value in values.items()})


def _read_file(path: Path) -> dict[str, tuple[Any, str]]:
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except OSError as error:
        raise SetupError(
            f"The configuration {path} cannot be read: {os.strerror(error.errno or 0)}."
        ) from None
    except RecursionError:
        raise SetupError(f"The configuration {path} is not TOML: it is nested too deeply.") from None
    except ValueError as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise SetupError(f"The configuration {path} is not TOML: {error}.") from None
    unknown = sorted(found.keys() - SETTINGS.keys())
    if unknown:
        raise SetupError(f"The configuration {path} has unknown keys: {', '.join(unknown)}.")
    return {key: (value, f"{key} in {path}") for key, value in found.items()}


def _read_token_file(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise SetupError(f"The token file {path} cannot be read.") from None
    if not token:
        raise SetupError(f"The token file {path} is empty.")
    return token
