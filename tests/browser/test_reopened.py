"""A notebook that was run, saved, and opened again with no kernel of its own: the player is there, or its picture."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect

from tests.browser.lab import Lab, Notebook
from tests.browser.playing import SETUP, Player, Playing, Start, code_cell, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]

SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"
PICTURE = 'img[alt^="Price chart of"]'
ERROR = "Error displaying widget"
MADE = """
_ = rl.simulate('recordings', games=3, seed=5)
_ = rl.convert('recordings', 'store', progress=False)
store = rl.open_store('store')
"""
# Counts the errors of widgets that stand in the page, and the frames in which one of them is seen.
SEEN = """
window.written = 0;
window.seen = 0;
const look = () => {
    const lines = [...document.querySelectorAll('.jp-OutputArea-output')].filter(
        (one) => one.textContent.startsWith('Error displaying widget'));
    window.written = Math.max(window.written, lines.length);
    window.seen += lines.some((one) => one.offsetParent !== null) ? 1 : 0;
    requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


@contextmanager
def slow_kernels(lab: Lab, seconds: int) -> Iterator[None]:
    """Let every kernel of the JupyterLab wait before it starts."""
    kernel = lab.home / "jupyter_data_dir" / "kernels" / "python3" / "kernel.json"
    waits = f'sleep {seconds}; touch "$0"; exec "$@"'
    started = lab.home / "started-late"
    launch = ["/bin/sh", "-c", waits, str(started), sys.executable, "-m", "ipykernel_launcher", "-f"]
    kernel.parent.mkdir(parents=True)
    spec = {"argv": [*launch, "{connection_file}"], "display_name": "Python 3", "language": "python"}
    kernel.write_text(json.dumps(spec), encoding="utf-8")
    try:
        yield
        assert started.exists()
    finally:
        shutil.rmtree(kernel.parent)


def saved(playing: Playing) -> Path:
    """Save the notebook, and leave it."""
    playing.page.evaluate(SAVE)
    playing.notebook.close()
    playing.page.goto("about:blank")
    return playing.path


def test_a_player_hides_what_stands_in_for_it(start: Start) -> None:
    """Where the player shows, its picture and the player without a kernel are not seen, at once and later."""
    playing = start("player = play(game(120, ms=20))\nplayer", "player", players=2)
    playing.page.wait_for_timeout(2_500)
    expect(playing.page.locator(".rlab:visible")).to_have_count(2)
    for picture in playing.page.locator(PICTURE).all():
        expect(picture).to_be_hidden()


def test_a_notebook_opened_again_plays(start: Start, lab: Lab, screenshots: Path) -> None:
    """Run, saved, shut down, opened again: the player plays without a kernel, from the row where it was."""
    playing = start("player = play(game(400, ms=20))\n_ = player.seek(200)\nplayer.mark(50, 'here')\nplayer")
    page, path = playing.page, saved(playing)
    again = Notebook(page, lab, path.name)
    player = Player(page)
    expect(player.root).to_be_visible(timeout=60_000)
    player.wait(lambda: player.row == 200)
    expect(page.get_by_text(ERROR)).to_be_hidden()
    player.button("Play").click()
    player.wait(lambda: player.row > 240)
    player.root.screenshot(path=screenshots / "player_reopened.png")
    page.screenshot(path=screenshots / "notebook_reopened.png")
    again.run_all()  # with a kernel the player takes the place of what stood in for it
    shown = page.locator(".rlab:visible")
    expect(shown.and_(page.locator("[data-row='200']"))).to_have_count(1)
    expect(shown).to_have_count(1)
    expect(page.locator(".rlab")).to_have_count(1)  # and no second one is hidden in the page


def test_long_and_live_games_opened_again_are_pictures(start: Start, lab: Lab) -> None:
    """A game too long to be kept in the notebook is its picture, a live one what was last there; never an error."""
    live = (
        "from replaylab.playback.engine import ReplayEngine\nengine = ReplayEngine()\n"
        "_ = [engine.push(tick) for tick in game(10)]\nlive = play(engine)\nlive"
    )
    playing = start("player = play(game(6_000, ms=20))\nplayer", live, players=2)
    expect(playing.page.locator(PICTURE)).to_have_count(2)
    expect(playing.page.locator(PICTURE).locator("visible=true")).to_have_count(0)
    page, path = playing.page, saved(playing)
    Notebook(page, lab, path.name)
    expect(page.locator(PICTURE).locator("visible=true")).to_have_count(2, timeout=60_000)
    expect(page.get_by_text("run the cell again to play it")).to_be_visible(timeout=60_000)
    assert page.get_by_text(ERROR).locator("visible=true").count() == 0


def test_whatever_a_cell_showed_is_there_again(start: Start, lab: Lab, screenshots: Path) -> None:
    """Opened again without a kernel: a player in a box plays, games compared play, a dashboard is what it last said."""
    boxed = "import ipywidgets\ninside = play(game(300, ms=20, name='in a box'))\n"
    boxed += "ipywidgets.VBox([ipywidgets.Label('above'), ipywidgets.HBox([inside])])"
    playing = start(MADE, "rl.compare(store)", "rl.dashboard(store)", boxed, players=0)
    page = playing.page
    expect(page.locator(".rlab-dash .rlab-game")).to_have_count(3, timeout=60_000)
    expect(page.locator(".rlab-compare .rlab-key:visible")).to_have_count(3, timeout=60_000)
    page.wait_for_timeout(2_000)
    expect(page.locator(".rlab-still:visible")).to_have_count(0, timeout=60_000)  # what stands in for them is hidden
    expect(page.locator(".rlab[data-row]:visible")).to_have_count(2, timeout=60_000)
    path = saved(playing)
    Notebook(page, lab, path.name)
    compared = page.locator(".rlab-compare:visible")
    expect(compared).to_be_visible(timeout=60_000)
    compared.get_by_role("button", name="Play").click()
    wait_until(page, lambda: int(compared.get_attribute("data-tick") or 0) > 4, 40)
    expect(page.get_by_text("when the cell was run")).to_be_visible(timeout=60_000)
    player = page.locator(".rlab:visible", has=page.locator(".rlab-title", has_text="in a box"))
    player.get_by_role("button", name="Play", exact=True).click()
    wait_until(page, lambda: int(player.get_attribute("data-row") or 0) > 4, 40)
    assert page.get_by_text(ERROR).locator("visible=true").count() == 0
    page.set_viewport_size({"width": 1200, "height": 1800})
    page.screenshot(path=screenshots / "all_reopened.png")


def test_a_kernel_that_starts_late_shows_no_error(start: Start, lab: Lab) -> None:
    """Opened again, and played before its kernel has started: what JupyterLab says then of widgets is never seen."""
    playing = start(
        "player = play(game(400, ms=20))\nplayer", "import ipywidgets\nipywidgets.VBox([player])", players=2
    )
    page, path = playing.page, saved(playing)
    with slow_kernels(lab, seconds=6):
        page.add_init_script(SEEN)
        page.goto(lab.address(path.name))
        player = Player(page)
        expect(player.root).to_be_visible(timeout=60_000)
        assert page.evaluate("window.written") == 0
        player.button("Play").click()
        player.wait(lambda: player.row > 4)
        page.wait_for_function("window.written >= 2", timeout=60_000)
        page.wait_for_timeout(500)
        assert page.evaluate("window.seen") == 0
        assert page.get_by_text(ERROR).locator("visible=true").count() == 0


def test_an_untrusted_notebook_shows_the_picture(start: Start, lab: Lab, screenshots: Path) -> None:
    """A notebook of someone else, whose scripts JupyterLab does not run, shows the chart and its words."""
    playing = start("player = play(game(400, ms=20))\nplayer", "play(game(9), blind=True)", players=2)
    page, path = playing.page, saved(playing)
    book = json.loads(path.read_text(encoding="utf-8"))
    book["cells"][1]["source"] += "\n# of someone else"  # another text has another signature: nobody trusts it
    (lab.root / "copy.ipynb").write_text(json.dumps(book), encoding="utf-8")
    Notebook(page, lab, "copy.ipynb")
    expect(page.locator(PICTURE)).to_be_visible(timeout=60_000)
    assert page.locator(PICTURE).evaluate("(image) => image.naturalWidth") > 500
    assert page.get_by_text(ERROR).locator("visible=true").count() == 0
    assert page.locator(".rlab").count() == 0
    words = page.get_by_text("run the cell again to play it")  # of the blind one, whose chart would tell how it ends
    expect(words).to_have_text("ReplayPlayer('game', blind): run the cell again to play it", timeout=60_000)
    page.screenshot(path=screenshots / "notebook_untrusted.png")


def test_a_notebook_executed_and_converted_plays(page: Page, tmp_path: Path, screenshots: Path) -> None:
    """`jupyter nbconvert --execute --to html` with its own options makes a page that plays with no network."""
    book = nbformat.from_dict(  # type: ignore[no-untyped-call]
        {
            "cells": [code_cell(0, SETUP), code_cell(1, "play(game(200, ms=20))")],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )
    nbformat.write(book, tmp_path / "book.ipynb")  # type: ignore[no-untyped-call]
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "html", str(tmp_path / "book.ipynb")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    page.context.set_offline(offline=True)
    page.goto((tmp_path / "book.html").as_uri(), wait_until="commit")
    player = Player(page)
    expect(player.root).to_be_visible(timeout=60_000)
    player.button("Play").click()
    player.wait(lambda: player.row > 20)
    page.screenshot(path=screenshots / "notebook_executed.png")
