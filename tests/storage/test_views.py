"""SQL views: `live`, `prices` and `gaps` hold the ticks that the analysis counts, once each, exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import replaylab as rl
from replaylab.analysis.price_paths.paths import Paths, paths
from replaylab.columns import nearest_doubles
from replaylab.errors import AnalysisError
from tests.stores import RECORDINGS, quiet, simulated

DAMAGE = ("never_rugged", "late_start", "missing_ticks", "several_files", "double_tick", "double_rug")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> rl.Store:
    """Return a store of games with every damage that concerns which ticks count."""
    folder = tmp_path_factory.mktemp("views")
    quiet(simulated(folder / "recordings", games=14, seed=4, damage=DAMAGE), folder / "store")
    return rl.open_store(folder / "store")


def same_ticks(store: rl.Store, known: Paths) -> None:
    """Compare the view of prices with the paths, row by row."""
    table = store.sql("SELECT p.* FROM prices p JOIN games g USING (game_id) ORDER BY g.start, game_id, tick")
    assert table.num_rows == known.n_ticks
    ids = np.array(known.game_ids, object)[known.game_of_tick]
    assert table.column("game_id").to_pylist() == ids.tolist()
    assert table.column("tick").to_pylist() == known.tick.tolist()
    assert np.array_equal(nearest_doubles(table.column("price")), known.price, equal_nan=True)
    doubles = table.column("price_double").to_numpy(zero_copy_only=False).astype(np.float64)
    assert np.array_equal(doubles, known.price, equal_nan=True)


def test_live_ticks_are_those_of_the_paths(store: rl.Store) -> None:
    """The view has the ticks of `Paths`, to the last bit, where counting active rows finds more of them."""
    known = paths(store)
    same_ticks(store, known)
    plain = store.sql("SELECT count(*) AS n FROM ticks WHERE active AND NOT rugged").column("n")[0].as_py()
    assert plain > known.n_ticks
    live = store.sql("SELECT * FROM live")
    assert live.num_rows == known.n_ticks
    assert live.column_names == store.sql("SELECT * FROM ticks LIMIT 0").column_names


def test_live_ticks_are_frames_too(store: rl.Store) -> None:
    """`to_pandas("live")` and `"prices"` are the ticks of `Paths` in their order, in doubles, or exact on request."""
    known = paths(store)
    live, prices = store.to_pandas("live"), store.to_pandas("prices")
    assert live.columns.tolist() == store.to_pandas().columns.tolist()
    assert [one.name for one in live.dtypes] == [one.name for one in store.to_pandas().dtypes]
    assert prices.columns.tolist() == ["game_id", "tick", "timestamp", "price"]
    for frame in (live, prices):
        assert frame["game_id"].tolist() == np.array(known.game_ids, object)[known.game_of_tick].tolist()
        assert frame["tick"].tolist() == known.tick.tolist()
        assert np.array_equal(frame["price"].to_numpy(), known.price, equal_nan=True)
    one = store.to_polars("prices", games=known.game_ids[0], columns="price")
    exact = store.to_pandas("live", games=[known.game_ids[0]], prices="decimal")["price"]
    assert one["price"].to_list() == exact.tolist()
    assert len(exact) == int((known.game_of_tick == 0).sum())
    assert store.to_pandas("prices", games=[]).empty
    with pytest.raises(AnalysisError, match=r"what='gap' is not known; take 'ticks', 'live', 'prices' or 'games'"):
        store.to_pandas("gap")  # type: ignore[arg-type]
    with pytest.raises(AnalysisError, match="live ticks have the columns game_id"):
        store.to_pandas("live", columns=["peak"])


def test_gaps_are_those_of_the_games(store: rl.Store) -> None:
    """Runs of missing ticks and the ticks in them are those of the table of games."""
    found = store.sql("SELECT game_id, count(*) AS gaps, sum(ticks) AS missing FROM gaps GROUP BY game_id").to_pylist()
    expected = store.sql("SELECT game_id, gaps, missing_ticks FROM games WHERE gaps > 0 AND NOT double_rug").to_pylist()
    assert {(one["game_id"], one["gaps"], one["missing"]) for one in found} == {
        (one["game_id"], one["gaps"], one["missing_ticks"]) for one in expected
    }
    assert found
    assert store.sql("SELECT count(*) AS n FROM gaps WHERE to_tick - from_tick <> ticks").column("n")[0].as_py() == 0


@given(st.decimals("1e-24", "99999999999999", allow_nan=False, places=24))
def test_doubles_of_the_view_are_the_nearest(price: object) -> None:
    """Law: the double of a decimal by way of its text is the nearest one, for every price that can be stored."""
    import duckdb

    text = format(price, "f")
    query = f"SELECT CAST(CAST(CAST('{text}' AS DECIMAL(38, 24)) AS VARCHAR) AS DOUBLE)"
    assert duckdb.execute(query).fetchall() == [(float(text),)]


def test_the_real_recordings(tmp_path: Path) -> None:
    """On the real recordings, where they are there, the view has the ticks of the paths."""
    if RECORDINGS.is_dir():
        quiet(RECORDINGS, tmp_path / "store")
        same_ticks(rl.open_store(tmp_path / "store"), paths(tmp_path / "store"))
