"""Panels, the table of ticks and all else that can be shown at once: seen, readable, on a phone, in high contrast."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Lab, Notebook
from tests.browser.playing import Player, Start, until_painted
from tests.browser.test_appearance import CUT_OFF
from tests.browser.test_keyboard import AXE
from tests.browser.test_reopened import saved
from tests.browser.test_trades import TRADED

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]

ALL = (
    TRADED.replace("trades=deals)", "trades=deals, panels=panels)").replace(
        "player = ",
        "panels = {'volatility': [abs(row % 40 - 20) for row in range(120)], 'trade_count': 'trade_count'}\nplayer = ",
    )
    + """.mark(40, 'look here', shape='up', price=1.5)
player.mark(90, 'there')
player.selection = (60, 80)
player.loop = (20, 60)
player"""
)
VIOLATIONS = "async () => (await axe.run('.rlab')).violations.map((one) => one.id + ' ' + one.help)"
INK = """(selector) => {
    const canvas = document.querySelector(selector);
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const seen = new Set();
    for (let at = 0; at < data.length; at += 4) seen.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
    return seen.size;
}"""


def test_everything_at_once_is_seen_and_accessible(start: Start, screenshots: Path) -> None:
    """Panels, trades, marks, loop, selection, table and form: nothing for axe to find, light, dark, narrow, forced."""
    playing = start(ALL)
    page, player = playing.page, playing.players[0]
    page.add_script_tag(path=AXE)
    player.slider.fill("70")
    player.button("Table of ticks").click()
    current = player.root.locator("tr[aria-current]")
    expect(current.locator("td").first).to_have_text("70")
    player.slider.fill("95")
    expect(current.locator("td").first).to_have_text("95")
    expect(current.locator("td").last).to_have_text("0")
    player.button("Mark here").click()
    strips = player.root.locator(".rlab-strip")
    expect(strips).to_have_count(2)
    box = player.stage.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 80)
    expect(player.root.locator(".rlab-stage .rlab-tip")).to_contain_text("since start")
    expect(player.root.locator(".rlab-stage .rlab-tip")).to_contain_text("trades")
    for theme in ("Light", "Dark"):
        playing.notebook.theme(f"JupyterLab {theme}")
        player.root.screenshot(path=screenshots / f"everything_{theme.lower()}.png")
        assert page.evaluate(VIOLATIONS) == []
        assert page.evaluate(INK, ".rlab-strip") > 3
    playing.notebook.theme("JupyterLab Light")
    page.emulate_media(forced_colors="active", reduced_motion="reduce")
    until_painted(page)
    player.root.screenshot(path=screenshots / "everything_forced.png")
    assert page.evaluate(VIOLATIONS) == []
    assert page.evaluate("getComputedStyle(document.querySelector('.rlab-button')).transitionDuration") == "0s"
    page.emulate_media(forced_colors="none", reduced_motion="no-preference")
    page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    page.set_viewport_size({"width": 390, "height": 1100})
    player.wait(lambda: bool(player.root.evaluate("(root) => root.clientWidth < 390")))
    player.wait(lambda: bool({*page.evaluate(CUT_OFF)} <= {"rlab-table"}))  # the table scrolls by itself
    page.screenshot(path=screenshots / "everything_phone.png")
    assert page.evaluate(VIOLATIONS) == []


def test_a_player_with_panels_opened_again(start: Start, lab: Lab, screenshots: Path) -> None:
    """Saved and opened again, panels, trades and marks are there, and the player plays without a kernel."""
    playing = start(ALL)
    page, path = playing.page, saved(playing)
    Notebook(page, lab, path.name)
    again = Player(page)
    expect(again.root).to_be_visible(timeout=60_000)
    expect(again.root.locator(".rlab-strip")).to_have_count(2)
    again.button("Play").click()
    again.wait(lambda: again.row > 5)
    page.screenshot(path=screenshots / "everything_reopened.png")
