"""A browser, servers and pages for the tests; nothing is left of them, and no page may complain in its console."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from wormux.server.page import PAGE_DIR
from wormux.testing.server_process import ServerProcess

from .kit import BASH, PROMPT, RECORD_TITLES, WITHIN_MS, MakeServer, OpenPage, Ui

ARTEFACTS = Path(__file__).parent / "artefacts"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NEEDS = "The browser tests need"
_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_failed] = report.failed
    if report.skipped and isinstance(report.longrepr, tuple) and NEEDS in report.longrepr[2]:
        report.longrepr = (__file__, 1, report.longrepr[2])  # One place makes one line of all tests.
    return report


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's Chromium."""
    missing = None
    path = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if path is None:
        missing = f"{NEEDS} Chromium: put {', '.join(CHROMIUMS[:-1])} or {CHROMIUMS[-1]} on PATH."
    elif not (PAGE_DIR / "index.html").is_file():
        missing = f"{NEEDS} the page: run `make page`."
    if missing is not None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    assert path is not None
    return path


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    expect.set_options(timeout=WITHIN_MS)
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(chromium: str, playwright: Playwright) -> Iterator[Browser]:
    running = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS)
    yield running
    running.close()


def _servers(folder: Path) -> Iterator[MakeServer]:
    home = folder / "home"
    home.mkdir()
    env = {
        "HOME": str(home),
        "HISTFILE": "",
        "INPUTRC": "/dev/null",
        "LANG": "C.UTF-8",
        "PS1": f"{PROMPT} ",
        "SHELL": "/bin/bash",
    }
    servers: list[ServerProcess] = []

    def make(*options: str, shell: str = BASH) -> ServerProcess:
        server = ServerProcess(folder / f"data{len(servers)}", "--shell", shell, *options, env=env)
        servers.append(server)
        server.start()
        return server

    yield make
    for server in servers:
        server.stop_all()
        notes = [path.read_text() for path in server.data_dir.glob("sandboxes/*/agent.log")]
        assert not [text for text in (server.stderr, *notes) if "Traceback" in text]


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    yield from _servers(tmp_path)


@pytest.fixture(scope="module")
def make_module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeServer]:
    yield from _servers(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def server(make_module_server: MakeServer) -> ServerProcess:
    """One for all tests of a file that are content with a session of their own. They sleep only when told to."""
    return make_module_server("--idle-timeout", "never")


@pytest.fixture
def open_page(
    request: pytest.FixtureRequest, browser: Browser, make_server: MakeServer
) -> Iterator[OpenPage]:
    """Pages end before the test's own servers do."""
    pages: list[Ui] = []

    def open_page(
        server: ServerProcess,
        *,
        path: str | None = None,
        clock: bool = False,
        script: str = "",
        **options: Any,
    ) -> Ui:
        context = browser.new_context(
            **{"viewport": {"width": 1000, "height": 640}, "color_scheme": "dark", **options}
        )
        context.set_default_timeout(WITHIN_MS)
        context.add_init_script(RECORD_TITLES + script)
        page = context.new_page()
        if clock:
            page.clock.install()
        ui = Ui(page)
        pages.append(ui)
        page.goto(f"{server.url}/?token={server.token}" if path is None else path)
        return ui

    yield open_page
    failed = request.node.stash.get(_failed, True) or any(ui.problems for ui in pages)
    for number, ui in enumerate(pages):
        if failed:
            ARTEFACTS.mkdir(exist_ok=True)
            name = re.sub(r"[^\w.-]+", "-", request.node.name)
            ui.page.screenshot(path=ARTEFACTS / f"{name}-{number}.png")
        ui.page.context.close()
    assert not [problem for ui in pages for problem in ui.problems]


@pytest.fixture
def ui(request: pytest.FixtureRequest, server: ServerProcess, open_page: OpenPage) -> Ui:
    """A page that looks at a session of the test's own, named after it, in which a shell is at its prompt."""
    ui = open_page(server)
    ui.new_session(session_name(request))
    return ui


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Of the session that `ui` made."""
    return session_name(request)


def session_name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name).removeprefix("test_").replace("_", " ")[-40:].strip()
