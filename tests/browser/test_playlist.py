"""Games one after another, and the places to go to in one of them, in a real JupyterLab."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.cells import LISTEN
from tests.browser.lab import REPOSITORY
from tests.browser.playing import Start, until_painted

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]

AXE = REPOSITORY / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
WHOLE = """
def whole():
    given = game(400, ms=50)
    def at(row, **changes):
        old = given[row]
        fields = dict(game_id='whole', tick=old.tick, timestamp=old.timestamp, price=old.price, phase='ACTIVE_GAMEPLAY',
                      active=True, rugged=False, cooldown_timer=0)
        return Tick(**(fields | changes))
    cooldown = dict(tick=0, price='1', phase='COOLDOWN', active=False, cooldown_timer=12_000)
    waiting = [at(row, **cooldown) for row in range(100)]
    live = [at(row, tick=row - 100) for row in range(100, 390) if not 200 <= row < 210]
    peak = at(250, tick=150, price='9.5')
    live[live.index(next(one for one in live if one.tick == 150))] = peak
    return waiting + live + [at(390, tick=290, price='0.01', phase='RUG_EVENT', rugged=True)]
player = play(whole())
player.mark(20, 'here')
"""


def test_places_to_go_to(start: Start, screenshots: Path) -> None:
    """Start of play, peak, rug, next gap and next mark have buttons and keys; play begins at the first price."""
    playing = start(WHOLE, LISTEN)
    player = playing.players[0]
    places = {
        "Go to the start of play": ("t", 100), "Go to the peak": ("k", 240), "Go to the rug": ("r", 380),
        "Go to the next gap": ("g", 200), "Go to the next mark": ("m", 120),
    }  # fmt: skip
    for name, (key, row) in places.items():
        player.slider.fill("0")
        player.button(name).click()
        player.wait(lambda row=row: player.row == row)  # type: ignore[misc]
        player.slider.fill("0")
        player.stage.focus()
        playing.page.keyboard.press(key)
        player.wait(lambda row=row: player.row == row)  # type: ignore[misc]
    player.root.screenshot(path=screenshots / "player_places.png")
    for theme in ("Light", "Dark"):
        playing.notebook.theme(f"JupyterLab {theme}")
        if theme == "Light":
            playing.page.add_script_tag(path=AXE)
        found = playing.page.evaluate("async () => (await axe.run('.rlab')).violations.map((one) => one.id + one.help)")
        assert found == []
    player.root.screenshot(path=screenshots / "player_places_dark.png")
    playing.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    playing.page.set_viewport_size({"width": 640, "height": 900})
    until_painted(playing.page)
    player.root.screenshot(path=screenshots / "player_places_narrow.png")
    player.button("Stop").click()
    playing.until("player.index", 0)
    playing.tell("seen.clear()")
    player.button("Play").click()
    player.wait(lambda: player.row >= 100)
    playing.until("seen[:110] == list(range(1, 111))")


def test_the_next_game_follows(start: Start, screenshots: Path) -> None:
    """With the switch on the next game plays when one has ended, and the last one ends; Python gets all of them."""
    cell = "player = play([game(60, ms=10, name='one'), [], game(60, ms=10, name='three')])"
    playing = start(cell, "seen = []\n_ = player.on_tick(lambda step: seen.append((step.game_id, step.index)))\nplayer")
    player = playing.players[0]
    player.button("Play on with the next game").click()
    playing.until("player.play_on")
    player.root.screenshot(path=screenshots / "player_play_on.png")
    player.button("Play").click()
    title = player.root.locator(".rlab-title")
    player.wait(lambda: title.inner_text() == "three")
    player.wait(lambda: player.row == 59 and not player.playing)
    playing.until("[player.game_id, player.index, player.playing]", ["three", 59, False])
    assert playing.ask("seen == [(name, row) for name in ('one', 'three') for row in range(60)]") is True
