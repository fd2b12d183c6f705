"""Fixtures for tests in a real JupyterLab: one server and one Chromium a session; a known state and one page a test."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, ViewportSize, expect, sync_playwright

from tests.browser.lab import REPOSITORY, Lab, Notebook, first_visit, running_lab
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


_VIEWPORT: Final[ViewportSize] = {"width": 1200, "height": 1000}

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
def playwright() -> Iterator[Playwright]:
    """What drives Chromium."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium without a window; each context of it is as new."""
    running = playwright.chromium.launch(executable_path=_chromium(), args=_FLAGS)
    yield running
    running.close()


@pytest.fixture(scope="session")
def visitor(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """Chromium with a folder of its own, where it keeps what JupyterLab's megabytes of scripts were compiled to."""
    kept = tmp_path_factory.mktemp("chromium")
    context = playwright.chromium.launch_persistent_context(
        kept, executable_path=_chromium(), args=_FLAGS, viewport=_VIEWPORT
    )
    context.set_default_timeout(60_000)
    yield context
    context.close()


def _chromium() -> str:
    """Its path; without Chromium the tests fail, because a skipped test proves nothing."""
    found = shutil.which("chromium")
    if found is None:
        pytest.fail("chromium is not installed: `make browser` installs it")
    return found


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    """An empty page; an error that no script caught fails the test."""
    errors: list[str] = []
    with _page_for(request) as opened:
        opened.on("pageerror", lambda error: errors.append(str(error)))
        yield opened
    assert not errors


@contextmanager
def _page_for(request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page for a test of JupyterLab; any other has a context of its own."""
    if "lab" in request.fixturenames:
        with first_visit(request.getfixturevalue("visitor"), request.getfixturevalue("lab")) as opened:
            yield opened
        return
    context = request.getfixturevalue("browser").new_context(viewport=_VIEWPORT)
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


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
