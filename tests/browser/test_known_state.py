"""The state that every browser test begins from, whatever the test before it has left behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.lab import Lab, Notebook, first_visit

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]

STATE = """() => [document.body.dataset.jpThemeName, window.innerWidth, devicePixelRatio, visualViewport.scale,
    getComputedStyle(document.documentElement).getPropertyValue('--jp-code-font-size').trim()]"""
SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"
LEAVE = """async () => {
    localStorage.setItem('left', 'behind');
    sessionStorage.setItem('left', 'behind');
    document.cookie = 'left=behind; max-age=3600; path=/';
    await (await caches.open('left')).put('/left', new Response('behind'));
    await new Promise((done) => { indexedDB.open('left').onsuccess = (event) => done(event.target.result.close()); });
}"""
LEFT = """async () => [Object.keys(localStorage).includes('left'), Object.keys(sessionStorage).includes('left'),
    document.cookie.includes('left'), await caches.keys(), (await indexedDB.databases()).map((one) => one.name)]"""
ZOOM = "() => { document.body.style.zoom = '1.5'; localStorage.setItem('left', 'behind'); }"


def test_nothing_is_left_for_the_next_test(lab: Lab, open_notebook: Callable[[str], Notebook]) -> None:
    """Theme, zoom, settings, notebooks, files and kernels that a test changed are as on a first visit after a reset."""
    notebook = open_notebook("notebooks/04_events.ipynb")
    page = notebook.page
    first = page.evaluate(STATE)
    assert first[0] == "JupyterLab Light"
    written = (lab.root / "notebooks" / "04_events.ipynb").read_bytes()
    notebook.theme("JupyterLab Dark")
    notebook.clear()
    page.evaluate(SAVE)
    page.evaluate(ZOOM)
    (lab.root / "left.ipynb").write_text("{}")
    assert (lab.root / "notebooks" / "04_events.ipynb").read_bytes() != written

    page.goto("about:blank")
    lab.reset()
    assert lab.kernels() == []
    assert sorted(path.name for path in lab.root.iterdir()) == ["data", "notebooks"]
    assert (lab.root / "notebooks" / "04_events.ipynb").read_bytes() == written
    again = open_notebook("notebooks/04_events.ipynb")
    assert again.page.evaluate(STATE) == first
    assert any(cell["outputs"] for cell in again.cells())


def test_a_page_finds_nothing_of_the_page_before(visitor: BrowserContext, lab: Lab) -> None:
    """Neither what it stored, nor its cookies, nor that the network was away, nor a page that it left open."""
    with first_visit(visitor, lab) as page:
        page.goto(f"{lab.url}/login")
        before = page.evaluate(LEFT)
        page.evaluate(LEAVE)
        assert page.evaluate(LEFT) == [True, True, True, ["left"], ["left"]]
        visitor.new_page()
        visitor.set_offline(offline=True)
    with first_visit(visitor, lab) as page:
        page.goto(f"{lab.url}/login")
        assert page.evaluate(LEFT) == before == [False, False, False, [], []]
        assert len(visitor.pages) == 2
