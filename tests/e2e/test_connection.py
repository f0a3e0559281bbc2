"""A page that is cut off says so, counts what is typed, and goes on at the byte; a server may stop and start anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import WebSocketRoute, expect

from wormux.testing.server_process import ServerProcess

from .kit import CONNECTING, CUT_OFF, Link, MakeServer, OpenPage


class Held:
    """Between page and server: holds back what the server says until it is told to let go."""

    def __init__(self) -> None:
        self.holding = True
        self._kept: list[tuple[WebSocketRoute, str | bytes]] = []
        self.sockets: list[WebSocketRoute] = []

    def route(self, page_side: WebSocketRoute) -> None:
        server_side = page_side.connect_to_server()
        self.sockets.append(page_side)

        def heard(message: str | bytes) -> None:
            if self.holding:
                self._kept.append((page_side, message))
            else:
                page_side.send(message)

        server_side.on_message(heard)

    def let_go(self) -> None:
        self.holding = False
        kept, self._kept = self._kept, []
        for page_side, message in kept:
            page_side.send(message)


@pytest.fixture(scope="module")
def whole_link() -> Iterator[Link]:
    link = Link()
    yield link
    link.close()


@pytest.fixture(scope="module")
def server(make_module_server: MakeServer, whole_link: Link) -> ServerProcess:
    """One that is reached through the link as well."""
    server = make_module_server("--idle-timeout", "never", "--public-url", whole_link.url)
    whole_link.lead_to(server)
    return server


@pytest.fixture
def link(whole_link: Link) -> Link:
    """Whole when the test begins."""
    whole_link.mend()
    return whole_link


def test_nothing_looks_alive_before_the_server_has_spoken(server: ServerProcess, open_page: OpenPage) -> None:
    ui = open_page(server, path="about:blank")
    held = Held()
    ui.page.route_web_socket(re.compile("/ws$"), held.route)
    ui.page.goto(f"{server.url}/?token={server.token}")
    expect(ui.page.get_by_test_id("connecting")).to_have_text(CONNECTING)
    expect(ui.page.get_by_test_id("pane")).to_have_count(0)
    expect(ui.page.locator(".xterm")).to_have_count(0)
    expect(ui.page.get_by_test_id("connection")).to_have_attribute("data-status", "connecting")
    ui.eventually(lambda: held.sockets, "the socket")
    held.let_go()
    pane = ui.at_prompt()
    assert pane.run("echo now-$((40+2))") == "now-42"

    held.holding = True
    held.sockets[-1].close(code=1012, reason="")
    expect(pane.title).to_have_text(CONNECTING)
    expect(pane.locator).to_have_attribute("data-connected", "unknown")
    ui.eventually(lambda: len(held.sockets) == 2, "the next attempt")
    expect(pane.title).to_have_text(CONNECTING)
    expect(pane.locator).to_have_attribute("data-connected", "unknown")
    assert "now-42" in pane.text()
    held.let_go()
    pane.expect_connected()
    assert pane.run("echo again-$((40+2))") == "again-42"


def test_a_cut_is_shown_and_output_goes_on_where_it_stopped(
    server: ServerProcess, link: Link, open_page: OpenPage
) -> None:
    ui = open_page(server, path=f"{link.url}/?token={server.token}")
    ui.allow(CUT_OFF)
    pane = ui.new_session("numbers")
    other = ui.split(pane)
    pane.focus()
    pane.type("for i in {1..3000}; do echo line-$i; ((i % 100)) || sleep 0.05; done; echo end-$((40+2))\n")
    pane.wait_text("^line-300$")
    link.cut()
    banner = ui.page.get_by_test_id("connection-banner")
    expect(banner).to_contain_text("Cut off from the server.")
    expect(banner.locator(".banner-count")).to_have_text(re.compile(r"^Trying (again in \d+ s\.|now…)$"))
    for each in (pane, other):
        expect(each.locator).to_have_attribute("data-connected", "unknown")
        expect(each.title).to_have_text(CONNECTING)
    assert "\nline-300" in pane.text()
    ui.page.keyboard.type("echo x")
    expect(ui.page.get_by_test_id("unsent-keys")).to_have_text("6 keys not sent yet")
    ui.page.keyboard.type("-$((40+2))\n")
    expect(ui.page.get_by_test_id("unsent-keys")).to_have_text("17 keys not sent yet")
    # Still cut off: once the link is mended, the page may come back before the button is reached.
    banner.get_by_role("button", name="Try now").click()
    expect(banner).to_be_visible()
    link.mend()
    expect(banner).to_be_hidden()
    pane.wait_text(r"^end-42$")
    pane.wait_text(r"^x-42\nready>\Z")
    for each in (pane, other):
        each.expect_connected()
    lines = [line for line in pane.text().splitlines() if line.startswith("line-")]
    assert lines == [f"line-{number}" for number in range(1, 3001)]
    assert pane.text().count("\nx-42\n") == 1


def test_a_page_comes_back_by_itself(server: ServerProcess, link: Link, open_page: OpenPage) -> None:
    ui = open_page(server, path=f"{link.url}/?token={server.token}")
    ui.allow(CUT_OFF)
    pane = ui.new_session("by itself")
    pane.run("kept=42")
    link.cut()
    expect(ui.page.get_by_test_id("connection")).to_have_attribute("data-status", "waiting")
    link.mend()
    pane.expect_connected()
    assert pane.run("echo same-$kept") == "same-42"
    assert len(ui.requests("connect")) >= 2
    assert len({request["clientId"] for request in ui.requests("connect")}) == 1


def test_what_was_typed_long_ago_is_not_sent_but_shown(
    server: ServerProcess, link: Link, open_page: OpenPage
) -> None:
    ui = open_page(server, path=f"{link.url}/?token={server.token}", clock=True)
    ui.allow(CUT_OFF)
    pane = ui.new_session("long ago")
    link.cut()
    expect(ui.page.get_by_test_id("connection-banner")).to_be_visible()
    ui.page.keyboard.type("echo old\n")
    expect(ui.page.get_by_test_id("unsent-keys")).to_have_text("9 keys not sent yet")
    ui.page.clock.fast_forward(31_000)
    ui.page.keyboard.type("echo new-$((40+2))\n")
    link.mend()
    # In one step of the page's: it may come back by itself at any time, and then there is no button any more.
    ui.page.get_by_role("button", name="Try now").evaluate_all(
        "buttons => buttons.forEach(each => each.click())"
    )
    notice = pane.locator.get_by_test_id("discard-notice")
    expect(notice).to_contain_text("Not sent")
    expect(notice).to_contain_text("echo old␍")
    pane.wait_text(r"^new-42\nready>\Z")
    assert "old" not in pane.text()
    notice.get_by_role("button", name="Dismiss").click()
    expect(notice).to_be_hidden()


def test_a_server_that_stops_and_starts_anew_has_the_same_shells(
    make_server: MakeServer, open_page: OpenPage
) -> None:
    server = make_server("--idle-timeout", "never")
    ui = open_page(server)
    ui.allow(CUT_OFF)
    pane = ui.at_prompt()
    shell = pane.run("echo $$")
    pane.type("for i in {1..400}; do echo line-$i; sleep 0.01; done\n")
    pane.wait_text("^line-20$")
    server.terminate()
    expect(ui.page.get_by_test_id("connection-banner")).to_be_visible()
    expect(pane.title).to_have_text(CONNECTING)
    server.start("--port", str(urlsplit(server.url).port))
    pane.expect_connected()
    pane.wait_text(r"^line-400\nready>\Z")
    lines = [line for line in pane.text().splitlines() if line.startswith("line-")]
    assert lines == [f"line-{number}" for number in range(1, 401)]
    assert pane.run("echo $$") == shell


def test_a_server_that_is_killed_has_the_same_shells(make_server: MakeServer, open_page: OpenPage) -> None:
    server = make_server("--idle-timeout", "never")
    ui = open_page(server)
    ui.allow(CUT_OFF)
    pane = ui.at_prompt()
    shell = pane.run("echo $$")
    server.kill()
    server.start("--port", str(urlsplit(server.url).port))
    expect(ui.page.get_by_test_id("connection")).to_have_attribute("data-status", "connected")
    pane.expect_connected()
    assert pane.run("echo $$") == shell
