"""What the browser tests share: a page as a person uses it, its panes, and a link that can be cut."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Locator, Page, WebSocket, expect

from wormux.protocol.frames import CONTROL_CHANNEL, split_frame
from wormux.testing.errors import TooLate
from wormux.testing.server_process import ServerProcess

WITHIN_MS = 20_000
"""The deadline of everything that is waited for; long, because it is only met by faults."""
BASH = "bash --norc --noprofile"
"""A real shell with job control and readline, without the files of whoever runs the tests."""
PROMPT = "ready>"
CONNECTING = "Connecting…"
ASLEEP = "Disconnected — press any key to reconnect"
WAKING = "Waking…"
LOST = "Connection to the sandbox lost"
CUT_OFF = r"^WebSocket connection to \S+ failed"
"""What Chromium says in the console of a server that is away."""

_LOOK_EVERY_MS = 20

RECORD_TITLES = """
(() => {
  const seen = (window.overlayTitles = []);
  const last = new Map();
  new MutationObserver(() => {
    for (const pane of document.querySelectorAll("[data-pane-id]")) {
      const id = pane.dataset.paneId;
      const title = pane.querySelector("[data-testid=overlay-title]")?.textContent ?? "";
      if ((last.get(id) ?? "") === title) continue;
      last.set(id, title);
      seen.push([id, title]);
    }
  }).observe(document, { subtree: true, childList: true, characterData: true });
})();
"""
"""Run before the page's own code: what an overlay said however briefly is remembered."""


class MakeServer(Protocol):
    """The fixture `make_server`: a running server of the test's own, ended with it."""

    def __call__(self, *options: str, shell: str = BASH) -> ServerProcess: ...


class OpenPage(Protocol):
    """The fixture `open_page`: a browser without a past at the server's address, and what a person sees there.

    `clock`: the page's is Playwright's. `script` runs before the page's own code. `options` are those of Playwright's
    `new_context`.
    """

    def __call__(
        self,
        server: ServerProcess,
        *,
        path: str | None = None,
        clock: bool = False,
        script: str = "",
        **options: Any,
    ) -> Ui: ...


class Ui:
    """One page, used as a person does. Whatever it complains about in its console is kept in `problems`."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        self.frames: list[tuple[int, bytes]] = []
        """Channel and payload of everything that the page sent."""
        self.updates: list[dict[str, Any]] = []
        """The control messages that the server sent."""
        self._allowed: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        page.on("websocket", self._connected)

    def allow(self, pattern: str) -> None:
        """The test makes the console say this; it is no problem."""
        self._allowed.append(pattern)

    def _said(self, message: ConsoleMessage) -> None:
        ours = message.type == "warning" and not message.text.startswith("[.WebGL")
        if message.type != "error" and not ours:
            return
        if not any(re.search(pattern, message.text) for pattern in self._allowed):
            self.problems.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _connected(self, web_socket: WebSocket) -> None:
        def sent(frame: str | bytes) -> None:
            channel, payload = split_frame(frame if isinstance(frame, bytes) else frame.encode())
            self.frames.append((channel, bytes(payload)))

        def received(frame: str | bytes) -> None:
            channel, payload = split_frame(frame if isinstance(frame, bytes) else frame.encode())
            if channel == CONTROL_CHANNEL:
                self.updates.append(json.loads(bytes(payload)))

        web_socket.on("framesent", sent)
        web_socket.on("framereceived", received)

    def requests(self, type: str) -> list[dict[str, Any]]:
        """The control messages of this type that the page sent."""
        messages = [json.loads(payload) for channel, payload in self.frames if channel == CONTROL_CHANNEL]
        return [message for message in messages if message["type"] == type]

    def forget_titles(self) -> None:
        """`titles` of all panes begins anew."""
        self.page.evaluate("() => { window.overlayTitles.length = 0; }")

    def input_frames(self) -> list[bytes]:
        """What the page typed into terminals, frame by frame."""
        return [payload for channel, payload in self.frames if channel != CONTROL_CHANNEL]

    def eventually(self, predicate: Callable[[], object], what: str) -> None:
        """For what no locator can wait for. Raises `TooLate`."""
        for _ in range(WITHIN_MS // _LOOK_EVERY_MS):
            if predicate():
                return
            self.page.wait_for_timeout(_LOOK_EVERY_MS)
        raise TooLate(f"Waited {WITHIN_MS / 1000:g} s for {what}.")

    # --- Panes -------------------------------------------------------------------------------------------

    def panes(self, count: int | None = None) -> list[Pane]:
        """Those of the tab that is shown, left to right and top to bottom; waits until they are `count`."""
        found = self.page.get_by_test_id("pane")
        if count is not None:
            expect(found).to_have_count(count)
        ids = [each.get_attribute("data-pane-id") for each in found.all()]
        panes = [Pane(self, pane_id) for pane_id in ids if pane_id is not None]
        return sorted(panes, key=lambda pane: (pane.box()["x"], pane.box()["y"]))

    def pane(self) -> Pane:
        """The only pane."""
        (pane,) = self.panes(1)
        return pane

    def at_prompt(self) -> Pane:
        """The only pane, once its shell has written its prompt."""
        pane = self.pane()
        pane.wait_prompt()
        return pane

    def focused(self) -> Pane:
        """The pane that has the keyboard."""
        pane_id = self.page.locator("[data-testid=pane][data-focused=true]").get_attribute("data-pane-id")
        assert pane_id is not None
        return Pane(self, pane_id)

    def split(self, pane: Pane, keys: str = "Alt+Shift+R") -> Pane:
        """The pane that comes from splitting this one, at its prompt."""
        before = {each.id for each in self.panes()}
        pane.focus()
        self.page.keyboard.press(keys)
        (new,) = (each for each in self.panes(len(before) + 1) if each.id not in before)
        new.wait_prompt()
        expect(new.locator).to_have_attribute("data-focused", "true")
        return new

    # --- Tabs and sessions -------------------------------------------------------------------------------

    @property
    def tabs(self) -> Locator:
        return self.page.get_by_test_id("tab")

    def tab(self, name: str) -> Locator:
        return self.tabs.get_by_role("tab", name=name, exact=True)

    def tab_names(self) -> list[str]:
        return self.tabs.all_inner_texts()

    @property
    def switcher(self) -> Locator:
        return self.page.get_by_test_id("session-switcher")

    def open_sessions(self) -> Locator:
        """The list of sessions, opened."""
        menu = self.page.get_by_test_id("session-menu")
        if not menu.is_visible():
            self.switcher.click()
        expect(menu).to_be_visible()
        return menu

    def close_sessions(self) -> None:
        self.page.keyboard.press("Escape")
        expect(self.page.get_by_test_id("session-menu")).to_be_hidden()

    def session(self, name: str) -> Locator:
        """The session's row in the opened list."""
        return self.page.get_by_test_id("session").filter(has_text=name)

    def new_session(self, name: str) -> Pane:
        """A session of this name, looked at; its pane at its prompt."""
        expect(self.page.get_by_test_id("connection")).to_have_attribute("data-status", "connected")
        before = self.panes()
        self.page.keyboard.press("Alt+Shift+N")
        self.page.get_by_label("Name of the new session").fill(name)
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_test_id("session-menu")).to_be_hidden()
        expect(self.switcher).to_contain_text(name)
        for pane in before:
            expect(pane.locator).to_be_hidden()
        return self.at_prompt()

    def switch_session(self, name: str) -> None:
        self.open_sessions()
        self.session(name).get_by_title("Switch").click()
        expect(self.switcher).to_contain_text(name)

    def put_to_sleep(self) -> None:
        """The session that is looked at sleeps at once, whatever runs in it."""
        self.open_sessions()
        row = self.page.locator("[data-testid=session][data-shown=true]")
        row.get_by_title("Sleep now").click()
        anyway = self.page.get_by_role("button", name="Sleep anyway")
        asleep = self.page.locator("[data-testid=session][data-shown=true][data-status=asleep]")
        expect(anyway.or_(asleep)).to_be_visible()
        if anyway.is_visible():
            anyway.click()
        for pane in self.panes():
            expect(pane.locator).to_have_attribute("data-status", "asleep")
        if self.page.get_by_test_id("session-menu").is_visible():
            self.close_sessions()


class Pane:
    """One pane on a page, whether or not it is shown now."""

    def __init__(self, ui: Ui, pane_id: str) -> None:
        self.ui = ui
        self.id = pane_id
        self.locator = ui.page.locator(f'[data-testid=pane][data-pane-id="{pane_id}"]')
        self.title = self.locator.get_by_test_id("overlay-title")
        self.detail = self.locator.get_by_test_id("overlay-detail")

    def box(self) -> dict[str, float]:
        box = self.locator.bounding_box()
        assert box is not None
        return {name: float(value) for name, value in box.items()}  # type: ignore[arg-type]

    def text(self) -> str:
        """What is in the terminal, scrollback included, wrapped lines joined."""
        return str(self.locator.evaluate("pane => pane.terminalText()"))

    def titles(self) -> list[str]:
        """What the overlay has said since `forget_titles` or the page's load, "" where it went."""
        seen: Sequence[Sequence[str]] = self.ui.page.evaluate("() => window.overlayTitles")
        return [title for pane_id, title in seen if pane_id == self.id]

    @property
    def status(self) -> str | None:
        return self.locator.get_attribute("data-status")

    @property
    def channel(self) -> str | None:
        return self.locator.get_attribute("data-channel")

    @property
    def renders(self) -> int:
        """How often the chrome drew this pane."""
        return int(self.locator.get_attribute("data-renders") or 0)

    def expect_connected(self) -> None:
        """A live terminal, and nothing over it."""
        expect(self.locator).to_have_attribute("data-connected", "true")
        expect(self.title).to_have_count(0)

    def expect_lost(self, title: str) -> None:
        """Not connected, and the overlay says this."""
        expect(self.locator).to_have_attribute("data-connected", "false")
        expect(self.title).to_have_text(title)

    def wait_text(self, pattern: str, *, behind: int = 0) -> re.Match[str]:
        """Until the pattern is in the terminal's text, past so many characters; `^` and `$` are those of lines."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            match = re.compile(pattern, re.MULTILINE).search(self.text(), behind)
            if match is not None:
                found.append(match)
            return match is not None

        try:
            self.ui.eventually(look, "text")
        except TooLate:
            raise TooLate(f"No {pattern!r} in the pane ({self.status}):\n{self.text()}") from None
        return found[0]

    def wait_prompt(self) -> None:
        """A shell stands behind the pane and waits for a command."""
        expect(self.locator).to_have_attribute("data-connected", "true")
        self.wait_text(rf"^{PROMPT}\Z")

    def focus(self) -> None:
        """Give it the keyboard by a click, unless it has it."""
        if self.locator.get_attribute("data-focused") == "false":
            self.locator.click(position={"x": 200, "y": 60})
            expect(self.locator).to_have_attribute("data-focused", "true")
        expect(self.locator.locator("textarea")).to_be_focused()

    def wait_cwd(self, path: str) -> None:
        """The server knows that the shell is there; it looks a moment after there was output."""

        def look() -> bool:
            panes = [update["panes"] for update in self.ui.updates if self.id in update.get("panes", {})]
            return bool(panes) and panes[-1][self.id].get("cwd") == path

        self.ui.eventually(look, f"the directory {path}")

    def type(self, text: str) -> None:
        self.focus()
        self.ui.page.keyboard.type(text)

    def run(self, command: str) -> str:
        """Type a command line at the prompt; what it wrote, once the next prompt is there. A redraw, as after a change
        of size, leaves the terminal empty for a moment."""
        before = self.wait_text(rf"(?s)\A.*{PROMPT}\Z")[0]
        self.type(f"{command}\n")
        behind = r"(?s)\A" + re.escape(f"{before} {command}\n") + rf"(.*?)\n?{PROMPT}\Z"
        return self.wait_text(behind)[1]

    def wake(self, command: str) -> str:
        """Type a command line into a pane that is not connected; what it wrote, once the next prompt is there."""
        before = len(self.text())
        self.type(f"{command}\n")
        return self.wait_text(
            rf"(?s)^{PROMPT} {re.escape(command)}\n((?:(?!^{PROMPT}).)*?)\n?{PROMPT}\Z", behind=before
        )[1]


class Link:
    """A way to the server through a port of its own, which can be cut as a network is: without a word."""

    def __init__(self) -> None:
        self._server = ("", 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._whole = True
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._run(self._accept)

    def lead_to(self, server: ServerProcess) -> None:
        """The server must know `url` as its own."""
        address = urlsplit(server.url)
        self._server = (address.hostname or "", address.port or 0)

    def cut(self) -> None:
        """Break what is connected, and refuse what comes."""
        with self._lock:
            self._whole = False
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        with self._lock:
            self._whole = True

    def close(self) -> None:
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
        for each in self._sockets:
            each.close()

    def _run(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="link", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                with self._lock:
                    if not self._whole:
                        near.close()
                        continue
                    far = socket.create_connection(self._server)
                    self._sockets += [near, far]
                self._run(lambda near=near, far=far: _pump(near, far))  # type: ignore[misc]
                self._run(lambda near=near, far=far: _pump(far, near))  # type: ignore[misc]


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
