"""What goes wrong while a scripted client talks to a server."""

from __future__ import annotations

from wormux.errors import ErrorCode, WormuxError


class ServerBroke(WormuxError):
    """The server broke a rule of its own protocol. What it should have done stands in the sentence."""


class RequestError(WormuxError):
    """The server answered a request with an `error`."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class ConnectionOver(WormuxError):
    """The connection ended, or there is none. `code` is the close code; 1006 if it just broke."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"The connection is over ({code}: {reason or 'no reason given'}).")
        self.code = code
        self.reason = reason


class TooLate(WormuxError):
    """What was waited for did not happen within its time."""


def expect(condition: bool, rule: str) -> None:
    """Raises `ServerBroke` with `rule` if it does not hold."""
    if not condition:
        raise ServerBroke(rule)
