"""Frames on a client's WebSocket: one byte of channel, then the payload (protocol §1)."""

from __future__ import annotations

from wormux.ids import Channel

CONTROL_CHANNEL = 255
"""Carries one JSON control message per frame; every smaller number is a pane's terminal."""


def encode_frame(channel: int, payload: bytes) -> bytes:
    """One message for the WebSocket: `channel` (0..255), then `payload` as it is."""
    return b"%c%b" % (channel, payload)


def split_frame(frame: bytes) -> tuple[Channel, bytes]:
    """Channel and payload of a frame that is not empty."""
    return Channel(frame[0]), frame[1:]
