"""How the page looks: light and dark, without motion where none is wished, with and without WebGL; and its pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from wormux.testing.server_process import ServerProcess

from .kit import ASLEEP, OpenPage, Ui


def _background(ui: Ui) -> int:
    """The sum of the picture's red, green and blue in the middle of the body, 0 to 765, whatever form CSS gives."""
    return int(
        ui.page.evaluate(
            """() => {
              const canvas = document.createElement("canvas");
              const context = canvas.getContext("2d");
              context.fillStyle = getComputedStyle(document.body).backgroundColor;
              context.fillRect(0, 0, 1, 1);
              const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
              return red + green + blue;
            }"""
        )
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_systems_colours(
    server: ServerProcess, open_page: OpenPage, tmp_path: Path, scheme: str
) -> None:
    ui = open_page(server, color_scheme=scheme)
    pane = ui.new_session(scheme)
    pane.run("printf '\\e[31mred \\e[32mgreen \\e[1;34mblue\\e[0m\\n'")
    assert (_background(ui) < 150) == (scheme == "dark")
    ui.put_to_sleep()
    pane.expect_lost(ASLEEP)
    picture = ui.page.screenshot(path=tmp_path / f"{scheme}.png")
    assert len(picture) > 5_000
    other = {"light": "dark", "dark": "light"}[scheme]
    ui.page.emulate_media(color_scheme=other)  # type: ignore[arg-type]
    ui.eventually(lambda: (_background(ui) < 150) == (other == "dark"), "the other colours")


def test_nothing_moves_where_no_motion_is_wished(server: ServerProcess, open_page: OpenPage) -> None:
    ui = open_page(server, reduced_motion="reduce")
    pane = ui.new_session("still")
    ui.split(pane)
    ui.put_to_sleep()
    pane.expect_lost(ASLEEP)
    ui.open_sessions()
    moving = """() => document.getAnimations()
      .filter((one) => one.playState === "running" && one.effect.getComputedTiming().duration > 1)
      .filter((one) => !one.effect.target.closest(".xterm"))
      .map((one) => `${one.animationName ?? one.transitionProperty} ${one.effect.target.className}`)"""
    assert ui.page.evaluate(moving) == []


CANVAS = ".xterm-screen canvas:not([class])"
PRETEND_A_CARD = """
(() => {
  const { getContext } = HTMLCanvasElement.prototype;
  HTMLCanvasElement.prototype.getContext = function (kind, wishes) {
    return getContext.call(this, kind, { ...wishes, failIfMajorPerformanceCaveat: false });
  };
  const { getParameter } = WebGL2RenderingContext.prototype;
  WebGL2RenderingContext.prototype.getParameter = function (name) {
    const value = getParameter.call(this, name);
    return typeof value === "string" ? "A card" : value;
  };
})();
"""
"""The page draws with WebGL only where a graphics card does the work."""


def test_with_webgl_it_is_the_same(server: ServerProcess, open_page: OpenPage) -> None:
    ui = open_page(server, script=PRETEND_A_CARD)
    pane = ui.new_session("webgl")
    pane.run("echo drawn-$((40+2))")
    expect(pane.locator.locator(CANVAS).first).to_be_visible()
    expect(pane.locator.locator(".xterm-rows")).to_have_count(0)
    other = ui.split(pane)
    ui.put_to_sleep()
    for each in (pane, other):
        each.expect_lost(ASLEEP)
        expect(each.locator.locator(CANVAS).first).to_be_visible()
    assert other.wake("echo woke-$((40+2))") == "woke-42"
    other.expect_connected()
