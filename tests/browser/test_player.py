"""The player in a real JupyterLab: what a user does, what the page shows, and what Python is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Browser, Page

from replaylab.tick import Tick
from replaylab.widgets import still
from replaylab.widgets.player import ReplayPlayer
from tests.browser.lab import REPOSITORY, Lab
from tests.browser.playing import Player, Playing, code_cell

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(180)]

Start = Callable[..., Playing]
AXE = REPOSITORY / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
CONTRAST = """() => {
    const canvas = document.querySelector('.rlab-canvas');
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const light = ([red, green, blue]) => 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    const paper = light(context.getImageData(2, 2, 1, 1).data);
    let ink = paper;
    const labels = context.getImageData(0, 18, 30, canvas.height - 40).data;
    for (let at = 0; at < labels.length; at += 4) {
        const tone = light(labels.slice(at, at + 3));
        if (Math.abs(tone - paper) > Math.abs(ink - paper)) ink = tone;
    }
    return [ink, paper];
}"""
CUT_OFF = """() => [...document.querySelectorAll('.rlab, .rlab *')]
    .filter((one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX !== 'visible')
    .map((one) => one.className)"""
ODD = """
import pyarrow as pa
from decimal import Decimal
from replaylab.table import PRICE_TYPE
def odd(prices, times=None, rugged=False):
    n = len(prices)
    times = times or [250 * row for row in range(n)]
    stamps = [None if ms is None else 1_900_000_000_000_000 + ms * 1000 for ms in times]
    return pa.table({'game_id': ['odd'] * n, 'tick': pa.array(range(n), pa.int32()),
                     'timestamp': pa.array(stamps, pa.int64()).cast(pa.timestamp('us', 'UTC')),
                     'price': pa.array([None if p is None else Decimal(p) for p in prices], PRICE_TYPE),
                     'active': [not rugged] * n, 'rugged': [rugged] * n})
"""
BIG = """
import numpy as np, pyarrow as pa
from replaylab.table import PRICE_TYPE
def long(n):
    words = np.zeros((n, 2), np.uint64)
    words[:, 0] = np.arange(n, dtype=np.uint64) * 10**12 + 1
    return pa.table({'game_id': ['long'] * n, 'tick': np.arange(n, dtype=np.int32),
                     'timestamp': pa.array(np.arange(n) * 50_000).cast(pa.timestamp('us', 'UTC')),
                     'price': pa.Array.from_buffers(PRICE_TYPE, n, [None, pa.py_buffer(words)])})
table = long(1_000_000)
player = play(table.slice(0, 10))
"""
LIVE = """
from replaylab.engine import ReplayEngine
engine = ReplayEngine(ring_ticks=500)
_ = [engine.push(tick) for tick in game(100, name='a')]
"""
LISTEN = "seen = []\nplayer.on_tick(lambda step: seen.append(step.index))\nplayer"


def ticks(rows: int) -> list[Tick]:
    """A game of 50 ticks a second, its price its row."""
    zero = datetime(2031, 1, 2, tzinfo=UTC)
    return [
        Tick(game_id="g", tick=row, timestamp=zero + timedelta(milliseconds=20 * row), price=Decimal(row), active=True)
        for row in range(rows)
    ]


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
    player.wait(lambda: not player.playing)
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
    steps = {"ArrowRight": 1, "ArrowUp": 2, "ArrowLeft": 1, "Shift+ArrowRight": 11, "PageUp": 31, "End": 399, "Home": 0}
    for key, row in steps.items():
        press(key)
        player.wait(lambda row=row: player.row == row)  # type: ignore[misc]
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
    player.wait(lambda: 730 < player.row < 770)
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


def test_plays_on_while_the_kernel_is_busy(start: Start) -> None:
    """A kernel that computes for seconds does not stop the player; afterwards Python has missed no tick."""
    playing = start("player = play(game(3_000, ms=20))", LISTEN)
    player = playing.players[0]
    player.button("Play").click()
    player.wait(lambda: player.row > 10)
    playing.send("import time; time.sleep(3)")
    playing.page.wait_for_timeout(300)
    before = player.row
    playing.page.wait_for_timeout(2_000)
    assert player.row - before >= 90
    player.button("Pause").click()
    player.wait(lambda: not player.playing)
    row = player.row
    playing.until("player.index", row)
    assert playing.ask("seen == list(range(player.index + 1))") is True


def test_outlives_a_restart_of_the_kernel(browser: Browser, lab: Lab) -> None:
    """With the kernel gone everything that is in the page still plays, seeks, and shows exact prices."""
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    playing = Playing(page, lab, "restart", ["player = play(game(1_000, ms=20))", LISTEN])
    player = playing.players[0]
    assert playing.ask("player.index") == 0
    playing.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart().then(() => true)"
    )
    player.slider.fill("700")
    player.wait(lambda: player.row == 700)
    player.wait(lambda: "1.300123456789" in player.root.locator(".rlab-readout").inner_text())
    player.stage.focus()
    playing.page.keyboard.press(" ")
    player.wait(lambda: player.row > 720)
    player.stage.hover(position={"x": 300, "y": 100})
    assert player.root.locator(".rlab-tip").inner_text().split("\n")[1].endswith("123456789")
    playing.notebook.close()
    page.close()
    # JupyterLab's own: what it had asked of the kernel when that went away.
    assert not [error for error in errors if "Canceled future" not in error]


def test_themes_and_narrow_areas(start: Start, screenshots: Path) -> None:
    """Labels stand out from the paper in both themes; a narrow area cuts nothing off."""
    playing = start("player = play(game(300)); player.mark(120, 'look here')", LISTEN)
    player = playing.players[0]
    for theme in ("Light", "Dark"):
        playing.notebook.theme(f"JupyterLab {theme}")
        ink, paper = playing.page.evaluate(CONTRAST)
        assert abs(ink - paper) > 100
        assert (paper < 60) == (theme == "Dark")
        player.root.screenshot(path=screenshots / f"player_{theme.lower()}.png")
    playing.page.set_viewport_size({"width": 640, "height": 900})
    playing.page.wait_for_timeout(300)
    assert playing.page.evaluate(CUT_OFF) == []
    player.root.screenshot(path=screenshots / "player_narrow.png")
    playing.notebook.theme("JupyterLab Light")


def test_nothing_for_axe_to_find(start: Start) -> None:
    """The accessibility checker finds nothing in either theme."""
    assert AXE.exists(), "axe-core is not installed, so nobody checked: `make browser` installs it"
    playing = start("player = play([game(50), game(60, name='other')])", LISTEN)
    playing.page.add_script_tag(path=AXE)
    for theme in ("Light", "Dark"):
        playing.notebook.theme(f"JupyterLab {theme}")
        found = playing.page.evaluate("async () => (await axe.run('.rlab')).violations.map((one) => one.id + one.help)")
        assert found == []
    playing.notebook.theme("JupyterLab Light")


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("one", "game(1)", "tick 0"),
        ("prices", "odd(['0.000000000000000000000001', '12345678901234', '1', '-3'])", "0.000000000000000000000001"),
        ("null", "odd([None, None, None])", "no price"),
        ("backwards", "odd(['1', '2', '3'], times=[5, 1, None])", "tick 0"),
        ("pause", "odd(['1', '2', '3'], times=[0, 240_000, 240_250])", "tick 0"),
        ("rug", "odd(['0.01', '0.02'], rugged=True)", "rugged"),
    ],
)
def test_odd_games_show_sensibly(start: Start, screenshots: Path, name: str, code: str, told: str) -> None:
    """One tick, extreme prices in both scales, none at all, times that go back, long pauses, only a rug: all show."""
    playing = start(ODD, f"player = play({code})", LISTEN)
    player = playing.players[0]
    assert told in player.root.locator(".rlab-readout").inner_text()
    player.stage.focus()
    playing.page.keyboard.press("End")
    playing.page.keyboard.press("l")
    playing.page.keyboard.press("Home")
    playing.page.keyboard.press(" ")
    if name == "pause":
        player.wait(lambda: "next tick in" in player.root.locator(".rlab-pace").inner_text())
        player.button("Skip to the next tick").click()
    player.wait(lambda: player.row == playing.ask("len(player.engine.timeline) - 1"), 5)
    player.root.screenshot(path=screenshots / f"odd_{name}.png")


def test_a_million_ticks(start: Start, screenshots: Path) -> None:
    """A million ticks open within two seconds, and any of them can be read exactly."""
    playing = start(BIG, LISTEN)
    page = playing.page
    took = page.evaluate(
        """async (code) => {
            const cells = window.jupyterapp.shell.currentWidget.content;
            cells.activeCellIndex = cells.widgets.length - 1;
            cells.activeCell.model.sharedModel.setSource(code);
            const begun = performance.now();
            window.jupyterapp.commands.execute('notebook:run-cell');
            const shown = () => document.querySelector('.rlab-title')?.textContent === 'long';
            while (!shown()) await new Promise(requestAnimationFrame);
            return performance.now() - begun;
        }""",
        "player = play(table)\nplayer",
    )
    assert took < 2_000
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
    assert player.playing
    player.slider.fill("800")
    player.wait(lambda: player.row == 800)
    playing.tell("_ = [engine.push(tick) for tick in game(950, name='a')[900:]]")
    player.wait(lambda: player.slider.get_attribute("max") == "949")
    assert playing.ask("[engine.status.following, engine.index >= 800]") == [False, True]
    player.root.screenshot(path=screenshots / "player_live.png")
    player.button("Go to the newest tick").click()
    player.wait(lambda: player.row == 949)
    playing.until("engine.status.following")
    playing.tell("_ = [engine.push(tick) for tick in game(5, name='b')]")
    player.wait(lambda: "b" in player.root.locator(".rlab-title").inner_text())
    player.wait(lambda: player.row == 4)


def test_the_saved_page_plays_offline(page: Page, tmp_path: Path, screenshots: Path) -> None:
    """A page written to a file plays with no kernel and no network, and asks for nothing."""
    (tmp_path / "game.html").write_text(still.page(ticks(200)), encoding="utf-8")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.context.set_offline(offline=True)
    page.goto((tmp_path / "game.html").as_uri())
    player = Player(page)
    player.button("Play").click()
    player.wait(lambda: player.row > 20)
    assert [url for url in asked if not url.startswith(("file:", "blob:"))] == []
    player.root.screenshot(path=screenshots / "player_offline.png")


def test_a_converted_notebook_plays_offline(page: Page, tmp_path: Path, screenshots: Path) -> None:
    """What nbconvert makes of a saved notebook plays with no kernel and no network, also the same game twice."""
    player = ReplayPlayer(ticks(200))
    data, metadata = player._repr_mimebundle_()
    player.close()
    output = {"output_type": "display_data", "data": data, "metadata": metadata}
    cells = [{**code_cell(number, "player"), "outputs": [output]} for number in range(2)]
    book = nbformat.from_dict({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})  # type: ignore[no-untyped-call]
    made, _ = HTMLExporter().from_notebook_node(book)  # type: ignore[no-untyped-call]
    (tmp_path / "notebook.html").write_text(made, encoding="utf-8")
    page.context.set_offline(offline=True)
    page.goto((tmp_path / "notebook.html").as_uri(), wait_until="commit")
    for shown in (Player(page, 0), Player(page, 1)):
        shown.button("Play").click()
        shown.wait(lambda shown=shown: shown.row > 20)  # type: ignore[misc]
    page.screenshot(path=screenshots / "player_converted.png")


def test_lockstep_waits_for_slow_callbacks(start: Start) -> None:
    """With `lockstep` the page never runs far ahead of callbacks that are too slow for it."""
    slow = "import time\n_ = player.on_tick(lambda step: time.sleep(0.02))"
    playing = start("player = play(game(2_000, ms=10), lockstep=True)", slow, LISTEN)
    player = playing.players[0]
    player.button("Play").click()
    playing.page.wait_for_timeout(3_000)
    player.button("Pause").click()
    player.wait(lambda: not player.playing)
    assert 20 < player.row < 200
    playing.until("player.index", player.row)
    assert playing.ask("seen == list(range(player.index + 1))") is True


def test_a_loop_is_played_again_and_again(start: Start) -> None:
    """Between A and B every pass reaches Python, whole and in order; the achieved speed is that of the clock."""
    playing = start("player = play(game(400, ms=50))", "player.speed = 10\nplayer.loop(100, 139)", LISTEN)
    player = playing.players[0]
    playing.tell("_ = player.seek(100)\nplayer.play()")
    player.wait(lambda: "10x" in player.root.locator(".rlab-pace").inner_text())
    playing.until("len(seen) > 150")
    player.button("Pause").click()
    player.wait(lambda: not player.playing)
    playing.until("player.index", player.row)
    assert playing.ask("all(row == 100 + at % 40 for at, row in enumerate(seen))") is True
