"""Selecting and marking in a real notebook: what a user does in the page is a value in Python."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.cells import LISTEN
from tests.browser.playing import Start

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]


def test_a_drag_selects_and_a_mark_is_written(start: Start, screenshots: Path) -> None:
    """A drag over the chart is `player.selection`; a mark written in the page is in `player.marks`; Escape lets go."""
    playing = start("player = play(game(120))", LISTEN)
    page, player = playing.page, playing.players[0]
    box = player.stage.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 90)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 90, steps=5)
    page.mouse.up()
    playing.until("len(player.selection) > 20")
    assert playing.ask("len(player.selection.frame())") == playing.ask("len(player.selection)")
    assert player.row == 0, "a drag does not seek"
    expect(player.root.locator(".rlab-pace")).to_contain_text("rows")
    player.slider.fill("60")
    player.stage.focus()
    page.keyboard.press("a")
    page.keyboard.type("look m here")  # no key of the player acts while it is written
    player.root.get_by_role("combobox", name="Shape of the mark").select_option("up")
    player.button("Add the mark").click()
    playing.until("[[mark.tick, mark.label, mark.shape] for mark in player.marks]", [[60, "look m here", "up"]])
    player.root.screenshot(path=screenshots / "selection_and_mark.png")
    player.button("Loop from here").click()
    player.slider.fill("80")
    player.button("Loop to here").click()
    playing.until("list(player.engine.status.loop or ())", [60, 80])
    playing.until("list(player.selection)", [60, 80])
    player.stage.focus()
    page.keyboard.press("Escape")
    playing.until("[bool(player.loop), bool(player.selection), player.engine.status.loop]", [False, False, None])
    player.slider.fill("60")
    player.stage.focus()
    page.keyboard.press("a")
    player.button("Remove the marks at this row").click()
    playing.until("len(player.marks)", 0)
