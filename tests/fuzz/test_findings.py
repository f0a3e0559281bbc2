"""What fuzzing found once: inputs that broke something, kept as small as they came."""

from __future__ import annotations

import pytest

from fuzz.kit import joined
from fuzz.targets import TARGETS
from wormux.protocol.agent_link import (
    HEADER,
    Ended,
    Exit,
    Freezable,
    Hello,
    Kind,
    Open,
    Opened,
    Refused,
    SizeMark,
    Stopped,
    encode,
)

CONFIG = {
    "home of nobody in the file": b'\0data_dir = "~nobody-of-this-name/x"',
    "endless time": b'\0idle_timeout = "' + b"9" * 400 + b'd"',
    "endless size": b'\0screen_memory = "' + b"9" * 400 + b'G"',
    "endless number": b"\0port = " + b"9" * 5000,
    "endless number as a text": b'\0port = "' + b"9" * 5000 + b'"',
    "endless count as a text": b'\0sandbox_files = "' + b"9" * 5000 + b'"',
    "deep": b"\0port = " + b"[" * 3000,
}
FILES = {
    "deep lock": b"\0" + b"[" * 3000,
    "deep logins": b"\2" + b"[" * 3000,
    "endless login": b'\2{"0": ' + b"9" * 400 + b"}",
    "deep environment": b"\3" + b"[" * 3000,
}
LINKS = {
    "no UTF-8 from a worker": bytes.fromhex("01 00000005 92 01 92 a1 ff"),
    "deep from a worker": b"\1\0\0\x0b\xbf\x92\x01\x93\xa3Fed\x05" + b"\x91" * 3000,
}
MESSAGES = {
    "no JSON": b'\xff{"type":"pong"',
    "no UTF-8": b'\xff{"type":"ok","ref":"\xff"}',
    "deep": b'\xff{"type":"state","tabs":[{"layout":' + b'{"type":"split","children":[' * 3000,
}
AGENT = {
    # An agent that cannot say welcome any more is lost to its server.
    "ids that fill a welcome": b"".join(
        b"\0"
        + encode(Hello("pane"))
        + encode(Open("p" * 200_000 + str(n), 1, 80, 24, 0, b"", ()))
        + b"\xfe\xff|\1\xfe\xff|"
        for n in range(6)
    ),
    "position that counts over": b"\0"
    + encode(Hello("pane"))
    + encode(Open("p", 1, 80, 24, 2**63 - 1, b"before", ())),
}
FAR = (
    b'{"pid":1,"position":9223372036854775807,"end":9223372036854775807,"ready":true,"inputs":{},'
    b'"sizes":[{"position":0,"cols":80,"rows":24}],"answered":0}'
)
OPENED = Opened(1, 0, 0, True, {}, (SizeMark(0, 80, 24),), answered=0)
AGENT_HUB = {
    "control characters in a reason": joined(b"\0", b"\x0d" + encode(Refused("x\n\x1b]2;y\x07")), b"\4"),
    "endless signal": joined(
        b"\0", b"\x0d" + encode(OPENED) + encode(Ended(Exit(signal="S" * 5000), 0, {})), b"\4"
    ),
    "position that no store holds": joined(b"\0", b"\x0d" + HEADER.pack(Kind.OPENED, len(FAR)) + FAR, b"\4"),
}
CONTROL, PANE = b"\x0c", b"\x1c"
SERVER_LINK = {
    # A sandbox that has stopped stopped once more when a terminal of it was forgotten, or a freeze was through.
    "stopped, then forgotten": joined(
        b"\0",
        PANE + encode(OPENED) + encode(Ended(Exit(0), 0, {})),
        b"\x09",
        b"\x16",
        b"\x26",
        CONTROL + encode(Stopped()),
        b"\5",
    ),
    "stopped while it freezes": joined(
        b"\0", b"\x0a", b"\x09", CONTROL + encode(Stopped()) + encode(Freezable())
    ),
}
FOUND = {
    "server_link": SERVER_LINK,
    "agent": AGENT,
    "agent_hub": AGENT_HUB,
    "config": CONFIG,
    "files": FILES,
    "links": LINKS,
    "messages": MESSAGES,
}


@pytest.mark.parametrize(
    ("target", "data"),
    [pytest.param(name, data, id=f"{name}: {what}") for name in FOUND for what, data in FOUND[name].items()],
)
def test_is_mended(target: str, data: bytes) -> None:
    TARGETS[target](data)
