"""What breaks is said at once with its cause, over what was printed, and a key brings it back."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from wormux.testing.server_process import ServerProcess

from .kit import LOST, WAKING, MakeServer, OpenPage, Ui

TRYING = re.compile(r"^trying again (in \d+ s — press any key to try now|now)$")


def test_a_shell_that_is_killed_says_so_and_a_key_brings_a_new_one(ui: Ui) -> None:
    pane = ui.pane()
    other = ui.split(pane)
    pane.focus()
    pane.run("echo before-$((40+2))")
    channel = pane.channel
    ui.page.keyboard.type("kill -9 $$\n")
    pane.expect_lost("Ended by SIGKILL")
    expect(pane.detail).to_have_text("press any key for a new shell, or close the pane")
    assert "\nbefore-42\n" in pane.text()
    other.expect_connected()
    assert pane.wake("echo after-$((40+2))") == "after-42"
    assert "\nbefore-42\n" in pane.text()
    assert pane.channel == channel


def test_a_shell_that_fails_at_once_shows_its_code(make_server: MakeServer, open_page: OpenPage) -> None:
    ui = open_page(make_server("--idle-timeout", "never", shell="sh -c 'echo broken-$((40+2)); exit 3'"))
    pane = ui.pane()
    pane.expect_lost("Ended (code 3)")
    pane.wait_text("^broken-42$")


def test_a_shell_that_is_left_closes_its_pane(ui: Ui) -> None:
    pane = ui.pane()
    other = ui.split(pane)
    other.run("sleep 2")
    other.type("exit\n")
    assert ui.pane().id == pane.id


def test_an_agent_that_is_killed_is_named_at_once_in_all_its_panes(server: ServerProcess, ui: Ui) -> None:
    pane = ui.pane()
    other = ui.split(pane)
    pane.focus()
    shell = int(pane.run("echo $$"))
    channels = [each.channel for each in (pane, other)]
    (agent,) = (each for each in server.agents() if shell in [one.pid for one in each.shells()])
    ui.forget_titles()
    agent.kill()
    for each in (pane, other):
        expect(each.locator).to_have_attribute("data-connected", "false")
        expect(each.title).to_have_text(LOST)
        expect(each.detail).to_have_text(TRYING)
    assert f"\n{shell}\n" in pane.text()
    assert pane.wake("echo after-$((40+2))") == "after-42"
    assert pane.titles() == [LOST, WAKING, ""]
    other.wait_prompt()
    assert [each.channel for each in (pane, other)] == channels


def test_a_shell_that_cannot_start_is_tried_again_and_a_key_tries_at_once(
    make_server: MakeServer, open_page: OpenPage
) -> None:
    ui = open_page(make_server("--idle-timeout", "never", shell="/no/such/shell"))
    pane = ui.pane()
    pane.expect_lost(LOST)
    expect(pane.detail).to_have_text(re.compile(r"^trying again in [2-9] s — press any key to try now$"))
    ui.page.keyboard.type("ls")
    expect(pane.locator.get_by_test_id("overlay-keys")).to_have_text("2 keys waiting")
    expect(pane.detail).to_have_text(TRYING)
    pane.locator.get_by_role("button", name="Drop").click()
    expect(pane.locator.get_by_test_id("overlay-keys")).to_have_count(0)
    expect(pane.locator.get_by_test_id("discard-notice")).to_contain_text("ls")
    pane.expect_lost(LOST)
