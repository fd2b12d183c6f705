"""Games that are odd, long, or live, in a real JupyterLab: all of them show sensibly and play to their end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.cells import BIG, LIVE, ODD
from tests.browser.playing import Start

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]

GAMES = {  # name: the game, what is said of its first row, what is said of its last
    "one": ("game(1)", "tick 0", "tick 0"),
    "prices": ("odd(['0.000000000000000000000001', '10000000000000', '1', '-3'])", "0.000000000000000000000001", "-3"),
    "null": ("odd([None, None, None])", "no price", "no price"),
    "backwards": ("odd(['1', '2', '3'], times=[5, 1, None])", "tick 0", "no time"),
    "equal": ("odd(['1', '2', '3'], times=[7, 7, 7])", "tick 0", "tick 2"),
    "pause": ("odd(['1', '2', '3'], times=[0, 240_000, 240_250])", "tick 0", "tick 2"),
    "rug": ("odd(['0.01'], rugged=[0])", "rugged", "rugged"),
    "double": ("odd(['1', '2', '0.02', '1.5', '0.01'], rugged=[2, 4])", "in play", "rugged"),
    "idle": ("odd(['1', '1', '1'], active=False)", "cooldown", "cooldown"),
}


def test_odd_games_show_sensibly(start: Start, screenshots: Path) -> None:
    """One tick, extreme prices in both scales, no price, odd times, long pauses, rugs, no live tick: all play."""
    cells = [
        f"{name} = play({code})\nseen_{name} = []\n{name}.on_tick(lambda step: seen_{name}.append(step.index))\n{name}"
        for name, (code, _, _) in GAMES.items()
    ]
    playing = start(ODD, *cells, players=len(GAMES))
    for player, (name, (_, first, last)) in zip(playing.players, GAMES.items(), strict=True):
        readout = player.root.locator(".rlab-readout")
        assert first in readout.inner_text(), name
        player.stage.focus()
        for key in ("End", "l", "Home", " "):
            playing.page.keyboard.press(key)
        if name == "pause":
            player.wait(lambda player=player: "next tick in" in player.root.locator(".rlab-pace").inner_text())  # type: ignore[misc]
            player.button("Skip to the next tick").click()
        rows = playing.ask(f"len({name}.engine.timeline)")
        player.wait(lambda player=player, rows=rows: player.row == rows - 1 and not player.playing)  # type: ignore[misc]
        assert last in readout.inner_text(), name
        playing.until(f"[{name}.index, seen_{name}[-{rows}:]]", [rows - 1, list(range(rows))])
        player.root.screenshot(path=screenshots / f"odd_{name}.png")


def test_a_million_ticks(start: Start, screenshots: Path) -> None:
    """A million ticks open, and any of them can be read exactly; benchmarks/widgets/player.py says how fast."""
    playing = start(BIG, "player = play(table)\nplayer")
    player = playing.players[0]
    player.slider.fill("765432")
    player.wait(
        lambda: "tick 765,432   0.000000765432000000000001" in player.root.locator(".rlab-readout").inner_text()
    )
    player.root.screenshot(path=screenshots / "player_million.png")


def test_live(start: Start, screenshots: Path) -> None:
    """A live game is followed; the user may pause, look back and return; a new game takes the place of the old one."""
    playing = start(LIVE, "player = play(engine)\nplayer")
    player = playing.players[0]
    playing.tell("_ = [engine.push(tick) for tick in game(900, name='a')[100:]]")
    player.wait(lambda: player.row == 899)
    player.wait(lambda: player.playing)
    player.slider.fill("800")
    player.wait(lambda: player.row == 800)
    playing.tell("_ = [engine.push(tick) for tick in game(950, name='a')[900:]]")
    player.wait(lambda: player.slider.get_attribute("max") == "949")
    playing.until("[engine.status.following, engine.index >= 800]", [False, True])
    player.root.screenshot(path=screenshots / "player_live.png")
    player.button("Go to the newest tick").click()
    player.wait(lambda: player.row == 949)
    playing.until("engine.status.following")
    playing.tell("_ = [engine.push(tick) for tick in game(5, name='b')]")
    player.wait(lambda: "b" in player.root.locator(".rlab-title").inner_text())
    player.wait(lambda: player.row == 4)
