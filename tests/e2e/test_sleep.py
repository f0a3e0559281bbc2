"""A session that nobody uses falls asleep: its panes say so over their last output, and any key brings one back."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from .kit import ASLEEP, WAKING, MakeServer, OpenPage, Ui


def test_every_pane_of_an_idle_session_says_so_over_its_last_output(
    make_server: MakeServer, open_page: OpenPage
) -> None:
    ui = open_page(make_server("--idle-timeout", "3s"))
    left = ui.at_prompt()
    right = ui.split(left)
    for pane, word in ((left, "left"), (right, "right")):
        pane.run(f"echo {word}-$((40+2))")
    channels = [pane.channel for pane in (left, right)]

    for pane, word in ((left, "left"), (right, "right")):
        pane.expect_lost(ASLEEP)
        assert f"\n{word}-42\n" in pane.text()
        expect(pane.detail).to_have_text(re.compile(r"^asleep since \d\d:\d\d$"))
        expect(pane.locator.locator(".xterm-screen")).to_be_visible()
        expect(pane.locator.locator(".xterm-rows")).to_contain_text(f"{word}-42")
        expect(pane.locator.locator(".slot")).to_have_css("opacity", "0.55")
    assert [pane.channel for pane in (left, right)] == channels
    expect(ui.switcher).to_contain_text("Asleep")


def test_only_the_panes_of_the_session_that_sleeps_are_lost(ui: Ui, name: str) -> None:
    first = ui.pane()
    second = ui.new_session("second")
    ui.put_to_sleep()
    second.expect_lost(ASLEEP)
    ui.switch_session(name)
    first.expect_connected()
    assert first.run("echo awake-$((40+2))") == "awake-42"


def _letter(ui: Ui) -> None:
    ui.page.keyboard.press("e")
    ui.page.keyboard.type("cho woke-$((40+2))\n")


def _enter(ui: Ui) -> None:
    ui.page.keyboard.press("Enter")
    ui.page.keyboard.type("echo woke-$((40+2))\n")


def _arrow(ui: Ui) -> None:
    ui.page.keyboard.press("ArrowRight")
    ui.page.keyboard.type("echo woke-$((40+2))\n")


def _paste(ui: Ui) -> None:
    ui.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ui.page.evaluate("text => navigator.clipboard.writeText(text)", "echo woke-$((40+2))")
    ui.page.keyboard.press("Control+Shift+V")
    ui.page.keyboard.press("Enter")


@pytest.mark.parametrize("press", [_letter, _enter, _arrow, _paste])
def test_a_key_wakes_its_pane_alone_and_what_was_typed_runs_once(ui: Ui, press: Callable[[Ui], None]) -> None:
    pane = ui.pane()
    pane.run("echo before-$((40+2))")
    other = ui.split(pane)
    ui.forget_titles()
    ui.put_to_sleep()
    for each in (pane, other):
        each.expect_lost(ASLEEP)
    pane.focus()
    channel = pane.channel

    press(ui)
    pane.wait_text(r"^woke-42\nready>\Z")
    pane.expect_connected()
    assert pane.titles() == [ASLEEP, WAKING, ""]
    text = pane.text()
    assert text.count("echo woke-$((40+2))") == 1
    assert text.count("\nwoke-42\n") == 1
    assert text.startswith("ready> echo before-$((40+2))\nbefore-42\n")
    assert re.search(r"slept \d\d:\d\d–\d\d:\d\d, new shell", text)
    assert pane.channel == channel
    assert pane.run("echo again-$((40+2))") == "again-42"

    other.expect_lost(ASLEEP)
    other.focus()
    other.expect_lost(ASLEEP)
    assert other.wake("echo other-$((40+2))") == "other-42"
    other.expect_connected()
    assert other.titles() == [ASLEEP, WAKING, ""]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("sleep 1000", id="sleep"),
        pytest.param(
            "vim -u NONE -N",
            id="vim",
            marks=pytest.mark.skipif(shutil.which("vim") is None, reason="There is no vim here."),
        ),
    ],
)
def test_a_program_that_runs_keeps_its_session_awake(
    make_server: MakeServer, open_page: OpenPage, command: str
) -> None:
    ui = open_page(make_server("--idle-timeout", "2s"))
    busy = ui.at_prompt()
    name = command.split()[0]
    busy.type(f"{command}\n")
    expect(ui.switcher).to_contain_text(name)

    idle = ui.new_session("idle")  # The clock: this one began later.
    idle.expect_lost(ASLEEP)
    menu = ui.open_sessions()
    expect(ui.session("main")).to_have_attribute("data-status", "awake")
    expect(ui.session("main")).to_contain_text(name)
    menu.get_by_title("Switch").first.click()
    busy.expect_connected()
    busy.focus()
    if name == "vim":
        ui.page.keyboard.type(":q\n")  # An interrupt would throw away what is typed behind it.
    else:
        ui.page.keyboard.press("Control+C")
    busy.wait_text(r"ready>\Z")
    expect(ui.switcher).not_to_contain_text(name)
    busy.expect_lost(ASLEEP)


def test_the_size_of_a_window_that_was_resized_meanwhile_is_the_fresh_shells(ui: Ui) -> None:
    pane = ui.pane()
    rows, cols = map(int, pane.run("stty size").split())
    screen = pane.locator.locator(".xterm-screen").bounding_box()
    assert screen is not None
    ui.put_to_sleep()
    pane.expect_lost(ASLEEP)
    ui.page.set_viewport_size({"width": 700, "height": 400})
    ui.eventually(lambda: pane.box()["width"] == 700, "the smaller pane")
    box = pane.box()
    expected = (
        int((box["height"] - 16) / (screen["height"] / rows)),
        int((box["width"] - 16) / (screen["width"] / cols)),
    )
    assert expected < (rows, cols)
    ui.eventually(
        lambda: ui.requests("pane_resize")[-1:] and ui.requests("pane_resize")[-1]["cols"] == expected[1],
        "the wish",
    )
    pane.expect_lost(ASLEEP)
    assert pane.wake("stty size") == f"{expected[0]} {expected[1]}"


def test_the_mouse_of_a_program_that_is_gone_types_nothing_and_wakes_nothing(ui: Ui) -> None:
    pane = ui.pane()
    other = ui.split(pane)
    pane.type("printf '\\e[?1000h\\e[?1006h\\e[?1004h'; cat -v\n")
    spot = {"x": 200.0, "y": 400.0}
    ui.eventually(lambda: pane.locator.locator(".enable-mouse-events").count(), "mouse reports")
    pane.locator.click(position=spot)  # type: ignore[arg-type]
    pane.wait_text(r"\^\[\[<0;\d+;\d+M")
    ui.forget_titles()
    ui.put_to_sleep()
    for each in (pane, other):
        each.expect_lost(ASLEEP)

    typed = len(ui.input_frames())
    for each in (other, pane, other, pane):
        each.locator.click(position=spot)  # type: ignore[arg-type]
        expect(each.locator).to_have_attribute("data-focused", "true")
        ui.page.mouse.wheel(0, 200)
        ui.page.mouse.wheel(0, -200)
    # The server has answered all of it: the focus is where it was clicked.
    ui.eventually(lambda: len(ui.requests("pane_focus")) >= 4, "focus by clicks")
    assert ui.input_frames()[typed:] == []
    for each in (pane, other):
        each.expect_lost(ASLEEP)
        assert each.titles() == [ASLEEP]
        expect(each.locator.get_by_test_id("discard-notice")).to_have_count(0)
    assert pane.wake("echo clean-$((40+2))") == "clean-42"


def test_the_time_before_sleep_is_counted_down_until_somebody_types(
    make_server: MakeServer, open_page: OpenPage
) -> None:
    ui = open_page(make_server("--idle-timeout", "8s"))
    pane = ui.at_prompt()
    expect(ui.switcher).to_contain_text(re.compile(r"sleeps in [1-4] s"))
    pane.type(":")
    expect(ui.switcher).not_to_contain_text("sleeps in")
    expect(ui.switcher).to_contain_text(re.compile(r"sleeps in [1-4] s"))
    pane.expect_lost(ASLEEP)


def test_what_was_frozen_goes_on_as_it_was(make_server: MakeServer, open_page: OpenPage) -> None:
    ui = open_page(make_server("--idle-timeout", "never", "--sleep-mode", "sigstop"))
    pane = ui.at_prompt()
    pane.run("kept=variable")
    ui.put_to_sleep()
    pane.expect_lost(ASLEEP)
    expect(ui.switcher).to_contain_text("frozen")
    assert pane.run("echo $kept") == "variable"
    pane.expect_connected()
    assert "new shell" not in pane.text()
