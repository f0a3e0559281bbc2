"""A stranger with the token is in a shell; one without it reads where to find it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from wormux.testing.server_process import ServerProcess

from .kit import OpenPage


def test_the_first_visit_ends_in_a_shell(server: ServerProcess, open_page: OpenPage) -> None:
    ui = open_page(server)
    assert ui.page.url == f"{server.url}/"
    pane = ui.at_prompt()
    assert pane.run("echo one-$((40+2)); tty").startswith("one-42\n/dev/pts/")
    pane.expect_connected()
    expect(ui.switcher).to_contain_text("main")
    assert len(ui.tab_names()) == 1
    expect(ui.page).to_have_title(re.compile("main — Wormux$"))


def test_the_token_is_not_needed_again(server: ServerProcess, open_page: OpenPage) -> None:
    ui = open_page(server)
    pane = ui.at_prompt()
    pane.run("kept=42")
    ui.page.goto(server.url)
    assert ui.at_prompt().run("echo still-$kept") == "still-42"
    assert ui.pane().id == pane.id


def test_a_wrong_token_is_one_sentence_and_where_the_right_one_is(
    server: ServerProcess, open_page: OpenPage
) -> None:
    ui = open_page(server, path=f"{server.url}/?token=wrong")
    expect(ui.page.get_by_test_id("unauthorized")).to_contain_text("This page’s token is missing, wrong")
    expect(ui.page.get_by_test_id("unauthorized")).to_contain_text("wormux serve")
    expect(ui.page.get_by_test_id("pane")).to_have_count(0)
