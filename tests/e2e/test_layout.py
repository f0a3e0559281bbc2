"""Panes are split, dragged, focused and closed; tabs are made, named and left; each pane is drawn for itself alone."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from .kit import Pane, Ui


def _beside(left: Pane, right: Pane) -> bool:
    first, second = left.box(), right.box()
    return first["x"] + first["width"] <= second["x"] and first["y"] == second["y"]


def _above(upper: Pane, lower: Pane) -> bool:
    first, second = upper.box(), lower.box()
    return first["y"] + first["height"] <= second["y"] and first["x"] == second["x"]


def test_a_pane_is_split_and_closed_by_its_buttons(ui: Ui) -> None:
    first = ui.pane()
    first.run("cd /tmp")
    first.wait_cwd("/tmp")
    first.locator.hover()
    first.locator.get_by_role("button", name="Split right").click()
    left, right = ui.panes(2)
    assert left.id == first.id
    assert _beside(left, right)
    expect(right.locator).to_have_attribute("data-focused", "true")
    right.wait_prompt()
    assert right.run("pwd") == "/tmp"
    right.locator.hover()
    right.locator.get_by_role("button", name="Split down").click()
    left, upper, lower = ui.panes(3)
    assert upper.id == right.id
    assert _above(upper, lower)
    assert _beside(left, lower) is False
    lower.wait_prompt()
    for pane in (left, upper, lower):
        rows, cols = map(int, pane.run("stty size").split())
        screen = pane.locator.locator(".xterm-screen").bounding_box()
        box = pane.box()
        assert screen is not None
        assert 0 <= box["width"] - 16 - screen["width"] < screen["width"] / cols
        assert 0 <= box["height"] - 16 - screen["height"] < screen["height"] / rows

    upper.locator.hover()
    upper.locator.get_by_role("button", name="Close pane").click()
    left, right = ui.panes(2)
    assert right.id == lower.id
    assert _beside(left, right)
    right.locator.hover()
    right.locator.get_by_role("button", name="Close pane").click()
    assert ui.pane().id == first.id
    assert first.run("echo still-$((40+2))") == "still-42"


def test_what_runs_is_named_before_its_pane_is_closed(ui: Ui) -> None:
    pane = ui.pane()
    other = ui.split(pane)
    other.type("sleep 1000\n")
    expect(ui.switcher).to_contain_text("sleep")
    ui.page.keyboard.press("Alt+Shift+W")
    question = ui.page.get_by_test_id("confirm")
    expect(question).to_contain_text("sleep")
    question.get_by_role("button", name="Keep").click()
    expect(question).to_be_hidden()
    assert len(ui.panes(2)) == 2
    other.focus()
    ui.page.keyboard.press("Alt+Shift+W")
    question.get_by_role("button", name="Close").click()
    assert ui.pane().id == pane.id


def test_a_divider_is_dragged_and_stays_where_it_was_left(ui: Ui) -> None:
    left = ui.pane()
    right = ui.split(left)
    cols = int(left.run("stty size").split()[1])
    divider = ui.page.get_by_test_id("divider")
    box = divider.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    ui.page.mouse.move(x, y)
    ui.page.mouse.down()
    for step in range(1, 11):
        ui.page.mouse.move(x - 20 * step, y)
    ui.page.mouse.up()
    ui.eventually(lambda: abs(left.box()["width"] - (x - 200)) < 5, "the divider to follow the pointer")
    shares = [pane.box() for pane in (left, right)]
    assert shares[0]["width"] + 100 < shares[1]["width"]
    ui.eventually(lambda: int(left.run("stty size").split()[1]) < cols - 20, "the smaller terminal")

    ui.page.reload()
    left.wait_prompt()
    ui.panes(2)
    ui.eventually(
        lambda: all(
            abs(pane.box()["width"] - share["width"]) <= 1
            for pane, share in zip((left, right), shares, strict=True)
        ),
        "the same shares",
    )
    assert int(left.run("stty size").split()[1]) < cols - 20


def test_the_keyboard_goes_to_the_pane_that_is_clicked_or_gone_to(ui: Ui) -> None:
    left = ui.pane()
    right = ui.split(left)
    lower = ui.split(right, "Alt+Shift+D")
    for pane, word in ((left, "left"), (right, "right"), (lower, "lower")):
        pane.locator.click(position={"x": 150, "y": 90})
        expect(pane.locator).to_have_attribute("data-focused", "true")
        ui.page.keyboard.type(f"echo {word}-$((40+2))\n")
        pane.wait_text(f"^{word}-42\nready>")
    ways = (
        ("Left", left, "west"),
        ("Right", right, "east"),
        ("Down", lower, "south"),
        ("Up", right, "north"),
    )
    for key, pane, word in ways:
        ui.page.keyboard.press(f"Alt+Shift+Arrow{key}")
        expect(pane.locator).to_have_attribute("data-focused", "true")
        expect(pane.locator.locator("textarea")).to_be_focused()
        ui.page.keyboard.type(f"echo {word}-$((40+2))\n")
        pane.wait_text(f"^{word}-42\nready>")
    expect(ui.page.locator("[data-testid=pane][data-focused=true]")).to_have_count(1)


def test_tabs_are_made_switched_renamed_and_closed(ui: Ui) -> None:
    first = ui.pane()
    first.run("echo first-$((40+2))")
    ui.page.get_by_role("button", name="New tab").click()
    expect(ui.tabs).to_have_count(2)
    expect(ui.tabs.nth(1)).to_have_attribute("data-active", "true")
    second = ui.at_prompt()
    assert second.id != first.id
    second.run("echo second-$((40+2))")

    ui.tabs.nth(0).get_by_role("tab").click()
    first.wait_text("^first-42$")
    first.focus()
    ui.page.keyboard.type("printf '\\a'; sleep 0.2; echo late-$((40+2))\n")
    ui.tabs.nth(1).get_by_role("tab").click()
    second.wait_text("^second-42$")
    expect(ui.tabs.nth(0)).to_have_attribute("data-noticed", "true")
    expect(ui.tabs.nth(1)).to_have_attribute("data-noticed", "false")

    ui.tabs.nth(1).get_by_role("tab").dblclick()
    field = ui.page.get_by_label("Name of the tab")
    expect(field).to_be_focused()
    field.fill("  build ")
    ui.page.keyboard.press("Enter")
    expect(ui.tab("build")).to_be_visible()
    expect(ui.page).to_have_title(re.compile("build — "))
    assert second.run("echo typed-$((40+2))") == "typed-42"

    ui.tabs.nth(1).get_by_label("Close build").click()
    expect(ui.tabs).to_have_count(1)
    first.wait_text("^late-42\nready>")
    expect(ui.tabs.nth(0)).to_have_attribute("data-noticed", "false")
    ui.tabs.nth(0).get_by_role("button").last.click()
    expect(ui.page.get_by_test_id("no-tabs")).to_contain_text("No tabs")
    ui.page.keyboard.press("Enter")
    assert ui.at_prompt().id not in (first.id, second.id)


def test_a_change_of_one_pane_draws_that_pane_alone(ui: Ui) -> None:
    first = ui.pane()
    second = ui.split(first)
    third = ui.split(second, "Alt+Shift+D")
    others = (second, third)
    first.focus()
    assert first.run("printf '\\e]0;quiet\\a'; echo set") == "set"
    expect(first.locator).to_have_attribute("aria-label", "quiet")
    expect(third.locator).to_have_attribute("data-focused", "false")
    first.run("stty -echo")
    drawn = [pane.renders for pane in others]
    own = first.renders
    for word in ("one", "two", "three"):
        ui.page.keyboard.type(f"printf '\\e]0;{word}\\a'\n")
        expect(first.locator).to_have_attribute("aria-label", word)
    ui.page.keyboard.type("kill -9 $$\n")
    expect(first.title).to_have_text("Ended by SIGKILL")
    assert first.renders > own
    assert [pane.renders for pane in others] == drawn


def test_typing_draws_no_chrome(ui: Ui) -> None:
    first = ui.pane()
    second = ui.split(first)
    for pane in (first, second):
        expect(pane.locator).to_have_attribute("aria-label", "bash")
    second.type(": ")
    second.wait_text(r"^ready> :\Z")
    drawn = [first.renders, second.renders]
    second.type("x" * 40)
    second.wait_text(r"x{40}\Z")
    assert [first.renders, second.renders] == drawn


def test_a_pane_is_zoomed_and_found_in(ui: Ui) -> None:
    first = ui.pane()
    first.run("seq 1 300")
    second = ui.split(first)
    first.focus()
    ui.page.keyboard.press("Alt+Shift+Z")
    assert ui.pane().id == first.id
    assert first.box()["width"] == 1000
    expect(ui.page.get_by_test_id("divider")).to_have_count(0)
    ui.page.keyboard.press("Alt+Shift+F")
    field = ui.page.get_by_label("Find in pane")
    field.fill("77")
    expect(field).to_have_attribute("aria-invalid", "false")
    field.fill("no such line")
    expect(field).to_have_attribute("aria-invalid", "true")
    ui.page.keyboard.press("Escape")
    expect(field).to_be_hidden()
    expect(first.locator.locator("textarea")).to_be_focused()
    ui.page.keyboard.press("Alt+Shift+Z")
    assert [pane.id for pane in ui.panes(2)] == [first.id, second.id]


def test_what_a_redraw_left_out_is_there_for_a_search_and_for_who_scrolls_up(ui: Ui) -> None:
    ui.pane().run("seq 1 3000")
    ui.page.reload()
    pane = ui.at_prompt()
    assert "\n1500\n" not in pane.text()
    for _ in range(20):
        ui.page.keyboard.press("Shift+PageUp")
    pane.wait_text("^2100$")
    assert "\n1500\n" not in pane.text()
    ui.page.keyboard.press("Alt+Shift+F")
    field = ui.page.get_by_label("Find in pane")
    field.fill("1234")
    expect(field).to_have_attribute("aria-invalid", "false")
    expect(pane.locator.locator(".xterm-rows")).to_contain_text("1234")
    pane.wait_text("^1$")
