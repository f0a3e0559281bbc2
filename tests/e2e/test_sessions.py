"""Sessions are made, switched, renamed, put to sleep and destroyed, each from the list and by its key."""

from __future__ import annotations

from playwright.sync_api import expect

from .kit import ASLEEP, Ui


def test_a_new_session_has_its_own_shell(ui: Ui, name: str) -> None:
    first = ui.pane()
    first.run("mine=42")
    ui.open_sessions().locator(".sessions-new").click()
    field = ui.page.get_by_label("Name of the new session")
    expect(field).to_be_focused()
    field.fill("own shell")
    ui.page.keyboard.press("Enter")
    expect(ui.switcher).to_contain_text("own shell")
    expect(first.locator).to_be_hidden()
    second = ui.at_prompt()
    assert second.run("echo not-$mine") == "not-"
    ui.switch_session(name)
    assert first.run("echo mine-$mine") == "mine-42"
    expect(ui.session(name)).to_be_hidden()


def test_the_list_is_used_with_the_keyboard_alone(ui: Ui, name: str) -> None:
    first = ui.pane()
    ui.new_session("by keys")
    ui.page.keyboard.press("Alt+Shift+S")
    expect(ui.session("by keys").get_by_title("Switch")).to_be_focused()
    ui.page.keyboard.press("F2")
    ui.page.keyboard.type("renamed by keys")
    ui.page.keyboard.press("Enter")
    expect(ui.switcher).to_contain_text("renamed by keys")
    ui.page.keyboard.press("Escape")
    ui.page.keyboard.press("Alt+Shift+S")
    expect(ui.session("renamed by keys").get_by_title("Switch")).to_be_focused()
    ui.page.keyboard.press("ArrowUp")
    expect(ui.session(name).get_by_title("Switch")).to_be_focused()
    ui.page.keyboard.press("Enter")
    expect(ui.switcher).to_contain_text(name)
    assert first.run("echo here-$((40+2))") == "here-42"


def test_a_session_is_renamed(ui: Ui, name: str) -> None:
    ui.open_sessions()
    ui.page.get_by_label(f"Rename {name}").click()
    field = ui.page.get_by_label("Name of the session")
    expect(field).to_have_value(name)
    field.fill(" other name ")
    ui.page.keyboard.press("Enter")
    expect(ui.switcher).to_contain_text("other name")
    expect(ui.session("other name")).to_be_visible()
    ui.page.reload()
    expect(ui.switcher).to_contain_text("other name")


def test_a_session_that_is_busy_sleeps_when_it_is_said_twice(ui: Ui, name: str) -> None:
    pane = ui.pane()
    pane.type("sleep 1000\n")
    expect(ui.switcher).to_contain_text("sleep")
    ui.open_sessions()
    ui.page.get_by_label(f"Sleep {name} now").click()
    notices = ui.page.get_by_test_id("notices")
    expect(notices).to_contain_text("sleep")
    pane.expect_connected()
    notices.get_by_role("button", name="Sleep anyway").click()
    pane.expect_lost(ASLEEP)
    expect(ui.switcher).to_contain_text("Asleep")
    expect(notices).to_have_text("")


def test_destroying_asks_once_and_names_what_is_lost(ui: Ui, name: str) -> None:
    pane = ui.pane()
    ui.split(pane).type("sleep 1000\n")
    expect(ui.switcher).to_contain_text("sleep")
    ui.open_sessions()
    ui.page.get_by_label(f"Destroy {name}").click()
    question = ui.page.get_by_test_id("confirm")
    expect(question).to_contain_text(name)
    expect(question).to_contain_text("1 tab with 2 panes")
    expect(question).to_contain_text("every file in it")
    expect(question).to_contain_text("sleep")
    ui.page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    pane.expect_connected()

    ui.open_sessions()
    ui.page.get_by_label(f"Destroy {name}").click()
    question.get_by_role("button", name="Destroy").click()
    expect(pane.locator).to_have_count(0)
    expect(ui.switcher).not_to_contain_text(name)
    ui.open_sessions()
    expect(ui.session(name)).to_have_count(0)


def test_a_session_is_kept_awake_for_as_long_as_is_chosen(ui: Ui, name: str) -> None:
    ui.pane()
    ui.open_sessions()
    row = ui.session(name)
    row.hover()
    row.get_by_title("Keep awake").click()
    ui.page.get_by_test_id("keep-awake").get_by_text("For 8 hours").click()
    expect(row.get_by_test_id("session-busy")).to_contain_text("kept awake")
    (lease,) = ui.requests("session_lease")
    assert lease["seconds"] == 8 * 3600
    row.hover()
    row.get_by_title("Keep awake").click()
    ui.page.get_by_test_id("keep-awake").get_by_text("No longer").click()
    expect(row.get_by_test_id("session-busy")).to_have_count(0)
    expect(ui.page.get_by_test_id("session-menu")).to_be_visible()
