"""The table of the configuration file for containers."""

from __future__ import annotations

from typing import Any

import pytest

from wormux.errors import SetupError
from wormux.sandbox.container_daemon import default_sockets
from wormux.sandbox.container_options import read_options


def read(**table: Any) -> Any:
    return read_options({"image": "debian"} | table, network=True)


def test_only_the_image_must_be_said() -> None:
    options = read()
    assert (options.image, options.network, options.home) == ("debian", "default", "/root")
    assert (options.socket, options.user, options.shell, options.capabilities) == (None, None, None, ())


def test_the_home_follows_the_user() -> None:
    assert read(user="worker").home == "/home/worker"
    assert read(user="worker:staff").home == "/home/worker"
    assert read(user="0:0").home == "/root"
    assert read(user="1000", home="/srv/me/").home == "/srv/me"


def test_without_a_network_for_all_containers_have_none() -> None:
    assert read_options({"image": "debian", "network": "default"}, network=False).network == "none"


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"image": None}, "image"),
        ({"image": ""}, "image"),
        ({"image": "a b"}, "image"),
        ({"image": "-v"}, "image"),
        ({"colour": "blue"}, "no option colour"),
        ({"network": "host"}, "network"),
        ({"network": 1}, "network"),
        ({"user": "a b"}, "user"),
        ({"user": "1000"}, "home of user 1000"),
        ({"home": "relative"}, "home"),
        ({"home": "/"}, "home"),
        ({"home": "/etc"}, "home"),
        ({"home": "/a:/b"}, "home"),
        ({"home": "/home/../etc"}, "home"),
        ({"shell": "bash"}, "shell"),
        ({"socket": "tcp://127.0.0.1:2375"}, "socket"),
        ({"env": ["A=b"]}, "env"),
        ({"env": {"A": 1}}, "env"),
        ({"env": {"A B": "c"}}, "env"),
        ({"capabilities": "ALL"}, "capabilities"),
        ({"capabilities": ["net_raw"]}, "capabilities"),
    ],
)
def test_what_cannot_be_is_refused_by_name(table: dict[str, Any], named: str) -> None:
    with pytest.raises(SetupError, match=named):
        read(**table)


def test_the_daemon_of_the_environment_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///somewhere/docker.sock")
    assert default_sockets() == ("/somewhere/docker.sock",)
    monkeypatch.setenv("DOCKER_HOST", "ssh://elsewhere")
    with pytest.raises(SetupError, match="DOCKER_HOST must be a unix socket"):
        default_sockets()
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setattr("os.getuid", lambda: 0)
    assert default_sockets()[0] == "/run/podman/podman.sock"
    monkeypatch.setattr("os.getuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert default_sockets()[0] == "/run/user/1000/podman/podman.sock"
