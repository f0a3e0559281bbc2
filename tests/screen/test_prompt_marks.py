"""The marks that shells write change nothing of what a screen shows, whatever its size becomes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wormux.screen import library
from wormux.screen.answers import Answers
from wormux.screen.ghostty import GhosttyScreen

pytestmark = pytest.mark.skipif(not library.available(), reason="the emulator has no build for this machine")

SCRIPTS = Path(__file__).parents[2] / "src" / "wormux" / "agent" / "shells"
MARK = re.compile(rb"\x1b\][^\x07]*\x07")
PROMPT = (
    b"\x1b]133;D;0\x07\x1b]7;file://host/home\x07\x1b]133;P;k=i\x07\x1b[?2004hsomebody@somewhere:~/a/directory$ "
    b"\x1b]133;B\x07"
)
BEGUN = b"a long command line that has been typed and is not yet entered"
RAN = b"ls\r\n\x1b[?2004l\r\x1b]133;C\x07"
STREAMS = {
    "begun": b"before\r\n" + PROMPT + RAN + b"one\r\ntwo\r\n" + PROMPT + BEGUN,
    "no newline": PROMPT + RAN + b"no newline at its end" + PROMPT + BEGUN,
    "two lines": PROMPT.replace(b"$ ", b"\r\n$ ") + BEGUN,
    "running": PROMPT + RAN + b"progress 42 %",
    "many": (PROMPT + RAN + b"out\r\n") * 30 + PROMPT + BEGUN,
}


@pytest.mark.parametrize(
    "sizes", [[(30, 10)], [(100, 10)], [(20, 4), (80, 12)], [(39, 10), (41, 10), (40, 3)]], ids=str
)
@pytest.mark.parametrize("stream", STREAMS)
def test_a_resize_gives_the_same_screen_with_marks_and_without(
    stream: str, sizes: list[tuple[int, int]]
) -> None:
    marked, plain = (GhosttyScreen(40, 10, Answers()) for _ in range(2))
    marked.feed(STREAMS[stream])
    plain.feed(MARK.sub(b"", STREAMS[stream]))
    for cols, rows in sizes:
        for screen in (marked, plain):
            screen.resize(cols, rows)
        assert marked.text() == plain.text()
        assert marked._terminal.cursor == plain._terminal.cursor
        assert marked._terminal.scrollback_rows == plain._terminal.scrollback_rows
    for screen in (marked, plain):
        screen.feed(b"\r\nmore\r\n")
    assert marked.text() == plain.text()
    marked.close()
    plain.close()


def test_the_usual_mark_of_a_prompts_start_would_begin_a_line() -> None:
    """Which no page does: the reason why shells write another one."""
    screen = GhosttyScreen(40, 10, Answers())
    screen.feed(b"no newline\x1b]133;A\x07$ ")
    assert screen.text() == "no newline\n$"
    screen.close()
    for script in SCRIPTS.iterdir():
        text = script.read_text()
        assert "133;P;k=i" in text
        assert "]133;A" not in text
