"""What isolated sandboxes consist of, as far as it can be said without making one."""

from __future__ import annotations

import errno
import json
import struct
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from wormux.errors import SetupError
from wormux.sandbox.isolation import HOME, STATE, Descriptors, Isolation, User
from wormux.sandbox.seccomp import refusals
from wormux.sandbox.settings import Limits

DESCRIPTORS = Descriptors(seccomp=11, passwd=12, group=13, info=14)
BY_ROOT = Isolation(
    bwrap="/usr/bin/bwrap",
    python=Path("/opt/python/bin/python3"),
    python_prefix=Path("/opt/python"),
    package=Path(__file__).parents[2] / "src" / "wormux",
    user=User(65534, 65533, "nobody", is_other=True),
    network=True,
    limits=Limits(processes=100, open_files=200),
)
BY_USER = replace(BY_ROOT, user=User(1000, 1001, "alice", is_other=False))


def command(isolation: Isolation) -> list[str]:
    return isolation.command(Path("/data/home"), Path("/data/state"), DESCRIPTORS)


def binds(isolation: Isolation, kind: str) -> dict[str, str]:
    """Where things of the machine are seen inside."""
    arguments = command(isolation)
    return {arguments[i + 2]: arguments[i + 1] for i, word in enumerate(arguments) if word == kind}


# --- The command ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", [BY_ROOT, BY_USER])
def test_only_home_and_state_can_be_written(isolation: Isolation) -> None:
    assert binds(isolation, "--bind") == {HOME: "/data/home", STATE: "/data/state"}
    assert not {"--dev-bind", "--bind-try", "--dev-bind-try", "--bind-fd"} & set(command(isolation))
    arguments = command(isolation)
    assert ("--remount-ro", "/") in pairwise(arguments)


@pytest.mark.parametrize("isolation", [BY_ROOT, BY_USER])
def test_of_the_machine_only_programs_and_their_settings_are_seen(isolation: Isolation) -> None:
    seen = binds(isolation, "--ro-bind")
    assert "/usr" in seen
    assert seen["/opt/python"] == "/opt/python"
    places = ("/usr", "/bin", "/sbin", "/lib", "/etc/", "/opt/python", "/run/wormux/code/wormux/")
    assert all(place.startswith(places) for place in seen)
    assert (
        not {"/etc", "/etc/shadow", "/etc/passwd", "/etc/ssl", "/etc/ssh", "/etc/ssl/private"} & seen.keys()
    )
    assert "/run/wormux/code/wormux/agent" in seen
    assert not [place for place in seen if "server" in place or "store" in place]


@pytest.mark.parametrize("isolation", [BY_ROOT, BY_USER])
def test_every_namespace_is_its_own_and_no_capability_stays(isolation: Isolation) -> None:
    arguments = command(isolation)
    assert {"--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1"} < set(arguments)
    assert arguments[arguments.index("--cap-drop") + 1] == "ALL"
    assert "--die-with-parent" not in arguments
    assert "--share-net" not in arguments


def test_root_becomes_another_user_for_good_and_needs_no_user_namespace_for_it() -> None:
    arguments = command(BY_ROOT)
    kept = [arguments[i + 1] for i, word in enumerate(arguments) if word == "--cap-add"]
    assert kept == ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"]
    assert "--unshare-user" not in arguments
    order = json.loads(BY_ROOT.order(["--option"]))
    assert order["confine"] == {"uid": 65534, "gid": 65533, "files": 200, "processes": None}
    assert order["arguments"] == ["--option"]


def test_a_user_stays_who_it_is_in_a_namespace_of_its_own() -> None:
    arguments = command(BY_USER)
    assert "--cap-add" not in arguments
    assert arguments[arguments.index("--uid") + 1] == "1000"
    assert arguments[arguments.index("--gid") + 1] == "1001"
    assert "--unshare-user" in arguments
    order = json.loads(BY_USER.order(None))
    assert order == {"confine": {"uid": None, "gid": None, "files": 200, "processes": 100}}


def test_the_network_is_shared_only_if_that_is_wanted() -> None:
    assert "--unshare-net" not in command(BY_ROOT)
    assert "--unshare-net" in command(replace(BY_ROOT, network=False))


def test_a_python_of_the_system_is_there_already() -> None:
    isolation = replace(BY_ROOT, python=Path("/usr/bin/python3.11"), python_prefix=Path("/usr"))
    assert list(binds(isolation, "--ro-bind")).count("/usr") == 1
    assert command(isolation)[-5:-1] == ["/usr/bin/python3.11", "-I", "-S", "-c"]


def test_nothing_secret_stands_in_the_environment() -> None:
    server = {
        "HOME": "/root",
        "LANG": "de_DE.UTF-8",
        "LC_TIME": "C",
        "TZ": "Europe/Berlin",
        "PATH": "/root/bin:/usr/bin",
        "SHELL": "/bin/sh",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/bus",
        "SSH_AUTH_SOCK": "/tmp/agent",
        "XDG_RUNTIME_DIR": "/run/user/0",
        "http_proxy": "http://user:hunter2@proxy",
        "LD_PRELOAD": "/tmp/evil.so",
    }
    found = BY_ROOT.environment(server)
    assert {name: found[name] for name in ("LANG", "LC_TIME", "TZ")} == {
        "LANG": "de_DE.UTF-8",
        "LC_TIME": "C",
        "TZ": "Europe/Berlin",
    }
    assert (found["HOME"], found["USER"], found["LOGNAME"], found["SHELL"]) == (
        HOME,
        "nobody",
        "nobody",
        "/bin/sh",
    )
    assert "/root" not in found["PATH"]
    assert found.keys() == {"LANG", "LC_TIME", "TZ", "HOME", "USER", "LOGNAME", "SHELL", "PATH"}


def test_there_are_two_users_inside() -> None:
    lines = BY_ROOT.passwd({"SHELL": "/bin/sh"}).decode().splitlines()
    assert lines == ["root:x:0:0:root:/root:/bin/sh", f"nobody:x:65534:65533::{HOME}:/bin/sh"]
    assert BY_ROOT.group().decode().splitlines() == ["root:x:0:", "nobody:x:65533:"]


@pytest.mark.parametrize("place", ["/usr/local/wormux", "/opt/python", "/opt/python/lib/data", "/etc/skel/x"])
def test_what_every_sandbox_sees_is_no_place_for_data(place: str) -> None:
    BY_ROOT.check_private([Path("/var/lib/wormux"), Path("/opt/pythonic")])
    with pytest.raises(SetupError, match=r"Every isolated sandbox can read .* Keep the data elsewhere"):
        BY_ROOT.check_private([Path(place)])


# --- The system calls ----------------------------------------------------------------------------------------

X86_64, I386, AARCH64, RISCV64 = 0xC000003E, 0x40000003, 0xC00000B7, 0xC00000F3


def decide(machine: str, arch: int, number: int, first: int = 0) -> int | None:
    """Run the program as the kernel would; the error that a call gets, None if it is allowed."""
    program = refusals(machine)
    assert program is not None
    code = list(struct.iter_unpack("=HBBI", program))
    data = struct.pack("=IIQQ", number, arch, 0, first)
    at = value = 0
    while True:
        operation, if_true, if_false, operand = code[at]
        at += 1
        match operation:
            case 0x20:
                (value,) = struct.unpack_from("=I", data, operand)
            case 0x15:
                at += if_true if value == operand else if_false
            case 0x35:
                at += if_true if value >= operand else if_false
            case 0x45:
                at += if_true if value & operand else if_false
            case 0x06:
                return None if operand == 0x7FFF0000 else operand & 0xFFFF
            case _:
                raise AssertionError(operation)


@pytest.mark.parametrize(
    ("machine", "arch", "refused", "allowed"),
    [
        (
            "x86_64",
            X86_64,
            (248, 249, 250, 103, 321, 298, 323, 425),
            (0, 1, 39, 57, 58, 59, 101, 251, 424, 426),
        ),
        ("x86_64", I386, (286, 287, 288, 103, 357, 336, 374, 425), (1, 2, 3, 11, 190, 248, 250, 321)),
        ("aarch64", AARCH64, (217, 218, 219, 116, 280, 241, 282, 425), (63, 64, 93, 221, 248, 250, 272)),
    ],
)
def test_calls_that_namespaces_do_not_separate_are_refused(
    machine: str, arch: int, refused: tuple[int, ...], allowed: tuple[int, ...]
) -> None:
    assert {decide(machine, arch, number) for number in refused} == {errno.EPERM}
    assert {decide(machine, arch, number) for number in allowed} == {None}


@pytest.mark.parametrize(
    ("machine", "arch", "clone", "unshare"),
    [("x86_64", X86_64, 56, 272), ("x86_64", I386, 120, 310), ("aarch64", AARCH64, 220, 97)],
)
def test_user_namespaces_are_refused_and_processes_and_threads_are_not(
    machine: str, arch: int, clone: int, unshare: int
) -> None:
    new_user, thread, new_mounts = 0x10000000, 0x003D0F00, 0x00020000
    for number in (clone, unshare):
        assert decide(machine, arch, number, new_user) == errno.EPERM
        assert decide(machine, arch, number, new_user | new_mounts) == errno.EPERM
        assert decide(machine, arch, number, 17) is None
        assert decide(machine, arch, number, thread) is None
    assert decide(machine, arch, 435) == errno.ENOSYS, "clone3, whose flags no filter sees"


def test_other_ways_to_the_same_calls_are_shut() -> None:
    assert decide("x86_64", X86_64, 0x40000000 | 250) == errno.ENOSYS
    assert decide("x86_64", RISCV64, 0) == errno.ENOSYS
    assert decide("aarch64", X86_64, 0) == errno.ENOSYS
    assert refusals("riscv64") is None
