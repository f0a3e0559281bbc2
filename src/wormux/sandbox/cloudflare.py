"""The provider of Cloudflare sandboxes: terminals over the WebSocket of Cloudflare's Sandbox SDK, without an agent.

A sandbox wakes when somebody connects, and falls asleep by itself, with all that it had: so nothing is connected but
by `start` and what follows it. What its terminals showed is remembered below the data directory, so that it is
recognised when it comes again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import weakref
from collections.abc import Callable, Mapping

from wormux.errors import SandboxError
from wormux.ids import SandboxId
from wormux.sandbox.cloudflare_link import CANNOT_FREEZE, CloudflareSandbox
from wormux.sandbox.cloudflare_options import CloudflareOptions
from wormux.sandbox.cloudflare_record import NAME, Records
from wormux.sandbox.port import Frozen, Provider, Sandbox, SandboxEvent
from wormux.sandbox.settings import ProviderSettings

logger = logging.getLogger(__name__)


class CloudflareProvider(Provider):
    """Remembers each sandbox in a directory of its own below `data_dir / "cloudflare"`. Raises `SetupError`."""

    name = "cloudflare"

    def __init__(self, settings: ProviderSettings, *, env: Mapping[str, str] | None = None) -> None:
        """`env` is where headers may come from; the server's own environment by default."""
        self._options = CloudflareOptions.read(settings.options, os.environ if env is None else env)
        self._directory = settings.data_dir.absolute() / self.name
        self._records: dict[SandboxId, Records] = {}
        self._links: dict[SandboxId, CloudflareSandbox] = {}
        self._left: set[CloudflareSandbox] = set()
        self._locks: weakref.WeakValueDictionary[SandboxId, asyncio.Lock] = weakref.WeakValueDictionary()

    @property
    def cannot_freeze(self) -> str | None:
        return CANNOT_FREEZE

    async def start(self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]) -> Sandbox:
        """The first terminal connects, and wakes it."""
        async with self._lock(sandbox_id):
            return self._linked(sandbox_id, deliver) or self._link(sandbox_id, deliver)

    async def find(
        self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]
    ) -> Sandbox | Frozen | None:
        """Whether one that nobody is connected to is awake could only be known by waking it."""
        async with self._lock(sandbox_id):
            link = self._linked(sandbox_id, deliver)
            if link is not None or not self._knows(sandbox_id):
                return link
            lives = any(not record.has_ended for record in self._records_of(sandbox_id).all)
            return Frozen() if lives else None

    async def destroy(self, sandbox_id: SandboxId) -> None:
        """Forgets it. What runs there ends when it falls asleep, and its files with it."""
        async with self._lock(sandbox_id):
            link = self._links.get(sandbox_id)
            if link is not None:
                link.detach()
                await link.wait_left()
            self._records.pop(sandbox_id, None)
            try:
                if self._knows(sandbox_id):
                    await asyncio.to_thread(shutil.rmtree, self._directory / sandbox_id)
            except OSError as error:
                raise SandboxError(
                    f"What is stored of the Cloudflare sandbox cannot be removed: {error.strerror}."
                ) from error

    async def list(self) -> tuple[SandboxId, ...]:
        """Those that are remembered here; nobody else can be asked."""
        try:
            names = sorted(entry.name for entry in self._directory.iterdir())
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise SandboxError(f"The Cloudflare sandboxes cannot be listed: {error.strerror}.") from error
        return tuple(SandboxId(name) for name in names if NAME.fullmatch(name))

    async def aclose(self) -> None:
        for link in tuple(self._links.values()):
            link.detach()
        for link in tuple(self._left):
            await link.wait_left()

    def _lock(self, sandbox_id: SandboxId) -> asyncio.Lock:
        if not NAME.fullmatch(sandbox_id):
            raise SandboxError("The sandbox's id is not a name that a sandbox can have.")
        return self._locks.setdefault(sandbox_id, asyncio.Lock())

    def _knows(self, sandbox_id: SandboxId) -> bool:
        return (self._directory / sandbox_id).is_dir()

    def _linked(
        self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]
    ) -> CloudflareSandbox | None:
        """The link that there is."""
        link = self._links.get(sandbox_id)
        if link is not None:
            link.look_again()
            link.deliver_to(deliver)
        return link

    def _link(self, sandbox_id: SandboxId, deliver: Callable[[SandboxEvent], None]) -> CloudflareSandbox:
        try:
            (self._directory / sandbox_id).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._directory.chmod(0o700)
        except OSError as error:
            raise SandboxError(
                f"What a Cloudflare sandbox shows cannot be stored: {error.strerror}."
            ) from error

        def on_over(link: CloudflareSandbox) -> None:
            if self._links.get(sandbox_id) is link:
                del self._links[sandbox_id]
            self._left = {left for left in self._left if left.is_leaving} | {link}

        records = self._records_of(sandbox_id)
        link = CloudflareSandbox(sandbox_id, self._options, records, deliver, on_over)
        self._links[sandbox_id] = link
        return link

    def _records_of(self, sandbox_id: SandboxId) -> Records:
        records = self._records.get(sandbox_id)
        if records is None:
            records = self._records[sandbox_id] = Records(self._directory / sandbox_id, logger.warning)
        return records
