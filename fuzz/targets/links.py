"""The bytes of the two internal links, in any pieces: both readers of each see the same, or the same end.

What the messages do is `agent` and `server_link`; here it is the cutting and decoding alone, at full speed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import msgspec

from fuzz.kit import SECRET, Target, joined, need, pieces
from wormux.limits import KIB, LINK_FRAME_BYTES, LINK_OUTPUT_BYTES, SCREEN_FRAME_BYTES
from wormux.protocol import agent_link as link
from wormux.protocol import screen_link
from wormux.sandbox.frame_buffer import FrameBuffer
from wormux.screen import frames as screen_frames

MESSAGES: tuple[link.Message, ...] = (
    link.Hello("pane"),
    link.Hello("control", version=7),
    link.Open("p1", 1, 80, 24, 0, b"before", (), "/tmp", {"A": "b"}),
    link.Open("p1", 2, 80, 24, 6, b"", ("cat",), beside="p2"),
    link.Attach("p1", 1, 3),
    link.Input("client", 0, SECRET),
    link.Input("client", 4, SECRET + b"\r"),
    link.Answer(6, b"\x1b[0n"),
    link.Resize(100, 30),
    link.Close(),
    link.Close("p1"),
    link.Sleep(False),
    link.Sleep(True),
    link.Freeze(False),
    link.Forget("p1"),
    link.Welcome(1, 4321, (link.TerminalInfo("p1", 3, 0, 10, link.Exit(0)),), "vim", freezes=True),
    link.Opened(4321, 0, 10, True, {"client": 3}, (link.SizeMark(0, 80, 24),), answered=0),
    link.Refused("No.", gone=True),
    link.Output(SECRET + b"\x1b]2;title\x07$ "),
    link.SizeMark(10, 80, 24),
    link.Ready(),
    link.InputAck("client", 3),
    link.Foreground("vim", False, "/tmp"),
    link.Ended(link.Exit(signal="SIGKILL", ran_s=1.5), 18, {"client": 3}),
    link.Busy("make", "p1"),
    link.Stopped(),
    link.Freezable(),
)
SCREEN_MESSAGES: tuple[screen_link.ScreenRequest | screen_link.ScreenEvent, ...] = (
    screen_link.OpenScreen(0, 80, 24),
    screen_link.Feed(SECRET),
    screen_link.Skip(50),
    screen_link.ResizeScreen(100, 30),
    screen_link.SetColors(1, 2, 0xFFFFFF),
    screen_link.TakeRedraw(200, 1000),
    screen_link.TakeCheckpoint(),
    screen_link.CloseScreen(),
    screen_link.Fed(5),
    screen_link.Answered(5, b"\x1b[0n"),
    screen_link.RedrawTaken(200, 5, 80, 24, SECRET, 0),
    screen_link.CheckpointTaken(5, 80, 24, b"state"),
    screen_link.Unreadable("No."),
    screen_link.ScreenGone("Gone."),
)


def run(data: bytes) -> None:
    """The first byte says which link, and how large the pieces are in which the rest comes."""
    for piece in pieces(data)[:8]:
        at_once = (1, 3, 64, 5000)[piece[0] >> 1 & 3]
        if piece[0] & 1:
            _screen(piece[1:], at_once)
        else:
            _agent(piece[1:], at_once)


def _agent(stream: bytes, at_once: int) -> None:
    whole, whole_end = _told(link.FrameReader().feed(stream))
    reader, buffer = link.FrameReader(), FrameBuffer()
    cut: list[link.Message] = []
    cut_end = buffered_end = None
    buffered: list[link.Message] = []
    for at in range(0, len(stream), at_once):
        part = stream[at : at + at_once]
        if cut_end is None:
            found, cut_end = _told(reader.feed(part))
            cut += found
        while part and buffered_end is None:
            space = buffer.space()
            need(len(space), "A buffer without room would spin.")
            count = min(len(part), len(space))
            space[:count] = part[:count]
            part = part[count:]
            found, buffered_end = _told(buffer.took(count))
            buffered += found
        need(len(reader._buffer) <= LINK_FRAME_BYTES + link.HEADER.size + at_once, "A reader holds too much.")
        need(len(buffer._buffer) <= LINK_FRAME_BYTES + 256 * KIB, "A buffer holds too much.")
    need(cut == whole and cut_end == whole_end, "A stream reads otherwise in pieces.")
    need(_merged(buffered) == _merged(whole) and buffered_end == whole_end, "Two readers differ.")
    for message in whole:
        with contextlib.suppress(ValueError):  # JSON can say what is longer when it is said again
            need(
                list(link.FrameReader().feed(link.encode(message))) == [message],
                "A message changes when it is sent on.",
            )


def _told(messages: Iterator[link.Message]) -> tuple[list[link.Message], str | None]:
    found: list[link.Message] = []
    try:
        found.extend(messages)
    except ValueError as error:
        need(str(error).endswith("."), "An end without a sentence.")
        return found, str(error)
    return found, None


def _merged(messages: list[link.Message]) -> list[link.Message | bytes]:
    """With what outputs there are between other messages as one each, and none that is empty."""
    merged: list[link.Message | bytes] = []
    for message in messages:
        if not isinstance(message, link.Output):
            merged.append(message)
            continue
        need(len(message.data) <= LINK_OUTPUT_BYTES, "More output in one message than there may be.")
        if merged and isinstance(merged[-1], bytes):
            merged[-1] += message.data
        elif message.data:
            merged.append(message.data)
    return merged


def _screen(stream: bytes, at_once: int) -> None:
    buffer = screen_frames.FrameBuffer()
    rest = stream
    try:
        while rest:
            space = buffer.space()
            count = min(at_once, len(rest), len(space))
            space[:count] = rest[:count]
            rest = rest[count:]
            for payload in buffer.took(count):
                _screen_message(bytes(payload))
            need(
                len(buffer._buffer) <= max(256 * KIB, 4 * len(stream)) <= SCREEN_FRAME_BYTES,
                "It holds too much.",
            )
    except ValueError as error:
        need(str(error).endswith("."), "An end without a sentence.")


def _screen_message(payload: bytes) -> None:
    for decode in (screen_link.decode_request, screen_link.decode_event):
        with contextlib.suppress(msgspec.DecodeError):
            number, message = decode(payload)
            frame = screen_link.encode(number, message)
            need(
                decode(frame[screen_link.HEADER.size :]) == (number, message),
                "A message changes when it is sent on.",
            )


def seeds() -> Iterable[bytes]:
    frames = [link.encode(message) for message in MESSAGES]
    for how in (0, 2, 4, 6):
        yield bytes((how,)) + b"".join(frames)
        yield bytes((how | 1,)) + b"".join(screen_link.encode(1, message) for message in SCREEN_MESSAGES)
    for frame in frames:
        yield joined(b"\0" + frame + frame, b"\2" + frame[:-1])
    for index, message in enumerate(SCREEN_MESSAGES):
        yield joined(
            b"\1" + screen_link.encode(index, message), b"\3" + screen_link.encode(1 << 40, message)[:-1]
        )
    yield b"\0" + link.HEADER.pack(link.Kind.HELLO, 3000) + b"[" * 3000
    yield b"\4" + b"".join(link.encode(link.Output(b"x" * 9000)) for _ in range(9))
    yield b"\0" + link.HEADER.pack(link.Kind.OUTPUT, LINK_FRAME_BYTES + 1)
    yield b"\1" + screen_link.HEADER.pack(SCREEN_FRAME_BYTES + 1)
    deep = b"\x92\x01\x93\xa3Fed\x05" + b"\x91" * 3000
    yield b"\1" + screen_link.HEADER.pack(len(deep)) + deep
    yield b"\7" + screen_link.HEADER.pack(SCREEN_FRAME_BYTES) + bytes(4000)


TARGET = Target(
    "links",
    "frames between server, agents and screen workers, in any pieces",
    run,
    seeds,
    words=(
        *(bytes((kind, 0, 0)) for kind in link.Kind),
        b'"position":',
        b'"pane_id":"p2"',
        b"9223372036854775808",
        b"NaN",
    ),
    examples=60,
)
