"""What a function asks for is what is read of a part; and plain results become tables at once, as each alone would."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

import replaylab as rl
from replaylab.analysis.batches.parts import Part
from replaylab.analysis.batches.rows import Done, joined, rows_of
from replaylab.errors import AnalysisError, SegmentDamaged
from tests.stores import quiet, simulated

VALUES = st.one_of(
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.booleans(),
    st.text(st.characters(codec="utf-8"), max_size=3),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-10, max_value=10),
    st.none(),
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> rl.Store:
    """A store of five games, opened anew, whose summaries are kept."""
    monkeypatch.setattr("replaylab.storage.summary_cache.LEAST_SEGMENTS", 1)
    for seed, games in ((1, 3), (2, 2)):
        quiet(simulated(tmp_path / str(seed), games=games, seed=seed, damage="two_writers"), tmp_path / "store")
    rl.Store(tmp_path / "store").games_table()
    return rl.Store(tmp_path / "store")


def found(store: rl.Store, fn: Any, **options: Any) -> tuple[Any, list[Any]]:
    """Return the results of a function, and the columns of each read that it took."""
    reads: list[Any] = []
    real = Part.read

    def read(self: Part, columns: Any = None) -> Any:
        reads.append(columns)
        return real(self, columns)

    with mock.patch.object(Part, "read", read):
        return rl.analysis.map_games(store, fn, workers=1, progress=False, **options), reads


def test_kept_summaries_need_no_rows(store: rl.Store) -> None:
    """A function of summaries reads nothing, one of price paths a few columns, one of rows those once a part."""
    peaks, reads = found(store, lambda game: {"peak": game.summary["peak"], "sources": game.summary["sources"]})
    assert reads == []
    paths, reads = found(store, lambda game: float(game.path.price.max()))
    assert len(reads) == 2
    assert all(columns is not None and "phase" not in columns for columns in reads)
    rows, reads = found(store, lambda game: [len(game), len(game.live())][0])
    assert reads == [None, None]
    table = store.games_table()
    assert peaks.table.column("peak").to_pylist() == table.column("peak").to_pylist()
    assert paths.table.column("value").to_pylist() == [float(peak) for peak in table.column("peak").to_pylist()]
    assert rows.table.column("value").to_pylist() == table.column("rows").to_pylist()


def test_the_same_with_and_without_kept_summaries(store: rl.Store, tmp_path: Path) -> None:
    """Whether summaries were kept is not seen in any result, in other processes either."""

    def shape(game: rl.Game) -> dict[str, Any]:
        return {**game.summary, "rows": len(game), "last": game.prices().column("price")[-1].as_py()}

    kept = rl.analysis.map_games(store, shape, workers=2, progress=False).table
    (tmp_path / "store" / "summaries.cache").unlink()
    with mock.patch("replaylab.storage.summary_cache.LEAST_SEGMENTS", 99):
        anew = rl.analysis.map_games(rl.Store(tmp_path / "store"), shape, workers=1, progress=False).table
    assert kept.equals(anew)


def test_damage_is_of_the_games_whose_rows_are_asked_for(store: rl.Store) -> None:
    """A page that cannot be read fails its own game, whatever the function makes of the error, and no other."""
    bad = store.game_ids()[1]
    real = Part.read

    def read(self: Part, columns: Any = None) -> Any:
        if bad in self.games:
            raise SegmentDamaged("a page is not what was written")
        return real(self, columns)

    def careless(game: rl.Game) -> int:
        try:
            return len(game)
        except Exception:  # noqa: BLE001 the promise holds beside such functions
            return -1

    with mock.patch.object(Part, "read", read):
        for fn in (len, careless):
            done = rl.analysis.map_games(store, fn, workers=1, progress=False)
            assert done.failed.column("game_id").to_pylist() == [bad]
            assert "SegmentDamaged" in done.failed.column("error")[0].as_py()
            assert done.n_games == 5
        assert rl.analysis.map_games(store, lambda game: game.summary["rows"], workers=1, progress=False).ok


def test_a_compaction_in_between(store: rl.Store) -> None:
    """Segments that are gone when a function asks for rows are looked for again: every game is done once."""
    real, gone = Part.read, [True]

    def read(self: Part, columns: Any = None) -> Any:
        if gone[0]:
            gone[0] = False
            raise FileNotFoundError("compacted")
        return real(self, columns)

    with mock.patch.object(Part, "read", read):
        done = rl.analysis.map_games(store, len, workers=1, progress=False)
    assert done.ok
    assert done.table.column("value").to_pylist() == store.games_table().column("rows").to_pylist()


@given(
    st.lists(st.one_of(VALUES, st.dictionaries(st.sampled_from(["a", "b", "error"]), VALUES, max_size=2)), max_size=8)
)
def test_together_as_each_alone(given_rows: list[Any]) -> None:
    """Results that become a table together are, value for value and type for type, those of each alone."""
    done, tables, errors = Done(), [], {}
    for number, one in enumerate(given_rows):
        try:
            tables.append(rows_of(str(number), one))
        except AnalysisError as error:
            errors[str(number)] = str(error)
        try:
            done.add(str(number), one)
        except AnalysisError as error:
            done.fail(str(number), str(error))
    games, together, failed = done.rows()
    assert {game: str(error) for game, error in failed.items()} == errors
    assert [*games] == [str(number) for number in range(len(given_rows)) if str(number) not in errors]
    one, other = joined(tables), joined(together)
    assert one[0].schema == other[0].schema
    assert repr(one[0].to_pylist()) == repr(other[0].to_pylist())
    assert one[1] == other[1]


def test_values_are_taken_when_they_are_returned() -> None:
    """A mapping that the function changes and returns again is what it was for each game."""
    done, row = Done(), {"at": 0, "exact": Decimal("1.5")}
    for at in range(3):
        row["at"] = at
        done.add(str(at), row)
    (table,) = done.rows()[1]
    assert table.column("at").to_pylist() == [0, 1, 2]
