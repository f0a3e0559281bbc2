"""A program in a terminal that wants more than its terminal: the page, the browser, the clipboard, the shell."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Download, Page, Request, expect

from wormux.testing.server_process import ServerProcess

from .kit import PROMPT, OpenPage, Pane, Ui

WATCH = """
(() => {
  window.taken = [];
  const spy = (owner, name) => {
    if (owner?.[name]) owner[name] = (...given) => (window.taken.push([name, ...given.map(String)]), null);
  };
  for (const name of ["open", "alert", "prompt", "confirm", "moveTo", "moveBy", "resizeTo", "resizeBy", "print"])
    spy(window, name);
  for (const name of ["read", "readText", "write", "writeText"]) spy(Clipboard.prototype, name);
  spy(Document.prototype, "execCommand");
  spy(Notification, "requestPermission");
  spy(Storage.prototype, "clear");
  document.addEventListener("securitypolicyviolation", (event) => window.taken.push(["policy", event.blockedURI]));
})();
"""
"""Run before the page's own code: what would reach beyond the terminal is remembered, and not done."""

MARKUP = "<img src=x onerror=\"window.taken.push(['markup'])\">"
FOREIGN_LINKS = (
    "javascript:window.taken.push(['script'])",
    "JaVaScRiPt:window.taken.push(['script'])",
    "\tjavascript:window.taken.push(['script'])",
    "data:text/html,<script>opener.taken.push(['script'])</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:http://127.0.0.1/x",
    "//evil.example/",
    "about:blank",
    "x-terminal:run",
)
SHOWN = "http://shown.example/"


def osc(text: str) -> str:
    return f"\x1b]{text}\x07"


def screen_of_links() -> str:
    """Each on a line of its own, by the name `link-N` at its beginning; the last leads to a page."""
    lines = [
        f"{osc(f'8;;{uri}')}link-{number}{osc('8;;')}" for number, uri in enumerate((*FOREIGN_LINKS, SHOWN))
    ]
    return "\x1b[H\x1b[2J" + "\r\n".join((*lines, "javascript:window.taken.push(['text'])", "")) + "\r\n"


REACHES = "".join(
    (
        # Titles, as text for the page, and for who reads a tab's name.
        osc(f"2;{MARKUP}"),
        osc("0;</title><script>window.taken.push(['title'])</script>\u202egnp.exe\u2066\u200b\x1f\x9b31m"),
        osc("2;" + "a" * 100_000),
        # The clipboard, read and written; notifications; files; fonts, pointers, hosts' own sequences.
        osc("52;c;?")
        + osc("52;p;?")
        + osc("52;c;cm0gLXJmIC8K")
        + osc("5522;type=read:mime=dGV4dC9wbGFpbg=="),
        osc("9;hello") + osc("777;notify;a;b") + osc("99;i=1:d=0;hello"),
        osc("1337;File=name=ZXZpbC5zaA==;inline=0:cm0gLXJmIC8K")
        + osc("1337;SetUserVar=a=Yg==")
        + osc("1337;Copy=:YQ=="),
        osc("50;evil") + osc("22;wait") + osc("633;E;touch /tmp/evil") + osc("5113;ac=send"),
        # Directories of other machines, and such as would be typed.
        osc("7;file://evil.example/etc") + osc("7;file:///tmp/$(touch evil)") + osc("9;9;/evil"),
        # The window: move, resize, iconify, raise, full screen, title stack.
        "".join(
            f"\x1b[{what}t"
            for what in ("1", "2", "3;0;0", "4;10;10", "5", "6", "7", "8;5;5", "9;1", "10;1", "22;0", "23;0")
        ),
        "\x1b[?40h\x1b[?3h\x1b[?3l",
        # Programs for the printer, macros, keys that type, a screen's copy, graphics, strings without an end.
        "\x1b[5i\x1b[4i\x1bP1;0;0!zrm\x1b\\\x1b[0*z\x1bP0;1|17/746f756368\x1b\\\x1b_Gf=100,t=f;L2V0Yy9wYXNzd2Q=\x1b\\",
        "\x1bX" + MARKUP + "\x1b\\\x1b^" + MARKUP + "\x1b\\\x1bPq" + "#" * 1000 + "\x1b\\",
        MARKUP + "\r\n",
    )
)
ASKS = (
    (
        "\x1b[c\x1b[>c\x1b[=c\x1b[>q\x1b[5n\x1b[6n\x1b[?6n\x1b[?996n\x1b[?15n\x1b[x\x1bZ\x05\x1b[?u\x1b[?1$p\x1b[4$p"
        "\x1bP$qm\x1b\\\x1bP$q\rtouch WITNESS\r\x1b\\\x1bP+q544e\x1b\\\x1b[11t\x1b[13t\x1b[14t\x1b[18t\x1b[19t"
    )
    + osc("2;\rtouch WITNESS\r")
    + "\x1b[20t\x1b[21t"
    + osc("10;?")
    + osc("11;?;?")
    + osc("4;1;?")
    + osc("52;c;?")
)

TIMES = 20
ASKER = """
import os, sys, termios, tty
before = termios.tcgetattr(0)
tty.setraw(0)
heard = b""
sys.stdout.buffer.write(open(sys.argv[1], "rb").read() + b"\\x1b[?2026$p")
sys.stdout.flush()
while not heard.endswith(b"\\x1b[?2026;2$y"):
    heard += os.read(0, 65536)
termios.tcsetattr(0, termios.TCSANOW, before)
open(sys.argv[2], "wb").write(heard)
print("\\r\\x1b[2Kit has asked")
"""
"""Asks all of a file, and keeps what it hears until the last answer."""


class Watched:
    """What a page has asked of the browser and of the network since it was opened."""

    def __init__(self, page: Page, url: str) -> None:
        self.foreign: list[str] = []
        self.others: list[str] = []
        page.on("request", lambda request: self._asked(request, url))
        page.on("download", self._downloads)
        page.on("popup", lambda popup: self.others.append(f"popup {popup.url}"))
        page.on("dialog", lambda dialog: self.others.append(f"dialog {dialog.message}"))

    def _asked(self, request: Request, url: str) -> None:
        if not request.url.startswith((f"{url}/", f"ws{url.removeprefix('http')}/", "data:")):
            self.foreign.append(request.url)

    def _downloads(self, download: Download) -> None:
        self.others.append(f"download {download.suggested_filename}")


def show(pane: Pane, path: Path, text: str) -> None:
    path.write_text(text)
    pane.type(f"cat {path}\n")


def taken(ui: Ui) -> list[list[str]]:
    found: list[list[str]] = ui.page.evaluate("() => window.taken")
    return found


@pytest.fixture
def hostile_dir(tmp_path: Path) -> Path:
    path = tmp_path / "hostile"
    path.mkdir()
    return path


def test_it_gets_no_further_than_its_terminal(
    server: ServerProcess, open_page: OpenPage, hostile_dir: Path
) -> None:
    ui = open_page(server, script=WATCH, permissions=["clipboard-read", "clipboard-write"])
    watched = Watched(ui.page, server.url)
    pane = ui.new_session("hostile")
    size = (pane.run("stty size"), ui.page.viewport_size)
    before = ui.page.evaluate("() => navigator.clipboard.constructor.name")
    assert before == "Clipboard"

    typed = len(ui.input_frames())
    command = f"cat {hostile_dir / 'reaches'}\r"
    show(pane, hostile_dir / "reaches", REACHES)
    pane.wait_text(rf"onerror(?s:.*)^{PROMPT}\Z")
    # The page has typed the command, and nothing of its own.
    assert b"".join(ui.input_frames()[typed:]) == command.encode()
    assert taken(ui) == []
    assert (watched.foreign, watched.others) == ([], [])
    expect(ui.page.locator("[onerror]")).to_have_count(0)
    assert not set("\u202e\u2066\u200b\x1f\x9b\n") & set(ui.page.title())
    assert len(ui.page.title()) < 400
    cwds = [info.get("cwd") for update in ui.updates for info in update.get("panes", {}).values()]
    assert not [cwd for cwd in cwds if cwd and ("evil" in cwd or cwd == "/etc")]
    assert (pane.run("stty size"), ui.page.viewport_size) == size

    show(pane, hostile_dir / "links", screen_of_links())
    pane.wait_text(rf"^link-{len(FOREIGN_LINKS)}$(?s:.*)^{PROMPT}\Z")
    for number in range(len(FOREIGN_LINKS)):
        click(ui, pane, number)
    click(ui, pane, len(FOREIGN_LINKS) + 1)
    assert taken(ui) == []
    # One that leads to a page is opened, so that the clicks above were clicks; and learns nothing of this one.
    click(ui, pane, len(FOREIGN_LINKS))
    ui.eventually(lambda: taken(ui), "a link that is opened")
    assert taken(ui) == [["open", SHOWN, "_blank", "noopener,noreferrer"]]
    assert ui.page.url == f"{server.url}/"
    assert (watched.foreign, watched.others) == ([], [])


def click(ui: Ui, pane: Pane, number: int) -> None:
    """The link is at the beginning of its row, which lies below what takes the clicks."""
    box = pane.locator.locator(".xterm-rows > div").nth(number).bounding_box()
    assert box is not None
    ui.page.mouse.move(box["x"] + 20, box["y"] + 6)
    ui.page.mouse.move(box["x"] + 24, box["y"] + 8)
    ui.page.mouse.click(box["x"] + 24, box["y"] + 8)


def test_what_it_asks_types_no_command(ui: Ui, hostile_dir: Path) -> None:
    """The server answers some of it, once, with nothing that a shell acts on; the page answers nothing at all."""
    witness, heard = hostile_dir / "witness", hostile_dir / "heard"
    script, asks = hostile_dir / "ask.py", hostile_dir / "asks"
    asks.write_text(ASKS.replace("WITNESS", str(witness)) * TIMES)
    script.write_text(ASKER)
    pane = ui.pane()
    typed = len(ui.input_frames())
    command = f"python3 -I {script} {asks} {heard}"
    assert pane.run(command) == "it has asked"
    assert b"".join(ui.input_frames()[typed:]) == f"{command}\r".encode()
    said = heard.read_bytes()
    assert said.count(b"\x1b[0n") == TIMES
    assert not set(b"\r\n\t\x03\x04") & set(said)
    assert b"touch" not in said
    assert str(hostile_dir).encode() not in said
    assert pane.run("echo still-$((40+2))") == "still-42"
    assert not witness.exists()
