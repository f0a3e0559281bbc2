"""The README's pictures: real shells, an editor and a test run, awake and asleep.

They are written into docs/images when WORMUX_SCREENSHOTS=1 is set, and thrown away otherwise.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .kit import ASLEEP, MakeServer, OpenPage, Pane

PICTURES = Path(__file__).parents[2] / "docs" / "images"
MAX_BYTES = 200_000

RC = r"""
PS1='\[\e[1;34m\]\w\[\e[0m\] $ '
alias ls='ls --color=always' git='git --no-pager -c color.ui=always'
clear
"""
COMMITS = (
    ("README.md", "# Garden\n\nWaters the plants.\n", "Say what this is"),
    ("pump.py", "LITRES = 2\n", "Open the valve for two litres"),
    ("clock.py", "EVERY_H = 12\n", "Water twice a day"),
    ("docs/plants.md", "- basil\n- mint\n", "List the plants"),
    ("rain.py", "def rains() -> bool: ...\n", "Ask the weather before watering"),
    ("run.sh", "#!/bin/sh\nexec python3 -m garden\n", "Start by hand as well"),
)
CODE = """\
\"\"\"When to water, and how much.\"\"\"

from dataclasses import dataclass

LITRES = 2.0


@dataclass
class Bed:
    name: str
    moisture: float  # 0 dry, 1 wet

    def needs(self, rain_mm: float) -> float:
        # Rain is free: count it first.
        if rain_mm > 4 or self.moisture > 0.6:
            return 0.0
        return LITRES * (1 - self.moisture)
"""
TESTS = """\
import pytest
from bed import Bed


@pytest.mark.parametrize("moisture", [0.0, 0.3, 0.5])
def test_a_dry_bed_is_watered(moisture):
    assert Bed("basil", moisture).needs(0) > 0


def test_a_wet_bed_is_left_alone():
    assert Bed("mint", 0.9).needs(0) == 0


def test_rain_is_free():
    assert Bed("sage", 0.1).needs(12) == 0
"""


def _garden(folder: Path) -> str:
    """A small project with a history; the shell that begins in it."""
    project = folder / "garden"
    project.mkdir(parents=True)
    (project / "test_bed.py").write_text(TESTS)
    (project / "bed.py").write_text(CODE)
    steps = [
        "git init -q -b main",
        "git config user.name Robin",
        "git config user.email robin@example.org",
        "git config commit.gpgsign false",
        "mkdir docs",
    ]
    for day, (name, text, subject) in enumerate(COMMITS, 3):
        date = f"2026-05-0{day}T08:1{day}:00Z"
        steps += [
            f"printf -- {shlex.quote(text)} > {name}",
            f"git add {name}",
            f"GIT_COMMITTER_DATE={date} git commit -q --date={date} -m {shlex.quote(subject)}",
        ]
    steps += ["chmod +x run.sh", "git add .", "git commit -q -m 'Let rain count'"]
    steps[-1] = (
        "GIT_COMMITTER_DATE=2026-05-10T18:40:00Z git commit -q --date=2026-05-10T18:40:00Z -m 'Let rain count'"
    )
    (folder / "make.sh").write_text("set -e\n" + "\n".join(steps))
    (folder / "rc").write_text(f"cd {shlex.quote(str(project))}\nbash ../make.sh\n{RC}")
    return f"bash --noprofile --rcfile {shlex.quote(str(folder / 'rc'))}"


def _type(pane: Pane, command: str, then: str) -> None:
    pane.type(f"{command}\n")
    pane.wait_text(then)


@pytest.mark.skipif(
    shutil.which("git") is None or shutil.which("vim") is None,
    reason="The pictures show git and vim, which are not here.",
)
def test_the_pictures_are_drawn(make_server: MakeServer, open_page: OpenPage, tmp_path: Path) -> None:
    shell = _garden(tmp_path / "home")
    ui = open_page(
        make_server("--idle-timeout", "never", shell=shell),
        viewport={"width": 1280, "height": 800},
        device_scale_factor=1,
        reduced_motion="reduce",
    )
    log = ui.pane()
    log.wait_text(r"^~/garden \$\Z")
    _type(log, "ls", r"test_bed\.py\n~/garden \$\Z")
    _type(log, "git log --oneline --graph --decorate", r"Say what this is\n~/garden \$\Z")
    _type(
        log,
        "git show --format='%C(yellow)%h%C(reset) %s' HEAD~1 run.sh",
        r"exec python3 -m garden\n~/garden \$\Z",
    )
    _type(log, "cat docs/plants.md", r"- mint\n~/garden \$\Z")
    ui.page.keyboard.press("Alt+Shift+R")
    editor = ui.panes(2)[1]
    editor.wait_text(r"^~/garden \$\Z")
    ui.page.keyboard.press("Alt+Shift+D")
    tests = ui.panes(3)[2]
    tests.wait_text(r"^~/garden \$\Z")
    plain = "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1"
    pytest_command = (
        f"alias pytest='{plain} {sys.executable} -m pytest -p no:cacheprovider --color=yes'; clear"
    )
    tests.type(f"{pytest_command}\n")
    tests.wait_text(r"\A~/garden \$\Z")
    _type(tests, "pytest -v --no-header", r"\d passed.*\n~/garden \$\Z")
    _type(
        editor,
        "vim -u NONE -N -c 'syntax on | set number background=dark ruler laststatus=2 noshowcmd' bed.py",
        r"import dataclass",
    )
    editor.type("14Gw")
    ui.page.keyboard.press("Alt+Shift+T")
    expect(ui.tabs).to_have_count(2)
    for number, name in ((1, "watering"), (0, "garden")):
        ui.tabs.nth(number).get_by_role("tab").dblclick()
        ui.page.get_by_label("Name of the tab").fill(name)
        ui.page.keyboard.press("Enter")
        expect(ui.tab(name)).to_be_visible()
    ui.tab("garden").click()
    ui.panes(3)
    ui.open_sessions()
    ui.page.get_by_label("Rename main").click()
    ui.page.get_by_label("Name of the session").fill("home")
    ui.page.keyboard.press("Enter")
    expect(ui.switcher).to_contain_text("home")
    ui.close_sessions()
    log.focus()
    ui.page.mouse.move(640, 18)
    expect(ui.switcher).to_contain_text("vim")

    folder = PICTURES if os.environ.get("WORMUX_SCREENSHOTS") == "1" else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    ui.page.screenshot(path=folder / "wormux.png")
    ui.put_to_sleep()
    for pane in (log, editor, tests):
        pane.expect_lost(ASLEEP)
    ui.page.mouse.move(640, 18)
    expect(ui.page.get_by_test_id("session-menu")).to_have_count(0)
    ui.eventually(
        lambda: (
            not ui.page.evaluate(
                "() => document.getAnimations().filter((one) => one.playState === 'running').length"
            )
        ),
        "rest",
    )
    ui.page.screenshot(path=folder / "asleep.png")
    for name in ("wormux.png", "asleep.png"):
        assert 10_000 < (folder / name).stat().st_size < MAX_BYTES
