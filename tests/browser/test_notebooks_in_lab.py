"""The notebooks as their reader meets them: run from the first cell to the last in JupyterLab, in both themes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Notebook
from tests.browser.playing import KERNELS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

NOTEBOOKS = {  # name: pictures, the titles of the cards, and the rows at which the players stand in the end
    "01_convert": (0, ["Conversion into store", "Game 20310102-f8c2becf931a4f5d"], []),
    "02_explore": (6, ["18 games", "Game 20310102-ffe42279f3bd466a"], []),
    "03_replay": (0, [], [143, 0, 150, 160, 0]),
    "04_events": (0, [], [168]),
    "06_survival": (5, [], []),
    "07_sidebets": (5, [], []),
    "08_backtest": (2, [], []),
    "09_cluster": (0, [], []),
    "05_record": (0, [], [71]),
    "10_live": (0, [], [58]),
}

# Contrast of each text in the cards (WCAG): its colour through the opacities above it, against what lies behind.
_CONTRASTS = """() => {
    const parts = (text) => [...text.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
    const over = (top, alpha, under) => top.map((value, place) => alpha * value + (1 - alpha) * under[place]);
    const light = (rgb) => rgb.map((value) => value / 255)
        .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
    const behind = (node) => {
        for (; node; node = node.parentElement) {
            const found = parts(getComputedStyle(node).backgroundColor);
            if (found[3] > 0) return found.slice(0, 3);
        }
        return [255, 255, 255];
    };
    const texts = [...document.querySelectorAll('.jp-RenderedHTML div[style*="border-left"] *')]
        .filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && /\\w/.test(child.data)));
    return texts.map((node) => {
        let alpha = 1;
        for (let up = node; up; up = up.parentElement) alpha *= Number(getComputedStyle(up).opacity);
        const paper = behind(node), color = parts(getComputedStyle(node).color);
        const shown = over(color.slice(0, 3), color[3] * alpha, paper);
        const [low, high] = [light(shown), light(paper)].sort((one, other) => one - other);
        return {text: node.textContent.trim(), ratio: (high + 0.05) / (low + 0.05)};
    });
}"""


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_runs_and_shows(name: str, open_notebook: Callable[[str], Notebook], screenshots: Path) -> None:
    """Every cell runs without an error; pictures, cards and players are seen, cards are readable in light and dark."""
    pictures, cards, rows = NOTEBOOKS[name]
    notebook = open_notebook(f"notebooks/{name}.ipynb")
    notebook.clear()
    assert not any(cell["outputs"] for cell in notebook.cells())

    notebook.run_all()
    ran = notebook.cells()
    assert [cell["count"] for cell in ran] == list(range(1, len(ran) + 1))
    assert [cell["source"] for cell in ran if any(out["output_type"] == "error" for out in cell["outputs"])] == []

    page = notebook.page
    notebook.grow()
    for title in cards:
        expect(page.get_by_text(title, exact=True).locator("visible=true")).to_have_count(1)
    images = page.locator(".jp-RenderedImage img")
    expect(images).to_have_count(pictures)
    for image in images.all():
        expect(image).to_be_visible()
        assert image.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") > 800
    players = page.locator(f"{KERNELS}:not(.rlab-browse)")
    expect(players).to_have_count(len(rows))
    for player, row in zip(players.all(), rows, strict=True):
        expect(player).to_be_visible()
        expect(player).to_have_attribute("data-row", str(row))
    for theme in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {theme}")
        page.screenshot(path=screenshots / f"{name}_{theme.lower()}.png")
        faint = [found for found in page.evaluate(_CONTRASTS) if found["ratio"] < 4.5]
        assert faint == [], f"hard to read in the {theme.lower()} theme"
