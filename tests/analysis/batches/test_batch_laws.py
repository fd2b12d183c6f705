"""Laws of a batch: every game is in one part with all its rows, and how games are shared out changes no value."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replaylab as rl
from replaylab import errors
from replaylab.analysis.batches import parts
from replaylab.analysis.batches.parts import parts_of
from replaylab.analysis.batches.rows import alike, joined, rows_of
from replaylab.segments.segment import Segment
from tests.crash.scale import SCALE
from tests.stores import game_lines, quiet

GAMES = [f"game-{number}" for number in range(8)]
LAYOUTS = st.lists(st.dictionaries(st.sampled_from(GAMES), st.integers(1, 40), max_size=8), max_size=5)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**62), 2**62),
    st.integers(-9, 9),
    st.floats(allow_nan=True),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-99, max_value=99),
    st.text(max_size=3),
    st.lists(st.integers(0, 9), max_size=2),
)
ROWS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def segment(number: int, games: dict[str, int]) -> Segment:
    """What a plan asks of a segment: which rows of which games."""
    starts = np.cumsum([0, *games.values()]).tolist()
    rows_of_game = {game: (first, rows) for (game, rows), first in zip(games.items(), starts, strict=False)}
    made = SimpleNamespace(
        name=f"{number}.parquet", rows_of=rows_of_game, footer=SimpleNamespace(rows=sum(games.values()))
    )
    return cast("Segment", made)


@settings(max_examples=50 * SCALE)
@given(layout=LAYOUTS, least=st.integers(1, 60), wanted=st.none() | st.sets(st.sampled_from(GAMES)))
def test_every_game_is_in_one_part(layout: list[dict[str, int]], least: int, wanted: set[str] | None) -> None:
    """Whatever segments hold: each game is in exactly one part, with every row that any of them has."""
    found = parts_of([segment(number, games) for number, games in enumerate(layout)], wanted, least)
    counted = Counter(game for part in found for game in part.games)
    there = {game for games in layout for game in games}
    assert counted == Counter(there if wanted is None else there & wanted)
    for part in found:
        for number, game in enumerate(part.games):
            taken = {(one.name, each[number]) for one, each in zip(part.segments, part.ranges, strict=True)}
            assert taken == {
                (f"{at}.parquet", segment(at, games).rows_of[game]) for at, games in enumerate(layout) if game in games
            }
        assert [one.games for one in part.singles()] == [(game,) for game in part.games]
        assert part.only(set(part.games[:1])).rows == part.counts[0]


def shown(table: pa.Table) -> str:
    """A table as text, for NaN equals itself there."""
    return f"{table.schema}{table.to_pylist()}"


@settings(max_examples=60 * SCALE)
@given(rows=st.lists(ROWS, min_size=1, max_size=8), shares=st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_sharing_out_changes_nothing(rows: list[dict[str, Any]], shares: list[int]) -> None:
    """Rows of any kinds give the same table and the same misfits, however the games were shared out among workers."""
    tables = [rows_of(game, row) for game, row in zip(GAMES, rows, strict=False)]
    alone, misfits = joined(tables, GAMES)
    groups = [[table for table, share in zip(tables, shares, strict=False) if share == one] for one in range(4)]
    shared, others = joined([table for group in groups for table in alike(group)], GAMES)
    assert shown(shared) == shown(alone)
    assert others == misfits
    assert {*alone["game_id"].to_pylist(), *misfits} == set(GAMES[: len(rows)])


@settings(max_examples=50 * SCALE)
@given(rows=st.lists(ROWS, min_size=1, max_size=8))
def test_values_come_out_as_they_went_in(rows: list[dict[str, Any]]) -> None:
    """Every value of a game that fits is there, equal to what was given; Decimals to the last digit."""
    table, misfits = joined([rows_of(game, row) for game, row in zip(GAMES, rows, strict=False)], GAMES)
    kept = [(game, row) for game, row in zip(GAMES, rows, strict=False) if game not in misfits]
    for found, (game, row) in zip(table.to_pylist(), kept, strict=True):
        assert found["game_id"] == game
        for name, value in row.items():
            assert found[name] == value or (value != value and found[name] != found[name])  # noqa: PLR0124 NaN
            if isinstance(value, Decimal):
                assert isinstance(found[name], Decimal)


def ticks_of(game: str, rows: pa.Table) -> pa.Table:
    """The ticks of a game with these rows."""
    return rl.Game(game, lambda: rows).ticks()


def test_a_plan_reads_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of games that lie in two segments read, row for row, what `Store.game` gives."""
    monkeypatch.setattr(parts, "ROW_GROUP_ROWS", 30)
    lines = [game_lines(game, 12) for game in GAMES]
    for number in range(2):
        recording = tmp_path / f"{number}.jsonl"
        recording.write_bytes(b"".join(line for game in lines for line in game[number::2]))
        quiet(recording, tmp_path / "store")
    store = rl.Store(tmp_path / "store")
    found = parts_of(store.segments(), None, 1)
    assert len(found) > 2
    for part in found:
        table = part.read()
        first = 0
        for game, rows in zip(part.games, part.counts, strict=True):
            assert ticks_of(game, table.slice(first, rows)).equals(store.game(game).ticks())
            first += rows


def test_decimals_too_wide_for_any_column_are_misfits() -> None:
    """Two Decimals that no type holds together are told apart: the second is a misfit, neither is rounded."""
    wide, fine = Decimal(10**50), Decimal(1).scaleb(-60)
    table, misfits = joined([rows_of("a", wide), rows_of("b", fine)])
    assert table["value"].to_pylist() == [wide]
    assert list(misfits) == ["b"]


def test_columns_named_twice_are_refused() -> None:
    """A table with two columns of one name is refused with their names."""
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(errors.AnalysisError, match="named twice: a, a"):
        rows_of("g", table)
