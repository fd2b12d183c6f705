"""Trades in a real notebook: marks at their price, profit at the playhead, spans, keys; also without a kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Lab, Notebook
from tests.browser.playing import Player, Start
from tests.browser.test_appearance import COLOURED
from tests.browser.test_reopened import saved

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]

TRADED = """
def deal(kind, opened, closed, paid, returned, ending):
    return {'game_id': 'game', 'kind': kind, 'opened': opened, 'closed': closed, 'paid': paid, 'returned': returned,
            'ending': ending}
deals = [deal('position', 10, 30, '0.1', '0.25', 'sold'), deal('position', 50, 80, '0.1', '0.04', 'rug'),
         deal('bet', 20, 60, '0.01', '0', 'lost'), deal('bet', 70, 100, '0.01', '0.05', 'won')]
player = play(game(120), trades=deals)
player"""


def test_trades_are_seen_and_gone_to(start: Start, lab: Lab, screenshots: Path) -> None:
    """Keys and buttons go from trade to trade, the profit follows the playhead, and a saved notebook shows the same."""
    playing = start(TRADED)
    page, player = playing.page, playing.players[0]
    profit = player.root.locator(".rlab-profit")
    expect(profit).to_have_text("profit 0")
    player.stage.focus()
    for row in (10, 20, 50, 70):
        page.keyboard.press("d")
        player.wait(lambda row=row: player.row == row)  # type: ignore[misc]
    page.keyboard.press("Shift+D")
    player.wait(lambda: player.row == 50)
    player.button("Go to the trade before").click()
    player.wait(lambda: player.row == 20)
    expect(profit).to_contain_text("(open)")
    player.slider.fill("45")
    expect(profit).to_have_text("profit +0.14")  # 0.25 - 0.1 - 0.01, of which nothing is held
    player.slider.fill("119")
    expect(profit).to_have_text("profit +0.12")
    for colour in ("#007A59", "#D55E00"):  # won and lost
        player.wait(lambda colour=colour: page.evaluate(COLOURED, [".rlab-canvas", colour]) > 20)  # type: ignore[misc]
        player.wait(lambda colour=colour: page.evaluate(COLOURED, [".rlab-track", colour]) > 2)  # type: ignore[misc]
    player.root.screenshot(path=screenshots / "trades.png")
    playing.notebook.theme("JupyterLab Dark")
    player.root.screenshot(path=screenshots / "trades_dark.png")
    playing.notebook.theme("JupyterLab Light")
    path = saved(playing)
    Notebook(page, lab, path.name)
    again = Player(page)
    expect(again.root).to_be_visible(timeout=60_000)
    again.stage.focus()
    page.keyboard.press("d")
    again.wait(lambda: again.row == 10)
    expect(again.root.locator(".rlab-profit")).to_contain_text("(open)")
