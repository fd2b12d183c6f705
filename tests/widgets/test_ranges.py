"""What is selected and repeated, and what is written on the chart: values that Python and pages share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import replaylab as rl
from replaylab.errors import TickError
from replaylab.widgets.chart_marks import ChartMark
from tests.widgets.pages import Make, game


def test_a_selection_of_the_page_is_a_frame(make: Make) -> None:
    """Rows that were dragged over in the chart are observed, and read as a frame or exactly."""
    player, page = make(game(50))
    seen: list[Any] = []
    player.observe(lambda change: seen.append(change["new"]), "selection")
    assert not player.selection
    assert player.selection.frame().empty
    page.state(selection=[10, 19])
    assert player.selection == (10, 19)
    assert [list(one) for one in seen] == [[10, 19]]
    assert player.selection.frame()["tick"].tolist() == list(range(10, 20))
    assert player.selection.ticks()["price"].to_pylist() == [tick.price for tick in game(50)[10:20]]
    assert player.selection.to_pandas().equals(player.selection.frame())


def test_a_selection_of_python_reaches_the_page(make: Make) -> None:
    """It can be set and taken away; a page that opens later gets it; another game has none."""
    player, page = make([game(50, "a"), game(9, "b")])
    player.selection = (3, 8)
    assert page.last("selection")["selection"] == [3, 8]
    page.say("ready")
    assert page.last("open")["state"]["selection"] == [3, 8]
    player.selection = None
    assert page.last("selection")["selection"] == [None, None]
    player.selection = (3, 40)
    player.pick(1)
    assert not player.selection


def test_a_loop_is_a_value_and_reaches_the_engine(make: Make) -> None:
    """It is set, observed and read like the selection; what the page loops stands in the status of the engine."""
    player, page = make(game(50))
    player.loop = (3, 8)
    assert page.last("loop")["loop"] == [3, 8]
    assert player.engine.status.loop == (3, 8)
    page.state(loop=[10, 20], selection=[10, 20])
    assert (player.loop, player.selection) == ((10, 20), (10, 20))
    assert player.engine.status.loop == (10, 20)
    player.engine.set_loop(1, 2)
    assert player.loop == (1, 2)
    player.loop = None
    assert page.last("loop")["loop"] == [None, None]
    assert player.engine.loop is None
    page.state(loop=[10, None])
    assert player.engine.status.loop is None


def test_the_loop_that_was_a_method_still_works(make: Make) -> None:
    """`player.loop(3, 8)` does what it did, and says what to write instead."""
    player, page = make(game(50))
    with pytest.warns(DeprecationWarning, match=r"player.loop = \(3, 8\)"):
        player.loop(3, 8)
    assert page.last("loop")["loop"] == [3, 8]
    with pytest.warns(DeprecationWarning, match="player.loop = None"):
        player.loop()
    assert not player.loop


@pytest.mark.parametrize("rows", [(3, 50), (8, 3), (-1, 3), (1.5, 3), 7, "ab", (1, 2, 3), (True, 3)])
@pytest.mark.parametrize("name", ["loop", "selection"])
def test_rows_that_are_not_there_are_refused(make: Make, name: str, rows: object) -> None:
    """The message names what was set and what rows there are, and nothing changes."""
    player, _ = make(game(50))
    with pytest.raises(TickError, match=name):
        setattr(player, name, rows)
    assert not getattr(player, name)


def test_a_place_that_is_no_row_says_what_to_type(make: Make) -> None:
    """`seek` takes the number of a row; the name of an event is for another call, which the error names."""
    player, _ = make(game(20))
    anything: Any = "rug"
    with pytest.raises(TickError, match=r"must be the number of a row; player\.engine\.seek_event\('rug'\)"):
        player.seek(anything)
    assert player.seek(np.int64(3))  # type: ignore[arg-type]
    assert player.index == 3


def test_marks_are_a_value(make: Make) -> None:
    """They can be set as ticks, mappings or marks, read and observed; a page gets shape, colour and price."""
    player, page = make(game(50))
    seen: list[int] = []
    player.observe(lambda change: seen.append(len(change["new"])), "marks")
    player.marks = [5, {"tick": 7, "label": "here", "shape": "up", "price": 1.5}, ChartMark(9, colour="teal")]
    assert [mark["row"] for mark in page.last("marks")["marks"]] == [5, 7, 9]
    drawn = {"row": 7, "label": "here", "colour": None, "shape": "up", "price": 1.5}
    assert page.last("marks")["marks"][1] == drawn
    assert [mark.tick for mark in player.marks] == [5, 7, 9]
    player.mark(11, "more", shape="dot")
    assert len(player.marks) == 4
    for given in ({5: "here", 9: ""}, [(5, "here"), np.int64(9)]):
        player.marks = given
        assert [(mark.tick, mark.label) for mark in player.marks] == [(5, "here"), (9, "")]
    player.marks = []
    assert page.last("marks")["marks"] == []
    assert seen == [3, 4, 2, 0]


def test_a_mark_of_the_page_comes_to_python(make: Make) -> None:
    """What a user marks in the page is observed, stands in later pages, and can be removed there."""
    player, page = make(game(50))
    page.say("mark", row=12, label="odd", colour="#d55e00", shape="cross", price=1.25)
    assert player.marks == (ChartMark(12, "odd", "#d55e00", "cross", 1.25, 12),)
    page.say("ready")
    assert page.last("open")["marks"][0]["label"] == "odd"
    page.say("unmark", row=12)
    assert player.marks == ()


@pytest.mark.parametrize(
    "content",
    [
        {"row": 50}, {"row": -1}, {"row": 1.5}, {"row": 3, "label": "x" * 201}, {"row": 3, "shape": "star"},
        {"row": 3, "colour": "url(https://a)"}, {"row": 3, "price": float("nan")}, {"row": 3, "price": "1"}, {},
    ],
)  # fmt: skip
def test_marks_that_no_page_can_mean_are_dropped(make: Make, content: dict[str, Any]) -> None:
    """A row that is not there, an unknown shape, another colour, a price that is none: counted, and nothing drawn."""
    player, page = make(game(50))
    page.say("mark", **content)
    assert player.marks == ()
    assert player._sync is not None
    assert player._sync.channel.dropped == 1


@pytest.mark.parametrize("rows", [[3, 50], [8, 3], [3, None], [1.5, 3], [3], "ab"])
def test_selections_that_no_page_can_mean_are_dropped(make: Make, rows: object) -> None:
    """Rows that are not there, or only one: counted, and nothing is selected."""
    player, page = make(game(50))
    page.state(selection=rows)
    assert not player.selection
    assert player._sync is not None
    assert player._sync.channel.dropped == 1


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        (99, "no tick of that number; its ticks are 0 to 49"), ("a", "whole number"),
        ({"tick": 3, "text": "x"}, "a mark has tick"),
        ({"tick": 3, "shape": "star"}, "must be one of flag"), ({"tick": 3, "colour": "url(x)"}, "CSS colour"),
        ({"tick": 3, "price": float("inf")}, "finite"), ({"row": 77}, "no such row"),
    ],
)  # fmt: skip
def test_marks_that_cannot_be_drawn_are_refused(make: Make, mark: object, words: str) -> None:
    """The message names the field, and nothing changes."""
    player, _ = make(game(50))
    with pytest.raises(TickError, match=words):
        player.marks = [mark]
    assert player.marks == ()


def test_marks_are_kept_in_a_file_when_asked(tmp_path: Path) -> None:
    """A path keeps the marks of all games, also those of other games that are not shown; the file is short JSON."""
    path = tmp_path / "marks.json"
    first = rl.play([game(50, "a"), game(50, "b")], marks=path)
    first.mark(3, "here")
    first.pick(1)
    first.mark(4)
    first.close()
    assert json.loads(path.read_text()) == {"a": [{"tick": 3, "label": "here", "row": 3}], "b": [{"tick": 4, "row": 4}]}
    again = rl.play(game(50, "b"), marks=path)
    assert [mark.tick for mark in again.marks] == [4]
    again.clear_marks()
    again.close()
    assert list(json.loads(path.read_text())) == ["a"]
    path.write_text("[1, 2]")
    with pytest.raises(TickError, match="no file of marks"):
        rl.play(game(50), marks=path)


def test_marks_of_the_future_stay_hidden(make: Make) -> None:
    """A page that may not know what comes gets a mark when its row is reached."""
    player, page = make(game(50), blind=True)
    player.marks = [20]
    assert page.last("marks")["marks"] == []
    player.step(25)
    assert [mark["row"] for mark in page.last("marks")["marks"]] == [20]
