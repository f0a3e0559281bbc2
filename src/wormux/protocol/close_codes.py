"""Why the server closes a WebSocket (protocol §7)."""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """A WebSocket close code that Wormux sends."""

    GOING_AWAY = 1001
    """The server stops: connect again soon."""
    TEXT_MESSAGE = 1003
    TOO_BIG = 1009
    """A frame over `limits.FRAME_BYTES`."""
    SERVICE_RESTART = 1012
    BAD_START = 4400
    """An empty message, or anything before `connect`."""
    NOT_AUTHENTICATED = 4401
    NO_CONNECT = 4408
    """No `connect` within `limits.CONNECT_WITHIN_S`."""
    TAKEN_OVER = 4409
    """Another connection took this client over."""
    TOO_MUCH = 4429
    """More than the allowed connections, messages or input."""
