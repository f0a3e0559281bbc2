"""Local sandboxes that are kept apart by bubblewrap: from each other, from the server and from the machine.

Of a sandbox's directory only `home` and `state` can be seen from inside; the rest is the server's. The agent is the
first process of its pid namespace: whatever ends it ends everything in the sandbox. It inherits its socket, whose name
nobody inside can reach, and outlives the server as any other agent does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from wormux.errors import SandboxError, SetupError
from wormux.ids import SandboxId
from wormux.limits import (
    ISOLATED_OPEN_FILES,
    ISOLATED_PROCESSES,
    ISOLATION_TRIED_WITHIN_S,
    LINK_CONNECTIONS,
)
from wormux.sandbox.bubblewrap import Start, high, start
from wormux.sandbox.cgroup import Group, entering
from wormux.sandbox.cgroup_place import Groups
from wormux.sandbox.isolation import STATE, Isolation, User
from wormux.sandbox.life import Life
from wormux.sandbox.local import NOTES, LocalProvider, last_line, record
from wormux.sandbox.seccomp import refusals
from wormux.sandbox.settings import ProviderSettings

_NOBODY = "nobody"
_SKELETON = Path("/etc/skel")
_HINTS = {
    Path("/proc/sys/user/max_user_namespaces"): ("0", "user.max_user_namespaces=10000"),
    Path("/proc/sys/kernel/unprivileged_userns_clone"): ("0", "kernel.unprivileged_userns_clone=1"),
    Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"): (
        "1",
        "kernel.apparmor_restrict_unprivileged_userns=0",
    ),
}
"""What forbids user namespaces, and what allows them."""


class IsolatedProvider(LocalProvider):
    """See the module. Creating one tries isolation out: raises `SetupError` where it does not work."""

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        runtime_dir: Path | None = None,
        python: str = sys.executable,
        env: Mapping[str, str] | None = None,
    ) -> None:
        isolation = _prepare(settings, python)
        if not _can_count_processes(settings) and not (settings.limits.processes and isolation.user.is_other):
            # The kernel counts by user where it has no groups for it, or nobody asked.
            settings = replace(settings, limits=replace(isolation.limits, processes=None))
        else:
            settings = replace(settings, limits=isolation.limits)
        super().__init__(settings, runtime_dir=runtime_dir, python=python, env=env)
        self._isolation = isolation
        isolation.check_private((settings.data_dir.absolute(), self._runtime_dir))
        self._passwd = isolation.passwd(self._env)
        self._env = isolation.environment(self._env)
        _try_out(isolation, self._passwd, self._env, settings.data_dir)

    def life_of(self, sandbox_id: SandboxId, peer_pid: int) -> Life:
        life = super().life_of(sandbox_id, peer_pid)
        if life.pid == peer_pid:
            raise SandboxError(
                "The shells of this session were started without isolation, and still run. Stop the server, end "
                "them with `wormux stop --all`, and start it again."
            )
        return life

    async def remove(self, sandbox_id: SandboxId) -> None:
        if os.getuid() != 0:
            await asyncio.to_thread(_make_removable, self._directory(sandbox_id) / "home")
        await super().remove(sandbox_id)

    def _prepare_spare(self) -> None:
        """None can be loaded ahead: each belongs to one home from its start."""

    async def _run_agent(self, sandbox_id: SandboxId, directory: Path) -> tuple[Life, int]:
        with contextlib.ExitStack() as on_failure:
            ready, ready_of_agent = os.pipe()
            on_failure.callback(os.close, ready)
            group = self._groups.new()
            if group is not None:
                on_failure.callback(self._groups.left, group)
            try:
                started, options = self._start(sandbox_id, directory, ready_of_agent, group)
                life = await started.life()
                on_failure.callback(life.send, signal.SIGKILL)
                try:
                    record(directory, life.pid)
                except OSError:
                    started.go(b"")
                    raise
                started.go(self._isolation.order(options))
            except OSError as error:
                raise SandboxError(f"The sandbox cannot be started: {error.strerror}.") from error
            self._groups.started(directory, group)
            if group is not None:
                life.on_end(partial(self._groups.left, group))
            on_failure.pop_all()
        return life, ready

    def _start(
        self, sandbox_id: SandboxId, directory: Path, ready: int, group: Group | None
    ) -> tuple[Start, Sequence[str]]:
        """What waits for its order, and the options that are to be in it. Closes `ready`. Raises `OSError` and
        `SandboxError`."""
        home, state = directory / "home", directory / "state"
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, ready)
            _make_directories(home, state, self._isolation.user)
            notes = os.open(directory / NOTES, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
            stack.callback(os.close, notes)
            listener = stack.enter_context(_listen(self._socket(sandbox_id)))
            kept = {"--ready-fd": high(ready, stack), "--listen-fd": high(listener.fileno(), stack)}
            if group is not None and group.oom_file is not None:
                kept["--oom-fd"] = high(stack.enter_context(group.oom_file.open("rb")).fileno(), stack)
            command = partial(entering, group, open_files=None)
            started = start(
                self._isolation, self._passwd, self._env, home, state, notes, tuple(kept.values()), command
            )
        options = [f"{option}={number}" for option, number in kept.items()]
        return started, [*options, *self._options(STATE)]


def _listen(path: Path) -> socket.socket:
    """A socket at `path`, where nobody listens any more. Raises `OSError`."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listening.bind(os.fsencode(path))  # until it has its mode, the directory keeps others out
        path.chmod(0o600)
        listening.listen(LINK_CONNECTIONS)
    except BaseException:
        listening.close()
        raise
    return listening


def _prepare(settings: ProviderSettings, python: str) -> Isolation:
    """Raises `SetupError`."""
    if sys.platform != "linux":
        raise SetupError("Isolation is to be had on Linux alone. Leave --isolation away.")
    if refusals(os.uname().machine) is None:
        raise SetupError(f"Isolation does not know the system calls of this machine ({os.uname().machine}).")
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise SetupError(
            "Isolation needs the program bwrap: install the package bubblewrap (apt install bubblewrap)."
        )
    limits = replace(
        settings.limits,
        processes=settings.limits.processes or ISOLATED_PROCESSES,
        open_files=settings.limits.open_files or ISOLATED_OPEN_FILES,
    )
    return Isolation(
        bwrap=str(Path(bwrap).absolute()),
        python=Path(python).resolve(),
        python_prefix=Path(sys.base_prefix).resolve(),
        package=Path(__file__).parents[1],
        user=_choose_user(settings.user),
        network=settings.network,
        limits=limits,
    )


def _can_count_processes(settings: ProviderSettings) -> bool:
    return Groups(settings.data_dir).cannot("pids") is None


def _choose_user(name: str | None) -> User:
    """Whom the shells run as: never root. Raises `SetupError`."""
    if os.getuid() != 0:
        try:
            own = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            own = "user"
        if name not in (None, own):
            raise SetupError(f"Only a server of root can run shells as {name}. Leave --sandbox-user away.")
        return User(os.getuid(), os.getgid(), own, is_other=False)
    try:
        entry = pwd.getpwnam(name or _NOBODY)
    except KeyError:
        raise SetupError(
            f"There is no user {name or _NOBODY} here. Make one, or choose --sandbox-user."
        ) from None
    if entry.pw_uid == 0 or entry.pw_gid == 0:
        raise SetupError(
            "Isolated shells never run as root, nor in its group: choose another --sandbox-user."
        )
    return User(entry.pw_uid, entry.pw_gid, entry.pw_name, is_other=True)


def _make_directories(home: Path, state: Path, user: User) -> None:
    """What belongs to the user inside; made once. Raises `OSError` and `SandboxError`."""
    for path in (home, state):
        try:
            found = path.lstat()
        except FileNotFoundError:
            new = path.with_suffix(".new")  # whoever stops us in between leaves none that is half made
            if new.exists():
                shutil.rmtree(new)
            if path == home and _SKELETON.is_dir():
                shutil.copytree(_SKELETON, new, symlinks=True)
            else:
                new.mkdir()
            new.chmod(0o700)
            if user.is_other:
                for below in (*new.rglob("*"), new):
                    os.chown(below, user.uid, user.gid, follow_symlinks=False)
            new.rename(path)
        else:
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != user.uid:
                raise SandboxError(
                    f"The files of this session belong to another user than {user.name}, whom its shells would run "
                    "as. Give them away with chown -R, or choose their owner with --sandbox-user."
                )


def _make_removable(home: Path) -> None:
    """Open directories that their owner has shut, such as a module cache's: nobody but root removes from those."""
    with contextlib.suppress(OSError):
        home.chmod(0o700)
        for folder, names, _ in os.walk(home):
            for path in (Path(folder, name) for name in names):
                if not path.is_symlink():
                    path.chmod(0o700)


def _try_out(isolation: Isolation, passwd: bytes, env: Mapping[str, str], data_dir: Path) -> None:
    """Start a sandbox that does nothing. Raises `SetupError` with what to do about it."""
    with contextlib.ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=data_dir, prefix="trial-")))
            _make_directories(folder / "home", folder / "state", isolation.user)
            notes = stack.enter_context((folder / NOTES).open("w+b"))
            trial = start(isolation, passwd, env, folder / "home", folder / "state", notes.fileno(), ())
        except OSError as error:
            raise SetupError(f"Isolation cannot be tried out: {error.strerror}.") from error
        except SandboxError as error:
            raise SetupError(f"Isolation does not work here. {error}") from error
        trial.go(isolation.order(None))
        status = trial.wait(ISOLATION_TRIED_WITHIN_S)
        if status != 0:
            notes.seek(0)
            why = last_line(notes.read())
            raise SetupError(
                f"Isolation does not work here: {why or f'bwrap ended with {status}'}. {_hint()}".strip()
            )


def _hint() -> str:
    """What a system says of itself that would explain it."""
    return user_namespaces_hint() or "Is this itself in a container, or is bubblewrap older than 0.7?"


def user_namespaces_hint() -> str | None:
    """What to do where this user may make no user namespaces; None if nothing forbids them."""
    settings = [
        allowed
        for path, (forbids, allowed) in _HINTS.items()
        if os.getuid() != 0 and path.exists() and path.read_text().strip() == forbids
    ]
    if not settings:
        return None
    return f"User namespaces are forbidden; allow them with: sysctl -w {' '.join(settings)}"
