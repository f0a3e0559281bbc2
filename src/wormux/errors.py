"""The tree of exceptions.

    WormuxError                 everything that Wormux raises on purpose
    ├── Refusal                 a client's request cannot be done; becomes an `error` message
    ├── ProtocolViolation       a client broke the transport's rules; closes its connection
    ├── SetupError              the operator's fault: configuration, ports, directories; one sentence, exit status 1
    ├── StoreError              the store cannot read or write
    │   └── StoreRefused        the file is damaged, newer or in use: start is refused, the file left as it is
    ├── SandboxError            a sandbox cannot be started, stopped or reached; its sentence becomes a `reason`
    │   └── LinkError           the other end of an agent's link said something that it must not say
    ├── ScreenError             an emulator cannot do what was asked, or a stored screen cannot be read
    └── InternalError           our own bug, found by an assertion at a boundary

Every sentence is for the person who reads it: what happened and what can be done. None names a path
of the server to a client, and none carries terminal bytes or a token.
"""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """The `code` of an `error` message (protocol §7)."""

    BAD_MESSAGE = "bad_message"
    UNKNOWN_TYPE = "unknown_type"
    NOT_FOUND = "not_found"
    INVALID = "invalid"
    BUSY = "busy"
    LIMIT = "limit"
    SANDBOX_FAILED = "sandbox_failed"
    STORAGE = "storage"
    FORBIDDEN = "forbidden"
    INTERNAL = "internal"


class WormuxError(Exception):
    """Everything that Wormux raises on purpose. `str(error)` is a sentence for a person."""


class Refusal(WormuxError):
    """A request that changes nothing and is answered by an `error` message."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ProtocolViolation(WormuxError):
    """A client broke the transport's rules: its connection is closed with `close_code`."""

    def __init__(self, close_code: int, message: str) -> None:
        super().__init__(message)
        self.close_code = close_code


class SetupError(WormuxError):
    """The server cannot start as it was told to: one sentence on stderr, exit status 1."""


class StoreError(WormuxError):
    """The store cannot read or write just now."""


class StoreRefused(StoreError):
    """The store's file is damaged, newer than this program or in use; it was not touched."""


class SandboxError(WormuxError):
    """A sandbox cannot be started, stopped or reached. The sentence is shown in the pane."""


class LinkError(SandboxError):
    """The peer of an agent's link broke its rules. In an isolated sandbox this may be an attack."""


class ScreenError(WormuxError):
    """An emulator cannot do what was asked of it, or what was kept of a screen cannot be read."""


class InternalError(WormuxError):
    """A bug of ours, found at a boundary."""
