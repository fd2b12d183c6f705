"""The player without a kernel: a page in a file, a converted notebook, a notebook of twenty players."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Page

from replaylab.widgets import fallback as still
from replaylab.widgets.player import ReplayPlayer
from tests.browser.cells import ticks
from tests.browser.playing import Player, code_cell

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]


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
