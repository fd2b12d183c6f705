"""Segments are ordinary Parquet: other programs read them, with no help from this package."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import replaylab as rl

COLUMNS = ["game_id", "seq", "tick", "price", "price_filled", "phase", "recorded_phase", "active", "rugged"]
COLUMNS += ["cooldown_timer", "trade_count", "source", "line", "repaired"]


@pytest.fixture(scope="module", params=["converted", "compacted"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> rl.Store:
    """A store of several games, as the two writers of segments leave it."""
    folder = tmp_path_factory.mktemp("readers")
    for seed in (1, 2):
        rl.simulate(folder / str(seed), games=3, seed=seed, damage="two_writers")
        rl.convert(folder / str(seed), folder / "store", progress=False)
    if request.param == "compacted":
        rl.compact(folder / "store", progress=False)
    return rl.open_store(folder / "store")


def sums(store: rl.Store) -> tuple[int, Decimal]:
    """Rows and the sum of all prices, by this package."""
    tables = [segment.read(["price"]) for segment in store.segments()]
    return sum(table.num_rows for table in tables), sum(pc.sum(table["price"]).as_py() for table in tables)


def files(store: rl.Store) -> list[Path]:
    """The Parquet files of a store."""
    return [segment.path for segment in store.segments()]


def test_pyarrow_reads_a_segment(store: rl.Store) -> None:
    """`pyarrow.parquet.read_table` alone reads every row, the prices exact."""
    tables = [pq.read_table(file) for file in files(store)]
    found = sum(table.num_rows for table in tables), sum(pc.sum(table["price"]).as_py() for table in tables)
    assert found == sums(store)


def test_duckdb_reads_a_segment(store: rl.Store) -> None:
    """DuckDB reads every column of every row, the prices exact."""
    source = f"read_parquet({[str(file) for file in files(store)]})"
    found = duckdb.execute(f"SELECT count(*), sum(price) FROM {source}").fetchall()
    assert found == [sums(store)]
    every = ", ".join(f"count({name})" for name in [*COLUMNS, "timestamp"])
    counts = duckdb.execute(f"SELECT {every} FROM {source}").fetchall()[0]
    stored = [segment.read() for segment in store.segments()]
    expected = [sum(pc.count(table[name]).as_py() for table in stored) for name in [*COLUMNS, "timestamp"]]
    assert list(counts) == expected


def test_polars_reads_a_segment(store: rl.Store) -> None:
    """Polars reads every column of every row, the prices exact."""
    frame = pl.read_parquet(files(store))
    assert (len(frame), frame["price"].sum()) == sums(store)
    assert set(frame.columns) == {*COLUMNS, "timestamp"}
