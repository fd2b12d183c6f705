"""What a cell keeps of widgets: each of them, alone or in a box, leaves something that needs no kernel."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ipywidgets
import pytest
from IPython.core.formatters import DisplayFormatter

import replaylab as rl
from replaylab.playback.engine import ReplayEngine
from replaylab.widgets.cell_output import WIDGET_VIEW
from replaylab.widgets.live import Live
from replaylab.widgets.live_still import still
from replaylab.widgets.player import play
from tests.stores import quiet, simulated
from tests.widgets.pages import game
from tests.widgets.test_inbox import until


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is published in the cell of a kernel, in order."""
    found: list[dict[str, Any]] = []
    shell = SimpleNamespace(kernel=object(), display_formatter=DisplayFormatter())
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr("IPython.display.publish_display_data", lambda data, *_args, **_more: found.append(data))
    return found


@pytest.fixture
def cell(shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What a saved notebook keeps of what can be renewed, by its display id, as a page does it."""
    kept: dict[str, dict[str, Any]] = {}

    def publish(data: dict[str, Any], *_args: Any, transient: Any = None, update: bool = False) -> None:
        shown.append(data)
        if transient:
            name = transient["display_id"]
            assert update == (name in kept)  # a page knows an id from when it was shown
            kept[name] = data

    monkeypatch.setattr("IPython.display.publish_display_data", publish)
    return kept


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


def test_a_live_view_keeps_a_picture_of_what_was_last_there(cell: dict[str, dict[str, Any]]) -> None:
    """Shown before the first tick, it is a line of text; when the feed has ended, the picture of its last game."""

    async def scene() -> Live:
        feed = rl.live("simulated:2", speed=float("inf"))
        feed._ipython_display_()
        await feed.until("closed", timeout=60)
        feed.stop()
        await until(lambda: is_last(feed))
        return feed

    def is_last(feed: Live) -> bool:
        (kept,), stream = cell.values(), feed.engine.stream
        return stream is not None and f"{stream.game_id}: {stream.stop:,} row" in kept["text/html"]

    feed = asyncio.run(scene())
    (kept,) = cell.values()
    assert 'src="data:image/png;base64,' in kept["text/html"]
    assert "run the cell again to play it" in kept["text/html"]
    assert f'"{feed.player.player_id}"' in kept["text/html"]  # hidden as long as the player shows
    assert kept["text/plain"] == "ReplayPlayer(live)"
    feed.player.close()


def test_a_live_picture_is_renewed_now_and_then_and_at_the_end(
    shown: list[dict[str, Any]], cell: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first rows are drawn at once, later ones when it is time, and the last ones when the feed is over."""
    monkeypatch.setattr("replaylab.widgets.live_still.EVERY_SECONDS", 1e9)
    engine = ReplayEngine()
    player = play(engine)
    player.renew_still(over=True)  # no cell has shown it
    assert shown == []
    player._ipython_display_()
    assert player._still is not None
    assert player._still._loads is not None
    player._still._loads.join(60)  # until what draws has been loaded, no picture is made while a feed goes on
    player.renew_still(over=True)  # no tick has come
    assert len(shown) == 2
    assert "<img" not in shown[1]["text/html"]
    ticks = game(5)
    for rows, over, drawn in ((2, False, 1), (3, False, 1), (5, True, 2), (5, True, 2)):
        for tick in ticks[engine.total : rows]:
            engine.push(tick)
        player.renew_still(over=over)
        assert len(shown) == 2 + drawn, rows
    assert len(cell) == 1
    assert ": 5 rows" in shown[-1]["text/html"]
    player.close()
    player.renew_still(over=True)
    assert len(shown) == 4


def test_a_live_picture_is_small_however_long_the_game(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest rows are drawn, and the line says of how many; a game of no row is the words alone."""
    monkeypatch.setattr("replaylab.widgets.live_still.DRAWN_ROWS", 3_000)
    engine = ReplayEngine(ring_ticks=3_010)
    assert "<img" not in still(engine.stream, "a < b", "")
    for tick in game(3_005):
        engine.push(tick)
    kept = still(engine.stream, "a < b", "")
    assert len(kept) < 40_000
    assert ": 3,000 rows" in kept
    assert "; the newest of 3,005" in kept
    assert kept.endswith("a &lt; b</div>")


def test_notebooks_are_compared_without_what_a_feed_happened_to_show() -> None:
    """How many rows had come when a notebook was run is not compared with the next run."""
    cfg = (Path(__file__).parents[1] / "nbval.cfg").read_text(encoding="utf-8")
    patterns = re.findall(r"^regex: (.*)$\n^replace: (.*)$", cfg, flags=re.MULTILINE)  # as nbval reads it
    engine = ReplayEngine()
    kept = [still(engine.stream, "ReplayPlayer(live)", "player-1")]
    for tick in game(2):
        engine.push(tick)
        kept.append(still(engine.stream, "ReplayPlayer(live)", "player-1"))
    assert len(set(kept)) == 3
    for regex, replaced in patterns:
        kept = [re.sub(regex, replaced, one) for one in kept]
    assert len(set(kept)) == 1
