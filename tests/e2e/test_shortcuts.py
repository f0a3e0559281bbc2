"""Every shortcut that the help names does what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import expect

from .kit import ASLEEP, Pane, Ui

NAMES = {
    "←": "ArrowLeft",
    "→": "ArrowRight",
    "↑": "ArrowUp",
    "↓": "ArrowDown",
    "PgUp": "PageUp",
    "PgDn": "PageDown",
    "Ctrl": "Control",
}
"""Keys as the help shows them, and as Playwright names them."""


@dataclass
class Walk:
    """Goes through the shortcuts one after the other; each begins where the one before it ended."""

    ui: Ui
    name: str
    """Of the session."""
    keys: dict[str, str]
    """Of each shortcut, by its title in the help."""

    def press(self, title: str, number: int | None = None) -> None:
        keys = self.keys[title] if number is None else self.keys[title].replace("1…9", f"Digit{number}")
        self.ui.page.keyboard.press("+".join(NAMES.get(key, key) for key in keys.split("+")))

    def expect_focus(self, pane: Pane) -> None:
        expect(pane.locator).to_have_attribute("data-focused", "true")
        expect(pane.locator.locator("textarea")).to_be_focused()

    def expect_tab(self, number: int) -> None:
        expect(self.ui.tabs.nth(number - 1)).to_have_attribute("data-active", "true")


def _panes(walk: Walk) -> None:
    ui = walk.ui
    first = ui.pane()
    walk.press("Split right")
    left, right = ui.panes(2)
    walk.expect_focus(right)
    right.wait_prompt()
    walk.press("Split down")
    left, upper, lower = ui.panes(3)
    assert (left.id, upper.id) == (first.id, right.id)
    walk.expect_focus(lower)
    lower.wait_prompt()
    for title, pane in (
        ("Go to the pane above", upper),
        ("Go to the pane below", lower),
        ("Go to the pane on the left", left),
        ("Go to the pane on the right", upper),
    ):
        walk.press(title)
        walk.expect_focus(pane)
    walk.press("Zoom pane")
    assert ui.pane().id == upper.id
    walk.press("Zoom pane")
    ui.panes(3)
    walk.press("Close pane")
    left, right = ui.panes(2)
    walk.expect_focus(left)
    walk.press("Go to the pane on the right")
    walk.expect_focus(right)
    walk.press("Close pane")
    assert ui.pane().id == first.id
    walk.expect_focus(first)


def _in_a_pane(walk: Walk) -> None:
    ui = walk.ui
    pane = ui.pane()
    ui.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    pane.run("echo copied-$((40+2))")
    walk.press("Find in pane")
    field = ui.page.get_by_label("Find in pane")
    expect(field).to_be_focused()
    ui.page.keyboard.type("copied-42")
    ui.page.keyboard.press("Enter")
    walk.press("Copy selection")
    ui.eventually(lambda: ui.page.evaluate("() => navigator.clipboard.readText()") == "copied-42", "the copy")
    ui.page.keyboard.press("Escape")
    walk.expect_focus(pane)


def _tabs(walk: Walk) -> None:
    ui = walk.ui
    first = ui.pane()
    for number in (2, 3):
        walk.press("New tab")
        expect(ui.tabs).to_have_count(number)
        walk.expect_tab(number)
        ui.at_prompt()
    walk.press("Next tab")
    walk.expect_tab(1)
    walk.press("Previous tab")
    walk.expect_tab(3)
    for number in (2, 1, 3):
        walk.press("Tab 1 to 9", number)
        walk.expect_tab(number)
    walk.press("Tab 1 to 9", 9)
    walk.press("Rename tab")
    expect(ui.page.get_by_label("Name of the tab")).to_be_focused()
    ui.page.keyboard.type("third")
    ui.page.keyboard.press("Enter")
    expect(ui.tabs.nth(2)).to_have_text("third")
    for number in (2, 1):
        walk.press("Close tab")
        expect(ui.tabs).to_have_count(number)
    assert ui.pane().id == first.id
    walk.expect_focus(first)


def _page(walk: Walk) -> None:
    ui = walk.ui
    walk.press("Keyboard shortcuts")
    expect(ui.page.get_by_test_id("help")).to_be_visible()
    walk.press("Keyboard shortcuts")
    expect(ui.page.get_by_test_id("help")).to_be_hidden()
    walk.expect_focus(ui.pane())


def _sessions(walk: Walk) -> None:
    ui = walk.ui
    menu = ui.page.get_by_test_id("session-menu")
    walk.press("New session")
    field = ui.page.get_by_label("Name of the new session")
    expect(field).to_be_focused()
    field.fill("made by keys")
    ui.page.keyboard.press("Enter")
    expect(ui.switcher).to_contain_text("made by keys")
    pane = ui.at_prompt()
    walk.expect_focus(pane)

    walk.press("Sessions")
    row = ui.session("by keys")
    expect(row.get_by_title("Switch")).to_be_focused()
    walk.press("In the list: rename")
    ui.page.keyboard.type("named by keys")
    ui.page.keyboard.press("Enter")
    expect(ui.switcher).to_contain_text("named by keys")
    walk.press("Sessions")
    expect(menu).to_be_hidden()
    walk.press("Sessions")
    expect(row.get_by_title("Switch")).to_be_focused()
    walk.press("In the list: sleep now")
    pane.expect_lost(ASLEEP)
    expect(row.get_by_title("Switch")).to_be_focused()
    walk.press("In the list: destroy")
    ui.page.get_by_test_id("confirm").get_by_role("button", name="Destroy").click()
    expect(pane.locator).to_have_count(0)


WALKS: dict[Callable[[Walk], None], set[str]] = {
    _panes: {
        "Split right",
        "Split down",
        "Close pane",
        "Zoom pane",
        "Go to the pane on the left",
        "Go to the pane on the right",
        "Go to the pane above",
        "Go to the pane below",
    },
    _in_a_pane: {"Find in pane", "Copy selection"},
    _tabs: {"New tab", "Close tab", "Rename tab", "Next tab", "Previous tab", "Tab 1 to 9"},
    _page: {"Keyboard shortcuts"},
    _sessions: {
        "Sessions",
        "New session",
        "In the list: rename",
        "In the list: sleep now",
        "In the list: destroy",
    },
}
"""What each part of the walk presses."""


def test_every_shortcut_in_the_help_works(ui: Ui, name: str) -> None:
    ui.page.get_by_role("button", name="Keyboard shortcuts").click()
    lines = ui.page.get_by_test_id("help").locator(".help-line")
    expect(lines.first).to_be_visible()
    keys = dict(
        zip(lines.locator("dt").all_inner_texts(), lines.locator("dd").all_inner_texts(), strict=True)
    )
    assert set(keys) == set().union(*WALKS.values())
    ui.page.keyboard.press("Escape")
    expect(lines).to_have_count(0)
    pane = ui.pane()
    expect(pane.locator.locator("textarea")).to_be_focused()

    walk = Walk(ui, name, keys)
    for part in WALKS:
        part(walk)
    # None of it was typed.
    ui.switch_session(name)
    assert [line.rstrip() for line in pane.text().splitlines() if line.startswith("ready>")] == [
        "ready> echo copied-$((40+2))",
        "ready>",
    ]
