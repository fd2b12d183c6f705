"""The player by keyboard, and what assistive technology finds in it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.cells import LISTEN
from tests.browser.lab import REPOSITORY
from tests.browser.playing import Start

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]

AXE = REPOSITORY / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"


def test_keys(start: Start) -> None:
    """Every key does what it says, and JupyterLab does not take the arrows for its cells."""
    playing = start("player = play(game(400))", LISTEN)
    player = playing.players[0]
    player.stage.focus()
    press = playing.page.keyboard.press
    steps = {"ArrowRight": 1, "ArrowUp": 2, "ArrowLeft": 1, "Shift+ArrowRight": 11, "PageUp": 31, "End": 399, "Home": 0}
    steps |= {"5": 200, "9": 359, ".": 360, ",": 359, "0": 0}
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
    player.wait(lambda: player.button("Log price").get_attribute("aria-pressed") == "true")
    press(" ")
    player.wait(lambda: player.playing)
    playing.page.wait_for_timeout(700)
    assert 2 <= player.row <= 12
    press(" ")
    player.wait(lambda: not player.playing)
    playing.until("[player.index, player.playing]", [player.row, False])


def test_the_other_keys(start: Start) -> None:
    """What lies ahead, zoom, the whole game, follow, the whole screen and the games have keys, too."""
    playing = start("player = play([game(400, name='one'), game(300, name='two')])", LISTEN)
    player = playing.players[0]
    player.stage.focus()
    press = playing.page.keyboard.press
    for key, name in (("h", "Show what lies ahead"), ("H", "Show what lies ahead"), ("L", "Log price")):
        before = player.button(name).get_attribute("aria-pressed")
        press(key)
        player.wait(lambda name=name, before=before: player.button(name).get_attribute("aria-pressed") != before)  # type: ignore[misc]
    assert not player.button("Show the whole game").is_visible()
    for _ in range(3):
        press("+")
    player.wait(lambda: player.button("Show the whole game").is_visible())
    expect(player.button("Follow the playhead")).to_have_attribute("aria-pressed", "true")
    press("f")
    player.wait(lambda: player.button("Follow the playhead").get_attribute("aria-pressed") == "false")
    press("w")
    player.wait(lambda: not player.button("Show the whole game").is_visible())
    height = player.stage.evaluate("(stage) => stage.clientHeight")
    press("Shift+F")
    player.wait(lambda: bool(player.stage.evaluate("(stage) => stage.clientHeight") > 1.5 * height))
    player.wait(lambda: player.button("Full screen").get_attribute("aria-pressed") == "true")
    press("Shift+F")
    player.wait(lambda: bool(player.stage.evaluate("(stage) => stage.clientHeight") == height))
    speed = player.root.get_by_label("Speed", exact=True)
    for key, chosen in ((">", "2"), (">", "5"), ("<", "2"), ("<", "1"), ("<", "0.5"), (">", "1")):
        press(key)
        player.wait(lambda chosen=chosen: speed.input_value() == chosen)  # type: ignore[misc]
    playing.until("player.speed", 1.0)
    press("n")
    player.wait(lambda: player.root.locator(".rlab-title").inner_text() == "two")
    press("p")
    player.wait(lambda: player.root.locator(".rlab-title").inner_text() == "one")


def test_the_focus_goes_round_and_is_seen(start: Start, screenshots: Path) -> None:
    """Tab reaches the chart, the seek bar and every control that is shown, each with an outline that can be seen."""
    playing = start("player = play([game(50), game(60, name='other')])", LISTEN)
    player = playing.players[0]
    player.stage.focus()
    reached = []
    for _ in range(40):
        found = playing.page.evaluate(
            """() => {
                const one = document.activeElement;
                const inside = Boolean(one.closest('.rlab'));
                const outline = getComputedStyle(one);
                return [inside, one.getAttribute('aria-label'), outline.outlineStyle, parseFloat(outline.outlineWidth)];
            }"""
        )
        if not found[0]:
            break
        reached.append(found[1:])
        playing.page.keyboard.press("Tab")
    names = [name for name, _, _ in reached]
    wanted = ["Position in the game", "Play", "Stop", "Step back", "Step forward", "Speed", "Pacing", "Loop from here"]
    wanted += ["Loop to here", "Log price", "Show what lies ahead", "Previous game", "Game", "Next game"]
    assert set(wanted) <= set(names)
    assert len(names) == len(set(names))
    assert all(style == "solid" and width >= 2 for _, style, width in reached)
    player.slider.focus()
    playing.page.keyboard.press("ArrowRight")
    player.root.screenshot(path=screenshots / "player_focus.png")


def test_what_a_screen_reader_is_told(start: Start) -> None:
    """The seek bar says where it is in words: tick, exact price, phase and time; the button says what it will do."""
    playing = start("player = play(game(101))", LISTEN)
    player = playing.players[0]
    player.slider.fill("50")
    told = "tick 50, price 1.950123456789, in play, 2.5 s of 5.0 s"
    player.wait(lambda: player.slider.get_attribute("aria-valuetext") == told)
    player.button("Play").click()
    expect(player.button("Pause")).to_be_visible()
    assert player.root.get_attribute("aria-label") == "Player of game"


def test_nothing_for_axe_to_find(start: Start) -> None:
    """The accessibility checker finds nothing in either theme."""
    assert AXE.exists(), "axe-core is not installed, so nobody checked: `make browser` installs it"
    playing = start("player = play([game(50), game(60, name='other')])", LISTEN)
    playing.page.add_script_tag(path=AXE)
    for theme in ("Light", "Dark"):
        playing.notebook.theme(f"JupyterLab {theme}")
        found = playing.page.evaluate("async () => (await axe.run('.rlab')).violations.map((one) => one.id + one.help)")
        assert found == []


def test_a_list_of_keys_and_a_tick_by_its_number(start: Start) -> None:
    """The question mark opens a dialog with a list; J goes to a tick, and says what is no number of one."""
    playing = start("player = play(game(1_000, start=5))", "player")
    player = playing.players[0]
    player.stage.focus()
    playing.page.keyboard.press("?")
    keys = player.root.get_by_role("dialog", name="Keys of the player")
    keys.wait_for(state="visible")
    assert "go to a tick by its number" in keys.inner_text()
    playing.page.add_script_tag(path=AXE)
    violations = "async () => (await axe.run('.rlab')).violations.map((one) => one.id + one.help)"
    assert playing.page.evaluate(violations) == []
    playing.page.keyboard.press("End")  # keys of the list play nothing
    playing.page.keyboard.press("Escape")
    keys.wait_for(state="hidden")
    assert player.row == 0
    playing.page.keyboard.press("j")
    number = player.root.get_by_role("textbox", name="Number of the tick")
    number.scroll_into_view_if_needed()
    box = number.bounding_box()
    assert box
    picture = Image.open(BytesIO(playing.page.screenshot(caret="hide"))).convert("RGB")
    left, right, below = int(box["x"]) + 8, int(box["x"] + box["width"]) - 8, int(box["y"] + box["height"]) + 2
    ring = picture.crop((left, below, right, below + 1))
    assert len(ring.getcolors() or []) == 1  # the ring round what has the focus is whole: no button lies over it
    for wrong in ("x", ""):
        number.fill(wrong)
        playing.page.keyboard.press("Enter")
        expect(number).to_have_attribute("aria-invalid", "true")
    number.fill("1,004")
    playing.page.keyboard.press("Enter")
    playing.until("player.index", 999)
    playing.page.keyboard.press("j")
    number.fill("17")
    playing.page.keyboard.press("Enter")
    playing.until("player.index", 12)
