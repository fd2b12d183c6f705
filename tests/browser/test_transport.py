"""The controls of the player in a real JupyterLab: what is shown, and what Python is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.cells import LISTEN
from tests.browser.playing import Start

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]


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
    player.wait(lambda: not player.playing)
    row = player.row
    playing.page.wait_for_timeout(300)
    assert player.row == row
    playing.until("[seen == list(range(player.index + 1)), player.index, player.playing]", [True, row, False])


def test_stop_and_steps(start: Start) -> None:
    """Stop goes back to the first row, the step buttons go one row each, and Python is told of all of it."""
    playing = start("player = play(game(500, ms=20))", LISTEN)
    player = playing.players[0]
    player.button("Play").click()
    player.wait(lambda: player.row > 10)
    player.button("Stop").click()
    player.wait(lambda: player.row == 0 and not player.playing)
    for _ in range(3):
        player.button("Step forward").click()
    player.button("Step back").click()
    player.wait(lambda: player.row == 2)
    playing.until("[player.index, player.playing]", [2, False])
    assert playing.ask("seen[-5:]") == [0, 1, 2, 3, 2]


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
    player.wait(lambda: 730 < player.row < 770)
    playing.until("player.index", player.row)
    chart = player.stage.bounding_box()
    assert chart is not None
    player.stage.click(position={"x": chart["width"] / 2, "y": 120})
    player.wait(lambda: 450 < player.row < 550)
    playing.until("player.index", player.row)


# Chooses a speed: the row drawn before, the row drawn after, and how long both took together.
CHANGED = """async (speed) => {
    const root = document.querySelector('.rlab');
    const frames = () => new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)));
    const since = performance.now();
    await frames();
    const before = Number(root.dataset.row);
    const list = root.querySelector('select[aria-label="Speed"]');
    list.value = speed;
    list.dispatchEvent(new Event('change', { bubbles: true }));
    await frames();
    return [before, Number(root.dataset.row), performance.now() - since];
}"""


@pytest.mark.parametrize("speed", ["0.1", "5", "100", "null"])
def test_speed(start: Start, speed: str) -> None:
    """Chosen in the page, a speed reaches Python; at any speed, also as fast as possible, no tick is left out."""
    rows = {"0.1": 4, "5": 200, "100": 2_000, "null": 20_000}[speed]
    playing = start(f"player = play(game({rows}, ms=50))", LISTEN)
    player = playing.players[0]
    player.choose("Speed", speed)
    playing.until("str(player.speed)", "inf" if speed == "null" else str(float(speed)))
    player.button("Play").click()
    player.wait(lambda: player.row == rows - 1 and not player.playing)
    playing.until("player.index", rows - 1)
    assert playing.ask(f"seen == list(range({rows}))") is True


def test_speed_changes_while_playing(start: Start) -> None:
    """A change of speed or pacing while it plays neither jumps nor leaves a tick out."""
    playing = start("player = play(game(3_000, ms=50))", LISTEN)
    player = playing.players[0]
    offered = player.root.get_by_role("combobox", name="Speed").locator("option").all_inner_texts()
    assert {"0.1x", "0.25x", "0.5x", "1x", "2x", "5x", "100x", "max"} <= set(offered)
    player.button("Play").click()
    fastest = 1.0  # of the speeds before and after the change, 20 rows a second each
    for speed in ("10", "0.1", "25", "1"):
        before, after, ms = playing.page.evaluate(CHANGED, speed)
        assert before <= after <= before + 10 + max(fastest, float(speed)) * 20 * ms / 1000
        fastest = float(speed)
        player.wait(lambda before=before: player.row > before)  # type: ignore[misc]
    player.choose("Pacing", "nominal")
    player.choose("Speed", "100")
    player.wait(lambda: player.row > 1_500)
    player.button("Pause").click()
    player.wait(lambda: not player.playing)
    playing.until("player.index", player.row)
    assert playing.ask("seen == list(range(player.index + 1))") is True


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


def test_a_loop_is_played_again_and_again(start: Start) -> None:
    """Between A and B every pass reaches Python, whole and in order; the achieved speed is that of the clock."""
    playing = start("player = play(game(400, ms=50))", "player.speed = 10\nplayer.loop = (100, 139)", LISTEN)
    player = playing.players[0]
    playing.tell("_ = player.seek(100)\nplayer.play()")
    player.wait(lambda: "10x" in (player.root.locator(".rlab-pace").get_attribute("title") or ""))
    playing.until("len(seen) > 150")
    player.button("Pause").click()
    player.wait(lambda: not player.playing)
    playing.until("player.index", player.row)
    assert playing.ask("all(row == 100 + at % 40 for at, row in enumerate(seen))") is True


def test_a_loop_set_in_the_page(start: Start) -> None:
    """A and B are set at the playhead, in either order; without them it plays on to the end."""
    playing = start("player = play(game(300, ms=20))", LISTEN)
    player = playing.players[0]
    player.slider.fill("60")
    player.button("Loop from here").click()
    player.slider.fill("40")
    player.button("Loop to here").click()
    player.wait(lambda: player.button("Loop from here").get_attribute("aria-pressed") == "true")
    player.button("Play").click()
    playing.until("seen.count(50) >= 3 and max(seen[3:]) <= 60")
    player.button("No loop").click()
    player.wait(lambda: player.row == 299 and not player.playing)
    playing.until("player.index", 299)


def test_observers_and_boxes(start: Start) -> None:
    """A player stands in a box beside other widgets, and `observe` hears where it is, as with any of them."""
    cell = """
import ipywidgets
heard = []
player = play(game(100, ms=20))
player.observe(lambda change: heard.append((change['name'], change['new'])), ['index', 'playing'])
ipywidgets.VBox([ipywidgets.HBox([player]), ipywidgets.Label('beside')])
"""
    playing = start(cell)
    player = playing.players[0]
    player.button("Play").click()
    player.wait(lambda: player.row == 99 and not player.playing)
    playing.until("all(one in heard for one in [('index', 99), ('playing', True), ('playing', False)])")
    assert (
        playing.ask(
            "[value for name, value in heard if name == 'index'] == sorted("
            "value for name, value in heard if name == 'index')"
        )
        is True
    )
    assert playing.page.locator(".widget-label", has_text="beside").is_visible()


def test_games_to_pick(start: Start) -> None:
    """Next, previous and the list change the game in page and kernel; one that cannot be played says why."""
    playing = start("player = play([game(50, name='one'), [], game(70, name='three')])", LISTEN)
    player = playing.players[0]
    title = player.root.locator(".rlab-title")
    player.button("Previous game").click()
    player.wait(lambda: title.inner_text() == "three")
    playing.until("[player.game_id, player.index]", ["three", 0])
    player.choose("Game", "1")
    player.wait(lambda: "cannot be played" in player.root.locator(".rlab-pace").inner_text())
    assert title.inner_text() == "three"
    player.button("Next game").click()
    player.wait(lambda: title.inner_text() == "one")
    player.button("Play").click()
    player.wait(lambda: player.row == 49)
    playing.until("[player.game_id, player.index]", ["one", 49])
