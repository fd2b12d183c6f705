"""The player in a real JupyterLab: what a user does, what the page shows, and what Python is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.lab import Lab
from tests.browser.playing import Playing

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(180)]

Start = Callable[..., Playing]
LISTEN = "seen = []\nplayer.on_tick(lambda step: seen.append(step.index))\nplayer"


@pytest.fixture
def start(page: Page, lab: Lab, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Open a notebook with players in it; a message of the player on the console that is an error fails the test."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    opened: list[Playing] = []

    def _start(*cells: str, players: int = 1) -> Playing:
        name = request.node.name.replace("[", "-").replace("]", "")
        opened.append(Playing(page, lab, name, list(cells), players))
        return opened[-1]

    yield _start
    for playing in opened:
        playing.notebook.close()
    assert not [text for text in said if "rlab" in text or "replaylab" in text or "widget" in text.lower()]


def test_plays_to_the_end_and_python_sees_every_tick_once(start: Start, screenshots: Path) -> None:
    """Play shows a game to its end; every callback got every tick once and in order, and the traits say where it is."""
    playing = start("player = play(game(120, ms=20))", LISTEN)
    player = playing.players[0]
    player.button("Play").click()
    player.wait(lambda: player.row == 119)
    player.wait(lambda: not player.playing)
    playing.until("[seen == list(range(120)), player.index, player.playing]", [True, 119, False])
    player.root.screenshot(path=screenshots / "player_light.png")


def test_pause_stays_and_python_agrees(start: Start) -> None:
    """After a pause nothing moves, and the kernel is at the row that the page shows."""
    playing = start("player = play(game(2_000, ms=20))", LISTEN)
    player = playing.players[0]
    player.button("Play").click()
    player.wait(lambda: player.row > 20)
    player.button("Pause").click()
    row = player.row
    playing.page.wait_for_timeout(300)
    assert player.row == row
    playing.until("[seen == list(range(player.index + 1)), player.index, player.playing]", [True, row, False])


def test_keys(start: Start) -> None:
    """Every key does what it says, and JupyterLab does not take the arrows for its cells."""
    playing = start("player = play(game(400))", LISTEN)
    player = playing.players[0]
    player.stage.focus()
    press = playing.page.keyboard.press
    rows = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "Shift+ArrowRight", "PageUp", "End", "ArrowUp", "Home"):
        press(key)
        playing.page.wait_for_timeout(40)
        rows.append(player.row)
    assert rows == [1, 2, 1, 11, 31, 399, 399, 0]
    player.slider.focus()
    press("ArrowRight")
    press("ArrowUp")
    player.wait(lambda: player.row == 2)
    assert playing.page.evaluate("document.activeElement.type") == "range"
    press("[")
    press("Shift+ArrowRight")
    press("]")
    press("l")
    assert player.button("Logarithmic price").get_attribute("aria-pressed") == "true"
    press(" ")
    player.wait(lambda: player.playing)
    playing.page.wait_for_timeout(700)
    assert 2 <= player.row <= 12
    press(" ")
    player.wait(lambda: not player.playing)
    playing.until("[player.index, player.playing]", [player.row, False])


def test_drag_and_click_seek(start: Start) -> None:
    """Dragging the seek bar and clicking the chart go there; Python hears where."""
    playing = start("player = play(game(1_000))", LISTEN)
    player = playing.players[0]
    box = player.slider.bounding_box()
    assert box is not None
    mouse = playing.page.mouse
    mouse.move(box["x"] + 7, box["y"] + box["height"] / 2)
    mouse.down()
    mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2, steps=12)
    mouse.up()
    assert 730 < player.row < 770
    playing.until("player.index", player.row)
    chart = player.stage.bounding_box()
    assert chart is not None
    player.stage.click(position={"x": chart["width"] / 2, "y": 120})
    player.wait(lambda: 450 < player.row < 550)
    playing.until("player.index", player.row)


def test_python_drives(start: Start) -> None:
    """Commands of Python reach the page: seek, speed, step, play, pause, marks, and the engine's own."""
    playing = start("player = play(game(900, ms=50))", LISTEN)
    player = playing.players[0]
    playing.tell("_ = player.seek(300)")
    player.wait(lambda: player.row == 300)
    playing.tell("_ = player.step(5)")
    player.wait(lambda: player.row == 305)
    playing.tell("player.speed = 10")
    playing.tell("player.play()")
    player.wait(lambda: player.playing and player.row > 400)
    playing.tell("player.pause()")
    player.wait(lambda: not player.playing)
    row = player.row
    playing.until("player.index", row)
    assert playing.ask("seen == list(range(300, player.index + 1))") is True
    assert player.root.get_by_role("combobox", name="Speed").input_value() == "10"
    playing.tell("player.mark(700, 'look')")
    playing.tell("_ = player.engine.seek_tick(700)")
    player.wait(lambda: player.row == 700)


def test_two_players_and_two_displays(start: Start) -> None:
    """Two players play apart; one player shown twice shows the same."""
    cells = ("one = play(game(500, ms=20, name='one'))\none", "two = play(game(500, ms=20, name='two'))\ntwo", "one")
    playing = start(*cells, players=3)
    one, two, again = playing.players
    one.button("Play").click()
    one.wait(lambda: one.row > 30)
    assert two.row == 0
    assert abs(again.row - one.row) <= 2
    two.button("Step forward").click()
    two.wait(lambda: two.row == 1)
    again.button("Pause").click()
    one.wait(lambda: not one.playing)
    assert again.row == one.row
    playing.until("[one.index, two.index]", [one.row, 1])
