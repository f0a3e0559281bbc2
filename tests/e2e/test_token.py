"""A token that is replaced: every page is told at once, and is let in again with the new one alone."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from .kit import MakeServer, OpenPage


def test_pages_are_let_out_at_once_and_in_again_with_the_new_one(
    make_server: MakeServer, open_page: OpenPage
) -> None:
    server = make_server()
    ui = open_page(server)
    ui.at_prompt().run("kept=42")
    rotated = server.run("token", "rotate", "--print-token")
    expect(ui.page.get_by_test_id("unauthorized")).to_contain_text("This page’s token is missing, wrong")
    expect(ui.page.get_by_test_id("pane")).to_have_count(0)
    # The old address and the cookie are worth nothing.
    ui.page.goto(f"{server.url}/?token={server.token}")
    expect(ui.page.get_by_test_id("unauthorized")).to_be_visible()
    address = re.search(r"http://\S+\?token=\S+", rotated.stdout)
    assert address is not None
    ui.page.goto(address[0])
    assert ui.at_prompt().run("echo still-$kept") == "still-42"
