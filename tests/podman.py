"""A Podman of the tests' own: its storage, its service and its images lie in one directory, and go with it.

The machine's own Podman, its containers and its configuration are never touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
IMAGE = "localhost/wormux-test:latest"
WITHOUT_PYTHON = "localhost/wormux-no-python:latest"
_VARIANTS = {IMAGE: [], WITHOUT_PYTHON: ["--without-python"]}
_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.01
_CONFIGURATION = """\
[containers]
# More than the limits of whoever runs the tests would need a capability that test machines lack.
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
# crun refuses machines that have both versions of control groups.
runtime = "runc"
"""


class Podman:
    """Its service may be ended and started again. Commands and service use the same storage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "podman.sock"
        self._service: subprocess.Popen[bytes] | None = None
        configuration = folder / "containers.conf"
        configuration.write_text(_CONFIGURATION)
        (folder / "networks").mkdir()
        # Not the tests' own environment: what a service is asked for must not depend on it.
        self._env = {"PATH": os.environ["PATH"], "HOME": str(folder), "CONTAINERS_CONF": str(configuration)}
        self._command = [
            "podman", "--root", str(folder / "storage"), "--runroot", str(folder / "run"),
            "--tmpdir", str(folder / "tmp"), "--network-config-dir", str(folder / "networks"),
        ]  # fmt: skip

    def run(self, *arguments: str) -> str:
        """One command's output; raises what it complains of."""
        answer = subprocess.run(
            [*self._command, *arguments],
            cwd=self.folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_WITHIN_S,
            check=False,
        )
        if answer.returncode:
            raise AssertionError(f"podman {arguments[0]} failed: {answer.stderr.strip()}")
        return answer.stdout

    def inspect(self, container: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("container", "inspect", container))[0]
        return found

    def names(self) -> list[str]:
        """Of all containers and volumes."""
        containers = self.run("ps", "--all", "--format", "{{.Names}}").split()
        return containers + self.run("volume", "ls", "--format", "{{.Name}}").split()

    def add_image(self, image: str) -> None:
        """One of the images for tests."""
        archive = self.folder / "image.tar"
        script = ROOT / "scripts" / "make_test_image.py"
        subprocess.run(
            [sys.executable, str(script), *_VARIANTS[image], str(archive)], check=True, timeout=_WITHIN_S
        )
        self.run("import", "--quiet", str(archive), image)
        archive.unlink()

    def serve(self) -> None:
        """Start the service, and wait until it answers."""
        with (self.folder / "service.log").open("ab") as log:
            self._service = subprocess.Popen(
                [*self._command, "system", "service", "--time", "0", f"unix://{self.socket}"],
                cwd=self.folder,  # where containers' monitors leave notes of memory that was used up
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline_s = time.monotonic() + _WITHIN_S
        while not self._answers():
            if self._service.poll() is not None or time.monotonic() > deadline_s:
                words = (self.folder / "service.log").read_text(errors="replace")
                raise AssertionError(f"Podman's service does not start: {words}")
            time.sleep(_LOOK_EVERY_S)

    def end_service(self) -> None:
        """End it as a restart does: containers live on."""
        if self._service is not None:
            self._service.send_signal(signal.SIGTERM)
            self._service.wait(_WITHIN_S)
            self._service = None
        self.socket.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all containers and volumes."""
        self.run("rm", "--all", "--force", "--time", "0")
        self.run("volume", "rm", "--all", "--force")

    def clear_if_any(self) -> None:
        """The same, at once where nothing is left."""
        storage = self.folder / "storage"
        containers = storage / "overlay-containers" / "containers.json"
        volumes = storage / "volumes"
        left = containers.exists() and json.loads(containers.read_text())
        if left or (volumes.is_dir() and any(volumes.iterdir())):
            self.clear()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            return probe.connect_ex(str(self.socket)) == 0


@contextlib.contextmanager
def own_podman(*images: str) -> Iterator[Podman]:
    """With these images, serving; nothing is left of it. Fails with a sentence where there can be none."""
    for program in ("podman", "runc"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            raise AssertionError(
                f"Containers are tested with Debian's packages podman and runc: {program} is missing."
            )
    folder = Path(tempfile.mkdtemp(prefix="wormux-podman-"))
    podman = Podman(folder)
    try:
        for image in images:
            podman.add_image(image)
        podman.serve()
        yield podman
    finally:
        try:
            podman.clear()
        finally:
            podman.end_service()
            _end_monitors(folder)
            _unmount_below(folder)
            shutil.rmtree(folder)
            _remove_groups()


def _end_monitors(folder: Path) -> None:
    """Those of commands that were run in containers stay for minutes. All of them name the directory."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"conmon") and any(word.startswith(os.fsencode(folder)) for word in words):
                os.kill(int(entry.name), signal.SIGKILL)


def _unmount_below(folder: Path) -> None:
    """What the storage had mounted; the deepest first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", mount], check=True, timeout=_WITHIN_S)


def _remove_groups() -> None:
    """The groups that held the containers' groups, unless others of this machine are in them."""
    for parent in (*Path("/sys/fs/cgroup").glob("*/libpod_parent"), Path("/sys/fs/cgroup/libpod_parent")):
        for group in (*parent.glob("*"), parent):
            if group.is_dir():
                with contextlib.suppress(OSError):
                    group.rmdir()
