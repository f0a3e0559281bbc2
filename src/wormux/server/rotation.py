"""What `wormux token rotate` does: through the server of a data directory, or without one."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

from wormux.config import Config
from wormux.errors import SetupError
from wormux.server.app import local_url
from wormux.server.audit import AUDIT_FILE, TOKEN_ROTATE, AuditLog
from wormux.server.running import TOKEN_IS_GIVEN
from wormux.server.tokens import kept_token, make_token, read_control_token
from wormux.store.lock import DataDirLock, RunningServer, running_server

ANSWER_WITHIN_S = 10.0
"""A server that has not answered by then is taken for stuck."""


@dataclass(frozen=True)
class NewToken:
    token: str
    url: str
    """Of the server; where none runs, of the one that is started as it is configured now."""
    running: bool


def rotate_token(config: Config) -> NewToken:
    """Make a new token: every login ends, and every WebSocket of a server that runs. Raises `SetupError`."""
    if not config.data_dir.is_dir():
        raise SetupError(f"There is no Wormux data directory {config.data_dir}.")
    server = running_server(config.data_dir)
    if server is not None:
        url = _ask(config, server)
        return NewToken(kept_token(config.data_dir), url, running=True)
    if config.token is not None:
        raise SetupError(TOKEN_IS_GIVEN)
    lock = DataDirLock(config.data_dir)
    lock.acquire()
    try:
        token = make_token(config.data_dir)
        audit = AuditLog(config.data_dir / AUDIT_FILE)
        audit.note(TOKEN_ROTATE)
        audit.close()
    finally:
        lock.release()
    return NewToken(token, local_url(config.host, config.port), running=False)


def _ask(config: Config, server: RunningServer) -> str:
    """Have the running server do it, which knows who is connected; returns its address. Raises `SetupError`."""
    token = read_control_token(config.data_dir)
    if server.address is None or token is None:
        raise SetupError("The server of this data directory is starting or stopping. Try again in a moment.")
    address = urlsplit(server.address)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("POST", "/control/rotate-token", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        said = answer.read().decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        why = str(error) or type(error).__name__
        raise SetupError(f"The server at {server} does not answer: {why}.") from error
    finally:
        connection.close()
    if answer.status != 204:
        raise SetupError(said or f"The server answered with status {answer.status}.")
    return server.address
