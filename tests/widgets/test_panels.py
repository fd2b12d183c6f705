"""Panels below the price: columns, series of one's own, recorded trades; what has no value for each row is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import replaylab as rl
from replaylab.errors import Unplayable
from replaylab.mark import Mark
from replaylab.playback.engine import ReplayEngine
from replaylab.playback.timeline import Timeline
from replaylab.widgets.panels import Panels
from tests.widgets.pages import FakePage, Make, game


def values(page: FakePage, number: int = 0, kind: str = "open") -> list[float]:
    """The values of a panel in the last message of a kind."""
    buffers = next(buffers for content, buffers in reversed(page.heard) if content["kind"] == kind)
    return list(map(float, np.frombuffer(buffers[6 + number], np.float64)))


def test_columns_and_series_reach_the_page(make: Make) -> None:
    """A column by its name, a list, a Series and a function of the rows: one value a row, NaN where there is none."""
    series = {
        "trade_count": "trade_count",
        "list": [float(number) for number in range(20)],
        "series": pd.Series(np.append(np.nan, np.arange(19.0))),
        "function": lambda rows: rows["tick"] * 2,
        "none": [None] * 20,
    }
    _player, page = make(game(20), panels=series)
    assert [panel["name"] for panel in page.last("open")["facts"]["panels"]] == list(series)
    assert values(page) == [0.0] * 20
    assert values(page, 1) == list(range(20))
    assert np.isnan(values(page, 2)[0])
    assert values(page, 3) == [2.0 * number for number in range(20)]
    assert all(np.isnan(values(page, 4)))


@pytest.mark.parametrize(
    ("panels", "words"),
    [
        ({"volatility": [1.0] * 7}, r"panels\['volatility'\] has 7 values, game 'g' has 20 rows"),
        ({"volatility": lambda rows: rows["tick"][:3]}, r"panels\['volatility'\] has 3 values"),
        ({"v": [float("inf")] * 20}, r"panels\['v'\] has 20 infinite values"),
        ({"v": ["a"] * 20}, r"panels\['v'\] holds what is no number"),
        ({"v": lambda rows: rows["no"]}, r"panels\['v'\]: its function raised KeyError: 'no', in game 'g'; it gets"),
        ({"v": lambda _rows: 1 / 0}, r"panels\['v'\]: its function raised ZeroDivisionError"),
        ({"v": 3}, r"panels\['v'\] is a int"),
        (["volatility"], r"panels\['volatility'\]: 'volatility' is no numeric column of these ticks; there are tick"),
        (["trades"], "recorded in a game of a store"),
        ("price_like", "is no numeric column of these ticks; there are tick"),
        (7, "pass names of columns"),
        ({3: [1.0] * 20}, "3 is no name"),
        ({str(number): [1.0] * 20 for number in range(9)}, "9 panels, at most 6"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(make: Make, panels: object, words: str) -> None:
    """When it is made and when it is set later; then the panels before it stay."""
    with pytest.raises(Unplayable, match=words):
        rl.play(game(20), panels=panels)
    player, page = make(game(20), panels=["tick"])
    with pytest.raises(Unplayable, match=words):
        player.panels = panels
    assert repr(player.panels) == "Panels(tick)"
    assert page.last("open")["facts"]["panels"] == [{"name": "tick", "kind": "line"}]


def test_panels_can_be_set_later(make: Make) -> None:
    """Pages get the game with them from where it stands; the loop stays."""
    player, page = make(game(20))
    player.seek(7)
    player.loop = (3, 9)
    player.panels = {"v": list(range(20))}
    assert page.last("open")["state"]["row"] == 7
    assert values(page) == list(range(20))
    assert player.loop == (3, 9)
    assert '"name":"v"' in player._repr_mimebundle_()[0]["text/html"]


def test_a_game_that_a_series_does_not_fit_says_so(make: Make) -> None:
    """Of several games the one with another length is not shown; the page says why."""
    player, page = make([game(20, "a"), game(9, "b")], panels={"v": list(range(20))})
    assert not player.pick(1)
    assert "game 'b' has 9 rows" in page.last("trouble")["text"]
    assert player.game_id == "a"


def test_nothing_of_a_panel_is_known_before_its_time(make: Make) -> None:
    """With the future hidden each value comes with its row."""
    player, page = make(game(20), panels={"v": list(range(20))}, blind=True)
    assert values(page) == [0.0]
    player.step(3)
    sent = [buffers[6] for content, buffers in page.heard if content["kind"] == "append"]
    assert np.frombuffer(b"".join(sent), np.float64).tolist() == [1.0, 2.0, 3.0]


def test_a_live_game_shows_columns_alone() -> None:
    """Columns of a live game come with its rows; a series has no value for what is still to come."""
    engine = ReplayEngine(ring_ticks=100)
    for tick in game(5):
        engine.push(tick)
    player = rl.play(engine, panels=["trade_count"])
    page = FakePage(player)
    assert values(page) == [0.0] * 5
    for tick in game(3, first=5):
        engine.push(tick)
    assert page.last("append")
    with pytest.raises(Unplayable, match="is no numeric column"):
        player.panels = {"v": [1.0] * 8}
    player.close()


def test_recorded_trades_are_bars(tmp_path: Path) -> None:
    """What was bought stands above zero, what was sold below, added up at the row of its tick; nothing says by whom."""

    def trade(tick: int, side: str, quantity: str) -> Mark:
        at = f"2031-01-02T03:04:{tick % 60:02d}"
        return Mark("trade", at, "g", detail={"tick": tick, "side": side, "quantity": quantity, "leverage": 1})  # type: ignore[arg-type]  # its name will do

    with rl.Recorder(tmp_path) as recorder:
        recorder.record_many(game(10))
        for mark in (
            trade(3, "buy", "1.5"),
            trade(3, "buy", "0.5"),
            trade(5, "short_open", "2"),
            trade(99, "buy", "1"),
        ):
            recorder.mark(mark)
    panel = Panels(["trades"]).of_game(Timeline.of(rl.open_store(tmp_path).game("g")))[0]
    known: dict[int, Any] = {row: value for row, value in enumerate(panel.values) if not np.isnan(value)}
    assert (panel.kind, known) == ("bars", {3: 2.0, 5: -2.0})
