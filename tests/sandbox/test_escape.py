"""Programs in isolated sandboxes try to get out: real shells, as root's server starts them and as a user's does."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

from tests.sandbox.isolated_kit import MODES, WITHIN_S, inside, is_dumpable, status
from wormux.sandbox.life import Life
from wormux.sandbox.processes import descendants

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_factories=["uvloop"])]
modes = pytest.mark.parametrize("mode", MODES)


@modes
async def test_nothing_of_the_server_and_of_others_can_be_read(mode: str) -> None:
    async with inside(mode) as box:
        data_dir = box.data_dir
        other = data_dir / "sandboxes" / "other" / "home"
        other.mkdir(parents=True)
        secrets = [data_dir / "token", data_dir / "wormux.db", other / "diary"]
        for path in secrets:
            path.write_text("hunter2")
            path.chmod(0o666)
        sockets = [path for path in box.runtime_dir.iterdir() if path.is_socket()]
        assert len(sockets) == 1
        for path in (*secrets, *sockets, data_dir, other, box.runtime_dir):
            assert path.exists()
            assert "No such file" in await box.run(f"ls -d {path}"), path
            assert "hunter2" not in await box.run(f"cat /proc/*/root{path} {path} ~/../../../{path}"), path
        for name in (
            "/etc/shadow",
            "/etc/gshadow",
            "/etc/ssh",
            "/etc/sudoers",
            "/sys",
            "/boot",
            "/var/lib",
            "/mnt",
        ):
            assert "No such file" in await box.run(f"cat {name}"), name
        said = await box.run("ls -A /home /tmp /dev/shm")
        assert said.split() == ["/dev/shm:", "/home:", "user", "/tmp:", "status", "0"]
        assert (await box.run("find / -xdev -name 'wormux*.db' -o -xdev -name token -type f")) == "status 0\n"
        hidden = await box.run("env; cat /proc/self/environ")
        assert "hunter2" not in hidden
        names = {line.partition("=")[0] for line in (await box.run("env")).splitlines()[:-1]}
        known = {
            "PATH",
            "HOME",
            "USER",
            "LOGNAME",
            "SHELL",
            "PWD",
            "OLDPWD",
            "TERM",
            "COLORTERM",
            "PS1",
            "SHLVL",
            "_",
        }
        assert {name for name in names - known if not name.startswith(("LANG", "LC_", "TZ"))} == set()


@modes
async def test_nothing_of_the_machine_can_be_written(mode: str) -> None:
    async with inside(mode) as box:
        places = (
            "/",
            "/usr",
            "/usr/bin",
            "/etc",
            "/dev",
            "/run",
            "/run/wormux",
            "/run/wormux/code",
            "/home",
            "/var",
        )
        for place in places:
            said = await box.run(f"echo >{place}/mine")
            assert "Read-only file system" in said or "Permission denied" in said, (place, said)
        agent = Path("/run/wormux/code/wormux/agent/agent.py")
        said = await box.run(f"echo >>{agent}; echo >>/etc/passwd; rm -f /usr/bin/env; touch /bin/sh")
        assert said.count("Read-only file system") + said.count("Permission denied") == 4, said
        for attempt in (
            "mount -o remount,rw /",
            "mount -o remount,rw,bind /usr",
            "mount -t tmpfs tmpfs /tmp",
            "umount /usr",
            "mknod ~/disk b 254 0",
            "chroot / true",
            "hostname mine",
            "echo mine >/proc/sys/kernel/core_pattern",
            "echo mine >/proc/sys/kernel/hostname",
            "echo b >/proc/sysrq-trigger",
            "chown 0 ~/script",
        ):
            said = await box.run(attempt)
            assert not said.endswith("status 0\n"), attempt
        assert (
            await box.run("echo fine >~/a && echo fine >/tmp/b && echo fine >/dev/shm/c && cat /tmp/b")
        ) == ("fine\nstatus 0\n")
        assert (box.home / "a").stat().st_uid == box.uid


@modes
async def test_no_privileges_can_be_had(mode: str) -> None:
    async with inside(mode) as box:
        assert box.uid != 0
        said = await box.run("cat /proc/self/status")
        own = dict(line.split(":\t", 1) for line in said.splitlines()[:-1])
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(own[name], 16) == 0, name
        assert own["NoNewPrivs"] == "1"
        assert own["Seccomp"] == "2"
        assert own["Uid"].split() == [str(box.uid)] * 4
        assert own["Gid"].split() == [own["Gid"].split()[0]] * 4
        assert "0" not in own["Groups"].split()
        for process in (box.agent, *descendants(box.agent)):
            assert status(process)["Uid"].split() == [str(box.uid)] * 4, "as the machine sees it"
        # Programs that would become root by their mode stay who they are.
        for attempt in ("mount /tmp", "sudo -n true", "newgrp root", "passwd -d root"):
            assert not (await box.run(f"setsid -w {attempt}")).endswith("status 0\n"), attempt
        if os.getuid() == 0:
            shutil.copy("/usr/bin/id", box.home / "id-of-root")
            (box.home / "id-of-root").chmod(0o6755)
            assert (await box.run("~/id-of-root -u")).split() == [str(box.uid), "status", "0"]
        assert "nosuid" in await box.run("grep ' /usr ' /proc/mounts")
        for attempt in ("unshare -Ur true", "unshare -m true", "unshare -n true", "nsenter -t 1 -m true"):
            said = await box.run(attempt)
            assert not said.endswith("status 0\n"), attempt
            assert "Operation not permitted" in said or "Permission denied" in said, said


@modes
async def test_the_kernel_gives_nothing_away(mode: str) -> None:
    """Keys that belong to the user rather than to the sandbox, the kernel's log, and the like."""
    async with inside(mode) as box:
        said = await box.python_says(
            """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
calls = {
    "x86_64": {"add_key": 248, "request_key": 249, "keyctl": 250, "syslog": 103, "bpf": 321, "perf": 298,
               "userfaultfd": 323, "io_uring_setup": 425, "unshare": 272, "clone": 56, "clone3": 435},
    "aarch64": {"add_key": 217, "request_key": 218, "keyctl": 219, "syslog": 116, "bpf": 280, "perf": 241,
                "userfaultfd": 282, "io_uring_setup": 425, "unshare": 97, "clone": 220, "clone3": 435},
}[os.uname().machine]
for name, number in calls.items():
    first = {"keyctl": 0, "syslog": 3, "unshare": 0x10000000, "clone": 0x10000011}.get(name, 0)
    result = libc.syscall(number, ctypes.c_long(first), 0, 0, 0, 0)
    print(name, result, errno.errorcode.get(ctypes.get_errno()))
print("fork", os.waitpid(os.fork() or os._exit(0), 0)[1])
"""
        )
        results = [line.split() for line in said.splitlines()]
        assert len(results) == 12
        for name, result, error in (row for row in results if row[0] not in ("fork", "clone3")):
            assert (result, error) == ("-1", "EPERM"), name
        assert ["clone3", "-1", "ENOSYS"] in results, "then a library uses clone, whose flags can be seen"
        assert ["fork", "0"] in results, "what programs need still works"
        assert "denied" in await box.run("dmesg") or "not permitted" in await box.run("dmesg")


@modes
async def test_other_processes_can_be_neither_seen_nor_signalled(mode: str) -> None:
    async with inside(mode) as box:
        own = descendants(box.agent)
        said = await box.run("echo /proc/[0-9]*; ls -d /proc/1 | wc -l")
        seen = {int(path.rpartition("/")[2]) for path in said.splitlines()[0].split()}
        assert len(seen) <= len(own) + 4
        for number in (os.getpid(), os.getppid(), box.agent):
            if number not in seen:
                assert "No such process" in (await box.python_says(_KILL.format(number)))
        said = await box.python_says(
            "import os, signal\ntry: os.kill(-1, 0)\nexcept OSError as e: print(e)\nprint(1)"
        )
        assert said.endswith("1\n")
        # Those outside go on, and so does the agent, which has no handler for these.
        await box.run("kill -9 1; kill -STOP 1; kill -HUP 1; kill -INT 1; kill -SEGV 1")
        assert (await box.run("echo alive")) == "alive\nstatus 0\n"


_KILL = "import os, signal\ntry: os.kill({}, signal.SIGKILL)\nexcept OSError as e: print(e)"


@modes
async def test_the_agent_cannot_be_reached(mode: str) -> None:
    async with inside(mode) as box:
        for path in (
            "fd",
            "fd/0",
            "root",
            "cwd/",
            "environ",
            "mem",
            "maps",
            "map_files",
            "exe",
            "syscall",
            "ns/mnt",
        ):
            said = await box.run(f"ls -l /proc/1/{path} && cat /proc/1/{path}")
            assert "denied" in said or "not permitted" in said, (path, said)
        said = await box.python_says(
            """
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def told(name, result):
    print(name, result, errno.errorcode.get(ctypes.get_errno()))
ATTACH, SEIZE = 16, 0x4206
told("attach", libc.ptrace(ATTACH, 1, None, None))
told("seize", libc.ptrace(SEIZE, 1, None, None))
pidfd = os.pidfd_open(1)
for fd in range(64):
    if libc.syscall(438, pidfd, fd, 0) >= 0:
        print("FOUND", fd)
buffer = ctypes.create_string_buffer(8)
class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
local = Iovec(ctypes.addressof(buffer), 8)
told("read", libc.process_vm_readv(1, ctypes.byref(local), 1, ctypes.byref(local), 1, 0))
# Whatever of sockets can be found by name is tried.
names = set()
for line in open("/proc/net/unix").read().splitlines()[1:]:
    fields = line.split()
    if len(fields) == 8 and fields[7].startswith("/"):
        names.add(fields[7])
for folder, _, files in os.walk("/"):
    if folder.startswith("/proc"):
        continue
    names.update(os.path.join(folder, name) for name in files if name.endswith((".sock", ".socket")))
for name in names:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(name)
        except OSError:
            continue
        print("FOUND", name)
os.close(pidfd)
print("inherited", sorted(os.listdir("/proc/self/fd")))
"""
        )
        assert "FOUND" not in said
        lines = [line.split() for line in said.splitlines()]
        assert {tuple(line) for line in lines[:-1]} == {
            (name, "-1", "EPERM") for name in ("attach", "seize", "read")
        }
        assert lines[-1] == ["inherited", "['0',", "'1',", "'2',", "'3']"], "3 is the look itself"
        assert status(box.agent)["NoNewPrivs"] == "1"
        assert not is_dumpable(box.agent)


@modes
async def test_other_terminals_cannot_be_reached(mode: str) -> None:
    """A sandbox has terminals of its own: those of the machine are not there under any number."""
    async with inside(mode) as box:
        master, slave = os.openpty()
        try:
            name = os.ttyname(slave)
            os.fchmod(slave, 0o666)
            said = await box.run("ls /dev/pts; ls -l /dev")
            assert said.split()[:2] == ["0", "ptmx"]
            if name != "/dev/pts/0":
                assert "No such file" in await box.run(f"ls {name}")
            for device in ("console", "tty0", "tty1", "kmsg", "mem", "vda", "sda", "fuse", "kvm"):
                assert "No such file" in await box.run(f"ls /dev/{device}"), device
        finally:
            os.close(master)
            os.close(slave)


@modes
async def test_the_network_is_there_or_not_as_was_asked(mode: str) -> None:
    probe = """
import socket
def reach(family, address):
    with socket.socket(family) as client:
        try:
            client.connect(address)
        except OSError as error:
            return type(error).__name__
    return "reached"
print(reach(socket.AF_INET, ("127.0.0.1", {port})), reach(socket.AF_UNIX, {abstract!r}))
print(sorted(name for _, name in socket.if_nameindex()))
"""
    abstract = f"\0wormux-test-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(abstract)
        local.listen()
        program = probe.format(port=server.getsockname()[1], abstract=abstract)
        async with inside(mode, network=False) as box:
            assert (await box.python_says(program)).splitlines() == [
                "ConnectionRefusedError ConnectionRefusedError",
                "['lo']",
            ]
        async with inside(mode, network=True) as box:
            others = "PermissionError" if _keeps_abstract_sockets_apart() else "reached"
            assert (await box.python_says(program)).startswith(f"reached {others}\n")
            assert (await box.python_says(_OWN_ABSTRACT_SOCKET)) == "reached\n"


_OWN_ABSTRACT_SOCKET = """
import socket
with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
    server.bind("\\0own")
    server.listen()
    client.connect("\\0own")
    print("reached")
"""


def _keeps_abstract_sockets_apart() -> bool:
    """The kernel can, since 6.12, if its Landlock is on."""
    return int(ctypes.CDLL(None).syscall(444, None, 0, 1)) >= 6


@modes
async def test_a_program_that_forks_without_end_stops_at_the_limit(mode: str) -> None:
    async with inside(mode, processes=40) as box:
        said = await box.python_says(
            """
import os, signal, time
children = []
try:
    while len(children) < 100:
        pid = os.fork()
        if pid == 0:
            signal.pause()
        children.append(pid)
except OSError as error:
    print(type(error).__name__)
print(len(children))
for pid in children:
    os.kill(pid, signal.SIGKILL)
"""
        )
        error, count = said.split()
        assert error == "BlockingIOError"
        assert 20 < int(count) < 40
        assert (await box.run("ulimit -Hn")).split()[0].isdigit()


@modes
async def test_memory_that_stands_for_files_is_bounded(mode: str) -> None:
    async with inside(mode) as box:
        said = await box.run(
            "head -c 70M /dev/zero >/dev/shm/a; df -B1 --output=size /tmp | tail -1; rm /dev/shm/a"
        )
        assert "No space left" in said
        assert int(said.split()[-3]) == 1 << 30


@modes
async def test_the_end_of_the_agent_is_the_end_of_all(mode: str) -> None:
    async with inside(mode) as box:
        await box.run(
            "setsid sh -c 'setsid sleep 1000 & setsid nohup sleep 1001' >/dev/null 2>&1 & sleep 0.1"
        )
        processes = descendants(box.agent)
        assert len(processes) >= 3
        lives = [Life(pid) for pid in processes]
        os.kill(box.agent, signal.SIGKILL)
        for life in lives:
            assert await life.wait(WITHIN_S)
