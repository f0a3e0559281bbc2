"""What the operator decides about containers: the table `provider_options.container` of the configuration file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from wormux.errors import SetupError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CAPABILITY = re.compile(r"[A-Z][A-Z_]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
_NETWORKS = ("default", "none")
KEYS = ("image", "socket", "network", "user", "home", "shell", "env", "capabilities")


@dataclass(frozen=True)
class ContainerOptions:
    """How containers are made. Changes hold for those that are made later."""

    image: str
    socket: str | None = None
    """Of the daemon; None: the first that is there."""
    network: Literal["default", "none"] = "default"
    user: str | None = None
    """Whom everything inside runs as, as the image or a number names them; None: as the image says."""
    home: str = "/root"
    """Where the volume is mounted: what is kept though the container goes."""
    shell: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    """What programs that run as root may do beyond nothing."""


def read_options(table: Mapping[str, object], *, network: bool) -> ContainerOptions:
    """`network` is what holds for all isolated sandboxes: without it, containers have none either.

    Raises `SetupError`."""
    unknown = sorted(table.keys() - set(KEYS))
    if unknown:
        raise SetupError(f"Containers have no option {unknown[0]}; there is: {', '.join(KEYS)}.")
    image = _text(table, "image")
    if image is None:
        raise SetupError(
            'Containers need an image: say which under provider_options.container, as in image = "debian:stable".'
        )
    if image.startswith("-") or any(char.isspace() for char in image):
        raise SetupError("The option image of containers is not the name of an image.")
    chosen = _text(table, "network") or "default"
    if chosen not in _NETWORKS:
        raise SetupError(f"The option network of containers is one of: {', '.join(_NETWORKS)}.")
    user = _text(table, "user")
    if user is not None and not _USER.fullmatch(user):
        raise SetupError(
            "The option user of containers is a name or a number, or two with a colon between them."
        )
    return ContainerOptions(
        image=image,
        socket=_socket(table),
        network="default" if network and chosen == "default" else "none",
        user=user,
        home=_home(table, user),
        shell=_path(table, "shell"),
        env=_env(table),
        capabilities=_capabilities(table),
    )


def _text(table: Mapping[str, object], key: str) -> str | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value or not value.isprintable():
        raise SetupError(f"The option {key} of containers must be a text that is not empty.")
    return value


def _path(table: Mapping[str, object], key: str) -> str | None:
    value = _text(table, key)
    if value is not None and (not value.startswith("/") or ".." in value.split("/")):
        raise SetupError(f"The option {key} of containers must be an absolute path.")
    return value


def _socket(table: Mapping[str, object]) -> str | None:
    value = _text(table, "socket")
    return None if value is None else socket_of(value, "The option socket of containers")


def socket_of(address: str, who: str) -> str:
    """The path in an address of a daemon; `who` names it. Raises `SetupError` for all that is no unix socket."""
    path = address.removeprefix("unix://")
    if not path.startswith("/"):
        raise SetupError(
            f"{who} must be a unix socket, as in unix:///run/podman/podman.sock: containers must run on this machine."
        )
    return path


def _home(table: Mapping[str, object], user: str | None) -> str:
    """Raises `SetupError` where it can neither be read nor guessed."""
    home = _path(table, "home")
    if home is not None:
        if ":" in home or home.rstrip("/").count("/") < 1 or home.rstrip("/") in _NO_HOMES:
            raise SetupError(
                "The option home of containers must be a directory that holds nothing but a home."
            )
        return home.rstrip("/")
    name = (user or "root").partition(":")[0]
    if name in ("root", "0"):
        return "/root"
    if name.isdigit():
        raise SetupError(f'Say the home of user {name} in containers, as in home = "/home/me".')
    return f"/home/{name}"


_NO_HOMES = (
    "",
    "/run",
    "/proc",
    "/sys",
    "/dev",
    "/usr",
    "/etc",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/tmp",
    "/var",
)


def _env(table: Mapping[str, object]) -> Mapping[str, str]:
    value = table.get("env", {})
    if not isinstance(value, Mapping):
        raise SetupError("The option env of containers must be a table of names and texts.")
    env: dict[str, str] = {}
    for name, text in value.items():
        if (
            not isinstance(name, str)
            or not _NAME.fullmatch(name)
            or not isinstance(text, str)
            or "\0" in text
        ):
            raise SetupError("The option env of containers must be a table of names and texts.")
        env[name] = text
    return env


def _capabilities(table: Mapping[str, object]) -> tuple[str, ...]:
    value = table.get("capabilities", [])
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(name, str) and _CAPABILITY.fullmatch(name) for name in value
    ):
        raise SetupError(
            'The option capabilities of containers is a list, as in ["CHOWN", "SETUID", "SETGID"].'
        )
    return tuple(value)
