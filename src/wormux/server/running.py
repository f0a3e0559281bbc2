"""The parts of an application whose lifespan was entered, as its handlers need them."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers

from wormux.errors import SetupError, StoreError
from wormux.protocol.close_codes import CloseCode
from wormux.server.audit import TOKEN_ROTATE, AuditLog
from wormux.server.auth import Gate, Verdict, bearer
from wormux.server.driver import Driver
from wormux.server.page import Page
from wormux.server.telemetry import Telemetry
from wormux.server.tokens import make_token
from wormux.store.port import Store

logger = logging.getLogger(__name__)

LOGINS_SECRET = "logins"
"""Under which the store keeps who is logged in."""
TOKEN_IS_GIVEN = (
    "The token was given to the server (--token, --token-file, the environment or the configuration file) and is not "
    "kept here: change it there and start the server again, which ends every login."
)


@dataclass(frozen=True)
class Running:
    driver: Driver
    gate: Gate
    page: Page
    telemetry: Telemetry
    store: Store
    store_thread: Executor
    audit: AuditLog
    data_dir: Path
    keeps_token: bool
    """The token is its own, and kept in the data directory; else the operator gave it."""

    def judge(self, headers: Headers, peer: str, path: str) -> Verdict:
        """As `Gate.judge`, counted, and in the audit log if a wrong token was shown."""
        verdict = self.gate.judge(headers, peer)
        return self._counted(verdict, peer, path, shown=bearer(headers) is not None)

    def try_token(self, shown: str, peer: str, path: str) -> Verdict:
        """As `Gate.try_token`, counted, and in the audit log if it is wrong."""
        return self._counted(self.gate.try_token(shown, peer), peer, path, shown=True)

    async def rotate_token(self) -> None:
        """Make a new token, end every login, and close every WebSocket. Raises `SetupError`, and then all is as it
        was."""
        if not self.keeps_token:
            raise SetupError(TOKEN_IS_GIVEN)
        loop = asyncio.get_running_loop()
        token = await loop.run_in_executor(self.store_thread, make_token, self.data_dir)
        self.gate.replace_token(token)
        self.driver.close_all(CloseCode.NOT_AUTHENTICATED, "The token was changed.")
        self.audit.note(TOKEN_ROTATE)
        try:
            await self.keep_logins()
        except StoreError as error:  # what is stored there counts for nothing under another token
            logger.warning("That nobody is logged in could not be stored: %s", error)

    async def keep_logins(self) -> None:
        """Store who is logged in, so that it outlives the server. Raises `StoreError`."""
        kept = self.gate.logins.to_keep()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.store_thread, self.store.put_secret, LOGINS_SECRET, kept)

    def _counted(self, verdict: Verdict, peer: str, path: str, *, shown: bool) -> Verdict:
        if verdict is not Verdict.ADMITTED:
            self.telemetry.counts.logins_refused += 1
            if shown:
                self.audit.login_failed(peer, path)
        return verdict
