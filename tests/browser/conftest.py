"""Fixtures for tests in a real JupyterLab: one server and one Chromium a session; a known state and one page a test."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.lab import REPOSITORY, Lab, Notebook, running_lab
from tests.browser.playing import Playing, Start

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


expect.set_options(timeout=60_000)  # ms; five seconds unless told, and a loaded machine may stall for longer

_LABS_OWN = "widget model not found"  # what JupyterLab says of every saved widget whose notebook is opened again


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab for the whole session; tests take `lab`, which puts it into a known state."""
    with running_lab(tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def lab(server: Lab) -> Lab:
    """JupyterLab as it is on a first visit: default settings, light theme, fresh notebooks and samples, no kernel."""
    server.reset()
    return server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a window; without Chromium the tests fail, because a skipped test proves nothing."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("chromium is not installed: `make browser` installs it")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page; an error that no script caught fails the test."""
    context = browser.new_context(viewport={"width": 1200, "height": 1000})
    context.set_default_timeout(60_000)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert not errors


@pytest.fixture
def open_notebook(page: Page, lab: Lab) -> Iterator[Callable[[str], Notebook]]:
    """Open a notebook by its path below the served folder; its kernel is shut down after the test."""
    opened: list[Notebook] = []

    def _open(path: str) -> Notebook:
        opened.append(Notebook(page, lab, path))
        return opened[-1]

    yield _open
    for notebook in opened:
        notebook.close()


@pytest.fixture
def start(page: Page, lab: Lab, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Open a notebook with players in it; a message of the player on the console that is an error fails the test."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    opened: list[Playing] = []

    def _start(*cells: str, players: int = 1) -> Playing:
        name = re.sub(r"\W+", "-", request.node.name)[:50]
        opened.append(Playing(page, lab, name, list(cells), players))
        return opened[-1]

    yield _start
    for playing in opened:
        playing.notebook.close()
    own = [text for text in said if "rlab" in text or "replaylab" in text or "widget" in text.lower()]
    assert not [text for text in own if _LABS_OWN not in text]


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Folder for what the page looked like."""
    folder = REPOSITORY / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
