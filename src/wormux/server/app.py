"""Wires the parts together into an ASGI application, and takes them apart again in the right order."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware

from wormux.config import Config
from wormux.errors import SetupError
from wormux.hub.hub import Hub
from wormux.hub.settings import HubSettings
from wormux.ids import UserId
from wormux.limits import DRAIN_S, SCREEN_WORKERS
from wormux.records import Snapshot
from wormux.sandbox.port import Provider
from wormux.sandbox.providers import make_provider
from wormux.sandbox.settings import ENV_EXCLUDE, Limits, ProviderSettings
from wormux.screen.in_process import LocalScreens
from wormux.screen.opening import has_emulator, open_log
from wormux.screen.pool import ScreenPool
from wormux.screen.port import Deliver, Screens
from wormux.server.audit import AUDIT_FILE, SERVER_START, SERVER_STOP, AuditLog
from wormux.server.auth import Attempts, Gate, Logins, Sites, instance_id
from wormux.server.counts import Counts
from wormux.server.driver import Driver, Steps
from wormux.server.http import Endpoints, Entrance
from wormux.server.journal import Journal
from wormux.server.page import load_page
from wormux.server.readings import Sources
from wormux.server.running import LOGINS_SECRET, Running
from wormux.server.telemetry import Telemetry
from wormux.server.tokens import kept_token, make_control_token, remove_control_token
from wormux.store.data_dir import prepare_data_dir
from wormux.store.lock import DataDirLock
from wormux.store.port import Store
from wormux.store.sqlite import SqliteStore
from wormux.version import __version__

USER = UserId("owner")
"""The one user of a server, for now: whoever has its token."""
STORE_FILE = "wormux.db"


def _open_store(data_dir: Path) -> Store:
    return SqliteStore(data_dir / STORE_FILE)


def _make_providers(config: Config) -> Mapping[str, Provider]:
    """Raises `SetupError`, also where one cannot do what the configuration asks of it."""
    settings = ProviderSettings(
        data_dir=config.data_dir,
        shell_integration=config.shell_integration,
        env_exclude=ENV_EXCLUDE if config.env_exclude is None else config.env_exclude,
        busy_ignore=config.busy_ignore,
        freeze_with="sigstop" if config.sleep_mode == "sigstop" else "cgroup",
        isolation=config.isolation,
        network=config.sandbox_network,
        limits=Limits(config.sandbox_memory_bytes, config.sandbox_processes, config.sandbox_files),
        user=config.sandbox_user,
    )
    providers = {}
    for name in config.providers:
        options = config.provider_options.get(name, {})
        providers[name] = provider = make_provider(name, replace(settings, options=options))
        if config.sleep_mode != "stop" and provider.cannot_freeze is not None:
            raise SetupError(f"The sleep mode {config.sleep_mode} is not to be had. {provider.cannot_freeze}")
    return providers


def _has_emulator(config: Config) -> bool:
    return config.emulator != "none" and has_emulator()


def _make_screens(config: Config, deliver: Deliver) -> Screens:
    if not _has_emulator(config):
        return LocalScreens(deliver, open_log, memory_bytes=config.screen_memory_bytes)
    workers = min(SCREEN_WORKERS, max(1, (os.cpu_count() or 1) - 1))
    pool = ScreenPool(deliver, workers=workers, memory_bytes=config.screen_memory_bytes)
    pool.prepare()
    return pool


@dataclass(frozen=True)
class Parts:
    """How the parts behind ports are made. `store` is called on the thread that uses it."""

    hub: Callable[[HubSettings, Snapshot], Steps] = Hub
    store: Callable[[Path], Store] = _open_store
    providers: Callable[[Config], Mapping[str, Provider]] = _make_providers
    screens: Callable[[Config, Deliver], Screens] = _make_screens


class Application:
    """What stands behind one ASGI application; found at its `state.wormux`."""

    def __init__(self, config: Config, parts: Parts) -> None:
        self.config = config
        self._parts = parts
        self._running: Running | None = None

    @property
    def token(self) -> str | None:
        """What people log in with now; known once the lifespan was entered, if it was not given."""
        return self.config.token if self._running is None else self._running.gate.token

    def running(self) -> Running:
        """Its parts. Raises `SetupError` outside of the lifespan."""
        if self._running is None:
            raise SetupError(
                "Wormux is not running: the program that mounts it must enter its lifespan "
                "(`app.router.lifespan_context(app)`), since a mounted application's own is not run."
            )
        return self._running

    async def drain(self) -> bool:
        """Tell clients goodbye and wait until all is saved, at most `DRAIN_S`; says whether that was enough. Only the
        first call does anything."""
        if self._running is None or self._running.driver.stopping:
            return True
        return await self._running.driver.drain(DRAIN_S)

    @asynccontextmanager
    async def lifespan(self, *, listening: bool = True) -> AsyncIterator[None]:
        """From taking the data directory to giving it back; shells go on running. Without `listening`, nobody is
        told where to reach it. Raises `SetupError` and `StoreRefused`."""
        config = replace(self.config, data_dir=prepare_data_dir(self.config.data_dir))
        async with AsyncExitStack() as stack:
            lock = DataDirLock(config.data_dir)
            lock.acquire()
            stack.callback(lock.release)
            self._running = await self._start(config, stack)
            if listening:
                lock.set_address(local_url(config.host, config.port))
            stack.callback(self._forget)
            stack.push_async_callback(self.drain)
            yield

    def _forget(self) -> None:
        self._running = None

    async def _start(self, config: Config, stack: AsyncExitStack) -> Running:
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="wormux-store")
        stack.callback(thread.shutdown)
        store = await loop.run_in_executor(thread, self._parts.store, config.data_dir)
        stack.callback(thread.submit, store.close)
        snapshot = await loop.run_in_executor(thread, store.load, USER)
        logins = await loop.run_in_executor(thread, store.get_secret, LOGINS_SECRET)
        page = await asyncio.to_thread(load_page)

        token = config.token or kept_token(config.data_dir)
        control_token = make_control_token(config.data_dir)
        stack.callback(remove_control_token, config.data_dir)
        gate = Gate(
            token,
            control_token,
            logins=Logins(token, logins),
            cookie=f"wormux-{instance_id(str(config.data_dir))}",
            attempts=Attempts(),
        )
        providers = self._parts.providers(config)
        settings = HubSettings(
            idle_timeout_s=config.idle_timeout_s,
            shell=config.shell,
            default_provider=config.providers[0],
            providers=frozenset(providers),
            exit_behavior=config.exit_behavior,
            sleep_mode="freeze" if config.sleep_mode == "sigstop" else config.sleep_mode,
            stop_after_s=config.stop_after_s,
        )
        hub = self._parts.hub(settings, snapshot)
        audit = AuditLog(config.data_dir / AUDIT_FILE)
        stack.callback(_end_audit, audit)
        audit.note(SERVER_START, version=__version__)
        counts = Counts()
        driver = Driver(
            hub,
            user_id=USER,
            store=store,
            store_thread=thread,
            providers=providers,
            screens=lambda deliver: self._parts.screens(config, deliver),
            journal=Journal(counts, hub.world.by_sandbox.get if isinstance(hub, Hub) else lambda _: None),
            audit=audit.deed,
        )
        stack.push_async_callback(driver.aclose)
        telemetry = Telemetry(
            _sources(config, hub, driver, counts), "libghostty-vt" if _has_emulator(config) else "none"
        )
        driver.start()
        watch = asyncio.create_task(telemetry.watch_loop())
        stack.push_async_callback(_cancelled, watch)
        return Running(
            driver,
            gate,
            page,
            telemetry,
            store,
            thread,
            audit,
            data_dir=config.data_dir,
            keeps_token=config.token is None,
        )


def create_app(config: Config, parts: Parts = Parts()) -> Starlette:
    """The ASGI application of one Wormux server.

    Its host must enter the lifespan; a program that mounts it does so itself (`app.router.lifespan_context(app)`),
    for the lifespan of a mounted application is not run. `config.host` and `config.port` say where the host
    listens; other names by which people reach it are `config.public_urls`. Run it with one worker process, and with
    these settings (named as uvicorn names them):

    - `ws_max_size` at least `limits.FRAME_BYTES`: larger frames are refused here, but smaller ones must come;
    - `ws_per_message_deflate=False`: the protocol has no compression, and terminals' bytes are not worth it;
    - `access_log=False`: the address of the login page holds the token; and the host's own logger above INFO,
      because it names addresses, and above DEBUG, because it shows frames.
    """
    application = Application(config, parts)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with application.lifespan():
            yield

    app = Starlette(
        routes=Endpoints(application.running).routes(),
        middleware=[Middleware(Entrance, sites=Sites(config))],
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.wormux = application
    return app


def local_url(host: str, port: int) -> str:
    """Where this machine reaches a server that listens on `host`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _sources(config: Config, hub: Steps, driver: Driver, counts: Counts) -> Sources:
    """What metrics are read from."""
    return Sources(
        counts,
        hub=hub if isinstance(hub, Hub) else None,
        screens=driver.screens,
        store_file=config.data_dir / STORE_FILE,
        storing=lambda: driver.storing,
    )


def _end_audit(audit: AuditLog) -> None:
    audit.note(SERVER_STOP)
    audit.close()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
