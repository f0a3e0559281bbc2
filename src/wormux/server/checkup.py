"""What `wormux doctor` looks at: what is installed, what can be used here, and what to do where it cannot.

What can be tried is tried, by the parts that would use it: a freezer with a process, isolation with a sandbox that does
nothing, a daemon by asking it. Nothing is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import resource
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from wormux.config import Config
from wormux.errors import WormuxError
from wormux.limits import FREE_DISK_BYTES, MIB, OPEN_FILES
from wormux.sandbox.cgroup import Use
from wormux.sandbox.cgroup_place import Groups
from wormux.sandbox.isolated import user_namespaces_hint
from wormux.sandbox.providers import make_provider
from wormux.sandbox.runtime_dir import default_runtime_dir
from wormux.sandbox.settings import ProviderSettings
from wormux.server.app import STORE_FILE, Parts
from wormux.server.hosting import listen
from wormux.server.page import load_page
from wormux.store.inspection import inspect
from wormux.store.lock import running_server
from wormux.version import __version__

State = Literal["ok", "missing", "cannot"]
_SQLITE_LEAST = (3, 37, 0)
"""Strict tables."""
_MADE_S = 1_767_225_600
"""2026: a clock before it is wrong."""
_ANY_IMAGE = "debian:stable"
"""Nothing is made of it."""
_SHELLS = ("bash", "zsh", "fish")
"""Those that can be integrated."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    about: str
    """Which version or place it is; if it is not ok: why, and what to do."""
    needed: bool = False
    """Without it, `wormux serve` fails as it is configured."""


def check(config: Config) -> list[Finding]:
    """Everything, in the order in which it is shown."""
    with _trial_dir() as trial_dir:
        settings = ProviderSettings(data_dir=trial_dir)
        looks: list[Callable[[], Finding]] = [
            _python,
            _sqlite,
            lambda: _data_dir(config.data_dir),
            lambda: _space(config.data_dir),
            lambda: _store(config.data_dir),
            lambda: _address(config),
            _page,
            _emulator,
            _uvloop,
            lambda: _providers(config, trial_dir),
            lambda: _isolation(config, settings),
            _user_namespaces,
            lambda: _freezer(config, settings),
            lambda: _groups(trial_dir),
            lambda: _containers(config, settings),
            _shells,
            _files,
            _clock,
        ]
        return [look() for look in looks]


@contextmanager
def _trial_dir() -> Iterator[Path]:
    """A data directory to try things in; what providers make elsewhere because of it is removed as well."""
    with tempfile.TemporaryDirectory(prefix="wormux-doctor-") as name:
        try:
            yield Path(name)
        finally:
            with contextlib.suppress(OSError):
                default_runtime_dir(Path(name)).rmdir()


# --- What is installed ---------------------------------------------------------------------------------------


def _python() -> Finding:
    about = f"Wormux {__version__} on Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return Finding("Python", "ok", about, needed=True)


def _sqlite() -> Finding:
    if sqlite3.sqlite_version_info < _SQLITE_LEAST:
        least = ".".join(map(str, _SQLITE_LEAST))
        return Finding(
            "SQLite",
            "cannot",
            f"This Python has {sqlite3.sqlite_version}: use one with {least} or newer.",
            needed=True,
        )
    return Finding("SQLite", "ok", sqlite3.sqlite_version, needed=True)


def _page() -> Finding:
    if load_page().index is None:
        return Finding(
            "page", "missing", "It is not built: run `make page` in the sources, or install the package."
        )
    return Finding("page", "ok", "built")


def _emulator() -> Finding:
    name = "emulator (pyghostty)"
    try:
        from wormux.screen.library import available
    except ImportError:
        return Finding(
            name,
            "missing",
            "Redraws show the newest output alone: install pyghostty, if there is a wheel for here.",
        )
    if not available():
        return Finding(
            name, "cannot", "It is installed and cannot be loaded: redraws show the newest output alone."
        )
    return Finding(name, "ok", "screens are redrawn exactly")


def _uvloop() -> Finding:
    try:
        return Finding("uvloop", "ok", version("uvloop"))
    except PackageNotFoundError:
        return Finding("uvloop", "missing", "Large outputs take more time: install uvloop.")


def _shells() -> Finding:
    found = [name for name in _SHELLS if shutil.which(name)]
    if not found:
        wanted = ", ".join(_SHELLS)
        return Finding(
            "shells", "missing", f"None that marks its prompts: shells start plainly. Install {wanted}."
        )
    return Finding("shells", "ok", f"integrated: {', '.join(found)}")


# --- Where things are kept -----------------------------------------------------------------------------------


def _existing(path: Path) -> Path:
    """The directory itself, or the nearest above it that exists."""
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _data_dir(data_dir: Path) -> Finding:
    name = "data directory"
    place = _existing(data_dir)
    if not place.is_dir():
        return Finding(name, "cannot", f"{place} is a file. Choose another --data-dir.", needed=True)
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".wormux-doctor-"):
            pass
    except OSError as error:
        why = f"{place} cannot be written: {error.strerror}. Choose another --data-dir."
        return Finding(name, "cannot", why, needed=True)
    if place != data_dir:
        return Finding(name, "ok", f"{data_dir} will be made", needed=True)
    status = data_dir.stat()
    if status.st_uid != os.getuid():
        why = f"{data_dir} belongs to someone else. Choose another --data-dir."
        return Finding(name, "cannot", why, needed=True)
    if status.st_mode & 0o077:
        return Finding(
            name, "ok", f"{data_dir} (others may look into it until the server starts)", needed=True
        )
    return Finding(name, "ok", str(data_dir), needed=True)


def _space(data_dir: Path) -> Finding:
    free = shutil.disk_usage(_existing(data_dir)).free
    if free < FREE_DISK_BYTES:
        why = f"{free // MIB} MiB: at least {FREE_DISK_BYTES // MIB} should be, or nothing can be stored one day."
        return Finding("free space", "cannot", why)
    return Finding("free space", "ok", f"{free // (1024 * MIB)} GiB")


def _store(data_dir: Path) -> Finding:
    file = data_dir / STORE_FILE
    if not file.exists():
        return Finding("store", "ok", "none yet", needed=True)
    if running_server(data_dir) is not None:
        return Finding("store", "ok", "in use by a server", needed=True)
    try:
        inspect(file)
    except WormuxError as error:
        return Finding("store", "cannot", str(error), needed=True)
    return Finding("store", "ok", f"{file.stat().st_size / MIB:.1f} MiB, sound", needed=True)


def _address(config: Config) -> Finding:
    server = running_server(config.data_dir)
    if server is not None:
        return Finding("address", "ok", f"a server runs: {server}", needed=True)
    try:
        listen(config.host, config.port).close()
    except WormuxError as error:
        return Finding("address", "cannot", str(error), needed=True)
    return Finding("address", "ok", f"{config.host} port {config.port or 'of its own choice'}", needed=True)


# --- What can be used ----------------------------------------------------------------------------------------


def _providers(config: Config, trial_dir: Path) -> Finding:
    names = ", ".join(config.providers)
    try:
        for provider in Parts().providers(replace(config, data_dir=trial_dir)).values():
            asyncio.run(provider.aclose())
    except WormuxError as error:
        return Finding("sandboxes as configured", "cannot", str(error), needed=True)
    return Finding("sandboxes as configured", "ok", f"{names}, sleep by {config.sleep_mode}", needed=True)


def _isolation(config: Config, settings: ProviderSettings) -> Finding:
    needed = config.isolation == "bubblewrap" and "local" in config.providers
    settings = replace(settings, isolation="bubblewrap", user=config.sandbox_user)
    try:
        provider = make_provider("local", settings)
        asyncio.run(provider.aclose())
    except WormuxError as error:
        state: State = "missing" if shutil.which("bwrap") is None else "cannot"
        return Finding("isolation (bubblewrap)", state, str(error), needed)
    return Finding("isolation (bubblewrap)", "ok", "tried with a sandbox: use --isolation bubblewrap", needed)


def _user_namespaces() -> Finding:
    why = user_namespaces_hint()
    if why is not None:
        return Finding("user namespaces", "cannot", why)
    return Finding("user namespaces", "ok", "not needed by root" if os.getuid() == 0 else "allowed")


def _freezer(config: Config, settings: ProviderSettings) -> Finding:
    needed = config.sleep_mode in ("freeze", "freeze-then-stop") and "local" in config.providers
    provider = make_provider("local", settings)
    why = provider.cannot_freeze
    asyncio.run(provider.aclose())
    if why is not None:
        return Finding("freezer", "cannot", why, needed)
    return Finding("freezer", "ok", "tried with a process: use --sleep-mode freeze", needed)


def _groups(trial_dir: Path) -> Finding:
    """Limits of memory and processes."""
    groups = Groups(trial_dir)
    uses: tuple[Use, ...] = ("memory", "pids")
    reasons = {use: groups.cannot(use) for use in uses}
    missing = [f"{use}: {why}" for use, why in reasons.items() if why is not None]
    if missing:
        return Finding(
            "limits of sandboxes", "cannot", f"{'; '.join(missing)}. Run as a service with Delegate=yes."
        )
    return Finding("limits of sandboxes", "ok", "memory and processes can be limited")


def _containers(config: Config, settings: ProviderSettings) -> Finding:
    name = "containers (Podman, Docker)"
    options = config.provider_options.get("container") or {"image": _ANY_IMAGE}
    try:
        provider = make_provider("container", replace(settings, options=options))
    except WormuxError as error:
        return Finding(name, "missing", str(error))

    async def ask() -> None:
        try:
            await provider.list()
        finally:
            await provider.aclose()

    try:
        asyncio.run(ask())
    except WormuxError as error:
        return Finding(name, "cannot", str(error))
    why = provider.cannot_freeze
    return Finding(name, "ok", "the daemon answers" if why is None else f"the daemon answers. {why}")


# --- The machine ---------------------------------------------------------------------------------------------


def _files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES:
        how = f"say `ulimit -n {OPEN_FILES}`, or LimitNOFILE={OPEN_FILES} in the unit"
        why = f"{soft} (at most {hard}): a full server needs {OPEN_FILES}; {how}."
        return Finding("open files", "cannot", why)
    return Finding("open files", "ok", str(soft))


def _clock() -> Finding:
    now_s = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_s))
    if now_s < _MADE_S:
        return Finding(
            "clock", "cannot", f"It says {shown}, which has passed: set it, or logins end wrongly."
        )
    return Finding("clock", "ok", shown)


def serving_fails(findings: list[Finding]) -> bool:
    """Whether `wormux serve` would not start."""
    return any(finding.needed and finding.state != "ok" for finding in findings)
