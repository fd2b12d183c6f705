"""The rows of a journal that grows: however they come, they are those of one table, sorted once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from replaylab.journals.game_rows import GameRows
from replaylab.segments.order import sorted_by_game
from replaylab.segments.segment import game_ranges
from replaylab.table import SCHEMA
from tests.crash.scale import SCALE

Rows = list[tuple[str, int | None]]  # game, and time


def table_of(rows: Rows, first: int) -> pa.Table:
    """Return rows as a journal holds them, numbered from `first` on."""
    columns = {
        "game_id": [game for game, _ in rows],
        "timestamp": [time for _, time in rows],
        "seq": np.arange(first, first + len(rows)),
        "source": ["journal"] * len(rows),
    }
    nothing = pa.nulls(len(rows))
    return pa.table([pa.array(columns.get(one.name, nothing)).cast(one.type) for one in SCHEMA], schema=SCHEMA)


@settings(max_examples=25 * SCALE)
@given(st.lists(st.lists(st.tuples(st.sampled_from("abcd"), st.none() | st.integers(0, 5)), max_size=9), max_size=9))
def test_rows_that_come_in_pieces(pieces: list[Rows]) -> None:
    """At every moment table, ranges and the rows of each game are those of all rows sorted at once."""
    rows, tables, numbers = GameRows(), [SCHEMA.empty_table()], set()
    for piece in pieces:
        tables.append(table_of(piece, sum(map(len, tables))))
        rows.add(tables[-1:])
        shown, fresh = rows.shown(), sorted_by_game(pa.concat_tables(tables))
        assert shown.table().to_pylist() == fresh.to_pylist()
        assert list(shown.games) == game_ranges(fresh)
        assert shown.rows == fresh.num_rows
        for one in shown.games:
            assert shown.of_game(one.game).to_pylist() == fresh.slice(one.first_row, one.rows).to_pylist()
        numbers.add(shown.number)
    assert GameRows().shown().number not in numbers
    assert len(numbers) == bool(pieces)


def test_what_was_shown_stays() -> None:
    """Rows that are added later are not in what was shown before."""
    rows = GameRows()
    rows.add([table_of([("a", 1), ("b", 2)], 0)])
    before = rows.shown()
    rows.add([table_of([("a", 3)], 2)])
    assert before.table()["seq"].to_pylist() == [0, 1]
    assert before.of_game("a")["seq"].to_pylist() == [0]
    assert rows.shown().of_game("a")["seq"].to_pylist() == [0, 2]


def test_parts_are_few() -> None:
    """A journal that is read 200 times for one row each time lies in eight parts, not in 200."""
    rows = GameRows()
    for number in range(200):
        rows.add([table_of([("a", number)], number)])
    assert len(rows.shown().parts) <= 8
    assert rows.shown().table()["seq"].to_pylist() == list(range(200))
