"""The look-ahead guard: a view ends at the cursor, by every way in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from replaylab.errors import LookAhead, ReplayLabError
from replaylab.playback.engine import ReplayEngine
from replaylab.playback.timeline import Timeline
from replaylab.playback.view import View
from tests.playing import game, tick


@pytest.fixture
def seen() -> View:
    """Six of ten rows."""
    return View(Timeline.of(game(10)), 6)


@pytest.mark.parametrize("row", [6, 7, 9, 10, 10**9])
def test_a_row_beyond_the_cursor_raises(seen: View, row: int) -> None:
    """Every row that was not seen raises, whether the game has it or not, by an error that is an IndexError too."""
    with pytest.raises(LookAhead) as caught:
        seen[row]
    assert isinstance(caught.value, IndexError)
    assert isinstance(caught.value, ReplayLabError)


@pytest.mark.parametrize("part", [slice(0, 7), slice(7, None), slice(7, 9), slice(None, 10), slice(9, 2, -1)])
def test_a_slice_beyond_the_cursor_raises(seen: View, part: slice) -> None:
    """A slice that names a row beyond raises; it is not quietly cut short."""
    with pytest.raises(LookAhead):
        seen[part]


def test_rows_up_to_the_cursor(seen: View) -> None:
    """It is a sequence of the rows seen: length, iteration, negative rows and open slices."""
    assert len(seen) == 6
    assert [step.tick for step in seen] == list(range(6))
    assert [step.tick for step in seen[-2:]] == [4, 5]
    assert seen[-1].price == Decimal("1.005")
    with pytest.raises(IndexError):
        seen[-7]


def test_nothing_shows_how_long_the_game_is(seen: View) -> None:
    """Steps of a view know the rows seen only: neither total, nor progress, nor their track reaches beyond."""
    step = seen[5]
    assert (step.total, step.progress) == (6, 1.0)
    with pytest.raises(LookAhead):
        step.track.value("price", 6)


def test_columns_are_copies_without_anything_behind(seen: View) -> None:
    """Arrays and tables hold the rows seen, share no memory with the rest, and can be changed without harm."""
    assert (seen.tick.base, seen.floats.base) == (None, None)
    seen.tick[0] = 99
    assert seen.tick.tolist() == list(range(6))
    table = seen.to_table()
    assert table.num_rows == 6
    assert all(
        buffer is None or buffer.size < 6 * 16 + 64 for name in ("tick", "price") for buffer in buffers(table, name)
    )


def buffers(table: Any, name: str) -> list[Any]:
    """Memory behind a column."""
    return [buffer for chunk in table.column(name).chunks for buffer in chunk.buffers()]


def test_it_follows_the_engine_and_stays_what_it_was() -> None:
    """In a callback the view ends at that tick; one taken earlier does not grow."""
    engine = ReplayEngine(game(20))
    views: list[View] = []
    assert len(engine.view()) == 0
    engine.on("tick", lambda _: views.append(engine.view()))
    engine.run(float("inf"))
    assert [len(view) for view in views] == list(range(1, 21))
    engine.seek(3)
    assert len(engine.view()) == 4


def test_a_live_view_holds_what_the_ring_holds() -> None:
    """Of a live game the view is what the ring still has, up to the cursor also when it looks back."""
    engine = ReplayEngine(ring_ticks=5)
    for number in range(9):
        engine.push(tick(number, price=number + 1))
    assert [step.tick for step in engine.view()] == [4, 5, 6, 7, 8]
    engine.seek(6)
    seen = engine.view()
    assert [step.tick for step in seen] == [4, 5, 6]
    with pytest.raises(LookAhead):
        seen[3]


def test_a_view_cannot_be_longer_than_its_game() -> None:
    """A cursor beyond the game is refused when the view is made."""
    with pytest.raises(LookAhead):
        View(Timeline.of(game(3)), 4)
