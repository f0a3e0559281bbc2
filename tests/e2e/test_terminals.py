"""What a page's terminals do with what a server sends, of which each test says every word itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import WebSocketRoute, expect

from wormux.protocol.frames import CONTROL_CHANNEL
from wormux.testing.server_process import ServerProcess

from .kit import OpenPage, Ui

FRAME_BYTES = 64 * 1024
WINDOW_BYTES = 1024 * 1024
ROWS = 24

COUNT_FRAMES = """
(() => {
  window.framesAsked = 0;
  const ask = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (callback) => {
    window.framesAsked += 1;
    return ask(callback);
  };
})();
"""

WATCH_HIDDEN = """
(pane) => {
  const terminal = pane.querySelector(".terminal");
  window.hidden = terminal;
  window.touched = [];
  window.watchHidden = () => {
    window.framesAsked = 0;
    window.touched.length = 0;
    new MutationObserver((records) => {
      if (!terminal.isConnected) window.touched.push(...records.map(({ target }) => target.className));
    }).observe(terminal, { subtree: true, childList: true, attributes: true, characterData: true });
  };
  window.firstFrame = new Promise((resolve) => {
    new MutationObserver((_, observer) => {
      if (!terminal.isConnected || terminal.dataset.hid !== "true") return;
      observer.disconnect();
      // Behind what the terminal itself does in this frame.
      requestAnimationFrame(() => resolve(terminal.querySelector(".xterm-rows").innerText));
    }).observe(document, { subtree: true, childList: true });
  });
}
"""

WATCH_ROWS = """
(pane) => {
  const rows = pane.querySelector(".xterm-rows");
  window.tops = new Set();
  const look = () => {
    window.tops.add(rows.firstElementChild.textContent.trimEnd());
    requestAnimationFrame(look);
  };
  look();
}
"""


class Scripted:
    """The server's end of the page's socket. Panes a and b, each in a tab of its own, on channels 0 and 1."""

    def __init__(self) -> None:
        self.sockets: list[WebSocketRoute] = []
        self.heard: list[dict[str, Any]] = []
        self.answers: dict[str, Callable[[dict[str, Any]], None]] = {"tab_switch": self._switch}
        self.silent = False
        self._held: dict[str, tuple[list[dict[str, Any]], Callable[[dict[str, Any]], None]]] = {}
        self._rev = 1
        self._tab = "tab-a"

    def route(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        socket.on_message(self._hear)

    def say(self, **message: Any) -> None:
        self.sockets[-1].send(bytes([CONTROL_CHANNEL]) + json.dumps(message).encode())

    def output(self, channel: int, data: bytes) -> None:
        for at in range(0, len(data), FRAME_BYTES):
            self.sockets[-1].send(bytes([channel]) + data[at : at + FRAME_BYTES])

    def replay(self, pane: str, data: bytes, *, position: int = 0, above: int = 0) -> None:
        channel = "ab".index(pane)
        size = {"cols": 80, "rows": ROWS}
        whole = {"reset": True, "skipped": 0, "bytes": len(data), "position": position, "above": above}
        self.say(type="replay", paneId=pane, channel=channel, **size, **whole)
        self.output(channel, data)

    def show_lines(self, count: int) -> None:
        """Pane a has so many numbered lines, of which a redraw brings the last."""

        def redraw(message: dict[str, Any]) -> None:
            above = max(0, count - ROWS - message["lines"])
            lines = (f"line {number}" for number in range(above + 1, count + 1))
            self.replay("a", "\r\n".join(lines).encode(), above=above)

        self.answers["pane_redraw"] = redraw
        redraw({"lines": 200})

    def hold(self, type: str) -> list[dict[str, Any]]:
        """What is asked of this type from now on, and answered when it is let go."""
        held: list[dict[str, Any]] = []
        self._held[type] = (held, self.answers[type])
        self.answers[type] = held.append
        return held

    def let_go(self, type: str) -> None:
        held, self.answers[type] = self._held.pop(type)
        for message in held:
            self.answers[type](message)

    def requests(self, type: str) -> list[dict[str, Any]]:
        return [message for message in self.heard if message["type"] == type]

    def acknowledged(self, pane: str, position: int) -> bool:
        ack = {"type": "output_ack", "paneId": pane, "position": position}
        return ack in self.heard

    def _hear(self, frame: str | bytes) -> None:
        if isinstance(frame, str) or frame[0] != CONTROL_CHANNEL:
            return
        message = json.loads(frame[1:])
        self.heard.append(message)
        if self.silent:
            return
        if message["type"] == "ping":
            self.say(type="pong", time=message["time"], now=0)
        if message["type"] == "connect":
            session = {"id": "s", "sandboxId": "x", "name": "main", "createdAt": 0, "provider": "local"}
            self.say(
                type="state", now=0, input=None, sessions=[{**session, "status": "awake"}], **self._layout()
            )
            for pane in "ab":
                self.replay(pane, b"in pane " + pane.encode())
        if message["type"] in self.answers:
            self.answers[message["type"]](message)
        if "ref" in message:
            self.say(type="ok", ref=message["ref"])

    def _layout(self) -> dict[str, Any]:
        info = {"status": "connected", "cols": 80, "rows": ROWS, "title": "", "queued": 0}
        return {
            "rev": self._rev,
            "tabs": [
                {
                    "id": f"tab-{pane}",
                    "sessionId": "s",
                    "name": pane,
                    "focus": pane,
                    "layout": {"type": "pane", "paneId": pane},
                }
                for pane in "ab"
            ],
            "activeTab": self._tab,
            "channels": {"a": 0, "b": 1},
            "connected": {"a": True, "b": True},
            "panes": {"a": info, "b": info},
        }

    def _switch(self, message: dict[str, Any]) -> None:
        self._tab = message["tabId"]
        self._rev += 1
        self.say(type="layout_update", **self._layout())


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


def _open(server: ServerProcess, open_page: OpenPage, scripted: Scripted, *, clock: bool = False) -> Ui:
    ui = open_page(server, path="about:blank", script=COUNT_FRAMES, clock=clock)
    ui.page.route_web_socket(re.compile("/ws$"), scripted.route)
    ui.page.goto(f"{server.url}/?token={server.token}")
    expect(ui.page.locator(".xterm-rows")).to_have_count(1)
    return ui


@pytest.fixture
def ui(server: ServerProcess, open_page: OpenPage, scripted: Scripted) -> Ui:
    return _open(server, open_page, scripted)


def test_a_hidden_terminal_reads_everything_and_paints_nothing(ui: Ui, scripted: Scripted) -> None:
    pane = ui.pane()
    assert pane.id == "a"
    pane.locator.evaluate(WATCH_HIDDEN)
    ui.tabs.last.get_by_role("tab").click()
    expect(ui.page.locator("[data-pane-id=b] .xterm-rows")).to_have_count(1)
    ui.page.evaluate("() => { window.hidden.dataset.hid = 'true'; }")
    ui.page.wait_for_function("() => !window.hidden.isConnected")
    ui.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))")
    ui.page.evaluate("() => window.watchHidden()")
    flood = b"".join(
        b"\x1b[3%dmflood %d\x1b[m\tand more of it\r\n" % (number % 8, number) for number in range(100_000)
    )
    for at in range(0, len(flood), WINDOW_BYTES):
        piece = flood[at : at + WINDOW_BYTES]
        scripted.output(0, piece)
        ui.eventually(partial(scripted.acknowledged, "a", at + len(piece)), "all read")
    acks = [0, *(ack["position"] for ack in scripted.requests("output_ack"))]
    assert max(after - before for before, after in pairwise(acks)) <= 2 * FRAME_BYTES
    assert ui.page.evaluate("() => window.touched") == []
    # Those of the visible pane and of the dot on the tab.
    assert ui.page.evaluate("() => window.framesAsked") < 20
    ui.tabs.first.get_by_role("tab").click()
    assert "flood 99999" in ui.page.evaluate("() => window.firstFrame")


def test_scrolling_up_brings_more_and_what_is_looked_at_stays(ui: Ui, scripted: Scripted) -> None:
    scripted.show_lines(5000)
    pane = ui.pane()
    pane.wait_text("^line 5000$")
    top = pane.locator.locator(".xterm-rows > div").first
    expect(top).to_have_text(re.compile(rf"^line {5001 - ROWS}\s*$"))
    pane.focus()
    held = scripted.hold("pane_redraw")
    for _ in range(8):
        ui.page.keyboard.press("Shift+PageUp")
    looked_at = f"line {5001 - ROWS - 8 * (ROWS - 1)}"
    # Less than a page is left above it.
    expect(top).to_have_text(re.compile(rf"^{looked_at}\s*$"))
    ui.eventually(lambda: held, "a request for more")
    pane.locator.evaluate(WATCH_ROWS)
    scripted.let_go("pane_redraw")
    pane.wait_text("^line 3977$")
    ui.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))")
    assert [request["lines"] for request in scripted.requests("pane_redraw")] == [1000]
    # No frame showed anything else, nor nothing.
    assert ui.page.evaluate("() => [...window.tops]") == [looked_at]
    for _ in range((1000 - 200) // (ROWS - 1) + 1):
        ui.page.keyboard.press("Shift+PageUp")
    pane.wait_text("^line 1$")
    assert [request["lines"] for request in scripted.requests("pane_redraw")] == [1000, 10_000]
    expect(top).to_have_text(re.compile(r"^line 39\d\d\s*$"))


def test_a_search_looks_in_lines_that_were_not_here_yet(ui: Ui, scripted: Scripted) -> None:
    scripted.show_lines(5000)
    pane = ui.pane()
    pane.wait_text("^line 5000$")
    pane.focus()
    ui.page.keyboard.press("Alt+Shift+F")
    field = ui.page.get_by_label("Find in pane")
    field.press_sequentially("line 123")
    expect(field).to_have_attribute("aria-invalid", "false")
    expect(pane.locator.locator(".xterm-rows")).to_contain_text("line 123")
    assert [request["lines"] for request in scripted.requests("pane_redraw")] == [10_000]
    field.fill("line 5001")
    expect(field).to_have_attribute("aria-invalid", "true")


def test_a_sequence_that_breaks_the_terminal_costs_a_redraw(ui: Ui, scripted: Scripted) -> None:
    ui.allow("could not show a sequence")
    pane = ui.pane()
    scripted.answers["pane_redraw"] = lambda _: scripted.replay("a", b"as the server has it", position=100)
    scripted.output(0, b"before\x1b[24;80H\x1b[1J\x1b[Hbehind" + b"x" * 50)
    pane.wait_text("^as the server has it")
    scripted.output(0, b", and on")
    pane.wait_text("^as the server has it, and on$")
    assert len(scripted.requests("pane_redraw")) == 1
    ui.eventually(partial(scripted.acknowledged, "a", 108), "all acknowledged")


@pytest.mark.parametrize(("sign", "seconds"), [(None, 22), ("online", 7)])
def test_a_line_that_is_dead_without_a_word_is_replaced(
    sign: str | None, seconds: int, server: ServerProcess, open_page: OpenPage, scripted: Scripted
) -> None:
    ui = _open(server, open_page, scripted, clock=True)
    for _ in range(25):
        # Not all at once: an answer takes its time, which the page's clock does not know.
        ui.page.clock.run_for(1000)
    assert len(scripted.sockets) == 1
    assert len(scripted.requests("ping")) in (3, 4)
    scripted.silent = True
    if sign is not None:
        ui.page.evaluate("sign => window.dispatchEvent(new Event(sign))", sign)
    ui.page.clock.run_for(seconds * 1000)
    ui.eventually(lambda: len(scripted.sockets) == 2, "another socket")
    expect(ui.page.get_by_test_id("connection-banner")).to_be_visible()
    scripted.silent = False
    # The attempt that nobody answered was made on the network of before.
    ui.page.clock.run_for(2_500)
    ui.page.evaluate("() => window.dispatchEvent(new Event('online'))")
    ui.eventually(lambda: len(scripted.sockets) == 3, "a third socket")
    ui.page.clock.run_for(500)
    expect(ui.page.get_by_test_id("connection-banner")).to_be_hidden()
