"""What the operator says of Cloudflare sandboxes is read, or refused with a sentence; secrets stay unseen."""

from __future__ import annotations

import pytest

from wormux.errors import SetupError
from wormux.sandbox.cloudflare_options import CloudflareOptions

URL = "wss://example.com/sandbox/{sandbox}/ws/pty?sessionId={pane}"


def read(**options: object) -> CloudflareOptions:
    return CloudflareOptions.read({"url": URL, **options}, {"SECRET": "hush"})


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (URL, "wss://example.com/sandbox/box/ws/pty?sessionId=pane-1&cols=80&rows=24"),
        ("wss://{sandbox}.example.com/{pane}", "wss://box.example.com/pane-1?cols=80&rows=24"),
        ("ws://127.0.0.1:8080/{sandbox}/{pane}", "ws://127.0.0.1:8080/box/pane-1?cols=80&rows=24"),
        ("ws://[::1]:8080/{sandbox}/{pane}", "ws://[::1]:8080/box/pane-1?cols=80&rows=24"),
        ("ws://localhost/{sandbox}/{pane}", "ws://localhost/box/pane-1?cols=80&rows=24"),
    ],
)
def test_an_address_is_made_from_the_template(url: str, address: str) -> None:
    assert read(url=url).address("box", "pane-1", 80, 24, None) == address


def test_the_shell_is_quoted() -> None:
    address = read().address("box", "pane-1", 80, 24, "/bin/a b&c")
    assert address.endswith("&cols=80&rows=24&shell=%2Fbin%2Fa%20b%26c")


def test_plain_ws_beyond_this_machine_must_be_asked_for() -> None:
    url = "ws://example.com/{sandbox}/{pane}"
    with pytest.raises(SetupError, match="insecure = true"):
        read(url=url)
    assert read(url=url, insecure=True).url == url


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"url": None}, "needs its url"),
        ({"url": "wss://example.com/{sandbox}"}, "must name {sandbox} and {pane}"),
        ({"url": "wss://example.com/{pane}"}, "must name {sandbox} and {pane}"),
        ({"url": URL + "&x={other}"}, "braces other than"),
        ({"url": URL + "}"}, "braces other than"),
        ({"url": URL.replace("wss", "https")}, "address of wss"),
        ({"url": "/{sandbox}/{pane}"}, "address of wss"),
        ({"url": "wss://example.com:port/{sandbox}/{pane}"}, "is not an address"),
        ({"url": URL + "#x"}, "no fragment"),
        ({"url": "wss://me:secret@example.com/{sandbox}/{pane}"}, "user or password"),
        ({"url": URL, "colour": "blue"}, "does not know colour"),
        ({"url": URL, "insecure": "yes"}, "true or false"),
        ({"url": URL, "shell": "bash"}, "path in the container"),
        ({"url": URL, "headers": "Authorization: x"}, "table of names"),
        ({"url": URL, "headers": {"bad name": "x"}}, "name that no header can have"),
        ({"url": URL, "headers": {"X": 1}}, "header X .* must be a text"),
        ({"url": URL, "headers": {"X": "a\r\nY: b"}}, "value that no header can have"),
        ({"url": URL, "headers": {"X": "env:NOT_THERE"}}, "variable NOT_THERE, which is not set"),
        ({"url": URL, "headers": {"Host": "x"}}, "not for you to set"),
        ({"url": URL, "headers": {"Sec-WebSocket-Key": "x"}}, "not for you to set"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(SetupError, match=sentence) as caught:
        CloudflareOptions.read(options, {})
    assert str(caught.value).endswith(".")
    assert "secret" not in str(caught.value)


def test_headers_may_come_from_the_environment_and_are_not_shown() -> None:
    options = read(headers={"Authorization": "env:SECRET", "X-Plain": "plain"})
    assert options.headers == {"Authorization": "hush", "X-Plain": "plain"}
    assert "hush" not in repr(options)
    assert "example.com" not in repr(options)
