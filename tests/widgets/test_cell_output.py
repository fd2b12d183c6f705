"""What a cell keeps of widgets: each of them, alone or in a box, leaves something that needs no kernel."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import ipywidgets
import pytest
from IPython.core.formatters import DisplayFormatter

import replaylab as rl
from replaylab.widgets.cell_output import WIDGET_VIEW
from replaylab.widgets.player import play
from tests.stores import quiet, simulated
from tests.widgets.pages import game


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is published in the cell of a kernel, in order."""
    found: list[dict[str, Any]] = []
    shell = SimpleNamespace(kernel=object(), display_formatter=DisplayFormatter())
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr("IPython.display.publish_display_data", lambda data, *_args, **_more: found.append(data))
    return found


def show(thing: Any) -> None:
    """Show something as the last line of a cell does."""
    from IPython import get_ipython

    shell: Any = get_ipython()  # type: ignore[no-untyped-call,unused-ignore]
    shell.display_formatter.format(thing)


def test_a_box_keeps_what_is_in_it(shown: list[dict[str, Any]]) -> None:
    """Boxes in boxes show the box, and after it a page that plays for each player; other boxes are left alone."""
    one, two = play(game(5, "one")), play(game(5, "two"))
    box = ipywidgets.VBox([ipywidgets.Label("x"), one, ipywidgets.HBox([two])])
    show(box)
    assert [WIDGET_VIEW in data for data in shown] == [True, False]
    assert "text/html" not in shown[0]
    kept = shown[1]["text/html"]
    assert kept.count('<div data-rlab="') == 2
    assert all(f'"{player.player_id}"' in kept for player in (one, two))
    assert shown[1]["text/plain"] == repr(box)
    shown.clear()
    show(ipywidgets.VBox([ipywidgets.Label("x")]))
    assert shown == []  # IPython shows it
    for player in (one, two):
        player.close()
    show(box)
    assert shown == []


def test_every_widget_keeps_something(shown: list[dict[str, Any]], tmp_path: Any) -> None:
    """Players, live ones, games compared, a browser and a dashboard: a widget, then HTML that hides while it shows."""
    from replaylab.dashboards.cell import dashboard

    quiet(simulated(tmp_path / "recordings", games=3), tmp_path / "store")
    store = rl.open_store(tmp_path / "store")
    widgets: list[Any] = [play(store), play(rl.ReplayEngine()), rl.compare(store), rl.browse(store), dashboard(store)]
    for widget in widgets:
        shown.clear()
        widget._ipython_display_()
        assert [WIDGET_VIEW in data for data in shown] == [True, False], widget
        assert "standIn(" in shown[1]["text/html"]
        assert shown[1]["text/plain"] == repr(widget)
        widget.close()


def test_games_compared_that_are_long_keep_the_picture_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """The bytes of a saved notebook are bounded: beyond that the picture stands, with its words."""
    quiet(simulated(tmp_path / "recordings", games=3), tmp_path / "store")
    compared = rl.compare(tmp_path / "store")
    assert "compare.default.offline(" in compared.stand_in()["text/html"]
    monkeypatch.setattr("replaylab.widgets.comparison.INLINE_ROWS", 5)
    kept = compared.stand_in()["text/html"]
    assert "compare.default.offline(" not in kept
    assert "Games compared: " in kept
    compared.close()
