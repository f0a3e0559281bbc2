"""What the server is told at its start: configuration file, environment, values of the command line."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable

from fuzz.kit import SECRET, Target, joined, need, pieces, scratch
from wormux.config import SETTINGS, load
from wormux.errors import SetupError

_KEYS = sorted(SETTINGS.keys() - {"config"})
_VALUES = (
    b"10m",
    b"512M",
    b"/tmp/x",
    b"~/x",
    b"on",
    b"true",
    b"8022",
    b"https://a.example/t",
    b"bash -l",
    b"local",
    b"9" * 400 + b"G",
    b"9" * 400 + b"d",
    b"9" * 5000,
)
FILE, ENVIRONMENT, OPTION, TOKEN_FILE = range(4)


def run(data: bytes) -> None:
    """The first byte of a piece says where its rest stands; with the environment and options, the next one which."""
    with scratch() as place:
        options: dict[str, object] = {}
        environ: dict[str, str] = {}
        for piece in pieces(data):
            where, rest = piece[0] % 4, piece[1:]
            if where == FILE:
                (place / "file.toml").write_bytes(rest)
                options["config"] = str(place / "file.toml")
            elif where == TOKEN_FILE:
                (place / "token").write_bytes(rest)
                options["token_file"] = str(place / "token")
            elif rest:
                key = _KEYS[rest[0] % len(_KEYS)]
                text = rest[1:].replace(b"\0", b"").decode("utf-8", "surrogateescape")  # as the system has it
                if where == ENVIRONMENT:
                    environ[f"WORMUX_{key.upper()}"] = text
                else:
                    options[key] = text
        with contextlib.suppress(SetupError):
            config = load(options, environ)
            for seconds in (config.idle_timeout_s, config.stop_after_s):
                need(seconds is None or math.isfinite(seconds), "A time without end was taken.")
            need(0 <= config.port <= 65535, "A port that does not exist was taken.")
            need(
                config.token is None or SECRET.decode() not in repr(config.public_urls),
                "A token is in an address.",
            )


def seeds() -> Iterable[bytes]:
    yield joined(
        b"\0"
        b'host = "127.0.0.1"\nport = 8022\nidle_timeout = "10m"\nshell = ["bash", "-l"]\npublic_url = ["https://a.b"]\n'
        b'provider = ["local", "container"]\nshell_integration = "on"\n[provider_options.container]\nimage = "x"\n'
    )
    yield joined(b"\0port = 1\nscreen_memory = '1.5G'\nsandbox_processes = 9\n", b"\3" + SECRET + b"\n")
    yield b"\0port = " + b"[" * 3000
    yield b"\0port = " + b"9" * 5000
    for index in range(len(_KEYS)):
        for where in (ENVIRONMENT, OPTION):
            yield joined(*(bytes((where, index)) + value for value in _VALUES))


TARGET = Target(
    "config",
    "configuration file, environment and options",
    run,
    seeds,
    words=(
        *(key.encode() + b" = " for key in _KEYS),
        b"[provider_options.x]\n",
        b'"""',
        b"1e999",
        b"1979-05-27",
    ),
    examples=60,
)
