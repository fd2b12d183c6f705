"""The cell of a player where no widget can show: what nbconvert makes of it for print, and what a terminal says."""

from __future__ import annotations

import io
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter
from PIL import Image

from replaylab.widgets.player import ReplayPlayer
from tests.widgets.pages import game


@pytest.fixture
def notebook() -> Any:
    """A saved notebook with a player in its only cell, and no widget state."""
    import nbformat  # seconds, which every worker would spend at collection

    player = ReplayPlayer(game(60, "printed"))
    data, metadata = player._repr_mimebundle_()
    player.close()
    output = nbformat.v4.new_output("display_data", data, metadata=metadata)  # type: ignore[no-untyped-call]
    cell = nbformat.v4.new_code_cell("player", outputs=[output])  # type: ignore[no-untyped-call]
    return nbformat.v4.new_notebook(cells=[cell])  # type: ignore[no-untyped-call]


def test_print_shows_the_chart(notebook: Any) -> None:
    """In what becomes a PDF stands the still chart: a picture of some size with more than one colour."""
    from nbconvert import LatexExporter

    text, resources = LatexExporter().from_notebook_node(notebook)  # type: ignore[no-untyped-call]
    (name,) = resources["outputs"]
    assert name in text
    with Image.open(io.BytesIO(resources["outputs"][name])) as picture:
        assert picture.width >= 500
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 5


def test_html_without_scripts_shows_chart_and_words(notebook: Any) -> None:
    """The HTML of the cell, as GitHub takes it without its scripts, is a picture with its words beside it."""
    from nbconvert import MarkdownExporter

    text, _ = MarkdownExporter().from_notebook_node(notebook)  # type: ignore[no-untyped-call]
    before_script = text.partition("<script")[0]
    assert '<img alt="Price chart of printed: 60 rows' in before_script
    assert "<div>printed: 60 rows, 3.0 s, peak 1.000000059 at tick 59, no rug</div>" in before_script


def test_a_terminal_shows_one_line() -> None:
    """In a plain terminal the player is one line that names the game."""
    player = ReplayPlayer(game(60, "printed"))
    formatter = DisplayFormatter()
    formatter.active_types = ["text/plain"]
    shown, _ = formatter.format(player)  # type: ignore[no-untyped-call]
    assert shown["text/plain"] == repr(player) == "ReplayPlayer('printed', 60 rows)"
    player.close()
