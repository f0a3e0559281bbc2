"""Two pages see the same session; each looks at its own tab."""

from __future__ import annotations

from playwright.sync_api import expect

from wormux.testing.server_process import ServerProcess

from .kit import ASLEEP, OpenPage, Pane, Ui


def test_what_is_typed_in_one_page_shows_in_the_other(
    ui: Ui, server: ServerProcess, open_page: OpenPage
) -> None:
    here = ui.pane()
    here.run("echo before-$((40+2))")
    other = open_page(server)
    there = other.at_prompt()
    assert there.id == here.id
    assert there.channel == here.channel
    assert "\nbefore-42\n" in there.text()
    here.type("echo here-$((40+2))\n")
    there.wait_text(r"^here-42\nready>\Z")
    there.type("echo there-$((40+2))\n")
    here.wait_text(r"^there-42\nready>\Z")
    ui.eventually(lambda: here.text() == there.text(), "the same text in both")
    split = ui.split(here)
    other.panes(2)
    Pane(other, split.id).wait_prompt()


def test_each_page_has_its_own_tab(ui: Ui, server: ServerProcess, open_page: OpenPage) -> None:
    first = ui.pane()
    other = open_page(server)
    other.at_prompt()
    other.page.get_by_role("button", name="New tab").click()
    expect(other.tabs.nth(1)).to_have_attribute("data-active", "true")
    second = other.at_prompt()
    expect(ui.tabs).to_have_count(2)
    expect(ui.tabs.nth(0)).to_have_attribute("data-active", "true")
    assert ui.pane().id == first.id
    assert first.run("echo first-$((40+2))") == "first-42"
    assert second.run("echo second-$((40+2))") == "second-42"
    expect(other.tabs.nth(0)).to_have_attribute("data-noticed", "true")
    expect(other.tabs.nth(1)).to_have_attribute("data-noticed", "false")


def test_a_key_in_one_page_wakes_the_pane_in_both(ui: Ui, server: ServerProcess, open_page: OpenPage) -> None:
    here = ui.pane()
    here.run("echo before-$((40+2))")
    ui.put_to_sleep()
    other = open_page(server)
    there = other.pane()
    there.expect_lost(ASLEEP)
    there.wait_text("^before-42$")
    here.expect_lost(ASLEEP)
    there.type("echo woke-$((40+2))\n")
    for each in (here, there):
        each.wait_text(r"^woke-42\nready>\Z")
        each.expect_connected()
        assert each.text().count("\nwoke-42\n") == 1


def test_a_smaller_page_that_types_is_followed(ui: Ui, server: ServerProcess, open_page: OpenPage) -> None:
    here = ui.pane()
    wide = here.run("stty size")
    other = open_page(server, viewport={"width": 600, "height": 400})
    there = other.at_prompt()
    there.type("\n")
    there.wait_text(r"^ready> ?\nready>\Z")
    narrow = there.run("stty size")
    assert narrow != wide
    here.wait_text(f"^{narrow}$")
    expect(here.locator.locator("[data-smaller]")).to_have_attribute("data-smaller", "true")
    here.type("\n")
    here.wait_text(r"^ready> ?\nready>\Z")
    assert here.run("stty size") == wide
