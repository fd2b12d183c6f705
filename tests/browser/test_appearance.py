"""How the player looks: themes, narrow areas, sharp screens, what is drawn, zoom and the words at the pointer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.cells import LISTEN
from tests.browser.lab import Lab
from tests.browser.playing import Playing, Start, until_painted

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]

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
COLOURED = """([selector, wanted]) => {
    const canvas = document.querySelector(selector);
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(wanted.slice(at, at + 2), 16));
    let found = 0;
    for (let at = 0; at < data.length; at += 4) {
        found += data[at] === red && data[at + 1] === green && data[at + 2] === blue;
    }
    return found;
}"""
SHARPNESS = """() => [...document.querySelectorAll('.rlab canvas')].map((canvas) => [
    canvas.width / canvas.clientWidth, canvas.height / canvas.clientHeight])"""
EVENTFUL = """
given = game(120)
given = given[:40] + given[52:]
last = given[-1]
given[-1] = Tick(game_id=last.game_id, tick=last.tick, timestamp=last.timestamp, price='0.01', phase='RUG_EVENT',
                 active=True, rugged=True)
player = play(given)
player.mark(30, 'look here', colour='#AA00BB')
"""


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
    player.wait(lambda: bool(player.root.evaluate("(root) => root.clientWidth < 600")))
    player.wait(lambda: bool(playing.page.evaluate(CUT_OFF) == []))
    player.root.screenshot(path=screenshots / "player_narrow.png")


def test_what_happened_is_drawn_on_chart_and_seek_bar(start: Start, screenshots: Path) -> None:
    """Rug, peak and marks stand on the chart and on the seek bar in their colours, and so does the loop."""
    playing = start(EVENTFUL, LISTEN)
    player = playing.players[0]
    player.slider.fill("20")
    player.button("Loop from here").click()
    player.slider.fill("60")
    player.button("Loop to here").click()
    player.wait(lambda: player.row == 60)
    colours = {"the line": "#0072B2", "the rug": "#D55E00", "the peak": "#007A59", "the mark": "#AA00BB"}
    for name, colour in colours.items():
        assert playing.page.evaluate(COLOURED, [".rlab-canvas", colour]) > 5, name
    for name in ("the rug", "the peak", "the mark"):
        assert playing.page.evaluate(COLOURED, [".rlab-track", colours[name]]) > 5, name
    assert playing.page.evaluate(COLOURED, [".rlab-track", "#A8477F"]) > 50  # from A to B
    player.root.screenshot(path=screenshots / "player_events.png")
    playing.tell("player.clear_marks()")
    player.wait(lambda: playing.page.evaluate(COLOURED, [".rlab-canvas", "#AA00BB"]) == 0)


def test_what_lies_ahead_can_be_hidden(start: Start) -> None:
    """With what lies ahead hidden, neither the rug nor the peak of later shows before it is played."""
    playing = start(EVENTFUL, LISTEN)
    player = playing.players[0]
    player.button("Show what lies ahead").click()
    player.wait(lambda: playing.page.evaluate(COLOURED, [".rlab-canvas", "#D55E00"]) == 0)
    assert playing.page.evaluate(COLOURED, [".rlab-canvas", "#007A59"]) == 0
    player.stage.focus()
    playing.page.keyboard.press("End")
    player.wait(lambda: playing.page.evaluate(COLOURED, [".rlab-canvas", "#D55E00"]) > 5)


def test_the_words_at_the_pointer_are_exact(start: Start) -> None:
    """Tick, exact price, time and phase of the row under the pointer are shown, digit for digit."""
    playing = start("player = play(game(100))", LISTEN)
    player = playing.players[0]
    box = player.stage.bounding_box()
    assert box is not None
    rows = set()
    for place in (0.2, 0.5, 0.8):
        player.stage.hover(position={"x": box["width"] * place, "y": 100})
        player.wait(lambda: player.root.locator(".rlab-stage .rlab-tip").is_visible())
        until_painted(playing.page)
        tick, price, time, phase, *_ = player.root.locator(".rlab-stage .rlab-tip").inner_text().split("\n")
        row = int(tick.removeprefix("tick "))
        rows.add(row)
        stamp = 1_000_000 * 5 + 50_000 * row
        assert price == f"1.{row * 7919 % 1000:03d}123456789"
        assert time == f"2031-01-02 03:04:{stamp // 1_000_000:02d}.{stamp % 1_000_000:06d} UTC"
        assert phase == "in play"
    assert len(rows) == 3


def test_zoom_pan_and_follow(start: Start) -> None:
    """The wheel zooms at the pointer, dragging pans, playing takes the view along, and a double click shows all."""
    playing = start("player = play(game(2_000, ms=20))", LISTEN)
    player = playing.players[0]
    box = player.stage.bounding_box()
    assert box is not None
    mouse = playing.page.mouse

    def row_at(place: float) -> int:
        mouse.move(box["x"] + box["width"] * place, box["y"] + 90)
        until_painted(playing.page)
        return int(
            player.root.locator(".rlab-stage .rlab-tip")
            .inner_text()
            .split("\n")[0]
            .removeprefix("tick ")
            .replace(",", "")
        )

    whole = row_at(0.9) - row_at(0.3)
    player.stage.focus()
    middle = row_at(0.5)
    for _ in range(6):
        mouse.wheel(0, -300)
        until_painted(playing.page)
    assert abs(row_at(0.5) - middle) < whole / 20
    near = row_at(0.9) - row_at(0.3)
    assert near < whole / 4
    mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 90)
    mouse.down()
    mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 90, steps=5)
    mouse.up()
    assert row_at(0.5) < middle - near / 5
    assert player.row == 0, "panning does not seek"
    player.button("Follow the playhead").click()
    player.button("Play").click()
    player.wait(lambda: player.row > 20)
    assert row_at(0.1) <= player.row
    player.button("Pause").click()
    player.stage.dblclick(position={"x": box["width"] * 0.5, "y": 90})
    player.wait(lambda: not player.button("Show the whole game").is_visible())
    assert row_at(0.9) - row_at(0.3) == pytest.approx(whole, abs=3)


@pytest.fixture
def sharp(browser: Browser, lab: Lab) -> Iterator[Playing]:
    """A player on a screen with two device pixels a CSS pixel each way."""
    context = browser.new_context(viewport={"width": 1200, "height": 1000}, device_scale_factor=2)
    playing = Playing(context.new_page(), lab, "sharp", ["player = play(game(300))", LISTEN])
    yield playing
    playing.notebook.close()
    context.close()


def test_a_sharp_screen_gets_a_sharp_chart(sharp: Playing, screenshots: Path) -> None:
    """At two device pixels a CSS pixel every canvas has twice its size, also when the area or the screen changes."""
    player = sharp.players[0]
    assert sharp.page.evaluate("devicePixelRatio") == 2
    player.wait(lambda: sharp.page.evaluate(SHARPNESS) == [[2, 2], [2, 2]])
    player.root.screenshot(path=screenshots / "player_sharp.png")
    sharp.page.set_viewport_size({"width": 801, "height": 900})
    player.wait(lambda: (player.stage.bounding_box() or {"width": 9_999})["width"] < 800)
    player.wait(lambda: sharp.page.evaluate(SHARPNESS) == [[2, 2], [2, 2]])
    tools = sharp.page.context.new_cdp_session(sharp.page)
    screen = {"width": 801, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    tools.send("Emulation.setDeviceMetricsOverride", screen)
    player.stage.focus()
    sharp.page.keyboard.press("ArrowRight")
    player.wait(lambda: sharp.page.evaluate(SHARPNESS) == [[1, 1], [1, 1]])
