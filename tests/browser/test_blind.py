"""A game whose future is hidden, in a real JupyterLab: the page knows no more than what was shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.cells import LISTEN
from tests.browser.playing import Start

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]


def test_blind_plays_and_hides_what_comes(start: Start, screenshots: Path) -> None:
    """Played, paused, stepped and looked back in, the seek bar ends at what was shown; Python sees every tick once."""
    playing = start("player = play(game(400, ms=200), blind=True)", LISTEN)  # it plays on for longer than any stall
    player = playing.players[0]
    assert player.slider.get_attribute("max") == "0"
    player.button("Play").click()
    player.wait(lambda: player.row > 10)
    player.button("Pause").click()
    player.wait(lambda: not player.playing)
    playing.until("player.playing", value=False)
    told = len(playing.ask("seen"))  # it has paused: no more than these will reach the page
    player.wait(lambda: player.slider.get_attribute("max") == str(told - 1))
    row = player.row
    assert row < 300
    shown = told - 1
    assert row <= shown <= row + 1  # a row that Python has shown may reach the page just after it paused
    assert playing.ask("seen") == list(range(shown + 1))
    assert row <= playing.ask("player.index") <= shown
    assert "/" not in player.root.locator(".rlab-place").inner_text()
    player.root.screenshot(path=screenshots / "player_blind.png")
    player.button("Step forward").click()
    player.wait(lambda: player.row == row + 1)
    player.slider.fill("10")
    player.wait(lambda: player.row == 10)
    playing.until("player.index", 10)
    player.stage.focus()
    playing.page.keyboard.press("End")
    player.wait(lambda: player.row == row + 1)
    player.choose("Speed", "100")
    player.button("Play").click()
    player.wait(lambda: player.row == 399 and not player.playing)
    playing.until("[player.index, player.playing]", [399, False])
    assert playing.ask("sorted(set(seen)) == list(range(400))") is True


def test_the_button_and_the_key_hide_the_future(start: Start) -> None:
    """A press hides what lies ahead, another one shows it; Python follows."""
    playing = start("player = play(game(400, ms=20))\n_ = player.seek(100)", LISTEN)
    player = playing.players[0]
    player.button("Hide the future").click()
    player.wait(lambda: player.slider.get_attribute("max") == "100")
    playing.until("player.blind")
    assert not player.button("Show what lies ahead").is_visible()
    player.stage.focus()
    playing.page.keyboard.press("b")
    player.wait(lambda: player.slider.get_attribute("max") == "399")
    playing.until("player.blind", value=False)
    playing.tell("player.blind = True")
    player.wait(lambda: player.slider.get_attribute("max") == "100")
    assert player.row == 100
